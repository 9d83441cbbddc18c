package wasm

import "fmt"

// Prefix bytes of the instructions that have one, as the upper half of an
// Opcode.
const (
	prefixFC Opcode = 0xfc << 16
	prefixFD Opcode = 0xfd << 16
	prefixFE Opcode = 0xfe << 16
)

// An Imm is the form of an instruction's immediates. It says what the fields
// of an Instr hold.
type Imm byte

// Forms of immediates, with the fields of Instr that hold them.
const (
	ImmNone       Imm = iota
	ImmBlock          // Block
	ImmTryTable       // Block, Catches
	ImmLabel          // A: how many blocks out
	ImmFunc           // A: function
	ImmType           // A: type
	ImmTag            // A: tag
	ImmLocal          // A: local
	ImmGlobal         // A: global
	ImmTable          // A: table
	ImmElem           // A: element segment
	ImmData           // A: data segment
	ImmLabels         // Targets
	ImmTypeTable      // A: type, B: table
	ImmTable2         // A: destination table, B: source table
	ImmElemTable      // A: element segment, B: table
	ImmMemory         // A: memory, always 0
	ImmMemory2        // A: destination memory, B: source memory, both always 0
	ImmDataMemory     // A: data segment, B: memory, always 0
	ImmMemarg         // A: log2 of the alignment, B: offset
	ImmMemargLane     // as ImmMemarg, and Lane
	ImmLane           // Lane
	ImmShuffle        // A: lanes 0 to 7, B: lanes 8 to 15, lowest byte first
	ImmI32            // A: sign-extended
	ImmI64            // A
	ImmF32            // A: bits
	ImmF64            // A: bits
	ImmV128           // A: low half, B: high half
	ImmHeap           // A: a HeapType
	ImmTypes          // Types
	ImmFence          // A: always 0
)

// isIndex reports whether the immediate is one index, in A.
func (i Imm) isIndex() bool { return ImmLabel <= i && i <= ImmData }

// An opRow is one line of opRows.
type opRow struct {
	op    Opcode
	name  string
	sig   string
	imm   Imm
	width byte // log2 of the bytes that a memory access touches
}

// An opInfo is an opRow made ready for use.
type opInfo struct {
	name   string
	in     [3]ValType // operands, the top of the stack last
	out    ValType    // result; Unknown is none
	nin    byte
	imm    Imm
	width  byte
	simple bool // in and out say all that the instruction does to the stack
	check  bool // simple: its immediates have to be checked
	short  short
}

// A short says how an instruction is read whose code is one byte and whose
// immediates are short, as nearly all are (Reader.next).
type short byte

const (
	shortNot    short = iota // not at all
	shortNone                // no immediates
	shortIndex               // A: one or two bytes
	shortConst               // A: one or two bytes, sign-extended
	shortMemarg              // A: one byte; B: one or two
	shortBlock               // Block
)

// shortOf is the short of instructions with immediates of a form.
func shortOf(imm Imm) short {
	switch {
	case imm == ImmNone:
		return shortNone
	case imm.isIndex():
		return shortIndex
	case imm == ImmI32 || imm == ImmI64:
		return shortConst
	case imm == ImmMemarg:
		return shortMemarg
	case imm == ImmBlock:
		return shortBlock
	}
	return shortNot
}

// ops0 to opsFE hold the instructions without a prefix and with each of the
// prefixes, by code. A missing instruction has no name.
var (
	ops0  [256]opInfo
	opsFC [18]opInfo
	opsFD [256]opInfo
	opsFE [79]opInfo
)

func init() {
	for i := range opRows {
		row := &opRows[i]
		*row.op.info() = row.info()
	}
}

// sigTypes are the letters of opRow.sig.
var sigTypes = map[byte]ValType{'i': I32, 'l': I64, 'f': F32, 'd': F64, 'v': V128}

func (row *opRow) info() opInfo {
	info := opInfo{name: row.name, imm: row.imm, width: row.width, short: shortOf(row.imm)}
	if row.sig == "*" {
		return info
	}
	info.simple = true
	switch row.imm {
	case ImmNone, ImmI32, ImmI64, ImmF32, ImmF64, ImmV128:
	default:
		info.check = true
	}
	i := 0
	for ; row.sig[i] != ':'; i++ {
		info.in[i] = sigTypes[row.sig[i]]
		info.nin++
	}
	if i++; i < len(row.sig) {
		info.out = sigTypes[row.sig[i]]
	}
	return info
}

// info returns where op is described, or nil if its code is beyond the table.
// The description of an instruction that does not exist has no name.
func (op Opcode) info() *opInfo {
	code := op & 0xffff
	switch op &^ 0xffff {
	case 0:
		if code < Opcode(len(ops0)) {
			return &ops0[code]
		}
	case prefixFC:
		if code < Opcode(len(opsFC)) {
			return &opsFC[code]
		}
	case prefixFD:
		if code < Opcode(len(opsFD)) {
			return &opsFD[code]
		}
	case prefixFE:
		if code < Opcode(len(opsFE)) {
			return &opsFE[code]
		}
	}
	return nil
}

// String returns op's name in the text format.
func (op Opcode) String() string {
	if info := op.info(); info != nil && info.name != "" {
		return info.name
	}
	if op < 1<<16 {
		return fmt.Sprintf("opcode %#02x", uint32(op))
	}
	return fmt.Sprintf("opcode %#02x %#02x", uint32(op>>16), uint32(op&0xffff))
}

// Valid reports whether op is an instruction that this package knows.
func (op Opcode) Valid() bool {
	info := op.info()
	return info != nil && info.name != ""
}

// Imm returns the form of op's immediates.
func (op Opcode) Imm() Imm {
	if info := op.info(); info != nil {
		return info.imm
	}
	return ImmNone
}

// Sig returns what op takes from the operand stack, the top last, and what it
// puts there. It is false for an instruction whose types depend on its
// immediates or surroundings, as those of call, drop and end do. The slices
// are shared; do not change them.
func (op Opcode) Sig() (params, results []ValType, ok bool) {
	info := op.info()
	if info == nil || !info.simple {
		return nil, nil, false
	}
	if info.out != Unknown {
		results = oneType(info.out)
	}
	return info.in[:info.nin:info.nin], results, true
}

// AccessWidth returns how many bytes of memory op reads or writes at its
// address, and whether it is such an instruction. Its natural alignment is the
// same.
func (op Opcode) AccessWidth() (bytes int, ok bool) {
	info := op.info()
	if info == nil || info.imm != ImmMemarg && info.imm != ImmMemargLane {
		return 0, false
	}
	return 1 << info.width, true
}
