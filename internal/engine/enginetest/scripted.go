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

// A Scripted is an engine.Module whose functions, "main" and others, are lists of
// steps, so that tests of a kernel need neither compiler nor wasm. Its threads
// keep to the contract of engine.Thread and panic if their caller does not.
type Scripted struct {
	Calls  []engine.Import // what it imports
	Params []wasm.ValType  // of main
	Steps  []Step          // of main
	Others []Script        // functions from 1 on
	Sum    [32]byte        // digest
	Shared bool            // its threads may share a memory

	mu      sync.Mutex
	threads []*ScriptedThread // protected by mu
	closed  int               // threads closed; protected by mu
}

// A Script is a function besides main.
type Script struct {
	Name   string
	Params []wasm.ValType
	Steps  []Step
}

// steps is what a function does.
func (m *Scripted) steps(fn uint32) []Step {
	if fn == 0 {
		return m.Steps
	}
	return m.Others[fn-1].Steps
}

// Imports implements engine.Module.
func (m *Scripted) Imports() []engine.Import { return m.Calls }

// Export implements engine.Module.
func (m *Scripted) Export(name string) (uint32, wasm.FuncType, bool) {
	for i := range m.Others {
		if o := &m.Others[i]; o.Name == name {
			return uint32(i) + 1, wasm.FuncType{Params: o.Params}, true
		}
	}
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
	scriptedStack
	mem     *scriptedMemory
	pointer uint64 // the stack pointer
	onPark  func()

	inRun      atomic.Bool
	runs       atomic.Uint64
	unwinds    atomic.Uint64
	interrupts atomic.Uint64
	parks      atomic.Uint64
	closed     atomic.Bool

	mu     sync.Mutex
	look   bool          // protected by mu
	raised chan struct{} // closed when look is raised; protected by mu
}

