package instrument

import (
	"errors"
	"testing"

	"github.com/stasis-run/stasis/internal/wasm"
)

// module makes one of a function of type () -> () that calls an import, which
// is function 0.
func module(locals uint32, body []byte) []byte {
	return wasm.Encode(&wasm.Module{
		Types:   []wasm.FuncType{{}},
		Imports: []wasm.Import{{Module: "m", Name: "f", Kind: wasm.ExternFunc}},
		Funcs:   []uint32{0},
		Exports: []wasm.Export{{Name: "f", Kind: wasm.ExternFunc, Index: 1}},
		Tags:    []uint32{0},
		Code:    []wasm.Code{{Locals: []wasm.LocalRun{{N: locals, Type: wasm.I32}}, Body: body}},
	})
}

// copies is a module of n such functions.
func copies(n int, body []byte) []byte {
	m, err := wasm.Decode(module(0, body))
	if err != nil {
		panic(err)
	}
	for range n - 1 {
		m.Funcs = append(m.Funcs, m.Funcs[0])
		m.Code = append(m.Code, m.Code[0])
	}
	return wasm.Encode(m)
}

func times(b []byte, n int, part ...byte) []byte {
	for range n {
		b = append(b, part...)
	}
	return b
}

// TestLimits: modules whose records would be out of all proportion are refused
// by name, and those just as large that are not, are taken.
func TestLimits(t *testing.T) {
	const (
		call, drop, end = byte(wasm.OpCall), byte(wasm.OpDrop), byte(wasm.OpEnd)
		get, set, zero  = byte(wasm.OpLocalGet), byte(wasm.OpLocalSet), byte(wasm.OpI32Const)
	)
	operands := func(depth, calls int) []byte {
		b := times(nil, depth, zero, 0)
		b = times(b, calls, call, 0)
		b = times(b, depth, drop)
		return append(b, end)
	}
	rethrows := func(depth, calls int) []byte {
		var b []byte
		for range depth {
			b = append(b, byte(wasm.OpTry), 0x40, byte(wasm.OpThrow), 0, byte(wasm.OpCatchAll))
		}
		b = times(b, calls, call, 0)
		for k := range depth {
			b = append(b, zero, 0, byte(wasm.OpIf), 0x40, byte(wasm.OpRethrow))
			b = wasm.AppendU32(b, 1)
			b = append(b, end, end)
			_ = k
		}
		return append(b, end)
	}
	live := func(locals uint32, calls int) []byte {
		var b []byte
		for x := range locals {
			b = wasm.AppendU32(append(b, zero, 1, set), x)
		}
		b = times(b, calls, call, 0)
		for x := range locals {
			b = append(wasm.AppendU32(append(b, get), x), drop)
		}
		return append(b, end)
	}
	for _, tt := range []struct {
		name    string
		b       []byte
		refused bool
	}{
		{"5,000 operands around 600 calls", module(0, operands(5000, 600)), false},
		{"5,000 operands around 20,000 calls", module(0, operands(5000, 20_000)), true},
		{"100 caught exceptions around 1,000 calls", module(0, rethrows(100, 1000)), false},
		{"5,000 caught exceptions around 20,000 calls", module(0, rethrows(5000, 20_000)), true},
		{"10,000 locals around 600 calls", module(10_000, live(10_000, 600)), false},
		{"10,000 locals around 5,000 calls", module(10_000, live(10_000, 5000)), true},
		{"five functions of 15,000,000 values", copies(5, operands(5000, 3000)), true},
		{"49,000 dead locals around 60,000 calls", module(49_000, append(times(nil, 60_000, call, 0), end)), true},
	} {
		p, err := New(tt.b, Options{})
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		_, err = p.Hot()
		if refused := errors.Is(err, ErrUnsupported); refused != tt.refused || (err != nil) != tt.refused {
			t.Errorf("%s: %v, want refused %v", tt.name, err, tt.refused)
		}
	}
}
