// Package engine is what the kernel asks of an engine: to compile a module, to
// make a thread of it, to run that thread until it exits, traps or comes to a
// safepoint, and to tell and take its state.
//
// Records (Frame) name functions and positions of the original module and wasm
// values only, so they can be moved between engines.
package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/stasis-run/stasis/internal/wasm"
)

// An Engine compiles modules. It is safe for concurrent use.
type Engine interface {
	// Compile checks and compiles a module. Errors name what is not supported
	// (ErrUnsupported) or what is wrong with the module and where.
	Compile(ctx context.Context, module []byte) (Module, error)

	// Close frees what the engine holds. Modules must be closed before.
	Close() error
}

// ErrUnsupported is in the chain of errors of Compile that say that a valid
// module uses something that cannot be stopped yet.
var ErrUnsupported = errors.New("unsupported")

// A MemoryError says that a module needs more memory than its limit allows.
type MemoryError struct{ Need, Limit uint64 }

func (e *MemoryError) Error() string {
	return fmt.Sprintf("the module needs %d bytes of memory, the limit is %d", e.Need, e.Limit)
}

// An Import is a function that a module imports.
type Import struct {
	Module, Name string
	Type         wasm.FuncType
}

// A Module is a compiled module. It is safe for concurrent use.
type Module interface {
	// Imports lists the functions that the module imports, by index.
	Imports() []Import

	// Export finds an exported function.
	Export(name string) (fn uint32, t wasm.FuncType, ok bool)

	// Tags lists the kinds of exceptions that the module knows, imported ones
	// first.
	Tags() []Tag

	// FuncName is the name of a function for people.
	FuncName(fn uint32) string

	// Digest is the SHA-256 of the original module.
	Digest() [32]byte

	// New makes a thread over a memory, tables and globals of its own: as the
	// module's segments say, or as state does where that is not nil. The state
	// may come from anywhere: what does not fit the module is an error that
	// names it.
	New(ctx context.Context, host Host, limits Limits, state *State) (Thread, error)

	// Join makes another thread over the memory of one that runs or is at rest,
	// with tables and globals of its own: as at a start, or as state does where
	// that is not nil. The module's memory must be shared (SharedMemory). Its
	// limits are those of the other one. It may be called on any goroutine while
	// of is not closed.
	Join(ctx context.Context, host Host, of Thread, state *State) (Thread, error)

	// SharedMemory reports whether the module has a memory that several threads
	// can share.
	SharedMemory() bool

	// Close frees the module's code. Its threads must be closed before.
	Close() error
}

// Limits bound a thread. The zero values are defaults.
type Limits struct {
	Memory int64 // bytes of linear memory; 0 is 4 GiB less a page
	Stack  int64 // bytes of frames, in the portable measure of doc/image.md; 0 is 64 MiB

	// Budget is what the memories of all threads of a system have together, in bytes;
	// nil is no bound. What does not fit gives ErrNoMemory, and -1 from memory.grow.
	Budget Budget
}

// A Budget bounds what several take of something together.
type Budget interface {
	Take(n int) bool // n, if as much is left
	Give(n int)      // back
}

// ErrNoMemory says that a thread's memory does not fit into Limits.Budget.
var ErrNoMemory = errors.New("the system has as much memory as it may have")

// A Host answers a guest's calls of imports.
type Host interface {
	// Call runs import fn. The arguments are in stack, where the upper half of
	// one of 32 bits is not defined; results replace them from its start. It
	// is called on the goroutine that called Run, and may use Thread methods
	// that say so.
	//
	// With Return the guest goes on with the results. With Unwind its stack is
	// taken apart and Run returns; the call is then the thread's pending call,
	// and the guest goes on after Complete. With Throw it throws what the host
	// has given to Thread.Throw.
	//
	// fn may also be one of the numbers of Wait32 and so on.
	Call(fn uint32, stack []uint64) Action
}

// Numbers under which Host.Call and Thread.Pending name the instructions that
// wait for other threads or wake them: above those of all imports. Addresses
// are effective ones, which lie in the memory and are aligned.
const (
	Wait32 = ^uint32(0) - 1 - iota // (address, expected, timeout in ns or negative) -> 0 woken, 1 not equal, 2 timed out
	Wait64                         // the same, with 64 bits expected
	Notify                         // (address, count) -> how many were woken
)

