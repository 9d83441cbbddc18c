package kernel

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/invariants"
	"github.com/stasis-run/stasis/internal/wasm"
)

// Futexes: tasks that wait at an address of a memory until another one wakes
// them. There is one table of them for all that waits so, whichever call it
// came by. Who came first is woken first.
//
// A wait lasts from the look at the address, which is made under the table's
// lock together with lining up, so that no wake-up between the two is lost, to
// its result. It outlives stops: a task that is stopped meanwhile keeps its
// place, can be woken while it stands, and does not look at the address again.

// A futexKey is where tasks wait. Memories of one process are equal.
type futexKey struct {
	memory engine.Memory
	addr   uint64
}

// A futexWaiter is a task's place in the line at an address. It is a Wait.
type futexWaiter struct {
	table *futexTable
	key   futexKey
	order uint64 // across all addresses: lower came first

	queued bool   // in the line; protected by futexTable.mu
	woken  bool   // protected by futexTable.mu
	wake   func() // of the Block in progress, or nil; protected by futexTable.mu
}

// A futexTable is all waiters of a kernel.
type futexTable struct {
	mu    invariants.Mutex[futexLock]
	lines map[futexKey][]*futexWaiter // protected by mu
	last  uint64                      // order of the last that came; protected by mu
}

// enqueue lines up at an address if equal says that its content is still what
// was expected.
func (f *futexTable) enqueue(key futexKey, equal func() bool) *futexWaiter {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !equal() {
		return nil
	}
	f.last++
	w := &futexWaiter{table: f, key: key, order: f.last}
	f.insertLocked(w)
	return w
}

// insertLocked puts w behind those that came before it.
//
// Preconditions: f.mu is locked.
func (f *futexTable) insertLocked(w *futexWaiter) {
	if f.lines == nil {
		f.lines = make(map[futexKey][]*futexWaiter)
	}
	line := f.lines[w.key]
	at := len(line)
	for at > 0 && line[at-1].order > w.order {
		at--
	}
	f.lines[w.key] = slices.Insert(line, at, w)
	w.queued = true
}

// wake wakes at most n of those that wait at an address, the first first, and
// returns how many.
func (f *futexTable) wake(key futexKey, n uint32) uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	line := f.lines[key]
	n = uint32(min(uint64(n), uint64(len(line))))
	for _, w := range line[:n] {
		w.queued, w.woken = false, true
		if w.wake != nil {
			w.wake()
		}
	}
	f.setLocked(key, slices.Delete(line, 0, int(n)))
	return n
}

// Preconditions: f.mu is locked.
func (f *futexTable) setLocked(key futexKey, line []*futexWaiter) {
	if len(line) == 0 {
		delete(f.lines, key)
	} else {
		f.lines[key] = line
	}
}

// give takes w out of the line, if it is still in it, and reports whether it
// was woken before.
func (w *futexWaiter) give() (woken bool) {
	f := w.table
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.queued {
		w.queued = false
		line := f.lines[w.key]
		f.setLocked(w.key, slices.DeleteFunc(line, func(o *futexWaiter) bool { return o == w }))
	}
	return w.woken
}

// Register implements Wait.
func (w *futexWaiter) Register(wake func()) (cancel func()) {
	w.table.mu.Lock()
	defer w.table.mu.Unlock()
	w.wake = wake
	return func() {
		w.table.mu.Lock()
		defer w.table.mu.Unlock()
		w.wake = nil
	}
}

func (w *futexWaiter) isWoken() bool {
	w.table.mu.Lock()
	defer w.table.mu.Unlock()
	return w.woken
}

// FutexResult is how a wait at an address ended, by the numbers of
// memory.atomic.wait32.
type FutexResult uint32

// Results of FutexWait.
const (
	FutexWoken    FutexResult = iota // by FutexWake
	FutexNotEqual                    // the address held something else; there was no wait
	FutexTimedOut
	FutexSignalled // a handler is to run
)

// FutexWait waits until another task wakes those that wait at addr of the
// task's memory, or for timeout ns (negative: for ever). equal is asked once,
// when the call is made for the first time, and must not block. With Again the
// call is to be made again, and goes on waiting then.
//
// Only on the task goroutine, in a system call.
func (t *Task) FutexWait(addr uint64, timeout int64, equal func() bool) (FutexResult, Outcome) {
	r := &t.restart
	if !r.Set {
		w := t.k.futexes.enqueue(futexKey{t.thread.Memory(), addr}, equal)
		if w == nil {
			return FutexNotEqual, Done
		}
		t.waits = w
		r.Set, r.Deadline = true, t.k.deadline(timeout)
	}
	w := t.waits
	if w == nil { // only a state that was made up has none; a wake-up without reason is no harm
		return FutexWoken, Done
	}
	got := t.Block(r.Deadline, w.isWoken, w)
	if got == Interrupted {
		return 0, Again
	}
	t.waits = nil
	switch woken := w.give(); {
	case woken:
		return FutexWoken, Done
	case got == Signalled:
		return FutexSignalled, Done
	}
	return FutexTimedOut, Done
}

