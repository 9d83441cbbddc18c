package wasm_test

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"testing"

	. "github.com/stasis-run/stasis/internal/wasm"
)

func typeText(t FuncType) string { return fmt.Sprint(t.Params, t.Results) }

// file makes a module's bytes from sections.
func file(sections ...[]byte) []byte {
	return append([]byte("\x00asm\x01\x00\x00\x00"), bytes.Join(sections, nil)...)
}

// section makes a section.
func section(id byte, content ...byte) []byte {
	return append(AppendU32([]byte{id}, uint32(len(content))), content...)
}

func TestDecodeErrors(t *testing.T) {
	for _, tt := range []struct {
		in   []byte
		want string
	}{
		{nil, "wasm: offset 0x0: magic header not detected"},
		{[]byte("\x00asn\x01\x00\x00\x00"), "wasm: offset 0x0: magic header not detected"},
		{[]byte("\x00asm\x01\x00"), "wasm: offset 0x4: unknown binary version"},
		{[]byte("\x00asm\x02\x00\x00\x00"), "wasm: offset 0x4: unknown binary version"},
		{[]byte("\x00asm\x0d\x00\x01\x00"), "wasm: offset 0x4: unsupported feature: components"},
		{file([]byte{14, 0}), "wasm: offset 0x8: malformed section id 14"},
		{file([]byte{1, 5, 0}), "wasm: offset 0xa: type section: unexpected end: want 5 bytes, have 1"},
		{file(section(3, 0), section(1, 0)), "wasm: offset 0xb: type section: unexpected content after last section"},
		{file(section(1, 0), section(1, 0)), "wasm: offset 0xb: type section: unexpected content after last section"},
		{file(section(1, 0, 0)), "wasm: offset 0xb: type section: section size mismatch: 1 bytes left"},
		{file(section(1, 1, 0x60, 1, 0x7a, 0)), "wasm: offset 0xd: type section: type 0: param 0: malformed value type 0x7a"},
		{file(section(1, 1, 0x5f, 0, 0)), "wasm: offset 0xb: type section: type 0: unsupported feature: garbage collection"},
		{file(section(1, 1, 0x60, 1, 0x6d, 0)), "wasm: offset 0xd: type section: type 0: param 0: unsupported feature: garbage collection"},
		{file(section(1, 0xff, 0xff, 0xff, 0xff, 0x0f)), "wasm: offset 0xa: type section: type count 4294967295, want at most 1000000"},
		{file(section(1, 0x90, 0x4e)), "wasm: offset 0xa: type section: unexpected end: type count 10000 in 0 bytes"},
		{file(section(2, 1, 1, 0xff, 0, 0, 0)), "wasm: offset 0xc: import section: import 0: malformed UTF-8 encoding"},
		{file(section(2, 1, 0, 0, 5, 0)), "wasm: offset 0xd: import section: import 0: malformed import kind 0x05"},
		{file(section(4, 1, 0x7f, 0, 0)), "wasm: offset 0xb: table section: table 0: malformed reference type: have i32"},
		{file(section(5, 1, 8, 0)), "wasm: offset 0xb: memory section: memory 0: unsupported feature: custom page sizes"},
		{file(section(5, 1, 16, 0)), "wasm: offset 0xb: memory section: memory 0: malformed limits flags 0x10"},
		{file(section(6, 1, 0x7f, 4, 0x41, 0, 0x0b)), "wasm: offset 0xc: global section: global 0: malformed mutability 0x04"},
		{file(section(6, 1, 0x7f, 0, 0x41, 0)), "wasm: offset 0xf: global section: global 0: unexpected end"},
		{file(section(6, 1, 0x7f, 0, 0x01, 0x0b)), "wasm: offset 0xd: global section: global 0: constant expression required: have nop"},
		{file(section(7, 1, 0, 5, 0)), "wasm: offset 0xc: export section: export 0: malformed export kind 0x05"},
		{file(section(9, 1, 8, 0)), "wasm: offset 0xb: element section: element segment 0: malformed element segment kind 8"},
		{file(section(9, 1, 1, 1, 0)), "wasm: offset 0xc: element section: element segment 0: malformed element kind 0x01"},
		{file(section(3, 1, 0)), "wasm: offset 0xc: function and code section have inconsistent lengths: 1 and 0"},
		{file(section(12, 1)), "wasm: offset 0xb: data count and data section have inconsistent lengths: 1 and 0"},
		{file(section(10, 1, 9, 0, 0x0b)), "wasm: offset 0xc: code section: function 0: unexpected end: body of 9 bytes, have 2"},
		{file(section(10, 1, 6, 2, 1, 0x7f, 0xd0, 0x86, 3)), "wasm: offset 0x12: code section: function 0: local run 1: unexpected end"},
		{file(section(10, 1, 8, 1, 0xd1, 0x86, 0x03, 0x7f, 0x0b, 0x0b, 0x0b)), "wasm: offset 0xc: code section: function 0: too many locals: 50001, want at most 50000"},
		{file(section(11, 1, 3, 0)), "wasm: offset 0xb: data section: data segment 0: malformed data segment kind 3"},
		{file(section(11, 1, 1, 5, 'a')), "wasm: offset 0xd: data section: data segment 0: unexpected end: want 5 bytes, have 1"},
		{file(section(13, 1, 1, 0)), "wasm: offset 0xb: tag section: tag 0: malformed tag attribute 0x01"},
		{file(section(0, 2, 'a')), "wasm: offset 0xb: custom section: unexpected end: want 2 bytes, have 1"},
		{file(section(0, 1, 0xff)), "wasm: offset 0xb: custom section: malformed UTF-8 encoding"},
	} {
		m, err := Decode(tt.in)
		if err == nil || err.Error() != tt.want || m != nil {
			t.Errorf("%x: got error %v, want %s", tt.in, err, tt.want)
		}
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%x: error is a %T", tt.in, err)
		}
	}
}

