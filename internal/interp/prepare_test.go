package interp

import (
	"errors"
	"testing"

	"github.com/stasis-run/stasis/internal/wasm"
	"github.com/stasis-run/stasis/internal/wasmgen"
)

// Heights are those of validation, and what it calls unreachable has none, but
// for an else or end, which has the one that branches to it give.
func TestHeights(t *testing.T) {
	n := 300
	if testing.Short() {
		n = 60
	}
	instrs := 0
	for seed := range uint64(n) {
		m, err := wasm.Decode(wasmgen.GenerateSeed(seed, configs[seed%uint64(len(configs))]))
		if err != nil {
			t.Fatal(err)
		}
		w, spaces := wasm.NewWalker(m), m.Spaces()
		for i := range m.Code {
			c, err := Prepare(m, spaces, i)
			if errors.Is(err, ErrUnsupported) {
				continue
			}
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			instrs += c.Len()
			checkHeights(t, c, w, i)
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
	}
	t.Logf("%d instructions", instrs)
}

func checkHeights(t *testing.T, c *Code, w *wasm.Walker, defined int) {
	t.Helper()
	pc, deadFrom := 0, 0 // deadFrom: blocks open, with the outermost that has ended the last
	err := w.Walk(defined, func(in *wasm.Instr, s *wasm.State) error {
		if deadFrom > 0 && (len(s.Ctrls) < deadFrom || !s.Ctrls[deadFrom-1].Unreachable) {
			deadFrom = 0
		}
		if deadFrom == 0 && s.Unreachable() {
			deadFrom = len(s.Ctrls)
		}
		h, ok := c.Height(pc)
		turn := (in.Op == wasm.OpEnd || in.Op == wasm.OpElse) && len(s.Ctrls) == deadFrom
		top := &s.Ctrls[len(s.Ctrls)-1]
		switch {
		case deadFrom == 0:
			if !ok || h != len(s.Stack) {
				t.Errorf("function %d: %v at %d: height %d, %v, want %d", defined, in.Op, pc, h, ok, len(s.Stack))
			}
		case turn:
			if want := top.Height + len(top.Results); !ok || h != want {
				t.Errorf("function %d: dead %v at %d: height %d, %v, want %d", defined, in.Op, pc, h, ok, want)
			}
		case ok:
			t.Errorf("function %d: dead %v at %d has height %d", defined, in.Op, pc, h)
		}
		pc++
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if pc != c.Len() {
		t.Errorf("function %d: Len is %d, want %d", defined, c.Len(), pc)
	}
}
