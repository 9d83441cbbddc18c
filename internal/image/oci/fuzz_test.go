package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/image"
)

// refused checks that an error says that the layout is at fault.
func refused(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, image.ErrCorrupt) && !errors.Is(err, image.ErrVersion) {
		t.Fatalf("neither corrupt nor of another version: %v", err)
	}
}

// FuzzManifest imports a layout whose index.json, manifest and config are
// hostile; the manifest is what the index names, and the config what the
// manifest names, where they name the good ones.
func FuzzManifest(f *testing.F) {
	good := newFake(f, exported(f))
	good.seal()
	m, err := json.Marshal(good.manifest)
	if err != nil {
		f.Fatal(err)
	}
	config := good.blob(&good.manifest.Config)
	f.Add(good.files[indexFile], m, config)
	f.Add([]byte(`{"schemaVersion":2,"manifests":[]}`), []byte(`{"schemaVersion":2}`), []byte(`{}`))
	f.Fuzz(func(t *testing.T, index, manifest, config []byte) {
		g := good.copy()
		rename := func(b []byte, from string, to []byte) []byte {
			g.files[sha256Dir+"/"+hexSum(to)] = to
			return bytes.ReplaceAll(b, []byte(from), []byte(hexSum(to)))
		}
		manifest = rename(manifest, strings.TrimPrefix(good.manifest.Config.Digest, "sha256:"), config)
		g.files[indexFile] = rename(index, strings.TrimPrefix(good.index.Manifests[0].Digest, "sha256:"), manifest)
		dst := filepath.Join(t.TempDir(), "x")
		if _, err := importLayout(t.Context(), image.OS, layout{g}, dst, ImportOptions{}); err != nil {
			refused(t, err)
			return
		}
		verify(t, dst)
	})
}

func verify(t *testing.T, dir string) {
	t.Helper()
	im, err := image.Open(image.OS, dir)
	if err == nil {
		err = errors.Join(im.Verify(), im.Close())
	}
	if err != nil {
		t.Error(err)
	}
}

// FuzzLayers imports a layout whose layers are hostile and have the right
// digests.
func FuzzLayers(f *testing.F) {
	good := newFake(f, exported(f))
	layer := func(title string) []byte { return good.blob(good.layer(title)) }
	f.Add(layer("state.zst"), unzst(layer("pages-0.index.zst")), layer("pages-0.zst"))
	f.Add(zst(nil), encodeFrames([]frame{{chunk: 0, length: 9}, {chunk: 2, length: 9, offset: 9}}), bytes.Repeat(zst(nil), 2))
	f.Fuzz(func(t *testing.T, state, index, pages []byte) {
		g := good.copy()
		g.put(g.layer("state.zst"), state)
		g.put(g.layer("pages-0.index.zst"), zst(index))
		g.put(g.layer("pages-0.zst"), pages)
		g.seal()
		dst := filepath.Join(t.TempDir(), "x")
		if _, err := importLayout(t.Context(), image.OS, layout{g}, dst, ImportOptions{}); err != nil {
			refused(t, err)
			return
		}
		verify(t, dst)
	})
}

// FuzzFrames checks that an index that decodes is the only one for its frames,
// and stays within its blob.
func FuzzFrames(f *testing.F) {
	f.Add(encodeFrames([]frame{{chunk: 0, length: 9}, {chunk: 2, length: 5, offset: 9}}), uint16(5), int64(14))
	f.Add(encodeFrames(nil), uint16(0), int64(0))
	f.Fuzz(func(t *testing.T, b []byte, mask uint16, blob int64) {
		var chunks []image.Chunk
		for i := range uint32(16) {
			if mask>>i&1 != 0 {
				chunks = append(chunks, image.Chunk{Index: i, Present: 1})
			}
		}
		frames, err := decodeFrames(b, chunks, blob)
		if err != nil {
			return
		}
		if got := encodeFrames(frames); !bytes.Equal(got, b) {
			t.Errorf("% x encodes to % x", b, got)
		}
		end := uint64(0)
		for _, fr := range frames {
			if fr.offset != end || fr.length == 0 || fr.length > maxFrame {
				t.Errorf("%+v after %d", fr, end)
			}
			end += uint64(fr.length)
		}
		if end != uint64(blob) {
			t.Errorf("frames end at %d of %d", end, blob)
		}
	})
}

// FuzzTar reads a hostile tar both ways: they agree on what a file holds, and
// what the one that does not unpack finds lies within the tar.
func FuzzTar(f *testing.F) {
	blob := []byte("blob")
	f.Add(tarOf(regular(layoutFile, []byte(layoutText)), regular("./"+sha256Dir+"/"+hexSum(blob), blob)))
	f.Add(sparseTar())
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		err := unpack(image.OS, bytes.NewReader(b), dir, 1<<20)
		s, err2 := newTarSource(bytes.NewReader(b), int64(len(b)))
		if err2 != nil {
			refused(t, err2)
		}
		if err != nil || err2 != nil {
			return
		}
		unpacked, err := newDirSource(image.OS, dir)
		if err != nil {
			t.Fatal(err)
		}
		for name := range s.files {
			if !isName(name) {
				t.Errorf("file %q", name)
			}
			var got [2][]byte
			for i, src := range []source{s, unpacked} {
				sec, err := src.open(name)
				if err != nil {
					t.Fatal(err)
				}
				got[i] = make([]byte, sec.size)
				if err := readFull(sec, name, got[i], 0); err != nil {
					t.Fatal(err)
				}
				sec.Close()
			}
			if !bytes.Equal(got[0], got[1]) {
				t.Errorf("%s: %q, unpacked %q", name, got[0], got[1])
			}
		}
	})
}
