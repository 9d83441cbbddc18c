package symbols

import (
	"bytes"
	"encoding/binary"
	"sort"
)

// Line tables are read here and not by package debug/dwarf: that believes what a
// table says of its length before it has seen it, and wants rows in order, which
// not every linker gives.

// A lineTable is the line table of a unit.
type lineTable struct {
	dirs  []string
	files []lineFile
	rows  []row // by sequence and address
}

type lineFile struct {
	name string
	dir  uint64
}

// A row says that from an address on the code is of a line, up to the next row.
type row struct {
	addr               uint64
	file, line, column uint64
	end                bool // of the sequence: nothing is here
}

// lineStrings are the sections that names are in.
type lineStrings struct{ str, lineStr []byte }

// find is the row of an address.
func (t *lineTable) find(addr uint64) (r row, ok bool) {
	i := sort.Search(len(t.rows), func(i int) bool { return t.rows[i].addr > addr }) - 1
	if i < 0 || t.rows[i].end {
		return row{}, false
	}
	return t.rows[i], true
}

// A lineReader reads a table. The first thing that cannot be read makes it bad,
// and all that is read from then on is 0.
type lineReader struct {
	b       []byte
	wide    bool // 64-bit DWARF
	strings *lineStrings
	bad     bool
}

func (r *lineReader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// fixed reads an unsigned number of n bytes, at most 8.
func (r *lineReader) fixed(n uint64) (v uint64) {
	for i, x := range r.take(n) {
		v |= uint64(x) << (8 * i)
	}
	return v
}

func (r *lineReader) offset() uint64 {
	if r.wide {
		return r.fixed(8)
	}
	return r.fixed(4)
}

func (r *lineReader) uleb() uint64 {
	v, n := binary.Uvarint(r.b) // the same encoding
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.take(uint64(n))
	return v
}

func (r *lineReader) sleb() (v int64) {
	for shift := 0; shift < 64; shift += 7 {
		x := r.fixed(1)
		v |= int64(x&0x7f) << shift
		if x&0x80 == 0 {
			if shift < 57 && x&0x40 != 0 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
	r.bad = true
	return 0
}

func (r *lineReader) cstring() string {
	n := bytes.IndexByte(r.b, 0)
	if n < 0 {
		r.bad = true
		return ""
	}
	s := clip(string(r.take(uint64(n))))
	r.take(1)
	return s
}

// indirect is the string at an offset of a section.
func (r *lineReader) indirect(section []byte) string {
	off := r.offset()
	if off >= uint64(len(section)) {
		return ""
	}
	rest := section[off:]
	rest = rest[:min(len(rest), maxName)]
	if n := bytes.IndexByte(rest, 0); n >= 0 {
		rest = rest[:n]
	}
	return string(rest)
}

// A lineProgram is what the header of a table says of the opcodes that follow.
type lineProgram struct {
	minLength, maxOps uint64
	base              int64
	rng               uint64
	lengths           []byte // of the standard opcodes' operands
}

// readLines reads a table, or returns nil if it cannot be read.
func readLines(b []byte, s *lineStrings) *lineTable {
	r := &lineReader{b: b, strings: s}
	size := r.fixed(4)
	if size == 0xffffffff {
		r.wide = true
		size = r.fixed(8)
	}
	r.b = r.take(size)
	version := r.fixed(2)
	if version < 2 || version > 5 {
		return nil
	}
	if version == 5 {
		r.fixed(2) // sizes of addresses and selectors
	}
	length := r.offset()
	header := &lineReader{b: r.take(length), wide: r.wide, strings: s}
	p := lineProgram{minLength: header.fixed(1), maxOps: 1}
	if version >= 4 {
		p.maxOps = header.fixed(1)
	}
	header.fixed(1) // whether rows are statements
	p.base, p.rng = int64(int8(header.fixed(1))), header.fixed(1)
	n := header.fixed(1)
	p.lengths = header.take(max(n, 1) - 1)
	t := &lineTable{}
	if version < 5 {
		t.readFiles4(header)
	} else {
		t.readFiles5(header)
	}
	if r.bad || header.bad || p.rng == 0 {
		return nil
	}
	t.readRows(r, &p)
	sort.SliceStable(t.rows, func(i, j int) bool {
		a, b := &t.rows[i], &t.rows[j]
		return a.addr < b.addr || a.addr == b.addr && a.end && !b.end // another sequence may begin where one ends
	})
	return t
}

// readFiles4 reads the lists of versions 2 to 4, which count from 1: directory 0
// is where the compiler ran.
func (t *lineTable) readFiles4(r *lineReader) {
	t.dirs, t.files = []string{""}, []lineFile{{}}
	for !r.bad {
		d := r.cstring()
		if d == "" {
			break
		}
		t.dirs = append(t.dirs, d)
	}
	for !r.bad {
		f := lineFile{name: r.cstring()}
		if f.name == "" {
			break
		}
		f.dir = r.uleb()
		r.uleb() // time
		r.uleb() // size
		t.files = append(t.files, f)
	}
}

// Contents of the lists of version 5, and forms that they come in.
const (
	lnctPath = 1
	lnctDir  = 2

	formBlock2  = 0x03
	formData2   = 0x05
	formData4   = 0x06
	formData8   = 0x07
	formString  = 0x08
	formBlock   = 0x09
	formData1   = 0x0b
	formStrp    = 0x0e
	formUdata   = 0x0f
	formData16  = 0x1e
	formLineStr = 0x1f
)

func (t *lineTable) readFiles5(r *lineReader) {
	for _, f := range r.list() {
		t.dirs = append(t.dirs, f.name)
	}
	t.files = r.list()
}

// list reads a list: the format of its entries, then the entries, which take a
// byte at least.
func (r *lineReader) list() (out []lineFile) {
	format := make([][2]uint64, 0, 8)
	for range r.fixed(1) {
		format = append(format, [2]uint64{r.uleb(), r.uleb()})
	}
	n := r.uleb()
	if n > uint64(len(r.b)) || n > 0 && len(format) == 0 {
		r.bad = true
	}
	for i := uint64(0); i < n && !r.bad; i++ {
		var f lineFile
		for _, x := range format {
			name, v := r.form(x[1])
			switch x[0] {
			case lnctPath:
				f.name = name
			case lnctDir:
				f.dir = v
			}
		}
		out = append(out, f)
	}
	return out
}

func (r *lineReader) form(form uint64) (s string, v uint64) {
	switch form {
	case formString:
		return r.cstring(), 0
	case formLineStr:
		return r.indirect(r.strings.lineStr), 0
	case formStrp:
		return r.indirect(r.strings.str), 0
	case formUdata:
		return "", r.uleb()
	case formData1:
		return "", r.fixed(1)
	case formData2:
		return "", r.fixed(2)
	case formData4:
		return "", r.fixed(4)
	case formData8:
		return "", r.fixed(8)
	case formData16:
		r.take(16)
	case formBlock:
		r.take(r.uleb())
	case formBlock2:
		r.take(r.fixed(2))
	default:
		r.bad = true
	}
	return "", 0
}

// Opcodes.
const (
	opCopy = iota + 1
	opAdvancePC
	opAdvanceLine
	opSetFile
	opSetColumn
	opNegateStmt
	opBasicBlock
	opConstAddPC
	opFixedAdvancePC

	extEnd     = 1
	extAddress = 2
)

// readRows runs the program, as far as it can be read.
func (t *lineTable) readRows(r *lineReader, p *lineProgram) {
	first := row{file: 1, line: 1}
	at := first
	start := 0 // of the sequence, among the rows
	add := func() { t.rows = append(t.rows, at) }
	opBase := uint64(len(p.lengths)) + 1
	for len(r.b) > 0 && !r.bad && len(t.rows) < maxSteps {
		op := r.fixed(1)
		switch {
		case op >= opBase:
			op -= opBase
			at.addr += op / p.rng * p.minLength
			at.line += uint64(p.base + int64(op%p.rng))
			add()
		case op == 0:
			ext := &lineReader{b: r.take(r.uleb())}
			switch ext.fixed(1) {
			case extEnd:
				at.end = true
				add()
				if low := t.rows[start].addr; low == 0 || low >= 0xfffffffe { // the linker dropped the function
					t.rows = t.rows[:start]
				}
				start, at = len(t.rows), first
			case extAddress:
				at.addr = ext.fixed(min(uint64(len(ext.b)), 8))
			}
		case op == opCopy:
			add()
		case op == opAdvancePC:
			at.addr += r.uleb() * p.minLength
		case op == opAdvanceLine:
			at.line += uint64(r.sleb())
		case op == opSetFile:
			at.file = r.uleb()
		case op == opSetColumn:
			at.column = r.uleb()
		case op == opConstAddPC:
			at.addr += (255 - opBase) / p.rng * p.minLength
		case op == opFixedAdvancePC:
			at.addr += r.fixed(2)
		default: // those without meaning to us, and those of later versions
			for range p.lengths[op-1] {
				r.uleb()
			}
		}
	}
	t.rows = t.rows[:min(start, len(t.rows))] // what has no end says nothing
}
