package instrument

import (
	"fmt"

	"github.com/stasis-run/stasis/internal/wasm"
)

// An env is the module that code is emitted into: it turns indices of the
// original module into its own, adding what it does not have yet.
type env interface {
	fn(orig uint32) uint32                           // of a function for direct calls
	global(orig uint32) uint32                       // of a global
	table(orig uint32) uint32                        // of a table
	hiddenType(orig uint32) uint32                   // of the type of stoppable functions of an original type
	blockType(params, results []wasm.ValType) uint32 // of a type for a block
	special(g specialGlobal) uint32                  // of a global that the pass adds
	runtimeFn(f runtimeFunc) uint32                  // of a function that the host provides
	helper(h helperKey) uint32                       // of a helper function of the hot form
	funcTable() uint32                               // of the table of all functions that have references
}

// A helperKey names a helper function of the hot form: what stands for one
// instruction with these indices, or (OpReturnCall) for an import called like
// a function of the module.
type helperKey struct {
	op   wasm.Opcode
	a, b uint32
}

// A specialGlobal is a global that the pass adds.
type specialGlobal int

const (
	globalLook specialGlobal = iota
	globalMode
	globalCount // Options.Counted only
)

// A label is an open block of the original while its code is emitted.
type label struct {
	opener int32 // -1: the function
	depth  int   // open blocks of the emitted code when it was opened, itself included
	used   bool  // some emitted branch leads here
	joined bool  // if: the end of the then arm is reached
	whole  bool  // if: emitted as one, not as what is left of an arm
	loop   *reopened
	guard  *guard // try: its body is being emitted, and handlers follow
	arm    int32  // try: the catch whose handler is being emitted, or 0
	throws int32  // the label to whose handlers goes what is thrown here, or -1
	copied bool   // a copy of the body of a loop (unroll)
}

// reopened is a loop around the site of a continuation. Its body is emitted
// from the site on only; a branch to its head leaves through the inner of two
// blocks, falling out of its end through the outer one.
type reopened struct {
	exit int // depth of the outer block
}

// An emitter writes the code of one function: a hot form or a continuation. Its
// memory is used again for the next.
type emitter struct {
	p   *Program
	b   *body
	env env
	out []byte // the code so far

	paramShift, localShift uint32 // what to add to a parameter's, a local's index
	depth                  uint32 // local that holds the depth left for callees
	nlocals                uint32 // locals so far, parameters of the emitted function included
	temps                  map[tempKey]uint32
	tempTypes              []wasm.ValType

	front []byte   // what comes before out (finish)
	colds []int32  // sites whose records are written at the end of the code
	outs  []uint32 // where in out branches to the function's label are

	labels []label
	open   int  // open blocks of the emitted code
	headed bool // the next loop's check stands for the entry's
	reach  bool // the next instruction can be reached

	rec record // of save
}

// begin makes e ready for a function.
func (e *emitter) begin(p *Program, env env, b *body) {
	if e.temps == nil {
		e.temps = make(map[tempKey]uint32)
	}
	clear(e.temps)
	*e = emitter{
		p: p, b: b, env: env, reach: true, out: e.out[:0], front: e.front[:0], temps: e.temps, tempTypes: e.tempTypes[:0],
		colds: e.colds[:0], outs: e.outs[:0], labels: e.labels[:0], rec: e.rec,
	}
}

// done is the code of the function. The locals are those of the original.
func (e *emitter) done(locals []wasm.ValType) wasm.Code {
	declared := append(e.rec.types[:0], locals...)
	for i, t := range declared {
		declared[i] = lowered(t)
	}
	declared = append(declared, e.tempTypes...)
	e.rec.types = declared
	body := make([]byte, 0, len(e.front)+len(e.out))
	return wasm.Code{Locals: localRuns(declared), Body: append(append(body, e.front...), e.out...)}
}

// tempKey names a local of the pass: the copy of an operand stack slot, or a
// scratch local.
type tempKey struct {
	slot int32 // scratch locals count down from -1
	typ  wasm.ValType
}

const scratch = -1

