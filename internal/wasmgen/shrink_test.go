package wasmgen_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/wasm"
	"github.com/stasis-run/stasis/internal/wasmgen"
	"github.com/stasis-run/stasis/internal/wasmgen/plain"
)

// has reports whether a module holds an instruction.
func has(b []byte, op wasm.Opcode) bool {
	m, err := wasm.Decode(b)
	if err != nil {
		return false
	}
	found := false
	for _, c := range m.Code {
		var in wasm.Instr
		r := wasm.NewReader(c.Body)
		for r.Next(&in) == nil {
			found = found || in.Op == op
		}
	}
	return found
}

// A module shrinks to little more than the instruction that was asked for,
// and all that is tried on the way is valid.
func TestShrinkToAnInstruction(t *testing.T) {
	for _, op := range []wasm.Opcode{wasm.OpMemoryCopy, wasm.OpBrTable, wasm.OpLoop} {
		for seed := range uint64(20) {
			b := wasmgen.GenerateSeed(seed, wasmgen.Config{Without: wasmgen.Exceptions})
			if !has(b, op) {
				continue
			}
			tried := 0
			small := wasmgen.Shrink(b, func(c []byte) bool {
				tried++
				m, err := wasm.Decode(c)
				if err != nil || wasm.Validate(m) != nil {
					t.Fatal("tries a module that is not valid")
				}
				return has(c, op)
			})
			if !has(small, op) || len(small) > 1000 {
				t.Errorf("seed %d, %v: %d bytes to %d", seed, op, len(b), len(small))
			}
			t.Logf("seed %d, %v: %d bytes to %d in %d tries", seed, op, len(b), len(small), tried)
		}
	}
}

// What a run shows can steer, too: modules stay runnable and end.
func TestShrinkByRunning(t *testing.T) {
	shrank := 0
	for seed := range uint64(60) {
		b := wasmgen.GenerateSeed(seed, wasmgen.Config{})
		traps := func(c []byte) bool {
			for _, call := range execute(t.Context(), plain.Engine{Interpreter: true}, c, seed).Calls {
				if strings.HasPrefix(call.Func, "f") && call.Trap == "out of bounds memory access" {
					return true
				}
			}
			return false
		}
		small := wasmgen.Shrink(b, traps)
		if bytes.Equal(small, b) {
			continue // does not trap
		}
		if !traps(small) {
			t.Errorf("seed %d: the small module does not trap", seed)
		}
		shrank++
		t.Logf("seed %d: %d bytes to %d", seed, len(b), len(small))
	}
	if shrank == 0 {
		t.Error("no module traps")
	}
}

// A module that does not fail is left alone.
func TestShrinkNothing(t *testing.T) {
	b := wasmgen.GenerateSeed(3, wasmgen.Config{})
	if got := wasmgen.Shrink(b, func([]byte) bool { return false }); !bytes.Equal(got, b) {
		t.Errorf("%d bytes became %d", len(b), len(got))
	}
}
