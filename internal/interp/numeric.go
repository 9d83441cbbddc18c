package interp

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/stasis-run/stasis/internal/wasm"
)

// Texts of traps, as wazero's internal/wasmruntime has them.
const (
	trapUnreachable = "unreachable"
	trapMemory      = "out of bounds memory access"
	trapDivideBy0   = "integer divide by zero"
	trapOverflow    = "integer overflow"
	trapConversion  = "invalid conversion to integer"
)

// Saturating truncations behind the other operators: what the byte after their
// prefix becomes, so that one byte says what to do and switches stay dense.
const (
	opI32TruncSatF32S = 0xe0 + iota
	opI32TruncSatF32U
	opI32TruncSatF64S
	opI32TruncSatF64U
	opI64TruncSatF32S
	opI64TruncSatF32U
	opI64TruncSatF64S
	opI64TruncSatF64U
)

// shortOp returns the byte for an operator, load or store. It is false for all
// other instructions.
func shortOp(op wasm.Opcode) (short uint8, ok bool) {
	switch {
	case wasm.OpI32Load <= op && op <= wasm.OpI64Store32, wasm.OpI32Eqz <= op && op <= wasm.OpI64Extend32S:
		return uint8(op), true
	case wasm.OpI32TruncSatF32S <= op && op <= wasm.OpI64TruncSatF64U:
		return opI32TruncSatF32S + uint8(op-wasm.OpI32TruncSatF32S), true
	}
	return 0, false
}

func panicOp(op uint8) { panic(fmt.Sprintf("interp: no operator %#02x of this form", op)) }

