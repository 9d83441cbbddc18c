package differential

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/enginetest"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/wasm"
	"github.com/stasis-run/stasis/internal/wasmgen"
)

// A trap is at the same places whether its stack was the engine's, where they are
// found in its code, or was taken apart at each safepoint, and interpreted as far
// as that goes, where they are known.
func TestTrapPlaces(t *testing.T) {
	modules := uint64(300)
	if testing.Short() {
		modules = 60
	}
	native := sharedEngine(t, wazero.Options{})
	apart := sharedEngine(t, wazero.Options{Pass: instrument.Options{Counted: true}, Interpret: wazero.InterpretAlways})
	traps, frames, unknown := 0, 0, 0
	for seed := range modules {
		b := wasmgen.GenerateSeed(seed, wasmgen.Config{Fuel: 50})
		got := trapsOf(t, &Engine{Shared: native}, b, seed)
		want := trapsOf(t, &Engine{Shared: apart, Plan: enginetest.Plan{Every: 1}}, b, seed)
		if len(got) != len(want) {
			t.Fatalf("seed %d: %d traps, want %d", seed, len(got), len(want))
		}
		for i, g := range got {
			traps++
			w := want[i]
			if g.Message != w.Message || g.Len() != w.Len() || len(g.Frames) != len(w.Frames) {
				t.Errorf("seed %d: trap %q %v, want %q %v", seed, g.Message, g.Trace, w.Message, w.Trace)
				continue
			}
			for k, f := range g.Frames {
				frames++
				if f.Pos == 0 || w.Frames[k].Pos == 0 {
					unknown++
					f.Pos = w.Frames[k].Pos
				}
				if f != w.Frames[k] {
					t.Errorf("seed %d: trap %q %v, want %v: frame %d", seed, g.Message, g.Trace, w.Trace, k)
				}
			}
		}
	}
	t.Logf("%d traps, %d frames, %d places not known", traps, frames, unknown)
	if traps < 50 || unknown*50 > frames {
		t.Errorf("%d traps, %d of %d places not known", traps, unknown, frames)
	}
}

func sharedEngine(t *testing.T, o wazero.Options) *wazero.Engine {
	t.Helper()
	e, err := wazero.New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// trapsOf runs all functions of a generated module and returns their traps.
func trapsOf(t *testing.T, e *Engine, b []byte, seed uint64) (traps []*engine.Trap) {
	t.Helper()
	ctx := context.Background()
	note := func(err error) {
		if trap := (*engine.Trap)(nil); errors.As(err, &trap) {
			trap.Locate()
			traps = append(traps, trap)
		}
	}
	i, err := e.Instantiate(ctx, b, wasmgen.NewHost())
	if err != nil {
		note(err)
		return traps
	}
	defer i.Close()
	m, err := wasm.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(seed, 2))
	for _, x := range m.Exports {
		if x.Kind != wasm.ExternFunc || !strings.HasPrefix(x.Name, "f") {
			continue
		}
		typ, _ := m.FuncType(x.Index)
		for range 3 {
			var args []uint64
			for _, p := range typ.Params {
				args = append(args, word(r, p))
				if p == wasm.V128 {
					args = append(args, word(r, p))
				}
			}
			_, err := i.Call(ctx, x.Name, args)
			note(err)
		}
	}
	return traps
}

// word is an argument, small as often as not.
func word(r *rand.Rand, t wasm.ValType) uint64 {
	v := r.Uint64() >> (r.Uint32N(64))
	switch t {
	case wasm.I32, wasm.F32:
		return uint64(uint32(v))
	case wasm.I64, wasm.F64, wasm.V128:
		return v
	}
	return 0 // null
}
