package instrument

import "github.com/stasis-run/stasis/internal/wasm"

// Exceptions are lowered by the check that is after each call anyway, so they
// cost nothing until one is thrown, work on engines that have none, and a frame
// inside of a handler is a frame like any other.
//
// The host holds the exception that is being thrown. throw hands it over; the
// host sets mode to ModeThrowing, and the function leaves: to the handlers of a
// try around it, or with dummies to its caller, whose check after the call finds
// the mode and does the same. A cold path without handlers around it does not
// look which mode it is: what it saves, the host takes for one more line of the
// exception's trace. So functions without handlers are as they would be without
// exceptions.
//
// A try of either encoding becomes two blocks:
//
//	block $end
//	  block $handlers
//	    body                ;; calls: when throwing, br $handlers
//	    br $end
//	  end
//	  for each clause:      ;; thrown == tag ?
//	    caught, the values of the exception, and the handler or br to its label
//	  to the next handlers outwards, or out of the function
//	end
//
// delegate only says which the next handlers are. The exception that a rethrow
// may throw again is kept in a local, and in the records of all sites in that
// handler.
//
// When a frame that was taken apart waits for a callee that throws, the host
// calls its continuation with mode ModeThrowing, if the site is guarded: the
// first thing that a continuation of such a site does is the same check.

// Values of the mode global other than 0, in which guest code runs.
const (
	ModeUnwinding = 1 // the stack is being taken apart
	ModeThrowing  = 2 // an exception looks for its handler
)

// exception is the type of what a catch has caught: an exception, never null.
var exception = wasm.RefTo(wasm.HeapExn)

func isCatch(op wasm.Opcode) bool { return op == wasm.OpCatch || op == wasm.OpCatchAll }

func isTry(op wasm.Opcode) bool { return op == wasm.OpTry || op == wasm.OpTryTable }

// catch begins a handler. Its values are those of the tag.
func (r *reader) catch(i int32) {
	b, o := r.b, &r.open[len(r.open)-1]
	r.pop(len(r.stack) - o.height)
	r.link(o, i)
	o.done = false
	x := &b.instrs[i]
	x.block = b.instrs[o.index].block
	x.dead = b.instrs[o.index].dead
	if x.dead || x.op == wasm.OpCatchAll {
		return
	}
	x.base = int32(o.height)
	r.push(i, r.p.tagParams(x.a))
}

// tagParams are the types of a tag's values.
func (p *Program) tagParams(tag uint32) []wasm.ValType {
	t, _ := p.spaces.TagType(tag)
	return t.Params
}

// tagID names a tag: one that is imported twice is one tag.
func (p *Program) tagID(tag uint32) int32 {
	if int(tag) < len(p.tagIDs) {
		return int32(p.tagIDs[tag])
	}
	return int32(tag)
}

// findTags numbers the imported tags.
func (p *Program) findTags() {
	type name struct{ module, name string }
	first := make(map[name]uint32)
	for i := range p.mod.Imports {
		im := &p.mod.Imports[i]
		if im.Kind != wasm.ExternTag {
			continue
		}
		id, ok := first[name{im.Module, im.Name}]
		if !ok {
			id = uint32(len(p.tagIDs))
			first[name{im.Module, im.Name}] = id
		}
		p.tagIDs = append(p.tagIDs, id)
	}
}

// guards reports whether the try that instruction i opens has handlers of its own.
func (b *body) guards(i int32) bool {
	x := &b.instrs[i]
	switch x.op {
	case wasm.OpTryTable:
		return x.b > 0
	case wasm.OpTry:
		return isCatch(b.instrs[x.match].op)
	}
	return false
}

// delegates is the label, counted from outside of the try that instruction i
// opens, to whose handlers it leaves what is thrown in it.
func (b *body) delegates(i int32) (label uint32, ok bool) {
	x := &b.instrs[i]
	if x.op != wasm.OpTry {
		return 0, false
	}
	end := &b.instrs[x.match]
	return end.a, end.op == wasm.OpDelegate
}

// region is an open block while handlers are looked for.
type region struct {
	arm     int32 // the catch in whose handler this is, or 0
	guarded bool  // something catches what is thrown here
}

// findHandlers finds out which sites are guarded and which caught exceptions
// their records need.
func (b *body) findHandlers() error {
	if !b.tries {
		return nil
	}
	b.eachRegion(func(x *instr, open []region) {
		if x.op == wasm.OpRethrow && !x.dead {
			if b.rethrown == nil {
				b.rethrown = make(map[int32]bool)
			}
			b.rethrown[open[len(open)-1-int(x.a)].arm] = true
		}
	})
	caught := 0
	b.eachRegion(func(x *instr, open []region) {
		if x.site < 0 || caught > maxRecordValues {
			return
		}
		s := &b.sites[x.site]
		s.guarded = s.kind == SiteCall && !x.sliced && open[len(open)-1].guarded
		if b.rethrown == nil {
			return
		}
		for k := range open {
			if a := open[k].arm; a > 0 && b.rethrown[a] {
				s.caught = append(s.caught, a)
				caught++
			}
		}
	})
	return b.tooMany(caught)
}

