package wasmgen

// A gen is one module in the making. Index spaces are as in the module:
// functions begin with the imports.
type gen struct {
	cfg Config
	src *source

	types     []funcType
	typeIndex map[string]uint32 // by funcType.key
	targets   []uint32          // types that references may point to; each has a function

	imports []string // names of env's functions
	funcs   []*function
	leaves  []int // functions that return a number that is theirs alone
	bodies  []int // functions that writeBodies fills in
	start   int   // -1 is none
	planned int   // functions that references may point to: those of writeExports come later

	tables  []table
	globals []global

	native   bool        // exnref is a type like others, for try_table only
	tags     [][]valType // what their exceptions carry
	tagTypes []uint32    // as written

	elems   []elem
	data    []data
	exports []export

	memory             bool
	atomics, shared    bool
	minPages, maxPages int

	producers map[valType][]*op // rows of opTable by result; 0 is without
}

// A function is an imported or defined one.
type function struct {
	typ  uint32
	sig  funcType
	code buf // with its locals; without its size
}

type table struct {
	elem     valType
	min, max int
}

type global struct {
	typ     valType
	mutable byte
	init    buf // without its end
}

type elem struct {
	flags  byte
	typ    valType
	table  int
	offset int
	items  []int // functions; -1 is null
}

type data struct {
	flags  byte
	offset buf // without its end
	bytes  []byte
}

type export struct {
	name  string
	kind  byte
	index int
}

// Globals that all modules have.
const (
	globalFuel = 0 // i32
	globalAcc  = 1 // i64; takes in what values were seen
)

// plan decides everything but the bodies.
func (g *gen) plan() {
	g.start = -1
	g.planImports()
	g.planTypes()
	g.native = g.cfg.Without&(Exceptions|ExnRefs) == 0 && g.src.chance(35)
	g.planTags()
	g.planFuncs()
	g.planMemory()
	g.planTables()
	g.planGlobals()
	g.planElems()
	g.planData()
	g.planOps()
}

// typ returns the index of a signature.
func (g *gen) typ(t funcType) uint32 {
	k := t.key()
	i, ok := g.typeIndex[k]
	if !ok {
		i = uint32(len(g.types))
		g.types = append(g.types, t)
		g.typeIndex[k] = i
	}
	return i
}

// addFunc adds a function to the index space.
func (g *gen) addFunc(t funcType) int {
	g.funcs = append(g.funcs, &function{typ: g.typ(t), sig: t})
	return len(g.funcs) - 1
}

func (g *gen) planImports() {
	for _, h := range hostFuncs {
		if h.Name == "mark" && !g.cfg.mark {
			continue
		}
		g.imports = append(g.imports, h.Name)
		g.addFunc(funcType{parseTypes(h.Params), parseTypes(h.Results)})
	}
}

// idType is the signature of leaves, and of what probes call.
var idType = funcType{nil, []valType{i32}}

// planTypes makes the types that references may point to.
func (g *gen) planTypes() {
	g.targets = []uint32{g.typ(idType)}
	t := funcType{g.plainTypes(3), g.plainTypes(2)}
	if i := g.typ(t); i != g.targets[0] {
		g.targets = append(g.targets, i)
	}
}

// plainTypes draws up to n types without references.
func (g *gen) plainTypes(n int) []valType {
	ts := make([]valType, g.src.n(n+1))
	for i := range ts {
		ts[i] = g.plainType()
	}
	return ts
}

// plainType draws a type without references.
func (g *gen) plainType() valType {
	ts := []valType{i32, i64, f32, f64, v128}
	if g.cfg.Without&SIMD != 0 {
		ts = ts[:4]
	}
	return one(g.src, ts)
}

// anyType draws a type.
func (g *gen) anyType() valType {
	if g.native && g.src.chance(8) {
		return exnref
	}
	switch g.src.pick(76, 7, 7, 5, 5) {
	case 1:
		return funcref
	case 2:
		return externref
	case 3:
		if g.cfg.Without&TypedRefs == 0 {
			return nullRefTo(one(g.src, g.targets))
		}
	case 4:
		if g.cfg.Without&TypedRefs == 0 {
			return ref(one(g.src, g.targets))
		}
	}
	return g.plainType()
}

