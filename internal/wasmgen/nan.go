package wasmgen

// canonical gives a float NaN on top the one bit pattern. The select is one of
// integers, which wazero gets right (TestWazeroFaults).
func (f *body) canonical(t valType) {
	if f.g.cfg.RawNaN || t != f32 && t != f64 {
		return
	}
	x := f.temp(t)
	f.set(x)
	f.get(x)
	if t == f32 {
		f.apply(opI32ReinterpretF32, 1, i32)
		f.i32Const(0x7fc00000)
		f.get(x)
		f.get(x)
		f.apply(opF32Eq, 2, i32)
		f.apply(opSelect, 3, i32)
		f.apply(opF32ReinterpretI32, 1, f32)
		return
	}
	f.apply(opI64ReinterpretF64, 1, i64)
	f.i64Const(0x7ff8000000000000)
	f.get(x)
	f.get(x)
	f.apply(opF64Eq, 2, i32)
	f.apply(opSelect, 3, i64)
	f.apply(opF64ReinterpretI64, 1, f64)
}

// canonicalLanes gives NaNs in the lanes of the vector on top the one pattern.
func (f *body) canonicalLanes(tr trait) {
	if f.g.cfg.RawNaN || tr&(nan32|nan64) == 0 {
		return
	}
	eq, lane := uint32(opF32x4Eq), uint64(0x7fc00000_7fc00000)
	if tr&nan64 != 0 {
		eq, lane = opF64x2Eq, 0x7ff8000000000000
	}
	x := f.temp(v128)
	f.tee(x)
	f.op(opV128Const)
	f.code.le(lane, 8)
	f.code.le(lane, 8)
	f.push(v128)
	f.get(x)
	f.get(x)
	f.apply(eq, 2, v128)
	f.apply(opV128Bitselect, 3, v128)
}
