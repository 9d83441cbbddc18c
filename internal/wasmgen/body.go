package wasmgen

// A body is one function body in the making. It keeps the operand stack and
// the open blocks as a validator would.
type body struct {
	g      *gen
	src    *source
	self   int      // its function
	sig    funcType // of it
	code   buf
	locals []valType         // parameters first
	temps  map[valType]int   // locals for a moment's use, by type
	byType map[valType][]int // locals that random code uses
	stack  []valType
	blocks []block
	labels []int  // of visible
	keep   int    // operands up to here belong to an instruction in the making
	budget int    // instructions left; what is open is still closed without any
	last   uint32 // the instruction written last
	legacy bool   // exceptions are written in the legacy encoding
	padded bool   // tries may delegate to the caller
	trap   bool   // out of fuel, trap instead of return
}

// A block is an open block; the first is the body itself.
type block struct {
	op      uint32
	in, out []valType
	base    int    // height of the stack beneath
	dead    bool   // after a branch: the stack holds what is asked of it
	hidden  bool   // random branches do not lead there
	guard   *guard // of its block
	padFor  int    // the try's block, plus one, that takes delegated exceptions here

	delegates bool // a try of the legacy encoding that hands all on
}

// label returns the types that a branch to b takes.
func (b *block) label() []valType {
	if b.op == opLoop {
		return b.in
	}
	return b.out
}

// writeBodies fills in the planned functions.
func (g *gen) writeBodies() {
	for _, i := range g.bodies {
		g.funcs[i].code = g.writeBody(i)
	}
}

// writeBody makes one function's code.
func (g *gen) writeBody(i int) buf {
	size := g.cfg.Size/4 + g.src.n(g.cfg.Size*3/2+1)
	if g.src.chance(2) {
		size = g.cfg.Size * 40
	}
	f := g.newBody(i, size)
	for range g.src.n(5) {
		f.local(g.localType())
	}
	if g.src.chance(2) {
		for range g.src.n(200) {
			f.local(g.localType())
		}
	}
	f.trap = g.src.chance(10)
	f.padded = g.exceptions() && g.src.chance(15)
	if f.padded {
		f.openPad()
	}
	fuel := 1 + len(f.locals)/8
	if g.exceptions() { // wazero's interpreter takes the square of the depth to throw
		fuel += 3
	}
	f.burn(fuel)
	switch n := g.src.n(100); { // there is something to stop in, and to catch
	case n > 65, i == g.bodies[0]: // at least once a module
		in := g.anyTypes(3)
		f.operands(in, 1)
		f.loop(in, nil, 4)
	case n > 25 && g.exceptions():
		f.tryCatch(nil, nil, 4)
	}
	f.statements(1<<30, 4)
	f.finish(0)
	if f.padded {
		f.closePad()
	}
	return f.seal()
}

// localType draws the type of a local: it has to have a default.
func (g *gen) localType() valType {
	if t := g.anyType(); t.nullable() {
		return t
	}
	return i32
}

// newBody opens the body of function i.
func (g *gen) newBody(i, size int) *body {
	sig := g.funcs[i].sig
	f := &body{
		g: g, src: g.src, self: i, sig: sig, budget: size,
		temps: map[valType]int{}, byType: map[valType][]int{},
		blocks: []block{{op: opBlock, out: sig.out}},
	}
	f.legacy = !g.native && (g.cfg.Encoding == Legacy || g.cfg.Encoding == Mixed && i%2 == 0)
	for _, t := range sig.in {
		f.local(t)
	}
	return f
}

// seal closes the body and puts its locals in front.
func (f *body) seal() buf {
	f.op(opEnd)
	var b buf
	var runs []int // lengths of runs of one type
	declared := f.locals[len(f.sig.in):]
	for i, t := range declared {
		if i > 0 && t == declared[i-1] {
			runs[len(runs)-1]++
		} else {
			runs = append(runs, 1)
		}
	}
	b.u(uint64(len(runs)))
	at := 0
	for _, n := range runs {
		b.u(uint64(n))
		b.typ(declared[at])
		at += n
	}
	b.raw(f.code)
	return b
}

// local adds a local for random code to use.
func (f *body) local(t valType) int {
	i := f.hidden(t)
	f.byType[t] = append(f.byType[t], i)
	return i
}

// hidden adds a local that random code does not write.
func (f *body) hidden(t valType) int {
	f.locals = append(f.locals, t)
	return len(f.locals) - 1
}

// temp returns the local for a moment's use of type t.
func (f *body) temp(t valType) int {
	i, ok := f.temps[t]
	if !ok {
		i = f.hidden(t)
		f.temps[t] = i
	}
	return i
}

// op writes an instruction's code.
func (f *body) op(code uint32) {
	f.budget--
	f.last = code
	if code != opCatch && code != opCatchAll {
		f.mark(code)
	}
	if f.g.cfg.seen != nil {
		f.g.cfg.seen[code]++
	}
	f.code.op(code)
}

// mark tells the host that an instruction runs, where Config.mark is set.
func (f *body) mark(code uint32) {
	if f.g.cfg.mark {
		f.code.op(opI32Const)
		f.code.s(int64(code))
		f.code.op(opCall)
		f.code.u(markIndex)
	}
}

