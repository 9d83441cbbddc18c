package wasmgen_test

import (
	"bytes"
	"context"
	"flag"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/wasm"
	"github.com/stasis-run/stasis/internal/wasmgen"
	"github.com/stasis-run/stasis/internal/wasmgen/plain"
)

var (
	modules = flag.Int("modules", 2000, "modules that the tests generate")
	first   = flag.Uint64("first", 0, "seed of the first module")
)

// seeds are the seeds of a test's modules, fewer in short runs.
func seeds(share int) []uint64 {
	n := *modules / share
	if testing.Short() {
		n /= 25
	}
	s := make([]uint64, n)
	for i := range s {
		s[i] = *first + uint64(i)
	}
	return s
}

// configs are the configurations that the tests take in turn.
var configs = []wasmgen.Config{
	{},
	{Fuel: 20000, Size: 25, Funcs: 10, Without: wasmgen.Exceptions}, // deep: wazero throws in the square of the depth
	{Fuel: 200, Size: 200, Funcs: 2},
	{Without: wasmgen.TypedRefs | wasmgen.ExtendedConst},
	{Without: wasmgen.SIMD | wasmgen.TailCalls},
}

func configOf(seed uint64) wasmgen.Config { return configs[seed%uint64(len(configs))] }

// An execution at a time: Go's collector must not run beside one (plain.Engine),
// so it runs between two.
func TestMain(m *testing.M) {
	flag.Parse()
	debug.SetGCPercent(-1)
	os.Exit(m.Run())
}

// executed is how many modules have run since the collector did.
var executed int

// execute runs a module plain.
func execute(ctx context.Context, e plain.Engine, b []byte, seed uint64) *wasmgen.Trace {
	if executed++; executed%20 == 0 {
		runtime.GC()
	}
	return wasmgen.Execute(ctx, e, b, seed)
}

// deadline is far above what a module takes; a module that does not end
// reaches it only at its own end, so the test's timeout is the real guard.
const deadline = 5 * time.Second

// Our own decoder and validator take every module and give back its bytes.
func TestModulesAreValid(t *testing.T) {
	for _, seed := range seeds(1) {
		b := wasmgen.GenerateSeed(seed, configOf(seed))
		m, err := wasm.Decode(b)
		if err == nil {
			err = wasm.Validate(m)
		}
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
			continue
		}
		if !bytes.Equal(wasm.Encode(m), b) {
			t.Errorf("seed %d: encoding the decoded module gives other bytes", seed)
		}
	}
}

// All modules compile, end, and run as before when they run again.
func TestModulesRun(t *testing.T) {
	ctx := t.Context()
	for _, seed := range seeds(1) {
		b := wasmgen.GenerateSeed(seed, configOf(seed))
		if !bytes.Equal(b, wasmgen.GenerateSeed(seed, configOf(seed))) {
			t.Fatalf("seed %d: two modules", seed)
		}
		start := time.Now()
		a := execute(ctx, plain.Engine{Interpreter: true}, b, seed)
		if d := time.Since(start); d > deadline {
			t.Errorf("seed %d: took %v", seed, d)
		}
		if a.Refused() {
			t.Errorf("seed %d: %s", seed, a.Start)
		}
		if d := a.Diff(execute(ctx, plain.Engine{Interpreter: true}, b, seed)); d != "" {
			t.Errorf("seed %d: two runs differ: %s", seed, d)
		}
	}
}

// wazero's compiler and interpreter agree: what a module does does not hang
// on what an engine may choose, the bits of NaNs above all.
func TestEnginesAgree(t *testing.T) {
	ctx := t.Context()
	for _, seed := range seeds(2) {
		cfg := configOf(seed)
		cfg.Without |= wasmgen.Exceptions // the compiler copies its whole stack at each try_table
		b := wasmgen.GenerateSeed(seed, cfg)
		compiled := execute(ctx, plain.Engine{}, b, seed)
		interpreted := execute(ctx, plain.Engine{Interpreter: true}, b, seed)
		if overflows(compiled) || overflows(interpreted) {
			continue // their stacks differ in size
		}
		if d := compiled.Diff(interpreted); d != "" {
			t.Errorf("seed %d: compiler, interpreter: %s", seed, d)
		}
	}
}

// overflows reports whether a call ended for want of stack.
func overflows(t *wasmgen.Trace) bool {
	return t.Start == "stack overflow" ||
		slices.ContainsFunc(t.Calls, func(c wasmgen.CallTrace) bool { return c.Trap == "stack overflow" })
}

// Modules do something: few calls trap, most leave a log, and fuel is a bound
// that some reach.
func TestModulesAreLively(t *testing.T) {
	ctx := t.Context()
	calls, uncaught, trapped, starts, quiet, logged := 0, 0, map[string]int{}, 0, 0, 0
	for _, seed := range seeds(2) {
		b := wasmgen.GenerateSeed(seed, wasmgen.Config{})
		tr := execute(ctx, plain.Engine{Interpreter: true}, b, seed)
		if tr.Start != "" {
			if tr.Start != wasmgen.Uncaught {
				starts++
			}
			continue
		}
		logged += tr.Host.Len
		if tr.Host.Len < 20 {
			quiet++
		}
		for _, c := range tr.Calls {
			if c.Func[0] != 'f' {
				continue
			}
			calls++
			switch c.Trap {
			case "":
			case wasmgen.Uncaught:
				uncaught++
			default:
				trapped[c.Trap]++
			}
		}
	}
	n, all := len(seeds(2)), 0
	for _, k := range trapped {
		all += k
	}
	t.Logf("%d modules: %d trap at start, %d log little, %d log entries; %d calls, %d throw, %d trap: %v",
		n, starts, quiet, logged, calls, uncaught, all, trapped)
	if starts*20 > n || all*5 > calls || uncaught*5 > calls || quiet*2 > n {
		t.Error("modules are too dull")
	}
}

