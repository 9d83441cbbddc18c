package wasi

import (
	"errors"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/ttyfs"
)

// tty is the terminal at the descriptor in argument 0; ENOTTY if it is none.
func (c *call) tty() (*ttyfs.Terminal, abi.Errno) {
	f, errno := c.file(0, 0)
	if errno != abi.OK {
		return nil, errno
	}
	defer f.DecRef()
	t, ok := ttyfs.Of(f.File())
	if !ok {
		return nil, abi.ENOTTY
	}
	return t, abi.OK
}

// withTTY calls do with the terminal at the descriptor in argument 0 and the n bytes
// that pointer argument i points to.
func (c *call) withTTY(i int, n uint64, do func(t *ttyfs.Terminal, b []byte) abi.Errno) abi.Errno {
	t, errno := c.tty()
	if errno != abi.OK {
		return errno
	}
	b, errno := c.out(i, n)
	if errno != abi.OK {
		return errno
	}
	return do(t, b)
}

// access asks whether the task may use a terminal: see kernel.Task.TerminalAccess.
func (c *call) access(t *ttyfs.Terminal, sig int32) abi.Errno {
	switch c.t.TerminalAccess(t, sig) {
	case kernel.Denied:
		return abi.EIO
	case kernel.Later:
		return errRestart
	}
	return abi.OK
}

// mayRead is access for a read of a file, which may be no terminal.
func (c *call) mayRead(f *vfs.OpenFile) abi.Errno {
	if t, ok := ttyfs.Of(f.File()); ok {
		return c.access(t, kernel.SIGTTIN)
	}
	return abi.OK
}

// mayWrite is access for a write: only terminals that say so stop those that write
// from the background (termios(3), TOSTOP).
func (c *call) mayWrite(f *vfs.OpenFile) abi.Errno {
	const tostop = 0o000400
	if t, ok := ttyfs.Of(f.File()); ok && t.Termios().Lflag&tostop != 0 {
		return c.access(t, kernel.SIGTTOU)
	}
	return abi.OK
}

// terminalOpen is openpty(3): where the descriptors of master and terminal go.
func terminalOpen(c *call) abi.Errno {
	if c.env.Ptys == nil {
		return abi.ENOTSUP
	}
	master, t, errno := c.env.Ptys.New()
	if errno != abi.OK {
		return errno
	}
	return c.install(0, vfs.NewOpenFile(master, true, true, 0), vfs.NewOpenFile(t.Open(), true, true, 0))
}

// terminalErrno is the errno for an error of the kernel's about terminals.
func terminalErrno(err error) abi.Errno {
	switch {
	case err == nil:
		return abi.OK
	case errors.Is(err, kernel.ErrNotPermitted):
		return abi.EPERM
	case errors.Is(err, kernel.ErrNoSuchProcess):
		return abi.ESRCH
	}
	return abi.ENOTTY
}

// terminalControl is TIOCSCTTY of ioctl_tty(2).
func terminalControl(c *call) abi.Errno {
	t, errno := c.tty()
	if errno != abi.OK {
		return errno
	}
	return terminalErrno(c.t.Group().SetControlling(t))
}

// terminalGroupGet is tcgetpgrp(3).
func terminalGroupGet(c *call) abi.Errno {
	t, errno := c.tty()
	if errno != abi.OK {
		return errno
	}
	group, err := c.t.Group().Foreground(t)
	if err != nil {
		return terminalErrno(err)
	}
	return c.put32(1, uint32(group))
}

// terminalGroupSet is tcsetpgrp(3).
func terminalGroupSet(c *call) abi.Errno {
	t, errno := c.tty()
	if errno != abi.OK {
		return errno
	}
	if errno := c.access(t, kernel.SIGTTOU); errno != abi.OK {
		return errno
	}
	return terminalErrno(c.t.Group().SetForeground(t, kernel.TaskID(c.u32(1))))
}

// termiosSize is the size of stasis_termios: four words of flags, the line
// discipline, the characters, and two speeds, as Linux's struct termios2 has them.
const termiosSize = 4*4 + 1 + ttyfs.NCCS + 2*4

// terminalAttrGet is tcgetattr(3).
func terminalAttrGet(c *call) abi.Errno {
	return c.withTTY(1, termiosSize, func(t *ttyfs.Terminal, out []byte) abi.Errno {
		tio := t.Termios()
		for i, flags := range []uint32{tio.Iflag, tio.Oflag, tio.Cflag, tio.Lflag} {
			le.PutUint32(out[4*i:], flags)
		}
		out[16] = tio.Line
		copy(out[17:], tio.Cc[:])
		le.PutUint32(out[17+ttyfs.NCCS:], tio.Ispeed)
		le.PutUint32(out[21+ttyfs.NCCS:], tio.Ospeed)
		return abi.OK
	})
}

// terminalAttrSet is tcsetattr(3): the action is argument 1.
func terminalAttrSet(c *call) abi.Errno {
	return c.withTTY(2, termiosSize, func(t *ttyfs.Terminal, in []byte) abi.Errno {
		if c.u32(1) > uint32(ttyfs.TCSAFlush) {
			return abi.EINVAL
		}
		tio := ttyfs.Termios{
			Iflag: le.Uint32(in), Oflag: le.Uint32(in[4:]), Cflag: le.Uint32(in[8:]), Lflag: le.Uint32(in[12:]), Line: in[16],
			Ispeed: le.Uint32(in[17+ttyfs.NCCS:]), Ospeed: le.Uint32(in[21+ttyfs.NCCS:]),
		}
		copy(tio.Cc[:], in[17:])
		if errno := c.access(t, kernel.SIGTTOU); errno != abi.OK {
			return errno
		}
		return t.SetTermios(tio, ttyfs.Action(c.u32(1)))
	})
}

// winsizeSize is the size of stasis_winsize: rows, columns, and both in pixels, of 16
// bits each.
const winsizeSize = 8

// terminalSizeGet is TIOCGWINSZ of ioctl_tty(2).
func terminalSizeGet(c *call) abi.Errno {
	return c.withTTY(1, winsizeSize, func(t *ttyfs.Terminal, out []byte) abi.Errno {
		ws := t.Size()
		for i, v := range []uint16{ws.Rows, ws.Cols, ws.XPixel, ws.YPixel} {
			le.PutUint16(out[2*i:], v)
		}
		return abi.OK
	})
}

// terminalSizeSet is TIOCSWINSZ of ioctl_tty(2).
func terminalSizeSet(c *call) abi.Errno {
	return c.withTTY(1, winsizeSize, func(t *ttyfs.Terminal, in []byte) abi.Errno {
		t.Resize(ttyfs.Winsize{Rows: le.Uint16(in), Cols: le.Uint16(in[2:]), XPixel: le.Uint16(in[4:]), YPixel: le.Uint16(in[6:])})
		return abi.OK
	})
}
