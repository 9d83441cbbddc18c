package vfs

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/waiter"
)

// An OpenFile is an open file description: what the fds that were duplicated
// from one have in common. It is counted: each fd holds it, and each call in
// progress.
type OpenFile struct {
	file        File // immutable
	read, write bool // what it was opened for; immutable

	// Where it was opened, if it lies in a mount; immutable. Path is in the
	// guest's tree, and that of a directory is where paths that start there
	// go through mounts.
	ns    *Namespace
	mount *Mount
	path  string

	refs     atomic.Int64
	watchers closeWatchers
	flocked  atomic.Bool // it has a lock of flock(2)

	flags atomic.Uint32 // abi.FDFlags

	// offsetMu is held over a read or a write at the offset, so that two of
	// them do not get the same bytes. Streams do not take it.
	offsetMu sync.Mutex
	offset   int64 // of a Regular, in bytes; protected by offsetMu
}

// NewOpenFile returns an OpenFile over f with one reference, which is the
// caller's. Files of a mount come from Namespace.OpenAt; this is for pipes,
// sockets and stdio.
func NewOpenFile(f File, read, write bool, flags abi.FDFlags) *OpenFile {
	of := &OpenFile{file: f, read: read, write: write}
	of.refs.Store(1)
	of.flags.Store(uint32(flags))
	return of
}

// File returns what is behind f.
func (f *OpenFile) File() File { return f.file }

// Path returns the guest path by which f was opened, for messages; it is empty
// for what has none.
func (f *OpenFile) Path() string { return f.path }

// Namespace returns the namespace that f was opened in, or nil for what is in
// none, such as a pipe.
func (f *OpenFile) Namespace() *Namespace { return f.ns }

// CanRead reports whether f was opened for reading.
func (f *OpenFile) CanRead() bool { return f.read }

// CanWrite reports whether f was opened for writing.
func (f *OpenFile) CanWrite() bool { return f.write }

// IncRef adds a reference.
func (f *OpenFile) IncRef() {
	if f.refs.Add(1) <= 1 {
		panic("vfs: reference to a closed open file")
	}
}

// DecRef gives a reference back. The last one closes the file.
func (f *OpenFile) DecRef() {
	switch n := f.refs.Add(-1); {
	case n == 0:
		f.watchers.tell(f)
		f.dropFlock()
		f.file.Close()
	case n < 0:
		panic("vfs: open file closed twice")
	}
}

// Flags returns the status flags.
func (f *OpenFile) Flags() abi.FDFlags { return abi.FDFlags(f.flags.Load()) }

// SetFlags replaces the status flags.
func (f *OpenFile) SetFlags(flags abi.FDFlags) abi.Errno {
	if flags&^abi.FDFlagsAll != 0 {
		return abi.EINVAL
	}
	f.flags.Store(uint32(flags))
	return abi.OK
}

// Nonblock reports whether a call that would block is to return EAGAIN to the
// guest. It changes nothing here, where nothing blocks.
func (f *OpenFile) Nonblock() bool { return f.Flags()&abi.FDNonblock != 0 }

// Readiness, Register and Unregister make f a waiter.Source.
func (f *OpenFile) Readiness(mask waiter.EventMask) waiter.EventMask {
	return f.file.Readiness(mask)
}

// Register is waiter.Source's.
func (f *OpenFile) Register(e *waiter.Entry) { f.file.Register(e) }

// Unregister is waiter.Source's.
func (f *OpenFile) Unregister(e *waiter.Entry) { f.file.Unregister(e) }

// Stat returns what f is.
func (f *OpenFile) Stat() (abi.Filestat, abi.Errno) { return f.file.Stat() }

// total returns how many bytes bufs hold.
func total(bufs [][]byte) int64 {
	var n int64
	for _, b := range bufs {
		n += int64(len(b))
	}
	return n
}

// clip returns as much of bufs as fits between off and the largest offset, so
// that no file system has to think of overflow.
func clip(bufs [][]byte, off int64) [][]byte { return cutTo(bufs, math.MaxInt64-off) }

// cutTo is the first room bytes of bufs.
func cutTo(bufs [][]byte, room int64) [][]byte {
	if total(bufs) <= room {
		return bufs
	}
	var out [][]byte
	for _, b := range bufs {
		b = b[:min(int64(len(b)), room)]
		room -= int64(len(b))
		out = append(out, b)
	}
	return out
}

// Read reads at the offset and moves it; a stream gives what is there, or
// EAGAIN.
func (f *OpenFile) Read(bufs [][]byte) (int, abi.Errno) {
	if _, ok := f.file.(Directory); ok {
		return 0, abi.EISDIR
	}
	if !f.read {
		return 0, abi.EBADF
	}
	switch file := f.file.(type) {
	case Regular:
		f.offsetMu.Lock()
		defer f.offsetMu.Unlock()
		n, errno := file.ReadAt(clip(bufs, f.offset), f.offset)
		f.offset += int64(n)
		return n, errno
	case Stream:
		return file.Read(bufs)
	}
	return 0, abi.EINVAL
}

