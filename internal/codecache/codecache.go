// Package codecache keeps compiled code: a directory for each module, made whole
// by a compile helper and renamed into place, then only read, and added to (Extend).
// Since an entry holds what was made of one module alone, whoever subverts the compiler with a
// module spoils that module's entry, and no other.
//
//	CODE/KEY/         see Key; whoever loads it has a shared flock(2) on it
//	CODE/KEY/ABOUT    what the entry is, for people
//	CODE/.tmp-*/      being made or removed; gone an hour later, by whoever looks
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
	"time"

	"golang.org/x/sys/unix"
)

// A Cache is a directory of compiled code.
type Cache struct {
	dir   string
	limit int64            // bytes; 0 is none; immutable
	now   func() time.Time // immutable; a test's own
}

// Open opens or makes the cache in dir. Whoever adds an entry removes others, those
// used longest ago first, while all have more than limit bytes; 0 is no limit.
func Open(dir string, limit int64) (*Cache, error) {
	if err := os.MkdirAll(filepath.Join(dir, "digests"), 0o700); err != nil {
		return nil, fmt.Errorf("code cache: %w (set XDG_CACHE_HOME to a writable place)", err)
	}
	return &Cache{dir, max(limit, 0), time.Now}, nil
}

// Dir is the cache's directory.
func (c *Cache) Dir() string { return c.dir }

// A Key names an entry: a module, and what decides what is made of it.
type Key struct {
	Module  [32]byte // digest
	Pass    int      // version of the instrumentation
	Engine  string   // and of the engine, such as 1.2.3: neither takes code of another
	Counted bool     // for tests of guests
}

func (k Key) String() string {
	counted := ""
	if k.Counted {
		counted = "-counted"
	}
	return fmt.Sprintf("%x-v%d-%s%s-%s", k.Module[:], k.Pass, k.Engine, counted, runtime.GOARCH)
}

// Path is where the entry lies, if it is there.
func (c *Cache) Path(k Key) string { return filepath.Join(c.dir, k.String()) }

// Get finds an entry, and notes that it was used. It stays until the Use is
// released.
func (c *Cache) Get(k Key) (u *Use, ok bool) {
	u, err := c.use(k.String())
	if err != nil {
		return nil, false
	}
	now := c.now()
	if err := os.Chtimes(u.Dir, now, now); err != nil {
		u.Release()
		return nil, false
	}
	return u, true
}

const (
	tempPrefix = ".tmp-"
	abandoned  = time.Hour // how old a directory is that nobody makes any more
	maxFiles   = 16        // of an entry
)

// Fill makes an entry: fill is called with an empty directory. It stays until the
// Use is released. Others may go, to keep to the limit.
func (c *Cache) Fill(ctx context.Context, k Key, about About, fill func(ctx context.Context, dir string) error) (*Use, error) {
	c.Sweep()
	u, err := c.make(ctx, k, about, fill)
	if err != nil {
		return nil, err
	}
	if c.limit > 0 {
		_, _ = c.Prune(c.limit) // it is too large for a while, then
	}
	return u, nil
}

// make makes an entry aside and renames it.
func (c *Cache) make(ctx context.Context, k Key, about About, fill func(ctx context.Context, dir string) error) (*Use, error) {
	tmp, err := c.aside()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp) // gone if it was renamed
	if err := fill(ctx, tmp); err != nil {
		return nil, err
	}
	if err := check(tmp, maxFiles); err != nil {
		return nil, fmt.Errorf("code cache: %w", err)
	}
	about.Pass, about.Engine = k.Pass, k.Engine
	if err := errors.Join(about.write(tmp), writeSums(tmp)); err != nil {
		return nil, fmt.Errorf("code cache: %w", err)
	}
	u, err := c.publish(tmp, k.String())
	if err != nil {
		return nil, fmt.Errorf("code cache: %w", err)
	}
	return u, nil
}

// aside makes a directory for a helper to write to.
func (c *Cache) aside() (tmp string, err error) {
	if tmp, err = os.MkdirTemp(c.dir, tempPrefix); err != nil {
		return "", fmt.Errorf("code cache: %w", err)
	}
	if os.Getuid() == 0 {
		if err := os.Lchown(tmp, nobody, nobody); err != nil { // the helper need not be root
			return "", errors.Join(fmt.Errorf("code cache: %w", err), os.RemoveAll(tmp))
		}
	}
	return tmp, nil
}

// publish gives an entry its name, under a lock, so that nobody removes it before it
// is used. If somebody else was faster with the same code, theirs is used.
func (c *Cache) publish(tmp, name string) (*Use, error) {
	f, err := lock(tmp, unix.LOCK_SH)
	if err != nil {
		return nil, err
	}
	u := &Use{filepath.Join(c.dir, name), f}
	for {
		err := unix.Renameat2(unix.AT_FDCWD, tmp, unix.AT_FDCWD, u.Dir, unix.RENAME_NOREPLACE)
		if err == nil {
			return u, nil
		}
		if errors.Is(err, unix.EEXIST) {
			theirs, failed := c.use(name)
			switch {
			case failed == nil:
				u.Release()
				return theirs, nil
			case errors.Is(failed, os.ErrNotExist), errors.Is(failed, errInUse):
				continue // it is being removed this moment
			}
			err = failed
		}
		u.Release()
		return nil, err
	}
}

// nobody is the user that a helper of root's is.
const nobody = 65534

// check refuses what a compile helper does not make, makes the rest ours, and has
// it be read.
func check(dir string, most int) error {
	n := 0
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		n++
		switch {
		case err != nil:
			return err
		case n > most:
			return fmt.Errorf("the compiler left more than %d files", most)
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
