package interp

import (
	"math"

	"github.com/stasis-run/stasis/internal/wasm"
)

// convert applies the operators that turn numbers into other numbers.
func convert(op uint8, x uint64) (v uint64, trap string) {
	switch wasm.Opcode(op) {
	case wasm.OpI32TruncF32S:
		return truncate(&toS32, float64(f32(x)))
	case wasm.OpI32TruncF32U:
		return truncate(&toU32, float64(f32(x)))
	case wasm.OpI32TruncF64S:
		return truncate(&toS32, f64(x))
	case wasm.OpI32TruncF64U:
		return truncate(&toU32, f64(x))
	case wasm.OpI64TruncF32S:
		return truncate(&toS64, float64(f32(x)))
	case wasm.OpI64TruncF32U:
		return truncate(&toU64, float64(f32(x)))
	case wasm.OpI64TruncF64S:
		return truncate(&toS64, f64(x))
	case wasm.OpI64TruncF64U:
		return truncate(&toU64, f64(x))
	case opI32TruncSatF32S:
		return saturate(&toS32, float64(f32(x))), ""
	case opI32TruncSatF32U:
		return saturate(&toU32, float64(f32(x))), ""
	case opI32TruncSatF64S:
		return saturate(&toS32, f64(x)), ""
	case opI32TruncSatF64U:
		return saturate(&toU32, f64(x)), ""
	case opI64TruncSatF32S:
		return saturate(&toS64, float64(f32(x))), ""
	case opI64TruncSatF32U:
		return saturate(&toU64, float64(f32(x))), ""
	case opI64TruncSatF64S:
		return saturate(&toS64, f64(x)), ""
	case opI64TruncSatF64U:
		return saturate(&toU64, f64(x)), ""

	// Go rounds these to the nearest, ties to even, in one step.
	case wasm.OpF32ConvertI32S:
		return ofF32(float32(s32(x))), ""
	case wasm.OpF32ConvertI32U:
		return ofF32(float32(uint32(x))), ""
	case wasm.OpF32ConvertI64S:
		return ofF32(float32(s64(x))), ""
	case wasm.OpF32ConvertI64U:
		return ofF32(float32(x)), ""
	case wasm.OpF64ConvertI32S:
		return ofF64(float64(s32(x))), ""
	case wasm.OpF64ConvertI32U:
		return ofF64(float64(uint32(x))), ""
	case wasm.OpF64ConvertI64S:
		return ofF64(float64(s64(x))), ""
	case wasm.OpF64ConvertI64U:
		return ofF64(float64(x)), ""

	case wasm.OpF32DemoteF64:
		if isNaN64(x) {
			return demoteNaN(x), ""
		}
		return ofF32(float32(f64(x))), ""
	case wasm.OpF64PromoteF32:
		if isNaN32(x) {
			return promoteNaN(x), ""
		}
		return ofF64(float64(f32(x))), ""
	}
	panicOp(op)
	return 0, ""
}

// An intType is a type of integers to truncate to.
type intType struct {
	below, above float64 // the nearest numbers that are too small and too large once truncated
	least, most  uint64  // words of the limits
	word         func(f float64) uint64
}

var (
	toS32 = intType{-0x80000001, 0x80000000, 0x80000000, math.MaxInt32, func(f float64) uint64 { return ofS32(int32(f)) }}
	toU32 = intType{-1, 0x100000000, 0, math.MaxUint32, func(f float64) uint64 { return uint64(int64(f)) }}
	toS64 = intType{-0x8000000000000800, 0x8000000000000000, 1 << 63, math.MaxInt64, func(f float64) uint64 { return uint64(int64(f)) }}
	toU64 = intType{-1, 0x10000000000000000, 0, math.MaxUint64, func(f float64) uint64 {
		if f < 1<<63 {
			return uint64(int64(f)) // what is above -1 becomes 0
		}
		return uint64(int64(f-1<<63)) + 1<<63
	}}
)

// truncate rounds f towards zero, or traps.
func truncate(t *intType, f float64) (v uint64, trap string) {
	switch {
	case f != f:
		return 0, trapConversion
	case f <= t.below || f >= t.above:
		return 0, trapOverflow
	}
	return t.word(f), ""
}

// saturate rounds f towards zero, or to the limit that is nearest.
func saturate(t *intType, f float64) uint64 {
	switch {
	case f != f:
		return 0
	case f <= t.below:
		return t.least
	case f >= t.above:
		return t.most
	}
	return t.word(f)
}
