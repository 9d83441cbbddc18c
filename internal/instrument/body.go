package instrument

import (
	"fmt"
	"sort"

	"github.com/stasis-run/stasis/internal/wasm"
)

// A body is an analysed function: its instructions with what the emitter needs
// to know before each of them, and its sites with their live values.
type body struct {
	fn      uint32 // function index in the original module
	typ     wasm.FuncType
	locals  []wasm.ValType // parameters and locals
	code    []byte
	instrs  []instr
	targets []uint32       // of all br_tables, one after the other
	clauses []wasm.Catch   // of all try_tables, one after the other
	tees    []tee          // by instruction, then slot
	sites   []site         // by pos
	types   []wasm.ValType // memory of the sites' operand stacks
	live    []bitset       // live locals of each site; nil for the entry
	marks   *Marks         // to note what becomes of the instructions, or nil

	operands int            // of all sites
	tries    bool           // has a try of either encoding
	rethrown map[int32]bool // catches whose exception some rethrow throws again
}

// An instr is one instruction of a body. The zero flags mean: as it is.
type instr struct {
	op       wasm.Opcode
	pos, end uint32 // bytes of the body
	a, b     uint32 // indices; br_table, try_table: its part of targets, clauses
	prev     int32  // an instruction before, between which and this one all are of no concern to liveness, or -1
	match    int32  // block, loop, if, try: the first else or catch, or the end; else, catch: the next catch or the end; end, delegate: its opener (-1: the function's)
	block    wasm.BlockType
	ref      wasm.ValType // selects and reference instructions: the type they are about
	base     int32        // operands below what it leaves; block, loop, if, try: below its parameters
	copied   bool         // emitted as it is, whatever is around it (common.go)
	kept     bool         // some of what it leaves is kept in locals: tees
	dead     bool         // cannot be reached; of an else or end: its whole block cannot
	sliced   bool         // bulk operation that is run by a helper
	site     int32        // index into sites, or -1
}

// A tee says that the value which instruction instr leaves in an operand stack
// slot is live at some site and is kept in a local as well.
type tee struct {
	instr int32
	slot  int32
	typ   wasm.ValType
}

// A site of a body, before the locals that are live are listed.
type site struct {
	pos     uint32 // as in Site
	kind    SiteKind
	operand []wasm.ValType // operand stack of the record
	results []wasm.ValType // SiteCall: of the call
	caught  []int32        // catches around it whose exception may be thrown again, outermost first
	guarded bool           // SiteCall: some try around it has handlers for what the callee throws
}

// maxRecordValues bounds the values of all records of one function together.
// The code that saves them takes about three bytes a value; without a bound,
// nested operands around many calls would make gigabytes of it.
const maxRecordValues = 16 << 20

// maxLiveBits bounds the sets of live locals of all sites of a function, in
// bits: 256 MiB.
const maxLiveBits = 1 << 31

// maxProgramValues bounds those of all functions.
const maxProgramValues = 64 << 20

// tooMany refuses a function whose records hold n values.
func (b *body) tooMany(n int) error {
	if n > maxRecordValues {
		return fmt.Errorf("function %d: more than %d values live at its calls and loops, all counted: %w", b.fn, maxRecordValues, ErrUnsupported)
	}
	return nil
}

// countValues counts them.
func (b *body) countValues() int {
	n := b.operands
	for k := range b.sites {
		n += len(b.sites[k].caught)
		if b.sites[k].kind != SiteEntry {
			n += b.live[k].count()
		}
	}
	return n
}

func isBlock(op wasm.Opcode) bool {
	return op == wasm.OpBlock || op == wasm.OpLoop || op == wasm.OpIf || op == wasm.OpTry || op == wasm.OpTryTable
}

// isEnd reports whether op closes a block.
func isEnd(op wasm.Opcode) bool { return op == wasm.OpEnd || op == wasm.OpDelegate }

// endOf is the index of what closes the block that instruction i opens.
func (b *body) endOf(i int32) int32 {
	for i = b.instrs[i].match; !isEnd(b.instrs[i].op); {
		i = b.instrs[i].match
	}
	return i
}

// site describes site k as the outside sees it.
func (b *body) site(p *Program, k int) Site {
	x := &b.sites[k]
	s := Site{
		ID: p.firstSite[int(b.fn)-p.imports] + SiteID(k), Kind: x.kind, Func: b.fn, Pos: x.pos, Results: x.results,
	}
	if x.kind == SiteEntry {
		for i, t := range b.typ.Params {
			s.Live = append(s.Live, Slot{Index: uint32(i), Type: t})
		}
		return s
	}
	for i := range b.live[k].members {
		s.Live = append(s.Live, Slot{Index: uint32(i), Type: b.locals[i]})
	}
	for i, t := range x.operand {
		s.Live = append(s.Live, Slot{Operand: true, Index: uint32(i), Type: t})
	}
	for _, c := range x.caught {
		s.Live = append(s.Live, Slot{Caught: true, Index: uint32(c) + 1, Type: exception})
	}
	s.Guarded = x.guarded
	return s
}

// teesOf lists the values of instruction i that are kept in locals.
func (b *body) teesOf(i int32) []tee {
	from := sort.Search(len(b.tees), func(k int) bool { return b.tees[k].instr >= i })
	to := from
	for to < len(b.tees) && b.tees[to].instr == i {
		to++
	}
	return b.tees[from:to]
}
