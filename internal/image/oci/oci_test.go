package oci

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/stasis-run/stasis/internal/faultfs"
	"github.com/stasis-run/stasis/internal/image"
)

var (
	testModule = []byte("\x00asm\x01\x00\x00\x00")
	testState  = bytes.Repeat([]byte("the kernel's state"), 1000)
)

// pagesAt returns a memory of n pages, of which some are not zero.
func pagesAt(n int, at ...int) []byte {
	mem := make([]byte, n*image.PageSize)
	src := rand.NewChaCha8([32]byte{1})
	for _, p := range at {
		src.Read(mem[p*image.PageSize : (p+1)*image.PageSize])
	}
	return mem
}

// write makes an image in a new directory, and returns its name.
func write(t testing.TB, thin bool, mems ...[]byte) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "py")
	d, err := image.Create(image.OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	w := image.NewWriter(d.File)
	defer w.Close()
	c := image.Config{Created: time.Unix(1700000000, 0), Stasis: "test"}
	if thin {
		c.Requires = []string{image.FeatureThin}
		c.Modules = []image.ModuleInfo{{Digest: hexSum(testModule), Size: int64(len(testModule))}}
	} else if err := w.Module(sha256.Sum256(testModule), testModule); err != nil {
		t.Fatal(err)
	}
	for i, mem := range mems {
		if err := w.Memory(i, mem); err != nil {
			t.Fatal(err)
		}
	}
	err = w.State(testState)
	if err == nil {
		_, err = w.Finish(c)
	}
	if err == nil {
		err = d.Publish()
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func open(t testing.TB, dir string) *image.Image {
	t.Helper()
	im, err := image.Open(image.OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { im.Close() })
	return im
}

// same checks that two images are the same, byte for byte.
func same(t testing.TB, got, want string) {
	t.Helper()
	if err := open(t, got).Verify(); err != nil {
		t.Error(err)
	}
	if g, w := names(t, got), names(t, want); !slices.Equal(g, w) {
		t.Fatalf("files %q, want %q", g, w)
	}
	for _, name := range names(t, want) {
		g, err1 := os.ReadFile(filepath.Join(got, name))
		w, err2 := os.ReadFile(filepath.Join(want, name))
		if err1 != nil || err2 != nil || !bytes.Equal(g, w) {
			t.Errorf("%s differs (%v, %v)", name, err1, err2)
		}
	}
}

func names(t testing.TB, dir string) []string {
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
		thin bool
		mems [][]byte
	}{
		{"no memory", false, nil},
		{"thin", true, [][]byte{pagesAt(3, 1)}},
		{"empty memory", false, [][]byte{{}}},
		{"zero memory", false, [][]byte{pagesAt(40)}},
		{"pages", false, [][]byte{pagesAt(200, 0, 1, 2, 3, 7, 15, 16, 31, 100, 199)}},
		{"the same twice", false, [][]byte{pagesAt(40, 3, 39), pagesAt(40, 3, 39)}},
		{"text", false, [][]byte{bytes.Repeat([]byte("0123456789abcdef"), 3<<16)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, tmp := write(t, c.thin, c.mems...), t.TempDir()
			im := open(t, dir)
			var last, total int64
			progress := func(done, all int64) {
				if done < last || done > all || total != 0 && all != total {
					t.Errorf("progress %d of %d after %d of %d", done, all, last, total)
				}
				last, total = done, all
			}
			ended := func() {
				t.Helper()
				if last != total || total == 0 {
					t.Errorf("progress ends with %d of %d", last, total)
				}
				last, total = 0, 0
			}
			path := func(name string) string { return filepath.Join(tmp, name) }
			for _, to := range []string{"l", "l.tar"} {
				if err := Export(t.Context(), im, path(to), ExportOptions{Progress: progress}); err != nil {
					t.Fatal(err)
				}
				ended()
				got, err := Import(t.Context(), image.OS, path(to), path(to+".img"), ImportOptions{Progress: progress})
				if err != nil {
					t.Fatal(err)
				}
				ended()
				if got.Generation != im.Config().Generation {
					t.Errorf("generation %s", got.Generation)
				}
				same(t, path(to+".img"), dir)
			}
			checkLayout(t, path("l"), im)
			var stream bytes.Buffer
			if err := ExportTar(t.Context(), im, &stream, ExportOptions{TempDir: tmp}); err != nil {
				t.Fatal(err)
			}
			if b, err := os.ReadFile(path("l.tar")); err != nil || !bytes.Equal(b, stream.Bytes()) {
				t.Errorf("two exports differ (%v)", err)
			}
			if _, err := ImportTar(t.Context(), image.OS, &stream, path("s.img"), ImportOptions{}); err != nil {
				t.Fatal(err)
			}
			same(t, path("s.img"), dir)
			if got := names(t, tmp); !slices.Equal(got, []string{"l", "l.img", "l.tar", "l.tar.img", "s.img"}) {
				t.Errorf("left: %q", got)
			}
		})
	}
}

// checkLayout looks at a layout as another program would.
func checkLayout(t *testing.T, dir string, im *image.Image) {
	t.Helper()
	if got := names(t, dir); !slices.Equal(got, []string{"blobs", "index.json", "oci-layout"}) {
		t.Errorf("layout: %q", got)
	}
	for _, name := range names(t, filepath.Join(dir, sha256Dir)) {
		b, err := os.ReadFile(filepath.Join(dir, sha256Dir, name))
		if err != nil || hexSum(b) != name {
			t.Errorf("blob %s: sha256 %s, %v", name, hexSum(b), err)
		}
	}
	l := layout{&dirSource{image.OS, dir}}
	m, err := l.manifest("latest")
	if err != nil {
		t.Fatal(err)
	}
	root := im.Digest()
	if m.Config.Digest != "sha256:"+hex.EncodeToString(root[:]) || m.ArtifactType != ArtifactType {
		t.Errorf("config %+v of a %s", m.Config, m.ArtifactType)
	}
	if _, err := l.manifest("other"); !errors.Is(err, image.ErrCorrupt) {
		t.Errorf("another tag: %v", err)
	}
	z, _ := zstd.NewReader(nil)
	defer z.Close()
	for _, d := range m.Layers {
		b, err := l.bytes(d, 1<<30)
		if err == nil {
			_, err = z.DecodeAll(b, nil) // pages too: frames one after another
		}
		if err != nil {
			t.Errorf("%+v: %v", d, err)
		}
	}
}

// TestSkopeo copies a layout with a tool of others.
func TestSkopeo(t *testing.T) {
	skopeo, err := exec.LookPath("skopeo")
	if err != nil {
		t.Skip("needs skopeo (Debian: apt-get install skopeo)")
	}
	dir, tmp := write(t, false, pagesAt(100, 1, 2, 3, 50)), t.TempDir()
	path := func(name string) string { return filepath.Join(tmp, name) }
	for _, to := range []string{"a", "a.tar"} {
		if err := Export(t.Context(), open(t, dir), path(to), ExportOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ from, to string }{
		{"oci:" + path("a") + ":latest", "oci:" + path("b") + ":latest"},
		{"oci-archive:" + path("a.tar") + ":latest", "oci-archive:" + path("c.tar") + ":latest"},
	} {
		cmd := exec.CommandContext(t.Context(), skopeo, "--insecure-policy", "--tmpdir", tmp, "copy", c.from, c.to)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("skopeo copy %s %s: %v\n%s", c.from, c.to, err, out)
		}
	}
	for _, from := range []string{"b", "c.tar"} {
		if _, err := Import(t.Context(), image.OS, path(from), path(from+".img"), ImportOptions{}); err != nil {
			t.Fatal(err)
		}
		same(t, path(from+".img"), dir)
	}
	f, err := os.Open(path("c.tar")) // index.json comes after the blobs
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := ImportTar(t.Context(), image.OS, f, path("d.img"), ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	same(t, path("d.img"), dir)
}

// Whatever fails, what is made is whole or absent, and nothing is left that
// Clean does not remove.
func TestFaultAtEveryOperation(t *testing.T) {
	dir := write(t, false, pagesAt(40, 3, 39), pagesAt(2))
	im := open(t, dir)
	src := filepath.Join(t.TempDir(), "l")
	if err := errors.Join(Export(t.Context(), im, src, ExportOptions{}), Export(t.Context(), im, src+".tar", ExportOptions{})); err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func(fsys image.FS, to string) error{
		"export": func(fsys image.FS, to string) error {
			return Export(t.Context(), im, to, ExportOptions{FS: fsys})
		},
		"export.tar": func(fsys image.FS, to string) error {
			return Export(t.Context(), im, to, ExportOptions{FS: fsys})
		},
		"import": func(fsys image.FS, to string) error {
			_, err := Import(t.Context(), fsys, src, to, ImportOptions{})
			return err
		},
		"import tar": func(fsys image.FS, to string) error {
			_, err := Import(t.Context(), fsys, src+".tar", to, ImportOptions{})
			return err
		},
		"import stream": func(fsys image.FS, to string) error {
			f, err := os.Open(src + ".tar")
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = ImportTar(t.Context(), fsys, f, to, ImportOptions{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			to := "x"
			if strings.HasSuffix(name, ".tar") {
				to = "x.tar"
			}
			count := faultfs.New(image.OS, nil)
			if err := do(count, filepath.Join(t.TempDir(), to)); err != nil {
				t.Fatal(err)
			}
			if left := count.OpenFiles(); len(left) > 0 {
				t.Errorf("left open: %q", left)
			}
			for _, kind := range []faultfs.Kind{faultfs.Fail, faultfs.Full, faultfs.Kill, faultfs.PowerCut} {
				for n, op := range count.Ops() {
					if testing.Short() && n%5 != int(kind) {
						continue
					}
					fault(t, do, to, faultfs.Fault{At: n, Kind: kind}, op)
				}
			}
		})
	}
}

func fault(t *testing.T, do func(image.FS, string) error, to string, f faultfs.Fault, op string) {
	t.Helper()
	op, _, _ = strings.Cut(op, " ")
	parent := t.TempDir()
	defer os.RemoveAll(parent)
	fsys := faultfs.New(image.OS, &f)
	err := do(fsys, filepath.Join(parent, to))
	if left := fsys.OpenFiles(); len(left) > 0 {
		t.Errorf("%s at %d (%s): left open: %q", f.Kind, f.At, op, left)
	}
	there := names(t, parent)
	crash := f.Kind == faultfs.Kill || f.Kind == faultfs.PowerCut
	if crash {
		if err := image.Clean(image.OS, parent); err != nil {
			t.Error(err)
		}
		there = names(t, parent)
	}
	whole := slices.Equal(there, []string{to})
	switch {
	case len(there) > 0 && !whole:
		t.Errorf("%s at %d (%s): left %q (%v)", f.Kind, f.At, op, there, err)
	case err == nil && !whole:
		t.Errorf("%s at %d (%s): no error, and nothing made", f.Kind, f.At, op)
	case err != nil && !crash && strings.Contains(err.Error(), ".tmp-") && !strings.Contains(err.Error(), "remove "):
		t.Errorf("%s at %d (%s): names a file that nobody knows: %v", f.Kind, f.At, op, err)
	case err != nil && errors.Is(err, image.ErrCorrupt):
		t.Errorf("%s at %d (%s): a bad disk is taken for a bad image: %v", f.Kind, f.At, op, err)
	}
	if !whole {
		return
	}
	path := filepath.Join(parent, to)
	if _, err := os.Stat(filepath.Join(path, "digest")); err != nil { // a layout or a tar
		if _, err := Import(t.Context(), faultfs.New(image.OS, nil), path, path+".img", ImportOptions{}); err != nil {
			t.Errorf("%s at %d (%s): %v", f.Kind, f.At, op, err)
			return
		}
		path += ".img"
	}
	im, err := image.Open(image.OS, path)
	if err == nil {
		err = errors.Join(im.Verify(), im.Close())
	}
	if err != nil {
		t.Errorf("%s at %d (%s): %v", f.Kind, f.At, op, err)
	}
}

func TestTakenAndCancelled(t *testing.T) {
	im := open(t, write(t, false, pagesAt(100, 1, 20, 50)))
	tmp := t.TempDir()
	path := func(name string) string { return filepath.Join(tmp, name) }
	if err := Export(t.Context(), im, path("l"), ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := Export(t.Context(), im, path("l"), ExportOptions{}); !errors.Is(err, image.ErrExists) {
		t.Errorf("export to a name that is taken: %v", err)
	}
	if _, err := Import(t.Context(), image.OS, path("l"), path("l"), ImportOptions{}); !errors.Is(err, image.ErrExists) {
		t.Errorf("import to a name that is taken: %v", err)
	}
	if _, err := Import(t.Context(), image.OS, path("no"), path("x"), ImportOptions{}); !errors.Is(err, os.ErrNotExist) || errors.Is(err, image.ErrCorrupt) {
		t.Errorf("import of nothing: %v", err)
	}
	for step := int64(0); step < 3; step++ {
		ctx, cancel := context.WithCancel(t.Context())
		left := step
		stop := func(int64, int64) {
			if left--; left <= 0 {
				cancel()
			}
		}
		if step == 0 {
			cancel()
		}
		err := Export(ctx, im, path("x"), ExportOptions{Progress: stop})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("export, cancelled after step %d: %v", step, err)
		}
		left = step
		if ctx, cancel = context.WithCancel(t.Context()); step == 0 {
			cancel()
		}
		_, err = Import(ctx, image.OS, path("l"), path("x"), ImportOptions{Progress: stop})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("import, cancelled after step %d: %v", step, err)
		}
		cancel()
	}
	if got := names(t, tmp); !slices.Equal(got, []string{"l"}) {
		t.Errorf("left: %q", got)
	}
}

// An export is refused where the image is not what its root names.
func TestExportVerifies(t *testing.T) {
	for _, name := range []string{"pages-0", "state", "module-" + hexSum(testModule) + ".wasm"} {
		dir, tmp := write(t, false, pagesAt(20, 18)), t.TempDir()
		im := open(t, dir)
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		st, _ := f.Stat()
		f.WriteAt([]byte("x"), min(st.Size()-1, 18*image.PageSize+5))
		f.Close()
		err = Export(t.Context(), im, filepath.Join(tmp, "l"), ExportOptions{})
		if !errors.Is(err, image.ErrCorrupt) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if left := names(t, tmp); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	}
}

// BenchmarkExport and BenchmarkImport move 128 MiB, of which zstd can make
// half.
func BenchmarkExport(b *testing.B) { benchmark(b, true) }
func BenchmarkImport(b *testing.B) { benchmark(b, false) }

func benchmark(b *testing.B, export bool) {
	mem := make([]byte, 128<<20)
	src := rand.New(rand.NewPCG(1, 2))
	for i := range mem {
		mem[i] = byte(src.IntN(16)) // 4 bits of 8
	}
	dir := write(b, false, mem)
	im, layout := open(b, dir), filepath.Join(b.TempDir(), "l")
	if err := Export(b.Context(), im, layout, ExportOptions{}); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(mem)))
	for n := 0; b.Loop(); n++ {
		var err error
		if to := filepath.Join(b.TempDir(), "x"); export {
			err = Export(b.Context(), im, to, ExportOptions{})
		} else {
			_, err = Import(b.Context(), image.OS, layout, to, ImportOptions{})
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
