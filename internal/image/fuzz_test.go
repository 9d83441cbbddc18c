package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// refused checks that an error says that the image is at fault.
func refused(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
		t.Fatalf("neither corrupt nor of another version: %v", err)
	}
}

// FuzzConfig decodes what anybody may have written. What is accepted must
// still be after it was written again.
func FuzzConfig(f *testing.F) {
	_, good := goodImage(f)
	js, err := json.Marshal(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(js)
	f.Add(bytes.Replace(js, []byte(`"requires":[]`), []byte(`"requires":["thin"]`), 1))
	f.Add([]byte(`{"format":"stasis-image","version":1,"requires":["x"]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeConfig(b)
		if err != nil {
			refused(t, err)
			return
		}
		again, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeConfig(again); err != nil && len(again) <= MaxConfigSize {
			t.Errorf("%s: %v", again, err)
		}
		for _, name := range c.FileNames() {
			if _, ok := maxSize(name); !ok || filepath.Base(name) != name {
				t.Errorf("file %q", name)
			}
		}
	})
}

// FuzzPageMap checks that a page map that decodes is the only one for its
// pages, and stays within its memory.
func FuzzPageMap(f *testing.F) {
	f.Add(pageMap(20*PageSize, entry(0, 0x8421, 0), entry(1, 8, 1)), uint32(20), true)
	f.Add(pageMap(16*PageSize, entry(0, 0xffff, 0)), uint32(16), false)
	f.Add(pageMap(0), uint32(0), false)
	f.Fuzz(func(t *testing.T, b []byte, pages uint32, parent bool) {
		size := min(int64(pages)*PageSize, MaxMemorySize)
		chunks, err := DecodePageMap(b, size, parent)
		if err != nil {
			return
		}
		if got := encodePageMap(size, chunks); !bytes.Equal(got, b) {
			t.Errorf("% x encodes to % x", b, got)
		}
		end := int64(0)
		for _, c := range chunks {
			pages := 0
			for off, n := range c.Runs() {
				start := c.Offset() + int64(off)
				if start < end || n <= 0 || start+int64(n) > size {
					t.Errorf("%d bytes at %d, after %d, in %d", n, start, end, size)
				}
				end = start + int64(n)
				pages += n / PageSize
			}
			if pages != c.Pages() {
				t.Errorf("runs of %d pages, want %d", pages, c.Pages())
			}
		}
	})
}

// A memFile is a file in memory.
type memFile struct {
	*bytes.Reader
	io.WriterAt // nil
	name        string
	closed      *int
}

func (m *memFile) Close() error                             { *m.closed++; return nil }
func (m *memFile) Sync() error                              { return nil }
func (m *memFile) TryLock() (bool, error)                   { return true, nil }
func (m *memFile) Truncate(int64) error                     { return errors.ErrUnsupported }
func (m *memFile) NextData(off int64) (int64, int64, error) { return off, 1 << 62, nil }
func (m *memFile) Stat() (fs.FileInfo, error)               { return memInfo{m.name, m.Reader.Size()}, nil }

type memInfo struct {
	name string
	size int64
}

func (i memInfo) Name() string     { return i.name }
func (i memInfo) Size() int64      { return i.size }
func (memInfo) Mode() fs.FileMode  { return fileMode }
func (memInfo) ModTime() time.Time { return time.Time{} }
func (memInfo) IsDir() bool        { return false }
func (memInfo) Sys() any           { return nil }

// FuzzOpen opens an image whose config, page map and pages are hostile, each
// with the right digest. What opens must be safe to use.
func FuzzOpen(f *testing.F) {
	dir, good := goodImage(f)
	js, err := json.Marshal(good)
	if err != nil {
		f.Fatal(err)
	}
	fixed := make(map[string][]byte)
	for _, name := range good.FileNames() {
		if fixed[name], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(js, fixed[pageMapFile(0)], fixed[pagesFile(0)])
	f.Add(js, pageMap(9*PageSize), make([]byte, 9*PageSize))
	f.Add([]byte(`{"format":"stasis-image","version":1}`), pageMap(0), []byte{})
	f.Fuzz(func(t *testing.T, config, pm, pages []byte) {
		config = bytes.ReplaceAll(config, []byte(good.Files[pageMapFile(0)].SHA256), []byte(hexSum(pm)))
		files := maps.Clone(fixed)
		files[configFile], files[digestFile] = config, []byte(hexSum(config)+"\n")
		files[pageMapFile(0)], files[pagesFile(0)] = pm, pages
		opened, closed := 0, 0
		im, err := OpenFiles(func(name string) (File, error) {
			b, ok := files[name]
			if !ok {
				return nil, fs.ErrNotExist
			}
			opened++
			return &memFile{bytes.NewReader(b), nil, name, &closed}, nil
		})
		if err != nil {
			refused(t, err)
		} else {
			useAll(t, im)
			im.Close()
		}
		if opened != closed {
			t.Errorf("%d files opened, %d closed", opened, closed)
		}
	})
}

// useAll reads all there is to read.
func useAll(t *testing.T, im *Image) {
	for i := range im.Memories() {
		n := im.MemorySize(i)
		if n > 1<<24 {
			continue
		}
		mem := make([]byte, n)
		if err := im.FillMemory(i, mem); err != nil {
			refused(t, err)
			continue
		}
		for k := range im.Chunks(i) {
			b, err := im.ReadChunk(i, k, make([]byte, ChunkSize))
			if err != nil {
				t.Error(err)
			}
			if s := sha256.Sum256(b); s != im.Chunks(i)[k].SHA256 {
				t.Errorf("chunk %d differs", k)
			}
		}
	}
	if err := im.Verify(); err != nil {
		refused(t, err)
	}
	if _, err := im.State(); err != nil {
		refused(t, err)
	}
}
