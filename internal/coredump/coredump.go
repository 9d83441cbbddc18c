// Package coredump writes WebAssembly core dumps: what a process was doing and what
// was in its memory, in the format of the tool conventions (Coredump.md there), for
// debuggers such as wasmgdb. A dump is a module that is not to be run: a memory
// with its content, globals as constants, and stacks in custom sections.
package coredump

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/wasm"
)

// A Dump is a process that is at rest or has ended.
type Dump struct {
	Program string       // for people
	Module  *wasm.Module // that it runs
	Memory  []byte       // whole pages; must not change while it is written
	Threads []Thread
}

// A Thread is one of its threads. Each has an instance of the module of its own.
type Thread struct {
	Name    string
	Globals []engine.Global // those that are not constant; others are as the module says
	Frames  []Frame         // innermost first
}

// A Frame is a function in progress. What is not among Slots is not known.
type Frame struct {
	engine.Location
	Slots []engine.Slot
}

// Ids of sections.
const (
	secCustom = 0
	secMemory = 5
	secGlobal = 6
	secData   = 11
)

// Write writes a dump. Memory is written where it is not zero, as far as a module
// can hold: almost 4 GiB of it.
func Write(w io.Writer, d *Dump) error {
	b := bufio.NewWriterSize(w, 1<<16)
	_, _ = b.WriteString("\x00asm\x01\x00\x00\x00") // the writer remembers its error
	custom(b, "core", name([]byte{0}, d.Program))
	custom(b, "coremodules", name([]byte{1, 0}, d.Program))
	custom(b, "coreinstances", d.instances())
	for i := range d.Threads {
		custom(b, "corestack", d.stack(i))
	}
	if len(d.Module.Memories) > 0 {
		pages := wasm.AppendU32([]byte{1, 0}, uint32(len(d.Memory)>>16))
		section(b, secMemory, pages)
	}
	if n := len(d.Module.Globals) * len(d.Threads); n > 0 {
		globals := wasm.AppendU32(nil, uint32(n))
		for i := range d.Threads {
			globals = d.globals(globals, &d.Threads[i])
		}
		section(b, secGlobal, globals)
	}
	d.data(b)
	return b.Flush()
}

func section(w *bufio.Writer, id byte, content []byte) {
	head(w, id, uint64(len(content)))
	_, _ = w.Write(content)
}

func head(w *bufio.Writer, id byte, size uint64) {
	_ = w.WriteByte(id)
	_, _ = w.Write(binary.AppendUvarint(nil, size))
}

func custom(w *bufio.Writer, title string, content []byte) {
	section(w, secCustom, append(name(nil, title), content...))
}

func name(b []byte, s string) []byte { return append(wasm.AppendU32(b, uint32(len(s))), s...) }

// instances says which memory and globals each thread's instance has.
func (d *Dump) instances() []byte {
	b := wasm.AppendU32(nil, uint32(len(d.Threads)))
	n := uint32(len(d.Module.Globals))
	for i := range d.Threads {
		b = append(b, 0, 0) // and the number of the module
		b = append(b, byte(len(d.Module.Memories)))
		b = append(b, make([]byte, len(d.Module.Memories))...) // memory 0: there is but one
		b = wasm.AppendU32(b, n)
		for k := range n {
			b = wasm.AppendU32(b, uint32(i)*n+k)
		}
	}
	return b
}

func (d *Dump) stack(i int) []byte {
	t := &d.Threads[i]
	b := name([]byte{0}, t.Name)
	b = wasm.AppendU32(b, uint32(len(t.Frames)))
	for k := range t.Frames {
		b = append(b, 0)
		b = wasm.AppendU32(b, uint32(i))
		b = d.frame(b, &t.Frames[k])
	}
	return b
}

// missing stands for a value that is not known.
const missing = 0x01

// frame writes a frame less its instance.
func (d *Dump) frame(b []byte, f *Frame) []byte {
	locals, operands := d.locals(f.Func), 0
	for _, s := range f.Slots {
		if s.Operand {
			operands = max(operands, int(s.Index)+1)
		}
	}
	values := [2][][]byte{make([][]byte, locals), make([][]byte, operands)}
	for _, s := range f.Slots {
		list := values[0]
		if s.Operand {
			list = values[1]
		}
		if int(s.Index) < len(list) {
			list[s.Index] = value(s.Value)
		}
	}
	b = wasm.AppendU32(b, f.Func)
	b = wasm.AppendU32(b, d.codeOffset(f.Location))
	for _, list := range values {
		b = wasm.AppendU32(b, uint32(len(list)))
		for _, v := range list {
			if v == nil {
				v = []byte{missing}
			}
			b = append(b, v...)
		}
	}
	return b
}

// locals is how many locals a function has, parameters included.
func (d *Dump) locals(fn uint32) int {
	i := int(fn) - d.Module.NumImports(wasm.ExternFunc)
	if i < 0 || i >= len(d.Module.Code) {
		return 0
	}
	t, _ := d.Module.FuncType(fn)
	n := len(t.Params)
	for _, r := range d.Module.Code[i].Locals {
		n += int(r.N)
	}
	return n
}

