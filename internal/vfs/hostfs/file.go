package hostfs

import (
	"sync"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

// A file is an open regular file as a vfs.Regular.
type file struct {
	waiter.AlwaysReady
	fs *FS
	regular
	read, write bool // what the guest opened it for; immutable

	// Where it is, when last seen by us. Parent is a reference, nil if the
	// file has no name. Protected by fs.mu.
	parent *handle
	name   string
}

var (
	_ vfs.Regular    = (*file)(nil)
	_ vfs.Syncer     = (*file)(nil)
	_ vfs.TimeSetter = (*file)(nil)
	_ vfs.Adviser    = (*file)(nil)
)

// newFile makes a file of fd, which it takes over. A nil parent is for a file
// without a name.
func (fs *FS) newFile(parent *handle, name string, fd int, id inode, read, write bool) *file {
	f := &file{fs: fs, read: read, write: write, parent: parent, name: name}
	f.regular.fd, f.regular.id, f.appendMu = fd, id, new(sync.Mutex)
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if parent != nil {
		parent.refs++
	}
	fs.files[f] = struct{}{}
	return f
}

// Close ends it.
func (f *file) Close() {
	f.fs.mu.Lock()
	delete(f.fs.files, f)
	if f.parent != nil {
		f.parent.releaseLocked()
		f.parent = nil
	}
	f.fs.mu.Unlock()
	if f.fd >= 0 {
		unix.Close(f.fd) // not under the lock: it can write back, which takes time
	}
}

// Stat returns what the file is.
func (f *file) Stat() (abi.Filestat, abi.Errno) {
	st, err := f.stat()
	if err != nil {
		return abi.Filestat{}, errno(err)
	}
	return filestat(&st), abi.OK
}

// ReadAt reads until bufs are full or the file ends.
func (f *file) ReadAt(bufs [][]byte, off int64) (int, abi.Errno) {
	n, err := f.readAt(bufs, off)
	return n, errno(err)
}

// WriteAt writes at off.
func (f *file) WriteAt(bufs [][]byte, off int64) (int, abi.Errno) {
	n, err := f.writeAt(bufs, off)
	return n, errno(err)
}

// Append writes at the end, in one step also for other processes.
func (f *file) Append(bufs [][]byte) (int, int64, abi.Errno) {
	n, end, err := f.append(bufs)
	return n, end, errno(err)
}

// SetSize cuts or extends the file.
func (f *file) SetSize(size int64) abi.Errno { return errno(f.truncate(size)) }

// Allocate reserves room, or fails with ENOTSUP if the host's file system
// cannot.
func (f *file) Allocate(off, n int64) abi.Errno { return errno(f.allocate(off, n)) }

// Sync makes the file durable.
func (f *file) Sync(dataOnly bool) abi.Errno { return errno(f.sync(dataOnly)) }

// SetTimes sets the file's times.
func (f *file) SetTimes(t vfs.Times) abi.Errno {
	if f.fs.readOnly {
		return abi.EROFS
	}
	return errno(f.setTimes(timespecs(t)))
}

// Advise passes the advice on. It is only that: what the host makes of it is
// not the guest's concern.
func (f *file) Advise(off, n int64, a abi.Advice) abi.Errno {
	advice, ok := map[abi.Advice]int{
		abi.AdviceNormal:     unix.FADV_NORMAL,
		abi.AdviceSequential: unix.FADV_SEQUENTIAL,
		abi.AdviceRandom:     unix.FADV_RANDOM,
		abi.AdviceWillneed:   unix.FADV_WILLNEED,
		abi.AdviceDontneed:   unix.FADV_DONTNEED,
		abi.AdviceNoreuse:    unix.FADV_NOREUSE,
	}[a]
	if !ok {
		return abi.EINVAL
	}
	if f.fd >= 0 {
		unix.Fadvise(f.fd, off, n, advice)
	}
	return abi.OK
}
