package interp

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/stasis-run/stasis/internal/wasm"
)

// memoryModule is a module with a memory of one page and nothing else.
func memoryModule() *wasm.Module {
	return &wasm.Module{
		Memories: []wasm.Limits{{Min: 1, Max: 3, HasMax: true}},
		Exports:  []wasm.Export{{Name: "mem", Kind: wasm.ExternMemory}},
	}
}

// Loads and stores of every width are compiled and interpreted at each address
// around both ends of memory, with offsets that lie inside, end at the edge,
// and go beyond what 32 bits hold.
func TestAccesses(t *testing.T) {
	m := memoryModule()
	offsets := []uint64{0, 1, 7, pageSize - 8, pageSize - 1, pageSize, 1<<31 - 1, 1<<32 - 1}
	for op := wasm.OpI32Load; op <= wasm.OpI64Store32; op++ {
		for _, offset := range offsets {
			params, results, _ := op.Sig()
			code := []wasm.Instr{in(wasm.OpLocalGet, 0), in(op, 0, offset)}
			if len(params) == 2 {
				code = slices.Insert(code, 1, in(wasm.OpLocalGet, 1))
			}
			addFunc(m, params, results, body(code...))
		}
	}
	inst, codes := compile(t, m), prepareAll(t, m)
	w := &world{mem: make([]byte, pageSize), max: 3}
	for i := range w.mem {
		w.mem[i] = byte(i*i>>3 + i)
	}
	copy(inst.memory(), w.mem)
	n := 0
	for op := wasm.OpI32Load; op <= wasm.OpI64Store32; op++ {
		for _, offset := range offsets {
			f := inst.mod.ExportedFunction(fmt.Sprintf("f%d", n))
			params, results, _ := op.Sig()
			for _, addr := range addresses(uint32(offset)) {
				args := []uint64{uint64(addr), 0xf1e2d3c4b5a69788}[:len(params)]
				if len(args) == 2 && (params[1] == wasm.I32 || params[1] == wasm.F32) {
					args[1] = uint64(uint32(args[1]))
				}
				want, err := f.Call(t.Context(), args...)
				frame := enter(codes[n], args...)
				ev, _ := codes[n].Run(frame, w)
				what := fmt.Sprintf("%v offset=%d of %#x", op, offset, args)
				compareRun(t, what, results, ev, frame, want, trapOf(err))
			}
			n++
		}
	}
	if !bytes.Equal(inst.memory(), w.mem) {
		t.Error("memories differ")
	}
}

// addresses are those around where base plus offset passes the ends of a page
// of memory.
func addresses(offset uint32) (list []uint32) {
	for d := range uint32(12) {
		list = append(list, d, pageSize-d, pageSize-offset-d, pageSize-offset+d, -d, 1<<31-d)
	}
	return list
}

// compareRun reports how a run differs from what wazero returned: results, or
// a trap.
func compareRun(t *testing.T, what string, results []wasm.ValType, ev Event, f *Frame, want []uint64, trap string) {
	t.Helper()
	for i, typ := range results {
		if i < len(want) && (typ == wasm.I32 || typ == wasm.F32) {
			want[i] = uint64(uint32(want[i]))
		}
	}
	switch {
	case trap != "":
		if ev.Kind != Trap || ev.Trap != trap {
			t.Errorf("%s: %v %q, want trap %q", what, ev.Kind, ev.Trap, trap)
		}
	case ev.Kind != Return || !slices.Equal(f.Stack, want):
		t.Errorf("%s: %v %q %#x, want %#x", what, ev.Kind, ev.Trap, f.Stack, want)
	}
}