func truth(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// Signed readings of words.
func s32(x uint64) int32 { return int32(x) }
func s64(x uint64) int64 { return int64(x) }

// ofS32 makes the word of an i32.
func ofS32(x int32) uint64 { return uint64(uint32(x)) }

// Floats and their words.
func f32(x uint64) float32   { return math.Float32frombits(uint32(x)) }
func f64(x uint64) float64   { return math.Float64frombits(x) }
func ofF32(f float32) uint64 { return uint64(math.Float32bits(f)) }
func ofF64(f float64) uint64 { return math.Float64bits(f) }

// apply1 applies an operator to one operand.
func apply1(op uint8, x uint64) (v uint64, trap string) {
	switch wasm.Opcode(op) {
	case wasm.OpI32Eqz:
		return truth(uint32(x) == 0), ""
	case wasm.OpI64Eqz:
		return truth(x == 0), ""
	case wasm.OpI32Clz:
		return uint64(bits.LeadingZeros32(uint32(x))), ""
	case wasm.OpI32Ctz:
		return uint64(bits.TrailingZeros32(uint32(x))), ""
	case wasm.OpI32Popcnt:
		return uint64(bits.OnesCount32(uint32(x))), ""
	case wasm.OpI64Clz:
		return uint64(bits.LeadingZeros64(x)), ""
	case wasm.OpI64Ctz:
		return uint64(bits.TrailingZeros64(x)), ""
	case wasm.OpI64Popcnt:
		return uint64(bits.OnesCount64(x)), ""

	case wasm.OpI32WrapI64, wasm.OpI64ExtendI32U, wasm.OpI32ReinterpretF32, wasm.OpF32ReinterpretI32:
		return uint64(uint32(x)), ""
	case wasm.OpI64ReinterpretF64, wasm.OpF64ReinterpretI64:
		return x, ""
	case wasm.OpI32Extend8S:
		return ofS32(int32(int8(x))), ""
	case wasm.OpI32Extend16S:
		return ofS32(int32(int16(x))), ""
	case wasm.OpI64Extend8S:
		return uint64(int8(x)), ""
	case wasm.OpI64Extend16S:
		return uint64(int16(x)), ""
	case wasm.OpI64Extend32S, wasm.OpI64ExtendI32S:
		return uint64(int32(x)), ""

	case wasm.OpF32Abs:
		return x &^ signBit32, ""
	case wasm.OpF32Neg:
		return x ^ signBit32, ""
	case wasm.OpF32Ceil, wasm.OpF32Floor, wasm.OpF32Trunc, wasm.OpF32Nearest, wasm.OpF32Sqrt:
		if isNaN32(x) {
			return nan32(x, x), ""
		}
		// The operators of 64 bits, shifted to the same place, give the right
		// result here too: a square root has bits enough to be rounded twice.
		r := roundOrRoot(wasm.Opcode(op)-wasm.OpF32Ceil+wasm.OpF64Ceil, float64(f32(x)))
		if r != r {
			return defaultNaN32, ""
		}
		return ofF32(float32(r)), ""
	case wasm.OpF64Abs:
		return x &^ signBit64, ""
	case wasm.OpF64Neg:
		return x ^ signBit64, ""
	case wasm.OpF64Ceil, wasm.OpF64Floor, wasm.OpF64Trunc, wasm.OpF64Nearest, wasm.OpF64Sqrt:
		if isNaN64(x) {
			return nan64(x, x), ""
		}
		r := roundOrRoot(wasm.Opcode(op), f64(x))
		if r != r {
			return defaultNaN64, ""
		}
		return ofF64(r), ""
	}
	return convert(op, x)
}

// roundOrRoot is a rounding or the square root of a number.
func roundOrRoot(op wasm.Opcode, x float64) float64 {
	switch op {
	case wasm.OpF64Ceil:
		return math.Ceil(x)
	case wasm.OpF64Floor:
		return math.Floor(x)
	case wasm.OpF64Trunc:
		return math.Trunc(x)
	case wasm.OpF64Nearest:
		return math.RoundToEven(x)
	}
	return math.Sqrt(x)
}

// apply2 applies an operator to two operands.
func apply2(op uint8, x, y uint64) (v uint64, trap string) {
	switch wasm.Opcode(op) {
	case wasm.OpI32Eq:
		return truth(uint32(x) == uint32(y)), ""
	case wasm.OpI32Ne:
		return truth(uint32(x) != uint32(y)), ""
	case wasm.OpI32LtS:
		return truth(s32(x) < s32(y)), ""
	case wasm.OpI32LtU:
		return truth(uint32(x) < uint32(y)), ""
	case wasm.OpI32GtS:
		return truth(s32(x) > s32(y)), ""
	case wasm.OpI32GtU:
		return truth(uint32(x) > uint32(y)), ""
	case wasm.OpI32LeS:
		return truth(s32(x) <= s32(y)), ""
	case wasm.OpI32LeU:
		return truth(uint32(x) <= uint32(y)), ""
	case wasm.OpI32GeS:
		return truth(s32(x) >= s32(y)), ""
	case wasm.OpI32GeU:
		return truth(uint32(x) >= uint32(y)), ""

	case wasm.OpI64Eq:
		return truth(x == y), ""
	case wasm.OpI64Ne:
		return truth(x != y), ""
	case wasm.OpI64LtS:
		return truth(s64(x) < s64(y)), ""
	case wasm.OpI64LtU:
		return truth(x < y), ""
	case wasm.OpI64GtS:
		return truth(s64(x) > s64(y)), ""
	case wasm.OpI64GtU:
		return truth(x > y), ""
	case wasm.OpI64LeS:
		return truth(s64(x) <= s64(y)), ""
	case wasm.OpI64LeU:
		return truth(x <= y), ""
	case wasm.OpI64GeS:
		return truth(s64(x) >= s64(y)), ""
	case wasm.OpI64GeU:
		return truth(x >= y), ""

	case wasm.OpF32Eq:
		return truth(f32(x) == f32(y)), ""
	case wasm.OpF32Ne:
		return truth(f32(x) != f32(y)), ""
	case wasm.OpF32Lt:
		return truth(f32(x) < f32(y)), ""
	case wasm.OpF32Gt:
		return truth(f32(x) > f32(y)), ""
	case wasm.OpF32Le:
		return truth(f32(x) <= f32(y)), ""
	case wasm.OpF32Ge:
		return truth(f32(x) >= f32(y)), ""
	case wasm.OpF64Eq:
		return truth(f64(x) == f64(y)), ""
	case wasm.OpF64Ne:
		return truth(f64(x) != f64(y)), ""
	case wasm.OpF64Lt:
		return truth(f64(x) < f64(y)), ""
	case wasm.OpF64Gt:
		return truth(f64(x) > f64(y)), ""
	case wasm.OpF64Le:
		return truth(f64(x) <= f64(y)), ""
	case wasm.OpF64Ge:
		return truth(f64(x) >= f64(y)), ""

	case wasm.OpI32Add:
		return uint64(uint32(x) + uint32(y)), ""
	case wasm.OpI32Sub:
		return uint64(uint32(x) - uint32(y)), ""
	case wasm.OpI32Mul:
		return uint64(uint32(x) * uint32(y)), ""
	case wasm.OpI32And:
		return uint64(uint32(x) & uint32(y)), ""
	case wasm.OpI32Or:
		return uint64(uint32(x) | uint32(y)), ""
	case wasm.OpI32Xor:
		return uint64(uint32(x) ^ uint32(y)), ""
	case wasm.OpI32Shl:
		return uint64(uint32(x) << (y & 31)), ""
	case wasm.OpI32ShrS:
		return ofS32(s32(x) >> (y & 31)), ""
	case wasm.OpI32ShrU:
		return uint64(uint32(x) >> (y & 31)), ""
	case wasm.OpI32Rotl:
		return uint64(bits.RotateLeft32(uint32(x), int(y&31))), ""
	case wasm.OpI32Rotr:
		return uint64(bits.RotateLeft32(uint32(x), -int(y&31))), ""

	case wasm.OpI64Add:
		return x + y, ""
	case wasm.OpI64Sub:
		return x - y, ""
	case wasm.OpI64Mul:
		return x * y, ""
	case wasm.OpI64And:
		return x & y, ""
	case wasm.OpI64Or:
		return x | y, ""
	case wasm.OpI64Xor:
		return x ^ y, ""
	case wasm.OpI64Shl:
		return x << (y & 63), ""
	case wasm.OpI64ShrS:
		return uint64(s64(x) >> (y & 63)), ""
	case wasm.OpI64ShrU:
		return x >> (y & 63), ""
	case wasm.OpI64Rotl:
		return bits.RotateLeft64(x, int(y&63)), ""
	case wasm.OpI64Rotr:
		return bits.RotateLeft64(x, -int(y&63)), ""

	case wasm.OpI32DivS, wasm.OpI32RemS:
		v, trap := divide(op == uint8(wasm.OpI32RemS), s32(x), s32(y))
		return ofS32(v), trap
	case wasm.OpI32DivU, wasm.OpI32RemU:
		v, trap := divide(op == uint8(wasm.OpI32RemU), uint32(x), uint32(y))
		return uint64(v), trap
	case wasm.OpI64DivS, wasm.OpI64RemS:
		v, trap := divide(op == uint8(wasm.OpI64RemS), s64(x), s64(y))
		return uint64(v), trap
	case wasm.OpI64DivU, wasm.OpI64RemU:
		return divide(op == uint8(wasm.OpI64RemU), x, y)

	case wasm.OpF32Add, wasm.OpF32Sub, wasm.OpF32Mul, wasm.OpF32Div, wasm.OpF32Min, wasm.OpF32Max:
		// The operators of 64 bits have the same order.
		r := arithmetic(wasm.Opcode(op)-wasm.OpF32Add+wasm.OpF64Add, f32(x), f32(y))
		if r != r {
			return nan32(x, y), ""
		}
		return ofF32(r), ""
	case wasm.OpF64Add, wasm.OpF64Sub, wasm.OpF64Mul, wasm.OpF64Div, wasm.OpF64Min, wasm.OpF64Max:
		r := arithmetic(wasm.Opcode(op), f64(x), f64(y))
		if r != r {
			return nan64(x, y), ""
		}
		return ofF64(r), ""
	case wasm.OpF32Copysign:
		return x&^signBit32 | y&signBit32, ""
	case wasm.OpF64Copysign:
		return x&^signBit64 | y&signBit64, ""
	}
	panicOp(op)
	return 0, ""
}

// divide is the quotient of two integers, or what remains (rem). The types say
// whether they have signs.
func divide[I int32 | uint32 | int64 | uint64](rem bool, x, y I) (v I, trap string) {
	switch {
	case y == 0:
		return 0, trapDivideBy0
	case rem:
		return x % y, ""
	}
	if v = x / y; x < 0 && y < 0 && v < 0 { // the least one by -1
		return 0, trapOverflow
	}
	return v, ""
}

// arithmetic applies the operators of floats that make NaNs; op is that of 64
// bits. Each result is rounded by itself: bits between two operators keep Go
// from fusing them where the machine has such instructions.
func arithmetic[F float32 | float64](op wasm.Opcode, x, y F) F {
	switch op {
	case wasm.OpF64Add:
		return x + y
	case wasm.OpF64Sub:
		return x - y
	case wasm.OpF64Mul:
		return x * y
	case wasm.OpF64Div:
		return x / y
	case wasm.OpF64Min:
		// Go's min knows that -0 is less than 0, and passes NaNs on.
		return min(x, y)
	}
	return max(x, y)
}
