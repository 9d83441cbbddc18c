package wasmgen

// maxHeld is how many values statements leave on the stack of a block.
const maxHeld = 12

// statements writes up to n statements, as long as there is budget.
func (f *body) statements(n, d int) {
	for i := 0; i < n && f.budget > 0 && !f.cur().dead; i++ {
		f.statement(d)
	}
	if f.cur().dead && f.src.chance(40) {
		for range f.src.n(4) {
			f.statement(min(d, 1))
		}
	}
}

// statement writes something that may take operands that lie free on the stack
// and may leave others there.
func (f *body) statement(d int) {
	if f.budget <= 0 {
		f.op(opNop)
		return
	}
	if f.g.native && f.src.chance(6) && len(f.visible()) < maxNesting {
		f.catchRaw(d)
		return
	}
	if f.src.chance(4) && len(f.visible()) < maxNesting/2 {
		f.cases(d)
		return
	}
	switch f.src.pick(2, 12, 10, 8, 11, 9, 18, 14, 8, 6, 6, 5) {
	case 0:
		f.op(opNop)
	case 1:
		f.hold(d)
	case 2:
		f.assign(d)
	case 3:
		f.assignGlobal(d)
	case 4:
		f.effect(d)
	case 5:
		f.pull(d)
	case 6:
		f.construct(d)
	case 7:
		f.anyCall(d)
	case 8:
		f.bulk(d)
	case 9:
		f.branchIf(d)
	case 10:
		f.sinkOrHold(d)
	case 11:
		f.leave(d)
	}
}

// hold leaves a value for whoever comes.
func (f *body) hold(d int) {
	if f.height() >= maxHeld {
		f.sinkOrHold(d)
		return
	}
	f.value(f.g.anyType(), d)
}

// assign sets a local.
func (f *body) assign(d int) {
	t := f.g.localType()
	ls := f.byType[t]
	if len(ls) == 0 {
		ls = []int{f.local(t)}
	}
	f.value(t, d)
	f.set(one(f.src, ls))
}

// assignGlobal sets a global, or else a local.
func (f *body) assignGlobal(d int) {
	v := one(f.src, f.g.globals)
	i := f.anyGlobal(v.typ, true)
	if i < 0 {
		f.assign(d)
		return
	}
	f.value(v.typ, d)
	f.opU(opGlobalSet, i)
	f.pop(1)
}

// effect writes an instruction without a result: a store, if there is a memory.
func (f *body) effect(d int) {
	if f.g.atomics && f.src.chance(3) {
		f.op(opFence)
		f.code.byte(0)
		return
	}
	if ops := f.g.producers[0]; len(ops) > 0 {
		f.instruction(one(f.src, ops), d)
		return
	}
	f.assign(d)
}

// pull applies an instruction to operands that lie there.
func (f *body) pull(d int) {
	for range 8 {
		o := one(f.src, opTable)
		n := len(o.in)
		risky := o.imm == immMem || o.imm == immMemLane || o.imm == immAtomic || o.traits&^(nan32|nan64) != 0
		if risky || o.code>>16 == simd>>16 && f.g.cfg.Without&SIMD != 0 || n > f.free() || !sameTypes(f.stack[len(f.stack)-n:], o.in) {
			continue
		}
		f.plain(o)
		return
	}
	f.hold(d)
}

// sinkOrHold takes the value on top, or leaves one.
func (f *body) sinkOrHold(d int) {
	if f.free() > 0 {
		f.sink()
		return
	}
	if f.height() < maxHeld {
		f.hold(d)
	}
}

// sink takes the value on top to where it can be seen.
func (f *body) sink() {
	t := f.stack[len(f.stack)-1]
	if t == exnref && f.src.chance(50) { // tables hold few that are not null otherwise
		x := f.temp(t)
		f.set(x)
		f.i32Const(int32(f.src.n(8)))
		f.get(x)
		f.opU(opTableSet, len(f.g.tables)-1)
		f.pop(2)
		return
	}
	switch f.src.pick(10, 45, 25, 10, 10) {
	case 1:
		f.mix()
		return
	case 2:
		if ls := f.byType[t]; len(ls) > 0 {
			f.set(one(f.src, ls))
			return
		}
	case 3:
		if i := f.anyGlobal(t, true); i >= 0 {
			f.opU(opGlobalSet, i)
			f.pop(1)
			return
		}
	case 4:
		f.log()
		return
	}
	f.op(opDrop)
	f.pop(1)
}

// mix takes the value on top into the accumulator.
func (f *body) mix() {
	f.toI64(f.stack[len(f.stack)-1])
	f.opU(opGlobalGet, globalAcc)
	f.push(i64)
	f.apply(opI64Xor, 2, i64)
	f.i64Const(0x5851f42d4c957f2d)
	f.apply(opI64Mul, 2, i64)
	f.opU(opGlobalSet, globalAcc)
	f.pop(1)
}

// toI64 turns the value on top, of type t, into an i64: a reference into
// whether it is null.
func (f *body) toI64(t valType) {
	switch t {
	case i64:
		return
	case f64:
		f.canonical(t)
		f.apply(opI64ReinterpretF64, 1, i64)
		return
	case v128:
		f.fold()
		return
	case i32:
	case f32:
		f.canonical(t)
		f.apply(opI32ReinterpretF32, 1, i32)
	default:
		f.apply(opRefIsNull, 1, i32)
	}
	f.apply(opI64ExtendI32U, 1, i64)
}

// fold turns the vector on top into an i64.
func (f *body) fold() {
	x := f.temp(v128)
	f.tee(x)
	f.extract(0)
	f.get(x)
	f.extract(1)
	f.i64Const(13)
	f.apply(opI64Rotl, 2, i64)
	f.apply(opI64Xor, 2, i64)
}

// extract takes a half of the vector on top.
func (f *body) extract(lane byte) {
	f.op(opI64x2Extract)
	f.code.byte(lane)
	f.pop(1)
	f.push(i64)
}

// log hands the value on top to the host.
func (f *body) log() {
	t := f.stack[len(f.stack)-1]
	switch t {
	case i32:
		f.call(hostIndex("log"))
	case i64:
		f.call(hostIndex("log64"))
	case f32:
		f.call(hostIndex("logf32"))
	case f64:
		f.call(hostIndex("logf64"))
	case externref:
		f.call(hostIndex("logref"))
	default:
		f.toI64(t)
		f.call(hostIndex("log64"))
	}
}
