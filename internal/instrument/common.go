package instrument

import "github.com/stasis-run/stasis/internal/wasm"

// Nine of ten instructions are of no interest but to the code that they end up
// in. Each part of the pass asks first whether one is.

// A commonness says for whom an instruction is one of many.
type commonness byte

const (
	// A copied instruction is emitted as it is, byte for byte. Its code is one
	// byte, and what it does to the operand stack does not depend on anything.
	copied commonness = 1 << iota
	// A passing one tells the survey nothing: whatever it is, the hot form needs
	// nothing for it, and it may be in a function that is left alone.
	passing
)

// common says so of the instructions whose code is one byte.
var common = func() (of [256]commonness) {
	for op := wasm.Opcode(0); op < 256; op++ {
		_, _, plain := op.Sig()
		if plain && op != wasm.OpMemoryGrow { // a call of the host, if the memory is shared
			of[op] = copied | passing
		}
	}
	for _, op := range []wasm.Opcode{
		wasm.OpLocalGet, wasm.OpLocalSet, wasm.OpLocalTee, wasm.OpGlobalGet, wasm.OpGlobalSet, wasm.OpDrop, wasm.OpSelect,
		wasm.OpBlock, wasm.OpIf, wasm.OpElse, wasm.OpEnd, wasm.OpBr, wasm.OpBrIf, wasm.OpBrTable, wasm.OpReturn, wasm.OpUnreachable,
	} {
		of[op] |= passing
	}
	of[wasm.OpDrop] |= copied
	return of
}()

// isCommon reports whether an instruction is one of many in the given way.
func isCommon(op wasm.Opcode, c commonness) bool { return op < 256 && common[op]&c != 0 }
