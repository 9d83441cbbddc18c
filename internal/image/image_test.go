package image_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/image"
)

var (
	testModule = []byte("\x00asm\x01\x00\x00\x00")
	testState  = []byte("the kernel's state")
	testConfig = image.Config{
		Generation: "000102030405060708090a0b0c0d0e0f",
		Created:    time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Stasis:     "0.1.0",
		Needs:      []image.Need{{Kind: image.NeedMount, Name: "/data", Detail: "read-only"}},
		Info:       map[string]string{"program": "py"},
		Attempt:    3, Pass: 2, Processes: 1,
		Modules: []image.ModuleInfo{{Digest: hexSum(testModule), Name: "py.wasm"}},
		Limits:  map[string]int64{"memory": 1 << 30},
		Lost:    []string{"a pipe"},
	}
)

// pagesAt returns a memory of n pages, of which some are not zero.
func pagesAt(n int, at ...int) []byte {
	mem := make([]byte, n*image.PageSize)
	for _, p := range at {
		mem[p*image.PageSize+p%image.PageSize] = byte(p) | 1
	}
	return mem
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// write makes an image, or returns the first error.
func write(fsys image.FS, dir string, mems ...[]byte) error {
	d, err := image.Create(fsys, dir)
	if err != nil {
		return err
	}
	w := image.NewWriter(d.File)
	err = writeParts(w, mems)
	if err == nil {
		_, err = w.Finish(testConfig)
	}
	w.Close()
	if err != nil {
		return errors.Join(err, d.Abort())
	}
	return d.Publish()
}

func writeParts(w *image.Writer, mems [][]byte) error {
	for range 2 { // the second time does nothing
		if err := w.Module(sha256.Sum256(testModule), testModule); err != nil {
			return err
		}
	}
	for i, mem := range mems {
		if err := w.Memory(i, mem); err != nil {
			return err
		}
	}
	return w.State(testState)
}

// read opens an image and checks that it is what write made of these memories.
func read(t *testing.T, fsys image.FS, dir string, mems ...[]byte) {
	t.Helper()
	im, err := image.Open(fsys, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	if b, err := im.State(); err != nil || !bytes.Equal(b, testState) {
		t.Errorf("state: got %q, %v, want %q", b, err, testState)
	}
	if b, err := im.Module(sha256.Sum256(testModule)); err != nil || !bytes.Equal(b, testModule) {
		t.Errorf("module: got %q, %v, want %q", b, err, testModule)
	}
	if im.Memories() != len(mems) {
		t.Fatalf("got %d memories, want %d", im.Memories(), len(mems))
	}
	if err := im.Verify(); err != nil {
		t.Error(err)
	}
	for i, mem := range mems {
		got := make([]byte, im.MemorySize(i))
		if err := im.FillMemory(i, got); err != nil {
			t.Error(err)
		}
		if !bytes.Equal(got, mem) {
			t.Errorf("memory %d differs", i)
		}
	}
}

// names returns what is in a directory.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestRoundTrip(t *testing.T) {
	for _, c := range []struct {
		name string
		mems [][]byte
		want int // pages stored of memory 0
	}{
		{"no memory", nil, 0},
		{"empty memory", [][]byte{{}}, 0},
		{"one page", [][]byte{pagesAt(1, 0)}, 1},
		{"one zero page", [][]byte{pagesAt(1)}, 0},
		{"runs", [][]byte{pagesAt(200, 1, 2, 3, 7, 150, 199)}, 6},
		{"part of a chunk", [][]byte{pagesAt(17, 15, 16)}, 2},
		{"all of a chunk", [][]byte{pagesAt(16, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)}, 16},
		{"two memories", [][]byte{pagesAt(40, 39), pagesAt(2, 0, 1)}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "py")
			if err := write(image.OS, dir, c.mems...); err != nil {
				t.Fatal(err)
			}
			read(t, image.OS, dir, c.mems...)
			if got := names(t, filepath.Dir(dir)); !slices.Equal(got, []string{"py"}) {
				t.Errorf("next to the image: %q", got)
			}
			if len(c.mems) > 0 {
				wantSparse(t, filepath.Join(dir, "pages-0"), len(c.mems[0]), c.want)
			}
		})
	}
}

// wantSparse checks that a pages file has its memory's size, and blocks for
// the pages that it stores only.
func wantSparse(t *testing.T, file string, size, pages int) {
	t.Helper()
	st, err := os.Stat(file)
	if err != nil || st.Size() != int64(size) {
		t.Fatalf("%s: %v, %v, want %d bytes", file, st, err, size)
	}
	// A file system may take some blocks for its own lists.
	if got := st.Sys().(*syscall.Stat_t).Blocks * 512; got > int64(pages*image.PageSize+16<<10) {
		t.Errorf("%s takes %d bytes of the disk, want %d", file, got, pages*image.PageSize)
	}
}

