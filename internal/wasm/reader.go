package wasm

import "io"

// A Reader steps through the instructions of a function body or constant
// expression. It checks the binary format and nothing else.
type Reader struct {
	c cursor

	// Backing for the lists of the current instruction.
	targets []uint32
	types   []ValType
	catches []Catch
}

// NewReader returns a Reader of body.
func NewReader(body []byte) *Reader {
	return &Reader{c: cursor{b: body}}
}

// Reset makes r read body from its start. It keeps r's memory.
func (r *Reader) Reset(body []byte) { r.c = cursor{b: body} }

// Next reads the next instruction into in. It returns io.EOF after the last
// one, and an *Error with an offset in the body for what is not an instruction.
func (r *Reader) Next(in *Instr) error {
	if r.c.pos >= len(r.c.b) && r.c.err == nil {
		return io.EOF
	}
	if !r.next(in) {
		return r.c.err
	}
	return nil
}

// next is Next without the check for the end. An instruction with a short code
// and short immediates, as nearly all are, is read here.
func (r *Reader) next(in *Instr) bool {
	pos, b := r.c.pos, r.c.b
	if len(b)-pos < 4 { // at the end of a body, or after an error
		return r.long(in)
	}
	b = b[pos : pos+4 : pos+4]
	info, size := &ops0[b[0]], 2
	switch info.short {
	case shortNone:
		size = 1
	case shortIndex:
		in.A = uint64(b[1])
		if b[1] >= 0x80 {
			if b[2] >= 0x80 {
				return r.long(in)
			}
			in.A, size = uint64(b[1]&0x7f)|uint64(b[2])<<7, 3
		}
	case shortConst:
		in.A = uint64(int8(b[1]<<1) >> 1)
		if b[1] >= 0x80 {
			if b[2] >= 0x80 {
				return r.long(in)
			}
			in.A, size = uint64(b[1]&0x7f)|uint64(int8(b[2]<<1)>>1)<<7, 3
		}
	case shortMemarg:
		if b[1] >= 32 { // no alignment
			return r.long(in)
		}
		in.A, in.B, size = uint64(b[1]), uint64(b[2]), 3
		if b[2] >= 0x80 {
			if b[3] >= 0x80 {
				return r.long(in)
			}
			in.B, size = uint64(b[2]&0x7f)|uint64(b[3])<<7, 4
		}
	case shortBlock:
		if b[1] != codeEmptyBlock {
			return r.long(in)
		}
		in.Block = BlockType{Index: -1}
	default:
		return r.long(in)
	}
	in.Op, in.Pos, in.End, in.info = Opcode(b[0]), pos, pos+size, info
	r.c.pos = pos + size
	return true
}

// long is next for any instruction.
func (r *Reader) long(in *Instr) bool {
	c := &r.c
	pos := c.pos
	b := c.byte()
	in.Pos, in.Op = pos, Opcode(b)
	info := &ops0[b]
	in.info = info
	if info.name == "" && !r.prefixed(in) {
		return false
	}
	r.immediates(in)
	in.End = c.pos
	return c.err == nil
}

// prefixed reads the rest of a code that does not end with its first byte.
func (r *Reader) prefixed(in *Instr) bool {
	c := &r.c
	switch in.Op {
	case prefixFC >> 16, prefixFD >> 16, prefixFE >> 16:
		code := c.u32()
		if c.err == nil && code <= 0xffff {
			in.Op = in.Op<<16 | Opcode(code)
			if in.info = in.Op.info(); in.info != nil && in.info.name != "" {
				return true
			}
		}
	}
	if feature := unsupportedOp(in.Op); feature != "" {
		c.failWith(unsupportedAt(in.Pos, feature))
	}
	c.fail(in.Pos, "illegal %v", in.Op)
	return false
}

// unsupportedOp names the feature that brought op, if it is one that we know
// of.
func unsupportedOp(op Opcode) string {
	switch {
	case op == 0xfb, op == 0xd3:
		return featureGC
	case op >= 0xe0 && op <= 0xe6:
		return featureSwitching
	case op >= prefixFC|0x13 && op <= prefixFC|0x16:
		return featureWideArith
	case op >= prefixFD|0x100 && op <= prefixFD|0x12f:
		return featureRelaxedSIMD
	case op >= prefixFE|0x4f && op <= prefixFE|0x7f:
		return featureSharedAll
	}
	return ""
}

