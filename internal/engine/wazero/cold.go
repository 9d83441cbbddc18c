package wazero

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/tetratelabs/wazero/api"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/interp"
	"github.com/stasis-run/stasis/internal/wasm"
)

// To compile a continuation costs a millisecond and more, and most frames that
// go on return, call or come to a loop after a few dozen instructions, never
// to be continued at that site again. So a frame goes on in the interpreter,
// and changes over to compiled code where that pays: at a loop's head, once
// that loop has run long enough. What it calls is compiled code as ever.

// Interpret says which frames go on in the interpreter. Guests cannot tell.
type Interpret int

// Values of Interpret. All but the first are for tests.
const (
	InterpretCold    Interpret = iota // those that are not in a loop that has run long
	InterpretNone                     // none: continuations are always compiled
	InterpretBriefly                  // as InterpretCold, but compiled code takes over very soon
	InterpretAlways                   // all whose functions can be interpreted
)

// A function is worth compiling from the head of a loop on once so many
// instructions were interpreted from there on: a fixed number, and some for
// each byte of its code, to which the time of compiling is in proportion. That
// is less than a tenth of the time that compiling takes, since the next process
// finds the code in the cache.
const (
	hotInstrs  = 20_000
	hotPerByte = 20
)

// eventCost is what a call or a look costs beside an instruction.
const eventCost = 20

// limit is how many instructions of a function of so many bytes are interpreted
// before compiled code takes over.
func (i Interpret) limit(size int) int64 {
	switch i {
	case InterpretBriefly:
		return 20
	case InterpretAlways:
		return math.MaxInt64
	}
	return hotInstrs + hotPerByte*int64(size)
}

// maxCold bounds the instructions of all functions that a module holds ready
// for the interpreter, of 24 bytes each.
const maxCold = 2 << 20

// A coldFunc is a function as the interpreter takes it.
type coldFunc struct {
	fn   uint32
	code *interp.Code // nil: has something that is not interpreted
	hot  int64        // how many instructions from one of its loops on make that worth compiling
}

// cold is the function that a site is in, made ready, or nil if it is not to
// be interpreted.
func (m *Module) cold(fn uint32) *coldFunc {
	if m.engine.opts.Interpret == InterpretNone {
		return nil
	}
	m.mu.RLock()
	f := m.colds[fn]
	m.mu.RUnlock()
	if f == nil {
		f = m.prepareCold(fn)
	}
	if f.code == nil {
		return nil
	}
	return f
}

func (m *Module) prepareCold(fn uint32) *coldFunc {
	defined := int(fn) - m.program.NumImports()
	mod := m.program.Module()
	code, err := interp.Prepare(mod, m.program.Spaces(), defined)
	if err != nil && !errors.Is(err, interp.ErrUnsupported) {
		panic(fmt.Sprintf("engine: %v", err)) // the module was validated
	}
	f := &coldFunc{fn: fn, code: code, hot: m.engine.opts.Interpret.limit(len(mod.Code[defined].Body))}
	m.mu.Lock()
	defer m.mu.Unlock()
	if code != nil {
		if m.coldSize += code.Len(); m.coldSize > maxCold {
			clear(m.colds)
			m.coldSize = code.Len()
		}
	}
	m.colds[fn] = f
	return f
}

// interprets is the function of a site if its frame is to go on in the
// interpreter, or nil.
func (t *Thread) interprets(s *siteInfo) *coldFunc {
	if s.entry {
		return nil
	}
	f := t.module.cold(s.fn)
	if f == nil || t.hotAt(f, s) {
		return nil
	}
	return f
}

// hotAt reports whether a frame that comes to site s leaves the interpreter.
func (t *Thread) hotAt(f *coldFunc, s *siteInfo) bool {
	return s.site.Kind == instrument.SiteLoop && s.ran.Load() >= f.hot
}

// interpret goes on with a frame that was taken from the stack; what it calls
// is called directly. It returns when the frame has, whose results are for the
// next one; when compiled code is to take over from a loop's head or a bulk
// operation, the frame being on the stack again; or when the run is over.
func (t *Thread) interpret(f *coldFunc, s *siteInfo, vals []uint64) (engine.Event, bool) {
	fr := t.frameOf(f, s, vals)
	for {
		ev, n := f.code.Run(fr, (*coldEnv)(t))
		s.ran.Add(int64(n) + eventCost)
		switch ev.Kind {
		case interp.Return:
			t.results = append(t.results[:0], fr.Stack...)
			return engine.Event{}, false
		case interp.Trap:
			return t.trapHere(f, fr, ev.Trap), true
		case interp.Loop:
			if int(s.pos) != fr.PC+1 { // not the same loop again
				s = t.siteHere(f, fr)
			}
			asked := t.passSafepoint()
			if !asked && !t.hotAt(f, s) {
				continue
			}
			t.putBack(s, fr)
			if asked {
				return t.unwound()
			}
			return engine.Event{}, false
		default:
			if ev, over, left := t.interpretCall(f, fr, ev.Kind); left {
				return ev, over
			}
		}
	}
}

