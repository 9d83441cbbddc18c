// Package eventfd has eventfd(2): a counter as an open file, that one task adds
// to and another waits for. It belongs to no mount, and is saved with its count.
//
// Lock order: event.mu, then waiter.Queue.
package eventfd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

// Max is the highest that a count can be. A write that would make it more
// waits.
const Max = math.MaxUint64 - 1

// size is how many bytes a read gives and a write takes: a count, little-endian.
const size = 8

// event is an eventfd.
type event struct {
	semaphore bool // a read takes 1, not all; immutable
	queue     waiter.Queue

	mu    sync.Mutex
	count uint64 // at most Max; protected by mu
}

var _ vfs.Stream = (*event)(nil)

// New returns an eventfd with this count, at most Max. If it is a semaphore, a
// read takes 1 from it, else all.
func New(count uint64, semaphore bool, flags abi.FDFlags) *vfs.OpenFile {
	return vfs.NewOpenFile(&event{semaphore: semaphore, count: min(count, Max)}, true, true, flags)
}

// Read is vfs.Stream's: EINVAL for less than 8 bytes of room, EAGAIN for a count
// of 0.
func (e *event) Read(bufs [][]byte) (int, abi.Errno) {
	if total(bufs) < size {
		return 0, abi.EINVAL
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.count == 0 {
		return 0, abi.EAGAIN
	}
	n := e.count
	if e.semaphore {
		n = 1
	}
	e.count -= n
	var b [size]byte
	binary.LittleEndian.PutUint64(b[:], n)
	rest := b[:]
	for _, buf := range bufs {
		rest = rest[copy(buf, rest):]
	}
	e.queue.Notify(waiter.Out)
	return size, abi.OK
}

// Write is vfs.Stream's: it takes 8 bytes (EINVAL), and adds what they say. A
// count that would be more than Max gives EAGAIN.
func (e *event) Write(bufs [][]byte) (int, abi.Errno) {
	if total(bufs) < size {
		return 0, abi.EINVAL
	}
	var b [size]byte
	rest := b[:]
	for _, buf := range bufs {
		rest = rest[copy(rest, buf):]
	}
	n := binary.LittleEndian.Uint64(b[:])
	if n > Max {
		return 0, abi.EINVAL
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if n > Max-e.count {
		return 0, abi.EAGAIN
	}
	e.count += n
	e.queue.Notify(waiter.In) // also for 0: as on Linux, an edge for those who count them
	return size, abi.OK
}

func total(bufs [][]byte) (n int) {
	for _, b := range bufs {
		n += len(b)
	}
	return n
}

// Readiness is waiter.Source's. It is writable if 1 can be added.
func (e *event) Readiness(mask waiter.EventMask) waiter.EventMask {
	e.mu.Lock()
	defer e.mu.Unlock()
	var got waiter.EventMask
	if e.count > 0 {
		got |= waiter.In
	}
	if e.count < Max {
		got |= waiter.Out
	}
	return got & mask
}

// Register is waiter.Source's.
func (e *event) Register(w *waiter.Entry) { e.queue.Register(w) }

// Unregister is waiter.Source's.
func (e *event) Unregister(w *waiter.Entry) { e.queue.Unregister(w) }

// Stat is vfs.File's. Preview 1 has no type for an eventfd.
func (e *event) Stat() (abi.Filestat, abi.Errno) {
	return abi.Filestat{Filetype: abi.FiletypeUnknown, Nlink: 1}, abi.OK
}

// Describe is vfs.Described's.
func (e *event) Describe() string { return "anon_inode:[eventfd]" }

// Close is vfs.File's.
func (e *event) Close() {}

// Kind is the kind of an eventfd in a vfs.State. Restore is its
// vfs.RestoreFunc.
const Kind = "eventfd"

// State is an eventfd: a file of vfs.State.
type State struct {
	Count     uint64 `pb:"1"`
	Semaphore bool   `pb:"2"` // a read takes 1, not all
}

var errBadState = errors.New("bad state")

// Save is vfs.File's.
func (e *event) Save(*vfs.Saver) (vfs.ObjectState, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return vfs.NewObjectState(Kind, State{Count: e.count, Semaphore: e.semaphore})
}

// Restore makes the eventfd of data.
func Restore(_ *vfs.Restorer, data []byte) (vfs.File, error) {
	var s State
	if err := protostruct.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	if s.Count > Max {
		return nil, fmt.Errorf("eventfd: count %d: %w", s.Count, errBadState)
	}
	return &event{count: s.Count, semaphore: s.Semaphore}, nil
}
