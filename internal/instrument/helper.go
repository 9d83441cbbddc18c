package instrument

import "github.com/stasis-run/stasis/internal/wasm"

// Helpers are functions of the hot form that stand for one instruction:
// memory.copy, fill and init in slices, operations on segments (which a second
// module could not name), and imports called through tables or in tail
// position. They have no record of their own. A sliced operation that is
// stopped hands the host its number and what is left of its operands, and goes
// on when it is called with them.

// fn implements env.
func (h *hotModule) fn(orig uint32) uint32 {
	if int(orig) < h.p.imports {
		return orig
	}
	return orig + h.added
}

func (h *hotModule) global(orig uint32) uint32      { return orig }
func (h *hotModule) table(orig uint32) uint32       { return orig }
func (h *hotModule) special(g specialGlobal) uint32 { return h.globals + uint32(g) }
func (h *hotModule) runtimeFn(f runtimeFunc) uint32 { return uint32(h.runtime[f]) }
func (h *hotModule) funcTable() uint32              { return h.tables }

// helper implements env: helpers are numbered as they are asked for.
func (h *hotModule) helper(k helperKey) uint32 {
	i, ok := h.helpers[k]
	if !ok {
		i = uint32(h.p.imports) + h.added + uint32(len(h.p.mod.Code)) + uint32(len(h.order))
		h.helpers[k] = i
		h.order = append(h.order, k)
	}
	return i
}

// finishHelpers emits the helpers, then the functions that only the host calls.
func (h *hotModule) finishHelpers() {
	first := uint32(h.p.imports) + h.added + uint32(len(h.p.mod.Code))
	for i := 0; i < len(h.order); i++ {
		k := h.order[i]
		e := &helperEmitter{h: h, number: bulkNumber(k)}
		typ, locals := e.emit(k)
		h.out.Funcs = append(h.out.Funcs, typ)
		h.out.Code = append(h.out.Code, wasm.Code{Locals: localRuns(locals), Body: wasm.AppendOp(e.out, wasm.OpEnd)})
		h.export(exportHelper(k), wasm.ExternFunc, first+uint32(i))
	}
	for _, x := range h.extra {
		h.export(x.name, wasm.ExternFunc, uint32(h.p.imports)+h.added+uint32(len(h.out.Code)))
		h.out.Funcs = append(h.out.Funcs, x.typ)
		h.out.Code = append(h.out.Code, x.code)
	}
}

func (h *hotModule) export(name string, kind wasm.ExternKind, index uint32) {
	h.out.Exports = append(h.out.Exports, wasm.Export{Name: name, Kind: kind, Index: index})
}

// exports gives out all that continuations and the host need.
func (h *hotModule) exports() {
	m := h.p.mod
	for i := range m.Code {
		fn := uint32(h.p.imports + i)
		h.export(ExportFunc(fn), wasm.ExternFunc, h.fn(fn))
	}
	for i := range h.tables {
		h.export(ExportTable(i), wasm.ExternTable, i)
	}
	if h.p.funcTable {
		h.export(ExportFuncTable, wasm.ExternTable, h.tables)
	}
	if _, ok := m.MemoryType(); ok {
		h.export(ExportMemory, wasm.ExternMemory, 0)
	}
	for i := range h.globals {
		h.export(ExportGlobal(i), wasm.ExternGlobal, i)
	}
	h.export(ExportLook, wasm.ExternGlobal, h.special(globalLook))
	h.export(ExportMode, wasm.ExternGlobal, h.special(globalMode))
	if h.p.opts.Counted {
		h.export(ExportCount, wasm.ExternGlobal, h.special(globalCount))
	}
}

// Numbers by which a bulk record names its operation. An operation on segment
// n is BulkInit+n.
const (
	BulkFill = 0
	BulkCopy = 1
	BulkInit = 2
)

func bulkNumber(k helperKey) int32 {
	switch k.op {
	case wasm.OpMemoryCopy:
		return BulkCopy
	case wasm.OpMemoryInit:
		return BulkInit + int32(k.a)
	}
	return BulkFill
}

// ExportBulk is the name of the helper that goes on with a stopped bulk
// operation.
func ExportBulk(number uint32) string {
	switch number {
	case BulkFill:
		return exportHelper(helperKey{op: wasm.OpMemoryFill})
	case BulkCopy:
		return exportHelper(helperKey{op: wasm.OpMemoryCopy})
	}
	return exportHelper(helperKey{op: wasm.OpMemoryInit, a: number - BulkInit})
}

// A helperEmitter writes the code of one helper.
type helperEmitter struct {
	h      *hotModule
	number int32
	out    []byte
}

