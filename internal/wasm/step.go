package wasm

// step does to the stacks what in does, after a check that it may.
func (w *Walker) step(in *Instr) *Error {
	if in.info.simple {
		return w.stepSimple(in)
	}
	switch in.Op {
	case OpLocalGet:
		return w.stepLocalGet(in)
	case OpLocalSet, OpLocalTee:
		return w.stepLocal(in)
	case OpGlobalGet, OpGlobalSet:
		return w.stepGlobal(in)
	case OpBlock, OpLoop, OpIf, OpElse, OpEnd:
		return w.stepBlock(in)
	case OpUnreachable, OpBr, OpBrIf, OpBrTable, OpReturn, OpBrOnNull, OpBrOnNonNull:
		return w.stepBranch(in)
	case OpCall, OpCallIndirect, OpCallRef, OpReturnCall, OpReturnCallIndirect, OpReturnCallRef:
		return w.stepCall(in)
	case OpDrop, OpSelect, OpSelectT:
		return w.stepParametric(in)
	case OpRefNull, OpRefIsNull, OpRefFunc, OpRefAsNonNull:
		return w.stepRef(in)
	case OpTry, OpCatch, OpCatchAll, OpDelegate, OpRethrow, OpThrow, OpThrowRef, OpTryTable:
		return w.stepException(in)
	}
	return w.stepTable(in)
}

// stepSimple does what in's signature says.
func (w *Walker) stepSimple(in *Instr) *Error {
	info := in.info
	if info.check {
		if err := w.checkSimple(in); err != nil {
			return err
		}
	}
	for i := int(info.nin) - 1; i >= 0; i-- {
		n, want := len(w.s.Stack)-1, info.in[i]
		if n >= w.height && w.s.Stack[n] == want { // what pop does, for the case that is common
			w.s.Stack = w.s.Stack[:n]
			continue
		}
		if err := w.pop(want); err != nil {
			return err
		}
	}
	if info.out == Unknown {
		return nil
	}
	return w.pushChecked(info.out)
}

// lanes is the number of lanes of the vectors that extract_lane and
// replace_lane work on.
func lanes(op Opcode) byte {
	switch {
	case op <= OpI8x16ReplaceLane:
		return 16
	case op <= OpI16x8ReplaceLane:
		return 8
	case op <= OpI32x4ReplaceLane:
		return 4
	case op <= OpI64x2ReplaceLane:
		return 2
	case op <= OpF32x4ReplaceLane:
		return 4
	}
	return 2
}

// checkSimple checks the immediates of an instruction with a signature.
func (w *Walker) checkSimple(in *Instr) *Error {
	switch in.info.imm {
	case ImmMemarg:
		return w.checkAccess(in)
	case ImmMemargLane:
		if in.Lane >= 16>>in.info.width {
			return w.errorf("invalid lane %d", in.Lane)
		}
		return w.checkAccess(in)
	case ImmLane:
		if in.Lane >= lanes(in.Op) {
			return w.errorf("invalid lane %d", in.Lane)
		}
	case ImmShuffle:
		const tooLarge = 0xe0e0e0e0e0e0e0e0 // lanes of two vectors are 0 to 31
		if (in.A|in.B)&tooLarge != 0 {
			return w.errorf("invalid lane")
		}
	case ImmMemory, ImmMemory2:
		return w.checkMemory()
	case ImmDataMemory:
		if err := w.checkMemory(); err != nil {
			return err
		}
		return w.checkData(in.A)
	case ImmData:
		return w.checkData(in.A)
	}
	return nil
}

func (w *Walker) checkMemory() *Error {
	if len(w.env.spaces.Memories) == 0 {
		return w.errorf("unknown memory 0")
	}
	return nil
}

func (w *Walker) checkAccess(in *Instr) *Error {
	if err := w.checkMemory(); err != nil {
		return err
	}
	natural := uint64(in.info.width)
	if in.A > natural {
		return w.errorf("alignment 2**%d, want at most 2**%d", in.A, natural)
	}
	if in.A != natural && in.Op&prefixFE == prefixFE {
		return w.errorf("alignment 2**%d, want 2**%d", in.A, natural)
	}
	return nil
}

func (w *Walker) checkData(idx uint64) *Error {
	count := w.env.m.DataCount
	switch {
	case count == nil:
		return w.errorf("data count section required")
	case idx >= uint64(*count):
		return w.errorf("unknown data segment %d", idx)
	}
	return nil
}

func (w *Walker) stepLocalGet(in *Instr) *Error {
	if in.A >= uint64(len(w.s.Locals)) {
		return w.errorf("unknown local %d", in.A)
	}
	if w.s.unset != nil && w.s.unset[in.A] {
		return w.errorf("uninitialized local %d", in.A)
	}
	return w.pushChecked(w.s.Locals[in.A])
}

