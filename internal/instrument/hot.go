package instrument

import (
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/stasis-run/stasis/internal/wasm"
)

// maxPages is the most memory that the engine's code handles: at 65536 pages
// its length does not fit where wazero reads it.
const maxPages = 65535

// A hotModule is the hot form while it is made. Its index spaces begin like the
// original's; functions that it adds stand between the imports and the
// functions of the original, helpers after them.
type hotModule struct {
	types
	p       *Program
	out     wasm.Module
	runtime [numRuntime]int32 // index of the imported function, or -1
	added   uint32            // runtime functions
	helpers map[helperKey]uint32
	order   []helperKey
	extra   []extraFunc
	values  atomic.Int64 // of all records
	globals uint32       // of the original
	tables  uint32       // of the original

	traced map[uint32]*Marks // functions whose places are wanted: the others get no code; nil: all get theirs
}

// An extraFunc is a function that the pass adds and the host calls.
type extraFunc struct {
	name string
	code wasm.Code
	typ  uint32
}

// Hot makes the hot form of the program. It is deterministic.
func (p *Program) Hot() ([]byte, error) {
	h, err := p.hot(nil)
	if err != nil {
		return nil, err
	}
	return wasm.Encode(&h.out), nil
}

func (p *Program) hot(traced map[uint32]*Marks) (*hotModule, error) {
	h := &hotModule{types: newTypes(p), p: p, helpers: make(map[helperKey]uint32), traced: traced}
	h.imports()
	h.tablesAndMemories()
	if err := h.globalsAndLook(); err != nil {
		return nil, err
	}
	if err := h.segments(); err != nil {
		return nil, err
	}
	if err := h.functions(); err != nil {
		return nil, err
	}
	h.initializers()
	h.finishHelpers()
	h.exports()
	h.out.Types = h.list
	return h, nil
}

func (h *hotModule) imports() {
	h.out.Imports = slices.DeleteFunc(slices.Clone(h.p.mod.Imports), func(im wasm.Import) bool { return im.Kind == wasm.ExternTag })
	for i := range h.out.Imports {
		im := &h.out.Imports[i]
		switch im.Kind {
		case wasm.ExternFunc:
			im.Type = h.plainType(im.Type)
		case wasm.ExternTable:
			im.Table.Elem = h.tableElem(im.Table.Elem)
		case wasm.ExternMemory:
			clampMemory(&im.Memory)
			if im.Memory.Shared {
				*im = h.p.sharedImport()
			}
		}
	}
	for f := runtimeFunc(0); f < numRuntime; f++ {
		h.runtime[f] = -1
		if !h.p.needs[f] {
			continue
		}
		h.runtime[f] = int32(h.p.imports) + int32(h.added)
		h.added++
		h.out.Imports = append(h.out.Imports, wasm.Import{
			Module: RuntimeModule, Name: f.describe().Name, Kind: wasm.ExternFunc, Type: h.runtimeType(f),
		})
	}
}

func clampMemory(l *wasm.Limits) {
	if l.HasMax && l.Max > maxPages {
		l.Max = maxPages
	}
}

// clampTable keeps one of n tables to its share of what they may have together.
func clampTable(l *wasm.Limits, n int) {
	most := max(l.Min, MaxTableItems/uint64(n))
	if !l.HasMax || l.Max > most {
		l.HasMax, l.Max = true, most
	}
}

func (h *hotModule) tablesAndMemories() {
	m := h.p.mod
	for _, t := range m.Tables {
		t.Type.Elem = h.tableElem(t.Type.Elem)
		t.Init = h.tableInit(t.Init)
		clampTable(&t.Type.Limits, len(m.Tables))
		h.out.Tables = append(h.out.Tables, t)
	}
	h.tables = uint32(m.NumImports(wasm.ExternTable) + len(m.Tables))
	if h.p.funcTable {
		n := uint64(len(h.p.taken) + 1)
		h.out.Tables = append(h.out.Tables, wasm.Table{Type: wasm.TableType{Elem: wasm.FuncRef, Limits: wasm.Limits{Min: n, Max: n, HasMax: true}}})
	}
	for _, l := range m.Memories {
		clampMemory(&l)
		if l.Shared {
			h.out.Imports = append(h.out.Imports, h.p.sharedImport())
			continue
		}
		h.out.Memories = append(h.out.Memories, l)
	}
}