// anyTypes draws up to n types.
func (g *gen) anyTypes(n int) []valType {
	ts := make([]valType, g.src.n(n+1))
	for i := range ts {
		ts[i] = g.anyType()
	}
	return ts
}

// planFuncs adds the leaves, a function for each target of references, and
// functions of random signatures; some share one, so that tail calls and
// tables find company.
func (g *gen) planFuncs() {
	for range 3 {
		f := g.addFunc(idType)
		g.leaves = append(g.leaves, f)
		b := buf{0}
		b.op(opI32Const)
		b.s(int64(1000 + f))
		b.op(opEnd)
		g.funcs[f].code = b
	}
	for _, t := range g.targets {
		g.bodies = append(g.bodies, g.addFunc(g.types[t]))
	}
	for range g.src.n(g.cfg.Funcs) {
		t := funcType{g.anyTypes(4), g.anyTypes(3)}
		if g.src.chance(40) {
			t = g.funcs[one(g.src, g.bodies)].sig
		} else if g.src.chance(2) { // more than registers hold
			t = funcType{append(g.anyTypes(24), g.plainTypes(8)...), g.anyTypes(16)}
		}
		g.bodies = append(g.bodies, g.addFunc(t))
	}
	if g.src.chance(25) {
		g.start = g.addFunc(funcType{})
		g.bodies = append(g.bodies, g.start)
	}
	g.planned = len(g.funcs)
}

func (g *gen) planMemory() {
	g.memory = !g.src.chance(3)
	g.minPages = 1 + g.src.n(2)
	g.maxPages = g.minPages + g.src.n(4)
	g.atomics = g.cfg.Without&Atomics == 0 && g.src.chance(30)
	g.shared = g.atomics && g.src.chance(50)
}

// Tables. The first is for indirect calls and changes little; the others are
// there to be changed.
const (
	tableCalls = iota
	tableFuncs
	tableExterns

	tableSize = 16 // of each, at first
)

func (g *gen) planTables() {
	g.tables = []table{{funcref, tableSize, 20}, {funcref, tableSize, 24}, {externref, tableSize, 24}}
	if g.cfg.Without&TypedRefs == 0 && g.src.chance(50) {
		g.tables = append(g.tables, table{nullRefTo(g.targets[0]), tableSize, 24})
	}
	if g.native {
		g.tables = append(g.tables, table{exnref, tableSize, 24})
	}
}

// planGlobals adds the two fixed globals and some of each type.
func (g *gen) planGlobals() {
	var fuel, acc buf
	fuel.op(opI32Const)
	fuel.s(int64(g.cfg.Fuel))
	acc.op(opI64Const)
	acc.s(int64(g.src.n(256)))
	g.globals = []global{{i32, 1, fuel}, {i64, 1, acc}}
	for range g.src.n(9) {
		t := g.anyType()
		mutable := byte(1)
		if g.src.chance(20) {
			mutable = 0
		}
		g.globals = append(g.globals, global{t, mutable, g.constant(t)})
	}
}

// constant makes a constant expression without its end.
func (g *gen) constant(t valType) (b buf) {
	switch {
	case t.typedRef() && (!t.nullable() || g.src.chance(50)):
		b.op(opRefFunc)
		b.u(uint64(g.funcOf(t.target())))
	case t == funcref && g.src.chance(60):
		b.op(opRefFunc)
		b.u(uint64(g.anyRefFunc()))
	case t.ref():
		b.op(opRefNull)
		b.heap(t)
	case t == i32 && g.extended():
		b.raw(g.constant(i32))
		b.op(opI32Const)
		b.s(int64(g.src.n(100)))
		b.op(one(g.src, []uint32{opI32Add, opI32Sub, 0x6c}))
	case t == i64 && g.extended():
		b.raw(g.constant(i64))
		b.op(opI64Const)
		b.s(int64(g.src.n(100)))
		b.op(one(g.src, []uint32{opI64Add, opI64Sub, opI64Mul}))
	default:
		b.number(g.src, t)
	}
	return b
}

