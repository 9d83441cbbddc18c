package ttyfs

import (
	"sync"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/waiter"
)

const (
	// InputSize is how many bytes wait to be read, N_TTY_BUF_SIZE: a line has
	// 4095 and its end.
	InputSize = 4096

	// OutputSize is how many bytes wait to be shown before writes wait.
	OutputSize = 64 << 10

	// writable is how much room there is when the guest's files are writable,
	// so that a writer does not wake up for every byte.
	writable = 4096
)

// Options set up a Terminal. The zero value works.
type Options struct {
	// Name is what a restore asks for; see Restore.
	Name string

	// Ino is what stat tells.
	Ino uint64

	// Termios is what it starts with; nil is DefaultTermios.
	Termios *Termios

	Size Winsize

	// Signal sends a signal, by Linux's number as the kernel counts, to whom
	// the terminal belongs; nil sends none. It is called without locks, by
	// Input, Resize and Hangup.
	Signal func(sig int32)

	// Tee gets all output, as it goes to the client, once and in order; nil
	// is nobody. It must not call the Terminal, nor keep the slice.
	Tee func([]byte)
}

// The signals that a terminal sends, by Linux's numbers. Abi's are WASI's.
const (
	sigHup   = 1
	sigInt   = 2
	sigQuit  = 3
	sigCont  = 18
	sigTstp  = 20
	sigWinch = 28
)

// cell is a byte of the input queue, with lineEnd if it ends a line. A line
// that VEOF has ended ends with NUL, which is not read.
type cell uint16

const (
	lineEnd cell = 1 << 8
	eof          = lineEnd
)

// A Terminal is the line discipline and its buffers.
type Terminal struct {
	name   string       // immutable
	ino    uint64       // immutable but for a restore
	signal func(int32)  // immutable, maybe nil
	tee    func([]byte) // immutable, maybe nil
	pty    *Ptys        // whose it is, if the master is a file, too; immutable
	number int          // of a pty; immutable

	guest  waiter.Queue // who waits on the guest's files
	master waiter.Queue // who waits on Master

	mu      sync.Mutex
	tio     Termios   // protected by mu, as are all that follow
	special [256]bool // of tio
	size    Winsize   //
	hungUp  bool      // for good
	files   int       // of the guest, open
	left    bool      // there was one, and none is open
	discard bool      // nobody shows the output
	pending []int32   // to be sent when mu is released

	// Input. Canon is where the line begins that is being typed: what is
	// before it can be read, if ICANON is set. Without ICANON it is where the
	// queue began when that was switched, or -1 if that has been read.
	queue   []cell // at most InputSize
	canon   int
	lnext   bool // the next character has no special meaning
	erasing bool // between the \ and the / of ECHOPRT

	// Output.
	out         []byte // at most OutputSize
	teed        int    // how much of out Tee has got
	stopped     bool   // by VSTOP
	column      uint32 // of the cursor, as far as OPOST knows
	canonColumn uint32 // the column where the line being typed begins
	echoes      echoes
}

// New returns a Terminal.
func New(o Options) *Terminal {
	t := &Terminal{name: o.Name, ino: o.Ino, signal: o.Signal, tee: o.Tee, size: o.Size}
	tio := DefaultTermios()
	if o.Termios != nil {
		tio = *o.Termios
	}
	t.tio = sane(tio)
	t.special = t.tio.special()
	return t
}

// sane is tio as a pty takes it: always eight bits.
func sane(tio Termios) Termios {
	tio.Cflag = tio.Cflag&^(CSIZE|PARENB) | CS8 | CREAD
	return tio
}

// Name is the name that was given to New.
func (t *Terminal) Name() string { return t.name }

// unlock shows what is new, releases the lock and sends the signals.
func (t *Terminal) unlock() {
	t.teeLocked()
	signals := t.pending
	t.pending = nil
	t.mu.Unlock()
	if t.signal == nil {
		return
	}
	for _, s := range signals {
		t.signal(s)
	}
}

// teeLocked tells Tee and the host of output that they do not know.
func (t *Terminal) teeLocked() {
	fresh := t.out[t.teed:]
	if len(fresh) == 0 {
		return
	}
	if t.tee != nil {
		t.tee(fresh)
	}
	if t.discard {
		t.out = t.out[:0]
	}
	t.teed = len(t.out)
	if t.teed > 0 {
		t.master.Notify(waiter.In)
	}
}

// ReadOutput moves what is to be shown to p, and returns how much that was; 0
// if there is nothing now.
func (t *Terminal) ReadOutput(p []byte) int {
	t.mu.Lock()
	defer t.unlock()
	n := copy(p, t.out)
	t.out = append(t.out[:0], t.out[n:]...)
	t.teed = len(t.out)
	t.processEchoesLocked()
	t.notifyWritableLocked()
	return n
}

