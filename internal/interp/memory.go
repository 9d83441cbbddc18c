package interp

import (
	"encoding/binary"

	"github.com/stasis-run/stasis/internal/wasm"
)

// window returns the size bytes of mem at addr, or nil if they are not all
// there. addr is the sum of two 32-bit numbers, so adding to it is safe.
func window(mem []byte, addr, size uint64) []byte {
	if addr+size > uint64(len(mem)) {
		return nil
	}
	return mem[addr : addr+size]
}

// load does a load at addr, of base and offset. It is false out of bounds.
func load(op uint8, mem []byte, addr uint64) (v uint64, ok bool) {
	switch wasm.Opcode(op) {
	case wasm.OpI32Load, wasm.OpF32Load, wasm.OpI64Load32U:
		if b := window(mem, addr, 4); b != nil {
			return uint64(binary.LittleEndian.Uint32(b)), true
		}
	case wasm.OpI64Load, wasm.OpF64Load:
		if b := window(mem, addr, 8); b != nil {
			return binary.LittleEndian.Uint64(b), true
		}
	case wasm.OpI32Load8S:
		if b := window(mem, addr, 1); b != nil {
			return uint64(uint32(int8(b[0]))), true
		}
	case wasm.OpI32Load8U, wasm.OpI64Load8U:
		if b := window(mem, addr, 1); b != nil {
			return uint64(b[0]), true
		}
	case wasm.OpI32Load16S:
		if b := window(mem, addr, 2); b != nil {
			return uint64(uint32(int16(binary.LittleEndian.Uint16(b)))), true
		}
	case wasm.OpI32Load16U, wasm.OpI64Load16U:
		if b := window(mem, addr, 2); b != nil {
			return uint64(binary.LittleEndian.Uint16(b)), true
		}
	case wasm.OpI64Load8S:
		if b := window(mem, addr, 1); b != nil {
			return uint64(int8(b[0])), true
		}
	case wasm.OpI64Load16S:
		if b := window(mem, addr, 2); b != nil {
			return uint64(int16(binary.LittleEndian.Uint16(b))), true
		}
	case wasm.OpI64Load32S:
		if b := window(mem, addr, 4); b != nil {
			return uint64(int32(binary.LittleEndian.Uint32(b))), true
		}
	default:
		panicOp(op)
	}
	return 0, false
}

// store does a store of v at addr, of base and offset. It is false, and has
// stored nothing, out of bounds.
func store(op uint8, mem []byte, addr, v uint64) bool {
	switch wasm.Opcode(op) {
	case wasm.OpI32Store, wasm.OpF32Store, wasm.OpI64Store32:
		if b := window(mem, addr, 4); b != nil {
			binary.LittleEndian.PutUint32(b, uint32(v))
			return true
		}
	case wasm.OpI64Store, wasm.OpF64Store:
		if b := window(mem, addr, 8); b != nil {
			binary.LittleEndian.PutUint64(b, v)
			return true
		}
	case wasm.OpI32Store8, wasm.OpI64Store8:
		if b := window(mem, addr, 1); b != nil {
			b[0] = byte(v)
			return true
		}
	case wasm.OpI32Store16, wasm.OpI64Store16:
		if b := window(mem, addr, 2); b != nil {
			binary.LittleEndian.PutUint16(b, uint16(v))
			return true
		}
	default:
		panicOp(op)
	}
	return false
}

// bulk does a memory.copy or memory.fill with its three operands. If it is not
// done, nothing was written and ev says why.
func bulk(k kind, mem []byte, operands []uint64) (ev Event, done bool) {
	at, from, size := uint64(uint32(operands[0])), operands[1], uint64(uint32(operands[2]))
	limit := uint64(len(mem))
	if at+size > limit || k == kindMemoryCopy && uint64(uint32(from))+size > limit {
		return Event{Trap, trapMemory}, false
	}
	if size > BulkSize {
		return Event{Kind: Bulk}, false
	}
	to := mem[at : at+size]
	if k == kindMemoryCopy {
		copy(to, mem[uint32(from):]) // as memmove
		return ev, true
	}
	for i := range to {
		to[i] = byte(from)
	}
	return ev, true
}
