package instrument

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/stasis-run/stasis/internal/wasm"
)

// A reader makes bodies of functions. All of them have been validated by then
// (by the survey, or by Program.body), so it checks nothing and looks at no
// operand's type but where it can come to be in a record. Its memory, and that
// of the bodies, is used again.
type reader struct {
	p     *Program
	b     *body
	code  wasm.Reader
	in    wasm.Instr
	open  []opener
	stack []operand
	kept  int             // so many of stack, from below, are kept in locals
	last  int32           // the last instruction that is not copied, or -1
	one   [1]wasm.ValType // of effect
	liver liver
}

// An operand is a value on the operand stack.
type operand struct {
	typ wasm.ValType
	by  int32 // the instruction that left it there
}

// opener is an open block while a body is read.
type opener struct {
	index  int32   // of its instruction; -1: the function
	height int     // len(stack) below its parameters
	params []int32 // if: the instructions that left its parameters, for the else
	last   int32   // its last else or catch so far, or 0
	dead   bool    // the block is not reached
	done   bool    // the rest of the block is not reached
}

// analyse fills b, which may have been filled before, for a defined function.
func (r *reader) analyse(defined uint32, b *body) error {
	if err := r.read(defined, b); err != nil {
		return err
	}
	if err := b.findHandlers(); err != nil {
		return err
	}
	if len(b.sites)*len(b.locals) > maxLiveBits {
		return fmt.Errorf("function %d: %d calls and loops with %d locals, more than this can look at: %w", b.fn, len(b.sites), len(b.locals), ErrUnsupported)
	}
	b.sortTees()
	r.liver.findLive(b)
	if err := b.tooMany(b.countValues()); err != nil {
		return err
	}
	p := r.p
	if want := int(p.firstSite[defined+1] - p.firstSite[defined]); len(b.sites) != want {
		panic(fmt.Sprintf("instrument: function %d has %d sites, the survey counted %d", b.fn, len(b.sites), want))
	}
	return nil
}

// read goes through the instructions.
func (r *reader) read(defined uint32, b *body) error {
	code := &r.p.mod.Code[defined]
	b.reset(r.p, defined)
	r.b, r.stack, r.kept, r.last = b, r.stack[:0], 0, -1
	r.open = append(r.open[:0], opener{index: -1})
	if r.p.traits[defined].entrySite() {
		b.sites = append(b.sites, site{kind: SiteEntry})
	}
	r.code.Reset(code.Body)
	for len(r.open) > 0 {
		if err := r.code.Next(&r.in); err != nil {
			return fmt.Errorf("function %d: %w", b.fn, err)
		}
		r.visit(&r.in)
	}
	return b.tooMany(b.operands)
}

// reset empties b for a defined function.
func (b *body) reset(p *Program, defined uint32) {
	fn := uint32(p.imports) + defined
	code := &p.mod.Code[defined]
	if n := len(code.Body) / 2; cap(b.instrs) < n { // they take two bytes each, or somewhat more
		b.instrs = make([]instr, 0, n)
	}
	*b = body{
		fn: fn, typ: p.funcType(fn), code: code.Body, locals: b.locals[:0], instrs: b.instrs[:0], targets: b.targets[:0],
		clauses: b.clauses[:0], tees: b.tees[:0], sites: b.sites[:0], types: b.types[:0], live: b.live[:0],
	}
	b.locals = append(b.locals, b.typ.Params...)
	for _, run := range code.Locals {
		for range run.N {
			b.locals = append(b.locals, run.Type)
		}
	}
}

// sortTees puts them in order and tells their instructions, which are copied no
// more. The parameters of an if can be among them twice, for each of its arms.
func (b *body) sortTees() {
	slices.SortStableFunc(b.tees, func(x, y tee) int {
		return cmp.Or(cmp.Compare(x.instr, y.instr), cmp.Compare(x.slot, y.slot))
	})
	b.tees = slices.CompactFunc(b.tees, func(x, y tee) bool { return x.instr == y.instr && x.slot == y.slot })
	for _, t := range b.tees {
		x := &b.instrs[t.instr]
		x.kept, x.copied = true, false
	}
}

