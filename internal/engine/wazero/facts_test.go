package wazero_test

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/stasis-run/stasis/internal/wasm"
)

// What the adapter and the pass rely on and wazero does not promise. When one
// of these tests fails with a later version, look for what relies on it.

// A fact is an instance of a module of testdata/facts on plain wazero.
type fact struct {
	t       *testing.T
	ctx     context.Context
	runtime wazero.Runtime
}

func newFact(t *testing.T) *fact {
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithCoreFeatures(api.CoreFeaturesV2|experimental.CoreFeaturesTailCall))
	t.Cleanup(func() {
		if err := r.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return &fact{t, ctx, r}
}

// host gives module env a function.
func (f *fact) host(name string, params []api.ValueType, fn api.GoModuleFunc) {
	f.t.Helper()
	_, err := f.runtime.NewHostModuleBuilder("env").NewFunctionBuilder().
		WithGoModuleFunction(fn, params, nil).Export(name).Instantiate(f.ctx)
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fact) read(name string) []byte {
	f.t.Helper()
	b, err := os.ReadFile("testdata/facts/" + name + ".wasm")
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

func (f *fact) instance(ctx context.Context, name string) api.Module {
	f.t.Helper()
	m, err := f.runtime.InstantiateWithConfig(ctx, f.read(name), wazero.NewModuleConfig().WithName(""))
	if err != nil {
		f.t.Fatal(err)
	}
	return m
}

func (f *fact) call(m api.Module, fn string, args ...uint64) []uint64 {
	f.t.Helper()
	res, err := m.ExportedFunction(fn).Call(f.ctx, args...)
	if err != nil {
		f.t.Fatalf("%s: %v", fn, err)
	}
	return res
}

// A loop reads a global anew each time round, so another goroutine can have it
// stop (look).
func TestFactGlobalSeenByLoop(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection would wait for the loop
	runtime.GC()                                     // and so would one that is under way
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))  // the loop keeps one
	f := newFact(t)
	f.host("touch", nil, func(context.Context, api.Module, []uint64) {})
	m := f.instance(f.ctx, "globals")
	g := m.ExportedGlobal("g").(api.MutableGlobal)
	began := make(chan bool, 1)
	go func() {
		began <- moves(m.ExportedMemory("mem"))
		g.Set(1)
	}()
	if r := f.call(m, "spin", 20_000_000_000); uint32(r[0]) != 1 {
		t.Error("a loop did not see that a global was set")
	}
	if !<-began {
		t.Error("the loop was not seen to run")
	}
}

// moves waits until the first word of a memory is not zero any more.
func moves(m api.Memory) bool {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); runtime.Gosched() {
		if n, _ := m.ReadUint64Le(0); n != 0 {
			return true
		}
	}
	return false
}

// A global is read anew after a call (mode).
func TestFactGlobalSeenAfterCall(t *testing.T) {
	f := newFact(t)
	var g api.MutableGlobal
	f.host("touch", nil, func(context.Context, api.Module, []uint64) { g.Set(9) })
	m := f.instance(f.ctx, "globals")
	g = m.ExportedGlobal("g").(api.MutableGlobal)
	if r := f.call(m, "after"); uint32(r[0]) != 0 || uint32(r[1]) != 9 {
		t.Errorf("before and after the call: %d; want 0, 9", r)
	}
}

// Modules without a name import each other's memories, tables and globals
// through a resolver, and see how the memory grows meanwhile: continuations.
func TestFactSharedState(t *testing.T) {
	f := newFact(t)
	hot := f.instance(f.ctx, "hot")
	ctx := experimental.WithImportResolver(f.ctx, func(name string) api.Module {
		if name == "hot" {
			return hot
		}
		return nil
	})
	for i := range uint64(2) { // two instances over the same state
		cont := f.instance(ctx, "cont")
		if r := f.call(cont, "cont"); uint32(r[0]) != 5 || uint32(r[1]) != uint32(3+2*i) {
			t.Errorf("through the table and the memory's size: %d; want 5, %d", r, 3+2*i)
		}
		if r := f.call(hot, "last"); uint32(r[0]) != 77 {
			t.Errorf("memory: %d; want 77", r)
		}
		if r := f.call(hot, "global"); r[0] != 42+41*i {
			t.Errorf("global: %d; want %d", r, 42+41*i)
		}
	}
}

// The trace of a trap names functions without a name by their index, 30 at
// most (Trap.Funcs).
func TestFactTrace(t *testing.T) {
	f := newFact(t)
	f.host("take", []api.ValueType{api.ValueTypeI32}, func(context.Context, api.Module, []uint64) {})
	m := f.instance(f.ctx, "misc")
	_, err := m.ExportedFunction("trap").Call(f.ctx, 3)
	if err == nil {
		t.Fatal("no trap")
	}
	if !strings.HasPrefix(err.Error(), "wasm error: unreachable\nwasm stack trace:") || strings.Count(err.Error(), ".$1(") != 4 {
		t.Errorf("trap: %v", err)
	}
	_, err = m.ExportedFunction("trap").Call(f.ctx, 100)
	if n := strings.Count(err.Error(), ".$1("); n != 30 {
		t.Errorf("%d functions in the trace of a deep stack; want 30", n)
	}
}

