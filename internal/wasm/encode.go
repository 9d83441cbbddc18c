package wasm

import "encoding/binary"

// AppendOp appends the code of op.
func AppendOp(b []byte, op Opcode) []byte {
	if op < 1<<16 {
		return append(b, byte(op))
	}
	return AppendU32(append(b, byte(op>>16)), uint32(op&0xffff))
}

// AppendValType appends t.
func AppendValType(b []byte, t ValType) []byte {
	b = append(b, byte(t))
	if t.hasHeap() {
		b = appendHeapType(b, t.Heap())
	}
	return b
}

func appendHeapType(b []byte, ht HeapType) []byte {
	switch ht {
	case HeapFunc:
		return AppendS64(b, codeHeapFunc)
	case HeapExtern:
		return AppendS64(b, codeHeapExtern)
	case HeapExn:
		return AppendS64(b, codeHeapExn)
	}
	return AppendS64(b, int64(ht))
}

// AppendBlockType appends bt.
func AppendBlockType(b []byte, bt BlockType) []byte {
	switch {
	case bt.Index >= 0:
		return AppendS64(b, int64(bt.Index))
	case bt.Result == Unknown:
		return append(b, codeEmptyBlock)
	}
	return AppendValType(b, bt.Result)
}

func appendName(b []byte, s string) []byte {
	return append(AppendU32(b, uint32(len(s))), s...)
}

// appendList appends a vector.
func appendList[T any](b []byte, items []T, item func([]byte, T) []byte) []byte {
	b = AppendU32(b, uint32(len(items)))
	for _, it := range items {
		b = item(b, it)
	}
	return b
}

// Encode writes a module. It does not validate: a module with indices that
// lead nowhere is written as it is.
func Encode(m *Module) []byte {
	b := append(make([]byte, 0, m.sizeHint()), header...)
	b = m.appendCustoms(b, 0)
	for _, id := range sectionOrder {
		if m.hasSection(id) {
			b = m.appendSized(append(b, id), id)
		}
		b = m.appendCustoms(b, id)
	}
	return b
}

// appendSized appends the size of a section and its content. The content is
// written where it stays if its size takes maxSize bytes, and moved if it takes
// fewer, as it nearly always does: that is cheaper than a copy of its own.
func (m *Module) appendSized(b []byte, id byte) []byte {
	const maxSize = 5 // bytes of an unsigned LEB128 of 32 bits
	at := len(b)
	b = m.appendSection(append(b, make([]byte, maxSize)...), id)
	content := b[at+maxSize:]
	sized := AppendU32(b[:at], uint32(len(content)))
	return append(sized, content...)
}

// place is c.After where that is a section, and the end of the file where it
// is not, so that no custom section gets lost.
func (c *Custom) place() byte {
	if c.After < numSections {
		return c.After
	}
	return secData
}

// sizeHint is somewhat above the size of most modules like m.
func (m *Module) sizeHint() int {
	n := 1024 + 16*(len(m.Types)+len(m.Imports)+len(m.Exports)+len(m.Code)) + 5*len(m.Funcs)
	for i := range m.Code {
		n += len(m.Code[i].Body)
	}
	for i := range m.Data {
		n += len(m.Data[i].Bytes) + 16
	}
	for i := range m.Customs {
		n += len(m.Customs[i].Bytes) + 32
	}
	for i := range m.Elems {
		n += 5*len(m.Elems[i].Funcs) + 6*len(m.Elems[i].Exprs)
	}
	return n
}

// hasSection reports whether section id has something in it, or was there
// when m was decoded.
func (m *Module) hasSection(id byte) bool {
	switch id {
	case secStart:
		return m.Start != nil
	case secDataCount:
		return m.DataCount != nil
	}
	return m.present&(1<<id) != 0 || m.sectionLen(id) > 0
}

// sectionLen is the number of entries of a section that is a list.
func (m *Module) sectionLen(id byte) int {
	switch id {
	case secType:
		return len(m.Types) + len(m.emptyRecs)
	case secImport:
		return len(m.Imports)
	case secFunc:
		return len(m.Funcs)
	case secTable:
		return len(m.Tables)
	case secMemory:
		return len(m.Memories)
	case secTag:
		return len(m.Tags)
	case secGlobal:
		return len(m.Globals)
	case secExport:
		return len(m.Exports)
	case secElem:
		return len(m.Elems)
	case secCode:
		return len(m.Code)
	case secData:
		return len(m.Data)
	}
	return 0
}

