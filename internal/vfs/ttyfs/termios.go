package ttyfs

// Termios is how a terminal treats what is typed and written: Linux's struct
// termios2, with its numbers.
type Termios struct {
	Iflag, Oflag, Cflag, Lflag uint32
	Line                       uint8 // 0 is N_TTY, and the only one
	Cc                         [NCCS]uint8
	Ispeed, Ospeed             uint32 // in bit/s, and without an effect
}

// NCCS is how many special characters there are, in Linux's kernel.
const NCCS = 19

// Indices of Termios.Cc. A character of 0 is disabled.
const (
	VINTR    = 0
	VQUIT    = 1
	VERASE   = 2
	VKILL    = 3
	VEOF     = 4
	VTIME    = 5
	VMIN     = 6
	VSWTC    = 7
	VSTART   = 8
	VSTOP    = 9
	VSUSP    = 10
	VEOL     = 11
	VREPRINT = 12
	VDISCARD = 13
	VWERASE  = 14
	VLNEXT   = 15
	VEOL2    = 16
)

// Flags of Termios.Iflag.
const (
	ISTRIP  = 0o000040
	INLCR   = 0o000100
	IGNCR   = 0o000200
	ICRNL   = 0o000400
	IXON    = 0o002000
	IXANY   = 0o004000
	IMAXBEL = 0o020000
	IUTF8   = 0o040000
)

// Flags of Termios.Oflag.
const (
	OPOST  = 0o000001
	ONLCR  = 0o000004
	OCRNL  = 0o000010
	ONOCR  = 0o000020
	ONLRET = 0o000040
	TABDLY = 0o014000
	XTABS  = 0o014000 // a value of TABDLY: tabs become spaces
)

// Flags of Termios.Cflag.
const (
	B38400 = 0o000017
	CSIZE  = 0o000060
	CS8    = 0o000060
	CREAD  = 0o000200
	PARENB = 0o000400
)

// Flags of Termios.Lflag.
const (
	ISIG    = 0o000001
	ICANON  = 0o000002
	ECHO    = 0o000010
	ECHOE   = 0o000020
	ECHOK   = 0o000040
	ECHONL  = 0o000100
	NOFLSH  = 0o000200
	ECHOCTL = 0o001000
	ECHOPRT = 0o002000
	ECHOKE  = 0o004000
	IEXTEN  = 0o100000
)

// DefaultTermios is what a new pty has on Linux. A caller whose clients show
// UTF-8 adds IUTF8, as terminal emulators do.
func DefaultTermios() Termios {
	return Termios{
		Iflag: ICRNL | IXON,
		Oflag: OPOST | ONLCR,
		Cflag: B38400 | CS8 | CREAD,
		Lflag: ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
		Cc: [NCCS]uint8{
			VINTR: 'C' & 0x1f, VQUIT: '\\' & 0x1f, VERASE: 0x7f, VKILL: 'U' & 0x1f,
			VEOF: 'D' & 0x1f, VMIN: 1, VSTART: 'Q' & 0x1f, VSTOP: 'S' & 0x1f,
			VSUSP: 'Z' & 0x1f, VREPRINT: 'R' & 0x1f, VDISCARD: 'O' & 0x1f,
			VWERASE: 'W' & 0x1f, VLNEXT: 'V' & 0x1f,
		},
		Ispeed: 38400,
		Ospeed: 38400,
	}
}

func (o *Termios) iflag(f uint32) bool { return o.Iflag&f != 0 }
func (o *Termios) oflag(f uint32) bool { return o.Oflag&f != 0 }
func (o *Termios) lflag(f uint32) bool { return o.Lflag&f != 0 }

// special returns which bytes need a closer look: all others go straight into
// the queue, with an echo. NUL is how a character is disabled, and never one.
func (o *Termios) special() (m [256]bool) {
	if o.iflag(IGNCR | ICRNL) {
		m['\r'] = true
	}
	if o.iflag(INLCR) {
		m['\n'] = true
	}
	set := func(indices ...int) {
		for _, i := range indices {
			m[o.Cc[i]] = true
		}
	}
	if o.lflag(ICANON) {
		m['\n'] = true
		set(VERASE, VKILL, VEOF, VEOL)
		if o.lflag(IEXTEN) {
			set(VWERASE, VLNEXT, VEOL2)
			if o.lflag(ECHO) {
				set(VREPRINT)
			}
		}
	}
	if o.iflag(IXON) {
		set(VSTART, VSTOP)
	}
	if o.lflag(ISIG) {
		set(VINTR, VQUIT, VSUSP)
	}
	m[0] = false
	return m
}

// Winsize is the size of a terminal's window: Linux's struct winsize.
type Winsize struct {
	Rows, Cols     uint16 // in characters
	XPixel, YPixel uint16
}

// Action says when new termios hold.
type Action uint8

// The actions of tcsetattr(3). Output counts as sent when it is in the buffer,
// so that TCSADrain has nothing to wait for, as on a pty of Linux.
const (
	TCSANow   Action = iota
	TCSADrain        // when all output is sent
	TCSAFlush        // and unread input is discarded
)

// Queue names the queues that Flush discards.
type Queue uint8

// The queues of tcflush(3).
const (
	InputQueue  Queue = 1 << iota // typed and not read
	OutputQueue                   // written and not shown
)
