package wasm

import (
	"errors"
	"testing"
)

func TestOpcodeTable(t *testing.T) {
	count := make(map[Opcode]int)
	names := make(map[string]Opcode)
	for i := range opRows {
		row := &opRows[i]
		count[row.op&^0xffff]++
		if other, ok := names[row.name]; ok && row.op != OpSelectT {
			t.Errorf("%s: both %#x and %#x", row.name, uint32(other), uint32(row.op))
		}
		names[row.name] = row.op
		if got := row.op.String(); got != row.name || !row.op.Valid() {
			t.Errorf("%#x: got name %q, want %q", uint32(row.op), got, row.name)
		}
		if got := row.op.Imm(); got != row.imm {
			t.Errorf("%v: got immediates %d, want %d", row.op, got, row.imm)
		}
		if _, _, ok := row.op.Sig(); ok != (row.sig != "*") {
			t.Errorf("%v: has signature: %v", row.op, ok)
		}
	}
	// 172 of version 1, 5 sign extensions, 3 of select t and tables, 3 of
	// reference types, 5 of typed references, 2 tail calls, 8 of exceptions.
	want := map[Opcode]int{0: 172 + 5 + 3 + 3 + 5 + 2 + 8, prefixFC: 18, prefixFD: 236, prefixFE: 67}
	for prefix, n := range want {
		if count[prefix] != n {
			t.Errorf("prefix %#x: %d instructions, want %d", uint32(prefix>>16), count[prefix], n)
		}
	}
}

// Opcodes that do not exist have no name, are no surprise to Sig and Imm, and
// are refused by Reader.
func TestNoSuchOpcode(t *testing.T) {
	for _, tt := range []struct {
		op   Opcode
		name string
		text string
		err  error
	}{
		{0x16, "opcode 0x16", "wasm: offset 0x0: illegal opcode 0x16", nil},
		{0xff, "opcode 0xff", "wasm: offset 0x0: illegal opcode 0xff", nil},
		{prefixFC | 18, "opcode 0xfc 0x12", "wasm: offset 0x0: illegal opcode 0xfc 0x12", nil},
		{prefixFC | 0x13, "opcode 0xfc 0x13", "wasm: offset 0x0: unsupported feature: wide arithmetic", ErrUnsupported},
		{prefixFD | 0x9a, "opcode 0xfd 0x9a", "wasm: offset 0x0: illegal opcode 0xfd 0x9a", nil},
		{prefixFD | 0x100, "opcode 0xfd 0x100", "wasm: offset 0x0: unsupported feature: relaxed SIMD", ErrUnsupported},
		{prefixFE | 4, "opcode 0xfe 0x04", "wasm: offset 0x0: illegal opcode 0xfe 0x04", nil},
		{0xfb, "opcode 0xfb", "wasm: offset 0x0: unsupported feature: garbage collection", ErrUnsupported},
		{1 << 24, "opcode 0x100 0x00", "", nil},
	} {
		if got := tt.op.String(); got != tt.name {
			t.Errorf("%#x: got name %q, want %q", uint32(tt.op), got, tt.name)
		}
		if _, _, ok := tt.op.Sig(); ok || tt.op.Valid() || tt.op.Imm() != ImmNone {
			t.Errorf("%v: described", tt.op)
		}
		if tt.text == "" {
			continue
		}
		var in Instr
		err := NewReader(AppendOp(nil, tt.op)).Next(&in)
		if err == nil || err.Error() != tt.text || errors.Is(err, ErrUnsupported) != (tt.err != nil) {
			t.Errorf("%v: got error %v, want %s", tt.op, err, tt.text)
		}
	}
}

func TestAccessWidth(t *testing.T) {
	for _, tt := range []struct {
		op   Opcode
		want int
		ok   bool
	}{
		{OpI32Load8U, 1, true}, {OpI64Store32, 4, true}, {OpV128Load, 16, true},
		{OpV128Load16Lane, 2, true}, {OpI64AtomicRmw16CmpxchgU, 2, true},
		{OpMemoryGrow, 0, false}, {OpI32Add, 0, false}, {0xffff, 0, false},
	} {
		if got, ok := tt.op.AccessWidth(); got != tt.want || ok != tt.ok {
			t.Errorf("%v: got %d, %v, want %d, %v", tt.op, got, ok, tt.want, tt.ok)
		}
	}
}