func (e *emitter) op(op wasm.Opcode)               { e.out = wasm.AppendOp(e.out, op) }
func (e *emitter) op2(op wasm.Opcode, a, b uint32) { e.op1(op, a); e.out = wasm.AppendU32(e.out, b) }
func (e *emitter) i32(v int32)                     { e.out = wasm.AppendS32(wasm.AppendOp(e.out, wasm.OpI32Const), v) }

func (e *emitter) op1(op wasm.Opcode, a uint32) {
	if op < 0x100 && a < 0x80 { // nearly always
		e.out = append(e.out, byte(op), byte(a))
		return
	}
	e.out = wasm.AppendU32(wasm.AppendOp(e.out, op), a)
}

// local is the emitted index of an original local.
func (e *emitter) local(x uint32) uint32 {
	if int(x) < len(e.b.typ.Params) {
		return x + e.paramShift
	}
	return x + e.localShift
}

// temp is the local for an operand stack slot or scratch value, of a lowered type.
func (e *emitter) temp(slot int32, typ wasm.ValType) uint32 {
	k := tempKey{slot, lowered(typ)}
	x, ok := e.temps[k]
	if !ok {
		x = e.nlocals
		e.nlocals++
		e.temps[k] = x
		e.tempTypes = append(e.tempTypes, k.typ)
	}
	return x
}

// block opens a block of the emitted code.
func (e *emitter) block(op wasm.Opcode, params, results []wasm.ValType) {
	e.op(op)
	e.out = e.appendBlockType(e.out, params, results)
	e.open++
}

func (e *emitter) end() {
	e.op(wasm.OpEnd)
	e.open--
}

func (e *emitter) appendBlockType(out []byte, params, results []wasm.ValType) []byte {
	switch {
	case len(params) == 0 && len(results) == 0:
		return wasm.AppendBlockType(out, wasm.BlockType{Index: -1})
	case len(params) == 0 && len(results) == 1:
		return wasm.AppendBlockType(out, wasm.BlockType{Index: -1, Result: lowered(results[0])})
	}
	return wasm.AppendBlockType(out, wasm.BlockType{Index: int32(e.env.blockType(params, results))})
}

// code emits the instructions from the i-th on, through the end of the block
// that label number floor stands for.
func (e *emitter) code(i int32, floor int) int32 {
	for ; ; i++ {
		i = e.copy(i)
		x := &e.b.instrs[i]
		if e.b.marks != nil {
			e.b.mark(len(e.out), i)
		}
		switch {
		case isEnd(x.op):
			done := len(e.labels)-1 == floor
			e.closeBlock(i, x)
			if done {
				return i + 1
			}
		case x.op == wasm.OpElse:
			if !e.labels[len(e.labels)-1].whole { // what is left of a then arm goes on after the end
				i = x.match - 1
				continue
			}
			e.turn()
		case isCatch(x.op):
			i = e.clause(i, x)
		case isBlock(x.op):
			if !e.reach {
				i = e.b.endOf(i)
				continue
			}
			if n := e.copies(i, x); n > 1 {
				i = e.unroll(i, x, n)
				continue
			}
			e.openBlock(i, x)
		case e.reach:
			e.instr(i, x)
		}
	}
}

// copy emits the instructions from the i-th on that are as they were, if they are
// reached, and returns the number of the first that is not.
func (e *emitter) copy(i int32) int32 {
	b, n := e.b, i
	rest := b.instrs[i:]
	for k := range rest {
		if !rest[k].copied {
			n += int32(k)
			break
		}
	}
	if n == i {
		return i
	}
	from := rest[0].pos
	for k := i; k < n && b.marks != nil; k++ {
		at := len(e.out)
		if e.reach {
			at += int(b.instrs[k].pos - from)
		}
		b.mark(at, k)
	}
	if e.reach {
		e.out = append(e.out, b.code[from:b.instrs[n].pos]...)
	}
	return n
}

func (e *emitter) openBlock(i int32, x *instr) {
	params, results := e.p.mod.BlockSig(x.block)
	if isTry(x.op) {
		e.openTry(i, params, results)
		return
	}
	e.block(x.op, params, results)
	e.push(label{opener: i, depth: e.open, whole: true})
	if x.op == wasm.OpLoop {
		e.keep(i)
		e.loopHead(x)
	}
}

