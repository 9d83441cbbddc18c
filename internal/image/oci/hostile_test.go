package oci

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/image"
)

// A fakeLayout is a layout in memory, which a test changes and makes
// consistent again.
type fakeLayout struct {
	files    map[string][]byte
	index    index
	manifest manifest
}

// newFake reads an exported layout.
func newFake(t testing.TB, dir string) *fakeLayout {
	t.Helper()
	f := &fakeLayout{files: make(map[string][]byte)}
	for _, name := range names(t, filepath.Join(dir, sha256Dir)) {
		b, err := os.ReadFile(filepath.Join(dir, sha256Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		f.files[sha256Dir+"/"+name] = b
	}
	f.files[layoutFile] = []byte(layoutText)
	m, err := layout{&dirSource{image.OS, dir}}.manifest("")
	if err != nil {
		t.Fatal(err)
	}
	f.manifest = m
	f.index = index{SchemaVersion: 2, Manifests: []descriptor{{MediaType: manifestType}}}
	return f
}

// copy returns a layout that can be changed without f.
func (f *fakeLayout) copy() *fakeLayout {
	g := &fakeLayout{maps.Clone(f.files), f.index, f.manifest}
	g.index.Manifests = slices.Clone(f.index.Manifests)
	g.manifest.Layers = slices.Clone(f.manifest.Layers)
	for i, l := range g.manifest.Layers {
		g.manifest.Layers[i].Annotations = maps.Clone(l.Annotations)
	}
	return g
}

func (f *fakeLayout) open(name string) (*section, error) {
	b, ok := f.files[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return &section{bytes.NewReader(b), int64(len(b)), nil}, nil
}

// put adds a blob, and makes d name it.
func (f *fakeLayout) put(d *descriptor, b []byte) {
	d.Digest, d.Size = "sha256:"+hexSum(b), int64(len(b))
	f.files[sha256Dir+"/"+hexSum(b)] = b
}

// blob returns what d names.
func (f *fakeLayout) blob(d *descriptor) []byte {
	return f.files[sha256Dir+"/"+strings.TrimPrefix(d.Digest, "sha256:")]
}

func (f *fakeLayout) layer(title string) *descriptor {
	for i := range f.manifest.Layers {
		if f.manifest.Layers[i].Annotations[titleKey] == title {
			return &f.manifest.Layers[i]
		}
	}
	return new(descriptor)
}

// seal makes index.json and manifest name what they are to.
func (f *fakeLayout) seal() {
	js, err := json.Marshal(f.manifest)
	if err != nil {
		panic(err)
	}
	if len(f.index.Manifests) > 0 && f.index.Manifests[0].Digest == "" {
		f.put(&f.index.Manifests[0], js)
	}
	if f.files[indexFile] == nil {
		f.files[indexFile], _ = json.Marshal(f.index)
	}
}

// config changes the config, consistently.
func (f *fakeLayout) config(old, new string) {
	b := bytes.Replace(f.blob(&f.manifest.Config), []byte(old), []byte(new), 1)
	f.put(&f.manifest.Config, b)
}

func zst(b []byte, o ...zstd.EOption) []byte {
	z, err := zstd.NewWriter(nil, append([]zstd.EOption{zstd.WithZeroFrames(true)}, o...)...)
	if err != nil {
		panic(err)
	}
	defer z.Close()
	return z.EncodeAll(b, nil)
}

func unzst(b []byte) []byte {
	z, err := zstd.NewReader(nil)
	if err != nil {
		panic(err)
	}
	defer z.Close()
	if b, err = z.DecodeAll(b, nil); err != nil {
		panic(err)
	}
	return b
}

// exported is the layout of a small image: memory 0 has pages 3 and 39 of 40.
func exported(t testing.TB) (dir string) {
	t.Helper()
	im := open(t, write(t, false, pagesAt(40, 3, 39)))
	dir = filepath.Join(t.TempDir(), "l")
	if err := Export(t.Context(), im, dir, ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// frameTo replaces the frame of chunk n by another, consistently.
func (f *fakeLayout) frameTo(n int, by []byte) {
	pages, index := f.layer("pages-0.zst"), f.layer("pages-0.index.zst")
	b, x := f.blob(pages), unzst(f.blob(index))
	var out []byte
	off := 0
	for k := range (len(x) - indexHeader) / indexEntry {
		e := x[indexHeader+k*indexEntry:]
		length := int(binary.LittleEndian.Uint32(e[4:]))
		frame := b[off : off+length]
		off += length
		if k == n {
			frame = by
		}
		binary.LittleEndian.PutUint32(e[4:], uint32(len(frame)))
		binary.LittleEndian.PutUint64(e[8:], uint64(len(out)))
		copy(e[16:48], sum(frame))
		out = append(out, frame...)
	}
	f.put(pages, out)
	f.put(index, zst(x))
}

func sum(b []byte) []byte {
	s, err := hexBytes(hexSum(b))
	if err != nil {
		panic(err)
	}
	return s
}

func hexBytes(s string) ([]byte, error) {
	var b []byte
	_, err := fmt.Sscanf(s, "%x", &b)
	return b, err
}

// indexAt changes bytes of the index of the pages, consistently.
func (f *fakeLayout) indexAt(off int, by ...byte) {
	d := f.layer("pages-0.index.zst")
	x := unzst(f.blob(d))
	copy(x[off:], by)
	f.put(d, zst(x))
}

// A layout may be hostile and have all digests right.
func TestHostileLayout(t *testing.T) {
	good := newFake(t, exported(t))
	zero := "sha256:" + strings.Repeat("0", 64)
	bomb := make([]byte, 64<<20)
	for _, c := range []struct {
		name string
		do   func(f *fakeLayout)
		err  string
	}{
		{"good", func(f *fakeLayout) {}, ""},
		{"no oci-layout", func(f *fakeLayout) { delete(f.files, layoutFile) }, "oci-layout: missing"},
		{"other oci-layout", func(f *fakeLayout) { f.files[layoutFile] = []byte(`{"imageLayoutVersion":"2.0.0"}`) }, `version "2.0.0"`},
		{"oci-layout not JSON", func(f *fakeLayout) { f.files[layoutFile] = nil }, "oci-layout: unexpected end"},
		{"index not JSON", func(f *fakeLayout) { f.files[indexFile] = []byte("[") }, "index.json: "},
		{"index too long", func(f *fakeLayout) { f.files[indexFile] = make([]byte, maxJSON+1) }, "4194305 bytes, at most"},
		{"index deep", func(f *fakeLayout) { f.files[indexFile] = bytes.Repeat([]byte("["), 100000) }, "depth"},
		{"no manifest", func(f *fakeLayout) { f.index.Manifests = nil }, "0 manifests to choose from"},
		{"two manifests", func(f *fakeLayout) { f.index.Manifests = append(f.index.Manifests, f.index.Manifests[0]) }, "2 manifests to choose from"},
		{"nested index", func(f *fakeLayout) { f.index.Manifests[0].MediaType = indexType }, "media type"},
		{"schema", func(f *fakeLayout) { f.index.SchemaVersion = 1 }, "schema version 1"},
		{"manifest missing", func(f *fakeLayout) { f.index.Manifests[0].Digest = zero }, "blobs/sha256/" + zero[7:] + ": missing"},
		{"manifest by path", func(f *fakeLayout) { f.index.Manifests[0].Digest = "sha256:../../x" }, "no sha256"},
		{"manifest by another hash", func(f *fakeLayout) { f.index.Manifests[0].Digest = "sha512:" + zero[7:] }, "no sha256"},
		{"manifest of another size", func(f *fakeLayout) { f.seal(); f.files[indexFile] = nil; f.index.Manifests[0].Size++ }, "bytes, want"},
		{"manifest too large", func(f *fakeLayout) { f.seal(); f.files[indexFile] = nil; f.index.Manifests[0].Size = 1 << 40 }, "more than"},
		{"manifest changed", func(f *fakeLayout) {
			f.seal()
			name := sha256Dir + "/" + f.index.Manifests[0].Digest[7:]
			f.files[name] = bytes.Replace(f.files[name], []byte("state"), []byte("State"), 1)
		}, "manifest: blob: sha256 "},
		{"another artifact", func(f *fakeLayout) { f.manifest.Config.MediaType = "application/vnd.oci.image.config.v1+json" }, "config is a"},
		{"config too large", func(f *fakeLayout) { f.manifest.Config.Size = 1 << 30 }, "config: 1073741824 bytes, at most"},
		{"config negative", func(f *fakeLayout) { f.manifest.Config.Size = -1 }, "config: -1 bytes"},
		{"config changed", func(f *fakeLayout) { f.manifest.Config.Digest = f.manifest.Layers[0].Digest }, "config: blob: "},
		{"config of a later version", func(f *fakeLayout) { f.config(`"version": 1`, `"version": 2`) }, "image version 2"},
		{"config with a path", func(f *fakeLayout) { f.config(`"pages": "pages-0"`, `"pages": "../../x"`) }, "want pages-0"},
		{"unknown feature", func(f *fakeLayout) { f.config(`"requires": []`, `"requires": ["journal"]`) }, `image requires "journal"`},
		{"layers without number", func(f *fakeLayout) { f.manifest.Layers = make([]descriptor, maxLayers+1) }, "2049 layers"},
		{"layer missing", func(f *fakeLayout) { f.manifest.Layers = f.manifest.Layers[1:] }, "no layer"},
		{"pages missing", func(f *fakeLayout) {
			f.manifest.Layers = slices.DeleteFunc(f.manifest.Layers, func(d descriptor) bool { return d.MediaType == PagesType })
		}, "2 chunks, and the layer is there: false"},
		{"layer twice", func(f *fakeLayout) { f.manifest.Layers = append(f.manifest.Layers, f.manifest.Layers[0]) }, "is there twice"},
		{"layer more", func(f *fakeLayout) {
			f.manifest.Layers = append(f.manifest.Layers, descriptor{Annotations: map[string]string{titleKey: "x"}})
		}, `"x" belongs to nothing`},
		{"layer by path", func(f *fakeLayout) { f.layer("state.zst").Annotations[titleKey] = "../state.zst" }, `"../state.zst" belongs to nothing`},
		{"layer without title", func(f *fakeLayout) { f.layer("state.zst").Annotations = nil }, `"" belongs to nothing`},
		{"layer of another type", func(f *fakeLayout) { f.layer("state.zst").MediaType = ModuleType }, "state.zst: media type"},
		{"layer digest", func(f *fakeLayout) { f.layer("state.zst").Digest = "x" }, "state.zst: digest"},
		{"layer blob missing", func(f *fakeLayout) { f.layer("state.zst").Digest = zero }, zero[7:] + ": missing"},
		{"layer size 2^62", func(f *fakeLayout) { f.layer("state.zst").Size = 1 << 62 }, "state.zst: 4611686018427387904 bytes, at most"},
		{"layer size negative", func(f *fakeLayout) { f.layer("state.zst").Size = -1 }, "state.zst: -1 bytes"},
		{"pages size", func(f *fakeLayout) { f.layer("pages-0.zst").Size++ }, "frames end at byte"},
		{"layer swapped", func(f *fakeLayout) { f.put(f.layer("state.zst"), zst(bytes.Repeat([]byte{1}, len(testState)))) }, "state: sha256 "},
		{"layer not compressed", func(f *fakeLayout) { f.put(f.layer("state.zst"), []byte("state")) }, "state: invalid input"},
		{"layer empty", func(f *fakeLayout) { f.put(f.layer("state.zst"), nil) }, "state: 0 bytes, want 18000"},
		{"layer cut", func(f *fakeLayout) { d := f.layer("state.zst"); b := f.blob(d); f.put(d, b[:len(b)-1]) }, "state: unexpected EOF"},
		{"layer longer", func(f *fakeLayout) {
			d := f.layer("state.zst")
			f.put(d, append(slices.Clone(f.blob(d)), zst([]byte("x"))...))
		}, "state: more than 18000 bytes"},
		{"layer with junk", func(f *fakeLayout) {
			d := f.layer("state.zst")
			f.put(d, append(slices.Clone(f.blob(d)), "junk"...))
		}, "state: "},
		{"bomb", func(f *fakeLayout) { f.put(f.layer("state.zst"), zst(bomb)) }, "state: "},
		{"bomb in small frames", func(f *fakeLayout) { f.put(f.layer("state.zst"), bytes.Repeat(zst(make([]byte, 128<<10)), 200)) }, "state: "},
		{"wide window", func(f *fakeLayout) {
			var b bytes.Buffer
			z, _ := zstd.NewWriter(&b, zstd.WithWindowSize(64<<20))
			z.Write(testState[:100])
			z.Flush()
			z.Write(testState[100:])
			z.Close()
			f.put(f.layer("state.zst"), b.Bytes())
		}, "state: "},
		{"page map changed", func(f *fakeLayout) {
			d := f.layer("pagemap-0.zst")
			b := unzst(f.blob(d))
			b[32] ^= 1
			f.put(d, zst(b))
		}, "pagemap-0: sha256"},
		{"page map bomb", func(f *fakeLayout) { f.put(f.layer("pagemap-0.zst"), zst(make([]byte, 1<<20))) }, "pagemap-0: "},
		{"index magic", func(f *fakeLayout) { f.indexAt(0, 'x') }, "pages-0.index.zst: 112 bytes that do not begin"},
		{"index version", func(f *fakeLayout) { f.indexAt(8, 2) }, "version 2 and 0"},
		{"index entries", func(f *fakeLayout) { f.indexAt(12, 1) }, "1 entries in 112 bytes, the page map has 2"},
		{"index entries 2^32", func(f *fakeLayout) { f.indexAt(12, 255, 255, 255, 255) }, "4294967295 entries"},
		{"index chunk", func(f *fakeLayout) { f.indexAt(16, 1) }, "entry 0: chunk 1, the page map has chunk 0"},
		{"index no length", func(f *fakeLayout) { f.indexAt(20, 0, 0, 0, 0) }, "chunk 0: 0 bytes, want 1 to"},
		{"index length 2^32", func(f *fakeLayout) { f.indexAt(20, 255, 255, 255, 255) }, "chunk 0: 4294967295 bytes"},
		{"index offset", func(f *fakeLayout) { f.indexAt(24, 1) }, "chunk 0: at byte 1, the one before ends at 0"},
		{"index offset 2^64", func(f *fakeLayout) { f.indexAt(72, bytes.Repeat([]byte{255}, 8)...) }, "chunk 2: at byte 18446744073709551615"},
		{"index sum", func(f *fakeLayout) { f.indexAt(32, 0, 0, 0, 0, 0) }, "chunk 0: sha256 of the frame"},
		{"index bomb", func(f *fakeLayout) { f.put(f.layer("pages-0.index.zst"), zst(bomb[:1<<20])) }, "pages-0.index.zst: decompressed size"},
		{"index too short", func(f *fakeLayout) { f.put(f.layer("pages-0.index.zst"), zst([]byte("stasispx"))) }, "8 bytes that do not begin"},
		{"frame of other bytes", func(f *fakeLayout) { f.frameTo(0, zst(make([]byte, image.PageSize))) }, "pages-0: chunk 0: sha256"},
		{"frame too short", func(f *fakeLayout) { f.frameTo(0, zst(make([]byte, 5))) }, "pages-0: chunk 0: 5 bytes, want 65536"},
		{"frame too long", func(f *fakeLayout) { f.frameTo(0, zst(make([]byte, image.PageSize+1))) }, "pages-0: chunk 0: "},
		{"frame bomb", func(f *fakeLayout) { f.frameTo(1, zst(bomb)) }, "pages-0: chunk 2: "},
		{"frame of junk", func(f *fakeLayout) { f.frameTo(1, []byte("junk")) }, "pages-0: chunk 2: "},
		{"pages changed", func(f *fakeLayout) {
			d := *f.layer("pages-0.zst")
			b := slices.Clone(f.blob(&d))
			b[len(b)-1] ^= 1
			f.files[sha256Dir+"/"+d.Digest[7:]] = b
		}, "pages-0: chunk 2: sha256 of the frame"},
		{"pages under another digest", func(f *fakeLayout) {
			d := f.layer("pages-0.zst")
			f.files[sha256Dir+"/"+zero[7:]] = f.blob(d)
			d.Digest = zero
		}, "pages-0: blob: sha256"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := good.copy()
			c.do(f)
			f.seal()
			parent := t.TempDir()
			_, err := importLayout(t.Context(), image.OS, layout{f}, filepath.Join(parent, "x"), ImportOptions{})
			if c.err == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Fatalf("got %v, want %s", err, c.err)
			}
			if !errors.Is(err, image.ErrCorrupt) && !errors.Is(err, image.ErrVersion) {
				t.Errorf("neither corrupt nor of another version: %v", err)
			}
			if left := names(t, parent); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
		})
	}
}

// Any byte of any blob that is changed is found.
func TestEveryByteCounts(t *testing.T) {
	good := newFake(t, exported(t))
	good.seal()
	for name, b := range good.files {
		step := 1 + len(b)/50
		if name == indexFile || name == layoutFile {
			continue // no digest names them
		}
		for i := 0; i < len(b); i += step {
			f := good.copy()
			f.files[name] = slices.Clone(b)
			f.files[name][i] ^= 0x20
			parent := t.TempDir()
			if _, err := importLayout(t.Context(), image.OS, layout{f}, filepath.Join(parent, "x"), ImportOptions{}); !errors.Is(err, image.ErrCorrupt) {
				t.Errorf("byte %d of %s: %v", i, name, err)
			}
		}
	}
}

// Names of a layout that are not files are neither followed nor waited for.
func TestHostileDirectory(t *testing.T) {
	src := exported(t)
	state := newFake(t, src).layer("state.zst").Digest[7:]
	for _, name := range []string{layoutFile, indexFile, sha256Dir + "/" + state, sha256Dir, blobsDir} {
		for what, make := range map[string]func(path, aside string) error{
			"fifo":    func(p, _ string) error { return unix.Mkfifo(p, 0o600) },
			"symlink": func(p, aside string) error { return os.Symlink(aside, p) },
			"nothing": func(string, string) error { return nil },
			"the other kind": func(p, aside string) error {
				if st, err := os.Stat(aside); err != nil || st.IsDir() {
					return errors.Join(err, os.WriteFile(p, nil, 0o600))
				}
				return os.Mkdir(p, 0o700)
			},
		} {
			path, aside := filepath.Join(src, name), filepath.Join(t.TempDir(), "aside")
			if err := errors.Join(os.Rename(path, aside), make(path, aside)); err != nil {
				t.Fatal(err)
			}
			dst := filepath.Join(t.TempDir(), "x")
			if c, err := Import(t.Context(), image.OS, src, dst, ImportOptions{}); err == nil {
				t.Errorf("%s as %s: taken: %+v", name, what, c)
			}
			if err := errors.Join(os.RemoveAll(path), os.Rename(aside, path)); err != nil {
				t.Fatal(err)
			}
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	os.Symlink(src, link)
	if _, err := Import(t.Context(), image.OS, link, link+".img", ImportOptions{}); err == nil {
		t.Error("a link to a layout is taken")
	}
	if _, err := Import(t.Context(), image.OS, src, link+".img", ImportOptions{}); err != nil {
		t.Error(err)
	}
}

// A tarEntry is one that a test puts into a tar.
type tarEntry struct {
	h    tar.Header
	body []byte
}

func tarOf(entries ...tarEntry) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		if e.h.Size == 0 {
			e.h.Size = int64(len(e.body))
		}
		if err := w.WriteHeader(&e.h); err != nil {
			panic(err)
		}
		w.Write(e.body)
	}
	w.Flush()
	if err := w.Close(); err != nil && !strings.Contains(err.Error(), "missed writing") {
		panic(err)
	}
	return b.Bytes()
}

func regular(name string, body []byte) tarEntry {
	return tarEntry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600}, body}
}

// Both ways to read a tar refuse what is no layout, and write nothing outside.
func TestHostileTar(t *testing.T) {
	f := newFake(t, exported(t))
	f.seal()
	var good []tarEntry
	for name, b := range f.files { // in any order
		good = append(good, regular(name, b))
	}
	with := func(more ...tarEntry) []byte { return tarOf(slices.Concat(more, good)...) }
	typed := func(flag byte, name, link string) tarEntry {
		return tarEntry{tar.Header{Typeflag: flag, Name: name, Linkname: link, ModTime: time.Unix(1, 0)}, nil}
	}
	many := make([]tarEntry, maxEntries+1)
	for i := range many {
		many[i] = typed(tar.TypeDir, "blobs/", "")
	}
	huge := regular(sha256Dir+"/"+strings.Repeat("0", 64), nil)
	huge.h.Size = 1 << 50
	all := with()
	for _, c := range []struct {
		name string
		b    []byte
		err  string
	}{
		{"good", all, ""},
		{"with directories", with(typed(tar.TypeDir, "./", ""), typed(tar.TypeDir, "blobs/", ""), typed(tar.TypeDir, "./blobs/sha256/", "")), ""},
		{"nothing", nil, "oci-layout: missing"},
		{"junk", bytes.Repeat([]byte("junk"), 1000), "tar: "},
		{"cut", all[:len(all)/2], ""},
		{"above", with(regular("../x", nil)), `"../x" is no file of a layout`},
		{"absolute", with(regular("/x", nil)), `"/x" is no file`},
		{"blob above", with(regular("blobs/sha256/../../../x", nil)), "is no file"},
		{"dots", with(regular("././index.json", nil)), "is no file"},
		{"other file", with(regular("manifest.json", nil)), "is no file"},
		{"other directory", with(typed(tar.TypeDir, "../", "")), "is not a plain file"},
		{"blob of another name", with(regular("blobs/sha256/x", nil)), "is no file"},
		{"upper case", with(regular("blobs/sha256/"+strings.Repeat("A", 64), nil)), "is no file"},
		{"symlink", with(typed(tar.TypeSymlink, "blobs", "/etc")), `"blobs" is not a plain file`},
		{"symlink for a blob", with(typed(tar.TypeSymlink, sha256Dir+"/"+strings.Repeat("0", 64), "/etc/passwd")), "is not a plain file"},
		{"link", with(typed(tar.TypeLink, indexFile, layoutFile)), "is not a plain file"},
		{"fifo", with(typed(tar.TypeFifo, indexFile, "")), "is not a plain file"},
		{"device", with(typed(tar.TypeChar, indexFile, "")), "is not a plain file"},
		{"twice", with(good[0]), "is there twice"},
		{"twice by another name", with(regular("./"+good[0].h.Name, good[0].body)), "is there twice"},
		{"many", with(many...), "more than 2064 entries"},
		{"huge", tarOf(huge), "1125899906842624 bytes, at most"},
		{"longer than the tar", tarOf(regular(indexFile, make([]byte, 5000)))[:3000], "tar: "},
		{"blob under another digest", with(regular(sha256Dir+"/"+strings.Repeat("0", 64), []byte("x"))), "blob: sha256 2d711642…, want sha256:00000000…"},
		{"sparse", sparseTar(), "is not a plain file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			parent := t.TempDir()
			file := filepath.Join(parent, "l.tar")
			if err := os.WriteFile(file, c.b, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err1 := ImportTar(t.Context(), image.OS, bytes.NewReader(c.b), filepath.Join(parent, "a"), ImportOptions{MaxTar: 1 << 30})
			_, err2 := Import(t.Context(), image.OS, file, filepath.Join(parent, "b"), ImportOptions{})
			if c.name == "blob under another digest" && err2 == nil {
				err2 = err1 // a file that nothing names is not looked at there
				os.RemoveAll(filepath.Join(parent, "b"))
			}
			for _, err := range []error{err1, err2} {
				if wantErr := c.err != "" || c.name == "cut"; wantErr != (err != nil) || err != nil && !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v, want %q", err, c.err)
				} else if err != nil && !errors.Is(err, image.ErrCorrupt) {
					t.Errorf("not corrupt: %v", err)
				}
			}
			for _, name := range names(t, parent) {
				if name != "l.tar" && (c.err != "" || name != "a" && name != "b") {
					t.Errorf("left: %q", name)
				}
			}
		})
	}
	_, err := ImportTar(t.Context(), image.OS, bytes.NewReader(all), filepath.Join(t.TempDir(), "a"), ImportOptions{MaxTar: 1000})
	if err == nil || !strings.Contains(err.Error(), "goes beyond the limit") {
		t.Errorf("a limit of 1000 bytes: %v", err)
	}
}

// sparseTar is a tar of one file whose bytes are not those in the tar.
func sparseTar() []byte {
	body := make([]byte, 512+1)
	copy(body, "1\n0\n1\n") // one stretch, of one byte at 0
	e := regular(sha256Dir+"/"+strings.Repeat("0", 64), body)
	e.h.Format = tar.FormatPAX
	e.h.PAXRecords = map[string]string{"XXX.sparse.major": "1", "XXX.sparse.minor": "0", "XXX.sparse.realsize": "1000"}
	return bytes.ReplaceAll(tarOf(e), []byte("XXX.sparse"), []byte("GNU.sparse")) // package tar does not write these
}