// frameOf makes the interpreter's frame of a record.
func (t *Thread) frameOf(f *coldFunc, s *siteInfo, vals []uint64) *interp.Frame {
	fr := &t.frame
	fr.PC, fr.Stack = int(s.pos)-1, fr.Stack[:0]
	fr.Locals = append(fr.Locals[:0], make([]uint64, f.code.NumLocals())...)
	for i, w := range s.wire { // operands come in another order than on the stack
		l := s.site.Live[w.Live]
		if !l.Operand {
			fr.Locals[l.Index] = vals[i]
			continue
		}
		if n := int(l.Index) + 1 - len(fr.Stack); n > 0 {
			fr.Stack = append(fr.Stack, make([]uint64, n)...)
		}
		fr.Stack[l.Index] = vals[i]
	}
	if s.site.Kind == instrument.SiteCall {
		fr.PC++
		fr.Stack = append(fr.Stack, t.results[:s.results]...)
	}
	return fr
}

// siteHere is the site at which an interpreted frame is.
func (t *Thread) siteHere(f *coldFunc, fr *interp.Frame) *siteInfo {
	s, err := t.module.siteAt(f.fn, uint32(fr.PC)+1)
	if err != nil {
		panic(fmt.Sprintf("engine: %v", err)) // all loops and stoppable calls are sites
	}
	return s
}

// putBack makes a record of an interpreted frame that is at site s; operands
// beyond those of the site are left out.
func (t *Thread) putBack(s *siteInfo, fr *interp.Frame) {
	vals := make([]uint64, len(s.wire))
	for i, w := range s.wire {
		if l := s.site.Live[w.Live]; l.Operand {
			vals[i] = fr.Stack[l.Index]
		} else {
			vals[i] = fr.Locals[l.Index]
		}
	}
	t.pushRecord(s, vals)
}

// passSafepoint is a look at a loop's head.
func (t *Thread) passSafepoint() (asked bool) {
	if t.count == nil {
		return t.requests.asked.Load()
	}
	n := uint32(t.count.Get()) - 1
	t.count.Set(uint64(n))
	return n == 0
}

// A callee is a function as interpreted frames call it.
type callee struct {
	fn      uint32
	params  int
	returns []uint64     // per result: the bits that mean something
	call    api.Function // nil: an import
	words   int          // that the call takes or gives
}

func (t *Thread) callee(fn uint32) *callee {
	if c := t.callees[fn]; c != nil {
		return c
	}
	typ, _ := t.module.program.Module().FuncType(fn)
	c := &callee{fn: fn, params: len(typ.Params), returns: masks(typ.Results)}
	if int(fn) >= t.module.program.NumImports() {
		c.call = t.hot.ExportedFunction(instrument.ExportFunc(fn))
		c.words = c.params + 1 + t.module.program.Markers(fn)
	}
	c.words = max(c.words, c.params, len(c.returns))
	if len(t.callees) >= maxFuncs {
		clear(t.callees)
	}
	t.callees[fn] = c
	return c
}

// interpretCall does what is to be done at a call or bulk operation. left is
// false if the frame goes on at once. The callee is compiled code as ever, with
// the interpreted frame below it: a record once there is need for one.
func (t *Thread) interpretCall(f *coldFunc, fr *interp.Frame, kind interp.Kind) (ev engine.Event, over, left bool) {
	if kind == interp.Bulk {
		ev, over = t.interpretBulk(f, fr)
		return ev, over, true
	}
	if kind == interp.Wait {
		return t.interpretWait(f, fr)
	}
	fn, trap := t.called(f, fr, kind)
	if trap != "" {
		return t.trapHere(f, fr, trap), true, true
	}
	c := t.callee(fn)
	at := len(fr.Stack) - c.params
	args := fr.Stack[at:]
	t.buf = append(t.buf[:0], args...)
	for len(t.buf) < c.words {
		t.buf = append(t.buf, 0)
	}
	unwound := false
	if c.call == nil {
		action := t.host.Call(fn, t.buf)
		if unwound = action == engine.Unwind; unwound {
			t.pending = &engine.Pending{Import: fn, Args: slices.Clone(args)}
			t.unwinding = true
		}
		if action == engine.Throw {
			t.mustThrow()
		}
	} else {
		left := t.limits.Stack - t.used - int64(t.module.program.FrameSize(f.fn))
		t.buf[c.params] = uint64(uint32(max(0, min(left, segmentSize))))
		if err := c.call.CallWithStack(&t.ctx, t.buf); err != nil {
			return t.trapIn(c.call, err, f.location(fr)), true, true
		}
		unwound = t.unwinding
	}
	if t.exceptions.throwing != nil { // functions that are interpreted have no handlers
		t.passed(f.fn, uint32(fr.PC)+1)
		return engine.Event{}, false, true
	}
	if unwound {
		t.putBack(t.siteHere(f, fr), fr)
		ev, over = t.unwound()
		return ev, over, true
	}
	fr.Stack = fr.Stack[:at]
	for i, mask := range c.returns {
		fr.Stack = append(fr.Stack, t.buf[i]&mask)
	}
	fr.PC++
	return engine.Event{}, false, false
}

