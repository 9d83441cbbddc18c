package guests

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// A Cache is a directory of finished things: packages and modules, each in a
// directory named by its key. An entry is complete or absent: it is made aside
// and renamed. Many processes may use one; a lock file per key, held by flock
// and so let go also by a process that is killed, keeps them from doing the
// same work twice.
type Cache struct {
	Dir string
	Log func(format string, args ...any) // told of slow steps; may be nil
}

// DefaultCache is stasis/guests in XDG_CACHE_HOME, or in ~/.cache.
func DefaultCache() (*Cache, error) {
	base := os.Getenv("XDG_CACHE_HOME")
	if !filepath.IsAbs(base) {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, fmt.Errorf("guests: no place for a cache: %w", err)
		}
		base = filepath.Join(home, ".cache")
	}
	return &Cache{Dir: filepath.Join(base, "stasis", "guests")}, nil
}

func (c *Cache) log(format string, args ...any) {
	if c.Log != nil {
		c.Log(format, args...)
	}
}

// Path is the package's Path in this cache.
func (c *Cache) Path(ctx context.Context, name string) (string, error) {
	g, err := Lookup(name)
	if err != nil {
		return "", err
	}
	p, err := c.program(ctx, g.program)
	if err != nil {
		return "", fmt.Errorf("guest %s: %w", name, err)
	}
	return p, nil
}

// program returns the path of p's module.
func (c *Cache) program(ctx context.Context, p *program) (string, error) {
	tools, id, err := c.tools(ctx, p)
	if err != nil {
		return "", err
	}
	dir, err := c.entry(ctx, p.name+"-"+p.key(id), func(dir string) error {
		c.log("%s: building", p.name)
		b := &builder{cache: c, tools: tools, toolsID: id, program: p, out: filepath.Join(dir, p.name+".wasm")}
		var err error
		if b.tmp, err = os.MkdirTemp(dir, "build-"); err != nil {
			return err
		}
		defer os.RemoveAll(b.tmp)
		if err := p.build(ctx, b); err != nil {
			return err
		}
		if p.sha256 == "" {
			return nil
		}
		return checkDigest(b.out, p.sha256)
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, p.name+".wasm"), nil
}

// entry returns the directory of a key. If it is not there, fill makes its
// contents in a directory aside.
func (c *Cache) entry(ctx context.Context, key string, fill func(dir string) error) (string, error) {
	dir := filepath.Join(c.Dir, key)
	if isDir(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(ctx, dir+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if isDir(dir) { // made while we waited
		return dir, nil
	}
	aside := dir + ".new" // left by one who was killed, if it is there: we hold the lock
	if err := os.RemoveAll(aside); err != nil {
		return "", err
	}
	if err := os.Mkdir(aside, 0o755); err != nil {
		return "", err
	}
	defer os.RemoveAll(aside)
	if err := fill(aside); err != nil {
		return "", err
	}
	if err := os.Rename(aside, dir); err != nil {
		return "", err
	}
	return dir, nil
}

// lock takes a lock file, waiting for whoever holds it.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
		if err != nil {
			return nil, err
		}
		ok, err := tryLock(f)
		if ok {
			return func() { f.Close() }, nil
		}
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("lock %s: %w", path, context.Cause(ctx))
		case <-time.After(wait):
		}
	}
}

func isDir(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}

// Digest returns a file's sha256 in hex.
func Digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func checkDigest(path, want string) error {
	got, err := Digest(path)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%s: sha256 %s, want %s", filepath.Base(path), got, want)
	}
	return nil
}
