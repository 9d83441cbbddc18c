package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// entry makes the bytes of a page map's entry, with the digest of no pages.
func entry(index uint32, present, parent uint16) []byte {
	return encodePageMap(0, []Chunk{{Index: index, Present: present, Parent: parent, SHA256: sha256.Sum256(nil)}})[pageMapHeader:]
}

// pageMap makes the bytes of a page map.
func pageMap(size int64, entries ...[]byte) []byte {
	b := encodePageMap(size, nil)
	binary.LittleEndian.PutUint32(b[12:], uint32(len(entries)))
	return append(b, slices.Concat(entries...)...)
}

// with replaces bytes of b.
func with(b []byte, off int, by ...byte) []byte {
	b = slices.Clone(b)
	copy(b[off:], by)
	return b
}

func TestPageMap(t *testing.T) {
	const size = 20 * PageSize // a chunk and a quarter
	good := pageMap(size, entry(0, 1, 0))
	for _, c := range []struct {
		name   string
		b      []byte
		parent bool
		want   int // chunks
		err    string
	}{
		{"nothing stored", pageMap(size), false, 0, ""},
		{"first page", good, false, 1, ""},
		{"last page", pageMap(size, entry(1, 8, 0)), false, 1, ""},
		{"all pages", pageMap(size, entry(0, 0xffff, 0), entry(1, 15, 0)), false, 2, ""},
		{"of a parent", pageMap(size, entry(0, 1, 2), entry(1, 0, 8)), true, 2, ""},

		{"empty", nil, false, 0, "0 bytes, at least 32"},
		{"half a header", good[:31], false, 0, "31 bytes, at least 32"},
		{"magic", with(good, 0, 'x'), false, 0, `begins with "xtasispm", want "stasispm"`},
		{"version", with(good, 8, 2), false, 0, "version 2, want 1"},
		{"reserved", with(good, 11, 1), false, 0, "reserved field 256, want 0"},
		{"memory size", with(good, 23, 0x80), false, 0, "memory size 9223372036856086528, want 1310720"},
		{"page size", with(good, 24, 1), false, 0, "page size 65537, want 65536"},
		{"pages per chunk", with(good, 28, 17), false, 0, "pages per chunk 17, want 16"},
		{"more entries than bytes", with(good, 12, 0xff, 0xff, 0xff, 0xff), false, 0, "size in bytes 72, want 171798691832"},
		{"fewer entries than bytes", with(good, 12, 0), false, 0, "size in bytes 72, want 32"},
		{"half an entry", good[:len(good)-1], false, 0, "size in bytes 71, want 72"},
		{"more entries than chunks", pageMap(size, entry(0, 1, 0), entry(1, 1, 0), entry(2, 1, 0)), false, 0, "3 entries, the memory has 2 chunks"},
		{"twice", pageMap(size, entry(0, 1, 0), entry(0, 2, 0)), false, 0, "entry 1: chunk 0 after chunk 0"},
		{"descending", pageMap(size, entry(1, 1, 0), entry(0, 1, 0)), false, 0, "entry 1: chunk 0 after chunk 1"},
		{"no pages", pageMap(size, entry(0, 0, 0)), false, 0, "entry 0: chunk 0: has no pages"},
		{"page outside", pageMap(size, entry(1, 16, 0)), false, 0, "chunk 1: pages up to byte 1376256, in a memory of 1310720"},
		{"parent's page outside", pageMap(size, entry(1, 1, 16)), true, 0, "in a memory of 1310720"},
		{"chunk outside", pageMap(size, entry(2, 1, 0)), false, 0, "chunk 2: pages up to byte 2162688"},
		{"largest chunk", pageMap(size, entry(1<<32-1, 1, 0)), false, 0, "chunk 4294967295: pages up to byte 4503599626387456"},
		{"in both", pageMap(size, entry(0, 3, 2)), true, 0, "pages 0x0002 both here and in the parent"},
		{"no parent", pageMap(size, entry(0, 1, 2)), false, 0, "pages 0x0002 of a parent, and the image has none"},
		{"digest of none", with(pageMap(size, entry(0, 0, 2)), 40, 0), true, 0, "a digest of no pages"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := DecodePageMap(c.b, size, c.parent)
			if (c.err == "") != (err == nil) || !strings.Contains(errText(err), c.err) {
				t.Fatalf("got error %v, want %q", err, c.err)
			}
			if err == nil && (len(got) != c.want || !bytes.Equal(encodePageMap(size, got), c.b)) {
				t.Errorf("got %v, which encodes to % x", got, encodePageMap(size, got))
			}
		})
	}
	if _, err := DecodePageMap(pageMap(0, entry(0, 1, 0)), 0, false); err == nil {
		t.Error("a page in a memory of none")
	}
}

