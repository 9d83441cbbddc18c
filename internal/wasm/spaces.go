package wasm

// Spaces are a module's index spaces: the imports of each kind and then what
// the module defines, so that an index of the binary format is an index here.
// They are a copy and do not follow changes of the module.
type Spaces struct {
	Funcs    []uint32 // index of the function's type
	Tables   []TableType
	Memories []Limits
	Globals  []GlobalType
	Tags     []uint32 // index of the tag's type

	types matcher
}

// Spaces returns m's index spaces. The look-ups of Module go through the
// imports each time; take Spaces for many of them.
func (m *Module) Spaces() *Spaces {
	s := &Spaces{types: matcher{types: m.Types}}
	for i := range m.Imports {
		s.addImport(&m.Imports[i])
	}
	s.Funcs = append(s.Funcs, m.Funcs...)
	for i := range m.Tables {
		s.Tables = append(s.Tables, m.Tables[i].Type)
	}
	s.Memories = append(s.Memories, m.Memories...)
	for i := range m.Globals {
		s.Globals = append(s.Globals, m.Globals[i].Type)
	}
	s.Tags = append(s.Tags, m.Tags...)
	return s
}

func (s *Spaces) addImport(imp *Import) {
	switch imp.Kind {
	case ExternFunc:
		s.Funcs = append(s.Funcs, imp.Type)
	case ExternTable:
		s.Tables = append(s.Tables, imp.Table)
	case ExternMemory:
		s.Memories = append(s.Memories, imp.Memory)
	case ExternGlobal:
		s.Globals = append(s.Globals, imp.Global)
	case ExternTag:
		s.Tags = append(s.Tags, imp.Type)
	}
}

// FuncType returns the signature of function idx.
func (s *Spaces) FuncType(idx uint32) (FuncType, bool) {
	return lookUpType(s.types.types, s.Funcs, idx)
}

// TagType returns the signature of tag idx.
func (s *Spaces) TagType(idx uint32) (FuncType, bool) { return lookUpType(s.types.types, s.Tags, idx) }

// SameType reports whether types a and b, by their indices, are equal: built
// alike, wherever they stand.
func (s *Spaces) SameType(a, b uint32) bool { return s.types.same(a, b) }

// Matches reports whether values of types have may stand where want is asked
// for.
func (s *Spaces) Matches(have, want []ValType) bool { return s.types.allMatch(have, want) }

// lookUpType returns the type whose index is at idx of space.
func lookUpType(types []FuncType, space []uint32, idx uint32) (FuncType, bool) {
	if uint64(idx) >= uint64(len(space)) || uint64(space[idx]) >= uint64(len(types)) {
		return FuncType{}, false
	}
	return types[space[idx]], true
}

// NumImports is the number of imports of a kind, which is the index of the
// first such thing that the module defines.
func (m *Module) NumImports(kind ExternKind) int {
	n := 0
	for i := range m.Imports {
		if m.Imports[i].Kind == kind {
			n++
		}
	}
	return n
}

// imported returns the import that has index idx of its kind. Without one, it
// returns idx's place among what the module defines.
func (m *Module) imported(kind ExternKind, idx uint32) (imp *Import, defined uint32) {
	for i := range m.Imports {
		if m.Imports[i].Kind != kind {
			continue
		}
		if idx == 0 {
			return &m.Imports[i], 0
		}
		idx--
	}
	return nil, idx
}

// FuncType returns the signature of function idx, imported or defined.
func (m *Module) FuncType(idx uint32) (FuncType, bool) {
	imp, defined := m.imported(ExternFunc, idx)
	if imp != nil {
		return lookUpType(m.Types, []uint32{imp.Type}, 0)
	}
	return lookUpType(m.Types, m.Funcs, defined)
}

// TagType returns the signature of tag idx, imported or defined.
func (m *Module) TagType(idx uint32) (FuncType, bool) {
	imp, defined := m.imported(ExternTag, idx)
	if imp != nil {
		return lookUpType(m.Types, []uint32{imp.Type}, 0)
	}
	return lookUpType(m.Types, m.Tags, defined)
}

// TableType returns the type of table idx, imported or defined.
func (m *Module) TableType(idx uint32) (TableType, bool) {
	imp, defined := m.imported(ExternTable, idx)
	if imp != nil {
		return imp.Table, true
	}
	if uint64(defined) >= uint64(len(m.Tables)) {
		return TableType{}, false
	}
	return m.Tables[defined].Type, true
}

// GlobalType returns the type of global idx, imported or defined.
func (m *Module) GlobalType(idx uint32) (GlobalType, bool) {
	imp, defined := m.imported(ExternGlobal, idx)
	if imp != nil {
		return imp.Global, true
	}
	if uint64(defined) >= uint64(len(m.Globals)) {
		return GlobalType{}, false
	}
	return m.Globals[defined].Type, true
}

// MemoryType returns the limits of the module's memory, imported or defined.
func (m *Module) MemoryType() (Limits, bool) {
	imp, _ := m.imported(ExternMemory, 0)
	if imp != nil {
		return imp.Memory, true
	}
	if len(m.Memories) == 0 {
		return Limits{}, false
	}
	return m.Memories[0], true
}

// BlockSig returns what a block of type bt takes from the operand stack and
// what it leaves there. It is nothing for an index that leads nowhere. The
// slices are shared; do not change them.
func (m *Module) BlockSig(bt BlockType) (params, results []ValType) {
	if bt.Index < 0 {
		return nil, bt.short()
	}
	if int(bt.Index) >= len(m.Types) {
		return nil, nil
	}
	t := &m.Types[bt.Index]
	return t.Params, t.Results
}
