package vfs

import (
	"math"

	"github.com/stasis-run/stasis/internal/abi"
)

// Lseek moves the offset and returns the new one. Before the start gives
// EINVAL, and leaves it alone; beyond the end is allowed. A directory gives
// EISDIR, a stream ESPIPE.
func (f *OpenFile) Lseek(off int64, whence abi.Whence) (int64, abi.Errno) {
	if s, ok := f.file.(Seeker); ok {
		return s.Lseek(off, whence)
	}
	if _, errno := f.regular(true, abi.ESPIPE); errno != abi.OK {
		return 0, errno
	}
	f.offsetMu.Lock()
	defer f.offsetMu.Unlock()
	var from int64
	switch whence {
	case abi.SeekSet:
	case abi.SeekCur:
		from = f.offset
	case abi.SeekEnd:
		st, errno := f.file.Stat()
		if errno != abi.OK {
			return 0, errno
		}
		from = int64(st.Size)
	default:
		return 0, abi.EINVAL
	}
	switch {
	case off > math.MaxInt64-from:
		return 0, abi.EOVERFLOW
	case from+off < 0:
		return 0, abi.EINVAL
	}
	f.offset = from + off
	return f.offset, abi.OK
}

// SetSize cuts or extends the file. It needs one that was opened for writing:
// EINVAL, as ftruncate has it.
func (f *OpenFile) SetSize(size uint64) abi.Errno {
	file, errno := f.regular(true, abi.EINVAL)
	switch {
	case errno != abi.OK:
		return errno
	case !f.write:
		return abi.EINVAL
	case size > math.MaxInt64:
		return abi.EFBIG
	}
	return file.SetSize(int64(size))
}

// Allocate makes sure that n bytes at off can be written.
func (f *OpenFile) Allocate(off, n uint64) abi.Errno {
	file, errno := f.regular(f.write, abi.ESPIPE)
	switch {
	case errno != abi.OK:
		return errno
	case n == 0:
		return abi.EINVAL
	case off > math.MaxInt64 || n > math.MaxInt64-off:
		return abi.EFBIG
	}
	return file.Allocate(int64(off), int64(n))
}

// Advise tells what use of the file to expect. Only its arguments can be
// wrong.
func (f *OpenFile) Advise(off, n uint64, a abi.Advice) abi.Errno {
	if a > abi.AdviceNoreuse || off > math.MaxInt64 || n > math.MaxInt64-off {
		return abi.EINVAL
	}
	switch file := f.file.(type) {
	case Directory:
		return abi.OK
	case Adviser:
		return file.Advise(int64(off), int64(n), a)
	case Regular:
		return abi.OK
	}
	return abi.ESPIPE
}

// Sync makes the file durable; with dataOnly not what it does not take to read
// the data.
func (f *OpenFile) Sync(dataOnly bool) abi.Errno {
	switch file := f.file.(type) {
	case Syncer:
		return file.Sync(dataOnly)
	case Regular, Directory:
		return abi.OK
	}
	return abi.EINVAL
}

// SetTimes sets the times; see Namespace.SetTimesAt.
func (f *OpenFile) SetTimes(atim, mtim uint64, flags abi.FstFlags) abi.Errno {
	file, ok := f.file.(TimeSetter)
	if !ok || f.ns == nil {
		return abi.EBADF
	}
	t, errno := resolveTimes(f.ns.now(), atim, mtim, flags)
	switch {
	case errno != abi.OK:
		return errno
	case f.mount.ReadOnly:
		return abi.EROFS
	}
	return file.SetTimes(t)
}

// ReadDir lists the directory from cookie on; see Directory. ENOTDIR if it is
// none.
func (f *OpenFile) ReadDir(cookie uint64, emit func(Dirent) bool) abi.Errno {
	d, ok := f.file.(Directory)
	if !ok {
		return abi.ENOTDIR
	}
	return d.ReadDir(cookie, emit)
}

// Accept takes a connection off a listening socket, or gives EAGAIN. The
// caller owns the result.
func (f *OpenFile) Accept(flags abi.FDFlags) (*OpenFile, abi.Errno) {
	l, ok := f.file.(Listener)
	switch {
	case flags&^abi.FDFlagsAll != 0:
		return nil, abi.EINVAL
	case !ok:
		if _, ok := f.file.(Socket); ok {
			return nil, abi.EINVAL
		}
		return nil, abi.ENOTSOCK
	}
	c, errno := l.Accept()
	if errno != abi.OK {
		return nil, errno
	}
	return NewOpenFile(c, true, true, flags), abi.OK
}

// Socket returns the connected socket behind f: ENOTCONN if it listens,
// ENOTSOCK if it is none.
func (f *OpenFile) Socket() (Socket, abi.Errno) {
	switch file := f.file.(type) {
	case Socket:
		return file, abi.OK
	case Listener:
		return nil, abi.ENOTCONN
	}
	return nil, abi.ENOTSOCK
}

// Buffered returns how many bytes wait to be read, for FIONREAD and
// poll_oneoff; false if the file does not know.
func (f *OpenFile) Buffered() (int, bool) {
	if b, ok := f.file.(Buffered); ok {
		return b.Buffered(), true
	}
	return 0, false
}

// Rights returns the rights that an fd on f can have, by what it is. A stream
// has those of its directions.
func (f *OpenFile) Rights() (base, inheriting abi.Rights) {
	switch f.file.(type) {
	case Directory:
		return abi.RightsDir, abi.RightsDirInheriting
	case Regular:
		base = abi.RightsFile
	case Seeker:
		base = abi.RightsStream | abi.RightFDSeek | abi.RightFDTell
	case Socket:
		base = abi.RightsSocket
	case Listener:
		return abi.RightsListener, abi.RightsSocket
	default:
		base = abi.RightsStream
	}
	if !f.read {
		base &^= abi.RightFDRead
	}
	if !f.write {
		base &^= abi.RightFDWrite | abi.RightFDAllocate | abi.RightFDFilestatSetSize
	}
	return base, 0
}
