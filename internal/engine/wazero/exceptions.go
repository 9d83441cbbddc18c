package wazero

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero/api"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/wasm"
)

// An exception is what was thrown once: a tag and its values, as words.
type exception struct {
	tag    uint32
	number uint32 // by which references name it, or 0
	words  []uint64
	marked bool // collect has come across it
}

// exceptions are those of a thread. All of it only on the task goroutine.
type exceptions struct {
	throwing *exception   // looks for its handler
	trace    engine.Trace // the frames that it has left
	caught   *exception   // what was caught last: the handler asks for its values

	// What references name, since engines cannot tell what is still referred to.
	// numbers are indices plus one; unused ones are nil.
	byNumber []*exception
	free     []uint32
	live     int
	limit    int // with so many live, the thread asks itself to unwind and looks for those that nothing refers to
}

// firstCollect is the least limit.
const firstCollect = 1024

// throw begins to throw. Guest code leaves its functions one after the other
// until one has a handler.
func (t *Thread) throw(e *exception) {
	x := &t.exceptions
	x.throwing = e
	x.trace = engine.Trace{Frames: x.trace.Frames[:0]}
	t.requests.setMode(instrument.ModeThrowing)
}

// notThrowing ends it.
func (t *Thread) notThrowing() {
	t.exceptions.throwing = nil
	t.requests.setMode(0)
}

// passed notes that what is thrown leaves a function.
func (t *Thread) passed(fn, pos uint32) {
	t.exceptions.trace.Append(engine.Location{Func: fn, Pos: pos})
}

// passedSite is passed for the site of a call.
func (t *Thread) passedSite(id instrument.SiteID) {
	s := t.module.knownSite(id)
	t.passed(s.fn, s.pos)
}

// mustThrow checks a host that says that its call throws.
func (t *Thread) mustThrow() {
	if t.exceptions.throwing == nil {
		panic("engine: a call throws and nothing was given to Throw")
	}
}

// Throw implements engine.Thread.
func (t *Thread) Throw(e *engine.Exception) error {
	made, err := t.fromOutside(e)
	if err != nil {
		return fmt.Errorf("throw: %w", err)
	}
	if t.pending != nil && !t.pending.Bulk {
		t.pending = nil
	}
	t.throw(made)
	return nil
}

// fromOutside makes an exception of what the host, or a state, says of it.
func (t *Thread) fromOutside(e *engine.Exception) (*exception, error) {
	tag, ok := t.module.program.Tag(e.Tag)
	if !ok {
		return nil, fmt.Errorf("the module has no tag %d", e.Tag)
	}
	if len(e.Values) != len(tag.Params) {
		return nil, fmt.Errorf("tag %d has %d values, not %d", e.Tag, len(tag.Params), len(e.Values))
	}
	out := &exception{tag: tag.ID}
	for i, v := range e.Values {
		if v.Type != tag.Params[i] {
			return nil, fmt.Errorf("tag %d: value %d: type %v, want %v", e.Tag, i, v.Type, tag.Params[i])
		}
		if err := t.checkValue(v); err != nil {
			return nil, fmt.Errorf("tag %d: value %d: %w", e.Tag, i, err)
		}
		out.words = append(out.words, v.Lo)
		if v.Type == wasm.V128 {
			out.words = append(out.words, v.Hi)
		}
	}
	return out, nil
}

// describe is an exception in terms of the original module.
func (t *Thread) describe(e *exception) engine.Exception {
	tag, _ := t.module.program.Tag(e.tag)
	out := engine.Exception{Number: e.number, Tag: e.tag}
	at := 0
	for _, typ := range tag.Params {
		v := engine.Value{Type: typ, Lo: e.words[at]}
		at++
		if typ == wasm.V128 {
			v.Hi = e.words[at]
			at++
		}
		out.Values = append(out.Values, v)
	}
	return out
}

// uncaught ends the run with an exception that nothing has caught.
func (t *Thread) uncaught() engine.Event {
	x := &t.exceptions
	e := t.describe(x.throwing)
	trap := engine.NewTrap(t.module, "uncaught exception: tag "+t.module.tagName(e.Tag), x.trace)
	x.trace = engine.Trace{}
	t.notThrowing()
	t.Reset()
	return engine.Event{Kind: engine.Threw, Trap: trap, Exception: &e}
}

// tagName is the name of a tag for people.
func (m *Module) tagName(tag uint32) string {
	if tags := m.Tags(); int(tag) < len(tags) && tags[tag].Module != "" {
		return tags[tag].Module + "." + tags[tag].Name
	}
	for _, e := range m.program.Module().Exports {
		if e.Kind == wasm.ExternTag && e.Index == tag {
			return e.Name
		}
	}
	return fmt.Sprint(tag)
}

