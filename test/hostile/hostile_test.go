// Package hostile holds that modules which are large in some way, or lie about
// how large they are, cost no more than in proportion to their size: an error
// that says what is wrong, or a program that runs; never a panic, a hang or an
// allocation of what a number in a file says.
package hostile

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/wasm"
)

// code makes a body.
type code []byte

func (c code) op(op wasm.Opcode, a ...uint64) code {
	in := wasm.Instr{Op: op, Block: wasm.BlockType{Index: -1}}
	if len(a) > 0 {
		in.A = a[0]
	}
	if len(a) > 1 {
		in.B = a[1]
	}
	return wasm.AppendInstr(c, &in)
}

// program is a module with one function, main, of no parameters and an i32.
func program(body code, change func(*wasm.Module)) *wasm.Module {
	m := &wasm.Module{
		Types:   []wasm.FuncType{{Results: []wasm.ValType{wasm.I32}}},
		Funcs:   []uint32{0},
		Exports: []wasm.Export{{Name: "main", Kind: wasm.ExternFunc}},
		Code:    []wasm.Code{{Body: body.op(wasm.OpEnd)}},
	}
	if change != nil {
		change(m)
	}
	return m
}

type host struct{}

func (host) Call(uint32, []uint64) engine.Action { return engine.Return }

// a machine compiles with the pass, and counts what that takes.
type machine struct {
	engine *wazero.Engine
	heap   uint64 // bytes allocated, also those that were freed
}

func newMachine(t *testing.T) *machine {
	e, err := wazero.New(context.Background(), wazero.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return &machine{engine: e}
}

func (x *machine) compile(b []byte) (engine.Module, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m, err := x.engine.Compile(context.Background(), b)
	runtime.ReadMemStats(&after)
	x.heap = after.TotalAlloc - before.TotalAlloc
	return m, err
}

// run calls main once, saving and restoring the thread at every unwind.
func (x *machine) run(t *testing.T, m engine.Module) (int32, error) {
	t.Helper()
	ctx := context.Background()
	th, err := m.New(ctx, host{}, engine.Limits{}, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = th.Close() }()
	fn, _, _ := m.Export("main")
	if err := th.Start(fn, nil); err != nil {
		return 0, err
	}
	for {
		ev := th.Run(ctx)
		switch ev.Kind {
		case engine.Exited:
			return int32(ev.Results[0]), nil
		case engine.Unwound:
		default:
			t.Fatalf("it ended: %+v", ev)
		}
	}
}

// What is too large is refused, quickly and without being allocated.
func TestTooLarge(t *testing.T) {
	one := code(nil).op(wasm.OpI32Const, 1)
	table := func(min uint64) wasm.Table {
		return wasm.Table{Type: wasm.TableType{Elem: wasm.FuncRef, Limits: wasm.Limits{Min: min}}}
	}
	for name, c := range map[string]struct {
		m    *wasm.Module
		want string
	}{
		"a table of 10^9":     {program(one, func(m *wasm.Module) { m.Tables = []wasm.Table{table(1e9)} }), "tables of 1000000000 elements"},
		"20 tables of 10^6":   {program(one, func(m *wasm.Module) { m.Tables = repeat(table(1e6), 20) }), "tables of 20000000 elements"},
		"1000 times 2^32 - 1": {program(one, func(m *wasm.Module) { m.Tables = repeat(table(1<<32-1), 1000) }), "elements, the limit is"},
		"60,000 locals":       {program(one, func(m *wasm.Module) { m.Code[0].Locals = []wasm.LocalRun{{N: 60_000, Type: wasm.I64}} }), "locals"},
		"2^32 - 1 locals":     {program(one, func(m *wasm.Module) { m.Code[0].Locals = []wasm.LocalRun{{N: 1<<32 - 1, Type: wasm.I64}} }), "locals"},
		"memory beyond 4 GiB": {program(one, func(m *wasm.Module) { m.Memories = []wasm.Limits{{Min: 1<<16 + 1}} }), "size minimum 65537"},
	} {
		x := newMachine(t)
		_, err := x.compile(wasm.Encode(c.m))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.want)
		}
		if x.heap > 16<<20 {
			t.Errorf("%s: %d bytes were allocated to refuse it", name, x.heap)
		}
	}
}

func repeat[T any](v T, n int) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = v
	}
	return out
}

// A guest that grows its tables without end is told that it cannot, before the
// host has none left.
func TestTablesWithoutEnd(t *testing.T) {
	grow := func(c code, table uint64, n uint32) code {
		return c.op(wasm.OpRefNull, uint64(wasm.HeapFunc)).op(wasm.OpI32Const, uint64(int64(int32(n)))).op(wasm.OpTableGrow, table)
	}
	for _, tables := range []int{1, 3, 500} {
		var body code
		for i := range tables { // as far as it goes, in three steps
			for _, n := range []uint32{1 << 31, 1e9, 1e4} {
				body = grow(body, uint64(i), n).op(wasm.OpDrop)
			}
		}
		body = body.op(wasm.OpTableSize, uint64(tables-1))
		m := program(body, func(m *wasm.Module) {
			m.Tables = repeat(wasm.Table{Type: wasm.TableType{Elem: wasm.FuncRef}}, tables)
		})
		x := newMachine(t)
		mod, err := x.compile(wasm.Encode(m))
		if err != nil {
			t.Fatal(err)
		}
		n, err := x.run(t, mod)
		if err != nil || n != 1e4 {
			t.Errorf("%d tables: the last has %d elements, %v; want 10000", tables, n, err)
		}
	}
}

