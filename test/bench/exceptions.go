package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	plain "github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/wasm"
)

// An encoding is one of the two of exceptions.
type encoding struct {
	name  string
	plain bool // plain wazero has it

	// try is a try around code, whose handler adds what was thrown to local 1.
	try func(code []byte) []byte
}

func join(parts ...[]byte) (out []byte) {
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

var add1 = []byte{0x20, 1, 0x6a, 0x21, 1} // to local 1, what is on the stack

var encodings = []encoding{
	{"try/catch", false, func(code []byte) []byte {
		return join([]byte{0x06, 0x40}, code, []byte{0x07, 0}, add1, []byte{0x0b})
	}},
	{"try_table", true, func(code []byte) []byte {
		return join([]byte{0x02, 0x7f, 0x1f, 0x40, 1, 0, 0, 0}, code, []byte{0x0b, 0x41, 0, 0x0b}, add1)
	}},
}

// exceptionModule has functions that do something n times:
//
//	calls(n)  calls a function that might throw and does not
//	quiet(n)  the same in a try
//	throw(n)  throws in a try, to be caught there
//	deep(n)   throws through 100 frames without handlers
func exceptionModule(try func([]byte) []byte) []byte {
	i32 := wasm.I32
	const maybe, dig = 4, 5
	times := func(code []byte) wasm.Code {
		down := []byte{0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b}
		return wasm.Code{Locals: []wasm.LocalRun{{N: 1, Type: i32}}, Body: join([]byte{0x03, 0x40}, code, down, []byte{0x20, 1, 0x0b})}
	}
	call := []byte{0x20, 0, 0x10, maybe, 0x1a}
	zero := func(then []byte) []byte { return join([]byte{0x20, 0, 0x45, 0x04, 0x40}, then, []byte{0x08, 0, 0x0b}) }
	m := &wasm.Module{
		Types: []wasm.FuncType{{Params: []wasm.ValType{i32}, Results: []wasm.ValType{i32}}, {Params: []wasm.ValType{i32}}},
		Funcs: []uint32{0, 0, 0, 0, 0, 0},
		Tags:  []uint32{1},
		Code: []wasm.Code{
			times(call), times(try(call)), times(try([]byte{0x20, 0, 0x08, 0})), times(try([]byte{0x41, 0xe4, 0, 0x10, dig, 0x1a})),
			{Body: join(zero([]byte{0x20, 0}), []byte{0x20, 0, 0x0b})},
			{Body: join(zero([]byte{0x41, 7}), []byte{0x20, 0, 0x41, 1, 0x6b, 0x10, dig, 0x41, 1, 0x6a, 0x0b})},
		},
	}
	for i, name := range []string{"calls", "quiet", "throw", "deep"} {
		m.Exports = append(m.Exports, wasm.Export{Name: name, Kind: wasm.ExternFunc, Index: uint32(i)})
	}
	return wasm.Encode(m)
}

// exceptionRows are what is measured, and how often a round does it: ours, and
// on plain wazero, to which a try costs much more.
var exceptionRows = []struct {
	export, what string
	ours, plain  int
}{
	{"calls", "a call that might throw, no try", 10_000_000, 10_000_000},
	{"quiet", "a try around it that catches nothing", 10_000_000, 20_000},
	{"throw", "a throw, caught where it is thrown", 500_000, 20_000},
	{"deep", "a throw through 100 frames", 20_000, 2_000},
}

// exceptions compares exceptions in both encodings to plain wazero's, by turns.
func exceptions(s microSpec) error {
	debug.SetGCPercent(-1)
	fmt.Println("| encoding | what | plain, ns | ours, ns | ours to plain |")
	fmt.Println("|---|---|---|---|---|")
	for _, e := range encodings {
		ours, err := oursOf(exceptionModule(e.try))
		if err != nil {
			return err
		}
		theirs := func(string, int) error { return nil }
		if e.plain {
			if theirs, err = plainOf(exceptionModule(e.try)); err != nil {
				return err
			}
		}
		for _, row := range exceptionRows {
			if err := compareRow(s, e.name+" | "+row.what, e.plain, row.export, row.ours, row.plain, ours, theirs); err != nil {
				return err
			}
		}
	}
	return nil
}

// compareRow runs an export so many times on ours and on plain wazero, by turns, and
// prints what one of the times costs.
func compareRow(s microSpec, what string, both bool, export string, n, plainN int, ours, theirs func(string, int) error) error {
	if s.Quick {
		n, plainN = n/10, plainN/10
	}
	var a, o []time.Duration
	var ratios []float64
	for i := range 1 + s.Runs {
		var perr, oerr error
		d := cpu(func() { perr = theirs(export, plainN) })
		e := cpu(func() { oerr = ours(export, n) })
		if perr != nil || oerr != nil {
			return fmt.Errorf("%s: plain %v, ours %v", export, perr, oerr)
		}
		if i > 0 {
			a, o = append(a, d), append(o, e)
			ratios = append(ratios, float64(e)/float64(n)/(float64(d)/float64(plainN)))
		}
	}
	bare, to := "", "it has none"
	if both {
		x := medianOf(ratios)
		bare, to = fmt.Sprintf("%.1f", float64(median(a))/float64(plainN)), fmt.Sprintf("×%.3g (%.3g…%.3g)", x.mid, x.lo, x.hi)
	}
	fmt.Printf("| %s | %s | %.1f | %s |\n", what, bare, float64(median(o))/float64(n), to)
	return nil
}

// oursOf runs exports of a module that imports nothing.
func oursOf(module []byte) (func(export string, n int) error, error) {
	e, err := newMicroEngine()
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	m, err := e.Compile(ctx, module)
	if err != nil {
		return nil, err
	}
	t, err := m.New(ctx, &ticks{}, engine.Limits{}, nil)
	return func(export string, n int) error {
		fn, _, _ := m.Export(export)
		if err := t.Start(fn, []uint64{uint64(n)}); err != nil {
			return err
		}
		for {
			switch ev := t.Run(ctx); ev.Kind {
			case engine.Exited:
				return nil
			case engine.Trapped, engine.Threw:
				return ev.Trap
			}
		}
	}, err
}

// plainOf is the same on plain wazero.
func plainOf(module []byte) (func(export string, n int) error, error) {
	ctx := context.Background()
	rt := plain.NewRuntimeWithConfig(ctx, plain.NewRuntimeConfigCompiler().WithCoreFeatures(features|experimental.CoreFeaturesExceptionHandling|experimental.CoreFeaturesThreads))
	m, err := rt.InstantiateWithConfig(ctx, module, plain.NewModuleConfig().WithStartFunctions())
	if err != nil {
		return nil, err
	}
	return func(export string, n int) error {
		_, err := m.ExportedFunction(export).Call(ctx, uint64(n))
		return err
	}, nil
}
