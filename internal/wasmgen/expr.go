package wasmgen

// value leaves a value of type t on the stack; d bounds the nesting. In dead
// code it may leave nothing where the stack gives what is asked of it.
func (f *body) value(t valType, d int) {
	if f.cur().dead && f.height() == 0 && f.src.chance(50) {
		return
	}
	if d <= 0 || f.budget <= 0 {
		f.leaf(t)
		return
	}
	keep := f.keep
	f.keep = len(f.stack)
	f.expression(t, d)
	f.keep = keep
}

// expression leaves a value of type t that takes some work.
func (f *body) expression(t valType, d int) {
	switch f.src.pick(20, 40, 5, 5, 6, 6, 5) {
	case 0:
		f.leaf(t)
	case 1:
		f.compute(t, d-1)
	case 2:
		f.callFor(t, d-1)
	case 3:
		f.nested(nil, []valType{t}, d-1)
	case 4:
		f.choose(t, d-1)
	case 5:
		f.teeFor(t, d-1)
	case 6:
		f.swap(t, d-1)
	}
}

// values leaves a value of each type, the last on top.
func (f *body) values(ts []valType, d int) {
	for _, t := range ts {
		f.value(t, d)
	}
}

// operands is values, but may take what already lies on top of the stack for
// the first of them: so values live across whatever made the rest.
func (f *body) operands(ts []valType, d int) {
	for k := min(len(ts), f.free()); k > 0; k-- {
		if sameTypes(f.stack[len(f.stack)-k:], ts[:k]) && f.src.chance(70) {
			ts = ts[k:]
			break
		}
	}
	f.values(ts, d)
}

// leaf pushes a value without computing it.
func (f *body) leaf(t valType) {
	switch f.src.pick(30, 50, 20) {
	case 1:
		if ls := f.byType[t]; len(ls) > 0 {
			f.get(one(f.src, ls))
			return
		}
	case 2:
		if i := f.anyGlobal(t, false); i >= 0 {
			f.opU(opGlobalGet, i)
			f.push(t)
			return
		}
	}
	f.constant(t)
}

// constant pushes a constant.
func (f *body) constant(t valType) {
	switch {
	case t.typedRef() && (!t.nullable() || f.src.chance(60)):
		f.opU(opRefFunc, f.g.funcOf(t.target()))
	case t == funcref && f.src.chance(70):
		f.opU(opRefFunc, f.g.anyRefFunc())
	case t.ref():
		f.op(opRefNull)
		f.code.heap(t)
	default:
		f.number(t)
	}
	f.push(t)
}

// number writes a numeric constant through op, so that it is counted.
func (f *body) number(t valType) {
	var b buf
	b.number(f.src, t)
	code, skip := uint32(b[0]), 1
	if code == opV128Const>>16 {
		code, skip = opV128Const, 2
	}
	f.op(code)
	f.code.raw(b[skip:])
}

// anyGlobal draws a global of type t that random code may touch; -1 is none.
func (f *body) anyGlobal(t valType, written bool) int {
	n := len(f.g.globals)
	for i, at := 0, f.src.n(n); i < n; i, at = i+1, (at+1)%n {
		v := f.g.globals[at]
		if at > globalAcc && v.typ == t && (!written || v.mutable == 1) {
			return at
		}
	}
	return -1
}

// compute leaves the result of an instruction.
func (f *body) compute(t valType, d int) {
	if t.ref() {
		f.computeRef(t, d)
		return
	}
	if t == i32 && f.src.chance(15) {
		f.ask(d)
		return
	}
	f.instruction(one(f.src, f.g.producers[t]), d)
}

// instruction makes the operands of o and writes it.
func (f *body) instruction(o *op, d int) {
	for i, t := range o.in {
		if i == 0 && (o.imm == immMem || o.imm == immMemLane) {
			f.address(d)
			continue
		}
		if i == 0 && o.imm == immAtomic {
			f.alignedAddress(o.n, d)
			continue
		}
		if o.traits&trunc != 0 && f.src.chance(90) {
			f.inRange(t, d)
			continue
		}
		f.value(t, d)
		if o.traits&bits0 != 0 && i == 0 || o.traits&bits1 != 0 && i == 1 {
			f.canonical(t)
		}
		if o.traits&div != 0 && i == 1 && f.src.chance(95) {
			f.notZero(t)
		}
		if o.traits&order != 0 && i == 1 {
			f.noAnd(t)
		}
	}
	f.plain(o)
}

// plain writes o with its immediates; its operands are on the stack.
func (f *body) plain(o *op) {
	f.op(o.code)
	switch o.imm {
	case immMem, immMemLane:
		f.code.u(uint64(f.src.n(int(o.n) + 1)))
		f.code.u(f.offset())
		if o.imm == immMemLane {
			f.code.byte(byte(f.src.n(16 >> o.n)))
		}
	case immAtomic:
		f.code.u(uint64(o.n))
		off := f.offset()
		if f.src.chance(97) {
			off &^= 1<<o.n - 1
		}
		f.code.u(off)
	case immLane:
		f.code.byte(byte(f.src.n(int(o.n))))
	case immShuffle:
		for range 16 {
			f.code.byte(byte(f.src.n(32)))
		}
	}
	f.pop(len(o.in))
	if o.out != 0 {
		f.push(o.out)
	}
	f.canonicalLanes(o.traits)
}

// address leaves an address, nearly always in bounds.
func (f *body) address(d int) {
	f.value(i32, d)
	if f.src.chance(98) {
		f.mask(one(f.src, []int32{0xff, 0xfff, 0x7fff, 0xfffc}))
	}
}

