package wasmgen_test

import (
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/stasis-run/stasis/internal/wasm"
	"github.com/stasis-run/stasis/internal/wasmgen/plain"
)

// Faults of wazero 1.12 with exceptions, which the generator and the encoding
// Reference steer around; as TestWazeroFaults, on the interpreter.
func TestWazeroExceptionFaults(t *testing.T) {
	vec := []byte{0xfd, 12, 5, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0} // v128.const i64x2 5 7
	thrown := append(append([]byte{
		0x02, 0x7b, // block (result v128)
		0x1f, 0x40, 1, 0, 0, 0, // try_table (catch 0 0)
	}, vec...),
		0x08, 0, 0x0b, 0x00, 0x0b, // throw 0, end, unreachable, end
		0xfd, 29, 1, 0xa7, 0x0b) // i64x2.extract_lane 1, i32.wrap_i64
	for _, tt := range []struct {
		name         string
		locals       []wasm.LocalRun
		body         []byte // of f, which returns an i32; its one tag has a v128
		right, wrong string
	}{
		{
			// try_table end, ref.func 1, local.set 0, i32.const 1
			name:   "a local without default that is set after a try_table",
			locals: []wasm.LocalRun{{N: 1, Type: wasm.RefTo(0)}},
			body:   []byte{0x1f, 0x40, 0, 0x0b, 0xd2, 1, 0x21, 0, 0x41, 1, 0x0b},
			right:  "1", wrong: "panic: assignment to entry in nil map",
		},
		{
			// ref.null exn, ref.null exn, i32.const 1, select exnref, ref.is_null
			name:  "select of an exnref",
			body:  []byte{0xd0, 0x69, 0xd0, 0x69, 0x41, 1, 0x1c, 1, 0x69, 0xd1, 0x0b},
			right: "1", wrong: "invalid type exnref for typed_select",
		},
		{name: "a vector in an exception", body: thrown, right: "7", wrong: ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &wasm.Module{
				Types:   []wasm.FuncType{{Results: []wasm.ValType{wasm.I32}}, {Params: []wasm.ValType{wasm.V128}}},
				Funcs:   []uint32{0, 0},
				Tags:    []uint32{1},
				Exports: []wasm.Export{{Name: "f"}, {Name: "g", Index: 1}},
				Code:    []wasm.Code{{Locals: tt.locals, Body: tt.body}, {Body: []byte{0x41, 0, 0x0b}}},
			}
			if err := wasm.Validate(m); err != nil {
				t.Fatal(err)
			}
			got := callFOn(t.Context(), wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(plain.Features), wasm.Encode(m), nil)
			if got == tt.right {
				t.Errorf("%s: wazero is right now; the detour can go", got)
			} else if !strings.Contains(got, tt.wrong) {
				t.Errorf("%s; want the known fault %s", got, tt.wrong)
			}
			t.Log(got)
		})
	}
}
