package interp

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stasis-run/stasis/internal/wasm"
)

// Types that control flow tests use by index.
const (
	typI_I   = iota // i32 -> i32
	typII_II        // i32 i32 -> i32 i32
	typII_I         // i32 i32 -> i32
	typ_III         // -> i32 i32 i32
)

func controlModule() *wasm.Module {
	i := wasm.I32
	return &wasm.Module{
		Types: []wasm.FuncType{
			{Params: types(i), Results: types(i)},
			{Params: types(i, i), Results: types(i, i)},
			{Params: types(i, i), Results: types(i)},
			{Results: types(i, i, i)},
		},
		Tables: []wasm.Table{{Type: wasm.TableType{Elem: wasm.FuncRef, Limits: wasm.Limits{Min: 1}}}},
		Globals: []wasm.Global{
			{Type: wasm.GlobalType{Type: wasm.I64, Mutable: true}, Init: []byte{byte(wasm.OpI64Const), 0, byte(wasm.OpEnd)}},
		},
	}
}

// i32 is a constant.
func i32(v uint64) wasm.Instr { return in(wasm.OpI32Const, v) }

// get is local.get.
func get(i uint64) wasm.Instr { return in(wasm.OpLocalGet, i) }

// Functions without calls, all with parameters i32 i32.
var controlTests = []struct {
	name    string
	results int // all i32
	code    []wasm.Instr
}{
	{"br out of two blocks with a value, over operands", 1, []wasm.Instr{
		i32(9), block(wasm.OpBlock, wasm.I32), i32(8), block(wasm.OpBlock, wasm.I32), i32(7), i32(6), get(0),
		in(wasm.OpBr, 1), in(wasm.OpEnd), in(wasm.OpI32Add), in(wasm.OpEnd), in(wasm.OpI32Add),
	}},
	{"br_if with a value, both ways", 1, []wasm.Instr{
		block(wasm.OpBlock, wasm.I32), i32(5), get(0), in(wasm.OpBrIf, 0), i32(3), in(wasm.OpI32Mul), in(wasm.OpEnd),
	}},
	{"br_if to the function with all results", 2, []wasm.Instr{
		i32(1), i32(2), i32(3), get(1), get(0), in(wasm.OpBrIf, 0), in(wasm.OpDrop), in(wasm.OpDrop), in(wasm.OpReturn),
	}},
	{"return over operands", 2, []wasm.Instr{
		i32(1), block(wasm.OpBlock), i32(2), get(0), get(1), in(wasm.OpReturn), in(wasm.OpEnd), i32(4),
	}},
	{"br_table to blocks of other heights", 1, []wasm.Instr{
		i32(100), block(wasm.OpBlock, wasm.I32), i32(200), block(wasm.OpBlock, wasm.I32), i32(300), block(wasm.OpBlock, wasm.I32),
		i32(0), get(1), get(0), brTable(0, 2, 1, 3, 0),
		in(wasm.OpEnd), i32(1), in(wasm.OpI32Add), in(wasm.OpI32Add), in(wasm.OpEnd),
		i32(2), in(wasm.OpI32Add), in(wasm.OpI32Add), in(wasm.OpEnd), i32(4), in(wasm.OpI32Add), in(wasm.OpI32Add),
	}},
	{"br_table with a default only", 1, []wasm.Instr{
		block(wasm.OpBlock, wasm.I32), get(1), get(0), brTable(0), in(wasm.OpEnd),
	}},
	{"if and else with a value", 1, []wasm.Instr{
		i32(9), get(0), block(wasm.OpIf, wasm.I32), get(1), in(wasm.OpElse), i32(2), in(wasm.OpEnd), in(wasm.OpI32Add),
	}},
	{"if without else", 1, []wasm.Instr{
		get(0), block(wasm.OpIf), i32(7), in(wasm.OpLocalSet, 1), in(wasm.OpEnd), get(1),
	}},
	{"if without else that leaves its parameters", 1, []wasm.Instr{
		i32(3), get(0), blockOf(wasm.OpIf, typI_I), get(1), in(wasm.OpI32Add), in(wasm.OpEnd),
	}},
	{"if whose parts end early", 1, []wasm.Instr{
		get(1), get(0), blockOf(wasm.OpIf, typI_I), in(wasm.OpReturn), in(wasm.OpElse), i32(1), in(wasm.OpI32Add), in(wasm.OpBr, 0),
		in(wasm.OpEnd), i32(3), in(wasm.OpI32Mul),
	}},
	{"br out of an if and its else", 1, []wasm.Instr{
		get(0), block(wasm.OpIf, wasm.I32), i32(6), get(1), in(wasm.OpBr, 0), in(wasm.OpElse),
		i32(5), get(1), in(wasm.OpBrIf, 0), in(wasm.OpEnd),
	}},
	{"empty if and empty else", 1, []wasm.Instr{
		get(0), block(wasm.OpIf), in(wasm.OpElse), in(wasm.OpEnd), get(1), block(wasm.OpIf), in(wasm.OpEnd), get(1),
	}},
	{"loop with parameters", 2, []wasm.Instr{
		// (n, acc) until n <= 0: (n-1, acc+n*n)
		i32(99), get(0), get(1), blockOf(wasm.OpLoop, typII_II), in(wasm.OpLocalSet, 1), in(wasm.OpLocalTee, 0), in(wasm.OpDrop),
		i32(11), get(0), i32(1), in(wasm.OpI32Sub), get(1), get(0), get(0), in(wasm.OpI32Mul), in(wasm.OpI32Add),
		get(0), i32(0), in(wasm.OpI32GtS), in(wasm.OpBrIf, 0),
		in(wasm.OpLocalSet, 1), in(wasm.OpLocalSet, 0), in(wasm.OpDrop), get(0), get(1), in(wasm.OpEnd),
		in(wasm.OpLocalSet, 1), in(wasm.OpI32Add), get(1),
	}},
	{"nested loops at once", 1, []wasm.Instr{
		block(wasm.OpBlock), block(wasm.OpLoop), block(wasm.OpLoop),
		get(0), in(wasm.OpI32Eqz), in(wasm.OpBrIf, 2),
		get(0), i32(1), in(wasm.OpI32Sub), in(wasm.OpLocalTee, 0), i32(1), in(wasm.OpI32And), in(wasm.OpBrIf, 0),
		get(1), i32(3), in(wasm.OpI32Add), in(wasm.OpLocalSet, 1), in(wasm.OpBr, 1),
		in(wasm.OpEnd), in(wasm.OpEnd), in(wasm.OpEnd), get(1),
	}},
	{"block of three results", 1, []wasm.Instr{
		blockOf(wasm.OpBlock, typ_III), i32(4), get(0), get(1), i32(8), get(0), in(wasm.OpBrIf, 0), in(wasm.OpDrop), in(wasm.OpEnd),
		in(wasm.OpI32Sub), in(wasm.OpI32Sub),
	}},
	{"unreachable on one side", 1, []wasm.Instr{
		get(0), block(wasm.OpIf), in(wasm.OpUnreachable), block(wasm.OpLoop), in(wasm.OpBr, 0), in(wasm.OpEnd), in(wasm.OpElse), in(wasm.OpEnd), get(1),
	}},
	{"dead blocks", 1, []wasm.Instr{
		block(wasm.OpBlock, wasm.I32), get(0), in(wasm.OpBr, 0),
		block(wasm.OpIf, wasm.I32), block(wasm.OpLoop, wasm.I32), i32(1), in(wasm.OpBr, 1), in(wasm.OpEnd), in(wasm.OpElse), i32(1), i32(0), brTable(0, 1), in(wasm.OpEnd),
		in(wasm.OpI32Add), in(wasm.OpEnd), get(1), in(wasm.OpI32Add),
	}},
	{"select", 2, []wasm.Instr{
		i32(7), get(1), get(0), in(wasm.OpSelect), get(0), get(1), get(0),
		{Op: wasm.OpSelectT, Types: types(wasm.I32)},
	}},
	{"tee, drop and nop", 1, []wasm.Instr{
		get(0), in(wasm.OpLocalTee, 1), get(1), in(wasm.OpNop), in(wasm.OpDrop), get(1), in(wasm.OpI32Add),
	}},
}

