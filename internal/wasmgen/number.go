package wasmgen

import "math"

// edges are numbers at which integer arithmetic turns.
var edges = []uint64{
	0, 1, 2, 31, 32, 63, 64, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x10000,
	0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff,
	0x8000000000000000, 0xffffffffffffffff,
}

// floats are numbers at which float arithmetic turns.
var floats = []float64{
	0, math.Copysign(0, -1), 1, -1, 0.5, 1.5, 2.5, -3.25, 1e10, -1e10, 1e300,
	math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat32, math.SmallestNonzeroFloat64,
	2147483647, 2147483648, -2147483649, 4294967296, 9.3e18, 1.9e19,
}

// integer draws 64 bits, mostly small or at an edge.
func (s *source) integer() uint64 {
	switch s.pick(40, 30, 30) {
	case 0:
		return uint64(int64(s.n(64) - s.n(8)))
	case 1:
		return one(s, edges)
	}
	return s.u64()
}

// number writes a constant of a type without references.
func (b *buf) number(s *source, t valType) {
	switch t {
	case i32:
		b.op(opI32Const)
		b.s(int64(int32(s.integer())))
	case i64:
		b.op(opI64Const)
		b.s(int64(s.integer()))
	case f32:
		b.op(opF32Const)
		b.le(uint64(s.float32Bits()), 4)
	case f64:
		b.op(opF64Const)
		b.le(s.float64Bits(), 8)
	case v128:
		b.op(opV128Const)
		b.vector(s)
	}
}

func (s *source) float32Bits() uint32 {
	if s.chance(20) {
		return uint32(s.u64())
	}
	return math.Float32bits(float32(one(s, floats)))
}

func (s *source) float64Bits() uint64 {
	if s.chance(20) {
		return s.u64()
	}
	return math.Float64bits(one(s, floats))
}

// vector writes 16 bytes: integers, float lanes or noise.
func (b *buf) vector(s *source) {
	switch s.pick(40, 20, 20, 20) {
	case 0:
		x := s.integer()
		b.le(x, 8)
		b.le(x^uint64(s.n(4)), 8)
	case 1:
		for range 4 {
			b.le(uint64(s.float32Bits()), 4)
		}
	case 2:
		b.le(s.float64Bits(), 8)
		b.le(s.float64Bits(), 8)
	case 3:
		b.le(s.u64(), 8)
		b.le(s.u64(), 8)
	}
}
