package symbols

import (
	"debug/dwarf"
	"math"
	"path"
	"slices"

	"github.com/stasis-run/stasis/internal/wasm"
)

// Bounds on what is read of one module. A large program with all its debug
// information is within them; what a forger makes costs a few seconds at most.
const (
	maxSections = 256 << 20 // bytes of all custom sections
	maxSteps    = 3_000_000 // entries, ranges and rows that are read, of each
	maxInline   = 64        // functions that one was put into another
	maxName     = 512       // bytes of a name
)

// info is the debug information of a module.
type info struct {
	data    *dwarf.Data
	line    []byte // section .debug_line
	strings lineStrings
	tables  map[int64]*lineTable // by offset in line; nil: cannot be read
	units   []*unit
	steps   int // that are left of maxSteps
}

// A unit is what was compiled at once, mostly a source file.
type unit struct {
	entry  *dwarf.Entry
	ranges [][2]uint64
	read   bool // funcs has been made
	funcs  []function
}

// A function is one of a unit, or what was put into another one.
type function struct {
	entry  *dwarf.Entry
	ranges [][2]uint64
}

// newInfo reads the sections of a module, or returns nil if there are none, or
// none that make sense.
func newInfo(m *wasm.Module) (in *info) {
	// Package debug/dwarf is made for files of compilers and linkers and returns
	// errors; where it does not, for a file made to break it, there is no debug
	// information.
	defer func() {
		if recover() != nil {
			in = nil
		}
	}()
	s := make(map[string][]byte)
	size := 0
	for _, c := range m.Customs {
		size += len(c.Bytes)
		s[c.Name] = c.Bytes
	}
	if len(s[".debug_info"]) == 0 || size > maxSections {
		return nil
	}
	d, err := dwarf.New(s[".debug_abbrev"], nil, nil, s[".debug_info"], s[".debug_line"], nil, s[".debug_ranges"], s[".debug_str"])
	if err != nil {
		return nil
	}
	for _, name := range []string{".debug_line_str", ".debug_str_offsets", ".debug_addr", ".debug_rnglists"} {
		if b := s[name]; len(b) > 0 {
			if err := d.AddSection(name, b); err != nil {
				return nil
			}
		}
	}
	in = &info{
		data: d, line: s[".debug_line"], tables: make(map[int64]*lineTable), steps: maxSteps,
		strings: lineStrings{str: s[".debug_str"], lineStr: s[".debug_line_str"]},
	}
	in.readUnits(s[".debug_info"])
	return in
}

// readUnits reads the first entry of each unit. Their headers are read here:
// package debug/dwarf finds the next unit by going through all of one's entries.
func (in *info) readUnits(b []byte) {
	r := in.data.Reader()
	for at := uint64(0); at < uint64(len(b)) && in.steps > 0; {
		h := &lineReader{b: b[at:]}
		size, header := h.fixed(4), uint64(4)
		if size == 0xffffffff {
			h.wide = true
			size, header = h.fixed(8), 12
		}
		if h.bad || size > uint64(len(h.b)) {
			return
		}
		next := at + header + size
		if h.fixed(2) == 5 {
			h.fixed(2) // type of the unit, size of an address
			h.offset()
		} else {
			h.offset()
			h.fixed(1)
		}
		r.Seek(dwarf.Offset(uint64(len(b) - len(h.b))))
		e, err := r.Next()
		if err == nil && e != nil && e.Tag == dwarf.TagCompileUnit {
			in.units = append(in.units, &unit{entry: e, ranges: in.ranges(e)})
		}
		in.steps--
		at = next
	}
}

// ranges are those that an entry says it takes up.
func (in *info) ranges(e *dwarf.Entry) [][2]uint64 {
	r, err := in.data.Ranges(e)
	if err != nil {
		return nil
	}
	in.steps -= len(r)
	return r
}

// cover reports whether an address is in one of the ranges. One that begins at 0,
// where no code is, is of what the linker dropped.
func cover(ranges [][2]uint64, addr uint64) bool {
	for _, r := range ranges {
		if r[0] != 0 && r[0] <= addr && addr < r[1] {
			return true
		}
	}
	return false
}