func (e *emitter) loopHead(x *instr) {
	if x.site >= 0 {
		e.lookCheck()
		e.leaveIf(x.site)
	}
}

func (e *emitter) turn() {
	l := &e.labels[len(e.labels)-1]
	l.joined = e.reach
	e.op(wasm.OpElse)
	e.reach = true
}

func (e *emitter) closeBlock(i int32, x *instr) {
	l := e.labels[len(e.labels)-1]
	e.labels = e.labels[:len(e.labels)-1]
	switch {
	case l.copied:
		return // unroll goes on
	case l.loop != nil:
		e.closeReopened(&l)
	case l.opener < 0:
		e.finish()
		return
	case l.whole && isTry(e.b.instrs[l.opener].op):
		e.closeTry(&l)
	default:
		e.end()
		first := &e.b.instrs[l.opener]
		switch {
		case first.op == wasm.OpIf && l.whole:
			e.reach = e.reach || l.used || l.joined || e.b.instrs[first.match].op != wasm.OpElse
		case first.op != wasm.OpLoop:
			e.reach = e.reach || l.used
		}
	}
	if !e.reach {
		e.op(wasm.OpUnreachable) // for the validator: what follows is left out
		return
	}
	e.keep(i)
}

// branch is the emitted depth of a branch to an original label.
func (e *emitter) branch(depth uint32) uint32 {
	l := &e.labels[len(e.labels)-1-int(depth)]
	l.used = true
	d := uint32(e.open - l.depth)
	if l.opener < 0 {
		d |= outermost
	}
	return d
}

// outermost marks the depth of a branch to the function's label.
const outermost = 1 << 31

// br emits a branch.
func (e *emitter) br(op wasm.Opcode, depth uint32) {
	e.op(op)
	e.target(depth)
}

// target emits the depth of a branch. That of one to the function's label
// becomes known at the end only.
func (e *emitter) target(depth uint32) {
	if depth&outermost == 0 {
		e.out = wasm.AppendU32(e.out, depth)
		return
	}
	e.outs = append(e.outs, uint32(len(e.out)))
	e.out = padded(e.out, depth&^outermost)
}

func padded(b []byte, v uint32) []byte {
	return append(b, byte(v)|0x80, byte(v>>7)|0x80, byte(v>>14)&0x7f)
}

// leaveIf takes a condition and, where it holds, leaves with the record of a
// site. What does that stands behind the function's own code (finish).
func (e *emitter) leaveIf(site int32) {
	e.op1(wasm.OpBrIf, uint32(e.open+len(e.colds)))
	e.colds = append(e.colds, site)
}

// instr emits one instruction that is no block.
func (e *emitter) instr(i int32, x *instr) {
	switch x.op {
	case wasm.OpLocalGet, wasm.OpLocalSet, wasm.OpLocalTee:
		e.op1(x.op, e.local(x.a))
	case wasm.OpGlobalGet, wasm.OpGlobalSet:
		e.op1(x.op, e.env.global(x.a))
	case wasm.OpBr:
		e.br(x.op, e.branch(x.a))
		e.reach = false
	case wasm.OpBrIf:
		e.br(x.op, e.branch(x.a))
	case wasm.OpBrTable:
		e.op1(x.op, x.b-1)
		for _, t := range e.b.targets[x.a : x.a+x.b] {
			e.target(e.branch(t))
		}
		e.reach = false
	case wasm.OpReturn, wasm.OpUnreachable:
		e.op(x.op)
		e.reach = false
	case wasm.OpCall:
		e.call(x)
	case wasm.OpCallIndirect:
		e.callIndirect(x)
	case wasm.OpReturnCall, wasm.OpReturnCallIndirect:
		e.tailCall(x)
		e.reach = false
	case wasm.OpThrow, wasm.OpThrowRef, wasm.OpRethrow:
		e.throw(i, x)
		e.reach = false
	case wasm.OpMemoryCopy, wasm.OpMemoryFill, wasm.OpMemoryInit, wasm.OpDataDrop:
		e.bulk(x)
	case wasm.OpSelect:
		e.selectValue(x)
	default:
		if f, ok := e.p.threadFunc(x.op); ok {
			e.thread(x, f)
		} else if isReference(x.op) {
			e.reference(x)
		} else {
			e.asIs(x)
		}
	}
	if !e.reach {
		return
	}
	e.keep(i)
	if x.site >= 0 {
		if !x.sliced {
			e.throwCheck()
		}
		e.op1(wasm.OpGlobalGet, e.env.special(globalMode))
		e.leaveIf(x.site)
	}
}

