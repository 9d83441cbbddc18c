package interp

import "github.com/stasis-run/stasis/internal/wasm"

// Code is a function made ready for Run. It is immutable.
type Code struct {
	instrs   []instr  // by PC
	heights  []int32  // of the operand stack before each instruction, or unreachable
	branches []branch // of all branches, those of a br_table in a row
	locals   int      // with the parameters
	results  int
	maxStack int
	memory   bool // the module has one
	shared   bool // and it may grow at any time
}

// unreachable, in place of a height, marks an instruction that cannot be reached.
const unreachable = -1

// An instr is a decoded instruction. The meaning of a and imm depends on kind.
type instr struct {
	kind kind
	op   uint8 // kindUnary, kindBinary, kindLoad, kindStore: what to do, see shortOp
	a    uint32
	imm  uint64
}

// A kind says how an instruction changes a frame. The many operators and
// accesses to memory of one form share a kind.
type kind uint8

const (
	kindDead kind = iota // unreachable
	kindNop              // block and end too; block: a is its end, for preparer.resolve
	kindLoop
	kindIf           // a: where to go on 0; imm: its end, for preparer.resolve
	kindElse         // a: its end
	kindReturn       // the function's end too
	kindBr           // a: index into branches
	kindBrIf         // a: index into branches
	kindBrTable      // a: index of its first branch; imm: that of the default, from there
	kindCall         // a: function
	kindCallIndirect // a: type; imm: table
	kindUnreachable
	kindDrop
	kindSelect
	kindLocalGet // a: local
	kindLocalSet
	kindLocalTee
	kindGlobalGet // a: global
	kindGlobalSet
	kindConst // imm: the value
	kindLoad  // imm: offset
	kindStore // imm: offset
	kindMemorySize
	kindMemoryGrow
	kindMemoryCopy
	kindMemoryFill
	kindUnary
	kindBinary
	kindAtomic // op: low byte of the opcode; a: operands; imm: offset
	kindWait   // op: low byte of the opcode; imm: offset
)

// A branch is where a label leads and what becomes of the operands: the keep
// topmost ones come to lie at height, and nothing above them.
type branch struct {
	pc     uint32 // the end of a block, or the loop instruction
	keep   uint32
	height uint32
}

// Len returns the number of instructions.
func (c *Code) Len() int { return len(c.instrs) }

// NumLocals returns the number of locals, parameters included.
func (c *Code) NumLocals() int { return c.locals }

// Height returns the height of the operand stack before the instruction at pc.
// It is false where there is no instruction, or one that cannot be reached.
func (c *Code) Height(pc int) (height int, ok bool) {
	if pc < 0 || pc >= len(c.instrs) || c.heights[pc] == unreachable {
		return 0, false
	}
	return int(c.heights[pc]), true
}

// CallAt returns which function the call at pc calls. It is false if the
// instruction there is not a reachable call.
func (c *Code) CallAt(pc int) (fn uint32, ok bool) {
	x := c.at(pc)
	return x.a, x.kind == kindCall
}

// CallIndirectAt returns the type and the table of the call_indirect at pc. It
// is false if the instruction there is not a reachable call_indirect.
func (c *Code) CallIndirectAt(pc int) (typ, table uint32, ok bool) {
	x := c.at(pc)
	return x.a, uint32(x.imm), x.kind == kindCallIndirect
}

// BulkAt returns which of memory.copy and memory.fill is at pc. It is false if
// the instruction there is not a reachable one of them.
func (c *Code) BulkAt(pc int) (op wasm.Opcode, ok bool) {
	switch c.at(pc).kind {
	case kindMemoryCopy:
		return wasm.OpMemoryCopy, true
	case kindMemoryFill:
		return wasm.OpMemoryFill, true
	}
	return 0, false
}

func (c *Code) at(pc int) instr {
	if pc < 0 || pc >= len(c.instrs) {
		return instr{}
	}
	return c.instrs[pc]
}