// Control flow ends where compiled code ends. The interpreter begins anew at
// each loop head that it reports.
func TestControlFlow(t *testing.T) {
	m := controlModule()
	for _, tt := range controlTests {
		addFunc(m, types(wasm.I32, wasm.I32), slices.Repeat(types(wasm.I32), tt.results), body(tt.code...))
	}
	inst, codes := compile(t, m), prepareAll(t, m)
	for i, tt := range controlTests {
		f := inst.mod.ExportedFunction(fmt.Sprintf("f%d", i))
		for a := range uint64(7) {
			for b := range uint64(3) {
				want, err := f.Call(t.Context(), a, b)
				frame := enter(codes[i], a, b)
				ev := runAcrossLoops(t, codes[i], frame, &world{})
				compareRun(t, fmt.Sprintf("%s, of %d, %d", tt.name, a, b),
					slices.Repeat(types(wasm.I32), tt.results), ev, frame, want, trapOf(err))
			}
		}
	}
}

// runAcrossLoops runs f to another event than Loop. Between two runs it moves
// the frame, so that nothing of the last run is left to the next.
func runAcrossLoops(t *testing.T, c *Code, f *Frame, env Env) Event {
	t.Helper()
	for range 1000 {
		ev, n := c.Run(f, env)
		if n > c.Len() {
			t.Errorf("%d instructions in one run, of %d", n, c.Len())
		}
		if h, ok := c.Height(f.PC); ev.Kind != Return && (!ok || h != len(f.Stack)) {
			t.Errorf("%v at %d with %d operands, Height is %d, %v", ev.Kind, f.PC, len(f.Stack), h, ok)
		}
		if ev.Kind != Loop {
			return ev
		}
		old := f.Stack
		f.Stack = slices.Clip(slices.Clone(old))
		for i := range old[:cap(old)] {
			old[:cap(old)][i] = 0xdeaddeaddeaddead
		}
	}
	t.Fatal("the loop does not end")
	return Event{}
}

