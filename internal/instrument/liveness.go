package instrument

import (
	"slices"

	"github.com/stasis-run/stasis/internal/wasm"
)

// Liveness of locals, the classical backward analysis on structured code: a
// local is live at a point if some path from there reads it before it writes
// it. Unreachable code has no say. The sets at sites are normative
// (doc/image.md), which they can be since the least solution is unique.
//
// A set at the end of a block is what a branch to it sees; a set at the head
// of a loop starts empty and grows until it is stable. Heads keep their sets
// across iterations of the loops around them, or nests would cost
// exponentially. Sets are shared while nothing changes them: a nest of ten
// thousand blocks that end together has one.

// A liver computes the live sets of a body.
type liver struct {
	b     *body
	sets  bitsets
	live  bitset    // at the current point; shared if clean
	clean bool      // live is also held elsewhere: copy before a change
	heads []bitset  // per site that is a loop: what is known to be live at its head
	ends  []liveEnd // open blocks, from the function inwards
}

// liveEnd is what a branch to an open block sees.
type liveEnd struct {
	opener int32
	target bitset // at the end of a block, at the head of a loop
	after  bitset // at the end, of loops too
	other  bitset // if: live at the start of the else arm; try: of its handlers
	throws bitset // what handlers need of what is thrown here; nil without any
	all    bool   // try: one of its handlers takes everything
}

// findLive fills b.live. The memory of the liver is used again, that of the sets is
// the body's.
func (l *liver) findLive(b *body) {
	b.live = emptied(b.live, len(b.sites))
	if len(b.sites) == 0 || len(b.sites) == 1 && b.sites[0].kind == SiteEntry {
		return // an entry saves its parameters
	}
	l.b, l.sets.n = b, len(b.locals)
	l.live, l.clean = l.sets.empty(), false
	l.heads, l.ends = emptied(l.heads, len(b.sites)), l.ends[:0]
	l.run()
}

// emptied is a list of n nil sets, in the memory of s if that is enough.
func emptied(s []bitset, n int) []bitset {
	s = slices.Grow(s[:0], n)[:n]
	clear(s)
	return s
}

func (l *liver) snapshot() bitset {
	l.clean = true
	return l.live
}

func (l *liver) set(s bitset) { l.live, l.clean = s, true }

func (l *liver) own() {
	if l.clean {
		l.live, l.clean = l.sets.clone(l.live), false
	}
}

// merge adds s to the current set.
func (l *liver) merge(s bitset) {
	if &s[0] == &l.live[0] {
		return
	}
	l.own()
	l.live.or(s)
}

func (l *liver) label(depth uint32) bitset {
	return l.ends[len(l.ends)-1-int(depth)].target
}

// run goes backwards over the body; at the head of a loop whose set has grown
// it goes back to the loop's end and through the loop again.
func (l *liver) run() {
	b := l.b
	if len(b.locals) == 0 {
		for k := range b.sites {
			b.live[k] = l.live
		}
		return
	}
	for i := int32(len(b.instrs) - 1); i >= 0; {
		x := &b.instrs[i]
		if x.dead && x.match >= 0 && isEnd(x.op) { // of the whole block nothing is reached
			i = b.instrs[x.match].prev
			continue
		}
		switch x.op {
		case wasm.OpLocalGet, wasm.OpLocalSet, wasm.OpLocalTee:
			if !x.dead {
				l.local(x)
			}
		case wasm.OpEnd, wasm.OpDelegate:
			l.end(x)
		case wasm.OpElse:
			l.turn()
		case wasm.OpCatch, wasm.OpCatchAll:
			l.catch(i, x)
		case wasm.OpBlock, wasm.OpLoop, wasm.OpIf, wasm.OpTry, wasm.OpTryTable:
			if l.open(x) {
				i = b.endOf(i)
				continue
			}
		default:
			if !x.dead {
				l.step(x)
			}
		}
		i = x.prev
	}
}

