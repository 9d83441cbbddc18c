package interp

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/tetratelabs/wazero/api"

	"github.com/stasis-run/stasis/internal/wasm"
)

// operators are all instructions that turn one or two numbers into one.
func operators() (ops []wasm.Opcode) {
	for op := wasm.OpI32Eqz; op <= wasm.OpI64Extend32S; op++ {
		ops = append(ops, op)
	}
	for op := wasm.OpI32TruncSatF32S; op <= wasm.OpI64TruncSatF64U; op++ {
		ops = append(ops, op)
	}
	return ops
}

// Every operator gives the bits that wazero's compiler gives, or the same trap,
// for all pairs of special values and for random ones. NaNs are compared like
// all else.
func TestOperators(t *testing.T) {
	m := &wasm.Module{}
	for i, op := range operators() {
		params, results, ok := op.Sig()
		if !ok {
			t.Fatalf("%v has no signature", op)
		}
		var code []wasm.Instr
		for p := range params {
			code = append(code, in(wasm.OpLocalGet, uint64(p)))
		}
		addFunc(m, params, results, body(append(code, in(op))...))
		m.Exports[i].Name = op.String()
	}
	inst, codes := compile(t, m), prepareAll(t, m)
	compared := 0
	for i, op := range operators() {
		x := &operatorTest{
			compiled: inst.mod.ExportedFunction(op.String()),
			code:     codes[i],
			rand:     rand.New(rand.NewPCG(1, uint64(op))),
		}
		params, results, _ := op.Sig()
		x.width = results[0]
		if err := x.all(params); err != nil {
			t.Errorf("%v: %v", op, err)
		}
		compared += x.compared
	}
	t.Logf("%d operators, %d results and traps compared", len(operators()), compared)
}

// The operands of an operator can be one value, and constants: the compiler
// has other forms for these.
func TestOperatorsOfOneValue(t *testing.T) {
	m := &wasm.Module{}
	type variant struct {
		op   wasm.Opcode
		what string
	}
	var variants []variant
	add := func(op wasm.Opcode, what string, code ...wasm.Instr) {
		params, results, _ := op.Sig()
		addFunc(m, params[:1], results, body(append(code, in(op))...))
		variants = append(variants, variant{op, what})
	}
	for _, op := range operators() {
		params, _, _ := op.Sig()
		if len(params) < 2 {
			continue
		}
		x := in(wasm.OpLocalGet, 0)
		add(op, "x, x", x, x)
		for _, v := range specials(params[0]) {
			c := in(constOf(params[0]), v)
			if params[0] == wasm.I32 {
				c.A = uint64(int32(v))
			}
			add(op, fmt.Sprintf("x, %#x", v), x, c)
			add(op, fmt.Sprintf("%#x, x", v), c, x)
			if testing.Short() {
				break
			}
		}
	}
	inst, codes := compile(t, m), prepareAll(t, m)
	for i, v := range variants {
		params, results, _ := v.op.Sig()
		x := &operatorTest{
			compiled: inst.mod.ExportedFunction(fmt.Sprintf("f%d", i)),
			code:     codes[i],
			width:    results[0],
		}
		for _, s := range specials(params[0]) {
			if err := x.one(s); err != nil {
				t.Errorf("%v of %s: %v", v.op, v.what, err)
				break
			}
		}
	}
}

func constOf(t wasm.ValType) wasm.Opcode {
	return map[wasm.ValType]wasm.Opcode{
		wasm.I32: wasm.OpI32Const, wasm.I64: wasm.OpI64Const,
		wasm.F32: wasm.OpF32Const, wasm.F64: wasm.OpF64Const,
	}[t]
}

// addFunc adds a function and exports it as fN.
func addFunc(m *wasm.Module, params, results []wasm.ValType, code []byte, locals ...wasm.LocalRun) {
	n := uint32(len(m.Funcs))
	m.Funcs = append(m.Funcs, uint32(len(m.Types)))
	m.Types = append(m.Types, wasm.FuncType{Params: params, Results: results})
	m.Code = append(m.Code, wasm.Code{Locals: locals, Body: code})
	m.Exports = append(m.Exports, wasm.Export{Name: fmt.Sprintf("f%d", n), Index: n})
}