// asIs copies an instruction. The code of a prefixed one is written anew: it
// may be padded, which wazero 1.12 misreads.
func (e *emitter) asIs(x *instr) {
	from := x.pos
	if x.op >= 0x100 {
		e.op(x.op)
		for from++; e.b.code[from]&0x80 != 0; from++ {
		}
		from++
	} else {
		e.out = append(e.out, byte(x.op))
		from++
	}
	e.out = append(e.out, e.b.code[from:x.end]...)
}

func (e *emitter) call(x *instr) {
	switch {
	case !e.p.hasDepth(x.a):
	case e.p.hasDepth(e.b.fn):
		e.op1(wasm.OpLocalGet, e.depth)
		e.markers(e.p.typeOf(x.a))
	default: // a quick function calls a quick one, which does not look at it
		e.i32(0)
		e.markers(e.p.typeOf(x.a))
	}
	e.op1(wasm.OpCall, e.env.fn(x.a))
}

func (e *emitter) callIndirect(x *instr) {
	index := e.temp(scratch, wasm.I32)
	e.op1(wasm.OpLocalSet, index)
	e.op1(wasm.OpLocalGet, e.depth)
	e.markers(x.a)
	e.op1(wasm.OpLocalGet, index)
	e.op2(wasm.OpCallIndirect, e.env.hiddenType(x.a), e.env.table(x.b))
}

// selectValue emits a select. One of floats or vectors becomes an if: wazero
// 1.12 on amd64 gives the first operand whatever the condition where an operand
// lives across a call (wasmgen's TestWazeroFaults), and the pass makes values
// do that. The engine would branch anyway.
func (e *emitter) selectValue(x *instr) {
	switch x.ref {
	case wasm.F32, wasm.F64, wasm.V128:
	default:
		e.op(wasm.OpSelect)
		return
	}
	a, b, c := e.temp(scratch-3, x.ref), e.temp(scratch-4, x.ref), e.temp(scratch, wasm.I32)
	e.op1(wasm.OpLocalSet, c)
	e.op1(wasm.OpLocalSet, b)
	e.op1(wasm.OpLocalSet, a)
	e.op1(wasm.OpLocalGet, c)
	e.block(wasm.OpIf, nil, []wasm.ValType{x.ref})
	e.op1(wasm.OpLocalGet, a)
	e.op(wasm.OpElse)
	e.op1(wasm.OpLocalGet, b)
	e.end()
}

// tailCall gives the callee the depth that this function was given.
func (e *emitter) tailCall(x *instr) {
	if x.op == wasm.OpReturnCall {
		fn := e.env.fn(x.a)
		if int(x.a) < e.p.imports {
			fn = e.env.helper(helperKey{op: x.op, a: x.a})
		}
		if e.p.hasDepth(x.a) || int(x.a) < e.p.imports {
			e.ownDepth()
			e.markers(e.p.typeOf(x.a))
		}
		e.op1(x.op, fn)
		return
	}
	index := e.temp(scratch, wasm.I32)
	e.op1(wasm.OpLocalSet, index)
	e.ownDepth()
	e.markers(x.a)
	e.op1(wasm.OpLocalGet, index)
	e.op2(x.op, e.env.hiddenType(x.a), e.env.table(x.b))
}

// ownDepth pushes the depth that this function was called with.
func (e *emitter) ownDepth() {
	e.op1(wasm.OpLocalGet, e.depth)
	e.i32(e.p.FrameSize(e.b.fn))
	e.op(wasm.OpI32Add)
}