func TestRuns(t *testing.T) {
	for mask, want := range map[uint16]string{
		0: "", 1: "0+1", 0x8000: "15+1", 0xffff: "0+16", 0x00f6: "1+2 4+4", 0xfffe: "1+15", 0x5555: "0+1 2+1 4+1 6+1 8+1 10+1 12+1 14+1",
	} {
		var got []string
		for off, n := range (Chunk{Present: mask}).Runs() {
			got = append(got, fmt.Sprintf("%d+%d", off/PageSize, n/PageSize))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%#04x: got %q, want %q", mask, got, want)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// goodImage makes a small image, and returns its name and config.
func goodImage(t testing.TB) (dir string, c Config) {
	dir = filepath.Join(t.TempDir(), "py")
	d, err := Create(OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	w := NewWriter(d.File)
	mem := make([]byte, 9*PageSize)
	mem[5*PageSize] = 1
	err = errors.Join(w.State([]byte("state")), w.Memory(0, mem), w.Module(sha256.Sum256(nil), nil))
	if err == nil {
		c, err = w.Finish(Config{Created: time.Unix(1, 0)})
	}
	if err == nil {
		err = d.Publish()
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir, c
}

// seal puts a config in place, and the digest that makes it consistent.
func seal(dir string, config []byte) error {
	sum := sha256.Sum256(config)
	return errors.Join(
		os.WriteFile(filepath.Join(dir, configFile), config, fileMode),
		os.WriteFile(filepath.Join(dir, digestFile), []byte(hex.EncodeToString(sum[:])+"\n"), fileMode))
}

// A config may be hostile and have the right digest all the same.
func TestHostileConfig(t *testing.T) {
	dir, good := goodImage(t)
	js, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	zero := strings.Repeat("0", 64)
	for _, c := range []struct{ name, old, new, err string }{
		{"not JSON", `{`, `[`, "invalid character"},
		{"other format", `"stasis-image"`, `"tar"`, `format "tar", want "stasis-image"`},
		{"later version", `"version":1`, `"version":7,"files":[]`, "image version 7, this program reads version 1"},
		{"draft", `"version":1`, `"version":0,"files":[]`, "image version 0 was a draft, this program reads version 1"},
		{"earlier version", `"version":1`, `"version":-1`, "image version -1,"},
		{"no version", `"version":1,`, ``, "no version"},
		{"fraction", `"version":1`, `"version":1.5`, "cannot unmarshal"},
		{"key twice", `"version":1`, `"version":1,"version":1`, `key "version" is there twice`},
		{"key in two cases", `"pass":0`, `"pass":0,"Pass":1`, `key "Pass" is there twice`},
		{"key twice below", `"page_size":`, `"size":1,"page_size":`, `key "size" is there twice`},
		{"keys of two objects", `"needs":[]`, `"needs":[{"kind":"stdio","name":"a"},{"kind":"stdio","name":"b"}]`, ""},
		{"unknown fields", `"needs":[]`, `"needs":[],"later":{"needs":["x",{"a":1}]},"Later":null`, "twice"},
		{"unknown field", `"needs":[]`, `"needs":[],"later":{"needs":["x",{"a":1}]},"version2":null`, ""},
		{"unknown feature", `"requires":[]`, `"requires":["thin","journal"],"parent":7`, `image requires "journal", which this program does not know`},
		{"feature for later", `"requires":[]`, `"requires":["parent"]`, `image requires "parent"`},
		{"feature twice", `"requires":[]`, `"requires":["thin","thin"]`, `"thin" is required twice`},
		{"features not a list", `"requires":[]`, `"requires":"thin"`, "cannot unmarshal"},
		{"thin with modules", `"requires":[]`, `"requires":["thin"]`, "is in the image, and the image is thin"},
		{"parent", `"requires":[]`, `"requires":[],"parent":{"generation":"` + zero[:32] + `","digest":"` + zero + `"}`, `a parent is named, and "parent" is not required`},
		{"generation", `"generation":"`, `"generation":"x`, "128 bits"},
		{"attempt", `"attempt":0`, `"attempt":-1`, "attempt -1"},
		{"attempt too large", `"attempt":0`, `"attempt":9223372036854775808`, "cannot unmarshal"},
		{"processes", `"processes":0`, `"processes":-1`, "processes -1"},
		{"limits", `"needs":[]`, `"needs":[],"limits":{"memory":"all"}`, "cannot unmarshal"},
		{"created", `"created":"1970-01-01`, `"created":"0001-01-01`, ""},
		{"created never", `"created":"1970-01-01T00:00:01Z`, `"created":"0001-01-01T00:00:00Z`, "no time of creation"},
		{"created elsewhere", `"created":"1970-01-01T00:00:01Z`, `"created":"1970-01-01T00:00:01+01:00`, "not in UTC"},
		{"not a time", `"created":"1970`, `"created":"x`, "pars"},
		{"need", `"needs":[]`, `"needs":[{"kind":"root"}]`, `need 0: unknown kind "root"`},
		{"module twice", `"modules":[`, `"modules":[{"digest":"` + good.Modules[0].Digest + `","size":0},`, "listed twice"},
		{"module that is missing", `"modules":[`, `"modules":[{"digest":"` + zero + `"},`, "no file module-" + zero},
		{"module by path", `"modules":[`, `"modules":[{"digest":"../../x"},`, "not 256 bits"},
		{"module size", `"size":0}]`, `"size":1}]`, "differs from file"},
		{"module size negative", `"size":0}]`, `"size":-1}]`, "-1 bytes"},
		{"module name", `"size":0}]`, `"size":0,"name":"../x"}]`, "not that of a file"},
		{"module name of a directory", `"size":0}]`, `"size":0,"name":".."}]`, "not that of a file"},
		{"module name for terminals", `"size":0}]`, `"size":0,"name":"\u001b[2J"}]`, "not that of a file"},
		{"page size", `"page_size":65536`, `"page_size":4096`, "page size 4096"},
		{"memory size", `"size":589824`, `"size":589825`, "want whole pages"},
		{"memory too large", `"size":589824`, `"size":4295032832`, "at most 4294967296"},
		{"memory of 2^63", `"size":589824`, `"size":9223372036854775808`, "cannot unmarshal"},
		{"memory of nearly 2^63", `"size":589824`, `"size":9223372036854710272`, "at most 4294967296"},
		{"memory negative", `"size":589824`, `"size":-65536`, "want whole pages"},
		{"memory too small", `"size":589824`, `"size":0`, "pagemap-0: 72 bytes, at most 32"},
		{"memory smaller", `"size":589824`, `"size":327680`, "pages-0: 589824 bytes, want 327680"},
		{"memory larger", `"size":589824`, `"size":655360`, "pages-0: 589824 bytes, want 655360"},
		{"pages file by path", `"pages":"pages-0"`, `"pages":"../pages-0"`, "want pages-0"},
		{"page map by path", `"pagemap":"pagemap-0"`, `"pagemap":"../pagemap-0"`, "want pagemap-0"},
		{"file by path", `"files":{`, `"files":{"../x":{},`, `file "../x" belongs to nothing`},
		{"pages file listed", `"files":{`, `"files":{"pages-0":{},`, `file "pages-0" belongs to nothing`},
		{"state missing", `"state":{`, `"etats":{`, "no file state"},
		{"state too large", `"state":{"size":5`, `"state":{"size":1073741825`, "at most 1073741824"},
		{"state negative", `"state":{"size":5`, `"state":{"size":-5`, "state: -5 bytes"},
		{"state smaller", `"state":{"size":5`, `"state":{"size":4`, "state: 5 bytes, want 4"},
		{"sum", `"sha256":"`, `"sha256":"0`, "not 256 bits"},
		{"trailing", `{`, `{}{`, "after top-level value"},
		{"deep", `"needs":[]`, `"needs":` + strings.Repeat("[", 20000), "depth"},
		{"long", `"needs":[]`, strings.Repeat(" ", MaxConfigSize) + `"needs":[]`, "at most 1048576"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad := strings.Replace(string(js), c.old, c.new, 1)
			if bad == string(js) {
				t.Fatalf("%s is not in %s", c.old, js)
			}
			if err := seal(dir, []byte(bad)); err != nil {
				t.Fatal(err)
			}
			im, err := Open(OS, dir)
			if c.err == "" && err == nil {
				im.Close()
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Fatalf("got %v, want %s", err, c.err)
			}
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Errorf("neither corrupt nor of another version: %v", err)
			}
		})
	}
}

// remap gives the good image another page map, consistently.
func remap(t *testing.T, dir string, c Config, pm []byte) {
	t.Helper()
	c.Files = maps.Clone(c.Files)
	c.Files[pageMapFile(0)] = FileInfo{Size: int64(len(pm)), SHA256: hexSum(pm)}
	js, err := json.Marshal(c)
	err = errors.Join(err, seal(dir, js), os.WriteFile(filepath.Join(dir, pageMapFile(0)), pm, fileMode))
	if err != nil {
		t.Fatal(err)
	}
}

// A page map has to be that of the pages file; what it leaves out is not part
// of the image, and has to be zero for Verify.
func TestHostilePages(t *testing.T) {
	dir, c := goodImage(t)
	size := c.Memories[0].Size
	page := make([]byte, PageSize)
	page[0] = 1
	chunk := Chunk{Present: 1 << 5, SHA256: sha256.Sum256(page)}
	for _, tc := range []struct {
		name         string
		pm           []byte
		fill, verify string
	}{
		{"good", encodePageMap(size, []Chunk{chunk}), "", ""},
		{"none", encodePageMap(size, nil), "", "pages-0: bytes in page 5, which is not stored"},
		{"another page", encodePageMap(size, []Chunk{{Present: 1, SHA256: chunk.SHA256}}), "pages-0: chunk 0: sha256", "pages-0: chunk 0: sha256"},
		{"zero page", encodePageMap(size, []Chunk{{Present: 1, SHA256: sha256.Sum256(make([]byte, PageSize))}}), "", "bytes in page 5"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			remap(t, dir, c, tc.pm)
			im, err := Open(OS, dir)
			if err != nil {
				t.Fatal(err)
			}
			defer im.Close()
			mem := make([]byte, size)
			if err := im.FillMemory(0, mem); (err == nil) != (tc.fill == "") || !strings.Contains(errText(err), tc.fill) {
				t.Errorf("fill: %v", err)
			}
			if tc.name == "none" && !bytes.Equal(mem, make([]byte, size)) {
				t.Error("a page that is not stored was read")
			}
			if err := im.Verify(); (err == nil) != (tc.verify == "") || !strings.Contains(errText(err), tc.verify) {
				t.Errorf("verify: %v", err)
			}
		})
	}
	for _, pm := range [][]byte{
		pageMap(size, entry(0, 1<<9, 0)), pageMap(size, entry(0, 1, 0), entry(0, 1, 0)), pageMap(size+PageSize, entry(0, 1, 0)), nil,
	} {
		remap(t, dir, c, pm)
		if _, err := Open(OS, dir); !errors.Is(err, ErrCorrupt) || !strings.Contains(errText(err), "pagemap-0: ") {
			t.Errorf("% x: %v", pm, err)
		}
	}
}

// Files that others can write to, and what is no file, are refused, with advice.
func TestUnsafe(t *testing.T) {
	dir, c := goodImage(t)
	refused := func(what, text string, is error) {
		t.Helper()
		im, err := Open(OS, dir)
		if err == nil {
			im.Close()
		}
		if !errors.Is(err, is) || !strings.Contains(errText(err), text) {
			t.Errorf("%s: got %v, want %s", what, err, text)
		}
	}
	for _, mode := range []os.FileMode{0o720, 0o702, 0o777} {
		os.Chmod(dir, mode)
		refused("directory", fmt.Sprintf(".: mode %#o lets others write to it; if you trust it: chmod go-w %s", mode, dir), ErrUnsafe)
		if _, err := OpenConfig(OS, dir); !errors.Is(err, ErrUnsafe) {
			t.Errorf("config of a directory of mode %v: %v", mode, err)
		}
	}
	os.Chmod(dir, 0o755)
	for _, name := range c.FileNames() {
		path := filepath.Join(dir, name)
		for _, mode := range []os.FileMode{0o620, 0o602} {
			os.Chmod(path, mode)
			refused(name, fmt.Sprintf("%s: mode %#o lets others write to it; if you trust it: chmod go-w %s", name, mode, path), ErrUnsafe)
		}
		os.Chmod(path, 0o644)
		if os.Geteuid() == 0 {
			os.Chown(path, 12345, 0)
			refused(name, name+": belongs to user 12345, not to you (0) or root", ErrUnsafe)
			os.Chown(path, 0, 0)
		}

		aside := filepath.Join(t.TempDir(), "aside")
		os.Rename(path, aside)
		for what, make := range map[string]func() error{
			"fifo":      func() error { return unix.Mkfifo(path, 0o600) },
			"symlink":   func() error { return os.Symlink(aside, path) },
			"directory": func() error { return os.Mkdir(path, 0o700) },
			"device":    func() error { return unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))) },
		} {
			if err := make(); err != nil {
				t.Logf("%s: %v", what, err) // a device needs root
				continue
			}
			refused(what, name+": not a regular file", ErrCorrupt)
			os.Remove(path)
		}
		loose := filepath.Join(t.TempDir(), "loose")
		b, _ := os.ReadFile(aside)
		os.WriteFile(loose, b, 0o600)
		os.Chmod(loose, 0o666)
		os.Link(loose, path)
		refused("hard link", name+": mode 0666", ErrUnsafe)
		os.Remove(path)
		os.Rename(aside, path)
	}
	im, err := Open(OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(im.Verify(), im.Close()); err != nil {
		t.Error(err)
	}
}