func (m *Module) appendCustoms(b []byte, after byte) []byte {
	for i := range m.Customs {
		c := &m.Customs[i]
		if c.place() != after {
			continue
		}
		name := appendName(nil, c.Name)
		b = append(b, secCustom)
		b = AppendU32(b, uint32(len(name)+len(c.Bytes)))
		b = append(b, name...)
		b = append(b, c.Bytes...)
	}
	return b
}

func (m *Module) appendSection(b []byte, id byte) []byte {
	switch id {
	case secType:
		return m.appendTypes(b)
	case secImport:
		return appendList(b, m.Imports, appendImport)
	case secFunc:
		return appendList(b, m.Funcs, AppendU32)
	case secTable:
		return appendList(b, m.Tables, appendTable)
	case secMemory:
		return appendList(b, m.Memories, appendLimits)
	case secTag:
		return appendList(b, m.Tags, appendTag)
	case secGlobal:
		return appendList(b, m.Globals, appendGlobal)
	case secExport:
		return appendList(b, m.Exports, appendExport)
	case secStart:
		return AppendU32(b, *m.Start)
	case secElem:
		return appendList(b, m.Elems, appendElem)
	case secDataCount:
		return AppendU32(b, *m.DataCount)
	case secCode:
		return m.appendCode(b)
	case secData:
		return appendList(b, m.Data, appendData)
	}
	return b
}

// appendTypes appends the types, of which a recursion group counts as one.
func (m *Module) appendTypes(b []byte) []byte {
	entries := len(m.emptyRecs)
	for i := range m.Types {
		if m.Types[i].rec.pos == 0 {
			entries++
		}
	}
	b = AppendU32(b, uint32(entries))
	empty := m.emptyRecs
	for i := range m.Types {
		t := &m.Types[i]
		for len(empty) > 0 && empty[0] <= uint32(i) && t.rec.pos == 0 {
			b = append(b, codeRec, 0)
			empty = empty[1:]
		}
		if t.rec.size > 0 && t.rec.pos == 0 {
			b = AppendU32(append(b, codeRec), t.rec.size)
		}
		b = append(b, codeFunc)
		b = appendList(b, t.Params, AppendValType)
		b = appendList(b, t.Results, AppendValType)
	}
	for range empty {
		b = append(b, codeRec, 0)
	}
	return b
}

func appendImport(b []byte, imp Import) []byte {
	b = appendName(appendName(b, imp.Module), imp.Name)
	b = append(b, byte(imp.Kind))
	switch imp.Kind {
	case ExternFunc:
		return AppendU32(b, imp.Type)
	case ExternTable:
		return appendTableType(b, imp.Table)
	case ExternMemory:
		return appendLimits(b, imp.Memory)
	case ExternGlobal:
		return appendGlobalType(b, imp.Global)
	case ExternTag:
		return appendTag(b, imp.Type)
	}
	return b
}

func appendLimits(b []byte, l Limits) []byte {
	flags := byte(0)
	if l.HasMax {
		flags |= limitsMax
	}
	if l.Shared {
		flags |= limitsShared
	}
	if l.Is64 {
		flags |= limits64
	}
	b = AppendU64(append(b, flags), l.Min)
	if l.HasMax {
		b = AppendU64(b, l.Max)
	}
	return b
}

func appendTableType(b []byte, t TableType) []byte {
	return appendLimits(AppendValType(b, t.Elem), t.Limits)
}

func appendTable(b []byte, t Table) []byte {
	if t.Init == nil {
		return appendTableType(b, t.Type)
	}
	return append(appendTableType(append(b, codeTableInit, 0), t.Type), t.Init...)
}

