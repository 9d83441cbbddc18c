package wasi

import (
	"math"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

// transfer does a read or write: the fd is argument 0, buffers are 1 and 2, and
// the count goes to argument ret. do is tried until it does not have to wait
// for mask.
func (c *call) transfer(ret int, need abi.Rights, mask waiter.EventMask,
	do func(f *vfs.OpenFile, bufs [][]byte) (int, abi.Errno)) abi.Errno {
	f, errno := c.file(0, need)
	if errno != abi.OK {
		return errno
	}
	defer f.DecRef()
	bufs, errno := c.iovs(1)
	if errno != abi.OK {
		return errno
	}
	out, errno := c.out(ret, 4)
	if errno != abi.OK {
		return errno
	}
	var n int
	errno = c.retry(f, mask, func() (errno abi.Errno) {
		n, errno = do(f, bufs)
		return errno
	})
	if r := c.t.Restart(); errno == abi.EINTR && r.Done > 0 { // what was written counts
		n, errno = int(r.Done), abi.OK
	}
	if errno == abi.OK {
		le.PutUint32(out, uint32(n))
	}
	return errno
}

func fdRead(c *call) abi.Errno {
	return c.transfer(3, abi.RightFDRead, waiter.In, func(f *vfs.OpenFile, bufs [][]byte) (int, abi.Errno) {
		if errno := c.mayRead(f); errno != abi.OK {
			return 0, errno
		}
		return f.Read(bufs)
	})
}

// fdWrite writes all to a stream before it returns, as write(2) does, unless that is
// nonblocking. What is written when the call is interrupted is counted in the restart
// block.
func fdWrite(c *call) abi.Errno {
	return c.transfer(3, abi.RightFDWrite, waiter.Out, func(f *vfs.OpenFile, bufs [][]byte) (int, abi.Errno) {
		if errno := c.mayWrite(f); errno != abi.OK {
			return 0, errno
		}
		return c.writeAll(f, bufs)
	})
}

func (c *call) writeAll(f *vfs.OpenFile, bufs [][]byte) (int, abi.Errno) {
	restart := c.t.Restart()
	total := size(bufs)
	done := max(0, min(int(restart.Done), total))
	for {
		n, errno := f.WriteBelow(c.fileSize(), skip(bufs, done))
		if errno == abi.OK {
			done += n
		}
		restart.Set, restart.Done = done > 0, int64(done)
		switch {
		case errno == abi.EPIPE && done == 0:
			c.sigpipe()
			return 0, errno
		case errno == abi.EFBIG && done == 0:
			return 0, c.tooLong()
		case errno == abi.EAGAIN && done > 0 && f.Nonblock():
			return done, abi.OK
		case errno != abi.OK && errno != abi.EAGAIN && done > 0:
			return done, abi.OK // the error comes with the next call
		case errno != abi.OK:
			return 0, errno // EAGAIN has the caller wait
		case done >= total || n == 0 || f.Nonblock():
			return done, abi.OK
		}
	}
}

// sigpipe sends SIGPIPE, but not to plain programs of preview 1: they have no way to
// ignore it, as most that look at EPIPE would.
func (c *call) sigpipe() {
	if c.t.Group().Program().POSIX {
		_ = c.t.SendInfo(kernel.SigInfo{Signo: kernel.SIGPIPE, Code: kernel.SIKernel})
	}
}

func fdPread(c *call) abi.Errno {
	return c.transfer(4, abi.RightFDRead|abi.RightFDSeek, waiter.In, func(f *vfs.OpenFile, bufs [][]byte) (int, abi.Errno) {
		return f.ReadAt(bufs, c.u64(3))
	})
}

func fdPwrite(c *call) abi.Errno {
	return c.transfer(4, abi.RightFDWrite|abi.RightFDSeek, waiter.Out, func(f *vfs.OpenFile, bufs [][]byte) (int, abi.Errno) {
		n, errno := f.WriteAtBelow(c.fileSize(), bufs, c.u64(3))
		if errno == abi.EFBIG {
			errno = c.tooLong()
		}
		return n, errno
	})
}

// fileSize is how long the process may make a file, in bytes.
func (c *call) fileSize() int64 {
	if l := c.t.Kernel().Rlimits().FileSize; l > 0 {
		return l
	}
	return math.MaxInt64
}

// tooLong is EFBIG, with the signal that setrlimit(2) has for those who would make a
// file longer than they may.
func (c *call) tooLong() abi.Errno {
	if c.fileSize() < math.MaxInt64 {
		_ = c.t.SendInfo(kernel.SigInfo{Signo: kernel.SIGXFSZ, Code: kernel.SIKernel})
	}
	return abi.EFBIG
}

// mayGrow refuses to make a file as long as to bytes if that is longer than it may be
// made, and it is not as long already.
func (c *call) mayGrow(f *vfs.OpenFile, to uint64) abi.Errno {
	if to <= uint64(c.fileSize()) {
		return abi.OK
	}
	if st, errno := f.Stat(); errno != abi.OK || st.Filetype != abi.FiletypeRegularFile || st.Size >= to {
		return errno
	}
	return c.tooLong()
}

func fdSeek(c *call) abi.Errno {
	out, errno := c.out(3, 8)
	if errno != abi.OK {
		return errno
	}
	w := c.u32(2)
	if w > 2 {
		return abi.EINVAL
	}
	whence := abi.Whence(w)
	if c.unstable {
		whence = abi.WhenceUnstable(uint8(w))
	}
	return c.seek(out, int64(c.u64(1)), whence)
}

func fdTell(c *call) abi.Errno {
	out, errno := c.out(1, 8)
	if errno != abi.OK {
		return errno
	}
	return c.seek(out, 0, abi.SeekCur)
}

// seek moves the offset of the fd in argument 0 and writes it to out. Only to
// ask needs less of a right.
func (c *call) seek(out []byte, off int64, whence abi.Whence) abi.Errno {
	need := abi.RightFDSeek | abi.RightFDTell
	if off == 0 && whence == abi.SeekCur {
		need = abi.RightFDTell
	}
	f, errno := c.file(0, need)
	if errno != abi.OK {
		return errno
	}
	defer f.DecRef()
	to, errno := f.Lseek(off, whence)
	if errno == abi.OK {
		le.PutUint64(out, uint64(to))
	}
	return errno
}

// fdReaddir fills a buffer with entries, of which the last may be cut off. A
// buffer that is not full is the end of the directory.
func fdReaddir(c *call) abi.Errno {
	buf, errno := c.out(1, uint64(c.u32(2)))
	if errno != abi.OK {
		return errno
	}
	out, errno := c.out(4, 4)
	if errno != abi.OK {
		return errno
	}
	f, errno := c.file(0, abi.RightFDReaddir)
	if errno != abi.OK {
		return errno
	}
	defer f.DecRef()
	used := 0
	errno = f.ReadDir(c.u64(3), func(d vfs.Dirent) bool {
		var head [abi.DirentSize]byte
		h := abi.Dirent{Next: d.Next, Ino: d.Ino, NameLen: uint32(len(d.Name)), Filetype: d.Filetype}
		h.Put(head[:])
		used += copy(buf[used:], head[:])
		used += copy(buf[used:], d.Name)
		return used < len(buf)
	})
	if errno == abi.OK {
		le.PutUint32(out, uint32(used))
	}
	return errno
}
