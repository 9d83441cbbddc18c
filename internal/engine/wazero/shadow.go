package wazero

import (
	"context"

	"github.com/tetratelabs/wazero/api"

	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/wasm"
)

// A shadow is what a table of functions holds, as numbers (index plus one),
// kept beside the engine's table where the guest can change it: engines do not
// tell which function a reference is. The engine does each operation first, so
// bounds have been checked when the shadow's turn comes.
type shadow struct {
	kept  bool
	funcs []uint32
}

func (t *Thread) initShadows() {
	if t.module.program.ChangesTables() {
		t.tables = t.newShadows()
	}
}

// newShadows makes shadows of all tables, without content.
func (t *Thread) newShadows() []shadow {
	var out []shadow
	for _, tt := range t.module.program.Tables() {
		s := shadow{kept: instrument.Lowered(tt.Elem) == wasm.I32}
		if s.kept {
			s.funcs = make([]uint32, tt.Limits.Min)
		}
		out = append(out, s)
	}
	return out
}

// applyShadows gives the shadows what the tables have at the start.
func (t *Thread) applyShadows() {
	if t.tables != nil {
		t.fillShadows(t.tables)
	}
}

func (t *Thread) fillShadows(tables []shadow) {
	m := t.module.program.Module()
	first := len(tables) - len(m.Tables)
	for i := range m.Tables {
		if f, ok := instrument.RefFunc(m.Tables[i].Init); ok {
			fill(tables[first+i].funcs, f+1)
		}
	}
	for i := range m.Elems {
		e := &m.Elems[i]
		if e.Mode != wasm.Active || !tables[e.Table].kept {
			continue
		}
		off := t.constI32(e.Offset)
		for k := range e.Len() {
			if int(off)+k < len(tables[e.Table].funcs) {
				tables[e.Table].funcs[int(off)+k] = elemNumber(e, k)
			}
		}
	}
}

func fill(s []uint32, v uint32) {
	for i := range s {
		s[i] = v
	}
}

// elemNumber is the number of item k of a segment.
func elemNumber(e *wasm.Elem, k int) uint32 {
	if f, ok := instrument.ElemFunc(e, k); ok {
		return f + 1
	}
	return 0
}

// constI32 evaluates a constant expression of type i32 against the globals,
// which the initializers of the engine have done before with the same result.
func (t *Thread) constI32(expr []byte) uint32 {
	var stack []uint32
	pop := func() uint32 { v := stack[len(stack)-1]; stack = stack[:len(stack)-1]; return v }
	r := wasm.NewReader(expr)
	var in wasm.Instr
	for r.Next(&in) == nil {
		switch in.Op {
		case wasm.OpI32Const:
			stack = append(stack, uint32(in.A))
		case wasm.OpGlobalGet:
			stack = append(stack, uint32(t.hot.ExportedGlobal(instrument.ExportGlobal(uint32(in.A))).Get()))
		case wasm.OpI32Add:
			stack = append(stack, pop()+pop())
		case wasm.OpI32Sub:
			b := pop()
			stack = append(stack, pop()-b)
		case wasm.OpI32Mul:
			stack = append(stack, pop()*pop())
		}
	}
	return pop()
}

// shadowFunc is the runtime function that repeats an operation on a shadow.
func shadowFunc(name string) api.GoModuleFunc {
	var f func(t *Thread, s []uint64)
	switch name {
	case instrument.RuntimeTableGet: // table, i -> number
		f = func(t *Thread, s []uint64) { s[0] = uint64(t.shadow(s[0])[uint32(s[1])]) }
	case instrument.RuntimeTableSet: // table, i, number
		f = func(t *Thread, s []uint64) { t.shadow(s[0])[uint32(s[1])] = uint32(s[2]) }
	case instrument.RuntimeTableGrow: // table, old size or -1, number, n
		f = func(t *Thread, s []uint64) {
			if int32(s[1]) == -1 {
				return
			}
			x := &t.tables[uint32(s[0])]
			old := len(x.funcs)
			x.funcs = append(x.funcs, make([]uint32, uint32(s[3]))...)
			fill(x.funcs[old:], uint32(s[2]))
		}
	case instrument.RuntimeTableFill: // table, i, number, n
		f = func(t *Thread, s []uint64) { fill(t.shadow(s[0])[uint32(s[1]):][:uint32(s[3])], uint32(s[2])) }
	case instrument.RuntimeTableCopy: // to, from, to i, from i, n
		f = func(t *Thread, s []uint64) {
			copy(t.shadow(s[0])[uint32(s[2]):][:uint32(s[4])], t.shadow(s[1])[uint32(s[3]):])
		}
	case instrument.RuntimeTableInit: // table, segment, i, from, n
		f = func(t *Thread, s []uint64) {
			e := &t.module.program.Module().Elems[uint32(s[1])]
			to := t.shadow(s[0])[uint32(s[2]):][:uint32(s[4])]
			for k := range to {
				to[k] = elemNumber(e, int(uint32(s[3]))+k)
			}
		}
	default:
		return nil
	}
	return func(ctx context.Context, _ api.Module, stack []uint64) { f(threadOf(ctx), stack) }
}

func (t *Thread) shadow(table uint64) []uint32 { return t.tables[uint32(table)].funcs }
