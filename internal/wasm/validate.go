package wasm

import "unicode/utf8"

// Validate checks that m keeps the rules of the specification.
func Validate(m *Module) error {
	w, err := ValidateOutside(m)
	if err != nil {
		return err
	}
	for i := range m.Code {
		if err := w.Walk(i, nil); err != nil {
			return err
		}
	}
	return nil
}

// ValidateOutside checks all but the bodies of functions. Those are checked by
// walking them with what it returns.
func ValidateOutside(m *Module) (*Walker, error) {
	w := NewWalker(m)
	if err := validateModule(w.env); err != nil {
		return nil, err
	}
	return w, nil
}

// A validator checks everything about a module but its function bodies.
type validator struct {
	*env
	consts constChecker
}

func validateModule(e *env) error {
	v := validator{env: e, consts: constChecker{env: e}}
	for _, check := range []struct {
		section byte
		check   func() *Error
	}{
		{secType, v.types},
		{secImport, v.imports},
		{secFunc, v.funcs},
		{secMemory, v.memories},
		{secTag, v.tags},
		{secGlobal, v.globals},
		{secTable, v.tables},
		{secExport, v.exports},
		{secStart, v.start},
		{secElem, v.elems},
		{secDataCount, v.counts},
		{secData, v.data},
	} {
		if err := check.check(); err != nil {
			return v.located(err, check.section)
		}
	}
	return nil
}

// located gives err the offset of a section, if it is known. The thing in the
// section is named in err's text.
func (v *validator) located(err *Error, section byte) error {
	off := v.m.offsets[section]
	if off == 0 {
		off = -1
	}
	return &Error{Offset: off, Msg: err.Msg, Err: err.Err, Feature: err.Feature}
}

// types checks that types refer to types before them or in their own group.
func (v *validator) types() *Error {
	if len(v.m.Types) > maxTypes {
		return errorAt(-1, "type count %d, want at most %d", len(v.m.Types), maxTypes)
	}
	for i := range v.m.Types {
		t := &v.m.Types[i]
		known := i - int(t.rec.pos) + int(t.rec.size)
		for _, list := range [][]ValType{t.Params, t.Results} {
			if err := v.typeList(list, known); err != nil {
				return err.in(0, "type %d", i)
			}
		}
	}
	return nil
}

func (v *validator) typeList(list []ValType, known int) *Error {
	if len(list) > maxParams {
		return errorAt(-1, "%d values, want at most %d", len(list), maxParams)
	}
	for _, t := range list {
		if err := v.valType(t); err != nil {
			return err
		}
		if t.hasHeap() && t.Heap().IsIndex() && int(t.Heap()) >= known {
			return errorAt(-1, "unknown type %v", t.Heap())
		}
	}
	return nil
}

func (v *validator) imports() *Error {
	for i := range v.m.Imports {
		imp := &v.m.Imports[i]
		if err := v.importEntry(imp); err != nil {
			return err.in(0, "import %d %q.%q", i, imp.Module, imp.Name)
		}
	}
	return nil
}

func (v *validator) importEntry(imp *Import) *Error {
	if !utf8.ValidString(imp.Module) || !utf8.ValidString(imp.Name) {
		return errorAt(-1, "malformed UTF-8 encoding")
	}
	switch imp.Kind {
	case ExternFunc:
		return v.typeIndex(imp.Type)
	case ExternTable:
		return v.tableType(imp.Table)
	case ExternMemory:
		return v.memoryLimits(imp.Memory)
	case ExternGlobal:
		return v.valType(imp.Global.Type)
	case ExternTag:
		return v.tagType(imp.Type)
	}
	return errorAt(-1, "unknown kind %d", imp.Kind)
}

func (v *validator) typeIndex(idx uint32) *Error {
	if uint64(idx) >= uint64(len(v.m.Types)) {
		return errorAt(-1, "unknown type %d", idx)
	}
	return nil
}

func (v *validator) valType(t ValType) *Error {
	switch {
	case !t.IsNum() && t != V128 && !t.IsRef():
		return errorAt(-1, "invalid value type %v", t)
	case !v.typeExists(t):
		return errorAt(-1, "unknown type %v", t.Heap())
	}
	return nil
}

