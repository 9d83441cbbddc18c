package wasm_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	. "github.com/stasis-run/stasis/internal/wasm"
)

func TestValType(t *testing.T) {
	for _, tt := range []struct {
		t        ValType
		text     string
		ref      bool
		nullable bool
	}{
		{I32, "i32", false, false},
		{I64, "i64", false, false},
		{F32, "f32", false, false},
		{F64, "f64", false, false},
		{V128, "v128", false, false},
		{Unknown, "unknown", false, false},
		{FuncRef, "funcref", true, true},
		{ExternRef, "externref", true, true},
		{ExnRef, "exnref", true, true},
		{RefNull(HeapFunc), "funcref", true, true},
		{RefNull(HeapExn), "exnref", true, true},
		{RefNull(0), "(ref null 0)", true, true},
		{RefNull(7), "(ref null 7)", true, true},
		{RefTo(0), "(ref 0)", true, false},
		{RefTo(HeapFunc), "(ref func)", true, false},
		{RefTo(HeapExtern), "(ref extern)", true, false},
		{RefTo(HeapExn), "(ref exn)", true, false},
		{0x123, "type 123", false, false},
	} {
		if got := tt.t.String(); got != tt.text {
			t.Errorf("%#x: got text %q, want %q", uint32(tt.t), got, tt.text)
		}
		if tt.t.IsRef() != tt.ref || tt.t.Nullable() != tt.nullable {
			t.Errorf("%v: reference %v, nullable %v, want %v, %v", tt.t, tt.t.IsRef(), tt.t.Nullable(), tt.ref, tt.nullable)
		}
		if tt.ref && tt.t.NonNull() != RefTo(tt.t.Heap()) {
			t.Errorf("%v: without null %v", tt.t, tt.t.NonNull())
		}
	}
}

// typeSection is a module with a function that takes type a, which is defined
// in a type section with the given entries, and passes it to one that takes b.
func typeSection(a, b ValType, groups int, entries ...byte) []byte {
	call := AppendU32(append([]byte{byte(groups + 2)}, entries...), 0x60)
	call = append(AppendValType(append(call, 1), a), 0, 0x60, 1)
	call = append(AppendValType(call, b), 0)
	types := byte(0)
	for i := 0; i < len(entries); i++ {
		if entries[i] == 0x60 {
			types++
		}
	}
	return file(
		section(1, call...),
		section(3, 2, types, types+1),
		section(10, 2, 6, 0, 0x20, 0, 0x10, 1, 0x0b, 2, 0, 0x0b),
	)
}

