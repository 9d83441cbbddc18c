package differential

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/enginetest"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/wasmgen"
	"github.com/stasis-run/stasis/internal/wasmgen/plain"
)

var (
	modules = flag.Int("modules", 150, "how many random modules to compare")
	first   = flag.Uint64("first", 1, "seed of the first module")
	keep    = flag.String("keep", "", "directory for modules that differ; without it they are not kept")
)

// limits are small enough that runaway recursion ends soon. Generated modules
// do not recurse that far: their fuel is short.
var limits = engine.Limits{Stack: 32 << 20, Memory: 64 << 20}

// Forms of the pass.
var (
	counted = instrument.Options{Counted: true}
	hops    = instrument.Options{Counted: true, PeelLimit: -1}
)

// A way is how a module is run through the pass.
type way struct {
	pass   instrument.Options
	interp wazero.Interpret
	plan   enginetest.Plan
	rand   bool
}

// ways has that in which programs really run first: stops are asked for from
// outside of the guest, here in a call of the host. The others are stopped at
// counted safepoints.
var ways = []way{
	{plan: enginetest.Plan{Look: 3, Save: 2}},
	{pass: counted, interp: wazero.InterpretNone, plan: enginetest.Plan{Every: 1, Calls: true}},
	{pass: hops, interp: wazero.InterpretAlways, plan: enginetest.Plan{Every: 1, Calls: true, Save: 7}},
	{pass: counted, interp: wazero.InterpretBriefly, plan: enginetest.Plan{Every: 5, Save: 2}, rand: true},
	{pass: hops, interp: wazero.InterpretNone, plan: enginetest.Plan{Every: 13, Save: 1}, rand: true},
}

// A comparer compares modules. Its engines are used for all of them.
type comparer struct {
	engines map[wazero.Options]*wazero.Engine
	interp  bool // of wazero
}

