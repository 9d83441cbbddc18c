package instrument

import "github.com/stasis-run/stasis/internal/wasm"

// Function references have no identity that an engine would tell, so guests
// handle them as numbers: 0 is null and n+1 is function n of the original
// module. Where a reference is called or put into a table, the table of all
// functions whose reference is ever taken (funcTable) turns the number into
// one. Tables stay tables, so that call_indirect costs nothing; beside one
// that the guest reads or writes, the host keeps the numbers (the shadow).
// Externrefs stay as they are: engines hand their bits over. References to
// exceptions are externrefs whose bits are the host's numbers of exceptions.

// isFuncRef reports whether t is a reference to a function.
func isFuncRef(t wasm.ValType) bool {
	if !t.IsRef() {
		return false
	}
	h := t.Heap()
	return h == wasm.HeapFunc || h.IsIndex()
}

// lowered is the type that holds values of an original type.
func lowered(t wasm.ValType) wasm.ValType {
	switch {
	case !t.IsRef():
		return t
	case isFuncRef(t):
		return wasm.I32
	}
	return wasm.ExternRef
}

func loweredAll(ts []wasm.ValType) []wasm.ValType {
	out := make([]wasm.ValType, len(ts))
	for i, t := range ts {
		out[i] = lowered(t)
	}
	return out
}

// isReference reports whether op handles references or tables.
func isReference(op wasm.Opcode) bool {
	switch op {
	case wasm.OpRefNull, wasm.OpRefIsNull, wasm.OpRefFunc, wasm.OpRefAsNonNull, wasm.OpBrOnNull, wasm.OpBrOnNonNull,
		wasm.OpCallRef, wasm.OpReturnCallRef, wasm.OpSelectT,
		wasm.OpTableGet, wasm.OpTableSet, wasm.OpTableSize, wasm.OpTableGrow, wasm.OpTableFill, wasm.OpTableCopy,
		wasm.OpTableInit, wasm.OpElemDrop:
		return true
	}
	return false
}

// needsFuncTable reports whether op turns a number into a reference.
func needsFuncTable(op wasm.Opcode) bool {
	switch op {
	case wasm.OpCallRef, wasm.OpReturnCallRef:
		return true
	}
	return false
}

// refFunc is the function whose reference a constant expression makes, if any.
func refFunc(expr []byte) (fn uint32, ok bool) {
	var in wasm.Instr
	if len(expr) == 0 || wasm.NewReader(expr).Next(&in) != nil || in.Op != wasm.OpRefFunc {
		return 0, false
	}
	return uint32(in.A), true
}

// elemFunc is the function that item k of a segment refers to, or false for null.
func elemFunc(e *wasm.Elem, k int) (fn uint32, ok bool) {
	if e.UseExprs {
		return refFunc(e.Exprs[k])
	}
	return e.Funcs[k], true
}

// needsMarkers reports whether lowering could make the type equal to another.
func needsMarkers(t *wasm.FuncType) bool {
	for _, v := range t.Params {
		if isFuncRef(v) || isException(v) {
			return true
		}
	}
	for _, v := range t.Results {
		if isFuncRef(v) || isException(v) {
			return true
		}
	}
	return false
}

// isException reports whether t is a reference to an exception.
func isException(t wasm.ValType) bool { return t.IsRef() && t.Heap() == wasm.HeapExn }

// markerTypes are further hidden parameters that keep lowered types apart from
// each other and from all others (whose last parameter is the depth, an i32):
// the index of the first equal type, in binary, f32 for 0 and f64 for 1.
func (p *Program) markerTypes(orig uint32) []wasm.ValType {
	if !p.marked[orig] {
		return nil
	}
	n := orig
	for i := range p.mod.Types[:orig] {
		if p.spaces.SameType(uint32(i), orig) {
			n = uint32(i)
			break
		}
	}
	digits := [2]wasm.ValType{wasm.F32, wasm.F64}
	marks := []wasm.ValType{digits[n&1]}
	for n >>= 1; n > 0; n >>= 1 {
		marks = append(marks, digits[n&1])
	}
	return marks
}

// markers pushes the arguments for the marker parameters of a type.
func (e *emitter) markers(orig uint32) {
	for _, t := range e.p.markerTypes(orig) {
		e.zero(t)
	}
}