// A run may begin at any instruction that can be reached: here, with the
// right operands, at each one of a straight line inside blocks.
func TestBeginAnywhere(t *testing.T) {
	m := controlModule()
	addFunc(m, types(wasm.I32, wasm.I32), types(wasm.I32), body(
		i32(100), block(wasm.OpBlock, wasm.I32), get(0), block(wasm.OpIf, wasm.I32),
		block(wasm.OpLoop, wasm.I32), i32(20), get(1), in(wasm.OpI32Add), in(wasm.OpEnd),
		in(wasm.OpElse), i32(1), in(wasm.OpEnd), i32(3), in(wasm.OpI32Mul), in(wasm.OpEnd), in(wasm.OpI32Add)))
	c := prepareAll(t, m)[0]
	// Single steps: what the stack is before each instruction of a run.
	frames := map[int][]uint64{
		0: {}, 1: {100}, 2: {100}, 3: {100, 1}, 4: {100}, 5: {100}, 6: {100, 20}, 7: {100, 20, 5},
		8: {100, 25}, 9: {100, 25}, 11: {100, 25}, 12: {100, 25}, 13: {100, 25, 3}, 14: {100, 75}, 15: {100, 75}, 16: {175},
	}
	for pc, stack := range frames {
		f := &Frame{PC: pc, Locals: []uint64{1, 5}, Stack: slices.Clone(stack)}
		if ev := runAcrossLoops(t, c, f, &world{}); ev.Kind != Return || !slices.Equal(f.Stack, []uint64{175}) {
			t.Errorf("from %d: %v with %v, want 175", pc, ev.Kind, f.Stack)
		}
	}
	f := &Frame{PC: 10, Locals: []uint64{0, 0}, Stack: []uint64{100}}
	if ev, n := c.Run(f, &world{}); ev.Kind != Return || n != 7 || f.Stack[0] != 103 {
		t.Errorf("from the else: %v after %d with %v, want 103 after 7", ev.Kind, n, f.Stack)
	}
}

// Calls are left to the user, loops reported but where the run begins, and
// globals go through the Env.
func TestEvents(t *testing.T) {
	m := controlModule()
	addFunc(m, nil, types(wasm.I64), body(
		i32(1), i32(2), in(wasm.OpCall, 1), // 0..2
		i32(3), i32(0), in(wasm.OpCallIndirect, typII_I, 0), in(wasm.OpDrop), // 3..6
		block(wasm.OpLoop), block(wasm.OpLoop), in(wasm.OpEnd), in(wasm.OpEnd), // 7..10
		in(wasm.OpGlobalGet, 0), in(wasm.OpI64Const, 1), in(wasm.OpI64Add), in(wasm.OpGlobalSet, 0), in(wasm.OpGlobalGet, 0), // 11..15
		in(wasm.OpUnreachable)))
	addFunc(m, types(wasm.I32, wasm.I32), types(wasm.I32), body(get(0)))
	c := prepareAll(t, m)[0]
	w := &world{globals: []uint64{1<<63 - 1}}
	f := enter(c)
	expect := func(kind Kind, pc, n int, stack ...uint64) {
		t.Helper()
		ev, got := c.Run(f, w)
		if ev.Kind != kind || f.PC != pc || got != n || !slices.Equal(f.Stack, stack) {
			t.Fatalf("%v at %d after %d with %v; want %v at %d after %d with %v", ev.Kind, f.PC, got, f.Stack, kind, pc, n, stack)
		}
	}
	expect(Call, 2, 2, 1, 2)
	if fn, ok := c.CallAt(2); !ok || fn != 1 {
		t.Errorf("CallAt: %d, %v", fn, ok)
	}
	expect(Call, 2, 0, 1, 2) // it stays there until the user goes on
	f.PC, f.Stack = 3, append(f.Stack[:0], 50)
	expect(CallIndirect, 5, 2, 50, 3, 0)
	if typ, table, ok := c.CallIndirectAt(5); !ok || typ != typII_I || table != 0 {
		t.Errorf("CallIndirectAt: %d, %d, %v", typ, table, ok)
	}
	if _, ok := c.CallAt(5); ok {
		t.Error("CallAt finds a call at a call_indirect")
	}
	f.PC, f.Stack = 6, append(f.Stack[:0], 60)
	expect(Loop, 7, 1)
	expect(Loop, 8, 1)
	expect(Trap, 16, 8, 1<<63)
	if w.globals[0] != 1<<63 {
		t.Errorf("global is %#x", w.globals[0])
	}
}