// FutexWake wakes at most n tasks that wait at addr of the task's memory, those
// that came first, and returns how many.
func (t *Task) FutexWake(addr uint64, n uint32) uint32 {
	return t.k.futexes.wake(futexKey{t.thread.Memory(), addr}, n)
}

// deadline is a time from now on, in ns of the monotonic clock; negative is
// Never.
func (k *Kernel) deadline(timeout int64) int64 {
	now := k.clocks.Monotonic()
	if timeout < 0 || timeout > math.MaxInt64-now {
		return Never
	}
	return now + timeout
}

// atomicCalls are the instructions that wait or wake, as calls, by
// engine.AtomicNumber less one.
var atomicCalls [3]Call

// A task that has waited makes its call again, so the calls are not known before
// what makes them.
func init() {
	results := []wasm.ValType{wasm.I32}
	atomicCalls = [...]Call{
		{Name: "memory.atomic.wait32", Handlers: NeverEnds, Results: results, Fn: func(t *Task, args []uint64) Outcome {
			return t.atomicWait(args, func(p unsafe.Pointer) bool { return atomic.LoadUint32((*uint32)(p)) == uint32(args[1]) })
		}},
		{Name: "memory.atomic.wait64", Handlers: NeverEnds, Results: results, Fn: func(t *Task, args []uint64) Outcome {
			return t.atomicWait(args, func(p unsafe.Pointer) bool { return atomic.LoadUint64((*uint64)(p)) == args[1] })
		}},
		{Name: "memory.atomic.notify", Results: results, Fn: func(t *Task, args []uint64) Outcome {
			args[0] = uint64(t.FutexWake(args[0], uint32(args[1])))
			return Done
		}},
	}
}

// atomicWait is memory.atomic.wait32 and wait64: the engine has checked the
// address.
func (t *Task) atomicWait(args []uint64, equal func(unsafe.Pointer) bool) Outcome {
	res, outcome := t.FutexWait(args[0], int64(args[2]), func() bool { return equal(unsafe.Pointer(&t.Memory()[args[0]])) })
	if outcome == Done {
		args[0] = uint64(res)
	}
	return outcome
}

// FutexState is a task's place in the line at an address.
type FutexState struct {
	Addr  uint64 `pb:"1"`
	Order uint64 `pb:"2"` // among the waiters of all addresses: 1 came first
	Woken bool   `pb:"3"` // it was woken, and has not gone on yet
}

// save describes a wait of a task that is at rest, or returns nil.
func (w *futexWaiter) save() *FutexState {
	if w == nil {
		return nil
	}
	w.table.mu.Lock()
	defer w.table.mu.Unlock()
	return &FutexState{Addr: w.key.addr, Order: w.order, Woken: w.woken}
}

// renumber makes the orders of saved waits small numbers, so that they do not
// tell how many there have been.
func renumberWaits(st *State) {
	var waits []*FutexState
	note := func(w *FutexState) {
		if w != nil {
			waits = append(waits, w)
		}
	}
	for i := range st.Processes {
		for j := range st.Processes[i].Tasks {
			t := &st.Processes[i].Tasks[j]
			note(t.Futex)
			for k := range t.Below {
				note(t.Below[k].Futex)
			}
			for k := range t.Fibers {
				for l := range t.Fibers[k].Below {
					note(t.Fibers[k].Below[l].Futex)
				}
			}
		}
	}
	slices.SortFunc(waits, func(a, b *FutexState) int { return cmp.Compare(a.Order, b.Order) })
	for i, w := range waits {
		w.Order = uint64(i) + 1
	}
}

// pendingCall is what a stack waits for: an engine.Thread or engine.Stack.
type pendingCall interface {
	Pending() (fn uint32, args []uint64, ok bool)
}

// restoreWait puts a task that does not run yet back into the line where a stack of
// its waits.
func (t *Task) restoreWait(mem engine.Memory, of pendingCall, r Restart, st *FutexState) (*futexWaiter, error) {
	f := &t.k.futexes
	fn, _, pending := of.Pending()
	if st == nil {
		if pending && r.Set && (fn == engine.Wait32 || fn == engine.Wait64) {
			return nil, errors.New("a call that waits at an address without its place there")
		}
		return nil, nil
	}
	if !pending || !r.Set || fn == engine.Notify {
		return nil, fmt.Errorf("a wait at address %#x without a call that waits", st.Addr)
	}
	if st.Addr >= uint64(len(mem.Bytes())) {
		return nil, fmt.Errorf("a wait at address %#x of %d bytes", st.Addr, len(mem.Bytes()))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	w := &futexWaiter{table: f, key: futexKey{mem, st.Addr}, order: st.Order, woken: st.Woken}
	if !w.woken {
		f.insertLocked(w)
	}
	f.last = max(f.last, st.Order)
	return w, nil
}