func (v *validator) tagType(idx uint32) *Error {
	if err := v.typeIndex(idx); err != nil {
		return err
	}
	if len(v.m.Types[idx].Results) > 0 {
		return errorAt(-1, "non-empty tag result type")
	}
	return nil
}

func (v *validator) funcs() *Error {
	for i, idx := range v.m.Funcs {
		if err := v.typeIndex(idx); err != nil {
			return err.in(0, "function %d", i+len(v.spaces.Funcs)-len(v.m.Funcs))
		}
	}
	return nil
}

func (v *validator) tags() *Error {
	for i, idx := range v.m.Tags {
		if err := v.tagType(idx); err != nil {
			return err.in(0, "tag %d", i+len(v.spaces.Tags)-len(v.m.Tags))
		}
	}
	return nil
}

// limits checks l against the most that there can be.
func (v *validator) limits(l Limits, most uint64) *Error {
	switch {
	case l.Min > most:
		return errorAt(-1, "size minimum %d, want at most %d", l.Min, most)
	case l.HasMax && l.Max > most:
		return errorAt(-1, "size maximum %d, want at most %d", l.Max, most)
	case l.HasMax && l.Max < l.Min:
		return errorAt(-1, "size minimum %d greater than maximum %d", l.Min, l.Max)
	}
	return nil
}

func (v *validator) memoryLimits(l Limits) *Error {
	switch {
	case l.Is64:
		return unsupportedAt(-1, featureMemory64)
	case l.Shared && !l.HasMax:
		return errorAt(-1, "shared memory must have maximum")
	}
	return v.limits(l, maxPages)
}

func (v *validator) memories() *Error {
	if len(v.spaces.Memories) > 1 {
		return unsupportedAt(-1, featureMultiMemory)
	}
	for i := range v.m.Memories {
		if err := v.memoryLimits(v.m.Memories[i]); err != nil {
			return err.in(0, "memory %d", i)
		}
	}
	return nil
}

func (v *validator) tableType(t TableType) *Error {
	switch {
	case t.Limits.Is64:
		return unsupportedAt(-1, "table64")
	case t.Limits.Shared:
		return unsupportedAt(-1, featureSharedAll)
	case !t.Elem.IsRef():
		return errorAt(-1, "invalid element type %v", t.Elem)
	}
	if err := v.valType(t.Elem); err != nil {
		return err
	}
	return v.limits(t.Limits, maxTableSize)
}

func (v *validator) tables() *Error {
	v.consts.globals = len(v.spaces.Globals) - len(v.m.Globals)
	for i := range v.m.Tables {
		if err := v.table(&v.m.Tables[i]); err != nil {
			return err.in(0, "table %d", i+len(v.spaces.Tables)-len(v.m.Tables))
		}
	}
	return nil
}

func (v *validator) table(t *Table) *Error {
	if err := v.tableType(t.Type); err != nil {
		return err
	}
	if t.Init == nil {
		if !t.Type.Elem.HasDefault() {
			return errorAt(-1, "type mismatch: elements of type %v need an initial value", t.Type.Elem)
		}
		return nil
	}
	return v.consts.check(t.Init, t.Type.Elem)
}

// globals checks the globals, each of which may use those before it.
func (v *validator) globals() *Error {
	first := len(v.spaces.Globals) - len(v.m.Globals)
	for i := range v.m.Globals {
		g := &v.m.Globals[i]
		v.consts.globals = first + i
		err := v.valType(g.Type.Type)
		if err == nil {
			err = v.consts.check(g.Init, g.Type.Type)
		}
		if err != nil {
			return err.in(0, "global %d", first+i)
		}
	}
	return nil
}

func (v *validator) exports() *Error {
	seen := make(map[string]struct{}, len(v.m.Exports))
	for i := range v.m.Exports {
		e := &v.m.Exports[i]
		if err := v.export(e, seen); err != nil {
			return err.in(0, "export %d %q", i, e.Name)
		}
		seen[e.Name] = struct{}{}
	}
	return nil
}

