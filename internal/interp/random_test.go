package interp

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/stasis-run/stasis/internal/wasm"
	"github.com/stasis-run/stasis/internal/wasmgen"
	"github.com/stasis-run/stasis/internal/wasmgen/plain"
)

var (
	modules = flag.Int("modules", 600, "modules that TestRandomModules generates")
	first   = flag.Uint64("first", 0, "seed of the first module")
)

// without is what is not interpreted. Exceptions make wazero's compiler slow.
const without = wasmgen.SIMD | wasmgen.TailCalls | wasmgen.TypedRefs | wasmgen.Exceptions | wasmgen.Atomics

// configs are the configurations that seeds take in turn. Vectors are left out
// as they are not interpreted; references are, too, but generated functions
// need not have any. The bits of NaNs show in most of them.
var configs = []wasmgen.Config{
	{Without: without, RawNaN: true},
	{Without: without, RawNaN: true, Size: 25, Funcs: 10, Fuel: 5000},
	{Without: without, RawNaN: true, Size: 200, Funcs: 2},
	{Without: without},
	{Without: wasmgen.Exceptions | wasmgen.Atomics},
}

// Random modules do the same whether their functions are compiled or run by
// the interpreter as far as it can.
func TestRandomModules(t *testing.T) {
	n := *modules
	if testing.Short() {
		n /= 8
	}
	var all tally
	skipped := 0
	for i := range n {
		seed := *first + uint64(i)
		b := wasmgen.GenerateSeed(seed, configs[seed%uint64(len(configs))])
		diff, one := compareModule(t.Context(), b, seed)
		if diff == tooDeep {
			skipped++
			continue
		}
		if diff != "" {
			t.Errorf("seed %d: %s", seed, diff)
		}
		all.add(one)
	}
	t.Logf("%d modules, %d skipped; %d of %d functions interpreted; %d runs of %d instructions; events: %v",
		n, skipped, all.supported, all.functions, all.runs, all.instrs, all.events)
	if all.supported*3 < all.functions {
		t.Errorf("%d of %d functions are interpreted, want a third", all.supported, all.functions)
	}
	if skipped*5 > n {
		t.Errorf("%d of %d modules skipped", skipped, n)
	}
}

// FuzzModules is TestRandomModules for modules made of a fuzzer's entropy.
func FuzzModules(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(wasmgen.GenerateSeed(seed, wasmgen.Config{}), seed)
	}
	f.Fuzz(func(t *testing.T, entropy []byte, seed uint64) {
		cfg := configs[0]
		cfg.Fuel = 300
		diff, _ := compareModule(t.Context(), wasmgen.Generate(entropy, cfg), seed)
		if diff != "" && diff != tooDeep {
			t.Error(diff)
		}
	})
}

// tooDeep says that a module can't be compared as stacks differ in size.
const tooDeep = "stack overflow"

// compareModule runs a module both ways and says where they differ first.
func compareModule(ctx context.Context, b []byte, seed uint64) (diff string, n tally) {
	compiled := wasmgen.Execute(ctx, plain.Engine{}, b, seed)
	e := &engine{}
	interpreted := wasmgen.Execute(ctx, e, b, seed)
	for _, tr := range []*wasmgen.Trace{compiled, interpreted} {
		if tr.Refused() {
			return "refused: " + tr.Start, e.tally
		}
		if tr.Start == tooDeep || slices.ContainsFunc(tr.Calls, func(c wasmgen.CallTrace) bool { return c.Trap == tooDeep }) {
			return tooDeep, e.tally
		}
	}
	return compiled.Diff(interpreted), e.tally
}

// A tally counts what the interpreter did.
type tally struct {
	functions, supported int
	runs, instrs         int
	events               map[string]int
}

func (t *tally) add(o tally) {
	t.functions += o.functions
	t.supported += o.supported
	t.runs += o.runs
	t.instrs += o.instrs
	if t.events == nil {
		t.events = map[string]int{}
	}
	for k, n := range o.events {
		t.events[k] += n
	}
}

// maxInstrs is far more than the fuel of a generated module lets it run: a
// fault in the interpreter must not keep a test from ending.
const maxInstrs = 100 << 20

