package wasi

import (
	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

// sockAccept takes a connection. The fd for it is found when it is there: if
// there is none, the connection is closed.
func sockAccept(c *call) abi.Errno {
	out, errno := c.out(2, 4)
	if errno != abi.OK {
		return errno
	}
	flags, errno := c.u16(1)
	if errno != abi.OK {
		return errno
	}
	return c.with(abi.RightSockAccept, func(f *vfs.OpenFile) abi.Errno {
		var conn *vfs.OpenFile
		errno := c.retry(f, waiter.In, func() (errno abi.Errno) {
			conn, errno = f.Accept(abi.FDFlags(flags))
			return errno
		})
		if errno != abi.OK {
			return errno
		}
		fd, errno := c.files().InstallAll(conn)
		if errno == abi.OK {
			le.PutUint32(out, uint32(fd))
		}
		return errno
	})
}

func sockRecv(c *call) abi.Errno {
	flags, errno := c.u16(3)
	if errno != abi.OK {
		return errno
	}
	ri := abi.RIFlags(flags)
	if ri&^abi.RIFlagsAll != 0 {
		return abi.EINVAL
	}
	bufs, errno := c.iovs(1)
	if errno != abi.OK {
		return errno
	}
	outN, errno := c.out(4, 4)
	if errno != abi.OK {
		return errno
	}
	outFlags, errno := c.out(5, 2)
	if errno != abi.OK {
		return errno
	}
	return c.with(abi.RightFDRead, func(f *vfs.OpenFile) abi.Errno {
		n, truncated, errno := c.recv(f, bufs, ri)
		if errno != abi.OK {
			return errno
		}
		le.PutUint32(outN, uint32(n))
		var ro abi.ROFlags
		if truncated {
			ro = abi.RecvTruncated
		}
		le.PutUint16(outFlags, uint16(ro))
		return abi.OK
	})
}

// recv receives once, or with RecvWaitall until bufs are full, the other side
// has ended, or an error comes. What it has received before it is interrupted
// is in the guest's memory already, and counted in the restart block.
func (c *call) recv(f *vfs.OpenFile, bufs [][]byte, flags abi.RIFlags) (n int, truncated bool, errno abi.Errno) {
	s, errno := f.Socket()
	if errno != abi.OK {
		return 0, false, errno
	}
	all := flags&abi.RecvWaitall != 0 && flags&abi.RecvPeek == 0
	restart := c.t.Restart()
	done := max(0, min(int(restart.Done), size(bufs)))
	for {
		left := skip(bufs, done)
		errno = c.retry(f, waiter.In, func() (errno abi.Errno) {
			n, truncated, errno = s.Recv(left, flags&^abi.RecvWaitall)
			return errno
		})
		switch {
		case errno == errRestart:
			restart.Set, restart.Done = true, int64(done)
			return 0, false, errno
		case errno != abi.OK && done == 0:
			return 0, false, errno
		case errno != abi.OK:
			return done, false, abi.OK // the error comes with the next call
		}
		done += n
		if !all || n == 0 || done >= size(bufs) {
			return done, truncated, abi.OK
		}
	}
}

func sockSend(c *call) abi.Errno {
	if c.u32(3) != 0 {
		return abi.EINVAL
	}
	return c.transfer(4, abi.RightFDWrite, waiter.Out, func(f *vfs.OpenFile, bufs [][]byte) (int, abi.Errno) {
		s, errno := f.Socket()
		if errno != abi.OK {
			return 0, errno
		}
		return s.Send(bufs)
	})
}

func sockShutdown(c *call) abi.Errno {
	how := c.u32(1)
	if how == 0 || how&^uint32(abi.SDFlagsAll) != 0 {
		return abi.EINVAL
	}
	return c.with(abi.RightSockShutdown, func(f *vfs.OpenFile) abi.Errno {
		s, errno := f.Socket()
		if errno != abi.OK {
			return errno
		}
		return s.Shutdown(abi.SDFlags(how))
	})
}