// called is the function that the call at which the frame is calls; the index
// into a table is taken off the operands.
func (t *Thread) called(f *coldFunc, fr *interp.Frame, kind interp.Kind) (fn uint32, trap string) {
	if kind == interp.Call {
		fn, _ = f.code.CallAt(fr.PC)
		return fn, ""
	}
	typ, table, _ := f.code.CallIndirectAt(fr.PC)
	top := len(fr.Stack) - 1
	i := uint32(fr.Stack[top])
	funcs := t.tableFuncs(table)
	if uint64(i) >= uint64(len(funcs)) || funcs[i] == 0 {
		return 0, "invalid table access"
	}
	if fn = funcs[i] - 1; !t.module.program.OfType(fn, typ) {
		return 0, "indirect call type mismatch"
	}
	fr.Stack = fr.Stack[:top]
	return fn, ""
}

// tableFuncs has the functions of a table as numbers: its shadow, or, if the
// guest cannot change tables, what the segments made of it.
func (t *Thread) tableFuncs(table uint32) []uint32 {
	if t.tables != nil {
		return t.tables[table].funcs
	}
	if t.fixed == nil {
		t.fixed = t.newShadows()
		t.fillShadows(t.fixed)
	}
	return t.fixed[table].funcs
}

// interpretBulk has a large memory operation done in slices, as compiled code
// has it.
func (t *Thread) interpretBulk(f *coldFunc, fr *interp.Frame) (engine.Event, bool) {
	op, number := wasm.OpMemoryFill, uint32(instrument.BulkFill)
	if got, _ := f.code.BulkAt(fr.PC); got != op {
		number = instrument.BulkCopy
	}
	args := append([]uint64{}, fr.Stack[len(fr.Stack)-3:]...)
	t.putBack(t.siteHere(f, fr), fr)
	return t.resumeBulk(&engine.Pending{Bulk: true, Op: number, Args: args})
}

// trapHere ends the run with a trap of the interpreted frame, which has been
// taken from the stack.
func (t *Thread) trapHere(f *coldFunc, fr *interp.Frame, message string) engine.Event {
	var at engine.Trace
	at.Append(f.location(fr))
	return engine.Event{Kind: engine.Trapped, Trap: t.stackTrap(message, at)}
}

// location is where an interpreted frame is.
func (f *coldFunc) location(fr *interp.Frame) engine.Location {
	return engine.Location{Func: f.fn, Pos: uint32(fr.PC) + 1}
}

// coldEnv is a Thread as the interpreter sees it.
type coldEnv Thread

// Memory implements interp.Env.
func (e *coldEnv) Memory() []byte { return e.mem.Bytes() }

// Grow implements interp.Env.
func (e *coldEnv) Grow(pages uint32) (old uint32, ok bool) {
	return (*Thread)(e).grow(pages)
}

// Global implements interp.Env.
func (e *coldEnv) Global(i uint32) uint64 {
	g := (*Thread)(e).global(i)
	v := g.Get()
	if typ := g.Type(); typ == api.ValueTypeI32 || typ == api.ValueTypeF32 {
		v = uint64(uint32(v))
	}
	return v
}

// SetGlobal implements interp.Env.
func (e *coldEnv) SetGlobal(i uint32, v uint64) {
	(*Thread)(e).global(i).(api.MutableGlobal).Set(v)
}

// global is a global of the original module; looking one up makes an object.
func (t *Thread) global(i uint32) api.Global {
	for int(i) >= len(t.globals) {
		t.globals = append(t.globals, nil)
	}
	if t.globals[i] == nil {
		t.globals[i] = t.hot.ExportedGlobal(instrument.ExportGlobal(i))
	}
	return t.globals[i]
}