// An engine is a wasmgen.Engine that interprets what it can, in an instance of
// wazero's: memory, globals and tables are the instance's, and what is not
// interpreted runs there.
type engine struct {
	tally tally
}

func (e *engine) Instantiate(ctx context.Context, b []byte, h *wasmgen.Host) (wasmgen.Instance, error) {
	m, err := wasm.Decode(b)
	if err != nil {
		return nil, err
	}
	x := &mixed{ctx: ctx, m: m, spaces: m.Spaces(), tally: &e.tally, exports: map[string]uint32{}, calls: map[string]api.Function{}}
	e.tally.events = map[string]int{}
	for _, exp := range m.Exports {
		if exp.Kind == wasm.ExternFunc {
			x.exports[exp.Name] = exp.Index
		}
	}
	x.imports = m.NumImports(wasm.ExternFunc)
	for i := range m.Code {
		c, err := Prepare(m, x.spaces, i)
		if err != nil && !errors.Is(err, ErrUnsupported) {
			return nil, err
		}
		x.codes = append(x.codes, c)
		e.tally.functions++
		if c != nil {
			e.tally.supported++
		}
	}
	x.r = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithCoreFeatures(plain.Features))
	if err := x.instantiate(h); err != nil {
		x.r.Close(ctx)
		return nil, err
	}
	return x, nil
}

// mixed is an instance whose functions are interpreted or compiled.
type mixed struct {
	ctx     context.Context
	m       *wasm.Module
	spaces  *wasm.Spaces
	codes   []*Code // by defined function; nil is not interpreted
	imports int
	tally   *tally

	r       wazero.Runtime
	mod     api.Module
	exports map[string]uint32 // the module's own functions
	calls   map[string]api.Function
	globals []api.Global
	depth   int
}

func (x *mixed) instantiate(h *wasmgen.Host) error {
	env := x.r.NewHostModuleBuilder("env")
	for _, f := range wasmgen.HostFuncs() {
		call := api.GoFunc(func(_ context.Context, stack []uint64) { f.Call(h, stack) })
		env.NewFunctionBuilder().WithGoFunction(call, plain.Types(f.Params), plain.Types(f.Results)).Export(f.Name)
	}
	if _, err := env.Instantiate(x.ctx); err != nil {
		return err
	}
	var err error
	if x.mod, err = x.r.Instantiate(x.ctx, wasm.Encode(withDoors(x.m))); err != nil {
		return err
	}
	for i := range x.spaces.Globals {
		x.globals = append(x.globals, x.mod.ExportedGlobal(fmt.Sprintf("g%d", i)))
	}
	return nil
}

// withDoors is a copy of m with an export for each function, and one for each
// call_indirect that an interpreted function may do.
func withDoors(m *wasm.Module) *wasm.Module {
	d := *m
	d.Exports, d.Types = slices.Clone(m.Exports), slices.Clone(m.Types)
	d.Funcs, d.Code = slices.Clone(m.Funcs), slices.Clone(m.Code)
	spaces := m.Spaces()
	for i := range spaces.Funcs {
		d.Exports = append(d.Exports, wasm.Export{Name: door(uint32(i)), Index: uint32(i)})
	}
	for table := range spaces.Tables {
		if spaces.Tables[table].Elem != wasm.FuncRef {
			continue
		}
		for typ, sig := range m.Types {
			var code []wasm.Instr
			for p := range len(sig.Params) + 1 {
				code = append(code, get(uint64(p)))
			}
			d.Exports = append(d.Exports, wasm.Export{
				Name:  indirectDoor(uint32(typ), uint32(table)),
				Index: uint32(len(spaces.Funcs) + len(d.Funcs) - len(m.Funcs)),
			})
			d.Funcs = append(d.Funcs, uint32(len(d.Types)))
			d.Types = append(d.Types, wasm.FuncType{
				Params: append(slices.Clone(sig.Params), wasm.I32), Results: sig.Results,
			})
			d.Code = append(d.Code, wasm.Code{Body: body(append(code, in(wasm.OpCallIndirect, uint64(typ), uint64(table)))...)})
		}
	}
	return &d
}

