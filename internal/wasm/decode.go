package wasm

import (
	"bytes"
	"slices"
)

// Ids of sections.
const (
	secCustom    = 0
	secType      = 1
	secImport    = 2
	secFunc      = 3
	secTable     = 4
	secMemory    = 5
	secGlobal    = 6
	secExport    = 7
	secStart     = 8
	secElem      = 9
	secCode      = 10
	secData      = 11
	secDataCount = 12
	secTag       = 13

	numSections = 14
)

// sectionOrder is the order of the sections in a file. Custom sections go
// anywhere.
var sectionOrder = [...]byte{
	secType, secImport, secFunc, secTable, secMemory, secTag, secGlobal, secExport,
	secStart, secElem, secDataCount, secCode, secData,
}

var sectionNames = [numSections]string{
	"custom", "type", "import", "function", "table", "memory", "global", "export",
	"start", "element", "code", "data", "data count", "tag",
}

// Header of a module, and the version that a component has in its place.
var (
	header           = []byte{0, 'a', 's', 'm', 1, 0, 0, 0}
	componentVersion = []byte{0x0d, 0, 1, 0}
)

// A decoder holds a module while it is read.
type decoder struct {
	cursor
	m    *Module
	file []byte
}

// Decode reads a module. It checks the binary format; Validate checks the
// rest. The module shares b's memory, so b must not be changed afterwards.
func Decode(b []byte) (*Module, error) {
	d := &decoder{cursor: cursor{b: b}, m: &Module{names: new(nameCache)}, file: b}
	d.header()
	d.sections()
	d.checkCounts()
	if d.err != nil {
		return nil, d.err
	}
	return d.m, nil
}

func (d *decoder) header() {
	n := min(len(d.b), len(header))
	switch {
	case n < 4 || !bytes.Equal(d.b[:4], header[:4]):
		d.fail(0, "magic header not detected")
	case n == 8 && bytes.Equal(d.b[4:8], componentVersion):
		d.failWith(unsupportedAt(4, featureComponents))
	case n < 8 || !bytes.Equal(d.b[4:8], header[4:]):
		d.fail(4, "unknown binary version")
	default:
		d.pos = len(header)
	}
}

func (d *decoder) sections() {
	last := -1       // index in sectionOrder
	after := byte(0) // id of the last section that was not custom
	for d.pos < len(d.file) && d.err == nil {
		start := d.pos
		id := d.byte()
		if id >= numSections {
			d.fail(start, "malformed section id %d", id)
			return
		}
		content := d.bytes(d.u32())
		if d.err != nil {
			d.within("%s section", sectionNames[id])
			return
		}
		if id == secCustom {
			d.custom(content, after)
			continue
		}
		place := slices.Index(sectionOrder[:], id)
		if place <= last {
			d.fail(start, "%s section: unexpected content after last section", sectionNames[id])
			return
		}
		last, after = place, id
		d.section(id, content)
	}
}

// enter narrows d to the section that it has just passed, and returns a
// function that widens it again.
func (d *decoder) enter(content []byte) (leave func()) {
	end := d.pos
	d.b, d.pos = d.file[:end], end-len(content)
	return func() { d.b = d.file }
}

func (d *decoder) custom(content []byte, after byte) {
	defer d.enter(content)()
	name := d.name()
	d.within("custom section")
	if d.err == nil {
		d.m.Customs = append(d.m.Customs, Custom{Name: name, Bytes: d.bytes(uint32(d.left())), After: after})
	}
}

func (d *decoder) section(id byte, content []byte) {
	defer d.enter(content)()
	d.m.present |= 1 << id
	d.m.offsets[id] = d.pos
	d.content(id)
	if d.err == nil && d.left() > 0 {
		d.fail(d.pos, "section size mismatch: %d bytes left", d.left())
	}
	d.within("%s section", sectionNames[id])
}

// content reads what section id has.
func (d *decoder) content(id byte) {
	c, m := &d.cursor, d.m
	switch id {
	case secType:
		d.types()
	case secImport:
		m.Imports = list(c, "import", maxImports, 4, (*cursor).importEntry)
	case secFunc:
		m.Funcs = list(c, "function", maxFuncs, 1, (*cursor).u32)
	case secTable:
		m.Tables = list(c, "table", maxTables, 3, (*cursor).table)
	case secMemory:
		m.Memories = list(c, "memory", maxMemories, 2, (*cursor).limits)
	case secTag:
		m.Tags = list(c, "tag", maxTags, 2, (*cursor).tag)
	case secGlobal:
		m.Globals = list(c, "global", maxGlobals, 3, (*cursor).global)
	case secExport:
		m.Exports = list(c, "export", maxExports, 3, (*cursor).export)
	case secStart:
		m.Start = new(c.u32())
	case secElem:
		m.Elems = list(c, "element segment", maxElems, 2, (*cursor).elem)
	case secDataCount:
		m.DataCount = new(c.u32())
	case secCode:
		m.Code = list(c, "function", maxFuncs, 2, (*cursor).code)
	case secData:
		m.Data = list(c, "data segment", maxData, 2, (*cursor).data)
	}
}

