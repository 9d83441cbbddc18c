package wasm

// Operand stack and control stack, as in the validation algorithm of the
// specification's appendix.

func (w *Walker) push(t ValType) { w.s.Stack = append(w.s.Stack, t) }

func (w *Walker) pushAll(list []ValType) *Error {
	w.s.Stack = append(w.s.Stack, list...)
	if len(w.s.Stack) > maxOperands {
		return w.errorf("operand stack deeper than %d", maxOperands)
	}
	return nil
}

// errorf makes an error about the current instruction.
func (w *Walker) errorf(format string, args ...any) *Error {
	return errorAt(w.in.Pos, "%v: "+format, append([]any{w.in.Op}, args...)...)
}

// pop takes a value that may stand where want is asked for.
func (w *Walker) pop(want ValType) *Error {
	n := len(w.s.Stack)
	if n > w.height {
		have := w.s.Stack[n-1]
		w.s.Stack = w.s.Stack[:n-1]
		if have == want || w.env.matches(have, want) {
			return nil
		}
		return w.errorf("type mismatch: have %v, want %v", have, want)
	}
	if w.unreachable {
		return nil
	}
	return w.errorf("type mismatch: have nothing, want %v", want)
}

// popAny takes a value of any type.
func (w *Walker) popAny() (ValType, *Error) {
	n := len(w.s.Stack)
	if n > w.height {
		have := w.s.Stack[n-1]
		w.s.Stack = w.s.Stack[:n-1]
		return have, nil
	}
	if w.unreachable {
		return Unknown, nil
	}
	return Unknown, w.errorf("type mismatch: have nothing, want a value")
}

// popRef takes a reference. Where its type is unknown it is refNone.
func (w *Walker) popRef() (ValType, *Error) {
	t, err := w.popAny()
	switch {
	case err != nil:
		return t, err
	case t == Unknown:
		return refNone, nil
	case !t.IsRef():
		return t, w.errorf("type mismatch: have %v, want a reference", t)
	}
	return t, nil
}

func (w *Walker) popAll(list []ValType) *Error {
	for i := len(list) - 1; i >= 0; i-- {
		if err := w.pop(list[i]); err != nil {
			return err
		}
	}
	return nil
}

// open pushes a block whose parameters have been popped.
func (w *Walker) open(op Opcode, params, results []ValType) *Error {
	if len(w.s.Ctrls) == maxBlocks {
		return w.errorf("blocks deeper than %d", maxBlocks)
	}
	w.height, w.unreachable = len(w.s.Stack), false
	w.s.Ctrls = append(w.s.Ctrls, Ctrl{Op: op, Params: params, Results: results, Height: w.height, Dead: w.s.Dead(), set: len(w.set)})
	return w.pushAll(params)
}

// close pops the innermost block, after a check of its results.
func (w *Walker) close() (Ctrl, *Error) {
	n := len(w.s.Ctrls)
	c := w.s.Ctrls[n-1]
	if err := w.popAll(c.Results); err != nil {
		return c, err
	}
	if extra := len(w.s.Stack) - w.height; extra > 0 {
		return c, w.errorf("type mismatch: %d values left at the end of the block", extra)
	}
	w.s.Ctrls = w.s.Ctrls[:n-1]
	if n > 1 {
		outer := &w.s.Ctrls[n-2]
		w.height, w.unreachable = outer.Height, outer.Unreachable
	}
	w.forget(c.set)
	return c, nil
}

// stop marks the rest of the innermost block as not reached.
func (w *Walker) stop() {
	w.unreachable = true
	w.s.Ctrls[len(w.s.Ctrls)-1].Unreachable = true
	w.s.Stack = w.s.Stack[:w.height]
}

// label returns the types that a branch by depth blocks takes along.
func (w *Walker) label(depth uint64) ([]ValType, *Error) {
	n := uint64(len(w.s.Ctrls))
	if depth >= n {
		return nil, w.errorf("unknown label %d", depth)
	}
	return w.s.Ctrls[n-1-depth].Label(), nil
}

// remember notes that a local has been stored to.
func (w *Walker) remember(idx uint64) {
	if w.s.unset != nil && w.s.unset[idx] {
		w.s.unset[idx] = false
		w.set = append(w.set, uint32(idx))
	}
}

// forget undoes remember down to a length of w.set: what a block stores to is
// not known after it.
func (w *Walker) forget(n int) {
	for _, idx := range w.set[n:] {
		w.s.unset[idx] = true
	}
	w.set = w.set[:n]
}
