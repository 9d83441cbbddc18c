package main

import "github.com/stasis-run/stasis/internal/wasm"

// microModule has the functions that the small measurements call:
//
//	deep(n, k)  recursion n deep; at the bottom it calls the import tick k times
//	fib(n)      Fibonacci by recursion
//	count(n)    the shortest loop there is: counts n down
//	sum(n)      a loop with a load, an addition and a store
//	forever()   a loop that does not end, as _start
//
// The import is left out where the kernel, which has no such call, binds it.
func microModule(withTick bool) []byte {
	i32 := wasm.I32
	m := &wasm.Module{
		Types: []wasm.FuncType{
			{},
			{Params: []wasm.ValType{i32, i32}, Results: []wasm.ValType{i32}},
			{Params: []wasm.ValType{i32}, Results: []wasm.ValType{i32}},
		},
		Funcs:    []uint32{1, 2, 2, 2, 0},
		Memories: []wasm.Limits{{Min: 1}},
	}
	first, tick := byte(0), []byte{0x01} // a nop
	if withTick {
		m.Imports = []wasm.Import{{Module: "env", Name: "tick", Kind: wasm.ExternFunc, Type: 0}}
		first, tick = 1, []byte{0x10, 0}
	}
	body := func(parts ...[]byte) wasm.Code {
		var c wasm.Code
		for _, p := range parts {
			c.Body = append(c.Body, p...)
		}
		c.Body = append(c.Body, 0x0b)
		return c
	}
	down := func(local byte) []byte { return []byte{0x20, local, 0x41, 1, 0x6b, 0x22, local, 0x0d, 0, 0x0b} } // … br_if 0, end
	m.Code = []wasm.Code{
		body([]byte{0x20, 0, 0x45, 0x04, 0x7f, 0x03, 0x40}, tick, down(1), []byte{0x41, 0, 0x05,
			0x20, 0, 0x41, 1, 0x6b, 0x20, 1, 0x10, first, 0x41, 1, 0x6a, 0x0b}),
		body([]byte{0x20, 0, 0x41, 2, 0x49, 0x04, 0x7f, 0x20, 0, 0x05,
			0x20, 0, 0x41, 1, 0x6b, 0x10, first + 1, 0x20, 0, 0x41, 2, 0x6b, 0x10, first + 1, 0x6a, 0x0b}),
		body([]byte{0x03, 0x40}, down(0), []byte{0x20, 0}),
		body([]byte{0x03, 0x40, 0x41, 0, 0x41, 0, 0x28, 2, 0, 0x20, 0, 0x6a, 0x36, 2, 0}, down(0), []byte{0x41, 0, 0x28, 2, 0}),
		body([]byte{0x03, 0x40, 0x0c, 0, 0x0b}),
	}
	for i, name := range []string{"deep", "fib", "count", "sum", "_start"} {
		m.Exports = append(m.Exports, wasm.Export{Name: name, Kind: wasm.ExternFunc, Index: uint32(first) + uint32(i)})
	}
	return wasm.Encode(m)
}