func (r *reader) visit(in *wasm.Instr) {
	b, top := r.b, &r.open[len(r.open)-1]
	i := int32(len(b.instrs))
	b.instrs = append(b.instrs, instr{})
	x := &b.instrs[i]
	x.op, x.pos, x.end, x.a, x.b = in.Op, uint32(in.Pos), uint32(in.End), uint32(in.A), uint32(in.B)
	x.site, x.match, x.prev = -1, -1, r.last
	x.dead = top.dead || top.done
	if isCommon(in.Op, copied) {
		x.copied = true
		if !x.dead {
			r.copied(i, in)
		}
		return
	}
	r.last = i
	switch in.Op {
	case wasm.OpBlock, wasm.OpLoop, wasm.OpIf, wasm.OpTry, wasm.OpTryTable:
		r.enter(i, x, in)
	case wasm.OpElse:
		r.turn(i)
	case wasm.OpCatch, wasm.OpCatchAll:
		r.catch(i)
	case wasm.OpEnd, wasm.OpDelegate:
		r.leave(i)
	case wasm.OpBrTable:
		x.a, x.b = uint32(len(b.targets)), uint32(len(in.Targets))
		b.targets = append(b.targets, in.Targets...)
		top.done = true
	default:
		if !x.dead {
			r.operate(i, x, in)
		}
	}
}

// copied does to the operand stack what an instruction does that is reached and
// copied.
func (r *reader) copied(i int32, in *wasm.Instr) {
	pops, push, ok := in.Arity()
	if !ok { // drop
		pops = 1
	}
	r.pop(pops)
	if push != wasm.Unknown {
		r.stack = append(r.stack, operand{push, i})
	}
}

// operate does to the operand stack what an instruction does that is reached and
// neither copied nor a block.
func (r *reader) operate(i int32, x *instr, in *wasm.Instr) {
	switch in.Op { // the most common ones
	case wasm.OpLocalGet:
		r.stack = append(r.stack, operand{r.b.locals[in.A], i})
		return
	case wasm.OpLocalSet:
		r.pop(1)
		return
	case wasm.OpLocalTee:
		r.pop(1)
		r.stack = append(r.stack, operand{r.b.locals[in.A], i})
		return
	}
	x.sliced = isSliced(in.Op, r.small(i))
	x.ref = r.refType(in)
	pops, pushes := r.effect(in)
	r.site(i, in, len(r.stack)-pops)
	r.pop(pops)
	x.base = int32(len(r.stack))
	r.branch(in)
	r.push(i, pushes)
}

// small reports whether a small constant comes before instruction i.
func (r *reader) small(i int32) bool {
	if i == 0 {
		return false
	}
	x := &r.b.instrs[i-1]
	return x.op == wasm.OpI32Const && x.a <= sliceSize
}

func (r *reader) pop(n int) {
	r.stack = r.stack[:len(r.stack)-n]
	r.kept = min(r.kept, len(r.stack))
}

// push leaves values of instruction i on the operand stack.
func (r *reader) push(i int32, types []wasm.ValType) {
	for _, t := range types {
		r.stack = append(r.stack, operand{t, i})
	}
}

// retype gives the topmost operands the types that a block or a label asks for,
// which may say less than what they had.
func (r *reader) retype(types []wasm.ValType) {
	at := r.stack[len(r.stack)-len(types):]
	for k, t := range types {
		at[k].typ = t
	}
}

// branch notes where the rest of a block is not reached, and gives the operands
// that a conditional branch takes along its label's types.
func (r *reader) branch(in *wasm.Instr) {
	switch in.Op {
	case wasm.OpBr, wasm.OpReturn, wasm.OpUnreachable,
		wasm.OpReturnCall, wasm.OpReturnCallIndirect, wasm.OpReturnCallRef,
		wasm.OpThrow, wasm.OpThrowRef, wasm.OpRethrow:
		r.open[len(r.open)-1].done = true
	case wasm.OpBrIf, wasm.OpBrOnNull:
		r.retype(r.label(in.A))
	case wasm.OpBrOnNonNull: // the reference, the last, is not here
		types := r.label(in.A)
		r.retype(types[:len(types)-1])
	}
}

