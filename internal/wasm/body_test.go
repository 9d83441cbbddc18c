package wasm_test

import (
	"github.com/stasis-run/stasis/internal/wasm"
)

// body makes a function body, or an expression, from opcodes and the bytes of
// their immediates. It adds the end.
func body(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case wasm.Opcode:
			b = wasm.AppendOp(b, p)
		case wasm.ValType:
			b = wasm.AppendValType(b, p)
		case int:
			b = append(b, byte(p))
		}
	}
	return wasm.AppendOp(b, wasm.OpEnd)
}

// noType is the type of a block that takes and gives nothing.
const noType = 0x40

// sig makes a function type: what stands before the nil are its parameters.
func sig(types ...wasm.ValType) wasm.FuncType {
	for i, t := range types {
		if t == wasm.Unknown {
			return wasm.FuncType{Params: types[:i], Results: types[i+1:]}
		}
	}
	return wasm.FuncType{Params: types}
}

// to separates parameters from results in sig.
const to = wasm.Unknown

// funcModule is a module with one function of type 0, and more types.
func funcModule(code []byte, types ...wasm.FuncType) *wasm.Module {
	return &wasm.Module{Types: types, Funcs: []uint32{0}, Code: []wasm.Code{{Body: code}}}
}