// Write writes at the offset and moves it, or at the end with FDAppend; a
// stream takes what it has room for, or gives EAGAIN.
func (f *OpenFile) Write(bufs [][]byte) (int, abi.Errno) { return f.WriteBelow(math.MaxInt64, bufs) }

// WriteBelow is Write by who may not make a file longer than limit bytes: what goes
// beyond is left out, and if that is all, it is EFBIG (RLIMIT_FSIZE). Of two that append
// at once, one may get beyond.
func (f *OpenFile) WriteBelow(limit int64, bufs [][]byte) (int, abi.Errno) {
	if _, ok := f.file.(Directory); ok {
		return 0, abi.EISDIR
	}
	if !f.write {
		return 0, abi.EBADF
	}
	switch file := f.file.(type) {
	case Regular:
		return f.writeRegular(file, limit, bufs)
	case Stream:
		return file.Write(bufs)
	}
	return 0, abi.EINVAL
}

// below cuts what is written at off to what ends before limit.
func below(limit, off int64, bufs [][]byte) ([][]byte, abi.Errno) {
	if limit == math.MaxInt64 || total(bufs) == 0 {
		return bufs, abi.OK
	}
	room := limit - off
	if room <= 0 {
		return nil, abi.EFBIG
	}
	return cutTo(bufs, room), abi.OK
}

func (f *OpenFile) writeRegular(file Regular, limit int64, bufs [][]byte) (n int, errno abi.Errno) {
	f.offsetMu.Lock()
	defer f.offsetMu.Unlock()
	at := f.offset
	if f.Flags()&abi.FDAppend != 0 && limit < math.MaxInt64 {
		st, errno := file.Stat()
		if errno != abi.OK {
			return 0, errno
		}
		at = int64(min(st.Size, math.MaxInt64))
	}
	if bufs, errno = below(limit, at, bufs); errno != abi.OK {
		return 0, errno
	}
	switch {
	case f.Flags()&abi.FDAppend != 0:
		var end int64
		if n, end, errno = file.Append(bufs); n > 0 {
			f.offset = end
		}
	case f.offset == math.MaxInt64 && total(bufs) > 0:
		return 0, abi.EFBIG
	default:
		n, errno = file.WriteAt(clip(bufs, f.offset), f.offset)
		f.offset += int64(n)
	}
	return n, f.synced(n, errno)
}

// synced does what FDSync and FDDsync promise after a write of n bytes.
func (f *OpenFile) synced(n int, errno abi.Errno) abi.Errno {
	flags := f.Flags()
	if errno != abi.OK || n == 0 || flags&(abi.FDSync|abi.FDDsync) == 0 {
		return errno
	}
	return f.Sync(flags&abi.FDSync == 0)
}

// ReadAt reads at off and leaves the offset alone.
func (f *OpenFile) ReadAt(bufs [][]byte, off uint64) (int, abi.Errno) {
	file, errno := f.regular(f.read, abi.ESPIPE)
	if errno != abi.OK {
		return 0, errno
	}
	if off > math.MaxInt64 {
		return 0, abi.EINVAL
	}
	return file.ReadAt(clip(bufs, int64(off)), int64(off))
}

// WriteAt writes at off and leaves the offset alone. It does so with FDAppend,
// too, as POSIX has it; Linux's pwrite appends then.
func (f *OpenFile) WriteAt(bufs [][]byte, off uint64) (int, abi.Errno) {
	return f.WriteAtBelow(math.MaxInt64, bufs, off)
}

// WriteAtBelow is WriteAt as WriteBelow is Write.
func (f *OpenFile) WriteAtBelow(limit int64, bufs [][]byte, off uint64) (int, abi.Errno) {
	file, errno := f.regular(f.write, abi.ESPIPE)
	if errno != abi.OK {
		return 0, errno
	}
	switch {
	case off > math.MaxInt64:
		return 0, abi.EINVAL
	case off == math.MaxInt64 && total(bufs) > 0:
		return 0, abi.EFBIG
	}
	if bufs, errno = below(limit, int64(off), bufs); errno != abi.OK {
		return 0, errno
	}
	n, errno := file.WriteAt(clip(bufs, int64(off)), int64(off))
	return n, f.synced(n, errno)
}

// regular returns the file if it has positions. Allowed is what it must have
// been opened for, and stream the errno for a file without positions.
func (f *OpenFile) regular(allowed bool, stream abi.Errno) (Regular, abi.Errno) {
	switch file := f.file.(type) {
	case Directory:
		return nil, abi.EISDIR
	case Regular:
		if !allowed {
			return nil, abi.EBADF
		}
		return file, abi.OK
	}
	return nil, stream
}
