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
	"github.com/stasis-run/stasis/internal/wasm"
	"github.com/stasis-run/stasis/internal/wasmgen"
	"github.com/stasis-run/stasis/internal/wasmgen/plain"
)

var (
	modules  = flag.Int("modules", 1000, "how many random modules to compare")
	first    = flag.Uint64("first", 1, "seed of the first module")
	compiled = flag.Uint64("compiled", 24, "one in how many modules runs on wazero's compiler; the others run on its interpreter")
	stop     = flag.Bool("stop", false, "end at the first difference, and do not shrink it")
	keep     = flag.String("keep", "", "directory for modules that differ; without it they are not kept")
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
	name   string
	pass   instrument.Options
	interp wazero.Interpret
	plan   enginetest.Plan
	rand   bool
	park   bool // Thread.Park takes all instances
}

// ways has that in which programs really run first: stops are asked for from
// outside of the guest, here in calls of the host. The others are stopped at
// counted safepoints. A program is saved a few times only, but not always at
// the same stops.
var ways = []way{
	{name: "as programs run", plan: enginetest.Plan{Early: true, Look: 1, Save: 3, Saves: 3}},
	{name: "continuations compiled", pass: counted, interp: wazero.InterpretNone, plan: enginetest.Plan{Every: 1, Calls: true}},
	{name: "frames interpreted", pass: hops, interp: wazero.InterpretAlways, plan: enginetest.Plan{Every: 1, Calls: true, Save: 7, Saves: 4}},
	{name: "one after the other", pass: counted, interp: wazero.InterpretBriefly, plan: enginetest.Plan{Every: 1, Save: 3, Saves: 4}, rand: true},
	{name: "hops compiled", pass: hops, interp: wazero.InterpretNone, plan: enginetest.Plan{Every: 1, Calls: true, Save: 2, Saves: 4}, rand: true},
}

// A comparer compares modules. What it runs them on is used for all of them.
// While it lives Go's collector runs between two modules only: see plain.Engine.
type comparer struct {
	t       testing.TB
	engines map[wazero.Options]*wazero.Engine
	plain   [2]*plain.Runtime // compiler, interpreter
	without wasmgen.Feature   // what the pass does not take
	cover   *coverage         // may be nil
	runs    int
}

func newComparer(ctx context.Context, t testing.TB) *comparer {
	old := debug.SetGCPercent(-1)
	t.Cleanup(func() { debug.SetGCPercent(old) })
	c := &comparer{t: t, engines: map[wazero.Options]*wazero.Engine{}}
	for i := range c.plain {
		r, err := plain.NewRuntime(ctx, i == 1)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closed(t, r.Close()) })
		c.plain[i] = r
	}
	t.Cleanup(func() {
		for _, e := range c.engines {
			closed(t, e.Close())
		}
	})
	c.without = c.unsupported(ctx)
	return c
}

func closed(t testing.TB, err error) {
	if err != nil {
		t.Error(err)
	}
}

// engine is the one for a way, on wazero's compiler or interpreter.
func (c *comparer) engine(ctx context.Context, w way, interpreter bool) *wazero.Engine {
	o := wazero.Options{Pass: w.pass, Interpret: w.interp, Interpreter: interpreter, ParkAll: w.park}
	if c.engines[o] == nil {
		e, err := wazero.New(ctx, o)
		if err != nil {
			c.t.Fatal(err)
		}
		c.engines[o] = e
	}
	return c.engines[o]
}

// collectEvery is after how many modules the collector runs.
const collectEvery = 40

// collect runs the collector now and then. Nothing else runs.
func (c *comparer) collect() {
	if c.runs++; c.runs%collectEvery == 0 {
		runtime.GC()
	}
}

// A program is one module in all its encodings.
type program func(wasmgen.Encoding) []byte

// A run says how a program is compared.
type run struct {
	seed     uint64
	way      way
	encoding wasmgen.Encoding
	compiler bool // wazero's, for the rewritten one
}

// runOf is that of a seed: all combinations by turns.
func runOf(seed uint64) run {
	n := seed
	r := run{seed: seed, way: ways[n%uint64(len(ways))]}
	n /= uint64(len(ways))
	r.encoding = wasmgen.TryTable + wasmgen.Encoding(n%3)
	r.compiler = n/3%*compiled == 0
	return r
}

func (r run) String() string {
	return fmt.Sprintf("%s, encoding %d, compiler %v", r.way.name, r.encoding, r.compiler)
}

// compare runs a program plain on wazero's interpreter, which needs no
// compiling and shares no code with anything here, and through the pass. It
// returns the first difference.
func (c *comparer) compare(ctx context.Context, p program, r run) string {
	c.collect()
	want := wasmgen.Execute(ctx, c.plain[1], p(wasmgen.Reference), r.seed)
	if want.Refused() {
		return "plain: " + want.Start
	}
	stops := &Stops{}
	e := &Engine{Plan: r.way.plan, Limits: limits, Stops: stops, Shared: c.engine(ctx, r.way, !r.compiler)}
	if r.way.rand {
		e.Seed = r.seed | 1<<63
	}
	b := p(r.encoding)
	if c.cover != nil && r.seed%sampled == 0 {
		sm, err := mapSites(b)
		if err != nil {
			return err.Error()
		}
		e.Plan.Stopped = func(th engine.Thread) { c.cover.stop(c.t, sm, th) }
	}
	d := want.Diff(wasmgen.Execute(ctx, e, b, r.seed))
	if c.cover != nil {
		c.cover.run(r.way.name, want, stops)
	}
	if d != "" {
		d = fmt.Sprintf("%v: plain, rewritten: %s", r, d)
	}
	return d
}

