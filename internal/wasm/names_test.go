package wasm_test

import (
	"testing"

	. "github.com/stasis-run/stasis/internal/wasm"
)

// namesModule has an imported function, two that it defines, the second of
// them exported, and a name section.
func namesModule(section ...byte) *Module {
	return &Module{
		Types:   []FuncType{sig()},
		Imports: []Import{{Module: "env", Name: "log", Kind: ExternFunc}, {Module: "env", Name: "g", Kind: ExternGlobal, Global: GlobalType{Type: I32}}},
		Funcs:   []uint32{0, 0},
		Code:    []Code{{Body: body()}, {Body: body()}},
		Exports: []Export{{Name: "glob", Kind: ExternGlobal, Index: 2}, {Name: "main", Kind: ExternFunc, Index: 2}},
		Customs: []Custom{{Name: "producers"}, {Name: "name", Bytes: section, After: 10}},
	}
}

func TestFuncName(t *testing.T) {
	for _, tt := range []struct {
		name    string
		section []byte
		want    [4]string
	}{
		{"no section", nil, [4]string{"env.log", "", "main", ""}},
		{"all", []byte{0, 2, 1, 'm', 1, 9, 2, 0, 1, 'a', 1, 3, 'b', ':', 'c'}, [4]string{"a", "b:c", "main", ""}},
		{"unordered", []byte{1, 10, 3, 2, 1, 'c', 0, 1, 'a', 1, 1, 'b'}, [4]string{"a", "b", "c", ""}},
		{"twice", []byte{1, 7, 2, 0, 1, 'a', 0, 1, 'b'}, [4]string{"a", "", "main", ""}},
		{"empty name", []byte{1, 3, 1, 2, 0}, [4]string{"env.log", "", "main", ""}},
		{"cut", []byte{1, 9, 2, 1, 1, 'b', 2, 50, 'x'}, [4]string{"env.log", "b", "main", ""}},
		{"count too large", []byte{1, 9, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 1, 'b'}, [4]string{"env.log", "b", "main", ""}},
		{"not UTF-8", []byte{1, 5, 1, 1, 2, 'b', 0xff}, [4]string{"env.log", "b\ufffd", "main", ""}},
		{"subsection too large", []byte{1, 99, 1, 1, 1, 'b'}, [4]string{"env.log", "b", "main", ""}},
		{"nonsense", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, [4]string{"env.log", "", "main", ""}},
		{"nonexistent function", []byte{1, 4, 1, 3, 1, 'z'}, [4]string{"env.log", "", "main", "z"}},
	} {
		m := namesModule(tt.section...)
		decoded, err := Decode(Encode(m))
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		for idx, want := range tt.want {
			if got := m.FuncName(uint32(idx)); got != want {
				t.Errorf("%s: function %d: got %q, want %q", tt.name, idx, got, want)
			}
			if got := decoded.FuncName(uint32(idx)); got != want {
				t.Errorf("%s: function %d of decoded module: got %q, want %q", tt.name, idx, got, want)
			}
		}
	}
}

// A new name section is seen even though the old one has been read.
func TestFuncNameFollowsSection(t *testing.T) {
	m, err := Decode(Encode(namesModule(1, 4, 1, 1, 1, 'b')))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.FuncName(1); got != "b" {
		t.Errorf("got %q, want b", got)
	}
	m.Customs[1].Bytes = []byte{1, 4, 1, 1, 1, 'n'}
	if got := m.FuncName(1); got != "n" {
		t.Errorf("got %q, want n", got)
	}
}

func TestSpaces(t *testing.T) {
	m := &Module{
		Types: []FuncType{sig(I32), sig(to, I64)},
		Imports: []Import{
			{Kind: ExternGlobal, Global: GlobalType{Type: I64}},
			{Kind: ExternFunc, Type: 1},
			{Kind: ExternTable, Table: TableType{Elem: ExternRef}},
			{Kind: ExternFunc, Type: 7},
			{Kind: ExternMemory, Memory: Limits{Min: 3}},
			{Kind: ExternTag, Type: 0},
		},
		Funcs:   []uint32{0},
		Tables:  []Table{{Type: TableType{Elem: FuncRef}}},
		Globals: []Global{{Type: GlobalType{Type: F32, Mutable: true}}},
		Tags:    []uint32{0},
	}
	counts := map[ExternKind]int{ExternFunc: 2, ExternTable: 1, ExternMemory: 1, ExternGlobal: 1, ExternTag: 1}
	for kind, want := range counts {
		if got := m.NumImports(kind); got != want {
			t.Errorf("NumImports(%v) = %d, want %d", kind, got, want)
		}
	}
	s := m.Spaces()
	for idx, want := range []string{"[] [i64]", "", "[i32] []", "", ""} {
		for _, look := range []func(uint32) (FuncType, bool){m.FuncType, s.FuncType} {
			got, ok := look(uint32(idx))
			if ok != (want != "") || ok && typeText(got) != want {
				t.Errorf("FuncType(%d) = %v, %v, want %q", idx, got, ok, want)
			}
		}
	}
	for idx, want := range []ValType{ExternRef, FuncRef, Unknown} {
		if got, ok := m.TableType(uint32(idx)); got.Elem != want || ok != (idx < len(s.Tables)) {
			t.Errorf("TableType(%d) = %v, %v", idx, got, ok)
		}
	}
	for idx, want := range []ValType{I64, F32, Unknown} {
		if got, ok := m.GlobalType(uint32(idx)); got.Type != want || ok != (idx < len(s.Globals)) {
			t.Errorf("GlobalType(%d) = %v, %v", idx, got, ok)
		}
	}
	if got, ok := m.MemoryType(); got.Min != 3 || !ok {
		t.Errorf("MemoryType() = %v, %v", got, ok)
	}
	if len(s.Tags) != 2 || len(s.Memories) != 1 {
		t.Errorf("%d tags and %d memories, want 2 and 1", len(s.Tags), len(s.Memories))
	}
}