// keep copies the values that instruction i has left on the operand stack, and
// that some site needs, into their locals.
func (e *emitter) keep(i int32) {
	x := &e.b.instrs[i]
	if !x.kept {
		return
	}
	t := e.b.teesOf(i)
	left := e.left(x)
	if len(left) <= 1 {
		e.op1(wasm.OpLocalTee, e.temp(t[0].slot, t[0].typ))
		return
	}
	// Several values: take off all above the lowest that is kept, put back.
	low := int(t[0].slot - x.base)
	for k := len(left) - 1; k >= low; k-- {
		e.op1(wasm.OpLocalSet, e.temp(x.base+int32(k), left[k]))
	}
	for k := low; k < len(left); k++ {
		e.op1(wasm.OpLocalGet, e.temp(x.base+int32(k), left[k]))
	}
}

// left is what an instruction leaves on the operand stack, nil where that is
// at most one value.
func (e *emitter) left(x *instr) []wasm.ValType {
	params, results := e.p.mod.BlockSig(x.block)
	switch x.op {
	case wasm.OpCall:
		return e.p.funcType(x.a).Results
	case wasm.OpCallIndirect, wasm.OpCallRef:
		return e.p.mod.Types[x.a].Results
	case wasm.OpLoop:
		return params
	case wasm.OpCatch:
		return e.p.tagParams(x.a)
	case wasm.OpEnd, wasm.OpDelegate:
		return results
	}
	return nil
}

// lookCheck leaves whether a loop's head is to be left.
func (e *emitter) lookCheck() {
	switch {
	case e.headed:
		e.headed = false
		e.op1(wasm.OpLocalGet, e.depth)
		e.depthCheck()
	case e.p.opts.Counted:
		e.countDown()
	default:
		e.op1(wasm.OpGlobalGet, e.env.special(globalLook))
	}
}

// countDown leaves 1 at every n-th safepoint.
func (e *emitter) countDown() {
	g := e.env.special(globalCount)
	e.op1(wasm.OpGlobalGet, g)
	e.i32(1)
	e.op(wasm.OpI32Sub)
	e.op1(wasm.OpGlobalSet, g)
	e.op1(wasm.OpGlobalGet, g)
	e.op(wasm.OpI32Eqz)
}

// entryCheck takes this function's frame from the depth and leaves whether the
// function is to be left at its entry: for a request and for a used up depth alike.
func (e *emitter) entryCheck() {
	e.takeFrame()
	e.op1(wasm.OpLocalTee, e.depth)
	e.depthCheck()
}

// takeFrame leaves the depth less this function's frame.
func (e *emitter) takeFrame() {
	e.op1(wasm.OpLocalGet, e.depth)
	e.i32(e.p.FrameSize(e.b.fn))
	e.op(wasm.OpI32Sub)
}

// depthCheck takes the depth and leaves whether it is used up or look is raised.
func (e *emitter) depthCheck() {
	if e.p.opts.Counted {
		e.i32(0)
		e.op(wasm.OpI32LeS)
		e.countDown()
		e.op(wasm.OpI32Or)
		return
	}
	e.op1(wasm.OpGlobalGet, e.env.special(globalLook))
	e.op(wasm.OpI32LeS)
}

func (e *emitter) zero(t wasm.ValType) {
	switch t {
	case wasm.I32:
		e.i32(0)
	case wasm.I64:
		e.out = append(e.out, byte(wasm.OpI64Const), 0)
	case wasm.F32:
		e.out = append(e.out, byte(wasm.OpF32Const), 0, 0, 0, 0)
	case wasm.F64:
		e.out = append(e.out, byte(wasm.OpF64Const), 0, 0, 0, 0, 0, 0, 0, 0)
	case wasm.V128:
		e.op(wasm.OpV128Const)
		e.out = append(e.out, make([]byte, 16)...)
	case wasm.ExternRef:
		e.op(wasm.OpRefNull)
		e.out = append(e.out, byte(wasm.ExternRef))
	default:
		panic(fmt.Sprintf("instrument: no zero of type %#x", uint32(t)))
	}
}