// SetDiscard says that nobody shows the output (or that somebody does again).
// While it is so, output goes to Tee and nowhere else, and never stops the
// guest: what was waiting is dropped, and a stop by VSTOP ends, since nobody
// could end it.
func (t *Terminal) SetDiscard(on bool) {
	t.mu.Lock()
	defer t.unlock()
	t.discard = on
	if !on {
		return
	}
	t.dropOutputLocked()
	if t.stopped {
		t.startLocked()
		t.processEchoesLocked()
	}
}

// dropOutputLocked discards what waits to be shown. Tee has got it.
func (t *Terminal) dropOutputLocked() {
	t.teeLocked()
	t.out, t.teed = t.out[:0], 0
	t.notifyWritableLocked()
}

// notifyWritableLocked wakes writers if they can write.
func (t *Terminal) notifyWritableLocked() {
	if t.spaceLocked() >= writable {
		t.guest.Notify(waiter.Out)
	}
}

// Resize sets the size of the window. A change gives SIGWINCH.
func (t *Terminal) Resize(ws Winsize) {
	t.mu.Lock()
	defer t.unlock()
	if ws != t.size {
		t.size = ws
		t.pending = append(t.pending, sigWinch)
	}
}

// Size returns the size of the window.
func (t *Terminal) Size() Winsize {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.size
}

// Hangup ends the terminal for good: reads give the end and writes EIO. The
// guest gets SIGHUP, and SIGCONT in case it is stopped.
func (t *Terminal) Hangup() {
	t.mu.Lock()
	defer t.unlock()
	if t.hungUp {
		return
	}
	t.hungUp = true
	t.flushInputLocked()
	t.echoes = echoes{}
	t.pending = append(t.pending, sigHup, sigCont)
	t.guest.Notify(waiter.In | waiter.Out | waiter.Err | waiter.Hup)
	t.master.Notify(waiter.Hup)
}

// Termios returns how the terminal is set.
func (t *Terminal) Termios() Termios {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tio
}

// SetTermios sets the terminal, as tcsetattr(3). When ICANON is switched off,
// all of the queue can be read at once; when it is switched on, what is in the
// queue is a line.
func (t *Terminal) SetTermios(tio Termios, a Action) abi.Errno {
	if a > TCSAFlush {
		return abi.EINVAL
	}
	t.mu.Lock()
	defer t.unlock()
	if t.hungUp {
		return abi.EIO
	}
	if a == TCSAFlush {
		t.flushInputLocked()
	}
	old := t.tio
	t.tio = sane(tio)
	t.special = t.tio.special()
	if (old.Lflag^t.tio.Lflag)&ICANON != 0 {
		t.switchCanonLocked()
	}
	if old.iflag(IXON) && !t.tio.iflag(IXON) && t.stopped {
		t.startLocked()
		t.processEchoesLocked()
	}
	t.guest.Notify(waiter.In | waiter.Out) // they look again
	t.master.Notify(waiter.Out)
	return abi.OK
}

func (t *Terminal) switchCanonLocked() {
	for i := range t.queue {
		t.queue[i] &^= lineEnd
	}
	t.canon, t.erasing, t.lnext = 0, false, false
	if n := len(t.queue); t.tio.lflag(ICANON) && n > 0 {
		t.queue[n-1] |= lineEnd
		t.canon = n
	}
}

// Flush discards what is in queues, as tcflush(3).
func (t *Terminal) Flush(q Queue) abi.Errno {
	if q&^(InputQueue|OutputQueue) != 0 {
		return abi.EINVAL
	}
	t.mu.Lock()
	defer t.unlock()
	if t.hungUp {
		return abi.EIO
	}
	if q&InputQueue != 0 {
		t.flushInputLocked()
	}
	if q&OutputQueue != 0 {
		t.dropOutputLocked()
	}
	return abi.OK
}

func (t *Terminal) flushInputLocked() {
	t.queue, t.canon, t.erasing = t.queue[:0], 0, false
	t.master.Notify(waiter.Out)
}

// Buffered returns how many bytes can be read, for FIONREAD.
func (t *Terminal) Buffered() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.tio.lflag(ICANON) {
		return len(t.queue)
	}
	n := 0
	for _, c := range t.queue[:t.canon] {
		if c != eof {
			n++
		}
	}
	return n
}

// Master returns a Source for the host's side: In if there is output to show,
// Out if Input would take something, Hup after a Hangup.
func (t *Terminal) Master() waiter.Source { return (*master)(t) }

type master Terminal

// Readiness is waiter.Source's.
func (m *master) Readiness(mask waiter.EventMask) waiter.EventMask {
	t := (*Terminal)(m)
	t.mu.Lock()
	defer t.mu.Unlock()
	var got waiter.EventMask
	if len(t.out) > 0 {
		got |= waiter.In
	}
	if t.hungUp {
		got |= waiter.Hup
	} else if t.roomLocked() {
		got |= waiter.Out
	}
	return got & (mask | waiter.Always)
}

// Register is waiter.Source's.
func (m *master) Register(e *waiter.Entry) { m.master.Register(e) }

// Unregister is waiter.Source's.
func (m *master) Unregister(e *waiter.Entry) { m.master.Unregister(e) }