// tableInit rewrites the initial value of a table's items.
func (h *hotModule) tableInit(expr []byte) []byte {
	if f, ok := refFunc(expr); ok {
		b := wasm.AppendU32(wasm.AppendOp(nil, wasm.OpRefFunc), h.reference(f))
		return wasm.AppendOp(b, wasm.OpEnd)
	}
	var in wasm.Instr
	if wasm.NewReader(expr).Next(&in) == nil && in.Op == wasm.OpRefNull {
		return loweredNull(wasm.RefNull(wasm.HeapType(in.A)))
	}
	return expr
}

func (h *hotModule) globalsAndLook() error {
	m := h.p.mod
	h.globals = uint32(m.NumImports(wasm.ExternGlobal) + len(m.Globals))
	for _, im := range m.Imports {
		if im.Kind == wasm.ExternGlobal && isFuncRef(im.Global.Type) {
			return fmt.Errorf("import %s.%s: a global that holds a function reference: %w", im.Module, im.Name, ErrUnsupported)
		}
	}
	for _, g := range m.Globals {
		if t := g.Type.Type; isFuncRef(t) || isException(t) {
			g.Init, g.Type.Type = loweredInit(t, g.Init), lowered(t)
		}
		h.out.Globals = append(h.out.Globals, g)
	}
	n := 2
	if h.p.opts.Counted {
		n = 3
	}
	for range n {
		h.out.Globals = append(h.out.Globals, wasm.Global{Type: wasm.GlobalType{Type: wasm.I32, Mutable: true}, Init: zeroInit})
	}
	return nil
}

// zeroInit is the constant expression for the integer 0.
var zeroInit = []byte{byte(wasm.OpI32Const), 0, byte(wasm.OpEnd)}

// loweredInit is a constant reference of type t, as it is in lowered code. One that
// comes from another global of the module is already lowered there.
func loweredInit(t wasm.ValType, expr []byte) []byte {
	var in wasm.Instr
	if wasm.NewReader(expr).Next(&in) == nil && in.Op == wasm.OpGlobalGet {
		return expr
	}
	if !isFuncRef(t) {
		return nullExtern // no constant is an exception
	}
	n := int32(0)
	if f, ok := refFunc(expr); ok {
		n = int32(f) + 1
	}
	return wasm.AppendOp(wasm.AppendS32(wasm.AppendOp(nil, wasm.OpI32Const), n), wasm.OpEnd)
}

// segments makes all active segments passive; the initializers apply them.
func (h *hotModule) segments() error {
	m := h.p.mod
	for i := range m.Elems {
		e := m.Elems[i]
		out := wasm.Elem{Mode: e.Mode, Type: e.Type}
		if out.Mode == wasm.Active {
			out.Mode = wasm.Passive
		}
		if e.Type.IsRef() {
			out.Type = h.tableElem(e.Type)
		}
		if !e.UseExprs {
			for _, f := range e.Funcs {
				out.Funcs = append(out.Funcs, h.reference(f))
			}
		} else {
			out.UseExprs = true
			for k, x := range e.Exprs {
				y, err := h.elemExpr(e.Type, x)
				if err != nil {
					return fmt.Errorf("element segment %d: item %d: %w", i, k, err)
				}
				out.Exprs = append(out.Exprs, y)
			}
		}
		h.out.Elems = append(h.out.Elems, out)
	}
	if h.p.funcTable {
		h.out.Elems = append(h.out.Elems, h.allReferences())
	}
	h.dataSegments()
	return nil
}

// dataSegments keeps what instructions can still read: passive segments.
// Active ones, which the host applies, are dropped by then and stay as empty
// ones where an instruction names segments at all.
func (h *hotModule) dataSegments() {
	if !h.p.needs[runtimeDropped] && !h.p.segments {
		return
	}
	n := uint32(len(h.p.mod.Data))
	h.out.DataCount = &n
	for _, d := range h.p.mod.Data {
		if d.Mode == wasm.Active {
			d.Bytes = nil
		}
		h.out.Data = append(h.out.Data, wasm.Data{Mode: wasm.Passive, Bytes: d.Bytes})
	}
}

func (h *hotModule) elemExpr(t wasm.ValType, x []byte) ([]byte, error) {
	if f, ok := refFunc(x); ok {
		return wasm.AppendOp(wasm.AppendU32(wasm.AppendOp(nil, wasm.OpRefFunc), h.reference(f)), wasm.OpEnd), nil
	}
	var in wasm.Instr
	if err := wasm.NewReader(x).Next(&in); err != nil {
		return nil, err
	}
	if in.Op != wasm.OpRefNull {
		return nil, fmt.Errorf("%v in an element: %w", in.Op, ErrUnsupported)
	}
	return loweredNull(t), nil
}

