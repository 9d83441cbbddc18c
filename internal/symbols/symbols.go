package symbols

import (
	"sync"

	"github.com/stasis-run/stasis/internal/wasm"
)

// A Table knows the places of one module. It is safe for concurrent use.
type Table struct {
	module []byte // immutable

	mu   sync.Mutex
	read bool         // mod and info have been read; protected by mu
	mod  *wasm.Module // or nil: it cannot be read; protected by mu
	info *info        // its DWARF, or nil; protected by mu
}

// New makes a table of a module, the bytes of its file, which must not change.
func New(module []byte) *Table { return &Table{module: module} }

// A Place is a place in a module. Its JSON is what users see.
type Place struct {
	Func   uint32 `pb:"1" json:"func"`                 // function, of the whole index space
	Name   string `pb:"2" json:"name,omitempty"`       // of the function, for people; "" is none
	Offset uint64 `pb:"3" json:"offset,omitempty"`     // of the instruction in the module's file, in bytes; 0 is unknown
	Code   uint64 `pb:"4" json:"codeoffset,omitempty"` // the same from the start of the code section's contents, as DWARF counts

	// Lines is where in the source that is: innermost first, the last is of the
	// function itself, and those before it are of functions that the compiler put
	// into it. None are known without DWARF.
	Lines []Line `pb:"5" json:"lines,omitempty"`
}

// A Line is a line of the source.
type Line struct {
	Func   string `pb:"1" json:"func,omitempty"` // function that it is of, or ""
	File   string `pb:"2" json:"file,omitempty"`
	Line   int32  `pb:"3" json:"line,omitempty"`   // 0 is unknown
	Column int32  `pb:"4" json:"column,omitempty"` // 0 is unknown
}

// Place describes a place: a function and a position in it as records have them,
// an ordinal of an instruction plus one, 0 if that is not known.
func (t *Table) Place(fn, pos uint32) Place {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open()
	p := Place{Func: fn}
	if t.mod == nil {
		return p
	}
	p.Name = clip(t.mod.FuncName(fn))
	off, ok := instrOffset(t.mod, fn, pos)
	if !ok {
		return p
	}
	p.Offset, p.Code = off, off-uint64(t.mod.CodeStart())
	if t.info != nil {
		p.Lines = t.info.lines(p.Code, p.Name)
	}
	return p
}

// Module is the module, or nil if it cannot be read. It must not be changed.
func (t *Table) Module() *wasm.Module {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open()
	return t.mod
}

// open reads the module, once.
//
// Preconditions: t.mu is locked.
func (t *Table) open() {
	if t.read {
		return
	}
	t.read = true
	m, err := wasm.Decode(t.module)
	if err != nil {
		return
	}
	t.mod, t.info = m, newInfo(m)
}

// instrOffset is the offset of an instruction in the module's file.
func instrOffset(m *wasm.Module, fn, pos uint32) (off uint64, ok bool) {
	i := int64(fn) - int64(m.NumImports(wasm.ExternFunc))
	if pos == 0 || i < 0 || i >= int64(len(m.Code)) {
		return 0, false
	}
	code := &m.Code[i]
	r := wasm.NewReader(code.Body)
	var in wasm.Instr
	for range pos {
		if r.Next(&in) != nil {
			return 0, false
		}
	}
	return uint64(code.Offset + in.Pos), true
}
