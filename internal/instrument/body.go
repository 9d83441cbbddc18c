package instrument

import (
	"fmt"
	"slices"
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
	targets []uint32        // of all br_tables, one after the other
	clauses []wasm.Catch    // of all try_tables, one after the other
	tees    []tee           // by instruction, then slot
	sites   []site          // by pos
	heights map[int32]int32 // operands below each reachable block's parameters, by opener
	live    []bitset        // live locals of each site; nil for the entry
	marks   *Marks          // to note what becomes of the instructions, or nil

	operands int            // of all sites
	tries    bool           // has a try of either encoding
	rethrown map[int32]bool // catches whose exception some rethrow throws again
}

// An instr is one instruction of a body. The zero flags mean: as it is.
type instr struct {
	op       wasm.Opcode
	pos, end uint32 // bytes of the body
	a, b     uint32 // indices; br_table, try_table: its part of targets, clauses
	match    int32  // block, loop, if, try: the first else or catch, or the end; else, catch: the next catch or the end; end, delegate: its opener (-1: the function's)
	block    wasm.BlockType
	ref      wasm.ValType // selects and reference instructions: the type they are about
	base     int32        // operands below what it leaves
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

// opener is an open block while a body is read.
type opener struct {
	index  int32   // of its instruction; -1: the function
	height int     // len(made) below its parameters
	params []int32 // if: the instructions that left its parameters, for the else
	last   int32   // its last else or catch so far, or 0
}

// A reader makes a body from a walk over a function.
type reader struct {
	p    *Program
	b    *body
	open []opener
	made []int32 // per operand: the instruction that left it there
	teed map[[2]int32]bool
	prev wasm.Instr
	dead deadness
}

// analyse fills b for a defined function. It may have been filled before: the
// reader's memory and b's is used again.
func (r *reader) analyse(w *wasm.Walker, defined uint32, b *body) error {
	p := r.p
	code := p.mod.Code[defined].Body
	if b.heights == nil {
		b.heights = make(map[int32]int32)
		b.instrs = make([]instr, 0, len(code)/2)
	}
	clear(b.heights)
	*b = body{
		fn: uint32(p.imports) + defined, typ: p.funcType(uint32(p.imports) + defined), code: code,
		instrs: b.instrs[:0], targets: b.targets[:0], clauses: b.clauses[:0], tees: b.tees[:0], sites: b.sites[:0], heights: b.heights,
	}
	if r.teed == nil {
		r.teed = make(map[[2]int32]bool)
	}
	clear(r.teed)
	*r = reader{p: p, b: b, teed: r.teed, made: r.made[:0], open: append(r.open[:0], opener{index: -1})}
	if p.traits[defined].entrySite() {
		b.sites = append(b.sites, site{kind: SiteEntry})
	}
	if err := w.Walk(int(defined), r.visit); err != nil {
		return err
	}
	if err := b.findHandlers(); err != nil {
		return err
	}
	if len(b.sites)*len(b.locals) > maxLiveBits {
		return fmt.Errorf("function %d: %d calls and loops with %d locals, more than this can look at: %w", b.fn, len(b.sites), len(b.locals), ErrUnsupported)
	}
	sort.Slice(b.tees, func(i, j int) bool {
		x, y := b.tees[i], b.tees[j]
		return x.instr < y.instr || x.instr == y.instr && x.slot < y.slot
	})
	b.findLive()
	if err := b.tooMany(b.countValues()); err != nil {
		return err
	}
	if want := int(p.firstSite[defined+1] - p.firstSite[defined]); len(b.sites) != want {
		panic(fmt.Sprintf("instrument: function %d has %d sites, the survey counted %d", b.fn, len(b.sites), want))
	}
	return nil
}

func (r *reader) visit(in *wasm.Instr, st *wasm.State) error {
	b := r.b
	if b.locals == nil {
		b.locals = append([]wasm.ValType{}, st.Locals...)
	}
	i := int32(len(b.instrs))
	b.instrs = append(b.instrs, instr{
		op: in.Op, pos: uint32(in.Pos), end: uint32(in.End), a: uint32(in.A), b: uint32(in.B),
		block: in.Block, dead: r.dead.at(st), site: -1, match: -1,
	})
	x := &b.instrs[i]
	if in.Op == wasm.OpBrTable {
		x.a, x.b = uint32(len(b.targets)), uint32(len(in.Targets))
		b.targets = append(b.targets, in.Targets...)
	}
	b.tries = b.tries || isTry(in.Op)
	if in.Op == wasm.OpTryTable {
		x.a, x.b = uint32(len(b.clauses)), uint32(len(in.Catches))
		b.clauses = append(b.clauses, in.Catches...)
	}
	switch {
	case isBlock(in.Op):
		r.enter(i, in, st)
	case in.Op == wasm.OpElse:
		r.turn(i)
	case isCatch(in.Op):
		r.catch(i)
	case isEnd(in.Op):
		r.leave(i)
	case !x.dead:
		x.sliced = isSliced(in, &r.prev)
		x.ref = refType(in, st)
		pops, pushes := r.effect(in)
		r.site(i, in, st, pops)
		r.made = r.made[:len(r.made)-pops]
		x.base = int32(len(r.made))
		for range pushes {
			r.made = append(r.made, i)
		}
	}
	r.prev = *in
	return b.tooMany(b.operands)
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

// enter opens a block.
func (r *reader) enter(i int32, in *wasm.Instr, st *wasm.State) {
	params, _ := r.p.mod.BlockSig(in.Block)
	if r.b.instrs[i].dead {
		r.open = append(r.open, opener{index: i, height: len(r.made)})
		return
	}
	if in.Op == wasm.OpIf {
		r.made = r.made[:len(r.made)-1]
	}
	at := len(r.made) - len(params)
	r.b.heights[i] = int32(at)
	o := opener{index: i, height: at}
	switch in.Op {
	case wasm.OpIf:
		o.params = append(o.params, r.made[at:]...)
	case wasm.OpLoop: // its parameters come from more than one place
		for k := range params {
			r.made[at+k] = i
		}
		r.b.instrs[i].base = int32(at)
		operand := slices.Clone(st.Stack)
		copy(operand[at:], params) // of the loop's own types, which may say less than what came first
		r.addSite(i, SiteLoop, operand, nil)
	}
	r.open = append(r.open, o)
}

// turn begins the second arm of an if.
func (r *reader) turn(i int32) {
	b, o := r.b, &r.open[len(r.open)-1]
	r.made = append(r.made[:o.height], o.params...)
	r.link(o, i)
	b.instrs[i].block = b.instrs[o.index].block
	b.instrs[i].dead = b.instrs[o.index].dead
}

// link makes instruction i the one that follows in the block: an else, a catch
// or its end.
func (r *reader) link(o *opener, i int32) {
	at := o.index
	if o.last > 0 {
		at = o.last
	}
	r.b.instrs[at].match = i
	o.last = i
}

// leave closes a block.
func (r *reader) leave(i int32) {
	b, o := r.b, r.open[len(r.open)-1]
	r.open = r.open[:len(r.open)-1]
	r.made = r.made[:o.height]
	b.instrs[i].match = o.index
	if o.index < 0 {
		return
	}
	first := &b.instrs[o.index]
	b.instrs[i].block = first.block
	b.instrs[i].dead = first.dead
	r.link(&o, i)
	if first.dead {
		return
	}
	_, results := r.p.mod.BlockSig(first.block)
	b.instrs[i].base = int32(o.height)
	for range results {
		r.made = append(r.made, i)
	}
}

// site notes a call or a sliced operation, which are sites.
func (r *reader) site(i int32, in *wasm.Instr, st *wasm.State, pops int) {
	below := st.Stack[:len(st.Stack)-pops]
	switch {
	case in.Op == wasm.OpCall && !r.p.quick(uint32(in.A)):
		r.addSite(i, SiteCall, below, r.p.funcType(uint32(in.A)).Results)
	case isDynamicCall(in.Op):
		r.addSite(i, SiteCall, below, r.p.mod.Types[in.A].Results)
	case r.b.instrs[i].sliced:
		r.addSite(i, SiteCall, below, nil)
	default:
		r.waitSite(i, in, below)
	}
}

// addSite makes instruction i a site with the given operands below it, and
// has each of them kept in a local.
func (r *reader) addSite(i int32, kind SiteKind, operand, results []wasm.ValType) {
	b := r.b
	b.operands += len(operand)
	if b.operands > maxRecordValues {
		operand = nil // visit refuses the function
	}
	b.instrs[i].site = int32(len(b.sites))
	b.sites = append(b.sites, site{
		pos: uint32(i) + 1, kind: kind, operand: slices.Clone(operand), results: results,
	})
	for slot, typ := range operand {
		key := [2]int32{r.made[slot], int32(slot)}
		if !r.teed[key] {
			r.teed[key] = true
			b.tees = append(b.tees, tee{instr: key[0], slot: key[1], typ: typ})
		}
	}
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
	b.live[k].each(func(i int) {
		s.Live = append(s.Live, Slot{Index: uint32(i), Type: b.locals[i]})
	})
	for i, t := range x.operand {
		s.Live = append(s.Live, Slot{Operand: true, Index: uint32(i), Type: t})
	}
	for _, c := range x.caught {
		s.Live = append(s.Live, Slot{Caught: true, Index: uint32(c) + 1, Type: exception})
	}
	s.Guarded = x.guarded
	return s
}

// effect is how many operands an instruction takes and leaves. Blocks are not
// asked for; after an unconditional branch nothing is left.
func (r *reader) effect(in *wasm.Instr) (pops, pushes int) {
	m := r.p.mod
	switch in.Op {
	case wasm.OpCall:
		t := r.p.funcType(uint32(in.A))
		return len(t.Params), len(t.Results)
	case wasm.OpCallIndirect, wasm.OpCallRef:
		t := m.Types[in.A]
		return len(t.Params) + 1, len(t.Results)
	case wasm.OpBr, wasm.OpBrTable, wasm.OpReturn, wasm.OpUnreachable,
		wasm.OpReturnCall, wasm.OpReturnCallIndirect, wasm.OpReturnCallRef,
		wasm.OpThrow, wasm.OpThrowRef, wasm.OpRethrow:
		return 0, 0
	case wasm.OpNop, wasm.OpElemDrop, wasm.OpDataDrop:
		return 0, 0
	case wasm.OpTableCopy, wasm.OpTableInit, wasm.OpTableFill, wasm.OpMemoryCopy, wasm.OpMemoryFill, wasm.OpMemoryInit:
		return 3, 0
	case wasm.OpDrop, wasm.OpLocalSet, wasm.OpGlobalSet, wasm.OpBrIf, wasm.OpBrOnNonNull:
		return 1, 0
	case wasm.OpLocalGet, wasm.OpGlobalGet, wasm.OpRefNull, wasm.OpRefFunc, wasm.OpTableSize:
		return 0, 1
	case wasm.OpLocalTee, wasm.OpRefIsNull, wasm.OpRefAsNonNull, wasm.OpBrOnNull, wasm.OpTableGet:
		return 1, 1
	case wasm.OpSelect, wasm.OpSelectT:
		return 3, 1
	case wasm.OpTableSet:
		return 2, 0
	case wasm.OpTableGrow:
		return 2, 1
	}
	params, results, _ := in.Op.Sig()
	return len(params), len(results)
}

// refType is the type that a select or a reference instruction is about.
func refType(in *wasm.Instr, st *wasm.State) wasm.ValType {
	switch in.Op {
	case wasm.OpRefNull:
		return wasm.RefNull(wasm.HeapType(in.A))
	case wasm.OpRefIsNull, wasm.OpRefAsNonNull, wasm.OpBrOnNull, wasm.OpBrOnNonNull:
		return st.Stack[len(st.Stack)-1]
	case wasm.OpSelectT:
		return in.Types[0]
	case wasm.OpSelect:
		return st.Stack[len(st.Stack)-2]
	case wasm.OpCallRef, wasm.OpReturnCallRef:
		return wasm.FuncRef
	}
	return wasm.Unknown
}

// teesOf lists the values of instruction i that are kept in locals.
func (b *body) teesOf(i int32) []tee {
	if len(b.tees) == 0 {
		return nil
	}
	from := sort.Search(len(b.tees), func(k int) bool { return b.tees[k].instr >= i })
	to := from
	for to < len(b.tees) && b.tees[to].instr == i {
		to++
	}
	return b.tees[from:to]
}