// loweredNull is the constant expression for a null reference.
func loweredNull(t wasm.ValType) []byte {
	if isFuncRef(t) {
		return nullFunc
	}
	return nullExtern
}

// Constant expressions for null references to a function and to anything else.
var (
	nullFunc   = []byte{byte(wasm.OpRefNull), byte(wasm.FuncRef), byte(wasm.OpEnd)}
	nullExtern = []byte{byte(wasm.OpRefNull), byte(wasm.ExternRef), byte(wasm.OpEnd)}
)

// allReferences is the content of the table of functions: item n+1 is function n.
func (h *hotModule) allReferences() wasm.Elem {
	out := wasm.Elem{Mode: wasm.Passive, Type: wasm.FuncRef, UseExprs: true, Exprs: [][]byte{nullFunc}}
	for f, taken := range h.p.taken {
		x := nullFunc
		if taken {
			x = wasm.AppendOp(wasm.AppendU32(wasm.AppendOp(nil, wasm.OpRefFunc), h.reference(uint32(f))), wasm.OpEnd)
		}
		out.Exprs = append(out.Exprs, x)
	}
	return out
}

// reference is the function that stands for an original one in tables: with
// the hidden parameters in any case.
func (h *hotModule) reference(fn uint32) uint32 {
	if int(fn) < h.p.imports {
		return h.helper(helperKey{op: wasm.OpReturnCall, a: fn})
	}
	return h.fn(fn)
}

func (h *hotModule) functions() error {
	for i := range h.p.mod.Code {
		h.out.Funcs = append(h.out.Funcs, h.fnType(uint32(h.p.imports+i)))
	}
	h.out.Code = make([]wasm.Code, len(h.p.mod.Code))
	return h.emitAll()
}

// emitHot emits the hot form of one function.
func (p *Program) emitHot(e *emitter, env env, b *body) wasm.Code {
	np := uint32(len(b.typ.Params))
	e.begin(p, env, b)
	e.depth = np
	if p.hasDepth(b.fn) {
		e.localShift = 1 + uint32(len(p.markerTypes(p.typeOf(b.fn))))
	}
	e.nlocals = uint32(len(b.locals)) + e.localShift
	switch t := &p.traits[int(b.fn)-p.imports]; {
	case t.checked && t.headed:
		e.takeFrame()
		e.op1(wasm.OpLocalSet, e.depth)
		e.headed = true
	case t.checked:
		e.entryCheck()
		e.leaveIf(0)
	}
	e.push(label{opener: -1})
	e.code(0, 0)
	return e.done(b.locals[np:])
}

// initializers makes the function that applies active element segments, and
// the accessors.
func (h *hotModule) initializers() {
	m := h.p.mod
	var tables []byte
	for i := range m.Elems {
		e := &m.Elems[i]
		switch {
		case e.Mode != wasm.Active:
		case !isFuncRef(e.Type):
			tables = appendExterns(tables, e)
			tables = appendOps(tables, wasm.OpElemDrop, uint32(i))
		default:
			tables = append(tables, e.Offset[:len(e.Offset)-1]...)
			tables = appendConsts(tables, 0, int32(e.Len()))
			tables = appendOps(tables, wasm.OpTableInit, uint32(i), e.Table)
			tables = appendOps(tables, wasm.OpElemDrop, uint32(i))
		}
	}
	if h.p.funcTable {
		tables = appendConsts(tables, 0, 0, int32(len(h.p.taken)+1))
		tables = appendOps(tables, wasm.OpTableInit, uint32(len(m.Elems)), h.tables)
		tables = appendOps(tables, wasm.OpElemDrop, uint32(len(m.Elems)))
	}
	h.add(ExportTables, nil, nil, tables)
	h.accessors()
}

// appendExterns applies an active segment of externrefs. wazero keeps passive
// ones empty, so it cannot be done by table.init: a fill with null checks the
// bounds and does the rest, but for items that come from globals.
func appendExterns(b []byte, e *wasm.Elem) []byte {
	b = append(b, e.Offset[:len(e.Offset)-1]...)
	b = append(appendOps(b, wasm.OpRefNull), byte(wasm.ExternRef))
	b = appendConsts(b, int32(e.Len()))
	b = appendOps(b, wasm.OpTableFill, e.Table)
	for k, x := range e.Exprs {
		if wasm.Opcode(x[0]) == wasm.OpRefNull {
			continue
		}
		b = append(b, e.Offset[:len(e.Offset)-1]...)
		b = appendConsts(b, int32(k))
		b = appendOps(b, wasm.OpI32Add)
		b = append(b, x[:len(x)-1]...)
		b = appendOps(b, wasm.OpTableSet, e.Table)
	}
	return b
}

