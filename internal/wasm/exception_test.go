package wasm_test

import (
	"bytes"
	"strings"
	"testing"

	. "github.com/stasis-run/stasis/internal/wasm"
)

// exceptionModule has a function without parameters, tag 0 with an i32 and
// tag 1 with nothing. Type 1 is the tag's, 3 gives an i32 and an exception.
func exceptionModule(code []byte) *Module {
	m := funcModule(code, sig(), sig(I32), sig(), sig(to, I32, ExnRef), sig(to, I32))
	m.Tags = []uint32{1, 2}
	return m
}

func TestExceptions(t *testing.T) {
	for _, tt := range []struct {
		name string
		code []byte
		want string // part of the error, or "" for a valid body
	}{
		{"throw", body(OpI32Const, 1, OpThrow, 0), ""},
		{"throw without value", body(OpThrow, 0), "have nothing, want i32"},
		{"throw no tag", body(OpThrow, 2), "unknown tag 2"},
		{"throw_ref", body(OpRefNull, 0x69, OpThrowRef), ""},
		{"throw_ref of number", body(OpI32Const, 1, OpThrowRef), "have i32, want exnref"},

		{"try_table", body(OpTryTable, noType, 0, OpEnd), ""},
		{"catch", body(OpBlock, 4, OpTryTable, noType, 1, 0, 0, 0, OpEnd, OpUnreachable, OpEnd, OpDrop), ""},
		{"catch for other label", body(OpBlock, 4, OpTryTable, noType, 1, 0, 0, 1, OpEnd, OpUnreachable, OpEnd, OpDrop), "does not fit label 1"},
		{"catch_ref", body(OpBlock, 3, OpTryTable, noType, 1, 1, 0, 0, OpEnd, OpUnreachable, OpEnd, OpThrowRef), ""},
		{"catch_ref without ref", body(OpBlock, 4, OpTryTable, noType, 1, 1, 0, 0, OpEnd, OpUnreachable, OpEnd, OpDrop), "does not fit label 0"},
		{"catch_all", body(OpTryTable, noType, 1, 2, 0, OpEnd), ""},
		{"catch_all_ref", body(OpBlock, ExnRef, OpTryTable, noType, 1, 3, 0, OpUnreachable, OpEnd, OpUnreachable, OpEnd, OpThrowRef), ""},
		{"catch_all_ref not null", body(OpBlock, RefTo(HeapExn), OpTryTable, noType, 1, 3, 0, OpUnreachable, OpEnd, OpUnreachable, OpEnd, OpThrowRef), ""},
		{"many clauses", body(OpTryTable, noType, 3, 0, 1, 0, 2, 0, 2, 0, OpEnd), ""},
		{"label from outside", body(OpTryTable, noType, 1, 2, 1, OpEnd), "unknown label 1"},
		{"clause with no tag", body(OpTryTable, noType, 1, 0, 7, 0, OpEnd), "unknown tag 7"},
		{"bad clause", body(OpTryTable, noType, 1, 4, 0, OpEnd), "malformed catch clause 0x04"},
		{"cut clauses", body(OpTryTable, noType, 9, 0), "unexpected end: catch clause count 9"},

		{"try catch", body(OpTry, noType, OpCatch, 0, OpDrop, OpCatchAll, OpEnd), ""},
		{"try with result", body(OpTry, I32, OpI32Const, 1, OpCatch, 0, OpCatchAll, OpI32Const, 2, OpEnd, OpDrop), ""},
		{"try alone", body(OpTry, noType, OpEnd), ""},
		{"catch without try", body(OpCatch, 0), "catch: no try to belong to"},
		{"catch after catch_all", body(OpTry, noType, OpCatchAll, OpCatch, 1, OpEnd), "catch: no try to belong to"},
		{"catch_all in block", body(OpBlock, noType, OpCatchAll, OpEnd), "catch_all: no try to belong to"},
		{"catch leaves value", body(OpTry, noType, OpCatch, 0, OpEnd), "1 values left"},
		{"delegate", body(OpTry, noType, OpI32Const, 1, OpThrow, 0, OpDelegate, 0), ""},
		{"delegate to block", body(OpBlock, noType, OpTry, noType, OpDelegate, 1, OpEnd), ""},
		{"delegate too far", body(OpTry, noType, OpDelegate, 1), "unknown label 1"},
		{"delegate after catch", body(OpTry, noType, OpCatchAll, OpDelegate, 0), "delegate: no try to belong to"},
		{"rethrow", body(OpTry, noType, OpCatchAll, OpRethrow, 0, OpEnd), ""},
		{"rethrow from block", body(OpTry, noType, OpCatch, 1, OpBlock, noType, OpRethrow, 1, OpEnd, OpEnd), ""},
		{"rethrow in try", body(OpTry, noType, OpRethrow, 0, OpCatchAll, OpEnd), "label 0 is not a catch"},
		{"rethrow too far", body(OpTry, noType, OpCatchAll, OpRethrow, 5, OpEnd), "unknown label 5"},
	} {
		m := exceptionModule(tt.code)
		if got := Validate(m); !matchError(got, tt.want) {
			t.Errorf("%s: got error %v, want %q", tt.name, got, tt.want)
		}
		testEncode(t, tt.name, m)
	}
}