// An operatorTest runs one operator on both.
type operatorTest struct {
	compiled api.Function
	code     *Code
	rand     *rand.Rand
	width    wasm.ValType // of the result

	frame    Frame
	stack    [2]uint64
	traps    int
	compared int
}

func (x *operatorTest) all(params []wasm.ValType) error {
	for _, a := range specials(params[0]) {
		if len(params) == 1 {
			if err := x.one(a); err != nil {
				return err
			}
			continue
		}
		for _, b := range specials(params[1]) {
			if err := x.one(a, b); err != nil {
				return err
			}
		}
	}
	n := 3000
	if testing.Short() {
		n = 300
	}
	for range n {
		args := make([]uint64, len(params))
		for i, t := range params {
			args[i] = randomOf(x.rand, t)
		}
		if err := x.one(args...); err != nil {
			return err
		}
	}
	return nil
}

// maxTraps bounds how often an operator traps: each takes wazero 10 µs.
const maxTraps = 3000

// one compares a result.
func (x *operatorTest) one(args ...uint64) error {
	x.frame = Frame{Locals: args, Stack: x.frame.Stack[:0]}
	ev, _ := x.code.Run(&x.frame, nil)
	if ev.Kind == Trap {
		if x.traps++; x.traps > maxTraps {
			return nil
		}
	}
	x.compared++
	copy(x.stack[:], args)
	err := x.compiled.CallWithStack(context.Background(), x.stack[:])
	if err != nil {
		if want := trapOf(err); ev.Kind != Trap || ev.Trap != want {
			return fmt.Errorf("of %#x: %v %q, want trap %q", args, ev.Kind, ev.Trap, want)
		}
		return nil
	}
	want := x.stack[0]
	if x.width == wasm.I32 || x.width == wasm.F32 {
		want = uint64(uint32(want))
	}
	if ev.Kind != Return || len(x.frame.Stack) != 1 || x.frame.Stack[0] != want {
		return fmt.Errorf("of %#x: %v %q %#x, want %#x", args, ev.Kind, ev.Trap, x.frame.Stack, want)
	}
	return nil
}

// specials are the values of a type where operators have their edges. The
// slice is shared.
func specials(t wasm.ValType) []uint64 { return specialsOf[t] }

var specialsOf = map[wasm.ValType][]uint64{
	wasm.I32: findSpecials(wasm.I32), wasm.I64: findSpecials(wasm.I64),
	wasm.F32: findSpecials(wasm.F32), wasm.F64: findSpecials(wasm.F64),
}

