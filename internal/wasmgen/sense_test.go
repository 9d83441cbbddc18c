package wasmgen_test

import (
	"slices"
	"testing"

	"github.com/stasis-run/stasis/internal/wasm"
	"github.com/stasis-run/stasis/internal/wasmgen"
	"github.com/stasis-run/stasis/internal/wasmgen/plain"
)

// loseLocal makes one local.get of a number give 0: what a rewind that forgets
// a live local does. The seed says which one.
func loseLocal(b []byte, seed uint64) ([]byte, bool) {
	m, err := wasm.Decode(b)
	if err != nil {
		return nil, false
	}
	type place struct{ code, pos, end int }
	var places []place
	for i := range m.Code {
		err := wasm.Walk(m, i, func(in *wasm.Instr, s *wasm.State) error {
			if in.Op == wasm.OpLocalGet && s.Locals[in.A] == wasm.I32 && !s.Unreachable() {
				places = append(places, place{i, in.Pos, in.End})
			}
			return nil
		})
		if err != nil {
			return nil, false
		}
	}
	if len(places) == 0 {
		return nil, false
	}
	p := places[seed%uint64(len(places))]
	c := &m.Code[p.code]
	c.Body = slices.Concat(c.Body[:p.pos], []byte{0x41, 0}, c.Body[p.end:])
	return wasm.Encode(m), true
}

// A Trace shows the loss of one value of one local often enough that a fault
// of the pass can't hide for many modules. (Many places never run, or hold 0.
// More do not run where exceptions are thrown; what is seen there package
// mutation measures.)
func TestTraceSeesFaults(t *testing.T) {
	tried, seen := 0, 0
	for _, seed := range seeds(5) {
		b := wasmgen.GenerateSeed(seed, wasmgen.Config{Without: wasmgen.Exceptions})
		bad, ok := loseLocal(b, seed*7919)
		if !ok {
			continue
		}
		tried++
		a := execute(t.Context(), plain.Engine{Interpreter: true}, b, seed)
		if a.Diff(execute(t.Context(), plain.Engine{Interpreter: true}, bad, seed)) != "" {
			seen++
		}
	}
	t.Logf("%d of %d faults seen", seen, tried)
	if seen*4 < tried {
		t.Error("too few")
	}
}

// Sites hold what a pass has to save: operands beneath calls, in loops, and
// locals that are live.
func TestSitesHoldOperands(t *testing.T) {
	calls, deep, loops, deepLoops, total := 0, 0, 0, 0, 0
	for _, seed := range seeds(4) {
		m, err := wasm.Decode(wasmgen.GenerateSeed(seed, wasmgen.Config{}))
		if err != nil {
			t.Fatal(err)
		}
		for i := range m.Code {
			err := wasm.Walk(m, i, func(in *wasm.Instr, s *wasm.State) error {
				if s.Unreachable() {
					return nil
				}
				switch in.Op {
				case wasm.OpCall, wasm.OpCallIndirect, wasm.OpCallRef:
					calls++
					total += len(s.Stack)
					if len(s.Stack) > 4 {
						deep++
					}
				case wasm.OpLoop:
					loops++
					if len(s.Stack) > 2 {
						deepLoops++
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d calls, %.1f operands on average, %d with more than 4; %d loops, %d over more than 2 operands",
		calls, float64(total)/float64(calls), deep, loops, deepLoops)
	if deep*10 < calls || deepLoops*10 < loops {
		t.Error("too few operands")
	}
}