func (w *Walker) stepLocal(in *Instr) *Error {
	if in.A >= uint64(len(w.s.Locals)) {
		return w.errorf("unknown local %d", in.A)
	}
	t := w.s.Locals[in.A]
	if err := w.pop(t); err != nil {
		return err
	}
	w.remember(in.A)
	if in.Op == OpLocalTee {
		return w.pushChecked(t)
	}
	return nil
}

// pushChecked is push for instructions that take nothing, which can make the
// stack as deep as they like.
func (w *Walker) pushChecked(t ValType) *Error {
	if len(w.s.Stack) == maxOperands {
		return w.errorf("operand stack deeper than %d", maxOperands)
	}
	w.push(t)
	return nil
}

func (w *Walker) stepGlobal(in *Instr) *Error {
	if in.A >= uint64(len(w.env.spaces.Globals)) {
		return w.errorf("unknown global %d", in.A)
	}
	g := w.env.spaces.Globals[in.A]
	switch {
	case in.Op == OpGlobalGet:
		return w.pushChecked(g.Type)
	case !g.Mutable:
		return w.errorf("global %d is immutable", in.A)
	}
	return w.pop(g.Type)
}

func (w *Walker) stepBlock(in *Instr) *Error {
	switch in.Op {
	case OpElse:
		return w.stepElse()
	case OpEnd:
		return w.stepEnd()
	}
	params, results, err := w.blockSig(in)
	if err != nil {
		return err
	}
	if in.Op == OpIf {
		if err := w.pop(I32); err != nil {
			return err
		}
	}
	if err := w.popAll(params); err != nil {
		return err
	}
	return w.open(in.Op, params, results)
}

func (w *Walker) stepElse() *Error {
	if w.s.Ctrls[len(w.s.Ctrls)-1].Op != OpIf {
		return w.errorf("no if to belong to")
	}
	c, err := w.close()
	if err != nil {
		return err
	}
	return w.open(OpElse, c.Params, c.Results)
}

func (w *Walker) stepEnd() *Error {
	c, err := w.close()
	if err != nil {
		return err
	}
	if c.Op == OpIf && !w.env.allMatch(c.Params, c.Results) {
		return w.errorf("type mismatch: if without else: have %v, want %v", c.Params, c.Results)
	}
	return w.pushAll(c.Results)
}

func (w *Walker) stepParametric(in *Instr) *Error {
	if in.Op == OpDrop {
		_, err := w.popAny()
		return err
	}
	if err := w.pop(I32); err != nil {
		return err
	}
	if in.Op == OpSelectT {
		return w.stepSelectT(in)
	}
	a, err := w.popAny()
	if err != nil {
		return err
	}
	b, err := w.popAny()
	if err != nil {
		return err
	}
	switch {
	case a.IsRef() || b.IsRef():
		return w.errorf("type mismatch: have %v, want a number or vector", [2]ValType{b, a})
	case a != b && a != Unknown && b != Unknown:
		return w.errorf("type mismatch: have %v and %v, want one type", b, a)
	case a == Unknown:
		a = b
	}
	w.push(a)
	return nil
}

func (w *Walker) stepSelectT(in *Instr) *Error {
	if len(in.Types) != 1 {
		return w.errorf("invalid result arity %d", len(in.Types))
	}
	t := in.Types[0]
	if !w.env.typeExists(t) {
		return w.errorf("unknown type %v", t.Heap())
	}
	for range 2 {
		if err := w.pop(t); err != nil {
			return err
		}
	}
	w.push(t)
	return nil
}

func (w *Walker) stepRef(in *Instr) *Error {
	switch in.Op {
	case OpRefNull:
		ht := HeapType(in.A)
		if !w.env.heapExists(ht) {
			return w.errorf("unknown type %v", ht)
		}
		return w.pushChecked(RefNull(ht))
	case OpRefFunc:
		return w.stepRefFunc(in)
	}
	t, err := w.popRef()
	if err != nil {
		return err
	}
	if in.Op == OpRefIsNull {
		t = I32
	} else {
		t = t.NonNull()
	}
	w.push(t)
	return nil
}

func (w *Walker) stepRefFunc(in *Instr) *Error {
	switch {
	case in.A >= uint64(len(w.env.spaces.Funcs)):
		return w.errorf("unknown function %d", in.A)
	case !w.env.isDeclared(in.A):
		return w.errorf("undeclared function reference %d", in.A)
	}
	return w.pushChecked(RefTo(HeapType(w.env.spaces.Funcs[in.A])))
}
