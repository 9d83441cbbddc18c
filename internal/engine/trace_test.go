package engine_test

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/stasis-run/stasis/internal/engine"
)

// A trace has the innermost and the outermost frames, however they were added.
func TestTrace(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var all []engine.Location
		var at engine.Trace
		add := func(to *engine.Trace, n int) {
			for range n {
				all = append(all, engine.Location{Func: uint32(len(all)), Pos: 1})
				to.Append(all[len(all)-1])
			}
		}
		add(&at, r.IntN(2*engine.MaxFrames))
		above := len(all)
		var below engine.Trace
		add(&below, r.IntN(2*engine.MaxFrames))
		at.Join(below)
		if at.Len() != len(all) {
			t.Fatalf("%d and %d frames: length %d", above, len(all)-above, at.Len())
		}
		if len(at.Frames) > engine.MaxFrames || len(at.Outer) > engine.MaxOuter {
			t.Fatalf("%d and %d frames: %d and %d kept", above, len(all)-above, len(at.Frames), len(at.Outer))
		}
		if at.Cut > 0 && len(at.Frames) < engine.MaxFrames && below.Cut == 0 {
			t.Fatalf("%d and %d frames: %d kept, %d left out", above, len(all)-above, len(at.Frames), at.Cut)
		}
		if got := all[:len(at.Frames)]; len(got) > 0 && !reflect.DeepEqual(at.Frames, got) {
			t.Fatalf("innermost frames %v, want %v", at.Frames, got)
		}
		if got := all[len(all)-len(at.Outer):]; len(got) > 0 && !reflect.DeepEqual(at.Outer, got) {
			t.Fatalf("outermost frames %v, want %v", at.Outer, got)
		}
	}
}
