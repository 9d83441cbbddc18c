package wasm_test

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	. "github.com/stasis-run/stasis/internal/wasm"
)

// addSeeds gives f the modules of the specification's tests that are newest
// and small, and some of our own.
func addSeeds(f *testing.F, add func(b []byte)) {
	for _, m := range seedModules() {
		add(Encode(m))
	}
	dir, err := wazeroDir()
	if err != nil {
		return
	}
	files, _ := filepath.Glob(filepath.Join(dir, "internal", "integration_test", "spectest", "*", "testdata", "*.wasm"))
	for i, file := range files {
		if b, err := os.ReadFile(file); err == nil && len(b) < 400 && i%7 == 0 {
			add(b)
		}
	}
}

// seedModules has something of everything.
func seedModules() []*Module {
	everything := &Module{
		Types: []FuncType{sig(), sig(I32, to, I32), sig(I32), sig(RefNull(1), RefTo(HeapFunc), to, V128, F64)},
		Imports: []Import{
			{Module: "env", Name: "f", Kind: ExternFunc, Type: 1},
			{Module: "env", Name: "g", Kind: ExternGlobal, Global: GlobalType{Type: I32}},
		},
		Funcs:    []uint32{0, 1},
		Tables:   []Table{{Type: TableType{Elem: FuncRef, Limits: Limits{Min: 2}}}, {Type: TableType{Elem: RefTo(HeapFunc), Limits: Limits{Min: 1}}, Init: body(OpRefFunc, 0)}},
		Memories: []Limits{{Min: 1, Max: 2, HasMax: true, Shared: true}},
		Tags:     []uint32{2},
		Globals:  []Global{{Type: GlobalType{Type: I32, Mutable: true}, Init: body(OpGlobalGet, 0, OpI32Const, 3, OpI32Mul)}},
		Exports:  []Export{{Name: "run", Kind: ExternFunc, Index: 1}},
		Start:    new(uint32(1)),
		Elems: []Elem{
			{Offset: body(OpI32Const, 0), Type: FuncRef, Funcs: []uint32{0, 1}},
			{Mode: Declarative, Type: FuncRef, UseExprs: true, Exprs: [][]byte{body(OpRefNull, FuncRef)}},
			{Table: 1, Offset: body(OpI32Const, 0), Type: RefTo(HeapFunc), UseExprs: true, Exprs: [][]byte{body(OpRefFunc, 2)}},
		},
		DataCount: new(uint32(2)),
		Code: []Code{
			{Body: body(OpI32Const, 0, OpI32Const, 0, OpI32Const, 1, OpMemoryInit, 1, 0)},
			{Locals: []LocalRun{{2, I64}, {1, RefNull(1)}}, Body: body(OpLocalGet, 0, OpLocalGet, 3, OpCallRef, 1)},
		},
		Data:    []Data{{Offset: body(OpI32Const, 8), Bytes: []byte("hello")}, {Mode: Passive, Bytes: []byte("world")}},
		Customs: []Custom{{Name: "first"}, {Name: "name", Bytes: []byte{1, 4, 1, 1, 1, 'm'}, After: 11}},
	}
	return []*Module{
		everything,
		exceptionModule(body(OpBlock, 3, OpTryTable, noType, 2, 1, 0, 0, 2, 1, OpEnd, OpUnreachable, OpEnd, OpThrowRef)),
		exceptionModule(body(OpTry, noType, OpTry, noType, OpDelegate, 0, OpCatch, 0, OpDrop, OpRethrow, 0, OpCatchAll, OpEnd)),
		funcModule(body(OpLoop, noType, OpI32Const, 0, OpBrTable, 2, 0, 1, 0, OpEnd), sig()),
	}
}

// Decode never panics, and what it accepts is the same module after Encode.
func FuzzDecode(f *testing.F) {
	addSeeds(f, func(b []byte) { f.Add(b) })
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			return
		}
		valid := Validate(m)
		out := Encode(m)
		again, err := Decode(out)
		if err != nil {
			t.Fatalf("encoded: %v", err)
		}
		if second := Encode(again); !bytes.Equal(out, second) {
			t.Fatalf("encoded twice: %x became %x", out, second)
		}
		if err := Validate(again); (err == nil) != (valid == nil) {
			t.Fatalf("valid: %v, encoded: %v", valid, err)
		}
		if len(out) > len(b) {
			t.Fatalf("%d bytes became %d", len(b), len(out))
		}
		for i := range m.Code {
			walkOn(t, m, i, valid == nil)
		}
		for i := range uint32(4) {
			m.FuncName(i)
		}
	})
}

// walkOn walks a body and checks that the state is one that can be.
func walkOn(t *testing.T, m *Module, i int, valid bool) {
	pos := 0
	err := Walk(m, i, func(in *Instr, s *State) error {
		if in.Pos != pos || in.End <= in.Pos {
			t.Fatalf("body %d: instruction at %d to %d, want it at %d", i, in.Pos, in.End, pos)
		}
		pos = in.End
		height := 0
		for _, c := range s.Ctrls {
			if c.Height < height || c.Height > len(s.Stack) {
				t.Fatalf("body %d: %v at %d: height %d after %d, with %d operands", i, in.Op, in.Pos, c.Height, height, len(s.Stack))
			}
			height = c.Height
		}
		params, _, ok := in.Op.Sig()
		if ok && valid && !s.Unreachable() && len(s.Stack)-height < len(params) {
			t.Fatalf("body %d: %v at %d: operands %v", i, in.Op, in.Pos, s.Stack)
		}
		return nil
	})
	if valid && (err != nil || pos != len(m.Code[i].Body)) {
		t.Fatalf("body %d: walked to %d: %v", i, pos, err)
	}
}

// Reader never panics, gets to the end or to an error, and what it has read
// is the same after AppendInstr.
func FuzzReader(f *testing.F) {
	addSeeds(f, func(b []byte) {
		if m, err := Decode(b); err == nil {
			for i := range m.Code {
				f.Add(m.Code[i].Body)
			}
		}
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		first, err := readAll(b)
		if err == nil && len(first) > 0 && first[len(first)-1].End != len(b) {
			t.Fatalf("last instruction ends at %d of %d", first[len(first)-1].End, len(b))
		}
		var out []byte
		for i := range first {
			out = AppendInstr(out, &first[i])
		}
		if len(out) > len(b) {
			t.Fatalf("%d bytes became %d", len(b), len(out))
		}
		second, err := readAll(out)
		if err != nil || len(second) != len(first) {
			t.Fatalf("%d instructions became %d: %v", len(first), len(second), err)
		}
		for i := range first {
			first[i].Pos, first[i].End = second[i].Pos, second[i].End
			if !reflect.DeepEqual(first[i], second[i]) {
				t.Fatalf("instruction %d: %+v became %+v", i, first[i], second[i])
			}
		}
	})
}