// AtomicCall is the number, of those, under which a record of a pending one
// names it, and AtomicNumber its inverse: 0 if there is none.
func AtomicCall(number uint32) (fn uint32, ok bool) {
	return ^uint32(0) - number, number >= 1 && number <= 3
}

// AtomicNumber is what Pending.Atomic is for one of them, or 0.
func AtomicNumber(fn uint32) uint32 {
	if fn < Notify || fn > Wait32 {
		return 0
	}
	return ^uint32(0) - fn
}

// An Action is what becomes of a call of an import.
type Action int

// Actions.
const (
	Return Action = iota
	Unwind
	Throw
)

// An EventKind says why Run returned.
type EventKind int

// Kinds of events.
const (
	// Unwound: the stack is taken apart. Look for what waits and call Run again.
	Unwound EventKind = iota
	// Exited: the first function has returned. Event has its results.
	Exited
	// Trapped: the guest did what it may not. Event has the trap. The stack is
	// gone, the rest of the thread is as the guest left it.
	Trapped
	// Threw: nothing caught what the guest threw. Event has the exception, and a
	// trap that says so. The stack is gone as with Trapped.
	Threw
)

// An Event is why Run returned.
type Event struct {
	Kind    EventKind
	Results []uint64 // Exited: valid until the next call of a method
	Trap    *Trap    // Trapped, Threw

	Exception *Exception // Threw
}

// An Exception is what is thrown: a tag's values.
type Exception struct {
	Number uint32  `pb:"1"` // by which references name it; 0 if there is none
	Tag    uint32  `pb:"2"` // of several imports of one tag, the first
	Values []Value `pb:"3"`
}

// A Tag is a kind of exceptions.
type Tag struct {
	Module, Name string         // of the import; "" if the module defines it
	Params       []wasm.ValType // of its exceptions' values
}

// A Thread runs the guest code of one task. Only Interrupt may be called from
// another goroutine than the one that calls Run, and only under a lock of the
// caller's that Clear is called under as well; so may Memory, for its length,
// until Close.
type Thread interface {
	// Start puts a call of a function on the stack, which must be empty; above
	// it calls of the functions before, which take and return nothing and are
	// called first, in this order; on the stack of a new thread, a call of the
	// module's own start function comes before all. ModuleStart for fn puts only
	// that.
	Start(fn uint32, args []uint64, before ...uint32) error

	// Run runs guest code until it exits, traps, or unwinds at a safepoint. It
	// may unwind without having been interrupted: the caller looks for stops
	// and calls Run again.
	Run(ctx context.Context) Event

	// Interrupt asks a Run in progress to unwind at its next safepoint, and
	// one that comes later at its first. Clear withdraws that.
	Interrupt()
	Clear()

	// Pending is the import call on which the unwound thread waits, if any. Its
	// arguments must not be changed.
	Pending() (fn uint32, args []uint64, ok bool)

	// Complete ends the pending call with its results.
	Complete(results []uint64)

	// Throw has the pending call, or the one that Host.Call is asked for and
	// answers with Throw, throw. References to exceptions among the values must
	// be of this thread.
	Throw(e *Exception) error

	// Detach takes the stack off the unwound thread: what is under way, what that
	// waits for, and the results that it has been given. Start can begin another
	// one then.
	Detach() Stack

	// Attach puts a stack back that was taken off this thread, which must have none.
	// Nothing else may be done with that Stack any more.
	Attach(s Stack)

	// RestoreStack makes a stack of the thread of what Stack.Save has told. It may
	// come from anywhere: what does not fit the module is an error that names it.
	RestoreStack(c *Calls) (Stack, error)

	// Globals describes the unwound thread's mutable globals, and SetGlobals makes
	// them what Globals has told.
	Globals() []Global
	SetGlobals([]Global) error

	// StackPointer is where the stack ends that a C-like language keeps in memory;
	// false if the module does not tell. Both only while the thread is unwound.
	StackPointer() (uint64, bool)
	SetStackPointer(uint64)

	// TableFunc is the function at an index of the first table, which takes and
	// returns nothing; false if there is none.
	TableFunc(index uint32) (fn uint32, ok bool)

	// SetHost has calls of imports go to another host from now on. Only while the
	// thread is unwound.
	SetHost(Host)

	// Memory is the thread's linear memory. Those of threads over one memory are
	// equal.
	Memory() Memory

	// Depth is the number of frames of the unwound thread.
	Depth() int

	// Backtrace is where the unwound thread is. It may be long: see Trace.Append.
	Backtrace() Trace

	// Save describes the unwound thread. It shares nothing with it.
	Save() (*State, error)

	// Park frees of the unwound thread what can be made again, its instance and what the
	// engine has for stacks, until something is asked for that needs them. All methods
	// can be called meanwhile.
	Park() error

	// Safepoints counts unwinds, for tests and statistics.
	Unwinds() uint64

	// Close frees the thread. It must not be running.
	Close() error
}

