package stops

import (
	"encoding/binary"

	"github.com/stasis-run/stasis/internal/wasm"
)

// A code is a function body in the making.
type code []byte

func (c *code) op(op wasm.Opcode, imm ...uint64) *code {
	in := wasm.Instr{Op: op, Block: wasm.BlockType{Index: -1}}
	if len(imm) > 0 {
		in.A = imm[0]
	}
	if len(imm) > 1 {
		in.B = imm[1]
	}
	*c = wasm.AppendInstr(*c, &in)
	return c
}

func (c *code) i32(vs ...int) *code {
	for _, v := range vs {
		c.op(wasm.OpI32Const, uint64(int64(int32(v))))
	}
	return c
}

// sys calls import fn with constant arguments and drops the errno.
func (c *code) sys(fn int, args ...int) *code {
	return c.i32(args...).op(wasm.OpCall, uint64(fn)).op(wasm.OpDrop)
}

// exitWith ends the process with the byte at addr as its code.
func (c *code) exitWith(addr int) *code {
	return c.i32(addr).op(wasm.OpI32Load, 2, 0).op(wasm.OpCall, sysExit)
}

// Imports of the guests, by number.
const (
	sysExit = iota
	sysPoll
	sysRead
	sysAccept
)

// module makes a module of pages of memory, initial data at 0, and _start.
func module(pages int, data []byte, body *code) []byte {
	i32 := func(n int) []wasm.ValType {
		out := make([]wasm.ValType, n)
		for i := range out {
			out[i] = wasm.I32
		}
		return out
	}
	m := &wasm.Module{
		Types: []wasm.FuncType{
			{Params: i32(1)},                  // proc_exit
			{Params: i32(4), Results: i32(1)}, // poll_oneoff, fd_read
			{Params: i32(3), Results: i32(1)}, // sock_accept
			{},
		},
		Funcs:    []uint32{3},
		Memories: []wasm.Limits{{Min: uint64(pages)}},
		Exports:  []wasm.Export{{Name: "_start", Kind: wasm.ExternFunc, Index: 4}, {Name: "memory", Kind: wasm.ExternMemory}},
		Code:     []wasm.Code{{Locals: []wasm.LocalRun{{N: 1, Type: wasm.I64}}, Body: *body.op(wasm.OpEnd)}},
	}
	for i, name := range []string{"proc_exit", "poll_oneoff", "fd_read", "sock_accept"} {
		m.Imports = append(m.Imports, wasm.Import{Module: "wasi_snapshot_preview1", Name: name, Type: []uint32{0, 1, 1, 2}[i]})
	}
	if len(data) > 0 {
		m.Data = []wasm.Data{{Mode: wasm.Active, Offset: []byte{byte(wasm.OpI32Const), 0, byte(wasm.OpEnd)}, Bytes: data}}
	}
	return wasm.Encode(m)
}

// loop repeats for ever what body does.
func loop(body func(*code)) *code {
	c := new(code)
	c.op(wasm.OpLoop)
	body(c)
	return c.op(wasm.OpBr, 0).op(wasm.OpEnd)
}

// counts is a bare compute loop: it counts in a local.
func counts() []byte {
	return module(1, nil, loop(func(c *code) {
		c.op(wasm.OpLocalGet, 0).op(wasm.OpI64Const, 1).op(wasm.OpI64Add).op(wasm.OpLocalSet, 0)
	}))
}

// ticks counts in memory, at 0.
func ticks() []byte {
	return module(1, nil, loop(func(c *code) {
		c.i32(0, 0).op(wasm.OpI32Load, 2, 0).i32(1).op(wasm.OpI32Add).op(wasm.OpI32Store, 2, 0)
	}))
}

// fills writes pages of memory over and over.
func fills(pages int) []byte {
	return module(pages, nil, loop(func(c *code) {
		c.i32(0, 7, int(int32(uint32(pages)<<16))).op(wasm.OpMemoryFill)
	}))
}

// polls waits for ns, and exits with 42 if poll_oneoff tells one event.
func polls(ns uint64) []byte {
	data := make([]byte, 48)
	binary.LittleEndian.PutUint32(data[16:], 1) // monotonic
	binary.LittleEndian.PutUint64(data[24:], ns)
	c := new(code).sys(sysPoll, 0, 1000, 1, 2000)
	c.i32(2000).op(wasm.OpI32Load, 2, 0).i32(41).op(wasm.OpI32Add).op(wasm.OpCall, sysExit)
	return module(1, data, c)
}

// reads reads from fd 0 and exits with the first byte.
func reads() []byte {
	data := make([]byte, 8)
	binary.LittleEndian.PutUint32(data[0:], 100)
	binary.LittleEndian.PutUint32(data[4:], 1)
	return module(1, data, new(code).sys(sysRead, 0, 0, 1, 64).exitWith(100))
}

// accepts accepts a connection at fd 1, reads from it and exits with the first
// byte.
func accepts() []byte {
	data := make([]byte, 8)
	binary.LittleEndian.PutUint32(data[0:], 100)
	binary.LittleEndian.PutUint32(data[4:], 1)
	c := new(code).sys(sysAccept, 1, 0, 200)
	c.i32(200).op(wasm.OpI32Load, 2, 0).i32(0, 1, 64).op(wasm.OpCall, sysRead).op(wasm.OpDrop)
	return module(1, data, c.exitWith(100))
}