// immediates reads what follows an instruction's code.
func (r *Reader) immediates(in *Instr) {
	c := &r.c
	if in.info.imm.isIndex() {
		in.A = uint64(c.u32())
		return
	}
	switch in.info.imm {
	case ImmNone:
	case ImmI32:
		in.A = uint64(c.signed(32))
	case ImmI64:
		in.A = uint64(c.signed(64))
	case ImmMemarg:
		r.memarg(in)
	case ImmBlock:
		in.Block = c.blockType()
	case ImmTypeTable, ImmTable2, ImmElemTable:
		in.A = uint64(c.u32())
		in.B = uint64(c.u32())
	case ImmF32:
		in.A = uint64(c.fixed32())
	case ImmF64:
		in.A = c.fixed64()
	case ImmLabels:
		r.labels(in)
	case ImmMemory:
		in.A = r.memory()
	default:
		r.rareImmediates(in)
	}
}

func (r *Reader) rareImmediates(in *Instr) {
	c := &r.c
	switch in.info.imm {
	case ImmV128, ImmShuffle:
		in.A = c.fixed64()
		in.B = c.fixed64()
	case ImmLane:
		in.Lane = c.byte()
	case ImmMemargLane:
		r.memarg(in)
		in.Lane = c.byte()
	case ImmMemory2:
		in.A = r.memory()
		in.B = r.memory()
	case ImmDataMemory:
		in.A = uint64(c.u32())
		in.B = r.memory()
	case ImmHeap:
		in.A = uint64(c.heapType())
	case ImmTypes:
		r.resultTypes(in)
	case ImmTryTable:
		in.Block = c.blockType()
		r.clauses(in)
	case ImmFence:
		if in.A = uint64(c.byte()); in.A != 0 {
			c.fail(c.pos-1, "zero byte expected")
		}
	}
}

// memargMemory is set in a memarg's first number where the index of the
// memory follows.
const memargMemory = 1 << 6

func (r *Reader) memarg(in *Instr) {
	c := &r.c
	start := c.pos
	align := c.u32()
	switch {
	case align >= memargMemory && align < 2*memargMemory:
		c.failWith(unsupportedAt(start, featureMultiMemory))
	case align >= 32:
		c.fail(start, "malformed alignment 2**%d", align)
	}
	in.A = uint64(align)
	in.B = uint64(c.u32())
}

// memory reads the index of a memory, which has to be the byte 0.
func (r *Reader) memory() uint64 {
	start := r.c.pos
	switch b := r.c.byte(); {
	case b >= 0x80:
		r.c.fail(start, "zero byte expected")
	case b != 0:
		r.c.failWith(unsupportedAt(start, featureMultiMemory))
	}
	return 0
}

func (r *Reader) labels(in *Instr) {
	c := &r.c
	n := c.count("label", noLimit, 1)
	r.targets = r.targets[:0]
	for range n + 1 {
		r.targets = append(r.targets, c.u32())
		if c.err != nil {
			return
		}
	}
	in.Targets = r.targets
}

func (r *Reader) resultTypes(in *Instr) {
	c := &r.c
	n := c.count("type", maxResults, 1)
	r.types = r.types[:0]
	for range n {
		r.types = append(r.types, c.valType())
	}
	in.Types = r.types
}

func (r *Reader) clauses(in *Instr) {
	c := &r.c
	n := c.count("catch clause", noLimit, 2)
	r.catches = r.catches[:0]
	for range n {
		start := c.pos
		clause := Catch{Kind: CatchKind(c.byte())}
		if clause.Kind > CatchAllRef {
			c.fail(start, "malformed catch clause %#02x", byte(clause.Kind))
		}
		if clause.Kind.HasTag() {
			clause.Tag = c.u32()
		}
		clause.Label = c.u32()
		if c.err != nil {
			return
		}
		r.catches = append(r.catches, clause)
	}
	in.Catches = r.catches
}
