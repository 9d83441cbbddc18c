package interp

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stasis-run/stasis/internal/wasm"
)

// Atomic accesses of every width give what compiled ones give, leave the same
// behind, and trap alike: at addresses aligned or not, in the memory and around
// its end. One in three comparisons is with what is there.
func TestAtomicAccesses(t *testing.T) {
	m := memoryModule()
	offsets := []uint64{0, 8, 3, pageSize - 8, 1<<32 - 8}
	first, last := wasm.OpI32AtomicLoad, wasm.OpI64AtomicRmw32CmpxchgU
	for op := first; op <= last; op++ {
		for _, offset := range offsets {
			params, results, _ := op.Sig()
			var code []wasm.Instr
			for i := range params {
				code = append(code, in(wasm.OpLocalGet, uint64(i)))
			}
			_, width := splitAtomic(uint8(op))
			align := map[uint64]uint64{1: 0, 2: 1, 4: 2, 8: 3}[width]
			addFunc(m, params, results, body(append(code, in(op, align, offset))...))
		}
	}
	inst, codes := compile(t, m), prepareAll(t, m)
	w := &world{mem: make([]byte, pageSize), max: 3}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range w.mem {
		w.mem[i] = byte(r.Uint32())
	}
	copy(inst.memory(), w.mem)
	n := 0
	for op := first; op <= last; op++ {
		params, results, _ := op.Sig()
		group, width := splitAtomic(uint8(op))
		for _, offset := range offsets {
			f := inst.mod.ExportedFunction(fmt.Sprintf("f%d", n))
			for _, addr := range addresses(uint32(offset)) {
				args := []uint64{uint64(addr), r.Uint64(), r.Uint64()}[:len(params)]
				at := uint64(addr) + offset
				if group == atomicCmpxchg && r.IntN(3) > 0 && at+width <= pageSize {
					args[1] &^= 1<<(8*width-1)<<1 - 1
					for i := range width {
						args[1] |= uint64(w.mem[at+i]) << (8 * i)
					}
				}
				for i, p := range params {
					if p == wasm.I32 {
						args[i] = uint64(uint32(args[i]))
					}
				}
				want, err := f.Call(t.Context(), args...)
				frame := enter(codes[n], args...)
				ev, _ := codes[n].Run(frame, w)
				what := fmt.Sprintf("%v offset=%d of %#x", op, offset, args)
				compareRun(t, what, results, ev, frame, want, trapOf(err))
				if !bytes.Equal(inst.memory(), w.mem) {
					t.Fatalf("%s: memories differ", what)
				}
			}
			n++
		}
	}
}

// A shared memory may grow while a run is under way: what another thread has
// added is there for every access.
func TestGrownByOthers(t *testing.T) {
	m := memoryModule()
	m.Memories[0].Shared = true
	i32 := types(wasm.I32)
	for _, code := range [][]wasm.Instr{
		{in(wasm.OpI32Load, 0, 0)},
		{in(wasm.OpI32AtomicLoad, 2, 0)},
		{in(wasm.OpI32Const, 5), in(wasm.OpI32Store, 0, 0), in(wasm.OpI32Const, 0)},
		{in(wasm.OpI32Const, 5), in(wasm.OpI32Const, 9), in(wasm.OpMemoryFill), in(wasm.OpI32Const, 0)},
		{in(wasm.OpDrop), in(wasm.OpMemorySize), in(wasm.OpI32Const, 2), in(wasm.OpI32Sub)},
	} {
		all := append([]wasm.Instr{in(wasm.OpGlobalGet, 0)}, code...)
		addFunc(m, nil, i32, body(all...))
	}
	zero := wasm.AppendOp(wasm.AppendS32(wasm.AppendOp(nil, wasm.OpI32Const), 0), wasm.OpEnd)
	m.Globals = []wasm.Global{{Type: wasm.GlobalType{Type: wasm.I32, Mutable: true}, Init: zero}}
	for i, c := range prepareAll(t, m) {
		w := &growing{world{mem: make([]byte, pageSize), globals: []uint64{pageSize + 8}}}
		f := enter(c)
		if ev, _ := c.Run(f, w); ev.Kind != Return || len(f.Stack) != 1 || f.Stack[0] != 0 {
			t.Errorf("f%d: %v %q, %d", i, ev.Kind, ev.Trap, f.Stack)
		}
	}
}

// growing is a world whose memory grows as soon as a global is read.
type growing struct{ world }

func (w *growing) Global(i uint32) uint64 {
	w.mem = make([]byte, 2*pageSize)
	return w.globals[i]
}

// What waits or wakes is left to the user.
func TestWait(t *testing.T) {
	m := memoryModule()
	ops := []wasm.Opcode{wasm.OpMemoryAtomicNotify, wasm.OpMemoryAtomicWait32, wasm.OpMemoryAtomicWait64}
	for i, op := range ops {
		params, results, _ := op.Sig()
		var code []wasm.Instr
		for i := range params {
			code = append(code, in(wasm.OpLocalGet, uint64(i)))
		}
		addFunc(m, params, results, body(append(code, in(op, []uint64{2, 2, 3}[i], 1000+uint64(i)))...))
	}
	for i, c := range prepareAll(t, m) {
		f := enter(c, 8, 9, 10)
		ev, _ := c.Run(f, &world{mem: make([]byte, pageSize)})
		op, offset, ok := c.WaitAt(f.PC)
		if ev.Kind != Wait || op != ops[i] || offset != 1000+uint32(i) || !ok {
			t.Fatalf("%v: %v, %v offset %d", ops[i], ev.Kind, op, offset)
		}
		f.Stack, f.PC = append(f.Stack[:0], 42), f.PC+1
		if ev, _ := c.Run(f, new(world)); ev.Kind != Return || f.Stack[0] != 42 {
			t.Errorf("%v: %v, %d", ops[i], ev.Kind, f.Stack)
		}
	}
}
