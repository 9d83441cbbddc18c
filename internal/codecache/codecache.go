// Package codecache keeps compiled code: a directory for each module, made whole
// by a compile helper and renamed into place, then only read. Since an entry
// holds what was made of one module alone, whoever subverts the compiler with a
// module spoils that module's entry, and no other.
//
//	CODE/KEY/         see Key
//	CODE/.tmp-*/      being made; removed by whoever looks an hour later
//	CODE/digests/     the digests of module files, by what stat(2) says of them
package codecache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Cache is a directory of compiled code.
type Cache struct {
	dir string
	now func() time.Time // immutable; a test's own
}

// Open opens or makes the cache in dir.
func Open(dir string) (*Cache, error) {
	if err := os.MkdirAll(filepath.Join(dir, "digests"), 0o700); err != nil {
		return nil, fmt.Errorf("code cache: %w (set XDG_CACHE_HOME to a writable place)", err)
	}
	return &Cache{dir, time.Now}, nil
}

// Dir is the cache's directory.
func (c *Cache) Dir() string { return c.dir }

// A Key names an entry: a module, and what decides what is made of it.
type Key struct {
	Module  [32]byte // digest
	Pass    int      // version of the instrumentation
	Counted bool     // for tests of guests
}

func (k Key) String() string {
	counted := ""
	if k.Counted {
		counted = "-counted"
	}
	return fmt.Sprintf("%x-v%d%s-%s", k.Module[:], k.Pass, counted, runtime.GOARCH)
}

// Path is where the entry lies, if it is there.
func (c *Cache) Path(k Key) string { return filepath.Join(c.dir, k.String()) }

// Get finds an entry, and notes that it was used.
func (c *Cache) Get(k Key) (dir string, ok bool) {
	dir = c.Path(k)
	now := time.Now()
	if err := os.Chtimes(dir, now, now); err != nil {
		return "", false
	}
	return dir, true
}

const (
	tempPrefix = ".tmp-"
	abandoned  = time.Hour // how old a directory is that nobody makes any more
	maxFiles   = 16        // of an entry
)

// Fill makes an entry: fill is called with an empty directory.
func (c *Cache) Fill(ctx context.Context, k Key, fill func(ctx context.Context, dir string) error) (dir string, err error) {
	c.Sweep()
	tmp, err := os.MkdirTemp(c.dir, tempPrefix)
	if err != nil {
		return "", fmt.Errorf("code cache: %w", err)
	}
	defer os.RemoveAll(tmp) // gone if it was renamed
	if os.Getuid() == 0 {
		if err := os.Lchown(tmp, nobody, nobody); err != nil { // the helper need not be root
			return "", fmt.Errorf("code cache: %w", err)
		}
	}
	if err := fill(ctx, tmp); err != nil {
		return "", err
	}
	if err := check(tmp); err != nil {
		return "", fmt.Errorf("code cache: %w", err)
	}
	if err := writeSums(tmp); err != nil {
		return "", fmt.Errorf("code cache: %w", err)
	}
	dir = c.Path(k)
	err = unix.Renameat2(unix.AT_FDCWD, tmp, unix.AT_FDCWD, dir, unix.RENAME_NOREPLACE)
	if err != nil && !errors.Is(err, unix.EEXIST) { // somebody else was faster: the same code
		return "", fmt.Errorf("code cache: %w", err)
	}
	return dir, nil
}

// nobody is the user that a helper of root's is.
const nobody = 65534

// check refuses what a compile helper does not make, makes the rest ours, and has
// it be read.
func check(dir string) error {
	n := 0
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		n++
		switch {
		case err != nil:
			return err
		case n > maxFiles:
			return fmt.Errorf("the compiler left more than %d files", maxFiles)
		}
		return take(path, d.Name())
	})
}

// take makes a file or a directory ours, and has it be read. It may be anything:
// a link to what is not the compiler's is left alone.
func take(path, name string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) { // a symbolic link, a socket
		return fmt.Errorf("the compiler left %s, which is no file", name)
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	mode := uint32(0o644)
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		mode = 0o755 // a sandbox may be another user; the cache's directory stays closed to others
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return fmt.Errorf("the compiler left %s, which is no file", name)
	case st.Nlink != 1:
		return fmt.Errorf("the compiler left %s, which has another name", name)
	}
	return errors.Join(unix.Fchown(fd, os.Getuid(), os.Getgid()), unix.Fchmod(fd, mode))
}

// Sweep removes what helpers left that were killed.
func (c *Cache) Sweep() {
	left, _ := filepath.Glob(filepath.Join(c.dir, tempPrefix+"*")) // the pattern is well formed
	for _, dir := range left {
		if st, err := os.Lstat(dir); err == nil && time.Since(st.ModTime()) > abandoned {
			_ = os.RemoveAll(dir) // or the next one does it
		}
	}
}

// An Entry is what a cache says of an entry.
type Entry struct {
	Key  string    `json:"key"`  // the module's digest, and what decides what is made of it
	Size int64     `json:"size"` // bytes
	Used time.Time `json:"used"`
}

// List lists the entries, those used last first.
func (c *Cache) List() ([]Entry, error) {
	dirs, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, fmt.Errorf("code cache: %w", err)
	}
	var out []Entry
	for _, d := range dirs {
		if !d.IsDir() || strings.HasPrefix(d.Name(), tempPrefix) || d.Name() == "digests" {
			continue
		}
		st, err := d.Info()
		if err != nil {
			continue // removed meanwhile
		}
		out = append(out, Entry{Key: d.Name(), Size: size(filepath.Join(c.dir, d.Name())), Used: st.ModTime()})
	}
	slices.SortFunc(out, func(a, b Entry) int { return b.Used.Compare(a.Used) })
	return out, nil
}

func size(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error { // what cannot be seen counts for nothing
		if err == nil && d.Type().IsRegular() {
			if st, err := d.Info(); err == nil {
				n += st.Size()
			}
		}
		return nil
	})
	return n
}

// Prune removes entries, those used longest ago first, until the rest has at most
// limit bytes.
func (c *Cache) Prune(limit int64) (removed []Entry, err error) {
	c.Sweep()
	all, err := c.List()
	if err != nil {
		return nil, err
	}
	total := int64(0)
	for _, e := range all {
		if total += e.Size; total <= limit {
			continue
		}
		total -= e.Size
		if err := os.RemoveAll(filepath.Join(c.dir, e.Key)); err != nil {
			return removed, fmt.Errorf("code cache: %w", err)
		}
		removed = append(removed, e)
	}
	return removed, nil
}

// Digest is the SHA-256 of a module's file. A file that has not changed since
// the last time, by what stat(2) says of it, is not read again.
func (c *Cache) Digest(f *os.File) (d [32]byte, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return d, err
	}
	note := filepath.Join(c.dir, "digests", fmt.Sprintf("%x-%x-%x-%x-%x", st.Dev, st.Ino, st.Size, st.Mtim.Nano(), st.Ctim.Nano()))
	if b, err := os.ReadFile(note); err == nil && len(b) == 2*len(d) {
		if _, err := hex.Decode(d[:], b); err == nil {
			return d, nil
		}
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, st.Size)); err != nil {
		return d, err
	}
	h.Sum(d[:0])
	if c.now().Sub(time.Unix(0, max(st.Mtim.Nano(), st.Ctim.Nano()))) > settled {
		_ = os.WriteFile(note, []byte(hex.EncodeToString(d[:])), 0o600) // else it is read again
	}
	return d, nil
}

// settled is how long ago a file must have changed for its times to tell the
// next change: clocks of file systems are coarse.
const settled = 2 * time.Second