// copy and fill, also of nothing at and beyond the end, and of parts that
// overlap.
func TestCopyAndFill(t *testing.T) {
	m := memoryModule()
	three := types(wasm.I32, wasm.I32, wasm.I32)
	args := []wasm.Instr{in(wasm.OpLocalGet, 0), in(wasm.OpLocalGet, 1), in(wasm.OpLocalGet, 2)}
	addFunc(m, three, nil, body(append(slices.Clone(args), in(wasm.OpMemoryCopy))...))
	addFunc(m, three, nil, body(append(slices.Clone(args), in(wasm.OpMemoryFill))...))
	inst, codes := compile(t, m), prepareAll(t, m)
	w := &world{mem: make([]byte, pageSize)}
	for i := range w.mem {
		w.mem[i] = byte(i*i>>3 + i)
	}
	copy(inst.memory(), w.mem)
	ends := []uint64{0, 1, 100, pageSize - 100, pageSize - 1, pageSize, pageSize + 1, 1<<32 - 1, 1<<32 - 100}
	for i, c := range codes {
		f := inst.mod.ExportedFunction(fmt.Sprintf("f%d", i))
		for _, a := range ends {
			for _, b := range ends {
				for _, size := range []uint64{0, 1, 99, 100, 150, pageSize, 1<<32 - 1} {
					_, err := f.Call(t.Context(), a, b, size)
					frame := enter(c, a, b, size)
					ev, _ := c.Run(frame, w)
					compareRun(t, fmt.Sprintf("f%d of %#x", i, []uint64{a, b, size}), nil, ev, frame, nil, trapOf(err))
					if !bytes.Equal(inst.memory(), w.mem) {
						t.Fatalf("f%d of %#x: memories differ", i, []uint64{a, b, size})
					}
				}
			}
		}
	}
}

// What touches more than BulkSize is left to the user, unless it traps.
func TestBulk(t *testing.T) {
	m := memoryModule()
	m.Memories[0] = wasm.Limits{Min: 2, Max: 2, HasMax: true}
	for _, op := range []wasm.Opcode{wasm.OpMemoryCopy, wasm.OpMemoryFill} {
		addFunc(m, types(wasm.I32), types(wasm.I32), body(
			in(wasm.OpI32Const, 77), // what has to stay
			in(wasm.OpI32Const, 1), in(wasm.OpI32Const, 2), in(wasm.OpLocalGet, 0), in(op)))
	}
	for i, c := range prepareAll(t, m) {
		op := []wasm.Opcode{wasm.OpMemoryCopy, wasm.OpMemoryFill}[i]
		w := &world{mem: make([]byte, 2*pageSize)}
		f := enter(c, BulkSize)
		if ev, _ := c.Run(f, w); ev.Kind != Return {
			t.Errorf("%v of BulkSize: %v, want it done", op, ev)
		}
		clear(w.mem)
		f = enter(c, BulkSize+1)
		ev, n := c.Run(f, w)
		if ev.Kind != Bulk || f.PC != 4 || n != 4 || !slices.Equal(f.Stack, []uint64{77, 1, 2, BulkSize + 1}) {
			t.Errorf("%v: %v after %d instructions at %d with %v", op, ev, n, f.PC, f.Stack)
		}
		if got, ok := c.BulkAt(f.PC); !ok || got != op {
			t.Errorf("BulkAt: %v, %v, want %v", got, ok, op)
		}
		if slices.ContainsFunc(w.mem, func(b byte) bool { return b != 0 }) {
			t.Errorf("%v: memory was written before the event", op)
		}
		f.PC, f.Stack = f.PC+1, f.Stack[:1]
		if ev, _ := c.Run(f, w); ev.Kind != Return || !slices.Equal(f.Stack, []uint64{77}) {
			t.Errorf("%v: going on: %v with %v", op, ev, f.Stack)
		}
		f = enter(c, 2*pageSize)
		if ev, _ := c.Run(f, w); ev != (Event{Trap, trapMemory}) {
			t.Errorf("%v beyond the end: %v", op, ev)
		}
	}
}

// Memory that grows is there at once, under whatever address the Env has it.
func TestGrow(t *testing.T) {
	m := memoryModule()
	// The old size, what lies in the new page after a store to it, the new size.
	addFunc(m, types(wasm.I32), types(wasm.I32, wasm.I32, wasm.I32), body(
		in(wasm.OpLocalGet, 0), in(wasm.OpMemoryGrow),
		in(wasm.OpI32Const, pageSize), in(wasm.OpI32Const, 5), in(wasm.OpI32Store, 0, 4),
		in(wasm.OpI32Const, pageSize), in(wasm.OpI32Load, 0, 4),
		in(wasm.OpMemorySize)))
	inst, c := compile(t, m), prepareAll(t, m)[0]
	w := &world{mem: make([]byte, pageSize), max: 3}
	for _, pages := range []uint64{0, 1 << 31, 1, 0, 2, 1, 1} {
		want, err := inst.mod.ExportedFunction("f0").Call(t.Context(), pages)
		f := enter(c, pages)
		ev, _ := c.Run(f, w)
		compareRun(t, fmt.Sprintf("grow by %d", pages), types(wasm.I32, wasm.I32, wasm.I32), ev, f, want, trapOf(err))
	}
}
