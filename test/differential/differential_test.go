package differential

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/enginetest"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/wasmgen"
	"github.com/stasis-run/stasis/internal/wasmgen/plain"
)

var (
	modules = flag.Int("modules", 150, "how many random modules to compare")
	first   = flag.Uint64("first", 1, "seed of the first module")
)

// limits are small enough that runaway recursion ends soon. Plain wazero's own
// limit lies elsewhere, so modules that reach one of them are not compared.
var limits = engine.Limits{Stack: 32 << 20, Memory: 64 << 20}

// engines are the ways in which a module is run through the pass.
func engines(seed uint64) []*Engine {
	counted := instrument.Options{Counted: true}
	hops := instrument.Options{Counted: true, PeelLimit: -1}
	all := []*Engine{
		{Limits: limits},
		{Pass: counted, Limits: limits, Plan: enginetest.Plan{Every: 1, Calls: true}},
		{Pass: hops, Limits: limits, Plan: enginetest.Plan{Every: 1, Calls: true, Save: 7}},
		{Pass: counted, Limits: limits, Plan: enginetest.Plan{Every: 5, Save: 2}, Seed: seed},
		{Pass: hops, Limits: limits, Plan: enginetest.Plan{Every: 13, Save: 1}, Seed: seed},
	}
	// One without stops, and one of the others by turns.
	return []*Engine{all[0], all[1+seed%4]}
}

// shape has one module in eight large, the others small: many stops in many
// modules find more than many stops in few.
func shape(seed uint64) wasmgen.Config {
	if seed%8 == 0 {
		return wasmgen.Config{}
	}
	return wasmgen.Config{Fuel: 60, Size: 30, Funcs: 3}
}

func compare(ctx context.Context, wasm []byte, seed uint64) string {
	want := wasmgen.Execute(ctx, plain.Engine{}, wasm, seed)
	if want.Refused() {
		return "plain: " + want.Start
	}
	for _, e := range engines(seed) {
		got := wasmgen.Execute(ctx, e, wasm, seed)
		if d := want.Diff(got); d != "" {
			return fmt.Sprintf("%+v %+v: plain, rewritten: %s", e.Pass, e.Plan, d)
		}
	}
	return ""
}

// Random modules behave the same rewritten and stopped as they are.
func TestRandomModules(t *testing.T) {
	ctx := context.Background()
	start := time.Now()
	for seed := *first; seed < *first+uint64(*modules); seed++ {
		wasm := wasmgen.GenerateSeed(seed, shape(seed))
		if d := compare(ctx, wasm, seed); d != "" {
			small := wasmgen.Shrink(wasm, func(b []byte) bool { return compare(ctx, b, seed) != "" })
			name := fmt.Sprintf("%s/stasis-diff-%d.wasm", os.TempDir(), seed)
			_ = os.WriteFile(name, small, 0o600)
			t.Fatalf("seed %d: %s\nshrunk (%d bytes, %s): %s", seed, d, len(small), name, compare(ctx, small, seed))
		}
	}
	t.Logf("%d modules without a difference in %v", *modules, time.Since(start).Round(time.Millisecond))
}