// alignedAddress leaves an address of a multiple of 1<<log2, nearly always.
func (f *body) alignedAddress(log2 byte, d int) {
	f.value(i32, d)
	m := one(f.src, []int32{0xff, 0xfff, 0x7fff})
	if f.src.chance(98) {
		m &^= 1<<log2 - 1
	}
	f.mask(m)
}

// offset draws the static offset of a memory access.
func (f *body) offset() uint64 {
	switch f.src.pick(60, 38, 1) {
	case 0:
		return 0
	case 1:
		return uint64(f.src.n(64))
	}
	return uint64(f.src.n(1 << 17))
}

// mask keeps the given bits of the i32 on top.
func (f *body) mask(m int32) {
	f.i32Const(m)
	f.apply(opI32And, 2, i32)
}

// notZero sets a bit of the integer on top.
func (f *body) notZero(t valType) {
	if t == i32 {
		f.i32Const(1)
		f.apply(opI32Or, 2, i32)
		return
	}
	f.i64Const(1)
	f.apply(opI64Or, 2, i64)
}

// noAnd makes sure that the right operand of a comparison is not the result
// of an and: wazero mistakes 0 < (x & y) for (x & y) < 0 (TestWazeroFaults).
func (f *body) noAnd(t valType) {
	switch {
	case f.last == opI32Const || f.last == opI64Const:
	case t == i32:
		f.i32Const(0)
		f.apply(opI32Add, 2, i32)
	default:
		f.i64Const(0)
		f.apply(opI64Add, 2, i64)
	}
}

// inRange leaves a float that each truncation takes.
func (f *body) inRange(t valType, d int) {
	f.value(i32, d)
	f.mask(0xffffff)
	if t == f32 {
		f.apply(opF32ConvertI32S, 1, f32)
		return
	}
	f.apply(opF64ConvertI32S, 1, f64)
}

// ask leaves an i32 that says something of the state.
func (f *body) ask(d int) {
	switch f.src.pick(3, 3, 2, 3, 3) {
	case 0:
		if f.g.memory {
			f.opU(opMemorySize, 0)
			f.push(i32)
			return
		}
	case 1:
		f.opU(opTableSize, f.src.n(len(f.g.tables)))
		f.push(i32)
		return
	case 2:
		if f.g.memory {
			f.value(i32, d)
			if f.src.chance(90) {
				f.mask(1)
			}
			f.opU(opMemoryGrow, 0)
			f.pop(1)
			f.push(i32)
			return
		}
	case 3:
		f.growTable(d)
		return
	}
	f.value(f.refType(), d)
	f.apply(opRefIsNull, 1, i32)
}

// refType draws a type of references.
func (f *body) refType() valType {
	ts := []valType{funcref, externref}
	if f.g.cfg.Without&TypedRefs == 0 {
		ts = append(ts, nullRefTo(one(f.src, f.g.targets)))
	}
	return one(f.src, ts)
}

// computeRef leaves a reference from a table, the host or another reference.
func (f *body) computeRef(t valType, d int) {
	switch {
	case t == externref && f.src.chance(50):
		f.value(i32, d)
		f.call(hostIndex("ref"))
	case !t.nullable():
		f.value(t, d)
		if f.src.chance(30) { // what is already not null may be asserted, too
			f.apply(opRefAsNonNull, 1, t)
		}
	default:
		f.fromTable(t, d)
	}
}

// choose leaves one of two values.
func (f *body) choose(t valType, d int) {
	if t.private() { // wazero 1.12 misreads or refuses such a select (TestWazeroFaults)
		f.value(t, d)
		return
	}
	if code, ok := flips[t]; ok {
		f.chooseFloat(t, code, d)
		return
	}
	f.value(t, d)
	f.value(t, d)
	f.value(i32, d)
	f.selectOne(t)
}

// selectOne writes a select, in either form where both are valid.
func (f *body) selectOne(t valType) {
	if !t.ref() && f.src.chance(70) {
		f.apply(opSelect, 3, t)
		return
	}
	f.op(opSelectT)
	f.code.types([]valType{t})
	f.pop(3)
	f.push(t)
}

// flips are instructions that give a float or vector another value cheaply.
var flips = map[valType]uint32{f32: opF32Neg, f64: opF64Neg, v128: opV128Not}

// chooseFloat leaves one of two floats or vectors. The first is made last, so
// that no call lies between it and the select (TestWazeroFaults).
func (f *body) chooseFloat(t valType, flip uint32, d int) {
	x, y, cond := f.hidden(t), f.hidden(t), f.hidden(i32)
	f.value(t, d)
	f.set(x)
	f.value(t, d)
	f.set(y)
	f.value(i32, d)
	f.set(cond)
	f.get(x)
	f.apply(flip, 1, t)
	f.get(y)
	f.get(cond)
	f.selectOne(t)
}

// teeFor leaves a value and keeps it in a local, too.
func (f *body) teeFor(t valType, d int) {
	f.value(t, d)
	if ls := f.byType[t]; len(ls) > 0 {
		f.tee(one(f.src, ls))
	}
}

// swap leaves a value that lies on the stack while a statement runs.
func (f *body) swap(t valType, d int) {
	f.value(t, d)
	if f.cur().dead { // statements would not leave it where it is
		return
	}
	f.keep = len(f.stack)
	f.statement(d)
	for f.free() > 0 {
		f.sink()
	}
	if !f.cur().dead {
		return
	}
	// The branch took all operands along, those of instructions in the making
	// included. What lies there now would be in the way of theirs.
	for f.height() > 0 {
		f.sinkBeneath()
	}
	f.value(t, d)
}