// What is swapped between the listing and the opening must not be waited for
// or followed.
func TestOpenRegular(t *testing.T) {
	dir := t.TempDir()
	for name, make := range map[string]func(string) error{
		"fifo":      func(p string) error { return unix.Mkfifo(p, 0o600) },
		"directory": func(p string) error { return os.Mkdir(p, 0o700) },
		"symlink":   func(p string) error { return os.Symlink("/dev/zero", p) },
	} {
		path := filepath.Join(dir, name)
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		if _, err := openRegular(OS.Open, path); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

func TestDraftNames(t *testing.T) {
	d, err := Create(OS, filepath.Join(t.TempDir(), "py"))
	if err != nil {
		t.Fatal(err)
	}
	zero := strings.Repeat("0", 64)
	for _, name := range []string{
		"", ".", "..", "x", "../x", "/x", "state/", "./state", "State", "state\x00", "pages-", "pages-256", "pages--1", "pages-01", "pages-+1",
		"pages-0x0", "pages-99999999999999999999", "pagemap-256", "module-.wasm", "module-" + zero, zero + ".wasm", "module-" + zero[1:] + ".wasm",
		"module-" + zero[1:] + "A.wasm", "module-" + zero[:62] + "/..wasm", "config.json~",
	} {
		if f, err := d.File(name); err == nil {
			f.Close()
			t.Errorf("%q was made", name)
		}
	}
	for _, name := range []string{"state", "config.json", "digest", "pages-0", "pages-255", "pagemap-255", "module-" + zero + ".wasm"} {
		f, err := d.File(name)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		if f, err := d.File(name); err == nil {
			f.Close()
			t.Errorf("%q was made twice", name)
		}
	}
	if err := d.Abort(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.File("pages-1"); err == nil {
		t.Error("a file after Abort")
	}
}

// A draft is filled by another process, which may do it wrong.
func TestHostileDraft(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(d *Draft, w *Writer) error
		err  string
	}{
		{"nothing", func(*Draft, *Writer) error { return nil }, "digest: missing"},
		{"not finished", func(d *Draft, w *Writer) error { return w.State(nil) }, "digest: missing"},
		{"no digest", func(d *Draft, w *Writer) error { return touch(d, "config.json", "{}") }, "digest: missing"},
		{"wrong digest", func(d *Draft, w *Writer) error {
			return errors.Join(touch(d, "config.json", "{}"), touch(d, "digest", strings.Repeat("0", 64)+"\n"))
		}, "config.json: sha256 44136fa3…, want 00000000…"},
		{"digest too long", func(d *Draft, w *Writer) error {
			return errors.Join(touch(d, "config.json", "{}"), touch(d, "digest", strings.Repeat("0", 66)))
		}, "digest: 66 bytes, at most 65"},
		{"no config", func(d *Draft, w *Writer) error {
			return errors.Join(touch(d, "config.json", "{}"), touch(d, "digest", hexSum([]byte("{}"))+"\n"))
		}, `config.json: format "", want "stasis-image"`},
		{"huge config", func(d *Draft, w *Writer) error {
			f, err := d.File("config.json")
			return errors.Join(err, f.Truncate(1<<40), f.Close(), touch(d, "digest", strings.Repeat("0", 64)+"\n"))
		}, "config.json: 1099511627776 bytes, at most 1048576"},
		{"more files", func(d *Draft, w *Writer) error { return errors.Join(touch(d, "pages-7", ""), finishOne(w)) }, "6 files, config.json has 5"},
		{"other size", func(d *Draft, w *Writer) error {
			err := finishOne(w)
			return errors.Join(err, os.Truncate(d.stage.Path("pages-0"), 5))
		}, "pages-0: 5 bytes, want 65536"},
		{"good", func(d *Draft, w *Writer) error { return finishOne(w) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			parent := t.TempDir()
			d, err := Create(OS, filepath.Join(parent, "py"))
			if err != nil {
				t.Fatal(err)
			}
			w := NewWriter(d.File)
			defer w.Close()
			if err := c.make(d, w); err != nil {
				t.Fatal(err)
			}
			err = d.Publish()
			if (err == nil) != (c.err == "") || !strings.Contains(errText(err), c.err) {
				t.Errorf("got %v, want %s", err, c.err)
			}
			if left, _ := os.ReadDir(parent); (len(left) == 0) != (err != nil) {
				t.Errorf("left: %v", left)
			}
		})
	}
}

func touch(d *Draft, name, text string) error {
	f, err := d.File(name)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(text), 0)
	return errors.Join(err, f.Close())
}

func finishOne(w *Writer) error {
	err := errors.Join(w.State(nil), w.Memory(0, make([]byte, PageSize)))
	_, err2 := w.Finish(Config{Created: time.Unix(1, 0)})
	return errors.Join(err, err2)
}

func TestThin(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "py")
	d, err := Create(OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	w := NewWriter(d.File)
	sum := sha256.Sum256([]byte("module"))
	err = w.State(nil)
	c, err2 := w.Finish(Config{
		Created: time.Unix(1, 0), Requires: []string{FeatureThin},
		Modules: []ModuleInfo{{Digest: hex.EncodeToString(sum[:]), Size: 6, Name: "m.wasm"}},
	})
	if err := errors.Join(err, err2, d.Publish()); err != nil {
		t.Fatal(err)
	}
	im, err := Open(OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	want := "module " + c.Modules[0].Digest + ": not in the image, which is thin"
	if _, err := im.Module(sum); !errors.Is(err, ErrNoModule) || !strings.Contains(errText(err), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := im.Verify(); err != nil {
		t.Error(err)
	}
	if got, err := OpenConfig(OS, dir); err != nil || got.Generation != c.Generation || !got.Thin() {
		t.Errorf("config: %+v, %v", got, err)
	}
}

func TestUpgrade(t *testing.T) {
	dir, c := goodImage(t)
	to := dir + "2"
	if err := Upgrade(OS, dir, to); !errors.Is(err, ErrNewest) || errText(err) != "image "+dir+": version 1 is of the newest version" {
		t.Errorf("newest: %v", err)
	}
	js, err := json.Marshal(c)
	if err := errors.Join(err, seal(dir, bytes.Replace(js, []byte(`"version":1`), []byte(`"version":0`), 1))); err != nil {
		t.Fatal(err)
	}
	if err := Upgrade(OS, dir, to); !errors.Is(err, ErrVersion) {
		t.Errorf("draft: %v", err)
	}
	if _, err := os.Lstat(to); err == nil {
		t.Error("something was written")
	}
}

// OpenFiles sees what it is handed only.
func TestOpenFiles(t *testing.T) {
	dir, c := goodImage(t)
	open, err := Opener(OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]File)
	for _, name := range c.FileNames() {
		if files[name], err = open(name); err != nil {
			t.Fatal(err)
		}
	}
	os.RemoveAll(dir)
	im, err := OpenFiles(func(name string) (File, error) {
		if f, ok := files[name]; ok {
			return f, nil
		}
		return nil, os.ErrNotExist
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := im.Verify(); err != nil {
		t.Error(err)
	}
	mem := make([]byte, 9*PageSize)
	if err := im.FillMemory(0, mem); err != nil || mem[5*PageSize] != 1 {
		t.Error(err)
	}
	if err := im.Close(); err != nil {
		t.Error(err)
	}
	if err := im.Verify(); !errors.Is(err, errClosed) {
		t.Errorf("closed: %v", err)
	}
	if _, err := OpenFiles(func(string) (File, error) { return nil, os.ErrNotExist }); !errors.Is(err, ErrCorrupt) {
		t.Errorf("no files: %v", err)
	}
}

// Whatever size a file of the image claims, opening and verifying it takes
// little memory.
func TestBoundedMemory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "py")
	d, err := Create(OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	mem, err := unix.Mmap(-1, 0, 256<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	for off := 0; off < len(mem); off += 2 * PageSize {
		mem[off] = 1
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w := NewWriter(d.File)
	err = errors.Join(w.State(nil), w.Memory(0, mem))
	_, err2 := w.Finish(Config{Created: time.Unix(1, 0)})
	if err := errors.Join(err, err2, d.Publish()); err != nil {
		t.Fatal(err)
	}
	if s := w.Stats(); s.PagesScanned != 4096 || s.PagesWritten != 2048 || s.BytesWritten < 128<<20 || s.BytesWritten > 129<<20 {
		t.Errorf("%+v", s)
	}
	im, err := Open(OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(im.Verify(), im.Close()); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 32<<20 {
		t.Errorf("%d bytes allocated", n)
	}
}
