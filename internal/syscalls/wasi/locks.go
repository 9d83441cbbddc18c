package wasi

import (
	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/vfs"
)

// Operations of file_lock, those of flock(2).
const (
	lockShared    = 1
	lockExclusive = 2
	lockNonBlock  = 4
	lockUnlock    = 8
)

// fileLock is flock(2).
func fileLock(c *call) abi.Errno {
	var typ vfs.LockType
	switch c.u32(1) &^ lockNonBlock {
	case lockShared:
		typ = vfs.ReadLock
	case lockExclusive:
		typ = vfs.WriteLock
	case lockUnlock:
	default:
		return abi.EINVAL
	}
	return c.with(0, func(f *vfs.OpenFile) abi.Errno {
		return c.lock(c.u32(1)&lockNonBlock == 0,
			func() abi.Errno { return f.Flock(typ) },
			func() (*vfs.LockWait, abi.Errno) { return f.FlockWait(typ) })
	})
}

// lock tries to lock until it does not have to wait.
func (c *call) lock(wait bool, try func() abi.Errno, queue func() (*vfs.LockWait, abi.Errno)) abi.Errno {
	for {
		errno := try()
		if errno != abi.EAGAIN || !wait {
			return errno
		}
		w, errno := queue()
		if errno != abi.OK {
			return errno
		}
		got := c.t.Block(kernel.Never, w.Ready, w)
		w.Close()
		switch got {
		case kernel.Interrupted:
			return errRestart
		case kernel.Signalled:
			return abi.EINTR
		}
	}
}

// Commands of record_lock, those of fcntl(2).
const (
	recordGet = iota
	recordSet
	recordSetWait
)

// flockSize is the size of stasis_flock: type and whence of 16 bits each, the pid of
// 32, start and length of 64.
const flockSize = 24

// Types of record locks, as Linux numbers them.
var recordTypes = [...]vfs.LockType{vfs.ReadLock, vfs.WriteLock, vfs.Unlock}

// recordLock is fcntl(2)'s F_GETLK, F_SETLK and F_SETLKW.
func recordLock(c *call) abi.Errno {
	io, errno := c.out(2, flockSize)
	if errno != abi.OK {
		return errno
	}
	typ, whence := le.Uint16(io), le.Uint16(io[2:])
	if int(typ) >= len(recordTypes) || whence > 2 || c.u32(1) > recordSetWait {
		return abi.EINVAL
	}
	start, length := int64(le.Uint64(io[8:])), int64(le.Uint64(io[16:]))
	return c.with(0, func(f *vfs.OpenFile) abi.Errno {
		first, last, errno := f.LockRange(abi.Whence(whence), start, length)
		if errno != abi.OK {
			return errno
		}
		want := vfs.Lock{Type: recordTypes[typ], Start: first, End: last, PID: uint32(c.t.Group().ID())}
		if c.u32(1) == recordGet {
			return c.recordGet(f, want, io)
		}
		return c.lock(c.u32(1) == recordSetWait,
			func() abi.Errno { return c.files().SetLock(f, want) },
			func() (*vfs.LockWait, abi.Errno) { return c.files().LockWait(f, want) })
	})
}

// recordGet tells the lock that would keep another one from being had.
func (c *call) recordGet(f *vfs.OpenFile, want vfs.Lock, out []byte) abi.Errno {
	got, errno := c.files().GetLock(f, want)
	if errno != abi.OK {
		return errno
	}
	for typ, t := range recordTypes {
		if t == got.Type {
			le.PutUint16(out, uint16(typ))
		}
	}
	if got.Type == vfs.Unlock {
		return abi.OK
	}
	le.PutUint16(out[2:], uint16(abi.SeekSet))
	le.PutUint32(out[4:], got.PID)
	le.PutUint64(out[8:], uint64(got.Start))
	length := uint64(0) // to the end of all there will be
	if got.End != 1<<63-1 {
		length = uint64(got.End-got.Start) + 1
	}
	le.PutUint64(out[16:], length)
	return abi.OK
}
