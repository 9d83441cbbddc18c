package instrument

import (
	"fmt"

	"github.com/stasis-run/stasis/internal/wasm"
)

// Lowered is the type that holds values of an original type in rewritten code:
// I32 for references to functions (the index plus one, 0 for null).
func Lowered(t wasm.ValType) wasm.ValType { return lowered(t) }

// Matches reports whether values of types have of the original module may
// stand where it asks for want.
func (p *Program) Matches(have, want []wasm.ValType) bool { return p.spaces.Matches(have, want) }

// FuncMatches reports whether a reference to a function that exists is of
// type t.
func (p *Program) FuncMatches(fn uint32, t wasm.ValType) bool {
	h := t.Heap()
	return h == wasm.HeapFunc || h.IsIndex() && p.spaces.SameType(p.typeOf(fn), uint32(h))
}

// OfType reports whether a function is of a type, as call_indirect asks.
func (p *Program) OfType(fn, typ uint32) bool { return p.spaces.SameType(p.typeOf(fn), typ) }

// Spaces are the index spaces of the original module.
func (p *Program) Spaces() *wasm.Spaces { return p.spaces }

// Quick reports whether a function is left alone: direct calls of it are no
// sites.
func (p *Program) Quick(fn uint32) bool { return p.quick(fn) }

// RefFunc is the function whose reference a constant expression makes, if any.
func RefFunc(expr []byte) (fn uint32, ok bool) { return refFunc(expr) }

// ElemFunc is the function that item k of a segment refers to, or false for null.
func ElemFunc(e *wasm.Elem, k int) (fn uint32, ok bool) { return elemFunc(e, k) }

// Markers is the number of hidden parameters of a function that follow its
// depth; their values do not matter.
func (p *Program) Markers(fn uint32) int { return len(p.markerTypes(p.typeOf(fn))) }

// NumImports is the number of imported functions.
func (p *Program) NumImports() int { return p.imports }

// CodeSize is the length of the body of a defined function, in bytes.
func (p *Program) CodeSize(fn uint32) int { return len(p.mod.Code[int(fn)-p.imports].Body) }

// NumFuncs is the number of functions, imported ones included.
func (p *Program) NumFuncs() int { return len(p.spaces.Funcs) }

// Tables lists the types of all tables.
func (p *Program) Tables() []wasm.TableType { return p.spaces.Tables }

// ChangesTables reports whether the guest can change or read tables, so that
// their contents must be kept and saved.
func (p *Program) ChangesTables() bool { return p.needs[runtimeTableGet] }

// Taken reports whether a reference to a function can exist.
func (p *Program) Taken(fn uint32) bool { return int(fn) < len(p.taken) && p.taken[fn] }

// OriginalFunc is the original index of a function of the hot form, or false
// for one that the pass added.
func (p *Program) OriginalFunc(hot uint32) (fn uint32, ok bool) {
	added := uint32(0)
	for _, n := range p.needs {
		if n {
			added++
		}
	}
	imports := uint32(p.imports)
	switch {
	case hot < imports:
		return hot, true
	case hot < imports+added || hot >= imports+added+uint32(len(p.mod.Code)):
		return 0, false
	}
	return hot - added, true
}

// ExportDrop drops a segment that the guest had dropped.
func ExportDrop(elem bool, i uint32) string {
	op := wasm.OpDataDrop
	if elem {
		op = wasm.OpElemDrop
	}
	return exportHelper(helperKey{op: op, a: i})
}

// ExportGetWide reads a v128 global as two halves, low first.
func ExportGetWide(i uint32) string { return fmt.Sprintf("get.g%d", i) }

// ExportSetWide writes a v128 global from two halves.
func ExportSetWide(i uint32) string { return fmt.Sprintf("set.g%d", i) }

// ExportTableSize returns the size of a table of externrefs.
func ExportTableSize(i uint32) string { return fmt.Sprintf("size.t%d", i) }

// ExportGetTable (i) returns an element of a table of externrefs.
func ExportGetTable(i uint32) string { return fmt.Sprintf("get.t%d", i) }

// ExportSetTable (i, value) sets an element of a table: by number in one of
// functions.
func ExportSetTable(i uint32) string { return fmt.Sprintf("set.t%d", i) }

// ExportGrowTable (n) grows a table by nulls; it returns what table.grow does.
func ExportGrowTable(i uint32) string { return fmt.Sprintf("grow.t%d", i) }

// A Tag is a kind of exceptions.
type Tag struct {
	ID     uint32 // of all tags that are this one, the first
	Params []wasm.ValType
}

// Tag describes a tag of the original module.
func (p *Program) Tag(i uint32) (Tag, bool) {
	if int(i) >= len(p.spaces.Tags) {
		return Tag{}, false
	}
	return Tag{ID: uint32(p.tagID(i)), Params: p.tagParams(i)}, true
}

// IsException reports whether t is a type of references to exceptions.
func IsException(t wasm.ValType) bool { return isException(t) }
