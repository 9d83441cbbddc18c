package hostfile

import (
	"io"
	"sync"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

// streamSize is how much a Reader reads ahead and a Writer holds back, as much
// as a pipe of Linux.
const streamSize = 64 << 10

// A Reader is a guest's input that comes from an io.Reader of the embedding
// program. It reads ahead only when the guest has asked for input and there is
// none, and then up to one buffer; what it has read and the guest has not is
// part of the state (Unread).
type Reader struct {
	name  string    // immutable
	r     io.Reader // used by one pump at a time
	queue waiter.Queue

	mu      sync.Mutex
	idle    sync.Cond // no read is under way; its lock is mu
	ring    ring      // protected by mu
	err     error     // how r ended, io.EOF included; protected by mu
	pumping bool      // a goroutine is in r.Read; protected by mu
	closed  bool      // protected by mu
}

// NewReader returns the file name ("stdin") that gives what r does. Reads of r happen one at a time on a
// goroutine of the Reader.
func NewReader(name string, r io.Reader) *Reader {
	f := &Reader{name: name, r: r, ring: newRing(streamSize)}
	f.idle.L = &f.mu
	return f
}

// Read takes what is there, or has more read and returns EAGAIN.
func (f *Reader) Read(bufs [][]byte) (int, abi.Errno) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return 0, abi.EBADF
	case f.ring.n > 0:
		return each(bufs, func(p []byte) (int, abi.Errno) { return f.ring.get(p), abi.OK })
	case f.err == io.EOF, empty(bufs):
		return 0, abi.OK
	case f.err != nil:
		return 0, abi.EIO
	}
	f.pumpLocked()
	return 0, abi.EAGAIN
}

// pumpLocked starts a read of r, if none is under way.
func (f *Reader) pumpLocked() {
	if f.pumping || f.err != nil || f.closed || f.ring.n > 0 {
		return
	}
	f.pumping = true
	go f.pump()
}

// pump reads r once. It ends when r.Read returns: an io.Reader has no other
// way to be stopped.
func (f *Reader) pump() {
	buf := make([]byte, streamSize)
	n, err := 0, error(nil)
	for tries := 0; n == 0 && err == nil; tries++ {
		if tries == 100 {
			err = io.ErrNoProgress
			break
		}
		n, err = f.r.Read(buf)
	}
	f.mu.Lock()
	f.ring.put(buf[:n])
	f.err = err
	f.pumping = false
	f.idle.Broadcast()
	f.mu.Unlock()
	f.queue.Notify(waiter.In)
}

// Readiness returns waiter.In if there is input, its end or an error. It
// starts reading ahead if there is not, so that poll_oneoff without a read
// before comes to an end.
func (f *Reader) Readiness(mask waiter.EventMask) waiter.EventMask {
	f.mu.Lock()
	defer f.mu.Unlock()
	var got waiter.EventMask
	switch {
	case f.closed:
		got = waiter.In | waiter.Out | waiter.Err
	case f.ring.n > 0:
		got = waiter.In
	case f.err == io.EOF:
		got = waiter.In | waiter.Hup
	case f.err != nil:
		got = waiter.In | waiter.Err
	case mask&waiter.In != 0:
		f.pumpLocked()
	}
	return got & (mask | waiter.Always)
}

// Register makes e's callback be called when one of its events may have come.
func (f *Reader) Register(e *waiter.Entry) { f.queue.Register(e) }

// Unregister undoes Register.
func (f *Reader) Unregister(e *waiter.Entry) { f.queue.Unregister(e) }

// Unread is what has been read from the io.Reader and not by the guest. A read
// that is under way is not in it: see Wait.
func (f *Reader) Unread() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ring.bytes()
}

// Wait returns when no read of the io.Reader is under way. To make it return,
// end the io.Reader: close the pipe that it is.
func (f *Reader) Wait() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.pumping {
		f.idle.Wait()
	}
}

// Write gives EBADF.
func (f *Reader) Write([][]byte) (int, abi.Errno) { return 0, abi.EBADF }

// Stat tells that it is a stream of unknown type.
func (f *Reader) Stat() (abi.Filestat, abi.Errno) { return streamStat, abi.OK }

// Save saves the file by its name, with what is unread.
func (f *Reader) Save(*vfs.Saver) (vfs.ObjectState, error) {
	return vfs.NewObjectState(KindStdio, State{Name: f.name, Unread: f.Unread()})
}

// unread puts p before all that is read later.
func (f *Reader) unread(p []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rest := f.ring.bytes()
	f.ring = newRing(max(streamSize, len(p)+len(rest)+streamSize))
	f.ring.put(p)
	f.ring.put(rest)
}

// Close ends the file. It does not wait for a read that is under way, which may
// last for ever; Wait does.
func (f *Reader) Close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.queue.Notify(waiter.In | waiter.Hup)
}
