package wasm

func (w *Walker) stepException(in *Instr) *Error {
	switch in.Op {
	case OpThrow:
		t, err := w.tag(in.A)
		if err != nil {
			return err
		}
		if err := w.popAll(t.Params); err != nil {
			return err
		}
		w.stop()
	case OpThrowRef:
		if err := w.pop(ExnRef); err != nil {
			return err
		}
		w.stop()
	case OpTryTable:
		return w.stepTryTable(in)
	case OpTry:
		return w.openTry(in)
	case OpCatch, OpCatchAll:
		return w.stepCatch(in)
	case OpDelegate:
		return w.stepDelegate(in)
	case OpRethrow:
		return w.stepRethrow(in)
	}
	return nil
}

func (w *Walker) tag(idx uint64) (FuncType, *Error) {
	if t, ok := w.env.spaces.TagType(uint32(idx)); ok {
		return t, nil
	}
	return FuncType{}, w.errorf("unknown tag %d", idx)
}

// openTry opens the block of try and try_table.
func (w *Walker) openTry(in *Instr) *Error {
	params, results, err := w.blockSig(in)
	if err != nil {
		return err
	}
	if err := w.popAll(params); err != nil {
		return err
	}
	return w.open(in.Op, params, results)
}

func (w *Walker) stepTryTable(in *Instr) *Error {
	for i := range in.Catches {
		if err := w.checkClause(&in.Catches[i]); err != nil {
			return err
		}
	}
	return w.openTry(in)
}

// checkClause checks that a clause of try_table has for its label what that takes.
func (w *Walker) checkClause(c *Catch) *Error {
	want, err := w.label(uint64(c.Label))
	if err != nil {
		return err
	}
	var have []ValType
	if c.Kind.HasTag() {
		t, err := w.tag(uint64(c.Tag))
		if err != nil {
			return err
		}
		have = t.Params
	}
	rest := want
	if c.Kind.HasRef() && len(want) > 0 && w.env.matches(RefTo(HeapExn), want[len(want)-1]) {
		rest = want[:len(want)-1]
	}
	if c.Kind.HasRef() && len(rest) == len(want) || !w.env.allMatch(have, rest) {
		return w.errorf("type mismatch: catch clause does not fit label %d: want %v", c.Label, want)
	}
	return nil
}

// stepCatch ends a try, or the catch before, and begins a handler.
func (w *Walker) stepCatch(in *Instr) *Error {
	switch w.s.Ctrls[len(w.s.Ctrls)-1].Op {
	case OpTry, OpCatch:
	default:
		return w.errorf("no try to belong to")
	}
	c, err := w.close()
	if err != nil {
		return err
	}
	var values []ValType
	if in.Op == OpCatch {
		t, err := w.tag(in.A)
		if err != nil {
			return err
		}
		values = t.Params
	}
	return w.open(in.Op, values, c.Results)
}

// stepDelegate ends a try. Its label counts from outside of the try.
func (w *Walker) stepDelegate(in *Instr) *Error {
	if w.s.Ctrls[len(w.s.Ctrls)-1].Op != OpTry {
		return w.errorf("no try to belong to")
	}
	c, err := w.close()
	if err != nil {
		return err
	}
	if _, err := w.label(in.A); err != nil {
		return err
	}
	return w.pushAll(c.Results)
}

// stepRethrow wants the label of a handler.
func (w *Walker) stepRethrow(in *Instr) *Error {
	if _, err := w.label(in.A); err != nil {
		return err
	}
	switch w.s.Ctrls[len(w.s.Ctrls)-1-int(in.A)].Op {
	case OpCatch, OpCatchAll:
		w.stop()
		return nil
	}
	return w.errorf("label %d is not a catch", in.A)
}
