package wazero

import (
	"maps"
	"slices"
	"sync"

	"github.com/tetratelabs/wazero/api"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/wasm"
)

// A stack is one that was taken off its thread. The thread knows it until it is
// put back or dropped: exceptions that only it refers to are kept.
type stack struct {
	t *Thread
	calls
}

// detached are the stacks that were taken off a thread.
type detached struct {
	mu  sync.Mutex // a leaf
	all map[*stack]struct{}
}

func (d *detached) add(s *stack) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all == nil {
		d.all = make(map[*stack]struct{})
	}
	d.all[s] = struct{}{}
}

func (d *detached) drop(s *stack) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.all, s)
}

// list is all of them. One that is dropped meanwhile does no harm.
func (d *detached) list() []*stack {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Keys(d.all))
}

// Detach implements engine.Thread.
func (t *Thread) Detach() engine.Stack {
	s := t.keep(t.calls)
	t.calls = calls{}
	return s
}

// keep makes a stack of calls that are not the thread's own any more.
func (t *Thread) keep(c calls) *stack {
	s := &stack{t, c}
	t.detached.add(s)
	return s
}

// Attach implements engine.Thread.
func (t *Thread) Attach(d engine.Stack) {
	s := d.(*stack)
	if len(t.stack.recs) > 0 || t.pending != nil || s.t != t {
		panic("engine: Attach to a thread that has a stack, or of another one's")
	}
	s.Drop()
	t.calls = s.calls
	s.calls = calls{}
}

// RestoreStack implements engine.Thread.
func (t *Thread) RestoreStack(c *engine.Calls) (engine.Stack, error) {
	own := t.calls
	t.calls = calls{}
	defer func() { t.calls = own }()
	if err := t.restoreFrames(c); err != nil {
		return nil, err
	}
	return t.keep(t.calls), nil
}

// Depth implements engine.Stack.
func (s *stack) Depth() int { return len(s.stack.recs) }

// Backtrace implements engine.Stack.
func (s *stack) Backtrace() engine.Trace { return s.t.module.backtrace(s.stack.recs) }

// Pending implements engine.Stack.
func (s *stack) Pending() (fn uint32, args []uint64, ok bool) { return s.awaited() }

// Save implements engine.Stack.
func (s *stack) Save() engine.Calls { return s.t.module.saveCalls(&s.calls) }

// Copy implements engine.Stack.
func (s *stack) Copy() engine.Stack {
	c := calls{
		stack: recordStack{slices.Clone(s.stack.recs), slices.Clone(s.stack.vals)},
		used:  s.used, results: slices.Clone(s.results),
	}
	if s.pending != nil {
		p := *s.pending
		c.pending = &p
	}
	return s.t.keep(c)
}

// Drop implements engine.Stack.
func (s *stack) Drop() { s.t.detached.drop(s) }

// StackPointer implements engine.Thread.
func (t *Thread) StackPointer() (uint64, bool) {
	g, ok := t.module.stackPointer()
	if !ok {
		return 0, false
	}
	t.mustUnpark()
	return t.hot.ExportedGlobal(g).Get() & 0xffffffff, true
}

// SetStackPointer implements engine.Thread.
func (t *Thread) SetStackPointer(p uint64) {
	if g, ok := t.module.stackPointer(); ok {
		t.mustUnpark()
		t.hot.ExportedGlobal(g).(api.MutableGlobal).Set(p & 0xffffffff)
	}
}

// stackPointer is how the hot form exports the stack pointer, if it is known.
func (m *Module) stackPointer() (export string, ok bool) {
	m.pointer.once.Do(func() { m.pointer.export, m.pointer.known = m.findStackPointer() })
	return m.pointer.export, m.pointer.known
}

// findStackPointer is how the hot form exports the global that is the stack pointer of
// C-like languages: the one of that name (wasm-ld(1), "__stack_pointer"), which
// linkers export on demand and debug names tell.
func (m *Module) findStackPointer() (export string, ok bool) {
	const name = "__stack_pointer"
	mod := m.program.Module()
	for _, x := range mod.Exports {
		if x.Kind == wasm.ExternGlobal && x.Name == name {
			return m.stackGlobal(x.Index)
		}
	}
	if i, found := mod.GlobalNamed(name); found {
		return m.stackGlobal(i)
	}
	return "", false
}

// stackGlobal is stackPointer for global i, if it can be one.
func (m *Module) stackGlobal(i uint32) (export string, ok bool) {
	typ, known := m.program.Module().GlobalType(i)
	if !known || !typ.Mutable || typ.Type != wasm.I32 {
		return "", false
	}
	return instrument.ExportGlobal(i), true
}

// TableFunc implements engine.Thread.
func (t *Thread) TableFunc(index uint32) (fn uint32, ok bool) {
	if types := t.module.program.Tables(); len(types) == 0 || instrument.Lowered(types[0].Elem) != wasm.I32 {
		return 0, false
	}
	t.mustUnpark()
	funcs := t.tableFuncs(0)
	if uint64(index) >= uint64(len(funcs)) || funcs[index] == 0 {
		return 0, false
	}
	fn = funcs[index] - 1
	typ, _ := t.module.program.Module().FuncType(fn)
	return fn, len(typ.Params)+len(typ.Results) == 0
}
