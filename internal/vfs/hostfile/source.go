package hostfile

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/waiter"
)

// A source is a host descriptor with those who wait for it. It implements
// waiter.Source and is embedded in each kind of file.
//
// Lock order: mu, then watch.mu, then Poller.mu. The queue's lock is a leaf.
type source struct {
	d     desc
	watch watch
	queue waiter.Queue
	tee   func([]byte) // see Tee; immutable once the guest has the file

	// mu keeps the descriptor from being closed, and its number from being
	// reused, in the middle of a call. Calls hold it for reading; as none of
	// them blocks, neither does close.
	mu     sync.RWMutex
	closed bool // protected by mu
}

// init makes s the source of d, which it then owns.
func (s *source) init(p *Poller, d desc) {
	s.d = d
	s.watch.p = p
	s.watch.fd = d.fd
	s.watch.notify = s.queue.Notify
	s.watch.always = d.kind == Regular || d.kind == Directory
}

// Readiness returns which of the events in mask, or in waiter.Always, are
// there now.
func (s *source) Readiness(mask waiter.EventMask) waiter.EventMask {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return waiter.Err | mask&(waiter.In|waiter.Out)
	}
	got := s.d.ready(mask) & (mask | waiter.Always)
	s.rearmLocked(mask &^ got)
	return got
}

// Register makes e's callback be called when one of its events may have come.
func (s *source) Register(e *waiter.Entry) {
	s.queue.Register(e)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return // the waiter looks next, and Readiness tells
	}
	s.armLocked(e.Mask())
}

// Unregister undoes Register. What is armed stays so until its one event has
// come: a guest that waits in a loop then costs one epoll_ctl a turn, not two.
func (s *source) Unregister(e *waiter.Entry) { s.queue.Unregister(e) }

// rearmLocked arms again what a look has found not to be there, if somebody
// waits for it: his event came and somebody else was faster, or it was about
// less than he wants.
func (s *source) rearmLocked(missing waiter.EventMask) {
	if want := missing & s.queue.Interest(); want != 0 {
		s.armLocked(want)
	}
}

// armLocked asks the poller for events. Without its help nobody must be left
// waiting: on an error all that it was about is notified, unless the poller has
// been closed, when there is nobody left to look.
func (s *source) armLocked(mask waiter.EventMask) {
	mask &= waiter.In | waiter.Out
	if err := s.watch.arm(mask); err != nil && err != os.ErrClosed {
		s.queue.Notify(mask)
	}
}

// call runs f, unless s is closed, and arms again what f found to block on.
func (s *source) call(blocksOn waiter.EventMask, f func() abi.Errno) abi.Errno {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return abi.EBADF
	}
	errno := f()
	if errno == abi.EAGAIN {
		s.rearmLocked(blocksOn)
	}
	return errno
}

// read reads without blocking into bufs in turn, until one is not filled; 0 and
// no error is the end.
func (s *source) read(bufs [][]byte) (n int, errno abi.Errno) {
	errno = s.call(waiter.In, func() abi.Errno {
		n, errno = each(bufs, s.d.read)
		return errno
	})
	return n, errno
}

// Tee has f called with all that is written from now on, after the host has
// taken it. f must not keep its argument.
func (s *source) Tee(f func([]byte)) { s.tee = f }

// write writes what fits without blocking.
func (s *source) write(bufs [][]byte) (n int, errno abi.Errno) {
	errno = s.call(waiter.Out, func() abi.Errno {
		n, errno = each(bufs, s.writeOne)
		return errno
	})
	return n, errno
}

func (s *source) writeOne(p []byte) (int, abi.Errno) {
	n, errno := s.d.write(p)
	if s.tee != nil && n > 0 {
		s.tee(p[:n])
	}
	return n, errno
}

// each calls f with the buffers that are not empty until one is not used up.
// If something was transferred, there is no error: the next call will tell.
func each(bufs [][]byte, f func([]byte) (int, abi.Errno)) (int, abi.Errno) {
	done := 0
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		n, errno := f(b)
		done += n
		if errno != abi.OK && done == 0 {
			return 0, errno
		}
		if errno != abi.OK || n < len(b) {
			break
		}
	}
	return done, abi.OK
}

// close closes the descriptor and wakes everybody who waits.
func (s *source) close() abi.Errno {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return abi.OK
	}
	s.closed = true
	s.watch.close()
	err := unix.Close(s.d.fd)
	s.mu.Unlock()
	s.queue.Notify(waiter.In | waiter.Out | waiter.Hup)
	return Errno(err)
}
