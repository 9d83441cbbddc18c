package enginetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/wasm"
)

// A Step is one thing that a scripted guest does.
type Step interface{ step() }

// Steps of a script.
type (
	// Loop comes to safepoints all the time, until Until is closed; nil is for
	// ever. It is unwound when the thread is interrupted, and goes on after.
	Loop struct{ Until <-chan struct{} }

	// Deaf is guest code without a safepoint: nothing stops it before Until.
	Deaf struct{ Until <-chan struct{} }

	// Import calls an import.
	Import struct {
		Fn   uint32
		Args []uint64
	}

	// Spurious unwinds though nobody asked for it.
	Spurious struct{}

	// Exit returns from the first function. So does the end of a script.
	Exit struct{ Results []uint64 }

	// Fault traps.
	Fault struct{ Message string }

	// Do calls a function on the task goroutine, in the midst of guest code.
	Do func(*ScriptedThread)
)

func (Loop) step()     {}
func (Deaf) step()     {}
func (Import) step()   {}
func (Spurious) step() {}
func (Exit) step()     {}
func (Fault) step()    {}
func (Do) step()       {}

// A Scripted is an engine.Module whose one function, "main", is a list of
// steps, so that tests of a kernel need neither compiler nor wasm. Its threads
// keep to the contract of engine.Thread and panic if their caller does not.
type Scripted struct {
	Calls  []engine.Import // what it imports
	Params []wasm.ValType  // of main
	Steps  []Step
	Sum    [32]byte // digest
	Shared bool     // its threads may share a memory

	mu      sync.Mutex
	threads []*ScriptedThread // protected by mu
	closed  int               // threads closed; protected by mu
}

// Imports implements engine.Module.
func (m *Scripted) Imports() []engine.Import { return m.Calls }

// Export implements engine.Module.
func (m *Scripted) Export(name string) (uint32, wasm.FuncType, bool) {
	return 0, wasm.FuncType{Params: m.Params}, name == "main"
}

// FuncName implements engine.Module.
func (m *Scripted) FuncName(uint32) string { return "main" }

// Digest implements engine.Module.
func (m *Scripted) Digest() [32]byte { return m.Sum }

// Close implements engine.Module.
func (m *Scripted) Close() error { return nil }

// Tags implements engine.Module: there are none.
func (m *Scripted) Tags() []engine.Tag { return nil }

// Threads lists the threads that were made, in order.
func (m *Scripted) Threads() []*ScriptedThread {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.threads)
}

// Open is how many threads were not closed yet.
func (m *Scripted) Open() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.threads) - m.closed
}

// scriptedBytes is the memory of a new thread, and maxScripted the most that
// a state may ask for, in bytes.
const (
	scriptedBytes = 1 << 10
	maxScripted   = 1 << 20
)

