package wasmgen

import "slices"

// An Encoding says how exceptions are written. From one seed all of them make
// the same program, but for the functions that stand around it.
type Encoding int

// Encodings.
const (
	// Reference is for an engine that runs try_table natively: a vector that an
	// exception carries is written as two i64, since wazero loses half of it; and
	// an exception that leaves an export tells the host's function "uncaught" its
	// tag and values on the way, since wazero says no more than that there was one.
	Reference Encoding = iota
	TryTable           // try_table, throw_ref
	Legacy             // try, catch, catch_all, delegate, rethrow
	Mixed              // each function as one of these two
)

// A guard is a construct that catches, while its code is written.
type guard struct {
	handler bool // the guarded code is over: a handler is written
	exn     int  // the local with the exception that the handler caught; -1 is none
	held    bool // the handler has the exception, to be thrown again
	padded  bool // others may delegate to it
	clauses []clause
}

// A clause is what a try catches and hands to one handler.
type clause struct {
	tag  int // -1 is all
	held bool
}

// planTags draws tags: one without values, one with an i32, others with
// anything.
func (g *gen) planTags() {
	if g.cfg.Without&Exceptions != 0 {
		return
	}
	g.tags = [][]valType{nil, {i32}}
	for range g.src.n(4) {
		g.tags = append(g.tags, g.anyTypes(4))
	}
	for _, t := range g.tags {
		g.tagTypes = append(g.tagTypes, g.typ(funcType{in: g.carried(t)}))
	}
}

// carried are the types of the values of an exception as they are written.
func (g *gen) carried(ts []valType) []valType {
	if g.cfg.Encoding != Reference {
		return ts
	}
	var out []valType
	for _, t := range ts {
		if t == v128 {
			out = append(out, i64, i64)
			continue
		}
		out = append(out, t)
	}
	return out
}

// exceptions reports whether the module has them.
func (g *gen) exceptions() bool { return len(g.tags) > 0 }

// tryCatch writes code that is guarded, and handlers.
func (f *body) tryCatch(in, out []valType, d int) {
	if f.src.chance(15) {
		if to, ok := f.delegateTarget(); ok {
			f.delegate(to, in, out, d)
			return
		}
	}
	t := &guard{exn: -1, padded: f.src.chance(25)}
	for range f.src.pick(5, 40, 35, 20) {
		t.clauses = append(t.clauses, clause{tag: f.src.n(len(f.g.tags)), held: f.src.chance(50)})
	}
	if f.src.chance(50) {
		t.clauses = append(t.clauses, clause{tag: -1, held: f.src.chance(50)})
	}
	kept := f.secret(d)
	f.openTry(t, in, out)
	if d > 1 && f.src.chance(35) && len(f.visible()) < maxNesting/2 {
		f.tryCatch(nil, nil, d-1)
	}
	f.inner(d)
	if !f.cur().dead && f.src.chance(60) {
		for range f.src.n(4) {
			f.hold(min(d, 1))
		}
		f.anyCall(min(d, 2))
	}
	f.maybeThrow(d)
	f.finish(d)
	for i, c := range t.clauses {
		t.handler, t.held = true, c.held
		f.openHandler(t, i)
		f.reveal(kept)
		f.inner(d)
		f.finish(d)
	}
	f.closeTry(t)
}

// secret gives a local of its own a value that only the code at the end of one
// edge will read (reveal): of a branch, an arm or a handler. If the edge is
// forgotten, so is the value. -1 is none.
func (f *body) secret(d int) int {
	if f.cur().dead || f.src.chance(40) {
		return -1
	}
	t := f.g.localType()
	f.value(t, min(d, 1))
	x := f.hidden(t)
	f.set(x)
	return x
}

// reveal takes a secret to where it can be seen.
func (f *body) reveal(x int) {
	if x >= 0 {
		f.get(x)
		f.mix()
	}
}

// maybeThrow throws, often under a condition.
func (f *body) maybeThrow(d int) {
	switch {
	case f.cur().dead || f.src.chance(25):
	case f.src.chance(20):
		f.throw(min(d, 1))
	default:
		f.throwIf(min(d, 1))
	}
}

// throwIf throws under a condition.
func (f *body) throwIf(d int) {
	f.value(i32, d)
	f.mask(1)
	f.pop(1)
	f.open(opIf, nil, nil)
	f.throw(d)
	f.finish(0)
	f.end()
}

// throw throws an exception of any tag, or again one that was caught.
func (f *body) throw(d int) {
	if f.src.chance(25) && f.rethrow() {
		return
	}
	if f.g.native && f.src.chance(30) {
		f.throwRef(d)
		return
	}
	tag := f.src.n(len(f.g.tags))
	f.operands(f.g.tags[tag], d)
	f.quiet(func() { f.split(f.g.tags[tag]) })
	f.opU(opThrow, tag)
	f.diverge()
}

