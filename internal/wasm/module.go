// Package wasm reads, checks and writes WebAssembly modules. It knows the
// binary format and the validation rules and nothing of what its users do with
// them.
//
// Decode and Encode are lossless: Encode(Decode(x)) is x byte for byte where x
// is canonical (shortest LEB128 everywhere), and means the same otherwise.
// Function bodies stay as bytes; a Reader steps through their instructions and
// Walk adds the operand stack before each of them.
package wasm

// A ValType is a value type. The low byte is the code of the binary format;
// for RefNull and RefTo (typed references) the bits above it hold the heap
// type. The nullable abstract references have one spelling only: FuncRef,
// ExternRef, ExnRef.
type ValType uint32

// Value types.
const (
	I32       ValType = 0x7f
	I64       ValType = 0x7e
	F32       ValType = 0x7d
	F64       ValType = 0x7c
	V128      ValType = 0x7b
	FuncRef   ValType = 0x70 // (ref null func)
	ExternRef ValType = 0x6f // (ref null extern)
	ExnRef    ValType = 0x69 // (ref null exn)

	codeRefNull ValType = 0x63 // (ref null ht)
	codeRef     ValType = 0x64 // (ref ht)

	// Unknown is the type of an operand in unreachable code, where the stack
	// holds whatever is asked of it. It never appears in a module.
	Unknown ValType = 0
)

// A HeapType is what a reference points to: the index of a function type, or
// one of the abstract types.
type HeapType uint32

// Abstract heap types, above all indices that Decode accepts.
const (
	HeapFunc   HeapType = 0xfffff0
	HeapExtern HeapType = 0xfffff1
	HeapExn    HeapType = 0xfffff2
)

// A FuncType is a function's signature. The slices are shared; do not change them.
type FuncType struct {
	Params, Results []ValType

	rec recPlace
}

// Group tells the type's place in the group of types that it was declared
// with, from 0, and how many these are. Types of different places differ.
func (t FuncType) Group() (pos, size int) { return int(t.rec.pos), max(1, int(t.rec.size)) }

// A recPlace says where a type is in its recursion group, the types that may
// refer to each other. A group's types lie next to each other.
type recPlace struct {
	size uint32 // of the group; 0 if the binary form had none around the type
	pos  uint32 // in the group
}

// An ExternKind says what an import or export is.
type ExternKind byte

// Kinds of imports and exports, as in the binary format.
const (
	ExternFunc   ExternKind = 0
	ExternTable  ExternKind = 1
	ExternMemory ExternKind = 2
	ExternGlobal ExternKind = 3
	ExternTag    ExternKind = 4
)

// Limits bound a table (in elements) or a memory (in 64 KiB pages).
type Limits struct {
	Min    uint64
	Max    uint64 // meaningful with HasMax
	HasMax bool
	Shared bool // memories only
	Is64   bool // refused by Validate
}

// A TableType describes a table.
type TableType struct {
	Elem   ValType
	Limits Limits
}

// A GlobalType describes a global.
type GlobalType struct {
	Type    ValType
	Mutable bool
}

// An Import is one import. The field that belongs to Kind is meaningful.
type Import struct {
	Module, Name string
	Kind         ExternKind
	Type         uint32 // ExternFunc, ExternTag: index into Types
	Table        TableType
	Memory       Limits
	Global       GlobalType
}

// A Table is a table that the module defines.
type Table struct {
	Type TableType
	Init []byte // constant expression with its end; nil is null
}

// A Global is a global that the module defines.
type Global struct {
	Type GlobalType
	Init []byte // constant expression with its end
}

// An Export is one export.
type Export struct {
	Name  string
	Kind  ExternKind
	Index uint32
}

// A SegmentMode says when an element or data segment is applied.
type SegmentMode byte

// Modes of segments.
const (
	Active SegmentMode = iota
	Passive
	Declarative // elements only
)

// An Elem is an element segment. Either Funcs (function indices) or Exprs
// (constant expressions, each with its end) holds its items, as the binary
// form had it.
type Elem struct {
	Mode     SegmentMode
	Table    uint32 // Active
	Offset   []byte // Active: constant expression with its end
	Type     ValType
	Funcs    []uint32
	Exprs    [][]byte
	UseExprs bool // Exprs, not Funcs, holds the items
	explicit bool // the binary form named table and kind although it need not
}

// Len is the number of items.
func (e *Elem) Len() int {
	if e.UseExprs {
		return len(e.Exprs)
	}
	return len(e.Funcs)
}

// A Data is a data segment.
type Data struct {
	Mode     SegmentMode
	explicit bool // the binary form named the memory although it need not
	Memory   uint32
	Offset   []byte // Active: constant expression with its end
	Bytes    []byte // shares the memory of the decoded module
}

// A LocalRun is N locals of one type in a row.
type LocalRun struct {
	N    uint32
	Type ValType
}

// A Code is the body of a function that the module defines.
type Code struct {
	Locals []LocalRun
	Body   []byte // instructions, the last of them end; shares the decoded module's memory
	Offset int    // of Body in the decoded file; for errors and traps
	Start  int    // of the function in the decoded file: its locals, then Body
}

// A Custom is a custom section.
type Custom struct {
	Name  string
	Bytes []byte
	After byte // id of the section that it followed; 0 is the header
}

// A Module is a decoded module. Index spaces begin with the imports, as in
// the binary format.
type Module struct {
	Types     []FuncType
	Imports   []Import
	Funcs     []uint32 // type of each defined function
	Tables    []Table
	Memories  []Limits
	Tags      []uint32 // type of each defined tag
	Globals   []Global
	Exports   []Export
	Start     *uint32
	Elems     []Elem
	DataCount *uint32
	Code      []Code
	Data      []Data
	Customs   []Custom

	// What the binary form had beyond that, so that Encode can repeat it.
	present   uint16   // bit for each section, empty ones too
	emptyRecs []uint32 // recursion groups without types: index of the type that follows

	offsets [numSections]int // of the sections' contents in the decoded file, for errors; 0 is unknown
	names   *nameCache       // nil in a module that was not decoded
}

// CodeStart is where the contents of the code section of a decoded module begin
// in its file: DWARF counts from there. 0 is that there is none.
func (m *Module) CodeStart() int { return m.offsets[secCode] }
