package hostfile

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

// A Writer is a guest's output that goes to an io.Writer of the embedding
// program. A bounded buffer lies between: when it is full, the guest is made to
// wait. Before a checkpoint it is emptied with Drain, so output is not part of
// the state and none is written twice.
type Writer struct {
	name  string    // immutable
	w     io.Writer // used by one pump at a time
	queue waiter.Queue

	mu      sync.Mutex
	idle    sync.Cond // the pump has ended; its lock is mu
	ring    ring      // protected by mu
	err     error     // what w ended with; protected by mu
	pumping bool      // a goroutine writes to w; protected by mu
	closed  bool      // protected by mu
}

// NewWriter returns the file name ("stdout") that writes to w. Writes to w happen one at a time
// on a goroutine of the Writer, which is there only while something is to be
// written.
func NewWriter(name string, w io.Writer) *Writer {
	f := &Writer{name: name, w: w, ring: newRing(streamSize)}
	f.idle.L = &f.mu
	return f
}

// Write takes as much as there is room for.
func (f *Writer) Write(bufs [][]byte) (int, abi.Errno) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return 0, abi.EBADF
	case f.err != nil:
		return 0, f.errnoLocked()
	case empty(bufs):
		return 0, abi.OK
	case f.ring.free() == 0:
		return 0, abi.EAGAIN
	}
	n, errno := each(bufs, func(p []byte) (int, abi.Errno) { return f.ring.put(p), abi.OK })
	if !f.pumping {
		f.pumping = true
		go f.pump()
	}
	return n, errno
}

// errnoLocked is EPIPE if the reader of a pipe has gone, EIO otherwise.
func (f *Writer) errnoLocked() abi.Errno {
	if errors.Is(f.err, io.ErrClosedPipe) || Errno(f.err) == abi.EPIPE {
		return abi.EPIPE
	}
	return abi.EIO
}

// pump writes until the buffer is empty or w fails. Bytes leave the buffer when
// w has taken them. Drain and Close wait for it.
func (f *Writer) pump() {
	buf := make([]byte, streamSize)
	f.mu.Lock()
	for f.err == nil && f.ring.n > 0 {
		n := f.ring.peek(buf)
		f.mu.Unlock()
		done, err := f.w.Write(buf[:n])
		if done < n && err == nil {
			err = io.ErrShortWrite
		}
		f.mu.Lock()
		f.ring.drop(max(0, min(done, n)))
		f.err = err
		f.mu.Unlock()
		f.queue.Notify(waiter.Out)
		f.mu.Lock()
	}
	f.pumping = false
	f.idle.Broadcast()
	f.mu.Unlock()
}

// Readiness returns waiter.Out if there is room, or a write would fail.
func (f *Writer) Readiness(mask waiter.EventMask) waiter.EventMask {
	f.mu.Lock()
	defer f.mu.Unlock()
	var got waiter.EventMask
	switch {
	case f.closed || f.err != nil:
		got = waiter.In | waiter.Out | waiter.Err
	case f.ring.free() > 0:
		got = waiter.Out
	}
	return got & (mask | waiter.Always)
}

// Register makes e's callback be called when one of its events may have come.
func (f *Writer) Register(e *waiter.Entry) { f.queue.Register(e) }

// Unregister undoes Register.
func (f *Writer) Unregister(e *waiter.Entry) { f.queue.Unregister(e) }

// Err is what the io.Writer failed with, if it has.
func (f *Writer) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// Drain waits until all that was written has been taken by the io.Writer, or
// that has failed, and returns its error. What wakes it: the end of the pump.
func (f *Writer) Drain() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.pumping {
		f.idle.Wait()
	}
	return f.err
}

// Read gives EBADF.
func (f *Writer) Read([][]byte) (int, abi.Errno) { return 0, abi.EBADF }

// Stat tells that it is a stream of unknown type.
func (f *Writer) Stat() (abi.Filestat, abi.Errno) { return streamStat, abi.OK }

// Save saves the file by its name, after a Drain. The io.Writer must not block
// for ever then.
func (f *Writer) Save(*vfs.Saver) (vfs.ObjectState, error) {
	if err := f.Drain(); err != nil {
		return vfs.ObjectState{}, fmt.Errorf("%s: %w", f.name, err)
	}
	return vfs.NewObjectState(KindStdio, State{Name: f.name})
}

// Close ends the file and waits until the io.Writer has all of it. It does not
// close the io.Writer.
func (f *Writer) Close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.queue.Notify(waiter.Out | waiter.Hup)
	f.Drain() // its error is told to those who ask: see Err
}
