package wasm_test

import (
	"testing"

	"github.com/stasis-run/stasis/internal/wasm"
)

// oneInstr is a module with a function that does op on its parameters and
// returns the result, or the module with a result of another type.
func oneInstr(op wasm.Opcode, params, results []wasm.ValType) *wasm.Module {
	var body []byte
	for i := range params {
		body = wasm.AppendInstr(body, &wasm.Instr{Op: wasm.OpLocalGet, A: uint64(i)})
	}
	in := wasm.Instr{Op: op}
	if n, ok := op.AccessWidth(); ok {
		for ; 1<<in.A < n; in.A++ {
		}
	}
	body = wasm.AppendInstr(body, &in)
	body = wasm.AppendOp(body, wasm.OpEnd)
	return &wasm.Module{
		Types:     []wasm.FuncType{{Params: params, Results: results}},
		Funcs:     []uint32{0},
		Memories:  []wasm.Limits{{Min: 1, Max: 1, HasMax: true, Shared: true}},
		DataCount: new(uint32(1)),
		Code:      []wasm.Code{{Body: body}},
		Data:      []wasm.Data{{Mode: wasm.Passive}},
	}
}

// opcodes are all instructions that there are.
func opcodes() (ops []wasm.Opcode) {
	for _, prefix := range []wasm.Opcode{0, 0xfc << 16, 0xfd << 16, 0xfe << 16} {
		for code := range wasm.Opcode(256) {
			if op := prefix | code; op.Valid() {
				ops = append(ops, op)
			}
		}
	}
	return ops
}

// The signatures of the table are those that wazero has, for every
// instruction that has one.
func TestSignatures(t *testing.T) {
	n := 0
	for _, op := range opcodes() {
		params, results, ok := op.Sig()
		if !ok {
			continue
		}
		n++
		good := oneInstr(op, params, results)
		if err := wasm.Validate(good); err != nil {
			t.Errorf("%v: %v -> %v: %v", op, params, results, err)
		}
		if err := compile(wasm.Encode(good)); err != nil {
			t.Errorf("%v: %v -> %v: wazero says %v", op, params, results, err)
		}
		for i, bad := range wrongSignatures(params, results) {
			m := oneInstr(op, bad.Params, bad.Results)
			if err := wasm.Validate(m); err == nil {
				t.Errorf("%v: wrong signature %d: %v -> %v is accepted", op, i, bad.Params, bad.Results)
			}
			if err := compile(wasm.Encode(m)); err == nil {
				t.Errorf("%v: wrong signature %d: %v -> %v: wazero accepts it", op, i, bad.Params, bad.Results)
			}
		}
	}
	if n < 440 {
		t.Errorf("%d instructions with a signature, want 440 or more", n)
	}
}

// wrongSignatures are signatures with another type in each place in turn.
func wrongSignatures(params, results []wasm.ValType) (out []wasm.FuncType) {
	change := func(list []wasm.ValType, i int) []wasm.ValType {
		list = append([]wasm.ValType(nil), list...)
		if list[i] != wasm.I32 {
			list[i] = wasm.I32
		} else {
			list[i] = wasm.F64
		}
		return list
	}
	for i := range params {
		out = append(out, wasm.FuncType{Params: change(params, i), Results: results})
	}
	for i := range results {
		out = append(out, wasm.FuncType{Params: params, Results: change(results, i)})
	}
	return out
}

// The natural alignment is allowed and twice that is not, by wazero's reckoning too.
func TestAlignment(t *testing.T) {
	for _, op := range opcodes() {
		width, ok := op.AccessWidth()
		if !ok {
			continue
		}
		params, results, _ := op.Sig()
		m := oneInstr(op, params, results)
		body := m.Code[0].Body
		at := len(body) - 3 // align, offset, end
		if op.Imm() == wasm.ImmMemargLane {
			at--
		}
		body[at]++
		if wasm.Validate(m) == nil || compile(wasm.Encode(m)) == nil {
			t.Errorf("%v: alignment to %d bytes is accepted", op, 2*width)
		}
	}
}