func newComparer(ctx context.Context, t testing.TB, interp bool) *comparer {
	c := &comparer{map[wazero.Options]*wazero.Engine{}, interp}
	for _, w := range ways {
		o := wazero.Options{Pass: w.pass, Interpret: w.interp, Interpreter: interp}
		if c.engines[o] != nil {
			continue
		}
		e, err := wazero.New(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
		c.engines[o] = e
	}
	return c
}

// compare runs a module plain and in one of the ways with counted stops, by
// turns, and every second one as programs really run, too. It returns the
// first difference.
func (c *comparer) compare(ctx context.Context, wasm []byte, seed uint64) string {
	want := wasmgen.Execute(ctx, plain.Engine{Interpreter: c.interp}, wasm, seed)
	if want.Refused() {
		return "plain: " + want.Start
	}
	n := len(ways) - 1
	for i, w := range ways {
		if i == 0 && seed/uint64(n)%2 != 0 || i > 0 && seed%uint64(n) != uint64(i-1) {
			continue
		}
		e := &Engine{Plan: w.plan, Limits: limits, Shared: c.engines[wazero.Options{Pass: w.pass, Interpret: w.interp, Interpreter: c.interp}]}
		if w.rand {
			e.Seed = seed | 1<<63
		}
		if d := want.Diff(wasmgen.Execute(ctx, e, wasm, seed)); d != "" {
			return fmt.Sprintf("%+v %+v, interpret %d: plain, rewritten: %s", w.pass, w.plan, w.interp, d)
		}
	}
	return ""
}

// blame says whose fault a difference is: wazero's, if its own compiler and
// interpreter differ about the module, or if the interpreter finds no
// difference between plain and rewritten.
func (c *comparer) blame(ctx context.Context, t testing.TB, wasm []byte, seed uint64) (wazeros bool, why string) {
	a := wasmgen.Execute(ctx, plain.Engine{}, wasm, seed)
	b := wasmgen.Execute(ctx, plain.Engine{Interpreter: true}, wasm, seed)
	if d := a.Diff(b); d != "" {
		return true, "wazero's compiler and interpreter differ: " + d
	}
	if newComparer(ctx, t, true).compare(ctx, wasm, seed) == "" {
		return true, "on wazero's interpreter there is no difference"
	}
	return false, "a fault of ours"
}

// shape has one module in eight large, the others small: many stops in many
// modules find more than many stops in few.
func shape(seed uint64) wasmgen.Config {
	if seed%8 == 0 {
		return wasmgen.Config{}
	}
	return wasmgen.Config{Fuel: 60, Size: 30, Funcs: 3}
}

// maxDifferences is how many are reported before the test gives up.
const maxDifferences = 20

// Random modules behave the same rewritten and stopped as they are.
func TestRandomModules(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	if testing.Short() {
		*modules = min(*modules, 40)
	}
	ctx := context.Background()
	c := newComparer(ctx, t, false)
	start := time.Now()
	ours, wazeros := 0, 0
	for n := range *modules {
		seed := *first + uint64(n)
		if n > 0 && n%5000 == 0 {
			t.Logf("%d modules in %v, %d differ, %d by wazero's fault", n, time.Since(start).Round(time.Second), ours, wazeros)
			if testing.Verbose() {
				fmt.Fprintf(os.Stderr, "%d modules, next seed %d, %d differ, %d by wazero's fault\n", n, seed, ours, wazeros)
			}
		}
		wasm := wasmgen.GenerateSeed(seed, shape(seed))
		d := c.compare(ctx, wasm, seed)
		if d == "" {
			continue
		}
		theirs, why := c.blame(ctx, t, wasm, seed)
		if theirs {
			wazeros++
			t.Logf("seed %d: %s: %s", seed, why, d)
			continue
		}
		small := wasmgen.Shrink(wasm, func(b []byte) bool { return c.compare(ctx, b, seed) != "" })
		t.Errorf("seed %d: %s\nshrunk to %d bytes%s: %s", seed, d, len(small), kept(t, small, seed), c.compare(ctx, small, seed))
		if ours++; ours == maxDifferences {
			t.Fatalf("%d differences in %d modules: no more are looked for", ours, n+1)
		}
	}
	t.Logf("%d modules, %d differ, %d by a fault of wazero's, in %v", *modules, ours, wazeros, time.Since(start).Round(time.Millisecond))
}

// kept writes a module that differs where -keep says, and tells where.
func kept(t *testing.T, wasm []byte, seed uint64) string {
	if *keep == "" {
		return ""
	}
	name := filepath.Join(*keep, fmt.Sprintf("differs-%d.wasm", seed))
	if err := os.WriteFile(name, wasm, 0o600); err != nil {
		t.Error(err)
	}
	return ", " + name
}

// FuzzDifferential makes modules of entropy and compares them as above.
func FuzzDifferential(f *testing.F) {
	for seed := range uint64(4) {
		b := make([]byte, 0, 512)
		for i := range uint64(64) {
			b = binary.LittleEndian.AppendUint64(b, (seed+1)*(2*i+1)*0x9e3779b97f4a7c15)
		}
		f.Add(b, seed)
	}
	ctx := context.Background()
	c := newComparer(ctx, f, false)
	f.Fuzz(func(t *testing.T, entropy []byte, seed uint64) {
		wasm := wasmgen.Generate(entropy, shape(1))
		d := c.compare(ctx, wasm, seed)
		if d == "" {
			return
		}
		if theirs, why := c.blame(ctx, t, wasm, seed); theirs {
			t.Skip(why, d)
		}
		t.Errorf("%x: %s", wasm, d)
	})
}

// Threads, modules and what belongs to them are gone when they are closed:
// goroutines, mappings and the heap stay as they are however many modules an
// engine has run.
func TestNothingLeaks(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles 120 modules")
	}
	ctx := context.Background()
	c := newComparer(ctx, t, false)
	run := func(from, n uint64) {
		for seed := from; seed < from+n; seed++ {
			if d := c.compare(ctx, wasmgen.GenerateSeed(seed, shape(1)), seed); d != "" {
				t.Fatalf("seed %d: %s", seed, d)
			}
		}
	}
	type usage struct {
		goroutines, mappings int
		heap                 uint64
	}
	measure := func() (u usage) {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // finalizers of the first
		runtime.ReadMemStats(&m)
		u.goroutines, u.heap = runtime.NumGoroutine(), m.HeapAlloc
		if b, err := os.ReadFile("/proc/self/maps"); err == nil {
			u.mappings = strings.Count(string(b), "\n")
		}
		return u
	}
	const n = 40
	run(1, n) // pools fill
	before := measure()
	run(1, n)
	run(1, n)
	after := measure()
	t.Logf("%+v, after %d modules more %+v", before, 2*n, after)
	if after.goroutines > before.goroutines {
		t.Errorf("%d goroutines, %d before", after.goroutines, before.goroutines)
	}
	if after.mappings > before.mappings+n/2 {
		t.Errorf("%d mappings, %d before", after.mappings, before.mappings)
	}
	if after.heap > before.heap+n*16<<10 {
		t.Errorf("%d bytes of heap, %d before", after.heap, before.heap)
	}
}