// opU writes an instruction with one index.
func (f *body) opU(code uint32, x int) {
	f.op(code)
	f.code.u(uint64(x))
}

// i32Const pushes a number.
func (f *body) i32Const(x int32) {
	f.op(opI32Const)
	f.code.s(int64(x))
	f.push(i32)
}

// i64Const pushes a number.
func (f *body) i64Const(x int64) {
	f.op(opI64Const)
	f.code.s(x)
	f.push(i64)
}

// cur is the innermost open block.
func (f *body) cur() *block { return &f.blocks[len(f.blocks)-1] }

// depth is the label of block i.
func (f *body) depth(i int) int { return len(f.blocks) - 1 - i }

// visible lists the labels that random branches may take.
func (f *body) visible() []int {
	f.labels = f.labels[:0]
	for i := len(f.blocks) - 1; i >= 0; i-- {
		if !f.blocks[i].hidden {
			f.labels = append(f.labels, f.depth(i))
		}
	}
	return f.labels
}

// height is how many operands of the innermost block are on the stack.
func (f *body) height() int { return len(f.stack) - f.cur().base }

// free is how many operands a statement may take.
func (f *body) free() int { return max(0, len(f.stack)-max(f.keep, f.cur().base)) }

func (f *body) push(ts ...valType) { f.stack = append(f.stack, ts...) }

// pop drops n operands, or what is there of them in dead code.
func (f *body) pop(n int) {
	if h := f.height(); h < n {
		if !f.cur().dead {
			panic("wasmgen: invariant: operand stack underflow")
		}
		n = h
	}
	f.stack = f.stack[:len(f.stack)-n]
}

// get and set read and write a local.
func (f *body) get(i int) {
	f.opU(opLocalGet, i)
	f.push(f.locals[i])
}

func (f *body) set(i int) {
	f.opU(opLocalSet, i)
	f.pop(1)
}

func (f *body) tee(i int) {
	f.opU(opLocalTee, i)
	f.pop(1)
	f.push(f.locals[i])
}

// apply writes an instruction without immediates that takes n operands and
// leaves out.
func (f *body) apply(code uint32, n int, out ...valType) {
	f.op(code)
	f.pop(n)
	f.push(out...)
}

// open begins a block whose parameters are on the stack.
func (f *body) open(code uint32, in, out []valType) {
	f.op(code)
	f.blockType(in, out)
	f.pop(len(in))
	f.blocks = append(f.blocks, block{op: code, in: in, out: out, base: len(f.stack)})
	f.push(in...)
}

// blockType writes a block's type: the short form, or now and then the index
// that would not be needed.
func (f *body) blockType(in, out []valType) {
	switch {
	case len(in) == 0 && len(out) == 0 && !f.src.chance(10):
		f.code.byte(0x40)
	case len(in) == 0 && len(out) == 1 && !f.src.chance(10):
		f.code.typ(out[0])
	default:
		f.code.s(int64(f.g.typ(funcType{in, out})))
	}
}

// otherwise begins the else of the innermost block.
func (f *body) otherwise() {
	f.op(opElse)
	b := f.cur()
	f.stack = append(f.stack[:b.base], b.in...)
	b.op, b.dead = opElse, false
}

// end closes the innermost block, whose results are on the stack.
func (f *body) end() {
	f.op(opEnd)
	b := *f.cur()
	f.blocks = f.blocks[:len(f.blocks)-1]
	f.stack = append(f.stack[:b.base], b.out...)
}

// diverge makes what follows dead.
func (f *body) diverge() {
	b := f.cur()
	b.dead = true
	f.stack = f.stack[:b.base]
}

// burn takes fuel and leaves the function when it is out.
func (f *body) burn(n int) {
	f.opU(opGlobalGet, globalFuel)
	f.push(i32)
	f.i32Const(int32(n))
	f.apply(opI32Sub, 2, i32)
	f.opU(opGlobalSet, globalFuel)
	f.pop(1)
	f.opU(opGlobalGet, globalFuel)
	f.push(i32)
	f.i32Const(0)
	f.apply(opI32LtS, 2, i32)
	f.pop(1)
	f.open(opIf, nil, nil)
	if f.trap {
		f.op(opUnreachable)
	} else {
		for _, t := range f.sig.out {
			f.zero(t)
		}
		f.op(opReturn)
	}
	f.diverge()
	f.end()
}

// zero pushes the simplest value of a type.
func (f *body) zero(t valType) {
	switch {
	case !t.nullable():
		f.opU(opRefFunc, f.g.funcOf(t.target()))
	case t.ref():
		f.op(opRefNull)
		f.code.heap(t)
	default:
		f.op(zeroOps[t].code)
		f.code.raw(make([]byte, zeroOps[t].size))
	}
	f.push(t)
}

// zeroOps are the constants of each type and the bytes of a zero.
var zeroOps = map[valType]struct {
	code uint32
	size int
}{
	i32: {opI32Const, 1}, i64: {opI64Const, 1}, f32: {opF32Const, 4},
	f64: {opF64Const, 8}, v128: {opV128Const, 16},
}

// zero writes the constant zero of a type without references.
func (b *buf) zero(t valType) {
	b.op(zeroOps[t].code)
	b.raw(make([]byte, zeroOps[t].size))
}
