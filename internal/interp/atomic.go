package interp

import (
	"sync/atomic"
	"unsafe"

	"github.com/stasis-run/stasis/internal/wasm"
)

// Atomic accesses are done on the memory itself, with Go's atomic operations:
// other threads' compiled code works on the same bytes meanwhile. Go has those
// of 32 and 64 bits; what is smaller is done on the word around it.

const trapUnaligned = "unaligned atomic"

// atomicWidths are the bytes that the seven operators of each group access: of
// loads, stores, and one group for each modification.
var atomicWidths = [7]uint64{4, 8, 1, 2, 1, 2, 4}

// Groups of atomic operators, in the order of their opcodes.
const (
	atomicLoad = iota
	atomicStore
	atomicAdd
	atomicSub
	atomicAnd
	atomicOr
	atomicXor
	atomicXchg
	atomicCmpxchg
)

// splitAtomic is the group and the width of an atomic access, by the low byte of
// its opcode.
func splitAtomic(op uint8) (group int, width uint64) {
	n := int(op) - int(uint8(wasm.OpI32AtomicLoad&0xff))
	return n / 7, atomicWidths[n%7]
}

// atomic decodes an atomic instruction.
func (p *preparer) atomic(in *wasm.Instr) instr {
	params, results, _ := in.Op.Sig()
	p.height += len(results) - len(params)
	x := instr{kind: kindAtomic, op: uint8(in.Op), a: uint32(len(params)), imm: in.B}
	switch in.Op {
	case wasm.OpAtomicFence:
		x = instr{kind: kindNop} // all atomic operations of Go are ordered, and so are calls
	case wasm.OpMemoryAtomicWait32, wasm.OpMemoryAtomicWait64, wasm.OpMemoryAtomicNotify:
		x.kind = kindWait
	}
	return x
}

// access does an atomic access at addr, of base and offset, with its operands
// beside the base: what to store or to combine, or what to expect and to store
// then. It returns what was there before.
func access(op uint8, mem []byte, addr, a, b uint64) (was uint64, trap string) {
	group, width := splitAtomic(op)
	switch {
	case addr+width > uint64(len(mem)):
		return 0, trapMemory
	case addr%width != 0:
		return 0, trapUnaligned
	}
	p := unsafe.Pointer(&mem[addr])
	if width == 8 {
		return access64((*uint64)(p), group, a, b), ""
	}
	word := (*uint32)(unsafe.Pointer(&mem[addr&^3]))
	return uint64(access32(word, uint(addr&3)*8, uint32(1<<(8*width)-1), group, uint32(a), uint32(b))), ""
}

func access64(p *uint64, group int, a, b uint64) uint64 {
	for {
		was := atomic.LoadUint64(p)
		now, changes := combine(group, was, a, b)
		if !changes || atomic.CompareAndSwapUint64(p, was, now) {
			return was
		}
	}
}

// access32 works on the part of a word that mask has, shifted.
func access32(p *uint32, shift uint, mask uint32, group int, a, b uint32) uint32 {
	for {
		whole := atomic.LoadUint32(p)
		was := whole >> shift & mask
		now, changes := combine(group, was, a&mask, b&mask)
		if !changes || atomic.CompareAndSwapUint32(p, whole, whole&^(mask<<shift)|now&mask<<shift) {
			return was
		}
	}
}

// combine is what an access makes of a value, if it changes it at all.
func combine[T uint32 | uint64](group int, was, a, b T) (now T, changes bool) {
	switch group {
	case atomicLoad:
		return was, false
	case atomicStore, atomicXchg:
		return a, true
	case atomicAdd:
		return was + a, true
	case atomicSub:
		return was - a, true
	case atomicAnd:
		return was & a, true
	case atomicOr:
		return was | a, true
	case atomicXor:
		return was ^ a, true
	case atomicCmpxchg:
		return b, was == a
	}
	panic("interp: no such atomic access")
}

// WaitAt returns which of memory.atomic.wait32, wait64 and notify is at pc, and
// its offset. It is false if the instruction there is not a reachable one of
// them.
func (c *Code) WaitAt(pc int) (op wasm.Opcode, offset uint32, ok bool) {
	x := c.at(pc)
	return wasm.OpMemoryAtomicNotify | wasm.Opcode(x.op), uint32(x.imm), x.kind == kindWait
}
