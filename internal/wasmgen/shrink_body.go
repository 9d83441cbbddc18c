package wasmgen

import (
	"slices"

	"github.com/stasis-run/stasis/internal/wasm"
)

// A point is what is known before an instruction of a body.
type point struct {
	pos    int          // in the body
	op     wasm.Opcode  // of the instruction
	a      uint64       // its first immediate
	depth  int          // open blocks
	height int          // operands
	top    wasm.ValType // the topmost operand
}

// points walks through body i of m.
func points(m *wasm.Module, i int) []point {
	var ps []point
	err := wasm.Walk(m, i, func(in *wasm.Instr, st *wasm.State) error {
		p := point{pos: in.Pos, op: in.Op, a: in.A, depth: len(st.Ctrls), height: len(st.Stack)}
		if p.height > 0 {
			p.top = st.Stack[p.height-1]
		}
		ps = append(ps, p)
		return nil
	})
	if err != nil {
		panic("wasmgen: invariant: the module was valid: " + err.Error())
	}
	return ps
}

// shrinkBodies removes instructions: runs that leave the stack as it was, or
// that only push one value, and blocks around others.
func (s *shrinker) shrinkBodies() {
	for i := range s.m.Code {
		b := &bodyShrinker{s, i, s.m.Code[i].Body, fuel{}}
		b.fuel = fuelOf(points(s.m, i))
		for b.round() {
		}
	}
}

// A bodyShrinker shrinks one body.
type bodyShrinker struct {
	*shrinker
	i    int
	body []byte // as in the module
	fuel fuel   // what has to stay
}

// round tries all runs once, those that begin early and are long first, and
// reports whether one went. A body that shrank is looked at anew where it
// shrank.
func (b *bodyShrinker) round() bool {
	shrank := false
	for at := 0; ; at++ {
		ps := points(b.m, b.i)
		if at >= len(ps)-1 {
			return shrank
		}
		for b.shrinkAt(ps, at) {
			shrank = true
			ps = points(b.m, b.i)
			if at >= len(ps)-1 {
				return true
			}
		}
	}
}

// shrinkAt tries what can be removed from instruction at on.
func (b *bodyShrinker) shrinkAt(ps []point, at int) bool {
	p := ps[at]
	var empty, value []int // ends of runs
	for j := at + 1; j < len(ps) && ps[j].depth >= p.depth; j++ {
		if ps[j].depth != p.depth {
			continue
		}
		switch ps[j].height {
		case p.height:
			empty = append(empty, j)
		case p.height + 1:
			value = append(value, j)
		}
	}
	for _, j := range longestFirst(empty) {
		if b.replace(ps, at, j, nil) {
			return true
		}
	}
	for _, j := range longestFirst(value) {
		if z, ok := zeros([]wasm.ValType{ps[j].top}); ok && b.replace(ps, at, j, z) {
			return true
		}
	}
	return b.unwrap(ps, at)
}

// longestFirst picks some of the ends of runs: the last, and then ever closer.
func longestFirst(ends []int) []int {
	var pick []int
	for n := len(ends); n > 0; n = n * 2 / 3 {
		pick = append(pick, ends[n-1])
	}
	return pick
}

// replace puts code in the place of instructions at to j-1.
func (b *bodyShrinker) replace(ps []point, at, j int, code []byte) bool {
	from, to := ps[at].pos, ps[j].pos
	if len(code) >= to-from {
		return false
	}
	return b.tryBody(slices.Concat(b.body[:from], code, b.body[to:]))
}

// unwrap removes a block and its end but not what is in it.
func (b *bodyShrinker) unwrap(ps []point, at int) bool {
	switch ps[at].op {
	case wasm.OpBlock, wasm.OpLoop:
	default:
		return false
	}
	for j := at + 1; j < len(ps)-1; j++ {
		if ps[j].depth == ps[at].depth+1 && ps[j].op == wasm.OpEnd {
			body := b.body
			return b.tryBody(slices.Concat(body[:ps[at].pos],
				body[ps[at+1].pos:ps[j].pos], body[ps[j+1].pos:]))
		}
	}
	return false
}

// tryBody tries another body, if it is valid and burns its fuel.
func (b *bodyShrinker) tryBody(body []byte) bool {
	c := &b.m.Code[b.i]
	old := c.Body
	c.Body = body
	if wasm.Walk(b.m, b.i, nil) == nil && fuelOf(points(b.m, b.i)).covers(b.fuel) && b.keep() {
		b.body = body
		return true
	}
	c.Body = old
	return false
}

// fuel says how a body sees to it that it ends.
type fuel struct {
	entry bool // burns at its entry, or calls nothing
	loops bool // burns at the head of each loop
	sets  bool // takes from the fuel and never gives
}

// covers reports whether f keeps all that old had.
func (f fuel) covers(old fuel) bool {
	return (f.entry || !old.entry) && (f.loops || !old.loops) && (f.sets || !old.sets)
}

// fuelOf looks at a body.
func fuelOf(ps []point) fuel {
	f := fuel{entry: burns(ps), loops: true, sets: true}
	calls := false
	for i, p := range ps {
		switch {
		case p.op >= wasm.OpCall && p.op <= wasm.OpReturnCallRef:
			calls = true
		case p.op == wasm.OpLoop && !burns(ps[i+1:]):
			f.loops = false
		case p.op == wasm.OpGlobalSet && p.a == globalFuel && (i < 3 || !takes(ps[i-3:])):
			f.sets = false
		}
	}
	f.entry = f.entry || !calls
	return f
}

// takes reports whether ps begins with what takes from the fuel.
func takes(ps []point) bool {
	return len(ps) > 4 && ps[0].op == wasm.OpGlobalGet && ps[0].a == globalFuel &&
		ps[1].op == wasm.OpI32Const && int32(ps[1].a) > 0 &&
		ps[2].op == wasm.OpI32Sub && ps[3].op == wasm.OpGlobalSet && ps[3].a == globalFuel
}

// burns reports whether ps begins with what body.burn writes.
func burns(ps []point) bool {
	if len(ps) < 10 || !takes(ps) {
		return false
	}
	test := ps[4].op == wasm.OpGlobalGet && ps[4].a == globalFuel &&
		ps[5].op == wasm.OpI32Const && ps[5].a == 0 && ps[6].op == wasm.OpI32LtS && ps[7].op == wasm.OpIf
	if !test {
		return false
	}
	for i := 8; i < len(ps); i++ {
		if ps[i].depth == ps[7].depth+1 && ps[i].op == wasm.OpEnd {
			last := ps[i-1].op
			return last == wasm.OpReturn || last == wasm.OpUnreachable
		}
	}
	return false
}
