package instrument

import (
	"fmt"

	"github.com/stasis-run/stasis/internal/wasm"
)

// uncheckedLimit bounds the instructions that may run between two looks where
// no loop and no recursion is in between: functions that could run more, with
// the unchecked functions that they call, look at their entry.
const uncheckedLimit = 100_000

// quickLimit bounds the instructions that a quick function and all that it
// calls may run. They run between two checks.
const quickLimit = 2000

// surveyed is what one walk over a function's body finds for all others.
type surveyed struct {
	size    int      // instructions
	callees []uint32 // of direct calls in reachable code, in order
	sites   int      // loops and calls that are sites whoever is called
	headed  bool     // begins with a loop
	led     bool     // headed is decided
	bound   bool     // may neither loop nor leave the module, but for callees
}

// survey walks all bodies once, which validates them: it refuses what is not
// supported, finds the quick functions and numbers the sites.
func (p *Program) survey() error {
	for f := runtimeLeave0; f <= runtimeWide4; f++ {
		p.needs[f] = true
	}
	for _, t := range p.mod.Types {
		p.needTypes(append(t.Params[:len(t.Params):len(t.Params)], t.Results...))
	}
	all := make([]surveyed, len(p.mod.Code))
	type surveyor struct {
		*Program
		walker *wasm.Walker
	}
	var workers []surveyor
	err := forEach(p.opts.Workers, len(all), func() surveyor {
		workers = append(workers, surveyor{p.surveyor(), p.walker.Fork()})
		return workers[len(workers)-1]
	}, func(w surveyor, i int) error { return w.surveyOne(w.walker, uint32(i), &all[i]) })
	if err != nil {
		return err
	}
	for _, w := range workers {
		p.join(w.Program)
	}
	p.findQuick(all)
	p.findChecked(all)
	p.firstSite = make([]SiteID, len(all)+1)
	var n SiteID
	for i := range all {
		p.firstSite[i] = n
		n += SiteID(p.countSites(i, &all[i]))
	}
	p.firstSite[len(all)] = n
	return nil
}

func (p *Program) countSites(i int, s *surveyed) int {
	if p.traits[i].quick {
		return 0
	}
	n := s.sites
	if p.traits[i].entrySite() {
		n++
	}
	for _, f := range s.callees {
		if !p.quick(f) {
			n++
		}
	}
	return n
}

func (p *Program) surveyOne(w *wasm.Walker, defined uint32, s *surveyed) error {
	s.bound = true
	small := false // the instruction before is a small constant
	fn := uint32(p.imports) + defined
	err := w.Walk(int(defined), func(in *wasm.Instr, st *wasm.State) error {
		if len(st.Ctrls) > maxNesting {
			return fmt.Errorf("function %d: blocks nested deeper than %d: %w", fn, maxNesting, ErrUnsupported)
		}
		if !s.led {
			if s.size == 0 {
				p.needTypes(st.Locals)
			}
			s.lead(in)
		}
		s.size++
		if !isCommon(in.Op, passing) {
			p.need(in)
			if !st.Dead() {
				s.note(in, small)
			}
		}
		small = isSmall(in)
		return nil
	})
	return err
}

// needTypes notes what records of these locals need.
func (p *Program) needTypes(ts []wasm.ValType) {
	for _, t := range ts {
		if lowered(t) == wasm.ExternRef {
			p.needs[runtimeRef1] = true
		}
	}
}