// Memories are mappings, mostly untouched; outside of Go's heap, which the race
// detector would shadow.
func TestSparseGiB(t *testing.T) {
	const size = 1 << 30
	mem, got := mapping(t, size), mapping(t, size)
	at := []int{0, 8000 * image.PageSize, size - 1}
	for i, off := range at {
		mem[off] = byte(i + 1)
	}
	dir := filepath.Join(t.TempDir(), "py")
	if err := write(image.OS, dir, mem); err != nil {
		t.Fatal(err)
	}
	wantSparse(t, filepath.Join(dir, "pages-0"), size, 3)
	im, err := image.Open(image.OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	if err := im.FillMemory(0, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, mem) {
		t.Error("memory differs")
	}
}

func mapping(t *testing.T, size int) []byte {
	t.Helper()
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(b) })
	return b
}

func TestModesAndConfig(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "py")
	if err := write(image.OS, dir, pagesAt(3, 1)); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v, %v", st.Mode(), err)
	}
	for _, name := range names(t, dir) {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", name, st.Mode(), err)
		}
	}
	got, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/config.json")
	if os.Getenv("UPDATE") != "" {
		err = os.WriteFile("testdata/config.json", got, 0o644)
		want = got
	}
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("config (%v): got\n%s", err, got)
	}
}

// Whoever changes any byte of any file is found out before anything is used.
func TestEveryByteCounts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "py")
	if err := write(image.OS, dir, pagesAt(4, 2)); err != nil {
		t.Fatal(err)
	}
	for _, name := range names(t, dir) {
		path := filepath.Join(dir, name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		step := 1
		if len(b) > 4096 { // pages: all the same to sha256, and holes to Verify
			step = 1021
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(b); i += step {
			for _, flip := range []byte{0x01, 0x20, 0xff} {
				f.WriteAt([]byte{b[i] ^ flip}, int64(i))
				wantBad(t, dir, name)
			}
			f.WriteAt(b[i:i+1], int64(i))
		}
		f.Close()
	}
	read(t, image.OS, dir, pagesAt(4, 2))
}

// wantBad checks that an image is refused with an error that names a file.
func wantBad(t *testing.T, dir string, file string) {
	t.Helper()
	im, err := image.Open(image.OS, dir)
	if err == nil {
		err = im.Verify()
		im.Close()
	}
	if err == nil {
		t.Fatalf("%s: opened and verified", file)
	}
	if !errors.Is(err, image.ErrCorrupt) && !errors.Is(err, image.ErrVersion) {
		t.Fatalf("%s: %v", file, err)
	}
	if ce, ok := errors.AsType[*image.CorruptError](err); ok && file != "digest" && ce.File != file {
		t.Fatalf("%s: the error names another file: %v", file, err)
	}
}

func TestFilesMissingExtraOrOther(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "py")
	if err := write(image.OS, dir, pagesAt(4, 2)); err != nil {
		t.Fatal(err)
	}
	for _, name := range names(t, dir) {
		path, aside := filepath.Join(dir, name), filepath.Join(base, "aside")
		if err := os.Rename(path, aside); err != nil {
			t.Fatal(err)
		}
		wantBad(t, dir, name) // missing
		os.Symlink(aside, path)
		wantBad(t, dir, name)
		os.Remove(path)
		os.Mkdir(path, 0o700)
		wantBad(t, dir, name)
		os.Remove(path)

		b, _ := os.ReadFile(aside)
		for _, cut := range [][]byte{nil, b[:len(b)/2], b[:len(b)-1], append(slices.Clone(b), 'x')} {
			os.WriteFile(path, cut, 0o600)
			wantBad(t, dir, name)
		}
		os.Rename(aside, path)
	}
	for _, extra := range []string{"x", ".hidden", "pages-1"} {
		os.WriteFile(filepath.Join(dir, extra), nil, 0o600)
		wantBad(t, dir, extra)
		os.Remove(filepath.Join(dir, extra))
	}
	read(t, image.OS, dir, pagesAt(4, 2))
}