func door(fn uint32) string                 { return fmt.Sprintf("door %d", fn) }
func indirectDoor(typ, table uint32) string { return fmt.Sprintf("door %d in %d", typ, table) }

func (x *mixed) Call(_ context.Context, name string, args []uint64) ([]uint64, error) {
	fn, ok := x.exports[name]
	if !ok {
		return nil, fmt.Errorf("no function %q", name)
	}
	x.depth = 0
	return x.call(fn, args)
}

// call calls a function of the module.
func (x *mixed) call(fn uint32, args []uint64) ([]uint64, error) {
	if int(fn) < x.imports || x.codes[int(fn)-x.imports] == nil {
		return x.compiled(door(fn), args)
	}
	x.depth++
	defer func() { x.depth-- }()
	if x.depth > 10000 {
		return nil, errors.New(tooDeep)
	}
	c := x.codes[int(fn)-x.imports]
	f := enter(c, args...)
	for {
		ev, n := c.Run(f, x)
		x.tally.runs++
		x.tally.instrs += n
		x.tally.events[ev.Kind.String()]++
		if x.tally.instrs > maxInstrs {
			return nil, fmt.Errorf("%d instructions, and no end", maxInstrs)
		}
		switch ev.Kind {
		case Return:
			return f.Stack, nil
		case Trap:
			return nil, errors.New(ev.Trap)
		case Loop:
		case Bulk:
			x.bulk(c, f)
		case Call, CallIndirect:
			if err := x.callAt(c, f); err != nil {
				return nil, err
			}
		}
	}
}

// callAt does the call that a frame is at.
func (x *mixed) callAt(c *Code, f *Frame) error {
	var results []uint64
	var sig wasm.FuncType
	var err error
	args := func(more int) []uint64 { // the parameters and more operands
		from := len(f.Stack) - len(sig.Params) - more
		list := slices.Clone(f.Stack[from:])
		f.Stack = f.Stack[:from]
		return list
	}
	if fn, ok := c.CallAt(f.PC); ok {
		sig, _ = x.spaces.FuncType(fn)
		results, err = x.call(fn, args(0))
	} else {
		typ, table, _ := c.CallIndirectAt(f.PC)
		sig = x.m.Types[typ]
		results, err = x.compiled(indirectDoor(typ, table), args(1))
	}
	if err != nil {
		return err
	}
	for i, v := range results {
		f.Stack = append(f.Stack, word(sig.Results[i], v))
	}
	f.PC++
	return nil
}

// compiled calls an export on wazero. Looking one up makes a stack, so they are
// kept, but not while they run: an api.Function cannot be entered twice.
func (x *mixed) compiled(name string, args []uint64) ([]uint64, error) {
	f, ok := x.calls[name]
	if !ok {
		f = x.mod.ExportedFunction(name)
	}
	delete(x.calls, name)
	res, err := f.Call(x.ctx, args...)
	x.calls[name] = f
	return res, err
}

// bulk does the copy or fill that a frame is before.
func (x *mixed) bulk(c *Code, f *Frame) {
	top := len(f.Stack) - 3
	at, from, size := uint32(f.Stack[top]), f.Stack[top+1], f.Stack[top+2]
	to := x.Memory()[at:][:size]
	if op, _ := c.BulkAt(f.PC); op == wasm.OpMemoryCopy {
		copy(to, x.Memory()[uint32(from):])
	} else {
		for i := range to {
			to[i] = byte(from)
		}
	}
	f.PC, f.Stack = f.PC+1, f.Stack[:top]
}

// word clears the upper half of values that have none.
func word(t wasm.ValType, v uint64) uint64 {
	if t == wasm.I32 || t == wasm.F32 {
		return uint64(uint32(v))
	}
	return v
}

func (x *mixed) Memory() []byte { return instance{x.mod}.memory() }

func (x *mixed) Grow(pages uint32) (old uint32, ok bool) { return x.mod.Memory().Grow(pages) }

func (x *mixed) Global(i uint32) uint64 { return word(x.spaces.Globals[i].Type, x.globals[i].Get()) }

func (x *mixed) SetGlobal(i uint32, v uint64) { x.globals[i].(api.MutableGlobal).Set(v) }

func (x *mixed) Close() error { return x.r.Close(x.ctx) }