// codeOffset is where in its function an instruction is, in bytes; 0 if that is
// not known.
func (d *Dump) codeOffset(at engine.Location) uint32 {
	i := int(at.Func) - d.Module.NumImports(wasm.ExternFunc)
	if i < 0 || i >= len(d.Module.Code) || at.Pos == 0 {
		return 0
	}
	c := &d.Module.Code[i]
	r := wasm.NewReader(c.Body)
	var in wasm.Instr
	for range at.Pos {
		if r.Next(&in) != nil {
			return 0
		}
	}
	return uint32(c.Offset - c.Start + in.Pos)
}

// value is a value in a frame. There is no way to write vectors and references.
func value(v engine.Value) []byte {
	switch v.Type {
	case wasm.I32:
		return wasm.AppendS32([]byte{byte(v.Type)}, int32(v.Lo))
	case wasm.I64:
		return wasm.AppendS64([]byte{byte(v.Type)}, int64(v.Lo))
	case wasm.F32:
		return binary.LittleEndian.AppendUint32([]byte{byte(v.Type)}, uint32(v.Lo))
	case wasm.F64:
		return binary.LittleEndian.AppendUint64([]byte{byte(v.Type)}, v.Lo)
	}
	return []byte{missing}
}

// globals adds those of a thread's instance, as constants.
func (d *Dump) globals(b []byte, t *Thread) []byte {
	have := make(map[uint32]engine.Value)
	for _, g := range t.Globals {
		have[g.Index] = g.Value
	}
	first := d.Module.NumImports(wasm.ExternGlobal)
	for i, g := range d.Module.Globals {
		init := g.Init
		if v, ok := have[uint32(first+i)]; ok {
			init = constant(g.Type.Type, v)
		}
		if g.Type.Type.IsRef() { // there are no functions here to refer to
			g.Type.Type, init = wasm.ExternRef, []byte{byte(wasm.OpRefNull), byte(wasm.ExternRef), byte(wasm.OpEnd)}
		}
		b = append(wasm.AppendValType(b, g.Type.Type), 0)
		b = append(b, init...)
	}
	return b
}

// constant is an expression for a value.
func constant(t wasm.ValType, v engine.Value) []byte {
	var b []byte
	switch t {
	case wasm.I32:
		b = wasm.AppendS32(wasm.AppendOp(b, wasm.OpI32Const), int32(v.Lo))
	case wasm.I64:
		b = wasm.AppendS64(wasm.AppendOp(b, wasm.OpI64Const), int64(v.Lo))
	case wasm.F32:
		b = binary.LittleEndian.AppendUint32(wasm.AppendOp(b, wasm.OpF32Const), uint32(v.Lo))
	case wasm.F64:
		b = binary.LittleEndian.AppendUint64(wasm.AppendOp(b, wasm.OpF64Const), v.Lo)
	case wasm.V128:
		b = binary.LittleEndian.AppendUint64(wasm.AppendOp(b, wasm.OpV128Const), v.Lo)
		b = binary.LittleEndian.AppendUint64(b, v.Hi)
	}
	return wasm.AppendOp(b, wasm.OpEnd)
}

const (
	block      = 4096     // bytes that are looked at together
	maxSegment = 64 << 20 // bytes
)

var zeros [block]byte

// A segment is a part of memory that is written.
type segment struct{ from, to int }

// segments lists the parts of memory that are not zero.
func segments(memory []byte) (out []segment) {
	for at := 0; at < len(memory); at += block {
		end := min(at+block, len(memory))
		if bytes.Equal(memory[at:end], zeros[:end-at]) {
			continue
		}
		if n := len(out); n > 0 && out[n-1].to == at && at-out[n-1].from < maxSegment {
			out[n-1].to = end
		} else {
			out = append(out, segment{at, end})
		}
	}
	return out
}

// head is what comes before the bytes: the memory, the offset, their number.
func (s *segment) head() []byte {
	b := wasm.AppendS32(wasm.AppendOp([]byte{0}, wasm.OpI32Const), int32(uint32(s.from)))
	return wasm.AppendU32(wasm.AppendOp(b, wasm.OpEnd), uint32(s.to-s.from))
}

// data writes the memory straight from where it is.
func (d *Dump) data(w *bufio.Writer) {
	if len(d.Module.Memories) == 0 {
		return
	}
	all := segments(d.Memory)
	size := uint64(binary.MaxVarintLen32)
	for i := range all {
		n := uint64(len(all[i].head())) + uint64(all[i].to-all[i].from)
		if size+n > math.MaxUint32 { // the rest does not fit into a section
			all = all[:i]
			break
		}
		size += n
	}
	count := wasm.AppendU32(nil, uint32(len(all)))
	head(w, secData, size-binary.MaxVarintLen32+uint64(len(count)))
	_, _ = w.Write(count)
	for i := range all {
		_, _ = w.Write(all[i].head())
		_, _ = w.Write(d.Memory[all[i].from:all[i].to])
	}
}

// FramesOf makes frames of a trace. slots gives the values of one, by how many
// frames are below it; nil ones are not known. What a trace leaves out is left out.
func FramesOf(at *engine.Trace, slots func(below int) []engine.Slot) []Frame {
	var out []Frame
	below := at.Len()
	add := func(frames []engine.Location) {
		for _, f := range frames {
			below--
			out = append(out, Frame{f, slots(below)})
		}
	}
	add(at.Frames)
	below -= at.Cut
	add(at.Outer)
	return out
}

// ThreadName is what a task's thread is called in a dump.
func ThreadName(task int32) string { return fmt.Sprintf("task %d", task) }