func (v *validator) export(e *Export, seen map[string]struct{}) *Error {
	if !utf8.ValidString(e.Name) {
		return errorAt(-1, "malformed UTF-8 encoding")
	}
	if _, ok := seen[e.Name]; ok {
		return errorAt(-1, "duplicate export name")
	}
	n := 0
	switch e.Kind {
	case ExternFunc:
		n = len(v.spaces.Funcs)
	case ExternTable:
		n = len(v.spaces.Tables)
	case ExternMemory:
		n = len(v.spaces.Memories)
	case ExternGlobal:
		n = len(v.spaces.Globals)
	case ExternTag:
		n = len(v.spaces.Tags)
	}
	if uint64(e.Index) >= uint64(n) {
		return errorAt(-1, "unknown %v %d", e.Kind, e.Index)
	}
	return nil
}

func (v *validator) start() *Error {
	if v.m.Start == nil {
		return nil
	}
	t, ok := v.spaces.FuncType(*v.m.Start)
	switch {
	case !ok:
		return errorAt(-1, "start: unknown function %d", *v.m.Start)
	case len(t.Params) > 0 || len(t.Results) > 0:
		return errorAt(-1, "start function %d: has params or results", *v.m.Start)
	}
	return nil
}

// counts checks what Decode has seen to in decoded modules.
func (v *validator) counts() *Error {
	m := v.m
	if len(m.Funcs) != len(m.Code) {
		return errorAt(-1, "function and code section have inconsistent lengths: %d and %d", len(m.Funcs), len(m.Code))
	}
	if m.DataCount != nil && uint64(*m.DataCount) != uint64(len(m.Data)) {
		return errorAt(-1, "data count and data section have inconsistent lengths: %d and %d", *m.DataCount, len(m.Data))
	}
	return nil
}

// itemType is the type of e's items. Lists of functions never hold null,
// whatever the segment's type says.
func (e *Elem) itemType() ValType {
	if e.UseExprs {
		return e.Type
	}
	return RefTo(HeapFunc)
}

func (v *validator) elems() *Error {
	v.consts.globals = len(v.spaces.Globals)
	for i := range v.m.Elems {
		if err := v.elem(&v.m.Elems[i]); err != nil {
			return err.in(0, "element segment %d", i)
		}
	}
	return nil
}

func (v *validator) elem(e *Elem) *Error {
	if !e.Type.IsRef() || !e.UseExprs && e.Type != FuncRef {
		return errorAt(-1, "invalid element type %v", e.Type)
	}
	if err := v.valType(e.Type); err != nil {
		return err
	}
	if e.Mode == Active {
		if err := v.elemTarget(e); err != nil {
			return err
		}
	}
	for i, idx := range e.Funcs {
		if uint64(idx) >= uint64(len(v.spaces.Funcs)) {
			return errorAt(-1, "item %d: unknown function %d", i, idx)
		}
	}
	for i, expr := range e.Exprs {
		if err := v.consts.check(expr, e.Type); err != nil {
			return err.in(0, "item %d", i)
		}
	}
	return nil
}

func (v *validator) elemTarget(e *Elem) *Error {
	if uint64(e.Table) >= uint64(len(v.spaces.Tables)) {
		return errorAt(-1, "unknown table %d", e.Table)
	}
	if want := v.spaces.Tables[e.Table].Elem; !v.matches(e.itemType(), want) {
		return errorAt(-1, "type mismatch: have %v, want %v", e.itemType(), want)
	}
	if err := v.consts.check(e.Offset, I32); err != nil {
		return err.in(0, "offset")
	}
	return nil
}

func (v *validator) data() *Error {
	v.consts.globals = len(v.spaces.Globals)
	for i := range v.m.Data {
		d := &v.m.Data[i]
		if d.Mode != Active {
			continue
		}
		if uint64(d.Memory) >= uint64(len(v.spaces.Memories)) {
			return errorAt(-1, "data segment %d: unknown memory %d", i, d.Memory)
		}
		if err := v.consts.check(d.Offset, I32); err != nil {
			return err.in(0, "data segment %d: offset", i)
		}
	}
	return nil
}