// rethrow throws again what an enclosing handler caught, if there is one that
// still has it.
func (f *body) rethrow() bool {
	var at []int
	for i := range f.blocks {
		if t := f.blocks[i].guard; t != nil && t.handler && t.held {
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		return false
	}
	i := one(f.src, at)
	if f.legacy {
		f.opU(opRethrow, f.depth(i))
	} else {
		f.quiet(func() { f.get(f.blocks[i].guard.exn) })
		f.op(opThrowRef)
		f.stack = f.stack[:max(0, len(f.stack)-1)]
	}
	f.last = opRethrow
	f.diverge()
	return true
}

// delegateTarget draws where exceptions are delegated to: an enclosing try, or
// the function's caller, which is block 0.
func (f *body) delegateTarget() (block int, ok bool) {
	var at []int
	if f.padded {
		at = append(at, 0)
	}
	for i := range f.blocks {
		if t := f.blocks[i].guard; t != nil && !t.handler && t.padded {
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		return 0, false
	}
	return one(f.src, at), true
}

// throwRef throws what a reference refers to, null seldom.
func (f *body) throwRef(d int) {
	f.value(exnref, d)
	if f.src.chance(90) {
		x := f.temp(exnref)
		f.tee(x)
		f.apply(opRefIsNull, 1, i32)
		f.pop(1)
		f.open(opIf, nil, nil)
		f.opU(opThrow, 0)
		f.diverge()
		f.end()
		f.get(x)
	}
	f.op(opThrowRef)
	f.pop(1)
	f.diverge()
}

// catchRaw writes a try_table as no try can be written: its clauses lead to
// the labels of any blocks around it whose types fit. A block that fits one is
// opened for it.
func (f *body) catchRaw(d int) {
	tag := f.src.n(len(f.g.tags) + 1)
	var ts []valType
	if tag < len(f.g.tags) && !slices.Contains(f.g.tags[tag], v128) {
		ts = f.g.tags[tag]
	}
	if f.src.chance(60) {
		ts = append(ts[:len(ts):len(ts)], exnref)
	}
	f.open(opBlock, nil, ts)
	in, out := []valType{}, f.g.anyTypes(2)
	if f.src.chance(30) {
		in = append(in, f.g.anyTypes(1)...)
	}
	f.operands(in, d-1)
	clauses := f.rawClauses(1 + f.src.n(4))
	f.op(opTryTable)
	f.blockType(in, out)
	f.code.u(uint64(len(clauses) / 3))
	for i := 0; i < len(clauses); i += 3 {
		f.code.byte(byte(clauses[i]))
		if clauses[i] < catchAll {
			f.code.u(uint64(clauses[i+1]))
		}
		f.code.u(uint64(clauses[i+2]))
	}
	f.pop(len(in))
	f.blocks = append(f.blocks, block{op: opTryTable, in: in, out: out, base: len(f.stack)})
	f.push(in...)
	f.inner(d)
	f.maybeThrow(d)
	f.finish(d)
	f.end()
	f.inner(min(d, 1))
	f.finish(min(d, 1))
	f.end()
}

// Kinds of clauses of a try_table.
const (
	catchTag    = 0
	catchTagRef = 1
	catchAll    = 2
	catchAllRef = 3
)

// rawClauses draws up to n clauses: kind, tag and label of each.
func (f *body) rawClauses(n int) (out []int) {
	var fits []int
	for _, l := range f.visible() {
		ts := f.blockAt(l).label()
		if f.blockAt(l).op == opLoop && f.src.chance(80) {
			continue
		}
		if len(ts) == 0 {
			fits = append(fits, catchAll, 0, l)
		}
		if len(ts) == 1 && ts[0] == exnref {
			fits = append(fits, catchAllRef, 0, l)
		}
		for tag, c := range f.g.tags {
			if slices.Contains(c, v128) { // it is not written so in every encoding
				continue
			}
			if sameTypes(ts, c) {
				fits = append(fits, catchTag, tag, l)
			}
			if len(ts) == len(c)+1 && ts[len(c)] == exnref && sameTypes(ts[:len(c)], c) {
				fits = append(fits, catchTagRef, tag, l)
			}
		}
	}
	for range n {
		if len(fits) == 0 {
			break
		}
		i := 3 * f.src.n(min(len(fits)/3, 4)) // mostly near ones
		out = append(out, fits[i:i+3]...)
	}
	return out
}

// quiet writes code that only some encodings need, so that what is drawn after
// it does not depend on the encoding.
func (f *body) quiet(write func()) {
	budget, last := f.budget, f.last
	write()
	f.budget, f.last = budget, last
}

// park takes the values on top into locals.
func (f *body) park(ts []valType) []int {
	locals := make([]int, len(ts))
	for i, t := range slices.Backward(ts) {
		if !t.nullable() { // wazero's validator takes no such local after a try_table (TestWazeroFaults)
			t = nullRefTo(t.target())
		}
		locals[i] = f.hidden(t)
		f.set(locals[i])
	}
	return locals
}

// fetch pushes what park has taken into a local, of type t.
func (f *body) fetch(local int, t valType) {
	f.get(local)
	if !t.nullable() {
		f.apply(opRefAsNonNull, 1, t)
	}
}

// split writes the vectors among the values on top as two i64 where the
// encoding wants that. To the generator they stay what they are.
func (f *body) split(ts []valType) {
	if len(f.g.carried(ts)) == len(ts) {
		f.pop(len(ts))
		return
	}
	locals := f.park(ts)
	for i, t := range ts {
		f.fetch(locals[i], t)
		if t == v128 {
			f.extract(0)
			f.get(locals[i])
			f.extract(1)
		}
	}
	f.pop(len(f.g.carried(ts)))
}

// join takes the values that split made from beneath the generator's stack.
func (f *body) join(ts []valType) {
	c := f.g.carried(ts)
	if len(c) == len(ts) {
		f.push(ts...)
		return
	}
	f.push(c...)
	locals := f.park(c)
	at := 0
	for _, t := range ts {
		f.fetch(locals[at], c[at])
		at++
		if t == v128 {
			f.apply(opI64x2Splat, 1, v128)
			f.get(locals[at])
			at++
			f.op(opI64x2Replace)
			f.code.byte(1)
			f.pop(2)
			f.push(v128)
		}
	}
}

// throwing is how often, in percent, code is left by throwing: more where
// something catches that.
func (f *body) throwing() int {
	for i := range f.blocks {
		if t := f.blocks[i].guard; t != nil && !t.handler {
			return 50
		}
	}
	return 12
}