// need notes what an instruction, which is not a passing one, needs of the hot
// form, reached or not. It has not been validated yet.
func (p *Program) need(in *wasm.Instr) {
	switch in.Op {
	case wasm.OpRefFunc, wasm.OpReturnCall: // imports in tail calls: through a helper with the hidden parameter
		if in.A < uint64(len(p.taken)) {
			p.taken[in.A] = true
		}
	case wasm.OpMemoryCopy, wasm.OpMemoryFill, wasm.OpMemoryInit:
		p.needs[runtimeBulk] = true
		p.segments = p.segments || in.Op == wasm.OpMemoryInit
	case wasm.OpDataDrop, wasm.OpElemDrop:
		p.needs[runtimeDropped] = true
	case wasm.OpTableGet, wasm.OpTableSet, wasm.OpTableGrow, wasm.OpTableFill, wasm.OpTableCopy, wasm.OpTableInit:
		p.funcTable = true
		for f := runtimeTableGet; f <= runtimeTableInit; f++ {
			p.needs[f] = true
		}
	case wasm.OpTry, wasm.OpTryTable, wasm.OpThrow, wasm.OpThrowRef:
		p.needs[runtimeRef1] = true
		for f := runtimeThrow; f <= runtimePassed; f++ {
			p.needs[f] = true
		}
	case wasm.OpRefNull:
		if t := wasm.RefNull(wasm.HeapType(in.A)); !isFuncRef(t) {
			p.needs[runtimeRef1] = true
		}
	}
	p.funcTable = p.funcTable || needsFuncTable(in.Op)
	if f, ok := p.threadFunc(in.Op); ok {
		p.needs[f] = true
	}
}

// maxLead is how many plain instructions may come before the first loop of a
// function that looks there instead of at its entry.
const maxLead = 32

// lead looks at an instruction for what the function begins with. It is asked
// until that is decided (led).
func (s *surveyed) lead(in *wasm.Instr) {
	_, _, plain := in.Op.Sig()
	switch in.Op {
	case wasm.OpLocalGet, wasm.OpLocalSet, wasm.OpLocalTee, wasm.OpGlobalGet, wasm.OpGlobalSet, wasm.OpDrop, wasm.OpNop:
		plain = true
	case wasm.OpMemoryCopy, wasm.OpMemoryFill, wasm.OpMemoryInit,
		wasm.OpMemoryAtomicWait32, wasm.OpMemoryAtomicWait64, wasm.OpMemoryAtomicNotify:
		plain = false
	}
	s.headed = in.Op == wasm.OpLoop
	s.led = s.headed || !plain || s.size >= maxLead
}

// note looks at one reachable instruction, which is not a passing one. small says
// that it comes after a small constant.
func (s *surveyed) note(in *wasm.Instr, small bool) {
	switch {
	case in.Op == wasm.OpCall:
		s.callees = append(s.callees, uint32(in.A))
	case in.Op == wasm.OpLoop, isDynamicCall(in.Op), isSliced(in.Op, small), isWait(in.Op):
		s.sites++
		s.bound = false
	case in.Op == wasm.OpReturnCall:
		s.bound = false
	case leavesModule(in.Op):
		s.bound = false
	}
}

// isDynamicCall reports whether op is a call that is not direct, tail calls
// included only in so far as they return here (they do not).
func isDynamicCall(op wasm.Opcode) bool {
	return op == wasm.OpCallIndirect || op == wasm.OpCallRef
}

// leavesModule reports whether op runs, or may become, code of the host, or
// makes a function unfit to be left alone for another reason.
func leavesModule(op wasm.Opcode) bool {
	switch op {
	case wasm.OpReturnCallIndirect, wasm.OpReturnCallRef, wasm.OpMemoryGrow, wasm.OpMemoryInit, wasm.OpDataDrop,
		wasm.OpMemoryCopy, wasm.OpMemoryFill, wasm.OpThrow, wasm.OpThrowRef, wasm.OpRethrow:
		return true
	}
	return isReference(op)
}

// sliceSize is how many bytes a bulk memory operation may move between two
// looks: about 10 µs of work.
const sliceSize = 64 << 10

// isSmall reports whether an instruction is a constant that is a small size.
func isSmall(in *wasm.Instr) bool { return in.Op == wasm.OpI32Const && uint32(in.A) <= sliceSize }

// isSliced reports whether op is a bulk memory operation that is run in
// slices by a helper function, with a safepoint between them. One whose size
// is a small constant, the instruction before it, is left as it is.
func isSliced(op wasm.Opcode, small bool) bool {
	switch op {
	case wasm.OpMemoryCopy, wasm.OpMemoryFill:
		return !small
	case wasm.OpMemoryInit:
		return true
	}
	return false
}