// ModuleStart is the argument of Thread.Start for the module's own start
// function alone, if it has one.
const ModuleStart = ^uint32(0)

// A Memory is a linear memory. Its bytes stay where they are while it grows.
type Memory interface {
	// Bytes is the whole memory as it is now, also for another goroutine while
	// guest code runs; what is in it is the guest's then.
	Bytes() []byte

	// Hold keeps Bytes readable until release is called, though the last thread that
	// has the memory be closed before.
	Hold() (release func())
}

// A Stack is what a thread had under way when it was taken off it: see
// Thread.Detach. It is for the goroutine that the thread is for.
type Stack interface {
	// Depth is the number of frames.
	Depth() int

	// Backtrace is where the stack is.
	Backtrace() Trace

	// Pending is as Thread.Pending.
	Pending() (fn uint32, args []uint64, ok bool)

	// Save describes the stack. It shares nothing with it.
	Save() Calls

	// Copy is another stack of the same thread that begins as this one.
	Copy() Stack

	// Drop forgets the stack, which is of no use any more. It may be called on any
	// goroutine: who has lent the thread may end while another runs on it.
	Drop()
}

// Calls describe a stack in terms of the original module.
type Calls struct {
	Frames   []Frame  `pb:"1"` // outermost first
	Pending  *Pending `pb:"2"` // nil if nothing is waited for
	Returned []uint64 `pb:"3"` // what the call that the innermost frame is at has returned, in words, if it is not pending
}

// A State is all of a thread but its memory, in terms of the original module.
type State struct {
	Frames  []Frame   `pb:"1"` // outermost first
	Pending *Pending  `pb:"2"` // nil if nothing is waited for
	Globals []Global  `pb:"3"` // mutable ones that the module defines, ascending
	Tables  []Table   `pb:"4"` // those that may differ from what the segments made of them
	Dropped []Segment `pb:"5"`
	Fresh   bool      `pb:"6"` // nothing has run: segments are not applied yet

	// MemorySize is the memory's length in bytes. New grows the memory to it;
	// its content is the caller's.
	MemorySize uint64 `pb:"7"`

	// Exceptions are those to which references exist, by number.
	Exceptions []Exception `pb:"8"`

	// Returned is that of Calls.
	Returned []uint64 `pb:"9"`
}

// Calls is the stack of a state.
func (st *State) Calls() *Calls {
	return &Calls{Frames: st.Frames, Pending: st.Pending, Returned: st.Returned}
}

// A Frame is a record: a function at a position, and its live values.
type Frame struct {
	Func   uint32 `pb:"1"`
	Pos    uint32 `pb:"2"`
	Values []Slot `pb:"3"`
}

// A Slot is a live local, or operand stack slot, and its value.
type Slot struct {
	Operand bool   `pb:"1"` // a slot of the operand stack, counted from the bottom
	Index   uint32 `pb:"2"`
	Value   Value  `pb:"3"`

	// Caught marks what a catch around the position has caught, for a rethrow;
	// Index is the position of the catch.
	Caught bool `pb:"4"`
}

// A Value is a wasm value. Function references are function indices plus one,
// references to exceptions are their numbers, 0 is null; other references are
// the host's numbers.
type Value struct {
	Type wasm.ValType `pb:"1"` // as in a module: 0x7f is an i32
	Lo   uint64       `pb:"2"`
	Hi   uint64       `pb:"3"` // the upper half of a v128
}

// Pending is what the innermost frame waits for: an import call to be made,
// (Bulk) a memory operation with what is left of its operands, or (Atomic) an
// instruction that waits for other threads or wakes them.
type Pending struct {
	Import uint32   `pb:"1"`
	Bulk   bool     `pb:"2"`
	Op     uint32   `pb:"3"` // Bulk: 0 fill, 1 copy, 2+n init from data segment n
	Args   []uint64 `pb:"4"`
	Atomic uint32   `pb:"5"` // 1 wait32, 2 wait64, 3 notify; 0 none
}