// shapes are modules of n things of one kind; all of them run and return 1.
var shapes = map[string]func(n int) *wasm.Module{
	"functions": func(n int) *wasm.Module {
		return program(code(nil).op(wasm.OpI32Const, 1), func(m *wasm.Module) {
			for range n {
				m.Funcs = append(m.Funcs, 0)
				m.Code = append(m.Code, wasm.Code{Body: code(nil).op(wasm.OpCall, 0).op(wasm.OpEnd)})
			}
		})
	},
	"calls in a function": func(n int) *wasm.Module {
		var b code
		for range n {
			b = b.op(wasm.OpCall, 1).op(wasm.OpDrop)
		}
		return program(b.op(wasm.OpI32Const, 1), func(m *wasm.Module) {
			m.Funcs = append(m.Funcs, 0)
			// A loop, so that it can be stopped and its calls are sites.
			f := code(nil).op(wasm.OpLoop).op(wasm.OpI32Const, 0).op(wasm.OpBrIf, 0).op(wasm.OpEnd).op(wasm.OpI32Const, 3)
			m.Code = append(m.Code, wasm.Code{Body: f.op(wasm.OpEnd)})
		})
	},
	"loops after each other": func(n int) *wasm.Module {
		var b code
		for range n {
			b = b.op(wasm.OpLoop).op(wasm.OpLocalGet, 0).op(wasm.OpBrIf, 0).op(wasm.OpEnd)
		}
		return program(b.op(wasm.OpI32Const, 1), func(m *wasm.Module) { m.Code[0].Locals = []wasm.LocalRun{{N: 1, Type: wasm.I32}} })
	},
	"blocks in each other": func(n int) *wasm.Module {
		n = min(n, 15_000)
		var b code
		for range n {
			b = b.op(wasm.OpBlock)
		}
		for range n {
			b = b.op(wasm.OpEnd)
		}
		return program(b.op(wasm.OpI32Const, 1), nil)
	},
	"types": func(n int) *wasm.Module {
		return program(code(nil).op(wasm.OpI32Const, 1), func(m *wasm.Module) {
			for i := range n {
				var params []wasm.ValType
				for k := i + 1; k > 0; k /= 4 {
					params = append(params, []wasm.ValType{wasm.I32, wasm.I64, wasm.F32, wasm.F64}[k%4])
				}
				m.Types = append(m.Types, wasm.FuncType{Params: params})
			}
		})
	},
	"elements": func(n int) *wasm.Module {
		return program(code(nil).op(wasm.OpI32Const, 0).op(wasm.OpCallIndirect, 0, 0), func(m *wasm.Module) {
			m.Tables = []wasm.Table{{Type: wasm.TableType{Elem: wasm.FuncRef, Limits: wasm.Limits{Min: uint64(n)}}}}
			m.Funcs = append(m.Funcs, 0)
			m.Code = append(m.Code, wasm.Code{Body: code(nil).op(wasm.OpI32Const, 1).op(wasm.OpEnd)})
			m.Elems = []wasm.Elem{{Type: wasm.FuncRef, Offset: code(nil).op(wasm.OpI32Const, 0).op(wasm.OpEnd), Funcs: repeat(uint32(1), n)}}
		})
	},
	"globals": func(n int) *wasm.Module {
		return program(code(nil).op(wasm.OpI32Const, 1), func(m *wasm.Module) {
			m.Globals = repeat(wasm.Global{Type: wasm.GlobalType{Type: wasm.I64, Mutable: true}, Init: code(nil).op(wasm.OpI64Const, 7).op(wasm.OpEnd)}, n)
		})
	},
	"targets of a br_table": func(n int) *wasm.Module {
		var b code
		b = b.op(wasm.OpBlock).op(wasm.OpI32Const, 5)
		b = wasm.AppendInstr(b, &wasm.Instr{Op: wasm.OpBrTable, Targets: repeat(uint32(0), n)})
		return program(b.op(wasm.OpEnd).op(wasm.OpI32Const, 1), nil)
	},
}

// The pass takes no more than in proportion to a module: ten times as much of
// anything takes at most thirty times the memory and the CPU time. What it makes
// runs. (The engine's compiler is quadratic in the loops of one function, also
// without the pass: thousands of them take it seconds.)
func TestNothingIsQuadratic(t *testing.T) {
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			small, large := 500, 5000
			if !testing.Short() && name != "calls in a function" {
				small, large = 5000, 50_000
			}
			x := newMachine(t)
			m, err := x.compile(wasm.Encode(shape(500)))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := x.run(t, m); err != nil || got != 1 {
				t.Fatalf("it returns %d, %v; want 1", got, err)
			}
			smallTime, smallHeap := pass(t, shape(small))
			largeTime, largeHeap := pass(t, shape(large))
			t.Logf("%d: %v, %d KiB; %d: %v, %d KiB", small, smallTime, smallHeap>>10, large, largeTime, largeHeap>>10)
			if largeHeap > 30*smallHeap && largeHeap > 16<<20 {
				t.Errorf("ten times as much takes %d times the memory", largeHeap/smallHeap)
			}
			if largeTime > 30*smallTime && largeTime > time.Second {
				t.Errorf("ten times as much takes %d times as long", largeTime/smallTime)
			}
		})
	}
}

// pass rewrites a module, and returns the CPU time of this process meanwhile and
// how many bytes were allocated.
func pass(t *testing.T, m *wasm.Module) (took time.Duration, heap uint64) {
	t.Helper()
	b := wasm.Encode(m)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := cpu(t)
	p, err := instrument.New(b, instrument.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Hot(); err != nil {
		t.Fatal(err)
	}
	took = cpu(t) - start
	runtime.ReadMemStats(&after)
	return took, after.TotalAlloc - before.TotalAlloc
}

func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
