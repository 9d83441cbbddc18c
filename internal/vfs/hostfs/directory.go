package hostfs

import (
	"sync"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

// A directory is an open directory as a vfs.Directory.
type directory struct {
	waiter.AlwaysReady
	dir dir // immutable

	mu   sync.Mutex
	list listing // protected by mu
}

var (
	_ vfs.Directory  = (*directory)(nil)
	_ vfs.TimeSetter = (*directory)(nil)
	_ vfs.Syncer     = (*directory)(nil)
)

// Dir returns a handle that is good while the directory is open.
func (d *directory) Dir() vfs.Dir { return &d.dir }

// Stat returns what the directory is.
func (d *directory) Stat() (abi.Filestat, abi.Errno) { return d.dir.Stat(".") }

// SetTimes sets the directory's times.
func (d *directory) SetTimes(t vfs.Times) abi.Errno { return d.dir.SetTimes(".", t) }

// Sync makes the directory's entries durable.
func (d *directory) Sync(bool) abi.Errno {
	fd, err := retry(func() (int, error) {
		return unix.Openat(d.dir.h.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return errno(err)
	}
	defer unix.Close(fd)
	return errno(again(func() error { return unix.Fsync(fd) }))
}

// Close ends it.
func (d *directory) Close() { d.dir.Close() }

// The cookies of a directory: "." has 1 as its Next, ".." has 2, and the entry
// with number n of the listing n+2.
const firstCookie = 2

// ReadDir calls emit for the entries from cookie on. The host is asked when
// cookie is 0, and after a restore: then names keep the cookies they had.
func (d *directory) ReadDir(cookie uint64, emit func(vfs.Dirent) bool) abi.Errno {
	self, e := d.Stat()
	if e != abi.OK {
		return e
	}
	d.mu.Lock()
	if cookie == 0 || d.list.byName == nil {
		if err := d.list.update(d.dir.h); err != nil {
			d.mu.Unlock()
			return errno(err)
		}
	}
	rest := d.list.after(max(cookie, firstCookie) - firstCookie)
	d.mu.Unlock()

	for i, name := range []string{".", ".."} {
		next := uint64(i + 1)
		ent := vfs.Dirent{Name: name, Filetype: abi.FiletypeDirectory, Next: next}
		if i == 0 {
			ent.Ino = self.Ino
		}
		if cookie < next && !emit(ent) {
			return abi.OK
		}
	}
	for _, ent := range rest {
		if !emit(vfs.Dirent{Name: ent.Name, Ino: ent.ino, Filetype: direntType(ent.typ), Next: ent.Num + firstCookie}) {
			return abi.OK
		}
	}
	return abi.OK
}
