package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPageMap(t *testing.T) {
	for _, c := range []struct {
		name          string
		b             []byte
		pages, stored int
		want          []run
		err           string
	}{
		{"empty", nil, 0, 0, nil, ""},
		{"all zero", nil, 9, 0, nil, ""},
		{"first page", []byte{0, 1}, 9, 1, []run{{0, 1}}, ""},
		{"all pages", []byte{0, 9}, 9, 9, []run{{0, 9}}, ""},
		{"last page", []byte{8, 1}, 9, 1, []run{{8, 1}}, ""},
		{"two runs", []byte{1, 2, 3, 1}, 9, 3, []run{{1, 2}, {6, 1}}, ""},
		{"long numbers", []byte{0xc8, 1, 0xac, 2}, 500, 300, []run{{200, 300}}, ""},

		{"fewer than stored", []byte{0, 1}, 9, 2, nil, "1 pages, the pages file has 2"},
		{"more than stored", []byte{0, 1}, 9, 0, nil, "1 pages, the pages file has 0"},
		{"past the end", []byte{8, 2}, 9, 2, nil, "run 0: 2 pages, 8 after page 0, in a memory of 9"},
		{"gap past the end", []byte{0, 1, 9, 1}, 9, 2, nil, "run 1: 1 pages, 9 after page 1, in a memory of 9"},
		{"in a memory of none", []byte{0, 1}, 0, 1, nil, "run 0: 1 pages, 0 after page 0, in a memory of 0"},
		{"no pages", []byte{1, 0}, 9, 0, nil, "run 0: has no pages"},
		{"touching", []byte{0, 1, 0, 1}, 9, 2, nil, "run 1: touches the run before it, at page 1"},
		{"half a run", []byte{1}, 9, 0, nil, "run 0: truncated or overlong number"},
		{"half a number", []byte{1, 0x80}, 9, 0, nil, "run 0: truncated or overlong number"},
		{"overlong number", []byte{0x81, 0, 1}, 9, 1, nil, "run 0: truncated or overlong number"},
		{"overflow", append(bytes.Repeat([]byte{0xff}, 9), 1, 2), 9, 1, nil, "run 0: 2 pages, 18446744073709551615 after page 0, in a memory of 9"},
		{"sum overflows", append([]byte{1}, append(bytes.Repeat([]byte{0xff}, 9), 1)...), 9, 1, nil, "run 0: 18446744073709551615 pages, 1 after page 0, in a memory of 9"},
		{"beyond 64 bits", bytes.Repeat([]byte{0xff}, 16), 9, 1, nil, "run 0: truncated or overlong number"},
		{"too long", make([]byte, 40), 9, 1, nil, "40 bytes, at most 34 for 9 pages"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := decodePageMap(c.b, c.pages, c.stored)
			if text := errText(err); text != c.err {
				t.Fatalf("got error %q, want %q", text, c.err)
			}
			if err == nil && !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if err == nil && !bytes.Equal(encodePageMap(got), c.b) {
				t.Errorf("encodes to % x", encodePageMap(got))
			}
		})
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
	w, err := Create(OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	mem := make([]byte, 9*PageSize)
	mem[5*PageSize] = 1
	err = errors.Join(w.State([]byte("state")), w.Memory(0, mem), w.Module(sha256.Sum256(nil), nil),
		w.Commit(Config{Created: time.Unix(1, 0).UTC()}))
	if err != nil {
		t.Fatal(err)
	}
	im, err := Open(OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	im.Close()
	return dir, im.Config()
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
		{"later version", `"version":0`, `"version":7,"files":[]`, "image version 7, this program reads version 0"},
		{"earlier version", `"version":0`, `"version":-1`, "image version -1,"},
		{"no version", `"version":0,`, ``, "no version"},
		{"fraction", `"version":0`, `"version":0.5`, "cannot unmarshal"},
		{"id", `"id":"`, `"id":"x`, "128 bits"},
		{"created", `"created":"1970-01-01`, `"created":"0001-01-01`, ""},
		{"not a time", `"created":"1970`, `"created":"x`, "pars"},
		{"need", `"needs":[]`, `"needs":[{"kind":"root"}]`, `need 0: unknown kind "root"`},
		{"module twice", `"modules":[`, `"modules":[{"digest":"` + good.Modules[0].Digest + `"},`, "listed twice"},
		{"module that is missing", `"modules":[`, `"modules":[{"digest":"` + zero + `"},`, "no file module-" + zero},
		{"module by path", `"modules":[`, `"modules":[{"digest":"../../x"},`, "not 256 bits"},
		{"module size", `"size":0}]`, `"size":1}]`, "differs from file"},
		{"page size", `"page_size":65536`, `"page_size":4096`, "page size 4096"},
		{"memory size", `"size":589824`, `"size":589825`, "want whole pages"},
		{"memory too large", `"size":589824`, `"size":4295032832`, "at most 4294967296"},
		{"memory negative", `"size":589824`, `"size":-65536`, "want whole pages"},
		{"memory too small", `"size":589824`, `"size":0`, "pages-0: 65536 bytes, at most 0"},
		{"map past the memory", `"size":589824`, `"size":327680`, "pagemap-0: run 0: 1 pages, 5 after page 0, in a memory of 5"},
		{"pages file by path", `"pages":"pages-0"`, `"pages":"../pages-0"`, "want pages-0"},
		{"file by path", `"files":{`, `"files":{"../x":{},`, `file "../x" belongs to nothing`},
		{"state missing", `"state":{`, `"etats":{`, "no file state"},
		{"state too large", `"state":{"size":5`, `"state":{"size":1073741825`, "at most 1073741824"},
		{"state negative", `"state":{"size":5`, `"state":{"size":-5`, "state: -5 bytes"},
		{"state smaller", `"state":{"size":5`, `"state":{"size":4`, "state: 5 bytes, want 4"},
		{"sum", `"sha256":"`, `"sha256":"0`, "not 256 bits"},
		{"trailing", `{`, `{}{`, "after top-level value"},
		{"deep", `"needs":[]`, `"needs":` + strings.Repeat("[", 20000), "depth"},
		{"long", `"needs":[]`, strings.Repeat(" ", maxConfigSize) + `"needs":[]`, "at most 1048576"},
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