func findSpecials(t wasm.ValType) []uint64 {
	switch t {
	case wasm.I32:
		return []uint64{
			0, 1, 2, 3, 31, 32, 33, 63, 64, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000,
			0xffffff, 0x1000000, 0x1000001, 0x1000003, 0x7fffff7f, 0x7fffff80, 0x7fffffbf, 0x7fffffc0, 0x7ffffffe, 0x7fffffff,
			0x80000000, 0x80000001, 0x80000080, 0xaaaaaaaa, 0xffffff7f, 0xffffff80, 0xfffffffe, 0xffffffff,
		}
	case wasm.I64:
		return []uint64{
			0, 1, 2, 31, 32, 63, 64, 65, 0x7f, 0x80, 0xffff, 0x8000, 0x7fffffff, 0x80000000, 0x80000001, 0xffffffff, 0x100000000,
			0x1000001, 0x1fffffffffffff, 0x20000000000000, 0x20000000000001, 0x20000000000003,
			// Ties of 24 and 53 bits, and their neighbours: odd and even, with and without the top bit.
			0x4000004000000000, 0x4000004000000001, 0x400000bfffffffff, 0x400000c000000000,
			0x8000008000000000, 0x8000008000000001, 0x8000017fffffffff, 0x8000018000000000, 0x8000008000000401,
			0x8000000000000400, 0x8000000000000401, 0x8000000000000bff, 0x8000000000000c00,
			0x7ffffffffffffdff, 0x7ffffffffffffe00, 0x7ffffffffffffffe, 0x7fffffffffffffff,
			0x8000000000000000, 0x8000000000000001, 0xffffff7fffffffff, 0xffffff8000000000, 0xfffffffffffffbff, 0xfffffffffffffc00,
			0xaaaaaaaaaaaaaaaa, 0xffffffff7fffffff, 0xffffffff80000000, 0xfffffffffffffffe, 0xffffffffffffffff,
		}
	case wasm.F32:
		var vs []uint64
		for _, sign := range []uint64{0, signBit32} {
			for _, v := range []uint64{
				0x7f800001, 0x7fa00000, 0x7fbfffff, 0x7fc00000, 0x7fc00001, 0x7fe12345, 0x7fffffff, // NaNs: signalling, quiet
				0x7f800000, 0x7f7fffff, 0, 1, 2, 0x7fffff, 0x800000, 0x800001, // infinity, largest, denormals
			} {
				vs = append(vs, v|sign)
			}
			for _, f := range numbers {
				if f32 := float32(f); !math.IsInf(float64(f32), 0) {
					b := math.Float32bits(f32)
					vs = append(vs, uint64(b)|sign, uint64(b+1)|sign, uint64(b-1)&^signBit32|sign)
				}
			}
		}
		return vs
	case wasm.F64:
		var vs []uint64
		for _, sign := range []uint64{0, signBit64} {
			for _, v := range []uint64{
				0x7ff0000000000001, 0x7ff4000000000000, 0x7ff7ffffffffffff, 0x7ff0000020000000, 0x7ff000001fffffff,
				0x7ff8000000000000, 0x7ff8000000000001, 0x7ffc123456789abc, 0x7fffffffffffffff,
				0x7ff0000000000000, 0x7fefffffffffffff, 0, 1, 2, 0xfffffffffffff, 0x10000000000000, 0x10000000000001,
				// Around what f32 can be: largest, least normal, least, half of it.
				0x47efffffe0000000, 0x47efffffefffffff, 0x47effffff0000000, 0x3810000000000000, 0x380fffffffffffff,
				0x36a0000000000000, 0x3690000000000000, 0x3690000000000001, 0x3ff0000010000000, 0x3ff0000030000000,
			} {
				vs = append(vs, v|sign)
			}
			for _, f := range numbers {
				b := math.Float64bits(f)
				vs = append(vs, b|sign, (b+1)|sign, (b-1)&^signBit64|sign)
			}
		}
		return vs
	}
	panic("no numbers of type " + t.String())
}

// numbers are the positive ones that conversions and roundings turn at.
var numbers = []float64{
	0.5, 1, 1.5, 2, 2.5, 3, 1 << 23, 1<<23 + 0.5, 1 << 24, 1 << 31, 1<<31 - 1, 1<<31 - 0.5, 1<<31 + 0.5, 1<<31 + 1,
	1 << 32, 1<<32 - 1, 1<<32 - 0.5, 1 << 52, 1<<52 - 0.5, 1 << 53, 1 << 62, 1 << 63, 1 << 64, 1e30, 1e-30, 1e300,
}

// randomOf draws a value of a type: half of them specials.
func randomOf(r *rand.Rand, t wasm.ValType) uint64 {
	if r.IntN(2) == 0 {
		s := specials(t)
		return s[r.IntN(len(s))]
	}
	switch t {
	case wasm.I32:
		return uint64(r.Uint32() >> r.IntN(32))
	case wasm.I64:
		return r.Uint64() >> r.IntN(64)
	case wasm.F32:
		if r.IntN(2) == 0 {
			return uint64(r.Uint32())
		}
		return uint64(math.Float32bits(float32(r.NormFloat64() * math.Exp2(float64(r.IntN(80)-10)))))
	}
	if r.IntN(2) == 0 {
		return r.Uint64()
	}
	return math.Float64bits(r.NormFloat64() * math.Exp2(float64(r.IntN(80)-10)))
}