// end enters a block from behind.
func (l *liver) end(x *instr) {
	e := liveEnd{opener: x.match, after: l.snapshot()}
	e.target = e.after
	if x.match >= 0 && l.b.instrs[x.match].op == wasm.OpLoop {
		head := &l.heads[l.b.instrs[x.match].site]
		if *head == nil {
			*head = l.sets.empty()
		}
		e.target = *head
	}
	if n := len(l.ends); n > 0 {
		e.throws = l.ends[n-1].throws
	}
	switch {
	case x.op == wasm.OpDelegate:
		e.throws = l.ends[len(l.ends)-1-int(x.a)].throws
	case x.match >= 0 && l.b.instrs[x.match].op == wasm.OpTryTable:
		e.throws = l.clauses(&l.b.instrs[x.match], e.throws)
	}
	l.ends = append(l.ends, e)
}

// clauses is what the labels of a try_table's clauses need, and what is around
// it if one may pass them all.
func (l *liver) clauses(x *instr, around bitset) bitset {
	if x.b == 0 {
		return around
	}
	need := l.sets.empty()
	all := false
	for _, c := range l.b.clauses[x.a : x.a+x.b] {
		need.or(l.label(c.Label))
		all = all || !c.Kind.HasTag()
	}
	if !all && around != nil {
		need.or(around)
	}
	return need
}

// catch goes from the start of a handler to the end of what is before it: the
// handler before, or the body, in which throwing leads to all the handlers.
func (l *liver) catch(i int32, x *instr) {
	e := &l.ends[len(l.ends)-1]
	if e.other == nil {
		e.other = l.sets.empty()
	}
	e.other.or(l.live)
	e.all = e.all || x.op == wasm.OpCatchAll
	opener := l.b.instrs[l.b.endOf(i)].match
	if l.b.instrs[opener].match == i {
		if !e.all && e.throws != nil {
			e.other.or(e.throws)
		}
		e.throws = e.other
	}
	l.set(e.after)
}

// turn goes from the else arm to the end of the then arm.
func (l *liver) turn() {
	e := &l.ends[len(l.ends)-1]
	e.other = l.snapshot()
	l.set(e.after)
}

// open leaves a block at its front. It reports whether a loop has to be gone
// through again.
func (l *liver) open(x *instr) (again bool) {
	e := l.ends[len(l.ends)-1]
	l.ends = l.ends[:len(l.ends)-1]
	switch x.op {
	case wasm.OpIf:
		if e.other == nil {
			e.other = e.after
		}
		l.merge(e.other)
	case wasm.OpLoop:
		if head := l.heads[x.site]; !l.live.equal(head) {
			grown := l.sets.clone(head)
			if grown.or(l.live) {
				l.heads[x.site] = grown
				l.set(e.after)
				return true
			}
		}
		l.b.live[x.site] = l.heads[x.site]
	}
	return false
}

// local goes backwards over an access to a local.
func (l *liver) local(x *instr) {
	switch x.op {
	case wasm.OpLocalGet:
		if !l.live.has(x.a) {
			l.own()
			l.live.add(x.a)
		}
	default:
		if l.live.has(x.a) {
			l.own()
			l.live.remove(x.a)
		}
	}
}

// step goes backwards over any other instruction that is no block.
func (l *liver) step(x *instr) {
	throws := l.ends[len(l.ends)-1].throws
	if x.site >= 0 { // a call: what is live after it, returned or thrown
		if throws != nil && !x.sliced {
			l.merge(throws)
		}
		l.b.live[x.site] = l.snapshot()
	}
	switch x.op {
	case wasm.OpBr:
		l.set(l.label(x.a))
	case wasm.OpBrIf, wasm.OpBrOnNull, wasm.OpBrOnNonNull:
		l.merge(l.label(x.a))
	case wasm.OpBrTable:
		l.set(l.sets.empty())
		l.clean = false
		for _, t := range l.b.targets[x.a : x.a+x.b] {
			l.live.or(l.label(t))
		}
	case wasm.OpReturn, wasm.OpUnreachable, wasm.OpReturnCall, wasm.OpReturnCallIndirect, wasm.OpReturnCallRef:
		l.set(l.sets.empty())
		l.clean = false
	case wasm.OpThrow, wasm.OpThrowRef, wasm.OpRethrow:
		if throws == nil {
			throws = l.sets.empty()
		}
		l.set(throws)
	}
}
