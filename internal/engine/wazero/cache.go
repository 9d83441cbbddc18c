package wazero

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/stasis-run/stasis/internal/instrument"
)

// A Cache keeps rewritten modules and native code in a directory. Entries are
// written aside and renamed, so writers may run at the same time and be killed
// at any moment; an entry that is damaged is made again. Whoever can write the
// directory can run code in the processes that read it.
type Cache struct {
	dir      string
	native   wazero.CompilationCache
	readOnly bool
}

// OpenCache opens or makes a cache.
func OpenCache(dir string) (*Cache, error) {
	if err := os.MkdirAll(filepath.Join(dir, "hot"), 0o700); err != nil {
		return nil, fmt.Errorf("cache %s: %w", dir, err)
	}
	native, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil, fmt.Errorf("cache %s: %w", dir, err)
	}
	c := &Cache{dir: dir, native: native}
	c.sweep(time.Now().Add(-abandoned))
	return c, nil
}

// ReadCache opens a cache that somebody else fills. What is not in it is compiled
// and not kept.
func ReadCache(dir string) *Cache {
	native, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil { // it was filled by another version, and its directory is not ours to make
		native = wazero.NewCompilationCache()
	}
	return &Cache{dir: dir, native: native, readOnly: true}
}

// Version is the version of wazero in this program. Native code of one is no use
// to another.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == "github.com/tetratelabs/wazero" {
				for d.Replace != nil {
					d = d.Replace
				}
				return strings.TrimPrefix(d.Version, "v")
			}
		}
	}
	return "unknown" // a program that was built without modules
}

// HotForm reads the hot form of a module, named by its digest, from the cache in dir.
func HotForm(dir string, module [sha256.Size]byte, o instrument.Options) ([]byte, error) {
	b, ok := (&Cache{dir: dir}).get(hotKey(module, o))
	if !ok {
		return nil, fmt.Errorf("cache %s: the rewritten module is missing or damaged", dir)
	}
	return b, nil
}

// abandoned is how old a file aside is of which no writer is alive any more.
const abandoned = time.Hour

// sweep removes what killed writers left before a time.
func (c *Cache) sweep(before time.Time) {
	for _, pattern := range []string{filepath.Join("hot", ".tmp-*"), filepath.Join("wazero-*", "*.tmp")} {
		names, _ := filepath.Glob(filepath.Join(c.dir, pattern)) // the pattern is well formed
		for _, n := range names {
			if st, err := os.Lstat(n); err == nil && st.ModTime().Before(before) {
				_ = os.Remove(n) // next time, then
			}
		}
	}
}

// Close frees the code in memory; files stay.
func (c *Cache) Close() error { return c.native.Close(context.Background()) }

// hotKey names a rewritten module: by the original's digest and all that
// decides what the pass makes of it.
func hotKey(d [sha256.Size]byte, o instrument.Options) string {
	return fmt.Sprintf("%x-v%d-%v-%d-%s", d[:], instrument.Version, o.Counted, o.PeelLimit, runtime.GOARCH)
}

func (c *Cache) path(key string) string { return filepath.Join(c.dir, "hot", key) }

// get reads an entry: a digest, then the module.
func (c *Cache) get(key string) ([]byte, bool) {
	b, err := os.ReadFile(c.path(key))
	if err != nil || len(b) < sha256.Size {
		return nil, false
	}
	sum := sha256.Sum256(b[sha256.Size:])
	if !bytes.Equal(sum[:], b[:sha256.Size]) {
		return nil, false
	}
	return b[sha256.Size:], true
}

// put writes an entry. A cache that cannot be written costs time later and is
// no error now.
func (c *Cache) put(key string, b []byte) {
	if c.readOnly {
		return
	}
	f, err := os.CreateTemp(filepath.Join(c.dir, "hot"), ".tmp-*")
	if err != nil {
		return
	}
	sum := sha256.Sum256(b)
	_, err1 := f.Write(sum[:])
	_, err2 := f.Write(b)
	err3 := f.Close()
	if errors.Join(err1, err2, err3) != nil || os.Rename(f.Name(), c.path(key)) != nil {
		_ = os.Remove(f.Name())
	}
}

// dropNative empties the cache of native code, whose entries are named in a
// way that only wazero knows. It reports whether there was one. What others are
// writing is left to them.
func (c *Cache) dropNative() bool {
	if c.readOnly {
		return false
	}
	matches, _ := filepath.Glob(filepath.Join(c.dir, "wazero-*", "*"))
	found := false
	for _, m := range matches {
		if !strings.HasSuffix(m, ".tmp") {
			found = true
			_ = os.Remove(m)
		}
	}
	return found
}