// extended decides for arithmetic in a constant.
func (g *gen) extended() bool { return g.cfg.Without&ExtendedConst == 0 && g.src.chance(20) }

// anyRefFunc draws a function for ref.func and tables: half of them leaves,
// which the probes tell apart.
func (g *gen) anyRefFunc() int {
	if g.src.chance(50) {
		return one(g.src, g.bodies)
	}
	return one(g.src, g.leaves)
}

// funcOf draws a defined function of type t. There is one for each of g.targets.
func (g *gen) funcOf(t uint32) int {
	var fs []int
	for i := len(g.imports); i < g.planned; i++ {
		if g.funcs[i].typ == t {
			fs = append(fs, i)
		}
	}
	return one(g.src, fs)
}

// planElems fills the table for calls and adds segments of all forms.
func (g *gen) planElems() {
	calls := elem{flags: 0, typ: funcref}
	for range tableSize - 2 {
		calls.items = append(calls.items, g.anyRefFunc())
	}
	g.elems = []elem{calls}
	for range 1 + g.src.n(5) {
		g.elems = append(g.elems, g.anyElem())
	}
	all := elem{flags: 3, typ: funcref} // declares what ref.func names
	for i := len(g.imports); i < len(g.funcs); i++ {
		all.items = append(all.items, i)
	}
	g.elems = append(g.elems, all)
}

// anyElem draws a segment that fits its table.
func (g *gen) anyElem() elem {
	e := elem{flags: one(g.src, []byte{1, 5, 0, 2, 4, 6, 7, 5}), typ: funcref}
	e.table = tableFuncs
	switch {
	case e.flags&3 == 0: // names no table
		e.table = tableCalls
	case e.flags&4 != 0:
		e.table = tableFuncs + g.src.n(len(g.tables)-tableFuncs)
		if g.tables[e.table].elem == exnref { // wazero 1.12 refuses such segments
			e.table = tableFuncs
		}
		e.typ = g.tables[e.table].elem
	}
	for range g.src.n(6) {
		e.items = append(e.items, g.anyItem(e))
	}
	e.offset = g.src.n(tableSize - len(e.items))
	if e.flags&3 == 0 {
		e.offset = tableSize - 2 // above what planElems put there
		e.items = e.items[:min(2, len(e.items))]
	}
	return e
}

// anyItem draws an item of e.
func (g *gen) anyItem(e elem) int {
	switch {
	case e.typ == externref || e.flags&4 != 0 && g.src.chance(30):
		return -1
	case e.typ.typedRef():
		return g.funcOf(e.typ.target())
	}
	return g.anyRefFunc()
}

// planData adds data segments; the passive ones come first.
func (g *gen) planData() {
	if !g.memory {
		return
	}
	for i := range 2 + g.src.n(3) {
		d := data{flags: 1, bytes: make([]byte, g.src.n(40))}
		for j := range d.bytes {
			d.bytes[j] = byte(g.src.n(256))
		}
		if i >= 2 {
			d.flags = one(g.src, []byte{0, 2})
			d.offset.op(opI32Const)
			d.offset.s(int64(g.src.n(0x2000)))
		}
		g.data = append(g.data, d)
	}
}

// planOps sorts the rows of opTable that this module may use by their result.
func (g *gen) planOps() {
	which := 0
	if g.memory {
		which |= 1
	}
	if g.cfg.Without&SIMD == 0 {
		which |= 2
	}
	if g.memory && g.atomics {
		which |= 4
	}
	g.producers = producers[which]
}

// producers are the rows of opTable by result: with memory (1), with
// vectors (2), with atomics (4).
var producers = func() (p [8]map[valType][]*op) {
	for which := range p {
		m := map[valType][]*op{}
		for _, o := range opTable {
			mem := o.imm == immMem || o.imm == immMemLane
			if mem && which&1 == 0 || o.code>>16 == simd>>16 && which&2 == 0 || o.imm == immAtomic && which&4 == 0 {
				continue
			}
			m[o.out] = append(m[o.out], o)
		}
		p[which] = m
	}
	return p
}()