// New implements engine.Module. A state's one frame has the script's position;
// its values are what the imports have given so far.
func (m *Scripted) New(_ context.Context, h engine.Host, _ engine.Limits, st *engine.State) (engine.Thread, error) {
	t := &ScriptedThread{module: m, host: h, raised: make(chan struct{}), mem: &scriptedMemory{make([]byte, scriptedBytes)}}
	if st != nil {
		if err := t.restore(st); err != nil {
			return nil, fmt.Errorf("state: %w", err)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.threads = append(m.threads, t)
	return t, nil
}

// SharedMemory implements engine.Module.
func (m *Scripted) SharedMemory() bool { return m.Shared }

// Join implements engine.Module.
func (m *Scripted) Join(ctx context.Context, h engine.Host, of engine.Thread, st *engine.State) (engine.Thread, error) {
	th, err := m.New(ctx, h, engine.Limits{}, st)
	if err == nil {
		th.(*ScriptedThread).mem = of.(*ScriptedThread).mem // threads over one memory have equal ones
	}
	return th, err
}

// A ScriptedThread is a thread of a Scripted.
type ScriptedThread struct {
	module *Scripted
	host   engine.Host

	// Only on the task goroutine.
	pc      int
	started bool
	got     []uint64 // the results of the imports, in order
	pending *engine.Pending
	mem     *scriptedMemory

	inRun      atomic.Bool
	runs       atomic.Uint64
	unwinds    atomic.Uint64
	interrupts atomic.Uint64
	closed     atomic.Bool

	mu     sync.Mutex
	look   bool          // protected by mu
	raised chan struct{} // closed when look is raised; protected by mu
}

// idle panics if guest code runs: the caller breaks the contract.
func (t *ScriptedThread) idle(what string) {
	if t.inRun.Load() {
		panic("enginetest: " + what + " while guest code runs")
	}
	if t.closed.Load() {
		panic("enginetest: " + what + " of a closed thread")
	}
}

// Start implements engine.Thread.
func (t *ScriptedThread) Start(fn uint32, args []uint64, before ...uint32) error {
	t.idle("Start")
	if t.started {
		return errors.New("start: the thread has a stack already")
	}
	t.started = true
	return nil
}

// Run implements engine.Thread.
func (t *ScriptedThread) Run(context.Context) engine.Event {
	t.idle("Run")
	if t.pending != nil {
		panic("enginetest: Run while an import call is pending")
	}
	t.inRun.Store(true)
	t.runs.Add(1)
	ev := t.run()
	t.inRun.Store(false)
	if ev.Kind == engine.Unwound {
		t.unwinds.Add(1)
	}
	return ev
}

func (t *ScriptedThread) run() engine.Event {
	for t.pc < len(t.module.Steps) {
		switch s := t.module.Steps[t.pc].(type) {
		case Loop:
			select {
			case <-t.lookRaised():
				return engine.Event{Kind: engine.Unwound}
			default:
			}
			select {
			case <-t.lookRaised():
				return engine.Event{Kind: engine.Unwound}
			case <-s.Until:
				t.pc++
			}
		case Deaf:
			<-s.Until
			t.pc++
		case Import:
			t.pc++
			stack := make([]uint64, max(8, len(s.Args)))
			copy(stack, s.Args)
			if t.host.Call(s.Fn, stack) == engine.Unwind {
				t.pending = &engine.Pending{Import: s.Fn, Args: slices.Clone(s.Args)}
				return engine.Event{Kind: engine.Unwound}
			}
			t.got = append(t.got, stack[:len(t.module.Calls[s.Fn].Type.Results)]...)
		case Spurious:
			t.pc++
			return engine.Event{Kind: engine.Unwound}
		case Exit:
			return engine.Event{Kind: engine.Exited, Results: s.Results}
		case Fault:
			return engine.Event{Kind: engine.Trapped, Trap: engine.NewTrap(t.module, s.Message, t.Backtrace())}
		case Do:
			t.pc++
			s(t)
		}
	}
	return engine.Event{Kind: engine.Exited, Results: t.got}
}

func (t *ScriptedThread) lookRaised() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.raised
}

// Interrupt implements engine.Thread.
func (t *ScriptedThread) Interrupt() {
	if t.closed.Load() {
		panic("enginetest: Interrupt of a closed thread")
	}
	t.interrupts.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.look {
		t.look = true
		close(t.raised)
	}
}

// Clear implements engine.Thread.
func (t *ScriptedThread) Clear() {
	t.idle("Clear")
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.look {
		t.look = false
		t.raised = make(chan struct{})
	}
}

// Pending implements engine.Thread.
func (t *ScriptedThread) Pending() (uint32, []uint64, bool) {
	if t.pending == nil {
		return 0, nil, false
	}
	return t.pending.Import, t.pending.Args, true
}

// Throw implements engine.Thread.
func (t *ScriptedThread) Throw(*engine.Exception) error {
	return errors.New("a script throws nothing")
}

// Complete implements engine.Thread.
func (t *ScriptedThread) Complete(results []uint64) {
	t.idle("Complete")
	if t.pending == nil {
		panic("enginetest: Complete without a pending call")
	}
	t.pending = nil
	t.got = append(t.got, results...)
}

// A scriptedMemory is a memory that threads may have in common.
type scriptedMemory struct{ bytes []byte }

// Bytes implements engine.Memory.
func (m *scriptedMemory) Bytes() []byte { return m.bytes }

// Memory implements engine.Thread.
func (t *ScriptedThread) Memory() engine.Memory { return t.mem }

// Depth implements engine.Thread.
func (t *ScriptedThread) Depth() int { return 1 }

// Backtrace implements engine.Thread.
func (t *ScriptedThread) Backtrace() engine.Trace {
	return engine.Trace{Frames: make([]engine.Location, 1)}
}

// Unwinds implements engine.Thread.
func (t *ScriptedThread) Unwinds() uint64 { return t.unwinds.Load() }

// Runs counts calls of Run.
func (t *ScriptedThread) Runs() uint64 { return t.runs.Load() }

// Interrupts counts calls of Interrupt.
func (t *ScriptedThread) Interrupts() uint64 { return t.interrupts.Load() }

// Save implements engine.Thread.
func (t *ScriptedThread) Save() (*engine.State, error) {
	t.idle("Save")
	st := &engine.State{MemorySize: uint64(len(t.mem.bytes)), Fresh: t.pc == 0 && len(t.got) == 0}
	f := engine.Frame{Pos: uint32(t.pc)}
	for i, v := range t.got {
		f.Values = append(f.Values, engine.Slot{Index: uint32(i), Value: engine.Value{Type: wasm.I64, Lo: v}})
	}
	st.Frames = []engine.Frame{f}
	if t.pending != nil {
		p := *t.pending
		p.Args = slices.Clone(p.Args)
		st.Pending = &p
	}
	return st, nil
}

func (t *ScriptedThread) restore(st *engine.State) error {
	if len(st.Frames) != 1 || st.Frames[0].Func != 0 || uint64(st.Frames[0].Pos) > uint64(len(t.module.Steps)) {
		return errors.New("frames do not fit the script")
	}
	if st.MemorySize > maxScripted {
		return fmt.Errorf("memory of %d bytes", st.MemorySize)
	}
	if p := st.Pending; p != nil {
		if p.Bulk || uint64(p.Import) >= uint64(len(t.module.Calls)) || len(p.Args) != len(t.module.Calls[p.Import].Type.Params) {
			return errors.New("the pending call does not fit the script")
		}
		t.pending = &engine.Pending{Import: p.Import, Args: slices.Clone(p.Args)}
	}
	t.started, t.pc, t.mem = true, int(st.Frames[0].Pos), &scriptedMemory{make([]byte, st.MemorySize)}
	for _, s := range st.Frames[0].Values {
		t.got = append(t.got, s.Value.Lo)
	}
	return nil
}

// Close implements engine.Thread.
func (t *ScriptedThread) Close() error {
	t.idle("Close")
	t.closed.Store(true)
	t.module.mu.Lock()
	defer t.module.mu.Unlock()
	t.module.closed++
	return nil
}