// label is what a branch to an open block takes along.
func (r *reader) label(depth uint64) []wasm.ValType {
	o := &r.open[len(r.open)-1-int(depth)]
	if o.index < 0 {
		return r.b.typ.Results
	}
	first := &r.b.instrs[o.index]
	params, results := r.p.mod.BlockSig(first.block)
	if first.op == wasm.OpLoop {
		return params
	}
	return results
}

// enter opens a block.
func (r *reader) enter(i int32, x *instr, in *wasm.Instr) {
	b := r.b
	b.tries = b.tries || isTry(in.Op)
	x.block = in.Block
	if in.Op == wasm.OpTryTable {
		x.a, x.b = uint32(len(b.clauses)), uint32(len(in.Catches))
		b.clauses = append(b.clauses, in.Catches...)
	}
	if x.dead {
		r.open = append(r.open, opener{index: i, height: len(r.stack), dead: true})
		return
	}
	if in.Op == wasm.OpIf {
		r.pop(1)
	}
	params, _ := r.p.mod.BlockSig(in.Block)
	r.retype(params)
	at := len(r.stack) - len(params)
	x.base = int32(at)
	o := opener{index: i, height: at}
	switch in.Op {
	case wasm.OpIf:
		for k := range params {
			o.params = append(o.params, r.stack[at+k].by)
		}
	case wasm.OpLoop: // its parameters come from more than one place
		r.pop(len(params))
		r.push(i, params)
		r.addSite(i, SiteLoop, len(r.stack), nil)
	}
	r.open = append(r.open, o)
}

// turn begins the second arm of an if.
func (r *reader) turn(i int32) {
	b, o := r.b, &r.open[len(r.open)-1]
	r.pop(len(r.stack) - o.height)
	first := &b.instrs[o.index]
	params, _ := r.p.mod.BlockSig(first.block)
	for k, by := range o.params {
		r.stack = append(r.stack, operand{params[k], by})
	}
	r.link(o, i)
	o.done = false
	b.instrs[i].block, b.instrs[i].dead = first.block, first.dead
}

// link makes instruction i the one that follows in the block: an else, a catch
// or its end.
func (r *reader) link(o *opener, i int32) {
	at := o.index
	if o.last > 0 {
		at = o.last
	}
	r.b.instrs[at].match = i
	o.last = i
}

// leave closes a block.
func (r *reader) leave(i int32) {
	b, o := r.b, r.open[len(r.open)-1]
	r.open = r.open[:len(r.open)-1]
	r.pop(len(r.stack) - o.height)
	x := &b.instrs[i]
	x.match = o.index
	if o.index < 0 {
		return
	}
	first := &b.instrs[o.index]
	x.block, x.dead = first.block, first.dead
	r.link(&o, i)
	if first.dead {
		return
	}
	_, results := r.p.mod.BlockSig(first.block)
	x.base = int32(o.height)
	r.push(i, results)
}

// site notes a call, a sliced operation or one that waits, which are sites. below is
// how many operands are left when it has taken its own.
func (r *reader) site(i int32, in *wasm.Instr, below int) {
	switch {
	case in.Op == wasm.OpCall && !r.p.quick(uint32(in.A)):
		r.addSite(i, SiteCall, below, r.p.funcType(uint32(in.A)).Results)
	case isDynamicCall(in.Op):
		r.addSite(i, SiteCall, below, r.p.mod.Types[in.A].Results)
	case r.b.instrs[i].sliced:
		r.addSite(i, SiteCall, below, nil)
	case isWait(in.Op):
		r.addSite(i, SiteCall, below, waitResult)
	}
}