// checkCounts compares the sections that have to be of one length.
func (d *decoder) checkCounts() {
	m := d.m
	if d.err != nil {
		return
	}
	if len(m.Funcs) != len(m.Code) {
		d.fail(len(d.file), "function and code section have inconsistent lengths: %d and %d", len(m.Funcs), len(m.Code))
	}
	if m.DataCount != nil && uint64(*m.DataCount) != uint64(len(m.Data)) {
		d.fail(len(d.file), "data count and data section have inconsistent lengths: %d and %d", *m.DataCount, len(m.Data))
	}
}

// Codes of types in the type section.
const (
	codeFunc     = 0x60
	codeStruct   = 0x5f
	codeArray    = 0x5e
	codeCont     = 0x5d
	codeSub      = 0x50
	codeSubFinal = 0x4f
	codeRec      = 0x4e
)

func (d *decoder) types() {
	n := d.count("type", maxTypes, 2)
	for i := 0; i < n && d.err == nil; i++ {
		if d.peek() == codeRec {
			d.recGroup()
			continue
		}
		d.typeEntry(recPlace{})
	}
}

// recGroup reads types that may refer to each other.
func (d *decoder) recGroup() {
	d.pos++
	n := d.count("type", maxTypes, 3)
	if n == 0 {
		d.m.emptyRecs = append(d.m.emptyRecs, uint32(len(d.m.Types)))
	}
	for i := 0; i < n && d.err == nil; i++ {
		d.typeEntry(recPlace{size: uint32(n), pos: uint32(i)})
	}
}

func (d *decoder) typeEntry(rec recPlace) {
	start := d.pos
	if len(d.m.Types) == maxTypes {
		d.fail(start, "types: want at most %d", maxTypes)
		return
	}
	switch code := d.byte(); code {
	case codeFunc:
	case codeStruct, codeArray, codeSub, codeSubFinal:
		d.failWith(unsupportedAt(start, featureGC))
	case codeCont:
		d.failWith(unsupportedAt(start, featureSwitching))
	default:
		d.fail(start, "malformed type %#02x", code)
	}
	t := FuncType{rec: rec}
	t.Params = list(&d.cursor, "param", maxParams, 1, (*cursor).valType)
	t.Results = list(&d.cursor, "result", maxResults, 1, (*cursor).valType)
	d.within("type %d", len(d.m.Types))
	d.m.Types = append(d.m.Types, t)
}

func (c *cursor) importEntry() Import {
	imp := Import{Module: c.name(), Name: c.name()}
	start := c.pos
	switch imp.Kind = ExternKind(c.byte()); imp.Kind {
	case ExternFunc:
		imp.Type = c.u32()
	case ExternTable:
		imp.Table = c.tableType()
	case ExternMemory:
		imp.Memory = c.limits()
	case ExternGlobal:
		imp.Global = c.globalType()
	case ExternTag:
		imp.Type = c.tag()
	default:
		c.fail(start, "malformed import kind %#02x", byte(imp.Kind))
	}
	return imp
}

// Bits of the byte before limits.
const (
	limitsMax      = 1
	limitsShared   = 2
	limits64       = 4
	limitsPageSize = 8
)

func (c *cursor) limits() Limits {
	start := c.pos
	flags := c.byte()
	switch {
	case flags&limitsPageSize != 0 && flags < 2*limitsPageSize:
		c.failWith(unsupportedAt(start, featurePageSizes))
	case flags >= limitsPageSize:
		c.fail(start, "malformed limits flags %#02x", flags)
	}
	l := Limits{HasMax: flags&limitsMax != 0, Shared: flags&limitsShared != 0, Is64: flags&limits64 != 0}
	bits := uint(32)
	if l.Is64 {
		bits = 64
	}
	l.Min = c.unsigned(bits)
	if l.HasMax {
		l.Max = c.unsigned(bits)
	}
	return l
}

func (c *cursor) tableType() TableType {
	return TableType{Elem: c.refType(), Limits: c.limits()}
}