// findQuick decides which functions are left alone: those that run at most
// quickLimit instructions, callees included, none of which loops, blocks or
// recurses. The depth-first search keeps its own stack, since the call graph
// may be as deep as the module has functions.
func (p *Program) findQuick(all []surveyed) {
	p.traits = make([]funcTraits, len(all))
	const unknown, open, closed = 0, 1, 2
	state := make([]byte, len(all))
	cost := make([]int, len(all)) // with callees; above quickLimit is not quick
	type visit struct{ fn, next int }
	var stack []visit
	for root := range all {
		if state[root] != unknown {
			continue
		}
		stack = append(stack[:0], visit{fn: root})
		state[root] = open
		for len(stack) > 0 {
			v := &stack[len(stack)-1]
			s := &all[v.fn]
			if v.next == 0 {
				cost[v.fn] = s.size
				if !s.bound {
					cost[v.fn] = quickLimit + 1
				}
			}
			if v.next == len(s.callees) || cost[v.fn] > quickLimit {
				state[v.fn] = closed
				p.traits[v.fn].quick = cost[v.fn] <= quickLimit
				stack = stack[:len(stack)-1]
				if len(stack) > 0 {
					cost[stack[len(stack)-1].fn] += cost[v.fn]
				}
				continue
			}
			callee := int(s.callees[v.next]) - p.imports
			v.next++
			switch {
			case callee < 0 || state[callee] == open: // an import, or recursion
				cost[v.fn] = quickLimit + 1
			case state[callee] == closed:
				cost[v.fn] += cost[callee]
			default:
				state[callee] = open
				stack = append(stack, visit{fn: callee})
			}
		}
	}
}

// findChecked decides which functions look at their entry, and how large
// frames count. Every recursion has to pass a look: those through references
// pass a function whose reference is taken, and of the others each has an edge
// that goes back in a depth-first walk of direct calls, whose target looks.
// Frames of functions that do not look are part of that of the nearest caller
// which does: its size has room for the largest chain of them.
func (p *Program) findChecked(all []surveyed) {
	const unknown, open, closed = 0, 1, 2
	state := make([]byte, len(all))
	order := make([]int, 0, len(all)) // callees first, but for edges back
	type visit struct{ fn, next int }
	var stack []visit
	for root := range all {
		if state[root] != unknown {
			continue
		}
		state[root] = open
		stack = append(stack[:0], visit{fn: root})
		for len(stack) > 0 {
			v := &stack[len(stack)-1]
			if v.next == len(all[v.fn].callees) {
				state[v.fn] = closed
				order = append(order, v.fn)
				stack = stack[:len(stack)-1]
				continue
			}
			callee := int(all[v.fn].callees[v.next]) - p.imports
			v.next++
			switch {
			case callee < 0 || p.traits[callee].quick || state[callee] == closed:
			case state[callee] == open:
				p.traits[callee].checked = true
			default:
				state[callee] = open
				stack = append(stack, visit{fn: callee})
			}
		}
	}
	p.sizeFrames(all, order)
}

func (p *Program) sizeFrames(all []surveyed, order []int) {
	cost := make([]int, len(all))    // instructions between looks
	chain := make([]int64, len(all)) // bytes of frames of unchecked callees
	for _, i := range order {
		t := &p.traits[i]
		if t.quick {
			t.checked = false
			continue
		}
		t.checked = t.checked || p.taken[p.imports+i]
		cost[i] = all[i].size
		for _, f := range all[i].callees {
			g := int(f) - p.imports
			if g < 0 || p.traits[g].quick || p.traits[g].checked {
				continue
			}
			cost[i] = min(cost[i]+cost[g], uncheckedLimit+1)
			chain[i] = max(chain[i], chain[g]+p.ownFrame(g))
		}
		t.checked = t.checked || cost[i] > uncheckedLimit
		t.headed = all[i].headed
		if t.checked {
			t.frame = int32(min(p.ownFrame(i)+chain[i], maxFrame))
		}
	}
}

// maxFrame bounds the size of one frame in the account.
const maxFrame = 1 << 20

// LeastFrame is the measure of a frame without parameters and locals, in bytes.
const LeastFrame = 64

// ownFrame is the measure of a frame of a defined function, in bytes.
func (p *Program) ownFrame(defined int) int64 {
	c := &p.mod.Code[defined]
	n := int64(len(p.funcType(uint32(p.imports + defined)).Params))
	for _, run := range c.Locals {
		n += int64(run.N)
	}
	return LeastFrame + 8*n + int64(len(c.Body)/8)
}