// The upper half of the word of an i32 is not defined (masks).
func TestFactUpperHalves(t *testing.T) {
	f := newFact(t)
	var taken uint64
	f.host("take", []api.ValueType{api.ValueTypeI32}, func(_ context.Context, _ api.Module, s []uint64) { taken = s[0] })
	m := f.instance(f.ctx, "misc")
	const v = 0xdeadbeef_00000007
	r := f.call(m, "wrap", v)[0]
	f.call(m, "give", v)
	if uint32(r) != 7 || uint32(taken) != 7 {
		t.Errorf("result %#x, argument %#x; want 7", r, taken)
	}
	if r == 7 && taken == 7 {
		t.Error("the upper halves of results and arguments are clean now; masks could go")
	}
	t.Logf("result %#x, argument %#x", r, taken)
}

// Where an allocator gives nil, memory.grow returns -1 and the memory stays.
func TestFactAllocatorRefuses(t *testing.T) {
	f := newFact(t)
	f.host("take", []api.ValueType{api.ValueTypeI32}, func(context.Context, api.Module, []uint64) {})
	ctx := experimental.WithMemoryAllocator(f.ctx, experimental.MemoryAllocatorFunc(func(_, _ uint64) experimental.LinearMemory {
		return &stingy{b: make([]byte, 4<<16), most: 4 << 16}
	}))
	m := f.instance(ctx, "misc")
	for _, tt := range []struct{ grow, want uint32 }{{2, 1}, {2, 0xffffffff}, {1, 3}, {0, 4}, {1, 0xffffffff}} {
		if r := f.call(m, "grow", uint64(tt.grow)); uint32(r[0]) != tt.want {
			t.Errorf("memory.grow %d: %d; want %d", tt.grow, int32(r[0]), int32(tt.want))
		}
	}
}

// stingy is a memory that ends early.
type stingy struct {
	b    []byte
	most uint64
}

func (s *stingy) Reallocate(n uint64) []byte {
	if n > s.most {
		return nil
	}
	return s.b[:n]
}

func (s *stingy) Free() {}

// The engine's own stack holds more than a segment of ours (segmentSize): a
// frame of the smallest function takes 16 bytes of ours at least, and half a
// million of them fit. Beyond its end is a trap, not a crash.
func TestFactStackCeiling(t *testing.T) {
	f := newFact(t)
	f.host("take", []api.ValueType{api.ValueTypeI32}, func(context.Context, api.Module, []uint64) {})
	m := f.instance(f.ctx, "misc")
	const fits = 8 << 20 / 16
	if r := f.call(m, "deep", fits); uint32(r[0]) != fits {
		t.Errorf("deep: %d; want %d", r, fits)
	}
	_, err := m.ExportedFunction("deep").Call(f.ctx, 100_000_000)
	if err == nil || !strings.Contains(err.Error(), "stack overflow") {
		t.Errorf("recursion without end: %v; want a stack overflow", err)
	}
	if r := f.call(m, "deep", 10); uint32(r[0]) != 10 {
		t.Errorf("after an overflow: %d; want 10", r)
	}
}

// A passive segment of externrefs is empty, so that table.init of what is in
// it traps.
func TestFactExternrefSegments(t *testing.T) {
	f := newFact(t)
	f.host("take", []api.ValueType{api.ValueTypeI32}, func(context.Context, api.Module, []uint64) {})
	m := f.instance(f.ctx, "misc")
	f.call(m, "init", 0)
	if _, err := m.ExportedFunction("init").Call(f.ctx, 1); err == nil {
		t.Error("a passive segment of externrefs is not empty any more")
	}
}

// A SIMD opcode may be padded (LEB128) by the specification; wazero takes it for
// another one. So the pass encodes all of them anew.
func TestFactPaddedOpcodes(t *testing.T) {
	m := &wasm.Module{Types: []wasm.FuncType{{}}, Funcs: []uint32{0}}
	body := func(opcode ...byte) []byte { // v128.const, drop
		b := append([]byte{0xfd}, opcode...)
		return append(append(b, make([]byte, 16)...), 0x1a, 0x0b)
	}
	f := newFact(t)
	for _, tt := range []struct {
		opcode []byte
		right  bool
	}{{[]byte{0x0c}, true}, {[]byte{0x8c, 0x00}, false}} {
		m.Code = []wasm.Code{{Body: body(tt.opcode...)}}
		if err := wasm.Validate(m); err != nil {
			t.Fatal(err)
		}
		if _, err := f.runtime.CompileModule(f.ctx, wasm.Encode(m)); err == nil != tt.right {
			t.Errorf("opcode %x: %v; want it read right: %v", tt.opcode, err, tt.right)
		}
	}
}