// eachRegion calls f for each instruction that opens or closes no block, with
// the blocks around it.
func (b *body) eachRegion(f func(x *instr, open []region)) {
	open := []region{{}}
	for i := range b.instrs {
		x := &b.instrs[i]
		top := &open[len(open)-1]
		switch {
		case x.op == wasm.OpLoop:
			f(x, open)
			open = append(open, region{guarded: top.guarded})
		case isBlock(x.op):
			r := region{guarded: top.guarded || b.guards(int32(i))}
			if d, ok := b.delegates(int32(i)); ok {
				r.guarded = open[len(open)-1-int(d)].guarded
			}
			open = append(open, r)
		case isCatch(x.op):
			*top = region{arm: int32(i), guarded: open[len(open)-2].guarded}
		case isEnd(x.op):
			open = open[:len(open)-1]
		default:
			f(x, open)
		}
	}
}

// A guard is a block of handlers whose try's body is being emitted.
type guard struct {
	depth int  // open blocks of the emitted code when $handlers was opened, itself included
	used  bool // something may be thrown to it
}

// push opens a label. What is thrown in it goes where it goes around it.
func (e *emitter) push(l label) {
	l.throws = -1
	if n := len(e.labels); n > 0 {
		l.throws = e.labels[n-1].throws
	}
	e.labels = append(e.labels, l)
}

// openTry opens a try whose body is emitted. params are those that are on the
// operand stack.
func (e *emitter) openTry(i int32, params, results []wasm.ValType) {
	n := len(e.labels)
	e.block(wasm.OpBlock, params, results)
	e.push(label{opener: i, depth: e.open, whole: true})
	l := &e.labels[n]
	if d, ok := e.b.delegates(i); ok {
		l.throws = e.labels[n-1-int(d)].throws
		return
	}
	if !e.b.guards(i) {
		return
	}
	e.block(wasm.OpBlock, params, nil)
	l.guard = &guard{depth: e.open}
	l.throws = int32(n)
}

// toHandlers goes to the handlers of label h, or out of the function.
func (e *emitter) toHandlers(h int32) {
	if h < 0 {
		for _, t := range e.b.typ.Results {
			e.zero(lowered(t))
		}
		e.op(wasm.OpReturn)
		return
	}
	e.op1(wasm.OpBr, e.handlers(h))
}

// handlers is the emitted depth of a branch to the handlers of label h.
func (e *emitter) handlers(h int32) uint32 {
	g := e.labels[h].guard
	g.used = true
	return uint32(e.open - g.depth)
}

// throws is the label to whose handlers goes what is thrown here, or -1.
func (e *emitter) throws() int32 { return e.labels[len(e.labels)-1].throws }

// throwCheck goes to the handlers if something is being thrown.
func (e *emitter) throwCheck() {
	h := e.throws()
	if h < 0 {
		return
	}
	e.op1(wasm.OpGlobalGet, e.env.special(globalMode))
	e.i32(ModeThrowing)
	e.op(wasm.OpI32Eq)
	e.op1(wasm.OpBrIf, e.handlers(h))
}

// caughtBy is the local that holds what the catch at instruction i has caught.
func (e *emitter) caughtBy(i int32) uint32 { return e.temp(firstCaught-i, exception) }

// firstCaught is below all other scratch slots.
const firstCaught = -1 << 25

// throw emits throw, throw_ref and rethrow.
func (e *emitter) throw(i int32, x *instr) {
	switch x.op {
	case wasm.OpThrow:
		e.throwValues(x.a)
		e.i32(e.p.tagID(x.a))
	case wasm.OpRethrow:
		e.op1(wasm.OpLocalGet, e.caughtBy(e.labels[len(e.labels)-1-int(x.a)].arm))
	}
	e.i32(int32(e.b.fn))
	e.i32(i + 1)
	f := runtimeThrowRef
	if x.op == wasm.OpThrow {
		f = runtimeThrow
	}
	e.op1(wasm.OpCall, e.env.runtimeFn(f))
	e.toHandlers(e.throws())
}

// throwValues hands the values of a tag, which are on the operand stack, to the
// host: in their order, each as one or two words.
func (e *emitter) throwValues(tag uint32) {
	params := e.p.tagParams(tag)
	from := make([]uint32, len(params))
	for k := len(params) - 1; k >= 0; k-- {
		from[k] = e.temp(firstThrown-int32(k), params[k])
		e.op1(wasm.OpLocalSet, from[k])
	}
	for k := range params {
		for _, w := range wireOrder(params[k : k+1]) {
			e.pushWire(from[k:], params[k:], []Wire{w})
			f := runtimeWide1
			switch w.Type {
			case wasm.ExternRef:
				f = runtimeRef1
			case wasm.I32:
				e.op(wasm.OpI64ExtendI32U)
			}
			e.op1(wasm.OpCall, e.env.runtimeFn(f))
		}
	}
}