// reference emits an instruction that handles references or tables.
func (e *emitter) reference(x *instr) {
	switch x.op {
	case wasm.OpTableGet, wasm.OpTableSet, wasm.OpTableGrow, wasm.OpTableFill:
		e.tableItem(x)
		return
	case wasm.OpTableSize:
		e.op1(x.op, e.env.table(x.a))
		return
	case wasm.OpTableCopy, wasm.OpTableInit, wasm.OpElemDrop:
		e.tableBulk(x)
		return
	case wasm.OpRefFunc:
		e.i32(int32(x.a) + 1)
		return
	}
	if !isFuncRef(x.ref) {
		e.externReference(x)
		return
	}
	s := e.temp(scratch, wasm.I32)
	switch x.op {
	case wasm.OpRefNull:
		e.i32(0)
	case wasm.OpRefIsNull:
		e.op(wasm.OpI32Eqz)
	case wasm.OpSelectT:
		e.op(wasm.OpSelect)
	case wasm.OpRefAsNonNull:
		e.op1(wasm.OpLocalTee, s)
		e.trapIfNull()
		e.op1(wasm.OpLocalGet, s)
	case wasm.OpBrOnNull:
		e.op1(wasm.OpLocalTee, s)
		e.op(wasm.OpI32Eqz)
		e.br(wasm.OpBrIf, e.branch(x.a))
		e.op1(wasm.OpLocalGet, s)
	case wasm.OpBrOnNonNull:
		e.op1(wasm.OpLocalTee, s)
		e.op1(wasm.OpLocalGet, s)
		e.br(wasm.OpBrIf, e.branch(x.a))
		e.op(wasm.OpDrop)
	case wasm.OpCallRef:
		e.op1(wasm.OpLocalTee, s)
		e.trapIfNull()
		e.op1(wasm.OpLocalGet, e.depth)
		e.markers(x.a)
		e.op1(wasm.OpLocalGet, s)
		e.op2(wasm.OpCallIndirect, e.env.hiddenType(x.a), e.env.funcTable())
	case wasm.OpReturnCallRef:
		e.op1(wasm.OpLocalTee, s)
		e.trapIfNull()
		e.ownDepth()
		e.markers(x.a)
		e.op1(wasm.OpLocalGet, s)
		e.op2(wasm.OpReturnCallIndirect, e.env.hiddenType(x.a), e.env.funcTable())
		e.reach = false
	}
}

// trapIfNull takes a number and traps as the engine does at a null reference.
func (e *emitter) trapIfNull() {
	e.op(wasm.OpI32Eqz)
	e.block(wasm.OpIf, nil, nil)
	e.op(wasm.OpRefNull)
	e.out = append(e.out, byte(wasm.FuncRef))
	e.op(wasm.OpRefAsNonNull)
	e.op(wasm.OpDrop)
	e.end()
}

// externReference emits an instruction on an externref, as it is but for labels.
func (e *emitter) externReference(x *instr) {
	switch x.op {
	case wasm.OpBrOnNull, wasm.OpBrOnNonNull:
		e.br(x.op, e.branch(x.a))
	case wasm.OpRefNull:
		e.zero(wasm.ExternRef)
	case wasm.OpSelectT:
		if lowered(x.ref) == wasm.ExternRef {
			e.op(x.op)
			e.out = append(e.out, 1, byte(wasm.ExternRef))
		} else {
			e.selectValue(x)
		}
	default:
		e.asIs(x)
	}
}

// tableItem emits table.get, set, grow and fill. On a table of functions the
// engine does its part first, so that its traps are the original's, and then
// the host does the same to the shadow.
func (e *emitter) tableItem(x *instr) {
	t := e.env.table(x.a)
	if !isFuncRef(e.p.tableType(x.a)) {
		e.op1(x.op, t)
		return
	}
	a, b, c := e.temp(scratch, wasm.I32), e.temp(scratch-1, wasm.I32), e.temp(scratch-2, wasm.I32)
	get := func(xs ...uint32) {
		for _, x := range xs {
			e.op1(wasm.OpLocalGet, x)
		}
	}
	ref := func(x uint32) {
		get(x)
		e.op1(wasm.OpTableGet, e.env.funcTable())
	}
	switch x.op {
	case wasm.OpTableGet: // i
		e.op1(wasm.OpLocalTee, a)
		e.op1(wasm.OpTableGet, t)
		e.op(wasm.OpDrop)
		e.i32(int32(x.a))
		get(a)
		e.op1(wasm.OpCall, e.env.runtimeFn(runtimeTableGet))
	case wasm.OpTableSet: // i ref
		e.op1(wasm.OpLocalSet, b)
		e.op1(wasm.OpLocalTee, a)
		ref(b)
		e.op1(wasm.OpTableSet, t)
		e.i32(int32(x.a))
		get(a, b)
		e.op1(wasm.OpCall, e.env.runtimeFn(runtimeTableSet))
	case wasm.OpTableGrow: // ref n
		e.op1(wasm.OpLocalSet, b)
		e.op1(wasm.OpLocalSet, a)
		ref(a)
		get(b)
		e.op1(wasm.OpTableGrow, t)
		e.op1(wasm.OpLocalSet, c)
		e.i32(int32(x.a))
		get(c, a, b)
		e.op1(wasm.OpCall, e.env.runtimeFn(runtimeTableGrow))
		get(c)
	case wasm.OpTableFill: // i ref n
		e.op1(wasm.OpLocalSet, c)
		e.op1(wasm.OpLocalSet, b)
		e.op1(wasm.OpLocalTee, a)
		ref(b)
		get(c)
		e.op1(wasm.OpTableFill, t)
		e.i32(int32(x.a))
		get(a, b, c)
		e.op1(wasm.OpCall, e.env.runtimeFn(runtimeTableFill))
	}
}

// tableBulk emits table.copy, table.init and elem.drop through helpers of the
// hot form, since segments cannot be imported.
func (e *emitter) tableBulk(x *instr) {
	switch x.op {
	case wasm.OpTableCopy:
		e.op1(wasm.OpCall, e.env.helper(helperKey{x.op, x.a, x.b}))
	case wasm.OpTableInit:
		e.op1(wasm.OpCall, e.env.helper(helperKey{x.op, x.a, x.b}))
	case wasm.OpElemDrop:
		e.op1(wasm.OpCall, e.env.helper(helperKey{op: x.op, a: x.a}))
	}
}

// tableType is the element type of a table of the whole index space.
func (p *Program) tableType(i uint32) wasm.ValType {
	return p.spaces.Tables[i].Elem
}