// addSite makes instruction i a site with the n lowest operands in its record, and
// has each of them kept in a local.
func (r *reader) addSite(i int32, kind SiteKind, n int, results []wasm.ValType) {
	b := r.b
	b.operands += n
	if b.operands > maxRecordValues {
		n = 0 // read refuses the function
	}
	first := len(b.types)
	for _, o := range r.stack[:n] {
		b.types = append(b.types, o.typ)
	}
	b.instrs[i].site = int32(len(b.sites))
	b.sites = append(b.sites, site{
		pos: uint32(i) + 1, kind: kind, operand: b.types[first:len(b.types):len(b.types)], results: results,
	})
	for ; r.kept < n; r.kept++ {
		o := r.stack[r.kept]
		b.tees = append(b.tees, tee{instr: o.by, slot: int32(r.kept), typ: o.typ})
	}
}

// effect is how many operands an instruction takes and what it leaves. Blocks are
// not asked for; after an unconditional branch nothing is left.
func (r *reader) effect(in *wasm.Instr) (pops int, pushes []wasm.ValType) {
	p := r.p
	switch in.Op {
	case wasm.OpCall:
		t := &p.mod.Types[p.typeOf(uint32(in.A))]
		return len(t.Params), t.Results
	case wasm.OpCallIndirect, wasm.OpCallRef:
		t := &p.mod.Types[in.A]
		return len(t.Params) + 1, t.Results
	case wasm.OpBr, wasm.OpBrTable, wasm.OpReturn, wasm.OpUnreachable,
		wasm.OpReturnCall, wasm.OpReturnCallIndirect, wasm.OpReturnCallRef,
		wasm.OpThrow, wasm.OpThrowRef, wasm.OpRethrow:
		return 0, nil
	case wasm.OpElemDrop:
		return 0, nil
	case wasm.OpTableCopy, wasm.OpTableInit, wasm.OpTableFill:
		return 3, nil
	case wasm.OpGlobalSet, wasm.OpBrIf, wasm.OpBrOnNonNull:
		return 1, nil
	case wasm.OpTableSet:
		return 2, nil
	}
	if pops, push, ok := in.Arity(); ok {
		if push == wasm.Unknown {
			return pops, nil
		}
		return pops, r.single(push)
	}
	return r.oneResult(in)
}

// oneResult is effect of what leaves one value.
func (r *reader) oneResult(in *wasm.Instr) (pops int, push []wasm.ValType) {
	switch in.Op {
	case wasm.OpGlobalGet:
		return 0, r.single(r.p.spaces.Globals[in.A].Type)
	case wasm.OpRefNull:
		return 0, r.single(wasm.RefNull(wasm.HeapType(in.A)))
	case wasm.OpRefFunc:
		return 0, r.single(wasm.RefTo(wasm.HeapType(r.p.typeOf(uint32(in.A)))))
	case wasm.OpTableSize:
		return 0, r.single(wasm.I32)
	case wasm.OpRefIsNull:
		return 1, r.single(wasm.I32)
	case wasm.OpRefAsNonNull, wasm.OpBrOnNull:
		return 1, r.single(r.top(0).NonNull())
	case wasm.OpTableGet:
		return 1, r.single(r.p.tableType(uint32(in.A)))
	case wasm.OpSelect:
		return 3, r.single(r.top(1))
	case wasm.OpSelectT:
		return 3, r.single(in.Types[0])
	case wasm.OpTableGrow:
		return 2, r.single(wasm.I32)
	}
	panic("instrument: no rule for " + in.Op.String())
}

// single is a list of one type, valid until it is asked for another.
func (r *reader) single(t wasm.ValType) []wasm.ValType {
	r.one[0] = t
	return r.one[:]
}

// top is the type of the n-th operand from the top.
func (r *reader) top(n int) wasm.ValType { return r.stack[len(r.stack)-1-n].typ }

// refType is the type that a select or a reference instruction is about.
func (r *reader) refType(in *wasm.Instr) wasm.ValType {
	switch in.Op {
	case wasm.OpRefNull:
		return wasm.RefNull(wasm.HeapType(in.A))
	case wasm.OpRefIsNull, wasm.OpRefAsNonNull, wasm.OpBrOnNull, wasm.OpBrOnNonNull:
		return r.top(0)
	case wasm.OpSelectT:
		return in.Types[0]
	case wasm.OpSelect:
		return r.top(1)
	case wasm.OpCallRef, wasm.OpReturnCallRef:
		return wasm.FuncRef
	}
	return wasm.Unknown
}
