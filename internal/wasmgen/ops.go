package wasmgen

import "slices"

// Codes of instructions that the generator treats one by one. A prefixed one
// is prefix<<16 | code.
const (
	opUnreachable        = 0x00
	opNop                = 0x01
	opBlock              = 0x02
	opLoop               = 0x03
	opIf                 = 0x04
	opElse               = 0x05
	opEnd                = 0x0b
	opTry                = 0x06
	opCatch              = 0x07
	opThrow              = 0x08
	opRethrow            = 0x09
	opThrowRef           = 0x0a
	opDelegate           = 0x18
	opCatchAll           = 0x19
	opTryTable           = 0x1f
	opBr                 = 0x0c
	opBrIf               = 0x0d
	opBrTable            = 0x0e
	opReturn             = 0x0f
	opCall               = 0x10
	opCallIndirect       = 0x11
	opReturnCall         = 0x12
	opReturnCallIndirect = 0x13
	opCallRef            = 0x14
	opReturnCallRef      = 0x15
	opDrop               = 0x1a
	opSelect             = 0x1b
	opSelectT            = 0x1c
	opLocalGet           = 0x20
	opLocalSet           = 0x21
	opLocalTee           = 0x22
	opGlobalGet          = 0x23
	opGlobalSet          = 0x24
	opTableGet           = 0x25
	opTableSet           = 0x26
	opMemorySize         = 0x3f
	opMemoryGrow         = 0x40
	opI32Const           = 0x41
	opI64Const           = 0x42
	opF32Const           = 0x43
	opF64Const           = 0x44
	opI32LtS             = 0x48
	opI32GtS             = 0x4a
	opF32Eq              = 0x5b
	opF64Eq              = 0x61
	opI32Add             = 0x6a
	opI32Sub             = 0x6b
	opI32And             = 0x71
	opI32Or              = 0x72
	opI64Add             = 0x7c
	opI64Sub             = 0x7d
	opI64Mul             = 0x7e
	opI64Or              = 0x84
	opI64Xor             = 0x85
	opI64Rotl            = 0x89
	opI64ExtendI32U      = 0xad
	opF32ConvertI32S     = 0xb2
	opF64ConvertI32S     = 0xb7
	opI32ReinterpretF32  = 0xbc
	opI64ReinterpretF64  = 0xbd
	opF32ReinterpretI32  = 0xbe
	opF64ReinterpretI64  = 0xbf
	opF32Neg             = 0x8c
	opF64Neg             = 0x9a
	opRefNull            = 0xd0
	opRefIsNull          = 0xd1
	opRefFunc            = 0xd2
	opRefAsNonNull       = 0xd4
	opBrOnNull           = 0xd5
	opBrOnNonNull        = 0xd6

	opMemoryInit = 0xfc<<16 | 8
	opDataDrop   = 0xfc<<16 | 9
	opMemoryCopy = 0xfc<<16 | 10
	opMemoryFill = 0xfc<<16 | 11
	opTableInit  = 0xfc<<16 | 12
	opElemDrop   = 0xfc<<16 | 13
	opTableCopy  = 0xfc<<16 | 14
	opTableGrow  = 0xfc<<16 | 15
	opTableSize  = 0xfc<<16 | 16
	opTableFill  = 0xfc<<16 | 17

	simd            = 0xfd << 16
	opV128Const     = simd | 12
	opI64x2Splat    = simd | 18
	opI64x2Extract  = simd | 29
	opI64x2Replace  = simd | 30
	opF32x4Eq       = simd | 65
	opF64x2Eq       = simd | 71
	opV128Not       = simd | 77
	opV128Bitselect = simd | 82
)

// controlOps are the instructions that the generator writes by hand; the
// others are rows of opTable. The coverage tests want all of both.
var controlOps = []uint32{
	opUnreachable, opNop, opBlock, opLoop, opIf, opElse, opEnd, opBr, opBrIf, opBrTable,
	opReturn, opCall, opCallIndirect, opReturnCall, opReturnCallIndirect, opCallRef,
	opReturnCallRef, opDrop, opSelect, opSelectT, opLocalGet, opLocalSet, opLocalTee,
	opGlobalGet, opGlobalSet, opTableGet, opTableSet, opMemorySize, opMemoryGrow,
	opI32Const, opI64Const, opF32Const, opF64Const, opV128Const, opRefNull, opRefIsNull,
	opRefFunc, opRefAsNonNull, opBrOnNull, opBrOnNonNull, opMemoryInit, opDataDrop,
	opMemoryCopy, opMemoryFill, opTableInit, opElemDrop, opTableCopy, opTableGrow,
	opTableSize, opTableFill, opTry, opCatch, opThrow, opRethrow, opThrowRef, opDelegate,
	opCatchAll, opTryTable, opFence,
}

// An immKind says what follows an instruction's code.
type immKind byte

const (
	immNone    immKind = iota
	immMem             // memarg; n is the log2 of the width
	immMemLane         // memarg, lane of 16>>n
	immLane            // lane; n is how many there are
	immShuffle         // 16 lanes of 32
	immAtomic          // memarg, aligned; n is the log2 of the width
)

// A trait is what the generator has to mind about an instruction.
type trait byte

const (
	div   trait = 1 << iota // traps on a zero divisor
	trunc                   // traps on a float out of range
	bits0                   // shows the bits of operand 0
	bits1                   // shows the bits of operand 1
	nan32                   // makes NaNs in f32 lanes
	nan64                   // makes NaNs in f64 lanes
	order                   // compares integers by order
)

