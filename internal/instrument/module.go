package instrument

import (
	"fmt"
	"strconv"

	"github.com/stasis-run/stasis/internal/wasm"
)

// Export names of the hot form. The guest's own exports are not among them:
// the host finds functions by index, and names of the pass cannot collide.
func ExportFunc(fn uint32) string     { return "f" + strconv.Itoa(int(fn)) }
func ExportTable(i uint32) string     { return "t" + strconv.Itoa(int(i)) }
func ExportGlobal(i uint32) string    { return "g" + strconv.Itoa(int(i)) }
func exportHelper(h helperKey) string { return fmt.Sprintf("h.%v.%d.%d", h.op, h.a, h.b) }

// More of them.
const (
	ExportMemory    = "m"
	ExportLook      = "look"
	ExportMode      = "mode"
	ExportCount     = "count"       // Options.Counted only
	ExportFuncTable = "funcs"       // the table of all functions that have references, if needed
	ExportTables    = "init.tables" // applies the active element segments, in order
)

// A types is a module's type section while it is made, without doubles.
type types struct {
	p      *Program
	list   []wasm.FuncType
	at     map[string]uint32
	hidden []int32 // hiddenType by original type, or -1
}

func newTypes(p *Program) types {
	t := types{p: p, at: make(map[string]uint32), hidden: make([]int32, len(p.mod.Types))}
	for i := range t.hidden {
		t.hidden[i] = -1
	}
	return t
}

// typeKey tells types apart.
func typeKey(params, results []wasm.ValType) string {
	key := make([]byte, 0, 8*(len(params)+len(results))+1)
	for _, v := range params {
		key = wasm.AppendU32(key, uint32(v))
	}
	key = append(key, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	for _, v := range results {
		key = wasm.AppendU32(key, uint32(v))
	}
	return string(key)
}

func (t *types) index(params, results []wasm.ValType) uint32 {
	key := typeKey(params, results)
	if i, ok := t.at[key]; ok {
		return i
	}
	i := uint32(len(t.list))
	t.at[key] = i
	t.list = append(t.list, wasm.FuncType{Params: params, Results: results})
	return i
}

// plainType is an original type with its references lowered.
func (t *types) plainType(orig uint32) uint32 {
	f := t.p.mod.Types[orig]
	return t.index(loweredAll(f.Params), loweredAll(f.Results))
}

// hiddenType is plainType with the hidden parameters.
func (t *types) hiddenType(orig uint32) uint32 {
	if i := t.hidden[orig]; i >= 0 {
		return uint32(i)
	}
	f := t.p.mod.Types[orig]
	params := append(loweredAll(f.Params), wasm.I32)
	params = append(params, t.p.markerTypes(orig)...)
	i := t.index(params, loweredAll(f.Results))
	t.hidden[orig] = int32(i)
	return i
}

func (t *types) blockType(params, results []wasm.ValType) uint32 {
	return t.index(loweredAll(params), loweredAll(results))
}

// fnType is the type of the rewritten function for an original one.
func (t *types) fnType(fn uint32) uint32 {
	if t.p.hasDepth(fn) {
		return t.hiddenType(t.p.typeOf(fn))
	}
	return t.plainType(t.p.typeOf(fn))
}

// tableElem is the element type of a rewritten table. Tables of references to
// functions of one type become tables of any functions: what is in them is the
// same, and call_indirect checks the type anyway.
func (t *types) tableElem(elem wasm.ValType) wasm.ValType {
	switch {
	case isFuncRef(elem):
		return wasm.FuncRef
	case isException(elem):
		return wasm.ExternRef
	}
	return elem
}

// runtimeType is the type of a runtime function.
func (t *types) runtimeType(f runtimeFunc) uint32 {
	d := f.describe()
	return t.index(d.Params, d.Results)
}

// localRuns writes the types of locals as runs.
func localRuns(types []wasm.ValType) []wasm.LocalRun {
	var runs []wasm.LocalRun
	for _, t := range types {
		if n := len(runs); n > 0 && runs[n-1].Type == t {
			runs[n-1].N++
		} else {
			runs = append(runs, wasm.LocalRun{N: 1, Type: t})
		}
	}
	return runs
}