// Tags implements engine.Module.
func (m *Module) Tags() []engine.Tag {
	var out []engine.Tag
	mod := m.program.Module()
	for _, im := range mod.Imports {
		if im.Kind == wasm.ExternTag {
			out = append(out, engine.Tag{Module: im.Module, Name: im.Name})
		}
	}
	out = append(out, make([]engine.Tag, len(mod.Tags))...)
	for i := range out {
		tag, _ := m.program.Tag(uint32(i))
		out[i].Params = tag.Params
	}
	return out
}

// throwOn goes on with what is thrown where the stack was taken apart: at the
// innermost frame that may have a handler, whose continuation looks for it.
func (t *Thread) throwOn() (ev engine.Event, done bool) {
	for n := len(t.stack.recs); n > 0; n = len(t.stack.recs) {
		s := t.module.knownSite(t.stack.recs[n-1].site)
		if s.site.Guarded {
			t.results = append(t.results[:0], make([]uint64, s.results)...)
			return t.resumeCompiled(s)
		}
		t.passed(s.fn, s.pos)
		t.stack.pop()
		t.used -= s.size
	}
	return t.uncaught(), true
}

// name gives an exception a number for references.
func (t *Thread) name(e *exception) uint32 {
	if e.number != 0 {
		return e.number
	}
	x := &t.exceptions
	if n := len(x.free); n > 0 {
		e.number = x.free[n-1]
		x.free = x.free[:n-1]
		x.byNumber[e.number-1] = e
	} else {
		x.byNumber = append(x.byNumber, e)
		e.number = uint32(len(x.byNumber))
	}
	x.live++
	if x.live > max(x.limit, firstCollect) && !t.requests.self {
		t.requests.askSelf()
	}
	return e.number
}

// byName is the exception that a reference names, or nil.
func (t *Thread) byName(n uint64) *exception {
	x := &t.exceptions
	if n == 0 || n > uint64(len(x.byNumber)) {
		return nil
	}
	return x.byNumber[n-1]
}

// collectExceptions forgets those to which no reference is left. The stack has
// been taken apart, so all references are in records, globals, tables and other
// exceptions, where their types tell them.
func (t *Thread) collectExceptions() {
	x := &t.exceptions
	t.markCalls(&t.calls)
	for _, s := range t.detached.list() {
		t.markCalls(&s.calls)
	}
	t.markGlobals()
	t.markTables()
	for i, e := range x.byNumber {
		switch {
		case e == nil:
		case e.marked:
			e.marked = false
		default:
			e.number = 0
			x.byNumber[i] = nil
			x.free = append(x.free, uint32(i+1))
			x.live--
		}
	}
	x.limit = 2 * x.live
}

// mark keeps an exception and those that its values refer to.
func (t *Thread) mark(n uint64) {
	todo := []uint64{n}
	for len(todo) > 0 {
		e := t.byName(todo[len(todo)-1])
		todo = todo[:len(todo)-1]
		if e == nil || e.marked {
			continue
		}
		e.marked = true
		for _, v := range t.describe(e).Values {
			if instrument.IsException(v.Type) {
				todo = append(todo, v.Lo)
			}
		}
	}
}

// markCalls keeps what a stack refers to.
func (t *Thread) markCalls(c *calls) {
	for _, r := range c.stack.recs {
		s := t.module.knownSite(r.site)
		vals := c.stack.values(r)
		for i, w := range s.wire {
			if instrument.IsException(s.site.Live[w.Live].Type) {
				t.mark(vals[i])
			}
		}
	}
	if c.pending == nil {
		t.markResults(c)
		return
	}
	if fn, args, ok := c.awaited(); ok && int(fn) < t.module.program.NumImports() {
		typ, _ := t.module.program.Module().FuncType(fn)
		t.markWords(typ.Params, args) // what a call that waits was given
	}
}

// markResults keeps what a call has returned and the innermost frame waits for.
func (t *Thread) markResults(c *calls) {
	n := len(c.stack.recs)
	if n == 0 {
		return
	}
	if s := t.module.knownSite(c.stack.recs[n-1].site); s.site.Kind == instrument.SiteCall {
		t.markWords(s.site.Results, c.results)
	}
}