// decoded is m as if it had come from a file, so that errors have offsets.
func decoded(t *testing.T, m *Module) *Module {
	t.Helper()
	m, err := Decode(Encode(m))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestValidateErrors(t *testing.T) {
	i32 := []ValType{I32}
	for _, tt := range []struct {
		m    *Module
		want string
	}{
		{funcModule(body(OpI32Const, 1, OpLocalSet, 0), sig(I64)), "wasm: offset 0x1a: function 0: local.set: type mismatch: have i32, want i64"},
		{funcModule(body(OpI32Add), sig()), "wasm: offset 0x17: function 0: i32.add: type mismatch: have nothing, want i32"},
		{funcModule(body(OpI32Const, 1), sig()), "wasm: offset 0x19: function 0: end: type mismatch: 1 values left at the end of the block"},
		{funcModule(body(OpLocalGet, 3, OpDrop), sig()), "wasm: offset 0x17: function 0: local.get: unknown local 3"},
		{funcModule(body(OpCall, 1), sig()), "wasm: offset 0x17: function 0: call: unknown function 1"},
		{funcModule(body(OpBr, 1), sig()), "wasm: offset 0x17: function 0: br: unknown label 1"},
		{funcModule(body(OpElse), sig()), "wasm: offset 0x17: function 0: else: no if to belong to"},
		{funcModule(body(OpEnd), sig()), "wasm: offset 0x18: function 0: 1 bytes after the end"},
		{funcModule(body(OpBlock, noType), sig()), "wasm: offset 0x1a: function 0: unexpected end"},
		{funcModule(body(0xfb), sig()), "wasm: offset 0x17: function 0: unsupported feature: garbage collection"},
		{funcModule(body(OpI32Const, 0, OpI32Load, 3, 0, OpDrop), sig()), "wasm: offset 0x19: function 0: i32.load: unknown memory 0"},
		{funcModule(body(OpI32Const, 0, OpI32Load, 0x42, 0, OpDrop), sig()), "wasm: offset 0x1a: function 0: unsupported feature: multi-memory"},
		{funcModule(body(OpRefFunc, 0, OpDrop), sig()), "wasm: offset 0x17: function 0: ref.func: undeclared function reference 0"},
		{funcModule(body(OpDataDrop, 0), sig()), "wasm: offset 0x17: function 0: data.drop: data count section required"},
		{funcModule(body(), sig(to, RefTo(3))), "wasm: offset 0xa: type 0: unknown type 3"},
		{&Module{Types: []FuncType{sig(RefTo(0))}}, "wasm: offset 0xa: type 0: unknown type 0"},
		{&Module{Funcs: []uint32{2}, Code: []Code{{Body: body()}}}, "wasm: offset 0xa: function 0: unknown type 2"},
		{&Module{Imports: []Import{{Module: "a", Name: "b", Type: 1}}}, `wasm: offset 0xa: import 0 "a"."b": unknown type 1`},
		{&Module{Memories: []Limits{{Min: 1}, {Min: 1}}}, "wasm: offset 0xa: unsupported feature: multi-memory"},
		{&Module{Memories: []Limits{{Min: 1, Is64: true}}}, "wasm: offset 0xa: memory 0: unsupported feature: memory64"},
		{&Module{Memories: []Limits{{Min: 65537}}}, "wasm: offset 0xa: memory 0: size minimum 65537, want at most 65536"},
		{&Module{Memories: []Limits{{Min: 2, Max: 1, HasMax: true}}}, "wasm: offset 0xa: memory 0: size minimum 2 greater than maximum 1"},
		{&Module{Tables: []Table{{Type: TableType{Elem: FuncRef, Limits: Limits{Is64: true}}}}}, "wasm: offset 0xa: table 0: unsupported feature: table64"},
		{&Module{Tables: []Table{{Type: TableType{Elem: RefTo(HeapFunc)}}}}, "wasm: offset 0xa: table 0: type mismatch: elements of type (ref func) need an initial value"},
		{&Module{Globals: []Global{{Type: GlobalType{Type: I64}, Init: body(OpI32Const, 1)}}}, "wasm: offset 0xa: global 0: type mismatch: have i32, want i64"},
		{&Module{Globals: []Global{{Type: GlobalType{Type: I32}, Init: body(OpGlobalGet, 0)}}}, "wasm: offset 0xa: global 0: unknown global 0"},
		{&Module{Globals: []Global{{Type: GlobalType{Type: I32}, Init: body(OpI32Const, 1, OpI32Add)}}}, "wasm: offset 0xa: global 0: type mismatch: have nothing, want i32"},
		{&Module{Globals: []Global{{Type: GlobalType{Type: I32}, Init: body()}}}, "wasm: offset 0xa: global 0: type mismatch: have 0 values, want 1"},
		{&Module{Exports: []Export{{Name: "m", Kind: ExternMemory}}}, `wasm: offset 0xa: export 0 "m": unknown memory 0`},
		{&Module{Memories: []Limits{{}}, Exports: []Export{{Name: "m", Kind: ExternMemory}, {Name: "m", Kind: ExternMemory}}}, `wasm: offset 0xf: export 1 "m": duplicate export name`},
		{&Module{Start: new(uint32(4))}, "wasm: offset 0xa: start: unknown function 4"},
		{&Module{Data: []Data{{Offset: body(OpI32Const, 0)}}}, "wasm: offset 0xa: data segment 0: unknown memory 0"},
		{&Module{Elems: []Elem{{Offset: body(OpI32Const, 0), Type: FuncRef}}}, "wasm: offset 0xa: element segment 0: unknown table 0"},
		{&Module{Elems: []Elem{{Mode: Passive, Type: FuncRef, Funcs: []uint32{1}}}}, "wasm: offset 0xa: element segment 0: item 0: unknown function 1"},
		{&Module{Elems: []Elem{{Mode: Passive, Type: ExternRef, UseExprs: true, Exprs: [][]byte{body(OpRefNull, FuncRef)}}}}, "wasm: offset 0xa: element segment 0: item 0: type mismatch: have funcref, want externref"},
	} {
		if err := Validate(decoded(t, tt.m)); err == nil || err.Error() != tt.want {
			t.Errorf("got error %v, want %s", err, tt.want)
		}
		var e *Error
		if err := Validate(tt.m); !errors.As(err, &e) || e.Offset != -1 {
			t.Errorf("%s: got error %v for the module that was not decoded, want one without offset", tt.want, err)
		}
	}
	start := funcModule(body(), FuncType{Params: i32})
	start.Start = new(uint32)
	if err := Validate(start); !matchError(err, "wasm: start function 0: has params or results") {
		t.Errorf("got error %v", err)
	}
}

// Modules that no file can hold are refused too, without a panic.
func TestValidateHandMade(t *testing.T) {
	for name, m := range map[string]*Module{
		"unknown type in signature": {Types: []FuncType{{Params: []ValType{Unknown}}}},
		"kind of type":              {Types: []FuncType{{Params: []ValType{0x170}}}},
		"no code":                   {Types: []FuncType{{}}, Funcs: []uint32{0}},
		"no type for code":          {Code: []Code{{Body: body()}}},
		"import kind":               {Imports: []Import{{Kind: 9}}},
		"export kind":               {Exports: []Export{{Kind: 9}}},
		"no expression":             {Globals: []Global{{Type: GlobalType{Type: I32}}}},
		"not constant":              {Globals: []Global{{Type: GlobalType{Type: I32}, Init: body(OpI32Const, 1, OpI32Eqz)}}},
		"after the end":             {Globals: []Global{{Type: GlobalType{Type: I32}, Init: append(body(OpI32Const, 1), 0x0b)}}},
		"name":                      {Exports: []Export{{Name: "\xff"}}},
		"import name":               {Imports: []Import{{Name: "\xff"}}},
		"locals":                    {Types: []FuncType{{}}, Funcs: []uint32{0}, Code: []Code{{Body: body(), Locals: []LocalRun{{1 << 31, I32}, {1 << 31, I32}}}}},
		"local type":                {Types: []FuncType{{}}, Funcs: []uint32{0}, Code: []Code{{Body: body(), Locals: []LocalRun{{1, RefNull(7)}}}}},
		"shared table":              {Tables: []Table{{Type: TableType{Elem: FuncRef, Limits: Limits{Shared: true}}}}},
		"table of numbers":          {Tables: []Table{{Type: TableType{Elem: I32}}}},
		"typed list of functions":   {Elems: []Elem{{Mode: Passive, Type: ExternRef}}},
		"data count":                {DataCount: new(uint32(1))},
	} {
		if err := Validate(m); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Small files that claim to have much in them cost little.
func TestDecodeClaims(t *testing.T) {
	huge := []byte{0xc0, 0x84, 0x3d} // 1,000,000
	for id := byte(1); id < 14; id++ {
		in := file(section(id, huge...))
		if got := allocated(func() { _, _ = Decode(in) }); got > 1<<16 {
			t.Errorf("section %d: %d bytes allocated for %d", id, got, len(in))
		}
		// All of it is there but means nothing.
		in = file(section(id, append(huge, make([]byte, 1<<20)...)...))
		if got := allocated(func() { _, _ = Decode(in) }); got > 200<<20 {
			t.Errorf("section %d: %d bytes allocated for %d", id, got, len(in))
		}
	}
}

// The operand stack of a function that takes no room in the file is bounded.
func TestOperandLimit(t *testing.T) {
	many := FuncType{Results: bytesTypes(1000)}
	var parts []any
	for range 2000 {
		parts = append(parts, OpCall, 0)
	}
	m := funcModule(body(parts...), many)
	if err := Validate(m); !matchError(err, "call: operand stack deeper than 1000000") {
		t.Errorf("got error %v", err)
	}
	var blocks []any
	for range 1_000_001 {
		blocks = append(blocks, OpBlock, noType)
	}
	m = funcModule(body(blocks...), sig())
	if err := Validate(m); !matchError(err, "block: blocks deeper than 1000000") {
		t.Errorf("got error %v", err)
	}
}

func bytesTypes(n int) []ValType {
	list := make([]ValType, n)
	for i := range list {
		list[i] = I32
	}
	return list
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
