package wasm

// isConst reports whether constant expressions may have op. That they get
// global.get right is for Validate to see.
func isConst(op Opcode) bool {
	switch op {
	case OpI32Const, OpI64Const, OpF32Const, OpF64Const, OpV128Const,
		OpRefNull, OpRefFunc, OpGlobalGet, OpEnd,
		OpI32Add, OpI32Sub, OpI32Mul, OpI64Add, OpI64Sub, OpI64Mul:
		return true
	}
	return false
}

// expr reads a constant expression up to its end.
func (c *cursor) expr() []byte {
	start := c.pos
	r := Reader{c: *c}
	var in Instr
	for in.Op = OpNop; in.Op != OpEnd; {
		if !r.next(&in) {
			c.failWith(r.c.err)
			return nil
		}
		if !isConst(in.Op) {
			c.fail(in.Pos, "constant expression required: have %v", in.Op)
			return nil
		}
	}
	c.pos = r.c.pos
	return c.b[start:c.pos:c.pos]
}

// A constChecker finds the type of constant expressions.
type constChecker struct {
	env     *env
	globals int // how many globals there are so far

	r     Reader
	stack []ValType
}

// check reports what is wrong with expr as a value of type want. Offsets are
// in expr.
func (k *constChecker) check(expr []byte, want ValType) *Error {
	k.r.Reset(expr)
	k.stack = k.stack[:0]
	var in Instr
	for {
		if !k.r.next(&in) {
			return k.r.c.err
		}
		if in.Op == OpEnd {
			return k.end(in.End, want)
		}
		if err := k.step(&in); err != nil {
			return err
		}
	}
}

func (k *constChecker) end(pos int, want ValType) *Error {
	switch {
	case len(k.stack) != 1:
		return errorAt(pos-1, "type mismatch: have %d values, want 1", len(k.stack))
	case !k.env.matches(k.stack[0], want):
		return errorAt(pos-1, "type mismatch: have %v, want %v", k.stack[0], want)
	case k.r.c.left() > 0:
		return errorAt(pos, "%d bytes after the end", k.r.c.left())
	}
	return nil
}

func (k *constChecker) step(in *Instr) *Error {
	switch {
	case !isConst(in.Op):
		return errorAt(in.Pos, "constant expression required: have %v", in.Op)
	case in.info.simple:
		return k.simple(in)
	}
	var t ValType
	switch in.Op {
	case OpRefNull:
		ht := HeapType(in.A)
		if !k.env.heapExists(ht) {
			return errorAt(in.Pos, "unknown type %v", ht)
		}
		t = RefNull(ht)
	case OpRefFunc:
		if in.A >= uint64(len(k.env.spaces.Funcs)) {
			return errorAt(in.Pos, "unknown function %d", in.A)
		}
		t = RefTo(HeapType(k.env.spaces.Funcs[in.A]))
	case OpGlobalGet:
		if in.A >= uint64(k.globals) {
			return errorAt(in.Pos, "unknown global %d", in.A)
		}
		g := k.env.spaces.Globals[in.A]
		if g.Mutable {
			return errorAt(in.Pos, "constant expression required: global %d is mutable", in.A)
		}
		t = g.Type
	}
	k.stack = append(k.stack, t)
	return nil
}

// simple does what in's signature says.
func (k *constChecker) simple(in *Instr) *Error {
	for i := int(in.info.nin) - 1; i >= 0; i-- {
		n := len(k.stack)
		if n == 0 {
			return errorAt(in.Pos, "type mismatch: have nothing, want %v", in.info.in[i])
		}
		if have := k.stack[n-1]; have != in.info.in[i] {
			return errorAt(in.Pos, "type mismatch: have %v, want %v", have, in.info.in[i])
		}
		k.stack = k.stack[:n-1]
	}
	k.stack = append(k.stack, in.info.out)
	return nil
}