// firstThrown is the first of the scratch slots for the values of exceptions.
const firstThrown = -1 << 24

// caughtValues puts the values of what was caught on the operand stack.
func (e *emitter) caughtValues(tag uint32) {
	word := int32(0)
	for _, t := range e.p.tagParams(tag) {
		var from []uint32
		for _, w := range wireOrder([]wasm.ValType{t}) {
			f := runtimeCaughtWord
			if w.Type == wasm.ExternRef {
				f = runtimeCaughtItem
			}
			from = append(from, e.word(f, word, firstThrown-word, w.Type))
			word++
		}
		e.pullWire(t, from...)
	}
}

// caughtHere ends throwing. What was thrown goes to a local if that is not negative.
func (e *emitter) caughtHere(local int64) {
	if local < 0 {
		e.op1(wasm.OpCall, e.env.runtimeFn(runtimeCaught))
		return
	}
	e.op1(wasm.OpCall, e.env.runtimeFn(runtimeCaughtRef))
	e.op1(wasm.OpLocalSet, uint32(local))
}

// isThrown opens what is done for exceptions with a tag.
func (e *emitter) isThrown(tag uint32) {
	e.op1(wasm.OpCall, e.env.runtimeFn(runtimeThrown))
	e.i32(e.p.tagID(tag))
	e.op(wasm.OpI32Eq)
	e.block(wasm.OpIf, nil, nil)
}

// toEnd leaves a try from the end of its body or of a handler.
func (e *emitter) toEnd(l *label) {
	if e.reach {
		e.op1(wasm.OpBr, uint32(e.open-l.depth))
		l.used = true
	}
}

// closeBody ends the body of a try. It reports whether its handlers are needed.
// What is thrown in them goes to those of label around.
func (e *emitter) closeBody(l *label, around int32) bool {
	e.toEnd(l)
	e.end()
	e.reach = l.guard.used
	l.guard, l.throws = nil, around
	return e.reach
}

// clause begins the handler of the catch at instruction i. It returns the last
// instruction that is done with.
func (e *emitter) clause(i int32, x *instr) int32 {
	n := len(e.labels) - 1
	l := &e.labels[n]
	switch {
	case !l.whole: // what is left of a handler goes on after the end
		return x.match - 1
	case l.guard != nil:
		if !e.closeBody(l, e.labels[n-1].throws) {
			return e.b.endOf(l.opener) - 1
		}
	default:
		e.closeClause(l)
	}
	l.arm = i
	if x.op == wasm.OpCatch {
		e.isThrown(x.a)
	}
	exn := int64(-1)
	if e.b.rethrown[i] {
		exn = int64(e.caughtBy(i))
	}
	e.caughtHere(exn)
	e.reach = true
	if x.op == wasm.OpCatch {
		e.caughtValues(x.a)
		e.keep(i)
	}
	return i
}

// closeClause ends the handler of a catch with a tag; the next clause follows.
func (e *emitter) closeClause(l *label) {
	e.toEnd(l)
	e.end()
	e.reach = true
}

// closeTry ends a try after its body or its last handler. l has been popped.
func (e *emitter) closeTry(l *label) {
	switch {
	case l.guard != nil: // try_table
		if e.closeBody(l, e.throws()) {
			e.tableClauses(&e.b.instrs[l.opener])
		} else {
			e.op(wasm.OpUnreachable)
		}
	case l.arm > 0 && e.b.instrs[l.arm].op == wasm.OpCatch:
		e.closeClause(l)
		e.passOn()
	case l.arm == 0 && e.b.guards(l.opener): // handlers that nothing is thrown to
		e.op(wasm.OpUnreachable)
	}
	e.end()
	e.reach = e.reach || l.used
}

// passOn hands what is thrown and not caught on to the next handlers.
func (e *emitter) passOn() {
	h := e.throws()
	if h < 0 {
		e.i32(int32(e.b.fn))
		e.op1(wasm.OpCall, e.env.runtimeFn(runtimePassed))
	}
	e.toHandlers(h)
	e.reach = false
}

// tableClauses emits the clauses of a try_table. Their labels are those around it.
func (e *emitter) tableClauses(x *instr) {
	for _, c := range e.b.clauses[x.a : x.a+x.b] {
		if c.Kind.HasTag() {
			e.isThrown(c.Tag)
		}
		exn := int64(-1)
		if c.Kind.HasRef() {
			exn = int64(e.temp(scratch, exception))
		}
		e.caughtHere(exn)
		if c.Kind.HasTag() {
			e.caughtValues(c.Tag)
		}
		if exn >= 0 {
			e.op1(wasm.OpLocalGet, uint32(exn))
		}
		e.br(wasm.OpBr, e.branch(c.Label))
		if !c.Kind.HasTag() {
			e.reach = false
			return
		}
		e.end()
	}
	e.passOn()
}