// An op is an instruction that takes operands of given types and leaves at
// most one result.
type op struct {
	code   uint32
	in     []valType
	out    valType // 0 is none
	imm    immKind
	n      byte
	traits trait
}

// opTable is all of them, from rows and simdRows.
var opTable = func() []*op {
	var t []*op
	for _, r := range slices.Concat(rows, simdRows, atomicRows) {
		for c := r.from; c <= r.to; c++ {
			o := &op{code: c, imm: r.imm, n: r.n, traits: r.traits}
			half := 0
			for half < len(r.sig) && r.sig[half] != ':' {
				half++
			}
			o.in = parseTypes(r.sig[:half])
			if out := parseTypes(r.sig[half+1:]); len(out) > 0 {
				o.out = out[0]
			}
			t = append(t, o)
		}
	}
	return t
}()

// A row is a run of instructions that differ in nothing that matters here.
type row struct {
	from, to uint32
	sig      string
	imm      immKind
	n        byte
	traits   trait
}

// rows are the instructions without vectors.
var rows = []row{
	{0x28, 0x28, "i:i", immMem, 2, 0}, {0x29, 0x29, "i:j", immMem, 3, 0},
	{0x2a, 0x2a, "i:f", immMem, 2, 0}, {0x2b, 0x2b, "i:d", immMem, 3, 0},
	{0x2c, 0x2d, "i:i", immMem, 0, 0}, {0x2e, 0x2f, "i:i", immMem, 1, 0},
	{0x30, 0x31, "i:j", immMem, 0, 0}, {0x32, 0x33, "i:j", immMem, 1, 0},
	{0x34, 0x35, "i:j", immMem, 2, 0},
	{0x36, 0x36, "ii:", immMem, 2, 0}, {0x37, 0x37, "ij:", immMem, 3, 0},
	{0x38, 0x38, "if:", immMem, 2, bits1}, {0x39, 0x39, "id:", immMem, 3, bits1},
	{0x3a, 0x3a, "ii:", immMem, 0, 0}, {0x3b, 0x3b, "ii:", immMem, 1, 0},
	{0x3c, 0x3c, "ij:", immMem, 0, 0}, {0x3d, 0x3d, "ij:", immMem, 1, 0},
	{0x3e, 0x3e, "ij:", immMem, 2, 0},

	{0x45, 0x45, "i:i", 0, 0, 0}, {0x46, 0x47, "ii:i", 0, 0, 0}, // comparisons
	{0x48, 0x4f, "ii:i", 0, 0, order},
	{0x50, 0x50, "j:i", 0, 0, 0}, {0x51, 0x52, "jj:i", 0, 0, 0}, {0x53, 0x5a, "jj:i", 0, 0, order},
	{0x5b, 0x60, "ff:i", 0, 0, 0}, {0x61, 0x66, "dd:i", 0, 0, 0},

	{0x67, 0x69, "i:i", 0, 0, 0}, {0x6a, 0x6c, "ii:i", 0, 0, 0}, // arithmetic
	{0x6d, 0x70, "ii:i", 0, 0, div}, {0x71, 0x78, "ii:i", 0, 0, 0},
	{0x79, 0x7b, "j:j", 0, 0, 0}, {0x7c, 0x7e, "jj:j", 0, 0, 0},
	{0x7f, 0x82, "jj:j", 0, 0, div}, {0x83, 0x8a, "jj:j", 0, 0, 0},
	{0x8b, 0x91, "f:f", 0, 0, 0}, {0x92, 0x97, "ff:f", 0, 0, 0}, {0x98, 0x98, "ff:f", 0, 0, bits1},
	{0x99, 0x9f, "d:d", 0, 0, 0}, {0xa0, 0xa5, "dd:d", 0, 0, 0}, {0xa6, 0xa6, "dd:d", 0, 0, bits1},

	{0xa7, 0xa7, "j:i", 0, 0, 0}, // conversions
	{0xa8, 0xa9, "f:i", 0, 0, trunc}, {0xaa, 0xab, "d:i", 0, 0, trunc},
	{0xac, 0xad, "i:j", 0, 0, 0},
	{0xae, 0xaf, "f:j", 0, 0, trunc}, {0xb0, 0xb1, "d:j", 0, 0, trunc},
	{0xb2, 0xb3, "i:f", 0, 0, 0}, {0xb4, 0xb5, "j:f", 0, 0, 0}, {0xb6, 0xb6, "d:f", 0, 0, 0},
	{0xb7, 0xb8, "i:d", 0, 0, 0}, {0xb9, 0xba, "j:d", 0, 0, 0}, {0xbb, 0xbb, "f:d", 0, 0, 0},
	{0xbc, 0xbc, "f:i", 0, 0, bits0}, {0xbd, 0xbd, "d:j", 0, 0, bits0},
	{0xbe, 0xbe, "i:f", 0, 0, 0}, {0xbf, 0xbf, "j:d", 0, 0, 0},
	{0xc0, 0xc1, "i:i", 0, 0, 0}, {0xc2, 0xc4, "j:j", 0, 0, 0},
	{0xfc << 16, 0xfc<<16 | 1, "f:i", 0, 0, 0}, {0xfc<<16 | 2, 0xfc<<16 | 3, "d:i", 0, 0, 0},
	{0xfc<<16 | 4, 0xfc<<16 | 5, "f:j", 0, 0, 0}, {0xfc<<16 | 6, 0xfc<<16 | 7, "d:j", 0, 0, 0},
}