// legacy are instructions that wazero does not run.
var legacy = []wasm.Opcode{wasm.OpTry, wasm.OpCatch, wasm.OpCatchAll, wasm.OpRethrow, wasm.OpDelegate}

// Every instruction is generated, and every one runs that an engine has.
func TestCoverage(t *testing.T) {
	ctx := t.Context()
	seen, ran := map[uint32]int{}, map[uint32]int{}
	for seed := range uint64(1000) {
		wasmgen.GenerateSeed(seed, wasmgen.CountOps(wasmgen.Config{Encoding: wasmgen.Mixed}, seen, false))
	}
	run := uint64(1000)
	if testing.Short() {
		run = 0
	}
	for seed := range run {
		b := wasmgen.GenerateSeed(seed, wasmgen.CountOps(wasmgen.Config{Fuel: 200}, nil, true))
		for op, n := range wasmgen.Marks(execute(ctx, plain.Engine{Interpreter: true}, b, seed).Host) {
			ran[op] += n
		}
	}
	ops := wasmgen.AllOps()
	least := ops[0]
	for _, op := range ops {
		if seen[op] == 0 || ran[op] == 0 && run > 0 && !slices.Contains(legacy, wasm.Opcode(op)) {
			t.Errorf("%v: generated %d times, ran %d times", wasm.Opcode(op), seen[op], ran[op])
		}
		if seen[op] < seen[least] {
			least = op
		}
	}
	t.Logf("%d instructions; least often: %v, %d times in 1,000 modules", len(ops), wasm.Opcode(least), seen[least])
}

// The generator's list of instructions is wasm's, but for the waits of threads.
func TestCoverageListIsComplete(t *testing.T) {
	have := map[uint32]bool{}
	for _, op := range wasmgen.AllOps() {
		if have[op] {
			t.Errorf("%v is there twice", wasm.Opcode(op))
		}
		have[op] = true
	}
	waits := []wasm.Opcode{wasm.OpMemoryAtomicWait32, wasm.OpMemoryAtomicWait64}
	for _, prefix := range []uint32{0, 0xfc << 16, 0xfd << 16, 0xfe << 16} {
		for c := range uint32(256) {
			op := wasm.Opcode(prefix | c)
			if want := op.Valid() && !slices.Contains(waits, op); want != have[prefix|c] {
				t.Errorf("%v: generated %v, want %v", op, have[prefix|c], want)
			}
		}
	}
}

// Short entropy gives valid modules, too, and none at all a small one.
func TestEntropy(t *testing.T) {
	src := wasmgen.GenerateSeed(1, wasmgen.Config{}) // bytes like any others
	for n := 0; n <= len(src); n += 1 + n/8 {
		b := wasmgen.Generate(src[:n], wasmgen.Config{})
		tr := execute(context.Background(), plain.Engine{Interpreter: true}, b, 1)
		if tr.Refused() {
			t.Errorf("%d bytes: %s", n, tr.Start)
		}
		if n == 0 && len(b) > 2000 {
			t.Errorf("no entropy makes %d bytes", len(b))
		}
	}
}

// Features that a configuration leaves out do not appear.
func TestWithout(t *testing.T) {
	seen := map[uint32]int{}
	without := wasmgen.SIMD | wasmgen.TailCalls | wasmgen.TypedRefs | wasmgen.ExtendedConst | wasmgen.Exceptions | wasmgen.Atomics
	for seed := range uint64(200) {
		wasmgen.GenerateSeed(seed, wasmgen.CountOps(wasmgen.Config{Without: without}, seen, false))
	}
	for _, op := range slices.Sorted(maps.Keys(seen)) {
		switch o := wasm.Opcode(op); o {
		case wasm.OpReturnCall, wasm.OpReturnCallIndirect, wasm.OpCallRef, wasm.OpReturnCallRef,
			wasm.OpRefAsNonNull, wasm.OpBrOnNull, wasm.OpBrOnNonNull,
			wasm.OpTry, wasm.OpThrow, wasm.OpThrowRef, wasm.OpTryTable:
			t.Errorf("%v appears", o)
		default:
			if op >= 0xfd<<16 {
				t.Errorf("%v appears", o)
			}
		}
	}
}

// FuzzEngines is the shape of a differential fuzz target: entropy makes a
// module, two engines run it.
func FuzzEngines(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(wasmgen.GenerateSeed(seed, wasmgen.Config{}), seed)
	}
	f.Fuzz(func(t *testing.T, entropy []byte, seed uint64) {
		b := wasmgen.Generate(entropy, wasmgen.Config{Fuel: 300, Without: wasmgen.Exceptions})
		x := execute(t.Context(), plain.Engine{}, b, seed)
		if x.Refused() {
			t.Fatal(x.Start)
		}
		if d := x.Diff(execute(t.Context(), plain.Engine{Interpreter: true}, b, seed)); d != "" {
			t.Error(d)
		}
	})
}

func BenchmarkGenerate(b *testing.B) {
	seed, size := uint64(0), 0
	for b.Loop() {
		seed++
		size += len(wasmgen.GenerateSeed(seed, wasmgen.Config{}))
	}
	b.ReportMetric(float64(size)/float64(seed), "B/module")
}