// markWords keeps the exceptions among values of these types.
func (t *Thread) markWords(types []wasm.ValType, vals []uint64) {
	for _, typ := range types {
		n := words([]wasm.ValType{typ})
		if len(vals) < n {
			return
		}
		if instrument.IsException(typ) {
			t.mark(vals[0])
		}
		vals = vals[n:]
	}
}

func (t *Thread) markGlobals() {
	for _, g := range t.Globals() { // others than mutable ones hold nulls
		if instrument.IsException(g.Value.Type) {
			t.mark(g.Value.Lo)
		}
	}
}

func (t *Thread) markTables() {
	types := t.module.program.Tables()
	if !slices.ContainsFunc(types, func(typ wasm.TableType) bool { return instrument.IsException(typ.Elem) }) {
		return
	}
	tables, err := t.saveTables() // those that no instruction changes hold nulls
	if err != nil {
		panic(fmt.Sprintf("engine: read tables: %v", err))
	}
	for _, s := range tables {
		if instrument.IsException(types[s.Index].Elem) {
			for _, n := range s.Items {
				t.mark(n)
			}
		}
	}
}

// saveExceptions describes those that references name.
func (t *Thread) saveExceptions() []engine.Exception {
	t.collectExceptions()
	var out []engine.Exception
	for _, e := range t.exceptions.byNumber {
		if e != nil {
			out = append(out, t.describe(e))
		}
	}
	return out
}

// maxExceptions bounds those of a state.
const maxExceptions = 1 << 24

// restoreExceptions takes those of a state. They may refer to each other, so
// they all get their numbers first.
func (t *Thread) restoreExceptions(st *engine.State) error {
	x := &t.exceptions
	for _, e := range st.Exceptions {
		if e.Number == 0 || e.Number > maxExceptions {
			return fmt.Errorf("exception %d: no such number", e.Number)
		}
		if n := int(e.Number); n > len(x.byNumber) {
			x.byNumber = append(x.byNumber, make([]*exception, n-len(x.byNumber))...)
		}
		if x.byNumber[e.Number-1] != nil {
			return fmt.Errorf("exception %d is there twice", e.Number)
		}
		x.byNumber[e.Number-1] = &exception{number: e.Number}
		x.live++
	}
	for i := range st.Exceptions {
		e := &st.Exceptions[i]
		made, err := t.fromOutside(e)
		if err != nil {
			return fmt.Errorf("exception %d: %w", e.Number, err)
		}
		made.number = e.Number
		*x.byNumber[e.Number-1] = *made
	}
	for i, e := range slices.Backward(x.byNumber) {
		if e == nil {
			x.free = append(x.free, uint32(i+1))
		}
	}
	x.limit = 2 * x.live
	return nil
}

// errNullException is the trap of throw_ref.
var errNullException = errors.New("null exception reference")

// exceptionFunc is a runtime function that exceptions are made of.
func exceptionFunc(name string) api.GoModuleFunc {
	var f func(t *Thread, s []uint64)
	switch name {
	case instrument.RuntimeThrow: // tag, fn, pos
		f = func(t *Thread, s []uint64) {
			t.throw(&exception{tag: uint32(s[0]), words: slices.Clone(t.off.vals)})
			t.off.vals = t.off.vals[:0]
			t.passed(uint32(s[1]), uint32(s[2]))
		}
	case instrument.RuntimeThrowRef: // exception, fn, pos
		f = func(t *Thread, s []uint64) {
			e := t.byName(s[0])
			if e == nil {
				panic(errNullException)
			}
			t.throw(e)
			t.passed(uint32(s[1]), uint32(s[2]))
		}
	case instrument.RuntimeThrown:
		f = func(t *Thread, s []uint64) { s[0] = uint64(t.exceptions.throwing.tag) }
	case instrument.RuntimeCaught:
		f = func(t *Thread, _ []uint64) { t.catch() }
	case instrument.RuntimeCaughtRef:
		f = func(t *Thread, s []uint64) { s[0] = uint64(t.name(t.catch())) }
	case instrument.RuntimeCaughtWord, instrument.RuntimeCaughtItem:
		f = func(t *Thread, s []uint64) { s[0] = t.exceptions.caught.words[uint32(s[0])] }
	case instrument.RuntimePassed:
		f = func(t *Thread, s []uint64) { t.passed(uint32(s[0]), 0) }
	default:
		return nil
	}
	return func(ctx context.Context, _ api.Module, stack []uint64) { f(threadOf(ctx), stack) }
}

// catch ends throwing at a handler.
func (t *Thread) catch() *exception {
	x := &t.exceptions
	x.caught = x.throwing
	t.notThrowing()
	return x.caught
}