// lines are the lines of an address, an offset in the code section. name is what
// the function is called where DWARF does not say.
func (in *info) lines(addr uint64, name string) (out []Line) {
	defer func() {
		if recover() != nil { // as in newInfo
			out = nil
		}
	}()
	for _, u := range in.units {
		if cover(u.ranges, addr) {
			if out := in.linesIn(u, addr, name); out != nil {
				return out
			}
		}
	}
	return nil
}

func (in *info) linesIn(u *unit, addr uint64, name string) (out []Line) {
	offset, ok := u.entry.Val(dwarf.AttrStmtList).(int64)
	if !ok {
		return nil
	}
	t := in.table(offset)
	if t == nil {
		return nil
	}
	row, ok := t.find(addr)
	if !ok {
		return nil
	}
	for _, e := range in.around(u, addr) { // outermost first
		if e.Tag == dwarf.TagInlinedSubroutine {
			file, _ := e.Val(dwarf.AttrCallFile).(int64)
			line, _ := e.Val(dwarf.AttrCallLine).(int64)
			column, _ := e.Val(dwarf.AttrCallColumn).(int64)
			out = append(out, Line{Func: name, File: t.file(uint64(file)), Line: number(line), Column: number(column)})
		}
		if f := in.funcName(e, 0); f != "" {
			name = f
		}
	}
	out = append(out, Line{Func: name, File: t.file(row.file), Line: number(int64(row.line)), Column: number(int64(row.column))})
	slices.Reverse(out)
	return out
}

// around lists the function at an address and what was put into it there,
// outermost first.
func (in *info) around(u *unit, addr uint64) (out []*dwarf.Entry) {
	if !u.read {
		u.read = true
		u.funcs = in.functions(u)
	}
	for i := range u.funcs {
		if f := &u.funcs[i]; cover(f.ranges, addr) && len(out) < maxInline {
			out = append(out, f.entry)
		}
	}
	return out
}

// functions lists those of a unit, outer ones first. It goes through all entries:
// where one says that its sibling is need not be true.
func (in *info) functions(u *unit) (out []function) {
	r := in.data.Reader()
	r.Seek(u.entry.Offset)
	if e, err := r.Next(); err != nil || e == nil || !e.Children {
		return nil
	}
	for depth := 1; depth > 0 && in.steps > 0; in.steps-- {
		e, err := r.Next()
		switch {
		case err != nil || e == nil:
			return out
		case e.Tag == 0:
			depth--
			continue
		case e.Tag == dwarf.TagSubprogram || e.Tag == dwarf.TagInlinedSubroutine:
			if ranges := in.ranges(e); len(ranges) > 0 {
				out = append(out, function{e, ranges})
			}
		}
		if e.Children {
			depth++
		}
	}
	return out
}

// funcName is the name of a function's entry, or of the one that it is made from.
func (in *info) funcName(e *dwarf.Entry, depth int) string {
	if name, ok := e.Val(dwarf.AttrName).(string); ok {
		return clip(name)
	}
	for _, attr := range []dwarf.Attr{dwarf.AttrAbstractOrigin, dwarf.AttrSpecification} {
		off, ok := e.Val(attr).(dwarf.Offset)
		if !ok || depth == 4 {
			continue
		}
		r := in.data.Reader()
		r.Seek(off)
		if of, err := r.Next(); err == nil && of != nil {
			return in.funcName(of, depth+1)
		}
	}
	return ""
}

// number is a line or column, 0 if it makes no sense.
func number(n int64) int32 {
	if n < 0 || n > math.MaxInt32 {
		return 0
	}
	return int32(n)
}

func clip(s string) string { return s[:min(len(s), maxName)] }

// table is the line table at an offset, read once.
func (in *info) table(offset int64) *lineTable {
	t, ok := in.tables[offset]
	if !ok {
		if offset >= 0 && offset < int64(len(in.line)) {
			t = readLines(in.line[offset:], &in.strings)
		}
		in.tables[offset] = t
	}
	return t
}

// file is the name of a file of the table.
func (t *lineTable) file(i uint64) string {
	if i >= uint64(len(t.files)) {
		return ""
	}
	f := t.files[i]
	if path.IsAbs(f.name) || f.dir == 0 || f.dir >= uint64(len(t.dirs)) { // 0 is where the compiler ran
		return f.name
	}
	return path.Join(t.dirs[f.dir], f.name)
}
