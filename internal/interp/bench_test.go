package interp

import (
	"testing"

	"github.com/stasis-run/stasis/internal/wasm"
	"github.com/stasis-run/stasis/internal/wasmgen"
)

// BenchmarkRun is a loop over memory: what an instruction costs.
func BenchmarkRun(b *testing.B) {
	m := memoryModule()
	addFunc(m, types(wasm.I32), types(wasm.I32), body(
		block(wasm.OpLoop),
		get(0), get(0), in(wasm.OpI32Load, 2, 0), i32(3), in(wasm.OpI32Mul), get(0), in(wasm.OpI32Add), in(wasm.OpI32Store, 2, 0),
		get(0), i32(4), in(wasm.OpI32Add), in(wasm.OpLocalTee, 0), i32(1024), in(wasm.OpI32LtU), in(wasm.OpBrIf, 0),
		in(wasm.OpEnd), get(0)))
	c := prepareAll(b, m)[0]
	w := &world{mem: make([]byte, pageSize)}
	f := enter(c)
	b.ReportAllocs()
	instrs := 0
	for b.Loop() {
		f.PC, f.Locals[0], f.Stack = 0, 0, f.Stack[:0]
		for ev := (Event{Kind: Loop}); ev.Kind == Loop; {
			var n int
			ev, n = c.Run(f, w)
			instrs += n
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(instrs), "ns/instr")
}

// BenchmarkPrepare decodes the functions of generated modules that are
// interpreted.
func BenchmarkPrepare(b *testing.B) {
	type function struct {
		m       *wasm.Module
		spaces  *wasm.Spaces
		defined int
	}
	var list []function
	size := 0
	for seed := range uint64(20) {
		m, err := wasm.Decode(wasmgen.GenerateSeed(seed, configs[0]))
		if err != nil {
			b.Fatal(err)
		}
		spaces := m.Spaces()
		for i := range m.Code {
			if _, err := Prepare(m, spaces, i); err == nil {
				list = append(list, function{m, spaces, i})
				size += len(m.Code[i].Body)
			}
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, f := range list {
			if _, err := Prepare(f.m, f.spaces, f.defined); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds()/1e6, "MB/s")
}

// Run allocates nothing once the stack has room.
func TestRunAllocatesNothing(t *testing.T) {
	m := memoryModule()
	addFunc(m, types(wasm.I32), types(wasm.F64), body(
		get(0), get(0), in(wasm.OpI32Load8U, 0, 9), in(wasm.OpI32Store, 0, 0),
		get(0), in(wasm.OpF64ConvertI32U), in(wasm.OpF64Sqrt)))
	c := prepareAll(t, m)[0]
	w := &world{mem: make([]byte, pageSize)}
	f := enter(c)
	n := testing.AllocsPerRun(100, func() {
		f.PC, f.Stack = 0, f.Stack[:0]
		c.Run(f, w)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
