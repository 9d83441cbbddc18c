package instrument

import "github.com/stasis-run/stasis/internal/wasm"

// A look costs a tight loop dearly: two instructions with a third and fourth.
// So small loops without a site in their body look only at every second or
// fourth iteration: their body is emitted so many times, one after the other,
//
//	block $exit
//	  loop $head
//	    look
//	    block $again
//	      body          ;; a branch to the head leads to the end of $again
//	      br $exit
//	    end
//	    body            ;; a branch to the head leads to $head
//	  end
//	end
//
// The site is that of the loop's head in all of it.

// Largest bodies, in bytes, that are emitted four times and twice.
const (
	fourfold = 24
	twofold  = 64
)

// copies is how many times the body of the loop that instruction i opens is
// emitted; 1 is as it is.
func (e *emitter) copies(i int32, x *instr) int {
	if x.op != wasm.OpLoop || x.site < 0 {
		return 1
	}
	end := &e.b.instrs[x.match]
	n := int(end.pos - x.end)
	if n > twofold || !e.repeats(i, x.match) {
		return 1
	}
	if n > fourfold {
		return 2
	}
	return 4
}

// repeats reports whether the loop from instruction first to last is a plain
// one: it has no parameters, no loop and no site in it, and a branch to its head.
func (e *emitter) repeats(first, last int32) bool {
	if params, _ := e.p.mod.BlockSig(e.b.instrs[first].block); len(params) > 0 {
		return false
	}
	again, depth := false, uint32(0)
	for i := first + 1; i < last; i++ {
		x := &e.b.instrs[i]
		switch {
		case x.site >= 0 || x.op == wasm.OpLoop || isTry(x.op):
			return false
		case isBlock(x.op):
			depth++
		case x.op == wasm.OpEnd:
			depth--
		case x.dead:
		case x.op == wasm.OpBr || x.op == wasm.OpBrIf:
			again = again || x.a == depth
		case x.op == wasm.OpBrTable:
			for _, t := range e.b.targets[x.a : x.a+x.b] {
				again = again || t == depth
			}
		}
	}
	return again
}

// unroll emits the loop that instruction i opens with n copies of its body, and
// returns the number of its end.
func (e *emitter) unroll(i int32, x *instr, n int) int32 {
	_, results := e.p.mod.BlockSig(x.block)
	e.block(wasm.OpBlock, nil, results)
	exit := e.open
	e.block(wasm.OpLoop, nil, results)
	head := e.open
	e.loopHead(x)
	fell := false
	for range n - 1 {
		e.block(wasm.OpBlock, nil, nil)
		e.copyBody(i, e.open)
		if e.reach {
			e.op1(wasm.OpBr, uint32(e.open-exit))
			fell = true
		}
		e.end()
		e.reach = true
	}
	e.copyBody(i, head)
	fell = fell || e.reach
	e.end()
	e.end()
	e.reach = fell
	if fell {
		e.keep(x.match)
	} else {
		e.op(wasm.OpUnreachable)
	}
	return x.match
}

// copyBody emits the body of the loop that instruction i opens. A branch to its
// head goes to the open block at the given depth.
func (e *emitter) copyBody(i int32, head int) {
	e.push(label{opener: i, depth: head, whole: true, copied: true})
	e.code(i+1, len(e.labels)-1)
}
