package wasm

func (w *Walker) stepBranch(in *Instr) *Error {
	switch in.Op {
	case OpUnreachable:
		w.stop()
		return nil
	case OpReturn:
		if err := w.popAll(w.result); err != nil {
			return err
		}
		w.stop()
		return nil
	case OpBrTable:
		return w.stepBrTable(in)
	case OpBrOnNull, OpBrOnNonNull:
		return w.stepBrOnNull(in)
	}
	if in.Op == OpBrIf {
		if err := w.pop(I32); err != nil {
			return err
		}
	}
	types, err := w.label(in.A)
	if err != nil {
		return err
	}
	if err := w.popAll(types); err != nil {
		return err
	}
	if in.Op == OpBrIf {
		return w.pushAll(types)
	}
	w.stop()
	return nil
}

func (w *Walker) stepBrTable(in *Instr) *Error {
	if err := w.pop(I32); err != nil {
		return err
	}
	last := in.Targets[len(in.Targets)-1]
	want, err := w.label(uint64(last))
	if err != nil {
		return err
	}
	prev := last
	for _, depth := range in.Targets[:len(in.Targets)-1] {
		if depth == prev {
			continue // it has just been looked at
		}
		prev = depth
		types, err := w.label(uint64(depth))
		if err != nil {
			return err
		}
		if len(types) != len(want) {
			return w.errorf("type mismatch: labels %d and %d take %d and %d values", depth, last, len(types), len(want))
		}
		if err := w.peekAll(types); err != nil {
			return err
		}
	}
	if err := w.popAll(want); err != nil {
		return err
	}
	w.stop()
	return nil
}

// peekAll is popAll that leaves the stack as it is.
func (w *Walker) peekAll(list []ValType) *Error {
	top := len(w.s.Stack)
	for i := range list {
		want := list[len(list)-1-i]
		if top-1-i < w.height {
			if w.unreachable {
				return nil
			}
			return w.errorf("type mismatch: have nothing, want %v", want)
		}
		if have := w.s.Stack[top-1-i]; have != want && !w.env.matches(have, want) {
			return w.errorf("type mismatch: have %v, want %v", have, want)
		}
	}
	return nil
}

// stepBrOnNull does both br_on_null, which branches without the reference, and
// br_on_non_null, which takes it along.
func (w *Walker) stepBrOnNull(in *Instr) *Error {
	types, err := w.label(in.A)
	if err != nil {
		return err
	}
	ref, err := w.popRef()
	if err != nil {
		return err
	}
	if in.Op == OpBrOnNull {
		if err := w.popAll(types); err != nil {
			return err
		}
		if err := w.pushAll(types); err != nil {
			return err
		}
		w.push(ref.NonNull())
		return nil
	}
	if len(types) == 0 || !types[len(types)-1].IsRef() {
		return w.errorf("type mismatch: label %d does not take a reference", in.A)
	}
	w.push(ref.NonNull())
	if err := w.popAll(types); err != nil {
		return err
	}
	return w.pushAll(types[:len(types)-1])
}

// callee returns the signature of what in calls, after popping what says
// which function that is.
func (w *Walker) callee(in *Instr) (FuncType, *Error) {
	switch in.Op {
	case OpCall, OpReturnCall:
		if t, ok := w.env.spaces.FuncType(uint32(in.A)); ok {
			return t, nil
		}
		return FuncType{}, w.errorf("unknown function %d", in.A)
	}
	if in.A >= uint64(len(w.env.types)) {
		return FuncType{}, w.errorf("unknown type %d", in.A)
	}
	t := w.env.types[in.A]
	switch in.Op {
	case OpCallRef, OpReturnCallRef:
		return t, w.pop(RefNull(HeapType(in.A)))
	}
	table, err := w.table(in.B)
	if err != nil {
		return t, err
	}
	if !w.env.matches(table.Elem, FuncRef) {
		return t, w.errorf("type mismatch: table %d has %v, want funcref", in.B, table.Elem)
	}
	return t, w.pop(I32)
}

func (w *Walker) stepCall(in *Instr) *Error {
	t, err := w.callee(in)
	if err != nil {
		return err
	}
	if err := w.popAll(t.Params); err != nil {
		return err
	}
	switch in.Op {
	case OpReturnCall, OpReturnCallIndirect, OpReturnCallRef:
		if !w.env.allMatch(t.Results, w.result) {
			return w.errorf("type mismatch: callee returns %v, want %v", t.Results, w.result)
		}
		w.stop()
		return nil
	}
	return w.pushAll(t.Results)
}