func appendGlobalType(b []byte, t GlobalType) []byte {
	b = AppendValType(b, t.Type)
	if t.Mutable {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendGlobal(b []byte, g Global) []byte {
	return append(appendGlobalType(b, g.Type), g.Init...)
}

func appendTag(b []byte, typ uint32) []byte {
	return AppendU32(append(b, 0), typ)
}

func appendExport(b []byte, e Export) []byte {
	return AppendU32(append(appendName(b, e.Name), byte(e.Kind)), e.Index)
}

// flags is the number before e.
func (e *Elem) flags() uint32 {
	var flags uint32
	switch {
	case e.Mode == Passive:
		flags = elemNotActive
	case e.Mode == Declarative:
		flags = elemNotActive | elemExplicit
	case e.explicit || e.Table != 0 || e.Type != FuncRef:
		flags = elemExplicit
	}
	if e.UseExprs {
		flags |= elemExprs
	}
	return flags
}

func appendElem(b []byte, e Elem) []byte {
	flags := e.flags()
	b = AppendU32(b, flags)
	if e.Mode == Active {
		if flags&elemExplicit != 0 {
			b = AppendU32(b, e.Table)
		}
		b = append(b, e.Offset...)
	}
	if flags&(elemNotActive|elemExplicit) != 0 {
		if e.UseExprs {
			b = AppendValType(b, e.Type)
		} else {
			b = append(b, 0)
		}
	}
	if e.UseExprs {
		return appendList(b, e.Exprs, func(b, expr []byte) []byte { return append(b, expr...) })
	}
	return appendList(b, e.Funcs, AppendU32)
}

func (m *Module) appendCode(b []byte) []byte {
	var locals []byte
	return appendList(b, m.Code, func(b []byte, c Code) []byte {
		locals = appendList(locals[:0], c.Locals, appendLocalRun)
		b = AppendU32(b, uint32(len(locals)+len(c.Body)))
		return append(append(b, locals...), c.Body...)
	})
}

func appendLocalRun(b []byte, run LocalRun) []byte {
	return AppendValType(AppendU32(b, run.N), run.Type)
}

func appendData(b []byte, d Data) []byte {
	switch {
	case d.Mode != Active:
		b = append(b, dataPassive)
	case d.explicit || d.Memory != 0:
		b = AppendU32(append(b, dataExplicit), d.Memory)
		b = append(b, d.Offset...)
	default:
		b = append(append(b, dataActive), d.Offset...)
	}
	return append(AppendU32(b, uint32(len(d.Bytes))), d.Bytes...)
}

// AppendInstr appends in, with shortest numbers.
func AppendInstr(b []byte, in *Instr) []byte {
	b = AppendOp(b, in.Op)
	switch in.Op.Imm() {
	case ImmBlock:
		b = AppendBlockType(b, in.Block)
	case ImmTryTable:
		b = appendList(AppendBlockType(b, in.Block), in.Catches, appendCatch)
	case ImmLabels:
		b = AppendU32(b, uint32(len(in.Targets)-1))
		for _, label := range in.Targets {
			b = AppendU32(b, label)
		}
	case ImmLabel, ImmFunc, ImmType, ImmTag, ImmLocal, ImmGlobal, ImmTable, ImmElem, ImmData, ImmMemory, ImmFence:
		b = AppendU64(b, in.A)
	case ImmTypeTable, ImmTable2, ImmElemTable, ImmMemory2, ImmDataMemory, ImmMemarg:
		b = AppendU64(AppendU64(b, in.A), in.B)
	case ImmMemargLane:
		b = append(AppendU64(AppendU64(b, in.A), in.B), in.Lane)
	case ImmLane:
		b = append(b, in.Lane)
	case ImmI32, ImmI64:
		b = AppendS64(b, int64(in.A))
	case ImmF32:
		b = binary.LittleEndian.AppendUint32(b, uint32(in.A))
	case ImmF64:
		b = binary.LittleEndian.AppendUint64(b, in.A)
	case ImmV128, ImmShuffle:
		b = binary.LittleEndian.AppendUint64(b, in.A)
		b = binary.LittleEndian.AppendUint64(b, in.B)
	case ImmHeap:
		b = appendHeapType(b, HeapType(in.A))
	case ImmTypes:
		b = appendList(b, in.Types, AppendValType)
	}
	return b
}

func appendCatch(b []byte, c Catch) []byte {
	b = append(b, byte(c.Kind))
	if c.Kind.HasTag() {
		b = AppendU32(b, c.Tag)
	}
	return AppendU32(b, c.Label)
}
