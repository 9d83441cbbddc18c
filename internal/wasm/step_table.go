package wasm

func (w *Walker) table(idx uint64) (TableType, *Error) {
	if idx >= uint64(len(w.env.spaces.Tables)) {
		return TableType{}, w.errorf("unknown table %d", idx)
	}
	return w.env.spaces.Tables[idx], nil
}

func (w *Walker) elem(idx uint64) (*Elem, *Error) {
	if idx >= uint64(len(w.env.m.Elems)) {
		return nil, w.errorf("unknown element segment %d", idx)
	}
	return &w.env.m.Elems[idx], nil
}

// bulkOperands are what table.init and table.copy take.
var bulkOperands = []ValType{I32, I32, I32}

func (w *Walker) stepTable(in *Instr) *Error {
	switch in.Op {
	case OpElemDrop:
		_, err := w.elem(in.A)
		return err
	case OpTableInit:
		return w.stepTableInit(in)
	}
	t, err := w.table(in.A)
	if err != nil {
		return err
	}
	switch in.Op {
	case OpTableGet:
		if err := w.pop(I32); err != nil {
			return err
		}
		w.push(t.Elem)
	case OpTableSet:
		return w.popAll([]ValType{I32, t.Elem})
	case OpTableSize:
		return w.pushChecked(I32)
	case OpTableGrow:
		if err := w.popAll([]ValType{t.Elem, I32}); err != nil {
			return err
		}
		w.push(I32)
	case OpTableFill:
		return w.popAll([]ValType{I32, t.Elem, I32})
	case OpTableCopy:
		src, err := w.table(in.B)
		if err != nil {
			return err
		}
		if !w.env.matches(src.Elem, t.Elem) {
			return w.errorf("type mismatch: have %v, want %v", src.Elem, t.Elem)
		}
		return w.popAll(bulkOperands)
	default:
		panic("wasm: no rule for " + in.Op.String())
	}
	return nil
}

func (w *Walker) stepTableInit(in *Instr) *Error {
	t, err := w.table(in.B)
	if err != nil {
		return err
	}
	seg, err := w.elem(in.A)
	if err != nil {
		return err
	}
	if have := seg.itemType(); !w.env.matches(have, t.Elem) {
		return w.errorf("type mismatch: have %v, want %v", have, t.Elem)
	}
	return w.popAll(bulkOperands)
}