// Types are equal that are built alike, in groups that are built alike.
func TestTypeEquality(t *testing.T) {
	for _, tt := range []struct {
		name    string
		a, b    ValType
		groups  int
		entries []byte
		want    string
	}{
		{"same text", RefTo(0), RefTo(1), 2, []byte{0x60, 1, 0x7f, 0, 0x60, 1, 0x7f, 0}, ""},
		{"other text", RefTo(0), RefTo(1), 2, []byte{0x60, 1, 0x7f, 0, 0x60, 1, 0x7e, 0}, "have (ref 0), want (ref 1)"},
		{"params are not results", RefTo(0), RefTo(1), 2, []byte{0x60, 1, 0x7f, 0, 0x60, 0, 1, 0x7f}, "have (ref 0), want (ref 1)"},
		{"through equal types", RefTo(2), RefTo(3), 4, []byte{0x60, 0, 0, 0x60, 0, 0, 0x60, 1, 0x64, 0, 0, 0x60, 1, 0x64, 1, 0}, ""},
		{"null or not", RefTo(1), RefTo(2), 3, []byte{0x60, 0, 0, 0x60, 1, 0x64, 0, 0, 0x60, 1, 0x63, 0, 0}, "have (ref 1), want (ref 2)"},
		{"heap", RefTo(0), RefTo(1), 2, []byte{0x60, 1, 0x64, 0x70, 0, 0x60, 1, 0x64, 0x6f, 0}, "have (ref 0), want (ref 1)"},
		{"group of one", RefTo(0), RefTo(1), 2, []byte{0x4e, 1, 0x60, 0, 0, 0x60, 0, 0}, ""},
		{"places in groups", RefTo(0), RefTo(2), 2, []byte{0x4e, 2, 0x60, 1, 0x64, 1, 0, 0x60, 0, 0, 0x4e, 2, 0x60, 1, 0x64, 3, 0, 0x60, 0, 0}, ""},
		{"other place in group", RefTo(0), RefTo(3), 2, []byte{0x4e, 2, 0x60, 0, 0, 0x60, 0, 0, 0x4e, 2, 0x60, 0, 0, 0x60, 0, 0}, "have (ref 0), want (ref 3)"},
		{"in a group or not", RefTo(0), RefTo(2), 2, []byte{0x4e, 2, 0x60, 0, 0, 0x60, 0, 0, 0x60, 0, 0}, "have (ref 0), want (ref 2)"},
		{"empty groups", RefTo(0), RefTo(1), 5, []byte{0x4e, 0, 0x60, 0, 0, 0x4e, 0, 0x4e, 0, 0x60, 0, 0}, ""},
		{"to funcref", RefTo(0), FuncRef, 1, []byte{0x60, 0, 0}, ""},
		{"to null", RefTo(0), RefNull(1), 2, []byte{0x60, 0, 0, 0x60, 0, 0}, ""},
		{"from null", RefNull(0), RefTo(1), 2, []byte{0x60, 0, 0, 0x60, 0, 0}, "have (ref null 0), want (ref 1)"},
		{"from funcref", FuncRef, RefNull(0), 1, []byte{0x60, 0, 0}, "have funcref, want (ref null 0)"},
		{"to externref", RefTo(0), ExternRef, 1, []byte{0x60, 0, 0}, "have (ref 0), want externref"},
	} {
		b := typeSection(tt.a, tt.b, tt.groups, tt.entries...)
		m, err := Decode(b)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if err := Validate(m); !matchError(err, tt.want) {
			t.Errorf("%s: got error %v, want %q", tt.name, err, tt.want)
		}
		if out := Encode(m); !bytes.Equal(out, b) {
			t.Errorf("%s: %x became %x", tt.name, b, out)
		}
	}
}

// Types of proposals that we do not have are refused by name.
func TestUnsupportedTypes(t *testing.T) {
	for _, tt := range []struct {
		entry []byte
		want  string
	}{
		{[]byte{0x5e, 0x7f, 0}, "garbage collection"},
		{[]byte{0x50, 0, 0x60, 0, 0}, "garbage collection"},
		{[]byte{0x4f, 0, 0x60, 0, 0}, "garbage collection"},
		{[]byte{0x5d, 0}, "stack switching"},
		{[]byte{0x60, 1, 0x6e, 0}, "garbage collection"},
		{[]byte{0x60, 1, 0x64, 0x6c, 0}, "garbage collection"},
		{[]byte{0x60, 1, 0x63, 0x74, 0}, "garbage collection"},
		{[]byte{0x60, 1, 0x63, 0x68, 0}, "stack switching"},
		{[]byte{0x60, 1, 0x65, 0x70, 0}, "shared-everything threads"},
	} {
		_, err := Decode(file(section(1, append([]byte{1}, tt.entry...)...)))
		if !errors.Is(err, ErrUnsupported) || !matchError(err, "unsupported feature: "+tt.want) {
			t.Errorf("%x: got error %v, want %s", tt.entry, err, tt.want)
		}
	}
	for _, entry := range [][]byte{{0x60, 1, 0x64, 0x60, 0}, {0x60, 1, 0x64, 0xff, 0xff, 0xff, 0x0f, 0}, {0x61, 0, 0}} {
		_, err := Decode(file(section(1, append([]byte{1}, entry...)...)))
		if err == nil || errors.Is(err, ErrUnsupported) {
			t.Errorf("%x: got error %v, want one that is not about a feature", entry, err)
		}
	}
}