func (e *helperEmitter) ops(op wasm.Opcode, imm ...uint32) { e.out = appendOps(e.out, op, imm...) }
func (e *helperEmitter) i32(vs ...int32)                   { e.out = appendConsts(e.out, vs...) }
func (e *helperEmitter) get(xs ...uint32) {
	for _, x := range xs {
		e.ops(wasm.OpLocalGet, x)
	}
}
func (e *helperEmitter) open(op wasm.Opcode) {
	e.ops(op)
	e.out = wasm.AppendBlockType(e.out, wasm.BlockType{Index: -1})
}

// emit writes the body, less its end, and returns the type and the locals.
func (e *helperEmitter) emit(k helperKey) (typ uint32, locals []wasm.ValType) {
	none := e.h.index(nil, nil)
	three := e.h.index(repeat(wasm.I32, 3), nil)
	switch k.op {
	case wasm.OpReturnCall:
		return e.importCall(k.a), nil
	case wasm.OpMemoryFill:
		e.sliced(func() { e.get(0, 1, 2); e.ops(k.op, 0) }, []int32{+1, 0})
		return three, nil
	case wasm.OpMemoryCopy:
		e.copy(k)
		return three, nil
	case wasm.OpMemoryInit:
		e.init(k)
		return three, nil
	case wasm.OpDataDrop:
		e.ops(k.op, k.a)
		e.dropped(0, k.a)
		return none, nil
	case wasm.OpElemDrop:
		e.ops(k.op, k.a)
		e.dropped(1, k.a)
		return none, nil
	case wasm.OpTableInit:
		e.get(0, 1, 2)
		e.ops(k.op, k.a, k.b)
		if isFuncRef(e.h.p.tableType(k.b)) {
			e.i32(int32(k.b), int32(k.a))
			e.get(0, 1, 2)
			e.ops(wasm.OpCall, e.h.runtimeFn(runtimeTableInit))
		}
		return three, nil
	case wasm.OpTableCopy:
		e.get(0, 1, 2)
		e.ops(k.op, k.a, k.b)
		if isFuncRef(e.h.p.tableType(k.a)) {
			e.i32(int32(k.a), int32(k.b))
			e.get(0, 1, 2)
			e.ops(wasm.OpCall, e.h.runtimeFn(runtimeTableCopy))
		}
		return three, nil
	}
	panic("instrument: no helper for " + k.op.String())
}

func (e *helperEmitter) dropped(kind int32, segment uint32) {
	e.i32(kind, int32(segment))
	e.ops(wasm.OpCall, e.h.runtimeFn(runtimeDropped))
}

// importCall calls an import with the parameters less the hidden ones.
func (e *helperEmitter) importCall(fn uint32) (typ uint32) {
	for i := range e.h.p.funcType(fn).Params {
		e.get(uint32(i))
	}
	e.ops(wasm.OpCall, fn)
	return e.h.hiddenType(e.h.p.typeOf(fn))
}

// sliced runs an operation on parameters 0, 1 and the size 2 in slices from
// the left. whole is the operation; step says which operands move along.
// Operations that fit into a slice, and those that are out of bounds, which
// must trap before they move anything, are run as they are.
func (e *helperEmitter) sliced(whole func(), step []int32, bounds ...func()) {
	e.get(2)
	e.i32(sliceSize)
	e.ops(wasm.OpI32LeU)
	e.open(wasm.OpIf)
	whole()
	e.ops(wasm.OpReturn)
	e.ops(wasm.OpEnd)
	e.outOfMemory(0)
	for _, b := range bounds {
		b()
	}
	e.open(wasm.OpIf)
	whole() // traps
	e.ops(wasm.OpEnd)
	e.open(wasm.OpLoop)
	e.stopHere()
	e.get(2)
	e.i32(sliceSize)
	e.ops(wasm.OpI32GtU)
	e.open(wasm.OpIf)
	e.slice(whole)
	for x, s := range step {
		if s != 0 {
			e.add(uint32(x), sliceSize)
		}
	}
	e.add(2, -sliceSize)
	e.ops(wasm.OpBr, 1)
	e.ops(wasm.OpEnd)
	e.ops(wasm.OpEnd)
	whole()
}

// slice runs the operation on the first sliceSize of it: the size, parameter
// 2, is lowered around it.
func (e *helperEmitter) slice(whole func()) {
	e.get(2)
	e.i32(sliceSize)
	e.ops(wasm.OpLocalSet, 2)
	whole()
	e.ops(wasm.OpLocalSet, 2)
}

func (e *helperEmitter) add(x uint32, n int32) {
	e.get(x)
	e.i32(n)
	e.ops(wasm.OpI32Add)
	e.ops(wasm.OpLocalSet, x)
}