// codeTableInit is the byte before a table with an initial value. A zero
// follows it.
const codeTableInit = 0x40

func (c *cursor) table() Table {
	if c.peek() != codeTableInit {
		return Table{Type: c.tableType()}
	}
	c.pos++
	if b := c.byte(); b != 0 {
		c.fail(c.pos-1, "zero byte expected")
	}
	return Table{Type: c.tableType(), Init: c.expr()}
}

func (c *cursor) globalType() GlobalType {
	t := GlobalType{Type: c.valType()}
	start := c.pos
	switch b := c.byte(); b {
	case 0:
	case 1:
		t.Mutable = true
	case 2, 3:
		c.failWith(unsupportedAt(start, featureSharedAll))
	default:
		c.fail(start, "malformed mutability %#02x", b)
	}
	return t
}

func (c *cursor) global() Global {
	return Global{Type: c.globalType(), Init: c.expr()}
}

func (c *cursor) tag() uint32 {
	if b := c.byte(); b != 0 {
		c.fail(c.pos-1, "malformed tag attribute %#02x", b)
	}
	return c.u32()
}

func (c *cursor) export() Export {
	e := Export{Name: c.name()}
	start := c.pos
	e.Kind = ExternKind(c.byte())
	if e.Kind > ExternTag {
		c.fail(start, "malformed export kind %#02x", byte(e.Kind))
	}
	e.Index = c.u32()
	return e
}

// Bits of the number before an element segment.
const (
	elemNotActive = 1 // and then elemExplicit is for declarative
	elemExplicit  = 2
	elemExprs     = 4
)

func (c *cursor) elem() Elem {
	start := c.pos
	flags := c.u32()
	if flags > elemNotActive|elemExplicit|elemExprs {
		c.fail(start, "malformed element segment kind %d", flags)
		return Elem{}
	}
	e := Elem{Type: FuncRef, UseExprs: flags&elemExprs != 0}
	if flags&elemNotActive == 0 {
		e.explicit = flags&elemExplicit != 0
		if e.explicit {
			e.Table = c.u32()
		}
		e.Offset = c.expr()
	} else if e.Mode = Passive; flags&elemExplicit != 0 {
		e.Mode = Declarative
	}
	if flags&(elemNotActive|elemExplicit) != 0 {
		c.elemType(&e)
	}
	if e.UseExprs {
		e.Exprs = list(c, "item", maxElemItems, 1, (*cursor).expr)
	} else {
		e.Funcs = list(c, "item", maxElemItems, 1, (*cursor).u32)
	}
	return e
}

// elemType reads the type of e's items, in the form that goes with them.
func (c *cursor) elemType(e *Elem) {
	if e.UseExprs {
		e.Type = c.refType()
		return
	}
	if b := c.byte(); b != 0 {
		c.fail(c.pos-1, "malformed element kind %#02x", b)
	}
}

func (c *cursor) code() Code {
	size := c.u32()
	if uint64(size) > uint64(c.left()) {
		c.fail(c.pos, "%s: body of %d bytes, have %d", msgEnd, size, c.left())
		return Code{}
	}
	body := cursor{b: c.b[:c.pos+int(size)], pos: c.pos}
	c.pos += int(size)
	code := Code{Start: body.pos}
	code.Locals, code.Offset = body.locals(), body.pos
	code.Body = body.bytes(uint32(body.left()))
	if body.err != nil {
		c.failWith(body.err)
	}
	return code
}

func (c *cursor) locals() []LocalRun {
	start := c.pos
	runs := list(c, "local run", noLimit, 2, (*cursor).localRun)
	total := uint64(0)
	for _, run := range runs {
		total += uint64(run.N)
	}
	if total > maxLocals {
		c.fail(start, "too many locals: %d, want at most %d", total, maxLocals)
	}
	return runs
}

func (c *cursor) localRun() LocalRun {
	return LocalRun{N: c.u32(), Type: c.valType()}
}

// Kinds of data segments.
const (
	dataActive   = 0
	dataPassive  = 1
	dataExplicit = 2
)

func (c *cursor) data() Data {
	var d Data
	start := c.pos
	switch kind := c.u32(); kind {
	case dataActive:
		d.Offset = c.expr()
	case dataPassive:
		d.Mode = Passive
	case dataExplicit:
		d.explicit = true
		d.Memory = c.u32()
		d.Offset = c.expr()
	default:
		c.fail(start, "malformed data segment kind %d", kind)
	}
	d.Bytes = c.bytes(c.u32())
	return d
}
