package wasi

import (
	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/ttyfs"
)

// ttySize is the size of tty_t: columns, rows, width and height in pixels, then six
// bool_t.
const ttySize = 24

// Offsets of its flags.
const (
	ttyStdin        = 16 + iota // descriptor 0 is a terminal; 1 and 2 follow
	ttyStdout                   //
	ttyStderr                   //
	ttyEcho                     // what is typed is shown
	ttyLineBuffered             // input comes in lines
	ttyLineFeeds                // a new line begins at its begin
)

// terminal is the terminal at a descriptor, or nil.
func (c *call) terminal(fd int) *ttyfs.Terminal {
	f, errno := c.files().Get(vfs.FD(fd), 0)
	if errno != abi.OK {
		return nil
	}
	defer f.DecRef()
	t, _ := ttyfs.Of(f.File())
	return t
}

// standardTTY is the terminal that one of the standard streams is, and which are.
func (c *call) standardTTY() (t *ttyfs.Terminal, which [3]bool) {
	for fd := range which {
		if x := c.terminal(fd); x != nil {
			which[fd] = true
			if t == nil {
				t = x
			}
		}
	}
	return t, which
}

// ttyGet tells of the terminal; without one, of one of 80 columns and 25 rows.
func ttyGet(c *call) abi.Errno {
	out, errno := c.out(0, ttySize)
	if errno != abi.OK {
		return errno
	}
	clear(out)
	t, which := c.standardTTY()
	size, tio := ttyfs.Winsize{Rows: 25, Cols: 80}, ttyfs.Termios{}
	if t != nil {
		size, tio = t.Size(), t.Termios()
	}
	le.PutUint32(out, uint32(size.Cols))
	le.PutUint32(out[4:], uint32(size.Rows))
	le.PutUint32(out[8:], uint32(size.XPixel))
	le.PutUint32(out[12:], uint32(size.YPixel))
	for i, is := range which {
		putBool(out[ttyStdin+i:], is)
	}
	putBool(out[ttyEcho:], tio.Lflag&ttyfs.ECHO != 0)
	putBool(out[ttyLineBuffered:], tio.Lflag&ttyfs.ICANON != 0)
	putBool(out[ttyLineFeeds:], tio.Oflag&ttyfs.ONLCR != 0)
	return abi.OK
}

func putBool(out []byte, v bool) {
	out[0] = 0
	if v {
		out[0] = 1
	}
}

// ttySet sets echo, line mode and the size of the terminal. Without line mode, keys
// do not send signals, as Wasmer has it.
func ttySet(c *call) abi.Errno {
	guest, errno := c.out(0, ttySize)
	if errno != abi.OK {
		return errno
	}
	in := [ttySize]byte(guest) // other threads may change it
	for _, b := range in[ttyStdin : ttyLineFeeds+1] {
		if b > 1 {
			return abi.EINVAL
		}
	}
	t, _ := c.standardTTY()
	if t == nil {
		return abi.ENOTTY
	}
	tio := t.Termios()
	set := func(flags *uint32, bits uint32, on byte) {
		*flags &^= bits
		if on == 1 {
			*flags |= bits
		}
	}
	set(&tio.Lflag, ttyfs.ECHO, in[ttyEcho])
	set(&tio.Lflag, ttyfs.ICANON|ttyfs.ISIG, in[ttyLineBuffered])
	set(&tio.Oflag, ttyfs.ONLCR, in[ttyLineFeeds])
	return t.SetTermios(tio, ttyfs.TCSANow)
}