// outOfMemory pushes whether parameter x plus the size lies beyond the memory.
func (e *helperEmitter) outOfMemory(x uint32) {
	e.get(x)
	e.ops(wasm.OpI64ExtendI32U)
	e.get(2)
	e.ops(wasm.OpI64ExtendI32U)
	e.ops(wasm.OpI64Add)
	e.ops(wasm.OpMemorySize, 0)
	e.ops(wasm.OpI64ExtendI32U)
	e.out = wasm.AppendS64(wasm.AppendOp(e.out, wasm.OpI64Const), 16)
	e.ops(wasm.OpI64Shl)
	e.ops(wasm.OpI64GtU)
}

// stopHere is the safepoint between slices.
func (e *helperEmitter) stopHere() {
	h := e.h
	if h.p.opts.Counted {
		g := h.special(globalCount)
		e.ops(wasm.OpGlobalGet, g)
		e.i32(1)
		e.ops(wasm.OpI32Sub)
		e.ops(wasm.OpGlobalSet, g)
		e.ops(wasm.OpGlobalGet, g)
		e.ops(wasm.OpI32Eqz)
	} else {
		e.ops(wasm.OpGlobalGet, h.special(globalLook))
	}
	e.open(wasm.OpIf)
	e.i32(e.number)
	e.get(0, 1, 2)
	e.ops(wasm.OpCall, h.runtimeFn(runtimeBulk))
	e.ops(wasm.OpReturn)
	e.ops(wasm.OpEnd)
}

// copy goes from the right where the source lies left of the target, as the
// ranges may overlap; then only the size moves along.
func (e *helperEmitter) copy(k helperKey) {
	whole := func() { e.get(0, 1, 2); e.ops(k.op, 0, 0) }
	e.get(0, 1)
	e.ops(wasm.OpI32GtU)
	e.open(wasm.OpIf)
	e.fromRight(whole)
	e.ops(wasm.OpReturn)
	e.ops(wasm.OpEnd)
	e.sliced(whole, []int32{+1, +1}, func() { e.outOfMemory(1); e.ops(wasm.OpI32Or) })
}

func (e *helperEmitter) fromRight(whole func()) {
	e.get(2)
	e.i32(sliceSize)
	e.ops(wasm.OpI32LeU)
	e.outOfMemory(0)
	e.ops(wasm.OpI32Or)
	e.outOfMemory(1)
	e.ops(wasm.OpI32Or)
	e.open(wasm.OpIf)
	whole()
	e.ops(wasm.OpReturn)
	e.ops(wasm.OpEnd)
	e.open(wasm.OpLoop)
	e.stopHere()
	e.get(2)
	e.i32(sliceSize)
	e.ops(wasm.OpI32GtU)
	e.open(wasm.OpIf)
	e.add(2, -sliceSize)
	for x := range uint32(2) { // the last slice of each range
		e.get(x, 2)
		e.ops(wasm.OpI32Add)
	}
	e.i32(sliceSize)
	e.ops(wasm.OpMemoryCopy, 0, 0)
	e.ops(wasm.OpBr, 1)
	e.ops(wasm.OpEnd)
	e.ops(wasm.OpEnd)
	whole()
}

// init is checked against the segment by the engine alone, so the first slice
// that lies beyond the segment would trap too late: its length is known here.
// A segment that was dropped has length 0, which the host tells (it keeps the
// flags anyway): a slice of it traps at once, before anything was moved.
func (e *helperEmitter) init(k helperKey) {
	length := int64(len(e.h.p.mod.Data[k.a].Bytes))
	whole := func() { e.get(0, 1, 2); e.ops(k.op, k.a, 0) }
	e.sliced(whole, []int32{+1, +1}, func() {
		e.get(1)
		e.ops(wasm.OpI64ExtendI32U)
		e.get(2)
		e.ops(wasm.OpI64ExtendI32U)
		e.ops(wasm.OpI64Add)
		e.out = wasm.AppendS64(wasm.AppendOp(e.out, wasm.OpI64Const), length)
		e.ops(wasm.OpI64GtU)
		e.ops(wasm.OpI32Or)
	})
}

// bulk emits memory.copy, fill, init and data.drop.
func (e *emitter) bulk(x *instr) {
	switch {
	case x.op == wasm.OpDataDrop:
		e.op1(wasm.OpCall, e.env.helper(helperKey{op: x.op, a: x.a}))
	case x.op == wasm.OpMemoryInit:
		e.op1(wasm.OpCall, e.env.helper(helperKey{op: x.op, a: x.a}))
	case x.sliced:
		e.op1(wasm.OpCall, e.env.helper(helperKey{op: x.op}))
	default:
		e.asIs(x)
	}
}
