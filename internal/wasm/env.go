package wasm

import "sync"

// An env is what the checks of all functions need to know about their module.
// It is immutable but for what the Once fields guard, and may be shared by
// goroutines.
type env struct {
	matcher

	m      *Module
	spaces *Spaces

	declareOnce sync.Once
	declared    []uint64 // bit for each function that ref.func may name; set by declareOnce
}

func newEnv(m *Module) *env {
	return &env{matcher: matcher{types: m.Types}, m: m, spaces: m.Spaces()}
}

// typeExists reports whether t points to something that there is.
func (e *env) typeExists(t ValType) bool {
	return !t.hasHeap() || e.heapExists(t.Heap())
}

func (e *env) heapExists(ht HeapType) bool {
	return !ht.IsIndex() || int(ht) < len(e.types)
}

// isDeclared reports whether function idx is named outside of function bodies,
// which is what ref.func in a body asks for.
func (e *env) isDeclared(idx uint64) bool {
	e.declareOnce.Do(e.declareAll)
	return idx/64 < uint64(len(e.declared)) && e.declared[idx/64]&(1<<(idx%64)) != 0
}

func (e *env) declareAll() {
	e.declared = make([]uint64, (len(e.spaces.Funcs)+63)/64)
	m := e.m
	for i := range m.Exports {
		if m.Exports[i].Kind == ExternFunc {
			e.declare(m.Exports[i].Index)
		}
	}
	var r Reader
	for i := range m.Globals {
		e.declareExpr(&r, m.Globals[i].Init)
	}
	for i := range m.Tables {
		e.declareExpr(&r, m.Tables[i].Init)
	}
	for i := range m.Elems {
		for _, idx := range m.Elems[i].Funcs {
			e.declare(idx)
		}
		for _, expr := range m.Elems[i].Exprs {
			e.declareExpr(&r, expr)
		}
	}
}

func (e *env) declare(idx uint32) {
	if int(idx/64) < len(e.declared) {
		e.declared[idx/64] |= 1 << (idx % 64)
	}
}

func (e *env) declareExpr(r *Reader, expr []byte) {
	r.Reset(expr)
	var in Instr
	for r.Next(&in) == nil {
		if in.Op == OpRefFunc {
			e.declare(uint32(in.A))
		}
	}
}