// A Global is the value of a global.
type Global struct {
	Index uint32 `pb:"1"`
	Value Value  `pb:"2"`
}

// A Table is the content of a table: function indices plus one and 0 for null,
// or the host's numbers.
type Table struct {
	Index uint32   `pb:"1"`
	Items []uint64 `pb:"2"`
}

// A Segment names a segment that was dropped by the guest.
type Segment struct {
	Elem  bool   `pb:"1"`
	Index uint32 `pb:"2"`
}

// A Location is a place in the code of the original module.
type Location struct {
	Func uint32 // function, of the whole index space
	Pos  uint32 // the instruction's ordinal plus one, as in a Frame; 0 is unknown
	Mark uint32 // until Trap.Locate: by what the engine finds the position, or 0
}

// A Trace is a stack: the functions that a thread is in and where in them, each
// at the instruction that traps, is to run next, or calls the next inner one.
// The zero value is an empty one.
type Trace struct {
	Frames []Location // innermost first, all or as many as were wanted
	Cut    int        // how many follow that are left out
	Outer  []Location // outermost ones below those
}

// MaxFrames and MaxOuter bound the traces that are made for people, in frames.
const (
	MaxFrames = 100
	MaxOuter  = 20
)

// Len is the number of frames, those included that are left out.
func (t *Trace) Len() int { return len(t.Frames) + t.Cut + len(t.Outer) }

// Append adds frames below those that are there, innermost first, of which more
// than MaxFrames innermost and MaxOuter outermost are counted only.
func (t *Trace) Append(frames ...Location) {
	if t.Cut == 0 && len(t.Outer) == 0 {
		n := min(len(frames), max(0, MaxFrames-len(t.Frames)))
		t.Frames = append(t.Frames, frames[:n]...)
		frames = frames[n:]
	}
	t.Outer = append(t.Outer, frames...)
	if over := len(t.Outer) - MaxOuter; over > 0 {
		t.Cut += over
		t.Outer = append([]Location(nil), t.Outer[over:]...)
	}
}

// Join adds another trace below.
func (t *Trace) Join(below Trace) {
	t.Append(below.Frames...)
	if below.Cut > 0 { // what lies above it counts with it
		t.Cut += len(t.Outer) + below.Cut
		t.Outer = nil
	}
	t.Append(below.Outer...)
}

// A Trap says what a guest did.
type Trap struct {
	Message string // as the specification's tests spell it
	Trace
	module Module
	later  func(*Trace) // finds positions that are not known yet, or nil
	slots  func(below int) []Slot
}

// NewTrap makes a trap of a module.
func NewTrap(m Module, message string, at Trace) *Trap {
	return &Trap{Message: message, Trace: at, module: m}
}

// Later has Locate call find, to fill in positions and take away marks.
func (t *Trap) Later(find func(*Trace)) { t.later = find }

// Known has Slots call slots.
func (t *Trap) Known(slots func(below int) []Slot) { t.slots = slots }

// Slots is the live values of a frame of the trace, by how many frames are below
// it; nil if they are not known, as of those that were running.
func (t *Trap) Slots(below int) []Slot {
	if t.slots == nil {
		return nil
	}
	return t.slots(below)
}

// Locate finds the positions that are not known yet, as far as they can be, which
// may take a second. The module must not be closed. It is for one goroutine.
func (t *Trap) Locate() {
	if t.later != nil {
		t.later(&t.Trace)
		t.later = nil
	}
}

func (t *Trap) Error() string { return t.Message }

// Stack is the trap's stack, a line with the function's name each. Package
// symbols knows more.
func (t *Trap) Stack() string {
	var b strings.Builder
	n := 0
	line := func(f Location) {
		fmt.Fprintf(&b, "  %2d: %s\n", n, t.module.FuncName(f.Func))
		n++
	}
	for _, f := range t.Frames {
		line(f)
	}
	if t.Cut > 0 {
		fmt.Fprintf(&b, "  … %d more\n", t.Cut)
		n += t.Cut
	}
	for _, f := range t.Outer {
		line(f)
	}
	return b.String()
}