func TestTags(t *testing.T) {
	m := &Module{
		Types:   []FuncType{sig(I32), sig(to, I32)},
		Imports: []Import{{Module: "env", Name: "tag", Kind: ExternTag}},
		Tags:    []uint32{0},
		Exports: []Export{{Name: "a", Kind: ExternTag}, {Name: "b", Kind: ExternTag, Index: 1}},
	}
	testEncode(t, "tags", m)
	if err := Validate(m); err != nil {
		t.Error(err)
	}
	if got, ok := m.TagType(1); !ok || len(got.Params) != 1 {
		t.Errorf("TagType(1) = %v, %v", got, ok)
	}
	m.Exports[1].Index = 2
	if err := Validate(m); !matchError(err, `export 1 "b": unknown tag 2`) {
		t.Errorf("got error %v", err)
	}
	m.Tags[0] = 1
	if err := Validate(m); !matchError(err, "tag 1: non-empty tag result type") {
		t.Errorf("got error %v", err)
	}
}

func TestAtomics(t *testing.T) {
	for _, tt := range []struct {
		name   string
		memory Limits
		code   []byte
		want   string
	}{
		{"add", Limits{Min: 1, Max: 1, HasMax: true, Shared: true}, body(OpI32Const, 0, OpI32Const, 1, OpI32AtomicRmwAdd, 2, 0, OpDrop), ""},
		{"not shared", Limits{Min: 1}, body(OpI32Const, 0, OpI32Const, 1, OpI32AtomicRmwAdd, 2, 0, OpDrop), ""},
		{"less aligned", Limits{Min: 1}, body(OpI32Const, 0, OpI32Const, 1, OpI32AtomicRmwAdd, 1, 0, OpDrop), "alignment 2**1, want 2**2"},
		{"wait", Limits{Min: 1}, body(OpI32Const, 0, OpI64Const, 1, OpI64Const, 0x7f, OpMemoryAtomicWait64, 3, 0, OpDrop), ""},
		{"notify", Limits{Min: 1}, body(OpI32Const, 0, OpI32Const, 1, OpMemoryAtomicNotify, 2, 0, OpDrop), ""},
		{"fence", Limits{Min: 1}, body(OpAtomicFence, 0), ""},
		{"fence of another kind", Limits{Min: 1}, body(OpAtomicFence, 1), "zero byte expected"},
		{"no maximum", Limits{Min: 1, Shared: true}, body(), "shared memory must have maximum"},
	} {
		m := funcModule(tt.code, sig())
		m.Memories = []Limits{tt.memory}
		if got := Validate(m); !matchError(got, tt.want) {
			t.Errorf("%s: got error %v, want %q", tt.name, got, tt.want)
		}
		testEncode(t, tt.name, m)
	}
	m := funcModule(body(OpI32Const, 0, OpI32AtomicLoad, 2, 0, OpDrop), sig())
	if err := Validate(m); !matchError(err, "unknown memory 0") {
		t.Errorf("without memory: got error %v", err)
	}
}

// matchError reports whether err contains want, or is nil if that is empty.
func matchError(err error, want string) bool {
	if err == nil || want == "" {
		return err == nil && want == ""
	}
	return strings.Contains(err.Error(), want)
}

// testEncode checks that m comes back from its encoded form.
func testEncode(t *testing.T, name string, m *Module) {
	t.Helper()
	b := Encode(m)
	again, err := Decode(b)
	if err != nil {
		t.Errorf("%s: encoded: %v", name, err)
		return
	}
	if !bytes.Equal(Encode(again), b) {
		t.Errorf("%s: encodes to another module the second time", name)
	}
	if errA, errB := Validate(m), Validate(again); (errA == nil) != (errB == nil) {
		t.Errorf("%s: validates with %v, and encoded with %v", name, errA, errB)
	}
}
