package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// FuzzConfig decodes what anybody may have written. What is accepted must
// still be after it was written again.
func FuzzConfig(f *testing.F) {
	_, good := goodImage(f)
	js, err := json.Marshal(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(js)
	f.Add([]byte(`{"format":"stasis-image","version":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeConfig(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("neither corrupt nor of another version: %v", err)
			}
			return
		}
		again, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeConfig(again); err != nil {
			t.Errorf("%s: %v", again, err)
		}
	})
}

// FuzzPageMap checks that a page map that decodes is the only one for its
// pages, and stays within its memory.
func FuzzPageMap(f *testing.F) {
	f.Add([]byte{5, 1, 1, 6}, uint16(100), uint16(7))
	f.Add([]byte{0xc8, 1, 0xac, 2}, uint16(500), uint16(300))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, uint16(9), uint16(9))
	f.Fuzz(func(t *testing.T, b []byte, pages, stored uint16) {
		runs, err := decodePageMap(b, int(pages), int(stored))
		if err != nil {
			return
		}
		if got := encodePageMap(runs); !bytes.Equal(got, b) {
			t.Errorf("% x encodes to % x", b, got)
		}
		end, sum := 0, 0
		for _, r := range runs {
			if r.first < end || r.count < 1 {
				t.Errorf("run %v after page %d", r, end)
			}
			end, sum = r.first+r.count, sum+r.count
		}
		if end > int(pages) || sum != int(stored) {
			t.Errorf("%d pages up to %d, want %d in %d", sum, end, stored, pages)
		}
	})
}

// FuzzOpen opens an image with a consistent but hostile config and page map.
// What opens must be safe to use.
func FuzzOpen(f *testing.F) {
	dir, good := goodImage(f)
	js, err := json.Marshal(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(js, []byte{5, 1})
	f.Add([]byte(`{"format":"stasis-image","version":1}`), []byte{0, 1, 0, 1})
	f.Add([]byte(`{"format":"stasis-image","version":0}`), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, config, pageMap []byte) {
		// The page map's digest, where the config has that of the good one.
		sum, was := sha256.Sum256(pageMap), good.Files[pageMapFile(0)].SHA256
		config = bytes.ReplaceAll(config, []byte(was), []byte(hex.EncodeToString(sum[:])))
		err := errors.Join(seal(dir, config), os.WriteFile(filepath.Join(dir, pageMapFile(0)), pageMap, fileMode))
		if err != nil {
			t.Fatal(err)
		}
		im, err := Open(OS, dir)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("neither corrupt nor of another version: %v", err)
			}
			return
		}
		defer im.Close()
		for i := range im.Memories() {
			if n := im.MemorySize(i); n < 1<<24 {
				if err := im.FillMemory(i, make([]byte, n)); err != nil {
					t.Error(err)
				}
			}
		}
		if _, err := im.State(); err != nil {
			t.Error(err)
		}
	})
}
