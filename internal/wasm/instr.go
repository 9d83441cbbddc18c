package wasm

// An Opcode is an instruction's code: the byte itself, or prefix<<16 | code
// for the prefixed ones (0xFC, 0xFD, 0xFE).
type Opcode uint32

// A BlockType is the type of a block: a function type's index, or none or one result.
type BlockType struct {
	Index  int32   // index into Types, or -1
	Result ValType // with Index -1: the one result, or Unknown for none
}

// An Instr is one decoded instruction.
type Instr struct {
	Op       Opcode
	Pos, End int // its bytes are body[Pos:End]

	// Immediates; which are meaningful depends on Op, see Imm. Next leaves the
	// others as they were.
	A, B    uint64 // indices in the order of the binary form; a memarg's align and offset; constants as their bits (i32 sign-extended, v128: A is the low half)
	Lane    byte
	Block   BlockType
	Targets []uint32  // br_table: labels, the default last; valid until the next call of Next
	Types   []ValType // select t: valid until the next call of Next
	Catches []Catch   // try_table: valid until the next call of Next

	info *opInfo // describes Op; set by Next
}

// Arity is Op.Sig for an instruction that was read by Next, without a look into
// the tables: how many operands it takes, and the type of what it leaves, or
// Unknown for nothing.
func (in *Instr) Arity() (pops int, push ValType, ok bool) {
	return int(in.info.nin), in.info.out, in.info.simple
}

// A CatchKind is the kind of a clause of try_table.
type CatchKind byte

// Kinds of clauses, as in the binary format. The Ref kinds hand the exception
// itself to the label, after the tag's values.
const (
	CatchTag    CatchKind = 0
	CatchTagRef CatchKind = 1
	CatchAll    CatchKind = 2
	CatchAllRef CatchKind = 3
)

// HasTag reports whether clauses of kind k name a tag.
func (k CatchKind) HasTag() bool { return k <= CatchTagRef }

// HasRef reports whether clauses of kind k hand on the exception itself.
func (k CatchKind) HasRef() bool { return k&1 != 0 }

// A Catch is a clause of try_table: where exceptions with a tag go. The label
// counts from outside of the try_table.
type Catch struct {
	Kind  CatchKind
	Tag   uint32 // with a kind that has one
	Label uint32
}
