package instrument

import (
	"fmt"
	"sort"

	"github.com/stasis-run/stasis/internal/wasm"
)

// Where compiled code is, in terms of the original, is asked for only when a
// stack is printed, so nothing is kept of it: the code of the functions in
// question is made again, and this time what becomes of each instruction is
// noted.

// Marks say which instructions of an original function its emitted code stands
// for. The zero value knows of none.
type Marks struct {
	at []mark // ascending
}

// A mark says that from an offset of the emitted body on, code is that of an
// instruction of the original.
type mark struct {
	offset int
	instr  int32
	calls  bool // it is one that is emitted as a call
}

// mark notes, for marks that there are, that what is emitted from an offset on is of
// instruction i.
func (b *body) mark(offset int, i int32) {
	b.marks.at = append(b.marks.at, mark{offset, i, b.instrs[i].calls()})
}

// shift notes that so many bytes were put before all that is emitted.
func (b *body) shift(n int) {
	if b.marks != nil {
		for i := range b.marks.at {
			b.marks.at[i].offset += n
		}
	}
}

// calls reports whether an instruction may be emitted as a call: of a function, or
// of a helper that stands for it.
func (x *instr) calls() bool {
	switch x.op {
	case wasm.OpCall, wasm.OpCallIndirect, wasm.OpCallRef, wasm.OpMemoryCopy, wasm.OpMemoryFill, wasm.OpMemoryInit,
		wasm.OpTableCopy, wasm.OpTableInit, wasm.OpDataDrop, wasm.OpElemDrop, wasm.OpThrow, wasm.OpThrowRef, wasm.OpRethrow:
		return true
	}
	return isReference(x.op)
}

// Pos is the position of the instruction that the code at an offset of the
// emitted body, in bytes, is of: its ordinal plus one, or 0 if there is none. In
// front of a function's first instruction, that is meant. If a call was at that
// offset, only what can be one is an answer.
func (m *Marks) Pos(offset int, call bool) uint32 {
	if len(m.at) == 0 {
		return 0
	}
	i := sort.Search(len(m.at), func(i int) bool { return m.at[i].offset > offset })
	at := &m.at[max(i-1, 0)]
	if call && !at.calls {
		return 0
	}
	return uint32(at.instr) + 1
}

// TraceHot makes the hot form again with the code of the given functions of the
// original alone; it differs in nothing else that code is compiled from. All
// functions must be defined by the module.
func (p *Program) TraceHot(fns []uint32) ([]byte, map[uint32]*Marks, error) {
	marks := make(map[uint32]*Marks, len(fns))
	for _, fn := range fns {
		marks[fn] = new(Marks)
	}
	h, err := p.hot(marks)
	if err != nil {
		return nil, nil, err
	}
	h.out.Exports = nil // nobody asks for them
	for i := range h.out.Data {
		h.out.Data[i].Bytes = nil
	}
	return encodeTraced(&h.out), marks, nil
}

// TraceContinuation makes the continuation of a site again.
func (p *Program) TraceContinuation(id SiteID) ([]byte, *Marks, error) {
	s, err := p.Site(id)
	if err != nil {
		return nil, nil, err
	}
	b, err := p.body(s.Func - uint32(p.imports))
	if err != nil {
		return nil, nil, err
	}
	own := *b
	own.marks = new(Marks)
	m, err := p.contModule(&own, &s)
	if err != nil {
		return nil, nil, err
	}
	return encodeTraced(m), own.marks, nil
}

// emit makes the hot form of a function, or stands in for one that is not asked
// for: with code that is valid for every type.
func (h *hotModule) emit(e *emitter, env env, b *body) wasm.Code {
	if h.traced == nil {
		return h.p.emitHot(e, env, b)
	}
	if b.marks = h.traced[b.fn]; b.marks != nil {
		*b.marks = Marks{} // it may be emitted again
	}
	code := h.p.emitHot(e, env, b) // also if it is not asked for: it numbers types and helpers
	if b.marks == nil {
		return wasm.Code{Body: wasm.AppendOp(wasm.AppendOp(nil, wasm.OpUnreachable), wasm.OpEnd)}
	}
	return code
}

// encodeTraced encodes a module that engines keep the offsets of: as of one with
// debug information, of which there is an empty unit.
func encodeTraced(m *wasm.Module) []byte {
	unit := []byte{4, 0, 0, 0, 0, 0, 4} // version, offset of the abbreviations, size of an address
	info := append([]byte{byte(len(unit)), 0, 0, 0}, unit...)
	for _, c := range []struct {
		name  string
		bytes []byte
	}{{"info", info}, {"abbrev", []byte{0}}} {
		m.Customs = append(m.Customs, wasm.Custom{Name: fmt.Sprintf(".debug_%s", c.name), Bytes: c.bytes, After: 10})
	}
	return wasm.Encode(m)
}
