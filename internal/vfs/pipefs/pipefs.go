// Package pipefs has pipes: two open files with a buffer between them. They
// belong to no mount, and are saved with what is in them; the ends stay ends
// of one pipe, whoever holds them.
//
// Lock order: pipe.mu, then waiter.Queue.
package pipefs

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/ring"
	"github.com/stasis-run/stasis/internal/waiter"
)

const (
	// Capacity is how many bytes a pipe holds: Linux's default.
	Capacity = 64 << 10

	// SmallCapacity is what a pipe holds that is made when pipes take much
	// already. Linux does the same.
	SmallCapacity = 8 << 10

	// Atomic is how long a write may be to be written whole or not at all
	// (PIPE_BUF), so that the lines of several writers do not mix.
	Atomic = 4096
)

// A System makes the pipes of a system, and bounds what they hold together. It
// may be used by many tasks.
type System struct {
	now     func() int64 // wall time in ns; immutable
	budget  *vfs.Budget  // in bytes of capacity; immutable
	lastIno atomic.Uint64
}

// NewSystem returns a System that counts the capacity of pipes against budget:
// half of it is for pipes of the full Capacity, then there are small ones, then
// none (ENFILE). A write never fails for it. Now tells the wall time in ns.
func NewSystem(now func() int64, budget *vfs.Budget) *System {
	return &System{now: now, budget: budget}
}

// pipe is what the two ends share.
type pipe struct {
	system   *System
	ino      uint64       // immutable
	capacity int          // bytes; immutable
	queue    waiter.Queue // both ends wait here

	mu      sync.Mutex
	data    ring.Ring // what was written and not yet read, at most capacity; protected by mu
	readers int       // open files that read; protected by mu
	writers int       // protected by mu
	mtim    int64     // when something was last written or read, in ns; protected by mu
}

// end is one open end. Each has one reference to its side of the pipe.
type end struct {
	pipe   *pipe
	writer bool // immutable
}

var _ vfs.Stream = (*end)(nil)

// New returns the two ends of a new pipe, or ENFILE.
func (s *System) New() (r, w *vfs.OpenFile, errno abi.Errno) {
	capacity, ok := s.reserve()
	if !ok {
		return nil, nil, abi.ENFILE
	}
	p := &pipe{system: s, ino: s.lastIno.Add(1), capacity: capacity, mtim: s.now()}
	return vfs.NewOpenFile(p.open(false), true, false, 0), vfs.NewOpenFile(p.open(true), false, true, 0), abi.OK
}

// reserve takes the capacity of a new pipe.
func (s *System) reserve() (capacity int, ok bool) {
	if s.budget == nil || s.budget.Used()+Capacity <= s.budget.Max()/2 {
		if s.budget.Take(Capacity) {
			return Capacity, true
		}
	}
	return SmallCapacity, s.budget.Take(SmallCapacity)
}

// open returns a new end.
func (p *pipe) open(writer bool) *end {
	p.mu.Lock()
	defer p.mu.Unlock()
	*p.sideLocked(writer)++
	return &end{pipe: p, writer: writer}
}

func (p *pipe) sideLocked(writer bool) *int {
	if writer {
		return &p.writers
	}
	return &p.readers
}

// Stat is vfs.File's. Preview 1 has no type for a pipe.
func (e *end) Stat() (abi.Filestat, abi.Errno) {
	e.pipe.mu.Lock()
	defer e.pipe.mu.Unlock()
	t := uint64(e.pipe.mtim)
	return abi.Filestat{Ino: e.pipe.ino, Filetype: abi.FiletypeUnknown, Nlink: 1, Atim: t, Mtim: t, Ctim: t}, abi.OK
}

// Read is vfs.Stream's: EAGAIN if the pipe is empty, the end if no writer is
// left.
func (e *end) Read(bufs [][]byte) (int, abi.Errno) {
	if e.writer {
		return 0, abi.EBADF
	}
	p := e.pipe
	p.mu.Lock()
	defer p.mu.Unlock()
	n, room := 0, false
	for _, b := range bufs {
		room = room || len(b) > 0
		n += p.data.Read(b)
	}
	if n == 0 {
		if room && p.writers > 0 {
			return 0, abi.EAGAIN
		}
		return 0, abi.OK
	}
	p.mtim = p.system.now()
	p.queue.Notify(waiter.Out)
	return n, abi.OK
}

// Write is vfs.Stream's: EAGAIN if there is no room, EPIPE if no reader is
// left.
func (e *end) Write(bufs [][]byte) (int, abi.Errno) {
	if !e.writer {
		return 0, abi.EBADF
	}
	p := e.pipe
	p.mu.Lock()
	defer p.mu.Unlock()
	total := 0
	for _, b := range bufs {
		total += len(b)
	}
	room := p.capacity - p.data.Len()
	switch {
	case total == 0:
		return 0, abi.OK // before all else, as on Linux
	case p.readers == 0:
		return 0, abi.EPIPE
	case room == 0 || total <= Atomic && total > room:
		return 0, abi.EAGAIN
	}
	n := 0
	for _, b := range bufs {
		b = b[:min(len(b), room-n)]
		p.data.Write(b)
		n += len(b)
	}
	p.mtim = p.system.now()
	p.queue.Notify(waiter.In)
	return n, abi.OK
}

// Readiness is waiter.Source's. A pipe is writable if an atomic write fits.
func (e *end) Readiness(mask waiter.EventMask) waiter.EventMask {
	p := e.pipe
	p.mu.Lock()
	defer p.mu.Unlock()
	var got waiter.EventMask
	switch {
	case e.writer && p.readers == 0:
		got = waiter.Err | waiter.Out
	case e.writer && p.capacity-p.data.Len() >= Atomic:
		got = waiter.Out
	case !e.writer && p.data.Len() > 0:
		got = waiter.In
	}
	if !e.writer && p.writers == 0 {
		got |= waiter.Hup // and not In, as on Linux: a read gives the end
	}
	return got & (mask | waiter.Always)
}

// Register is waiter.Source's.
func (e *end) Register(w *waiter.Entry) { e.pipe.queue.Register(w) }

// Unregister is waiter.Source's.
func (e *end) Unregister(w *waiter.Entry) { e.pipe.queue.Unregister(w) }

// Describe is vfs.Described's.
func (e *end) Describe() string { return fmt.Sprintf("pipe:[%d]", e.pipe.ino) }

// Close is vfs.File's. The last of a side tells the other.
func (e *end) Close() {
	p := e.pipe
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.sideLocked(e.writer)
	if *n--; *n > 0 {
		return
	}
	if p.readers+p.writers == 0 {
		p.system.budget.Give(p.capacity)
	}
	if e.writer {
		p.queue.Notify(waiter.In | waiter.Hup)
	} else {
		p.data = ring.Ring{}
		p.queue.Notify(waiter.Out | waiter.Err)
	}
}

// Buffered is vfs.Buffered's.
func (e *end) Buffered() int {
	e.pipe.mu.Lock()
	defer e.pipe.mu.Unlock()
	return e.pipe.data.Len()
}
