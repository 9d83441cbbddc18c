// Package pipefs has pipes: two open files with a buffer between them. They
// belong to no mount, and are saved with what is in them; the ends stay ends
// of one pipe, whoever holds them.
//
// Lock order: pipe.mu, then waiter.Queue.
package pipefs

import (
	"sync"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

const (
	// Capacity is how many bytes a pipe holds: Linux's default.
	Capacity = 64 << 10

	// Atomic is how long a write may be to be written whole or not at all
	// (PIPE_BUF), so that the lines of several writers do not mix.
	Atomic = 4096
)

// pipe is what the two ends share.
type pipe struct {
	now   func() int64 // wall time in ns; immutable
	ino   uint64       // immutable
	queue waiter.Queue // both ends wait here

	mu      sync.Mutex
	buf     []byte // what was written and not yet read, at most Capacity; protected by mu
	readers int    // open files that read; protected by mu
	writers int    // protected by mu
	mtim    int64  // when something was last written or read, in ns; protected by mu
}

// end is one open end. Each has one reference to its side of the pipe.
type end struct {
	pipe   *pipe
	writer bool // immutable
}

var _ vfs.Stream = (*end)(nil)

// New returns the two ends of a new pipe. Ino is what stat tells, and Now the
// wall time in ns.
func New(now func() int64, ino uint64) (r, w *vfs.OpenFile) {
	p := &pipe{now: now, ino: ino, mtim: now()}
	return vfs.NewOpenFile(p.open(false), true, false, 0), vfs.NewOpenFile(p.open(true), false, true, 0)
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
		k := copy(b, p.buf[n:])
		n += k
	}
	if n == 0 {
		if room && p.writers > 0 {
			return 0, abi.EAGAIN
		}
		return 0, abi.OK
	}
	p.buf = append(p.buf[:0], p.buf[n:]...)
	p.mtim = p.now()
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
	room := Capacity - len(p.buf)
	switch {
	case p.readers == 0:
		return 0, abi.EPIPE
	case total == 0:
		return 0, abi.OK
	case room == 0 || total <= Atomic && total > room:
		return 0, abi.EAGAIN
	}
	n := 0
	for _, b := range bufs {
		b = b[:min(len(b), room-n)]
		p.buf = append(p.buf, b...)
		n += len(b)
	}
	p.mtim = p.now()
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
	case e.writer && Capacity-len(p.buf) >= Atomic:
		got = waiter.Out
	case !e.writer && len(p.buf) > 0:
		got = waiter.In
	}
	if !e.writer && p.writers == 0 {
		got |= waiter.Hup | waiter.In // a read gives the end
	}
	return got & (mask | waiter.Always)
}

// Register is waiter.Source's.
func (e *end) Register(w *waiter.Entry) { e.pipe.queue.Register(w) }

// Unregister is waiter.Source's.
func (e *end) Unregister(w *waiter.Entry) { e.pipe.queue.Unregister(w) }

// Close is vfs.File's. The last of a side tells the other.
func (e *end) Close() {
	p := e.pipe
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.sideLocked(e.writer)
	if *n--; *n > 0 {
		return
	}
	if e.writer {
		p.queue.Notify(waiter.In | waiter.Hup)
	} else {
		p.buf = nil
		p.queue.Notify(waiter.Out | waiter.Err)
	}
}

// Buffered returns how many bytes wait in the pipe behind f, for FIONREAD and
// poll_oneoff; false if f is no pipe.
func Buffered(f vfs.File) (int, bool) {
	e, ok := f.(*end)
	if !ok {
		return 0, false
	}
	e.pipe.mu.Lock()
	defer e.pipe.mu.Unlock()
	return len(e.pipe.buf), true
}