// Run panics about what is no frame of the function.
func TestFrameMisfits(t *testing.T) {
	m := controlModule()
	addFunc(m, types(wasm.I32, wasm.I32), types(wasm.I32), body(get(0), in(wasm.OpReturn), i32(1), in(wasm.OpDrop), get(1)))
	c := prepareAll(t, m)[0]
	two := []uint64{0, 0}
	for _, f := range []*Frame{
		{PC: -1, Locals: two}, {PC: 6, Locals: two}, {PC: 1 << 40, Locals: two}, // no instruction
		{PC: 2, Locals: two},                     // a dead one
		{PC: 1, Locals: two},                     // an operand is missing
		{PC: 0, Locals: two, Stack: []uint64{1}}, // one too many
		{PC: 0, Locals: two[:1]}, {PC: 0},        // locals
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v: no panic", *f)
				}
			}()
			c.Run(f, &world{})
		}()
	}
	if _, ok := c.CallAt(99); ok {
		t.Error("CallAt finds a call behind the end")
	}
}

// What is not interpreted is refused where it can be reached.
func TestUnsupported(t *testing.T) {
	i := types(wasm.I32)
	v := wasm.V128
	refuse := func(name string, want bool, params, results []wasm.ValType, locals []wasm.LocalRun, list ...wasm.Instr) {
		m := controlModule()
		m.Memories = []wasm.Limits{{Min: 1}}
		m.Globals = append(m.Globals, wasm.Global{
			Type: wasm.GlobalType{Type: wasm.ExternRef}, Init: []byte{0xd0, 0x6f, 0x0b},
		})
		addFunc(m, params, results, body(list...), locals...)
		addFunc(m, nil, types(wasm.FuncRef), body(in(wasm.OpRefNull, uint64(wasm.HeapFunc))))
		n := uint32(0)
		m.DataCount = &n
		if err := wasm.Validate(m); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, err := Prepare(m, m.Spaces(), 0)
		if got := errors.Is(err, ErrUnsupported); got != want || err != nil && !got {
			t.Errorf("%s: %v, want refused: %v", name, err, want)
		}
	}
	refuse("v128 parameter", true, types(v), nil, nil)
	refuse("reference result", true, nil, types(wasm.FuncRef), nil, in(wasm.OpUnreachable))
	refuse("v128 local", true, nil, nil, []wasm.LocalRun{{N: 1, Type: wasm.I32}, {N: 1, Type: v}})
	refuse("v128.const", true, nil, nil, nil, in(wasm.OpV128Const), in(wasm.OpDrop))
	refuse("reference global", true, nil, nil, nil, in(wasm.OpGlobalGet, 1), in(wasm.OpDrop))
	refuse("call with a reference", true, nil, nil, nil, in(wasm.OpCall, 1), in(wasm.OpDrop))
	refuse("table.size", true, nil, i, nil, in(wasm.OpTableSize, 0))
	refuse("tail call", true, nil, types(wasm.I32), nil, i32(1), i32(0), in(wasm.OpReturnCallIndirect, typI_I, 0))
	refuse("ref.null", true, nil, nil, nil, in(wasm.OpRefNull, uint64(wasm.HeapFunc)), in(wasm.OpDrop))
	refuse("a try behind a return", true, nil, nil, nil, in(wasm.OpReturn),
		block(wasm.OpTry), in(wasm.OpCatchAll), in(wasm.OpEnd))
	refuse("all of it behind a return", false, nil, nil, nil, in(wasm.OpReturn),
		in(wasm.OpV128Const), in(wasm.OpDrop), block(wasm.OpLoop), in(wasm.OpRefNull, uint64(wasm.HeapFunc)), in(wasm.OpDrop), in(wasm.OpEnd))
	refuse("numbers only", false, i, i, []wasm.LocalRun{{N: 3, Type: wasm.F64}}, get(0))
}