// A scriptedStack is a call of one function.
type scriptedStack struct {
	fn      uint32
	pc      int
	started bool
	got     []uint64 // the results of the imports, in order
	pending *engine.Pending
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

// Park implements engine.Thread: there is nothing to free.
func (t *ScriptedThread) Park() error {
	t.idle("Park")
	t.parks.Add(1)
	if t.onPark != nil {
		t.onPark()
	}
	return nil
}

// OnPark has f called by Park.
func (t *ScriptedThread) OnPark(f func()) { t.onPark = f }

// Parks is how often the thread was parked.
func (t *ScriptedThread) Parks() uint64 { return t.parks.Load() }

// Start implements engine.Thread.
func (t *ScriptedThread) Start(fn uint32, args []uint64, before ...uint32) error {
	t.idle("Start")
	if t.started {
		return errors.New("start: the thread has a stack already")
	}
	t.fn, t.started = fn, true
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
	for t.pc < len(t.module.steps(t.fn)) {
		switch s := t.module.steps(t.fn)[t.pc].(type) {
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
			return t.exit(s.Results)
		case Fault:
			return engine.Event{Kind: engine.Trapped, Trap: engine.NewTrap(t.module, s.Message, t.Backtrace())}
		case Do:
			t.pc++
			s(t)
		}
	}
	return t.exit(t.got)
}

// exit ends the stack.
func (t *ScriptedThread) exit(results []uint64) engine.Event {
	t.scriptedStack = scriptedStack{}
	return engine.Event{Kind: engine.Exited, Results: results}
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
func (s *scriptedStack) Pending() (uint32, []uint64, bool) {
	if s.pending == nil {
		return 0, nil, false
	}
	return s.pending.Import, s.pending.Args, true
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

// Hold implements engine.Memory.
func (m *scriptedMemory) Hold() (release func()) { return func() {} }

// Memory implements engine.Thread.
func (t *ScriptedThread) Memory() engine.Memory { return t.mem }

// Depth implements engine.Thread.
func (s *scriptedStack) Depth() int { return 1 }

// Backtrace implements engine.Thread.
func (s *scriptedStack) Backtrace() engine.Trace {
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
	c := t.calls()
	return &engine.State{
		MemorySize: uint64(len(t.mem.bytes)), Fresh: t.pc == 0 && len(t.got) == 0, Frames: c.Frames, Pending: c.Pending,
	}, nil
}

// calls describes the stack.
func (s *scriptedStack) calls() engine.Calls {
	f := engine.Frame{Func: s.fn, Pos: uint32(s.pc)}
	for i, v := range s.got {
		f.Values = append(f.Values, engine.Slot{Index: uint32(i), Value: engine.Value{Type: wasm.I64, Lo: v}})
	}
	c := engine.Calls{Frames: []engine.Frame{f}}
	if s.pending != nil {
		p := *s.pending
		p.Args = slices.Clone(p.Args)
		c.Pending = &p
	}
	return c
}

func (t *ScriptedThread) restore(st *engine.State) error {
	if st.MemorySize > maxScripted {
		return fmt.Errorf("memory of %d bytes", st.MemorySize)
	}
	if len(st.Frames) == 0 {
		return errors.New("frames do not fit the script: there is none")
	}
	t.mem = &scriptedMemory{make([]byte, st.MemorySize)}
	s, err := t.module.stack(st.Calls())
	if err != nil {
		return err
	}
	t.scriptedStack = *s
	return nil
}

// stack makes a stack of what calls has told.
func (m *Scripted) stack(c *engine.Calls) (*scriptedStack, error) {
	if len(c.Frames) == 0 {
		if c.Pending != nil {
			return nil, errors.New("a pending call of no frame")
		}
		return &scriptedStack{}, nil
	}
	f := &c.Frames[0]
	if len(c.Frames) != 1 || int64(f.Func) > int64(len(m.Others)) || uint64(f.Pos) > uint64(len(m.steps(f.Func))) {
		return nil, errors.New("frames do not fit the script")
	}
	s := &scriptedStack{fn: f.Func, started: true, pc: int(f.Pos)}
	if p := c.Pending; p != nil {
		if p.Bulk || uint64(p.Import) >= uint64(len(m.Calls)) || len(p.Args) != len(m.Calls[p.Import].Type.Params) {
			return nil, errors.New("the pending call does not fit the script")
		}
		s.pending = &engine.Pending{Import: p.Import, Args: slices.Clone(p.Args)}
	}
	for _, v := range f.Values {
		s.got = append(s.got, v.Value.Lo)
	}
	return s, nil
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

// A detachedScript is a scriptedStack as engine.Stack.
type detachedScript struct{ scriptedStack }

// Save implements engine.Stack.
func (d *detachedScript) Save() engine.Calls { return d.calls() }

// Copy implements engine.Stack.
func (d *detachedScript) Copy() engine.Stack {
	c := *d
	c.got = slices.Clone(d.got)
	return &c
}

// Drop implements engine.Stack.
func (d *detachedScript) Drop() {}

// Detach implements engine.Thread.
func (t *ScriptedThread) Detach() engine.Stack {
	t.idle("Detach")
	d := &detachedScript{t.scriptedStack}
	t.scriptedStack = scriptedStack{}
	return d
}

// Attach implements engine.Thread.
func (t *ScriptedThread) Attach(s engine.Stack) {
	t.idle("Attach")
	if t.started {
		panic("enginetest: Attach to a thread that has a stack")
	}
	t.scriptedStack = s.(*detachedScript).scriptedStack
}

// RestoreStack implements engine.Thread.
func (t *ScriptedThread) RestoreStack(c *engine.Calls) (engine.Stack, error) {
	s, err := t.module.stack(c)
	if err != nil {
		return nil, err
	}
	return &detachedScript{*s}, nil
}

// Globals implements engine.Thread: the stack pointer is one.
func (t *ScriptedThread) Globals() []engine.Global {
	return []engine.Global{{Value: engine.Value{Type: wasm.I32, Lo: t.pointer}}}
}

// SetGlobals implements engine.Thread.
func (t *ScriptedThread) SetGlobals(g []engine.Global) error {
	if len(g) != 1 || g[0].Index != 0 {
		return errors.New("globals do not fit the script")
	}
	t.pointer = g[0].Value.Lo
	return nil
}

// StackPointer implements engine.Thread.
func (t *ScriptedThread) StackPointer() (uint64, bool) { return t.pointer, true }

// SetStackPointer implements engine.Thread.
func (t *ScriptedThread) SetStackPointer(p uint64) { t.pointer = p }

// TableFunc implements engine.Thread: the table has all functions.
func (t *ScriptedThread) TableFunc(i uint32) (uint32, bool) {
	return i, uint64(i) <= uint64(len(t.module.Others))
}

// SetHost implements engine.Thread.
func (t *ScriptedThread) SetHost(h engine.Host) { t.host = h }
