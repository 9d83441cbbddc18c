package hostfile

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/waiter"
)

// A Poller tells host files that they may be ready. It is one epoll instance
// with one goroutine, meant to be shared by all files of a host process.
//
// A descriptor is in the epoll set only once somebody has waited for it, and
// each arming yields one event (EPOLLONESHOT): an idle process is not woken,
// whatever arrives. The epoll descriptor itself is waited for through Go's own
// poller, so that no thread is held and closing it ends the goroutine.
type Poller struct {
	file *os.File        // the epoll descriptor; immutable
	raw  syscall.RawConn // of file; immutable
	done chan struct{}   // closed when the goroutine has ended

	mu      sync.Mutex
	watches map[int32]*watch // protected by mu
	lastID  int32            // protected by mu
	closed  bool             // protected by mu
}

// errAlwaysReady is what arming a descriptor gives that epoll refuses, such as
// a regular file: it never blocks.
var errAlwaysReady = errors.New("always ready")

// NewPoller starts a poller. It must be closed.
func NewPoller() (*Poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("poller: epoll_create1: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("poller: set non-blocking: %w", err)
	}
	f := os.NewFile(uintptr(fd), "epoll")
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("poller: %w", err)
	}
	p := &Poller{
		file:    f,
		raw:     raw,
		done:    make(chan struct{}),
		watches: make(map[int32]*watch),
	}
	go p.run()
	return p, nil
}

// Close ends the poller's goroutine and waits for it. Files that use the
// poller give no more wake-ups; close them before. It is safe to call twice.
func (p *Poller) Close() error {
	p.mu.Lock()
	wasClosed := p.closed
	p.closed = true
	clear(p.watches)
	p.mu.Unlock()
	var err error
	if !wasClosed {
		err = p.file.Close()
	}
	<-p.done
	return err
}

// run passes events on until the epoll descriptor is closed.
func (p *Poller) run() {
	defer close(p.done)
	var buf [64]unix.EpollEvent
	for {
		n, err := p.wait(buf[:])
		if err != nil {
			return
		}
		for _, ev := range buf[:n] {
			p.fire(ev)
		}
	}
}

// wait blocks until there are events. What wakes it: an event of a watch, or
// Close.
func (p *Poller) wait(buf []unix.EpollEvent) (int, error) {
	var n int
	var waitErr error
	err := p.raw.Read(func(fd uintptr) bool {
		for {
			n, waitErr = unix.EpollWait(int(fd), buf, 0)
			if waitErr != unix.EINTR {
				return n > 0 || waitErr != nil
			}
		}
	})
	if err != nil {
		return 0, err
	}
	return n, waitErr
}

// fire hands one event to its watch, if that is still there: the id in the
// event, unlike a descriptor number, is never that of a later file.
func (p *Poller) fire(ev unix.EpollEvent) {
	p.mu.Lock()
	w := p.watches[ev.Fd]
	p.mu.Unlock()
	if w != nil {
		w.fired(ev.Events)
	}
}

// A watch is a poller's view of one descriptor. The descriptor must stay open
// until close.
type watch struct {
	p      *Poller
	fd     int                    // immutable
	notify func(waiter.EventMask) // called with no lock held; immutable

	mu     sync.Mutex       // taken before p.mu
	id     int32            // 0 = not in the epoll set; protected by mu
	armed  waiter.EventMask // what the next event is for; protected by mu
	always bool             // epoll refuses this descriptor; protected by mu
	closed bool             // protected by mu
}

// arm asks for one event for each condition in mask that is not armed yet.
// A condition that already holds gives its event at once.
func (w *watch) arm(mask waiter.EventMask) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.p == nil {
		return nil
	}
	if w.always {
		return errAlwaysReady
	}
	if mask&^w.armed == 0 {
		return nil
	}
	return w.armLocked(w.armed | mask)
}

func (w *watch) armLocked(mask waiter.EventMask) error {
	op := unix.EPOLL_CTL_MOD
	if w.id == 0 {
		if w.id = w.p.register(w); w.id == 0 {
			return os.ErrClosed
		}
		op = unix.EPOLL_CTL_ADD
	}
	err := w.p.control(op, w.fd, w.id, toEpoll(mask)|unix.EPOLLONESHOT)
	if err == nil {
		w.armed = mask
		return nil
	}
	if op == unix.EPOLL_CTL_ADD {
		w.p.unregister(w.id)
		w.id = 0
		if err == unix.EPERM {
			w.always = true
			return errAlwaysReady
		}
	}
	return fmt.Errorf("poller: epoll_ctl: %w", err)
}

// fired is called for an event. Conditions that were armed and did not come
// are armed again; those that came are armed by the next waiter, or else a
// ready file that nobody reads would make the poller spin.
func (w *watch) fired(events uint32) {
	got := fromEpoll(events)
	w.mu.Lock()
	rest := w.armed &^ got
	w.armed = 0
	if got&(waiter.Hup|waiter.Err) != 0 {
		rest = 0 // everything is ready now, if only to fail
		got |= waiter.In | waiter.Out
	}
	if rest != 0 && !w.closed {
		// An error leaves the waiters to be woken for nothing, which they bear.
		if w.armLocked(rest) != nil {
			got |= rest
		}
	}
	w.mu.Unlock()
	w.notify(got)
}

// close takes the descriptor out of the epoll set. A notify that has begun may
// still be running. The descriptor must be closed after, not before: epoll
// keeps an entry for as long as any duplicate of the descriptor is open.
func (w *watch) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.id == 0 {
		return
	}
	w.p.control(unix.EPOLL_CTL_DEL, w.fd, w.id, 0)
	w.p.unregister(w.id)
	w.id = 0
}

// register gives w an id, 0 if the poller is closed.
func (p *Poller) register(w *watch) int32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0
	}
	for {
		p.lastID++
		if p.lastID <= 0 {
			p.lastID = 1
		}
		if p.watches[p.lastID] == nil {
			break
		}
	}
	p.watches[p.lastID] = w
	return p.lastID
}

func (p *Poller) unregister(id int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.watches, id)
}

// control is epoll_ctl; os.File keeps the epoll descriptor from being closed,
// and its number reused, in the middle.
func (p *Poller) control(op, fd int, id int32, events uint32) error {
	var ctlErr error
	err := p.raw.Control(func(ep uintptr) {
		ctlErr = unix.EpollCtl(int(ep), op, fd, &unix.EpollEvent{Events: events, Fd: id})
	})
	if err != nil {
		return err
	}
	return ctlErr
}