// accessors makes what the host needs to save and restore state that the
// engine's interface does not show.
func (h *hotModule) accessors() {
	m := h.p.mod
	first := m.NumImports(wasm.ExternGlobal)
	for k, g := range m.Globals {
		if i := uint32(first + k); g.Type.Type == wasm.V128 && g.Type.Mutable {
			get := append(appendOps(appendOps(nil, wasm.OpGlobalGet, i), wasm.OpI64x2ExtractLane), 0)
			get = append(appendOps(appendOps(get, wasm.OpGlobalGet, i), wasm.OpI64x2ExtractLane), 1)
			set := appendOps(appendOps(nil, wasm.OpLocalGet, 0), wasm.OpI64x2Splat)
			set = append(appendOps(appendOps(set, wasm.OpLocalGet, 1), wasm.OpI64x2ReplaceLane), 1)
			set = appendOps(set, wasm.OpGlobalSet, i)
			h.add(ExportGetWide(i), nil, repeat(wasm.I64, 2), get)
			h.add(ExportSetWide(i), repeat(wasm.I64, 2), nil, set)
		}
	}
	if !h.p.ChangesTables() {
		return
	}
	for i, t := range h.p.spaces.Tables {
		if isFuncRef(t.Elem) {
			h.funcTableAccess(uint32(i))
		} else {
			h.externTableAccess(uint32(i))
		}
	}
}

// funcTableAccess lets the host set and grow a table of functions by number.
func (h *hotModule) funcTableAccess(i uint32) {
	set := appendOps(appendOps(nil, wasm.OpLocalGet, 0), wasm.OpLocalGet, 1)
	set = appendOps(appendOps(set, wasm.OpTableGet, h.tables), wasm.OpTableSet, i)
	grow := append(appendOps(nil, wasm.OpRefNull), byte(wasm.FuncRef))
	grow = appendOps(appendOps(grow, wasm.OpLocalGet, 0), wasm.OpTableGrow, i)
	h.add(ExportSetTable(i), repeat(wasm.I32, 2), nil, set)
	h.add(ExportGrowTable(i), repeat(wasm.I32, 1), repeat(wasm.I32, 1), grow)
}

// externTableAccess lets the host read, set and grow a table of externrefs.
func (h *hotModule) externTableAccess(i uint32) {
	size := appendOps(nil, wasm.OpTableSize, i)
	get := appendOps(appendOps(nil, wasm.OpLocalGet, 0), wasm.OpTableGet, i)
	set := appendOps(appendOps(nil, wasm.OpLocalGet, 0), wasm.OpLocalGet, 1)
	set = appendOps(set, wasm.OpTableSet, i)
	grow := append(appendOps(nil, wasm.OpRefNull), byte(wasm.ExternRef))
	grow = appendOps(appendOps(grow, wasm.OpLocalGet, 0), wasm.OpTableGrow, i)
	h.add(ExportTableSize(i), nil, repeat(wasm.I32, 1), size)
	h.add(ExportGetTable(i), repeat(wasm.I32, 1), repeat(wasm.ExternRef, 1), get)
	h.add(ExportSetTable(i), []wasm.ValType{wasm.I32, wasm.ExternRef}, nil, set)
	h.add(ExportGrowTable(i), repeat(wasm.I32, 1), repeat(wasm.I32, 1), grow)
}

// add appends a function of the pass and exports it.
func (h *hotModule) add(name string, params, results []wasm.ValType, code []byte) {
	h.extra = append(h.extra, extraFunc{name, wasm.Code{Body: wasm.AppendOp(code, wasm.OpEnd)}, h.index(params, results)})
}

func appendConsts(b []byte, vs ...int32) []byte {
	for _, v := range vs {
		b = wasm.AppendS32(wasm.AppendOp(b, wasm.OpI32Const), v)
	}
	return b
}

func appendOps(b []byte, op wasm.Opcode, imm ...uint32) []byte {
	b = wasm.AppendOp(b, op)
	for _, v := range imm {
		b = wasm.AppendU32(b, v)
	}
	return b
}