func TestTypedReferences(t *testing.T) {
	null, ref := RefNull(1), RefTo(1)
	for _, tt := range []struct {
		name string
		code []byte
		want string
	}{
		{"call_ref", body(OpRefNull, 1, OpCallRef, 1), ""},
		{"call_ref of funcref", body(OpRefNull, FuncRef, OpCallRef, 1), "have funcref, want (ref null 1)"},
		{"call_ref no type", body(OpRefNull, 1, OpCallRef, 9), "unknown type 9"},
		{"return_call_ref", body(OpRefNull, 1, OpReturnCallRef, 1), ""},
		{"return_call_ref other result", body(OpRefNull, 2, OpReturnCallRef, 2), "callee returns [i32], want []"},
		{"as_non_null", body(OpBlock, ref, OpRefNull, 1, OpRefAsNonNull, OpEnd, OpDrop), ""},
		{"as_non_null of number", body(OpI32Const, 1, OpRefAsNonNull, OpDrop), "have i32, want a reference"},
		{"br_on_null", body(OpBlock, noType, OpRefNull, 1, OpBrOnNull, 0, OpCallRef, 1, OpEnd), ""},
		{"br_on_null leaves ref", body(OpBlock, ref, OpRefNull, 1, OpBrOnNull, 1, OpEnd, OpDrop), ""},
		{"br_on_null of nothing", body(OpBrOnNull, 0), "have nothing"},
		{"br_on_non_null", body(OpBlock, ref, OpRefNull, 1, OpBrOnNonNull, 0, OpUnreachable, OpEnd, OpDrop), ""},
		{"br_on_non_null without label type", body(OpRefNull, 1, OpBrOnNonNull, 0), "label 0 does not take a reference"},
		{"br_on_non_null other type", body(OpBlock, ExternRef, OpRefNull, 1, OpBrOnNonNull, 0, OpUnreachable, OpEnd, OpDrop), "have (ref 1), want externref"},
		{"br_on_non_null unreachable", body(OpBlock, null, OpUnreachable, OpBrOnNonNull, 0, OpUnreachable, OpEnd, OpDrop), ""},
		{"block of no type", body(OpBlock, RefTo(40), OpUnreachable, OpEnd, OpDrop), "unknown type 40"},
		{"null of no type", body(OpRefNull, 40, OpDrop), "unknown type 40"},
		{"select of no type", body(OpUnreachable, OpSelectT, 1, RefTo(40), OpDrop), "unknown type 40"},
		{"ref none is no number", body(OpUnreachable, OpRefAsNonNull, OpI32Eqz, OpDrop), "have (ref none), want i32"},
	} {
		m := funcModule(tt.code, sig(), sig(), sig(to, I32))
		if err := Validate(m); !matchError(err, tt.want) {
			t.Errorf("%s: got error %v, want %q", tt.name, err, tt.want)
		}
		testEncode(t, tt.name, m)
	}
}

func TestBlockSig(t *testing.T) {
	m := &Module{Types: []FuncType{sig(I32, to, F64)}}
	for _, tt := range []struct {
		bt              BlockType
		params, results []ValType
	}{
		{BlockType{Index: -1}, nil, nil},
		{BlockType{Index: -1, Result: I64}, nil, []ValType{I64}},
		{BlockType{Index: -1, Result: RefNull(0)}, nil, []ValType{RefNull(0)}},
		{BlockType{Index: 0}, []ValType{I32}, []ValType{F64}},
		{BlockType{Index: 1}, nil, nil},
	} {
		params, results := m.BlockSig(tt.bt)
		if !slices.Equal(params, tt.params) || !slices.Equal(results, tt.results) {
			t.Errorf("%v: got %v, %v, want %v, %v", tt.bt, params, results, tt.params, tt.results)
		}
		var in Instr
		b := AppendBlockType(AppendOp(nil, OpBlock), tt.bt)
		if err := NewReader(b).Next(&in); err != nil || in.Block != tt.bt {
			t.Errorf("%v: read back as %v, %v", tt.bt, in.Block, err)
		}
	}
}

// Custom sections stay at their place, also when it is one that is not there.
func TestCustomPlaces(t *testing.T) {
	m := funcModule(body(), sig())
	for i, after := range []byte{0, 1, 2, 13, 12, 10, 11, 200} {
		m.Customs = append(m.Customs, Custom{Name: string(rune('a' + i)), Bytes: []byte{after}, After: after})
	}
	again, err := Decode(Encode(m))
	if err != nil {
		t.Fatal(err)
	}
	var order []byte
	for _, c := range again.Customs {
		order = append(order, c.Name...)
	}
	if string(order) != "abcdefgh" {
		t.Errorf("got order %s", order)
	}
}
