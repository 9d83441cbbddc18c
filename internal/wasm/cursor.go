package wasm

import (
	"encoding/binary"
	"unicode/utf8"
)

// A cursor reads the pieces of the binary format. It keeps the first error
// and stands at the end of its bytes from then on, so that its users may look
// at err once after several reads.
type cursor struct {
	b   []byte
	pos int
	err *Error
}

// fail keeps the error, unless there is one already.
func (c *cursor) fail(offset int, format string, args ...any) {
	c.failWith(errorAt(offset, format, args...))
}

func (c *cursor) failWith(err *Error) {
	if c.err == nil {
		c.err = err
	}
	c.pos = len(c.b)
}

// within puts the thing that was being read before the text of c's error.
func (c *cursor) within(format string, args ...any) {
	if c.err != nil {
		c.err = c.err.in(0, format, args...)
	}
}

// left is the number of bytes that are still to be read.
func (c *cursor) left() int { return len(c.b) - c.pos }

func (c *cursor) byte() byte {
	if pos := c.pos; pos < len(c.b) {
		c.pos++
		return c.b[pos]
	}
	c.fail(c.pos, msgEnd)
	return 0
}

// peek is the next byte, or 0 at the end.
func (c *cursor) peek() byte {
	if c.pos < len(c.b) {
		return c.b[c.pos]
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if pos := c.pos; pos < len(c.b) && c.b[pos] < 0x80 {
		c.pos++
		return uint32(c.b[pos])
	}
	return uint32(c.unsigned(32))
}

func (c *cursor) unsigned(bits uint) uint64 {
	v, n, problem := readUnsigned(c.b[c.pos:], bits)
	if problem != "" {
		c.fail(c.pos, "%s", problem)
		return 0
	}
	c.pos += n
	return v
}

func (c *cursor) signed(bits uint) int64 {
	if pos := c.pos; pos < len(c.b) && c.b[pos] < 0x80 {
		c.pos++
		return int64(int8(c.b[pos]<<1) >> 1)
	}
	v, n, problem := readSigned(c.b[c.pos:], bits)
	if problem != "" {
		c.fail(c.pos, "%s", problem)
		return 0
	}
	c.pos += n
	return v
}

// bytes returns the next n bytes, without a copy.
func (c *cursor) bytes(n uint32) []byte {
	if uint64(n) > uint64(c.left()) {
		c.fail(c.pos, "%s: want %d bytes, have %d", msgEnd, n, c.left())
		return nil
	}
	start := c.pos
	c.pos += int(n)
	return c.b[start:c.pos:c.pos]
}

func (c *cursor) fixed32() uint32 {
	if b := c.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) fixed64() uint64 {
	if b := c.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// name reads a string.
func (c *cursor) name() string {
	n := c.u32()
	start := c.pos
	b := c.bytes(n)
	if !utf8.Valid(b) {
		c.fail(start, "malformed UTF-8 encoding")
		return ""
	}
	return string(b)
}

// count reads how many things follow, each of which takes minSize bytes or
// more. It never returns more than limit, nor more than can be there.
func (c *cursor) count(what string, limit, minSize int) int {
	start := c.pos
	n := c.u32()
	if uint64(n) > uint64(limit) {
		c.fail(start, "%s count %d, want at most %d", what, n, limit)
		return 0
	}
	if int(n) > c.left()/minSize {
		c.fail(start, "%s: %s count %d in %d bytes", msgEnd, what, n, c.left())
		return 0
	}
	return int(n)
}

// noLimit is the limit of things that take room in the file only.
const noLimit = 1<<31 - 1

// reserve is the capacity that lists of n things begin with where left bytes are
// to be read. A list that turns out to be cut short has then cost little memory,
// or two to five times as much as those bytes.
func reserve(n, left int) int { return min(n, max(1<<12, left/32)) }

// list reads a vector with item.
func list[T any](c *cursor, what string, limit, minSize int, item func(c *cursor) T) []T {
	n := c.count(what, limit, minSize)
	if n == 0 {
		return nil
	}
	out := make([]T, 0, reserve(n, c.left()))
	for i := range n {
		v := item(c)
		if c.err != nil {
			c.within("%s %d", what, i)
			return nil
		}
		out = append(out, v)
	}
	return out
}

func (c *cursor) valType() ValType {
	start := c.pos
	switch b := ValType(c.byte()); b {
	case I32, I64, F32, F64, V128, FuncRef, ExternRef, ExnRef:
		return b
	case codeRefNull:
		return RefNull(c.heapType())
	case codeRef:
		return RefTo(c.heapType())
	default:
		if feature := unsupportedType(int64(b) - 0x80); feature != "" {
			c.failWith(unsupportedAt(start, feature))
		}
		c.fail(start, "malformed value type %#02x", byte(b))
		return Unknown
	}
}

// refType reads a value type that is a reference.
func (c *cursor) refType() ValType {
	start := c.pos
	t := c.valType()
	if c.err == nil && !t.IsRef() {
		c.fail(start, "malformed reference type: have %v", t)
	}
	return t
}

// heapTypes are the codes of the abstract heap types, as signed numbers.
const (
	codeHeapFunc   = int64(FuncRef) - 0x80
	codeHeapExtern = int64(ExternRef) - 0x80
	codeHeapExn    = int64(ExnRef) - 0x80
)

func (c *cursor) heapType() HeapType {
	start := c.pos
	switch v := c.signed(33); {
	case v == codeHeapFunc:
		return HeapFunc
	case v == codeHeapExtern:
		return HeapExtern
	case v == codeHeapExn:
		return HeapExn
	case v < 0:
		if feature := unsupportedType(v); feature != "" {
			c.failWith(unsupportedAt(start, feature))
		}
		c.fail(start, "malformed heap type %d", v)
		return 0
	case v >= maxTypes:
		c.fail(start, "unknown type %d", v)
		return 0
	default:
		return HeapType(v)
	}
}

// unsupportedType names the feature that brought the value or heap type with
// the given code, if it is one that we know of.
func unsupportedType(code int64) string {
	switch b := code + 0x80; {
	case b == 0x68, b == 0x75: // cont, nocont
		return featureSwitching
	case b == 0x65: // shared
		return featureSharedAll
	case b >= 0x6a && b <= 0x6e, b >= 0x71 && b <= 0x74: // array to any, none to noexn
		return featureGC
	case b == 0x62: // exact
		return featureGC
	}
	return ""
}

func (c *cursor) blockType() BlockType {
	switch b := c.peek(); {
	case b == codeEmptyBlock:
		c.pos++
		return BlockType{Index: -1}
	case b > codeEmptyBlock && b < 0x80:
		return BlockType{Index: -1, Result: c.valType()}
	}
	start := c.pos
	v := c.signed(33)
	if v < 0 || v >= maxTypes {
		c.fail(start, "unknown type %d", v)
		return BlockType{Index: -1}
	}
	return BlockType{Index: int32(v)}
}

// codeEmptyBlock is the type of a block that takes and gives nothing.
const codeEmptyBlock = 0x40