// blame says whose fault a difference is: wazero's, if its own compiler and
// interpreter differ about the module, or if the interpreter finds no
// difference between plain and rewritten.
func (c *comparer) blame(ctx context.Context, p program, r run) (wazeros bool, why string) {
	c.cover = nil
	b := p(wasmgen.Reference)
	if m, err := wasm.Decode(b); err == nil && len(m.Tags) == 0 { // its compiler is no judge of exceptions
		x := wasmgen.Execute(ctx, c.plain[0], b, r.seed)
		if d := x.Diff(wasmgen.Execute(ctx, c.plain[1], b, r.seed)); d != "" {
			return true, "wazero's compiler and interpreter differ: " + d
		}
	}
	if r.compiler {
		r.compiler = false
		if c.compare(ctx, p, r) == "" {
			return true, "on wazero's interpreter there is no difference"
		}
	}
	return false, "a fault of ours"
}

// notInterpreted is what keeps functions out of our interpreter. Half of the
// modules whose frames may be interpreted do without.
const notInterpreted = wasmgen.SIMD | wasmgen.TypedRefs | wasmgen.TailCalls | wasmgen.Exceptions | wasmgen.Atomics

// shape has one module in 32 large, the others small: many stops in many
// modules find more than many stops in few.
func (c *comparer) shape(seed uint64) wasmgen.Config {
	if seed%32 == 31 {
		return wasmgen.Config{Fuel: 300, Without: c.without}
	}
	cfg := wasmgen.Config{Fuel: 50, Size: 40, Funcs: 3, Without: c.without}
	if w := runOf(seed).way; w.interp != wazero.InterpretNone && seed/uint64(len(ways))%2 == 0 {
		cfg.Without |= notInterpreted
	}
	return cfg
}

// seeded is the program of a seed.
func (c *comparer) seeded(seed uint64) program {
	cfg := c.shape(seed)
	return func(e wasmgen.Encoding) []byte {
		cfg.Encoding = e
		return wasmgen.GenerateSeed(seed, cfg)
	}
}

// shrink makes the program of a seed smaller as long as it differs.
func (c *comparer) shrink(ctx context.Context, seed uint64, r run) program {
	cfg := c.shape(seed)
	chosen := func(ch wasmgen.Choices) program {
		return func(e wasmgen.Encoding) []byte {
			cfg.Encoding = e
			return wasmgen.GenerateChoices(ch, cfg)
		}
	}
	end := time.Now().Add(time.Minute)
	small := wasmgen.ShrinkChoices(wasmgen.NoteSeed(seed, cfg), func(ch wasmgen.Choices) bool {
		return time.Now().Before(end) && c.compare(ctx, chosen(ch), r) != ""
	})
	return chosen(small)
}

// enoughModules is how many have to be there to say what they cover.
const enoughModules = 300

// maxDifferences is how many are reported before the test gives up.
const maxDifferences = 20

// Random modules behave the same rewritten and stopped as they are.
func TestRandomModules(t *testing.T) {
	if testing.Short() {
		*modules = min(*modules, 300)
	}
	ctx := context.Background()
	c := newComparer(ctx, t)
	cover := newCoverage()
	start := time.Now()
	ours, wazeros := 0, 0
	for n := range *modules {
		seed := *first + uint64(n)
		if n > 0 && n%5000 == 0 && testing.Verbose() {
			fmt.Fprintf(os.Stderr, "%d modules in %v, next seed %d, %d differ, %d by wazero's fault\n",
				n, time.Since(start).Round(time.Second), seed, ours, wazeros)
		}
		p, r := c.seeded(seed), runOf(seed)
		c.cover = cover
		d := c.compare(ctx, p, r)
		if seed%sampled == 0 {
			c.look(ctx, seed)
		}
		if d == "" {
			continue
		}
		if *stop {
			t.Fatalf("seed %d: %s", seed, d)
		}
		theirs, why := c.blame(ctx, p, r)
		if theirs {
			wazeros++
			t.Logf("seed %d: %s: %s", seed, why, d)
			continue
		}
		small := c.shrink(ctx, seed, r)
		t.Errorf("seed %d: %s\nshrunk to %d bytes%s: %s", seed, d, len(small(r.encoding)), kept(t, small(r.encoding), seed), c.compare(ctx, small, r))
		if ours++; ours == maxDifferences {
			t.Fatalf("%d differences in %d modules: no more are looked for", ours, n+1)
		}
	}
	took := time.Since(start)
	t.Logf("seeds %d to %d: %d differ, %d by a fault of wazero's, in %v: %.0f modules/s\n%v",
		*first, *first+uint64(*modules)-1, ours, wazeros, took.Round(time.Millisecond), float64(*modules)/took.Seconds(), cover)
	if *modules >= enoughModules && !*stop {
		cover.check(t)
	}
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
	c := newComparer(ctx, f)
	f.Fuzz(func(t *testing.T, entropy []byte, seed uint64) {
		p := func(e wasmgen.Encoding) []byte {
			cfg := c.shape(1)
			cfg.Encoding = e
			return wasmgen.Generate(entropy, cfg)
		}
		r := runOf(seed)
		d := c.compare(ctx, p, r)
		if d == "" {
			return
		}
		if theirs, why := c.blame(ctx, p, r); theirs {
			t.Skip(why, d)
		}
		t.Errorf("%x: %s", p(r.encoding), d)
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
	c := newComparer(ctx, t)
	run := func(from, n uint64) {
		for seed := from; seed < from+n; seed++ {
			r := runOf(seed)
			r.compiler = true
			if d := c.compare(ctx, c.seeded(seed), r); d != "" {
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