func TestTexts(t *testing.T) {
	t.Chdir(t.TempDir())
	os.Mkdir("ckpt", 0o700)
	if err := write(image.OS, "ckpt/py", pagesAt(1, 0)); err != nil {
		t.Fatal(err)
	}
	check := func(err error, want string, is error) {
		t.Helper()
		if err == nil || err.Error() != want || !errors.Is(err, is) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	_, err := image.Create(image.OS, "ckpt/py")
	check(err, "image ckpt/py: already exists", image.ErrExists)
	_, err = image.Create(image.OS, "none/py")
	check(err, "image none/py: write in none: no such file or directory", os.ErrNotExist)
	_, err = image.Open(image.OS, "ckpt/no")
	check(err, "image ckpt/no: no such file or directory", os.ErrNotExist)
	_, err = image.Open(image.OS, "ckpt")
	check(err, "image ckpt: py: not a regular file", image.ErrCorrupt)
	os.WriteFile("ckpt/py/pages-0", make([]byte, image.PageSize), 0o600)
	im, err := image.Open(image.OS, "ckpt/py")
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	err = im.FillMemory(0, make([]byte, image.PageSize))
	if !strings.HasPrefix(err.Error(), "image ckpt/py: pages-0: chunk 0: sha256 de2f2560…, want ") {
		t.Error(err)
	}
	_, err = im.Module([32]byte{1})
	check(err, "image ckpt/py: module 01"+strings.Repeat("00", 31)+": not in the image", image.ErrNoModule)
}

// A writer must not replace what took its name while it wrote, be it empty.
func TestTakenMeanwhile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "py")
	d, err := image.Create(image.OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	w := image.NewWriter(d.File)
	if err := writeParts(w, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Finish(testConfig); err != nil {
		t.Fatal(err)
	}
	os.Mkdir(dir, 0o700)
	if err := d.Publish(); !errors.Is(err, image.ErrExists) {
		t.Errorf("publish: got %v", err)
	}
	if got := names(t, filepath.Dir(dir)); !slices.Equal(got, []string{"py"}) {
		t.Errorf("left: %q", got)
	}
}

func finish(w *image.Writer, c image.Config) error {
	_, err := w.Finish(c)
	return err
}

func TestWriterMisuse(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(w *image.Writer) error
	}{
		{"wrong digest", func(w *image.Writer) error {
			w.State(nil)
			w.Module([32]byte{}, testModule)
			return finish(w, testConfig)
		}},
		{"state twice", func(w *image.Writer) error { w.State(nil); return w.State(nil) }},
		{"memory twice", func(w *image.Writer) error { w.Memory(0, nil); return w.Memory(0, nil) }},
		{"part of a page", func(w *image.Writer) error { return w.Memory(0, make([]byte, 9)) }},
		{"negative index", func(w *image.Writer) error { return w.Memory(-1, nil) }},
		{"no state", func(w *image.Writer) error { return finish(w, testConfig) }},
		{"memory left out", func(w *image.Writer) error { w.State(nil); w.Memory(1, nil); return finish(w, testConfig) }},
		{"no time", func(w *image.Writer) error { w.State(nil); return finish(w, image.Config{}) }},
		{"finished twice", func(w *image.Writer) error { w.State(nil); finish(w, testConfig); return finish(w, testConfig) }},
		{"closed", func(w *image.Writer) error { w.State(nil); w.Close(); return finish(w, testConfig) }},
		{"parent", func(w *image.Writer) error {
			w.State(nil)
			c := testConfig
			c.Parent = &image.Parent{}
			return finish(w, c)
		}},
		{"unknown feature", func(w *image.Writer) error {
			w.State(nil)
			c := testConfig
			c.Requires = []string{"journal"}
			return finish(w, c)
		}},
		{"thin with a module", func(w *image.Writer) error {
			w.State(nil)
			w.Module(sha256.Sum256(testModule), testModule)
			c := testConfig
			c.Requires, c.Modules = []string{image.FeatureThin}, nil
			return finish(w, c)
		}},
		{"config too long", func(w *image.Writer) error {
			w.State(nil)
			c := testConfig
			c.Lost = []string{strings.Repeat("x", image.MaxConfigSize)}
			return finish(w, c)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			parent := t.TempDir()
			d, err := image.Create(image.OS, filepath.Join(parent, "py"))
			if err != nil {
				t.Fatal(err)
			}
			w := image.NewWriter(d.File)
			if err := c.do(w); err == nil {
				t.Error("no error")
			}
			if finish(w, testConfig) == nil {
				t.Error("finished after an error")
			}
			if err := d.Abort(); err != nil {
				t.Error(err)
			}
			if got := names(t, parent); len(got) != 0 {
				t.Errorf("left: %q", got)
			}
		})
	}
}

// An open image is what was verified, whatever happens to its names.
func TestSwappedAfterOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "py")
	mem := pagesAt(4, 2)
	if err := write(image.OS, dir, mem); err != nil {
		t.Fatal(err)
	}
	im, err := image.Open(image.OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	os.RemoveAll(dir)
	got := make([]byte, len(mem))
	if err := im.FillMemory(0, got); err != nil || !bytes.Equal(got, mem) {
		t.Errorf("memory differs (%v)", err)
	}
	if b, err := im.State(); err != nil || !bytes.Equal(b, testState) {
		t.Errorf("state: got %q, %v", b, err)
	}
	im.Close()
	if im.FillMemory(0, got) == nil {
		t.Error("filled from a closed image")
	}
}
