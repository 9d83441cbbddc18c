package wasmgen

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
)

// header begins a module.
const header = "\x00asm\x01\x00\x00\x00"

// A buf is bytes of the binary format in the making.
type buf []byte

func (b *buf) byte(x byte)  { *b = append(*b, x) }
func (b *buf) raw(x []byte) { *b = append(*b, x...) }

// u writes an unsigned LEB128.
func (b *buf) u(x uint64) {
	for x >= 0x80 {
		*b = append(*b, byte(x)|0x80)
		x >>= 7
	}
	*b = append(*b, byte(x))
}

// s writes a signed LEB128.
func (b *buf) s(x int64) {
	for x < -64 || x > 63 {
		*b = append(*b, byte(x)|0x80)
		x >>= 7
	}
	*b = append(*b, byte(x)&0x7f)
}

// le writes the low n bytes of x, the lowest first.
func (b *buf) le(x uint64, n int) {
	for range n {
		*b = append(*b, byte(x))
		x >>= 8
	}
}

// name writes a string with its length.
func (b *buf) name(s string) {
	b.u(uint64(len(s)))
	*b = append(*b, s...)
}

// typ writes a value type.
func (b *buf) typ(t valType) {
	b.byte(byte(t))
	if t.typedRef() {
		b.s(int64(t.target()))
	}
}

// heap writes the heap type of a nullable reference, as ref.null wants it.
func (b *buf) heap(t valType) {
	if t.typedRef() {
		b.s(int64(t.target()))
		return
	}
	b.byte(byte(t))
}

func (b *buf) types(ts []valType) {
	b.u(uint64(len(ts)))
	for _, t := range ts {
		b.typ(t)
	}
}

// op writes an instruction's code.
func (b *buf) op(code uint32) {
	if code < 1<<16 {
		b.byte(byte(code))
		return
	}
	b.byte(byte(code >> 16))
	b.u(uint64(code & 0xffff))
}

// section writes a section unless its vector is empty.
func (b *buf) section(id byte, n int, body buf) {
	if n == 0 {
		return
	}
	var count buf
	count.u(uint64(n))
	b.byte(id)
	b.u(uint64(len(count) + len(body)))
	b.raw(count)
	b.raw(body)
}

// encode writes the planned module.
func (g *gen) encode() []byte {
	out := buf(header)
	out.section(secType, len(g.types), g.encodeTypes())
	out.section(secImport, len(g.imports), g.encodeImports())
	var fns, code, tables buf
	for _, f := range g.funcs[len(g.imports):] {
		fns.u(uint64(f.typ))
		code.u(uint64(len(f.code)))
		code.raw(f.code)
	}
	n := len(g.funcs) - len(g.imports)
	out.section(secFunc, n, fns)
	for _, t := range g.tables {
		tables.typ(t.elem)
		tables.byte(1)
		tables.u(uint64(t.min))
		tables.u(uint64(t.max))
	}
	out.section(secTable, len(g.tables), tables)
	if g.memory {
		flags := byte(1)
		if g.shared {
			flags = 3
		}
		out.section(secMemory, 1, buf{flags, byte(g.minPages), byte(g.maxPages)})
	}
	var tags buf
	for _, t := range g.tagTypes {
		tags.byte(0)
		tags.u(uint64(t))
	}
	out.section(secTag, len(g.tagTypes), tags)
	out.section(secGlobal, len(g.globals), g.encodeGlobals())
	out.section(secExport, len(g.exports), g.encodeExports())
	if g.start >= 0 {
		var b buf
		b.u(uint64(g.start))
		out.byte(secStart)
		out.u(uint64(len(b)))
		out.raw(b)
	}
	out.section(secElem, len(g.elems), g.encodeElems())
	if len(g.data) > 0 {
		out.raw([]byte{secDataCount, 1, byte(len(g.data))})
	}
	out.section(secCode, n, code)
	out.section(secData, len(g.data), g.encodeData())
	g.encodeCustoms(&out)
	return out
}

func (g *gen) encodeTypes() (b buf) {
	for _, t := range g.types {
		b.byte(0x60)
		b.types(t.in)
		b.types(t.out)
	}
	return b
}

func (g *gen) encodeImports() (b buf) {
	for i, name := range g.imports {
		b.name("env")
		b.name(name)
		b.byte(0)
		b.u(uint64(g.funcs[i].typ))
	}
	return b
}

func (g *gen) encodeGlobals() (b buf) {
	for _, v := range g.globals {
		b.typ(v.typ)
		b.byte(v.mutable)
		b.raw(v.init)
		b.byte(opEnd)
	}
	return b
}

func (g *gen) encodeExports() (b buf) {
	for _, e := range g.exports {
		b.name(e.name)
		b.byte(e.kind)
		b.u(uint64(e.index))
	}
	return b
}

// encodeElems writes the element segments, each in the form of its flags.
func (g *gen) encodeElems() (b buf) {
	for _, e := range g.elems {
		b.u(uint64(e.flags))
		if e.flags&1 == 0 { // active
			if e.flags&2 != 0 {
				b.u(uint64(e.table))
			}
			b.op(opI32Const)
			b.s(int64(e.offset))
			b.op(opEnd)
		}
		if e.flags&3 != 0 {
			if e.flags&4 != 0 {
				b.typ(e.typ)
			} else {
				b.byte(0)
			}
		}
		b.u(uint64(len(e.items)))
		for _, f := range e.items {
			g.encodeItem(&b, e, f)
		}
	}
	return b
}

// encodeItem writes one item of e: a function, or null with f < 0.
func (g *gen) encodeItem(b *buf, e elem, f int) {
	switch {
	case e.flags&4 == 0:
		b.u(uint64(f))
		return
	case f < 0:
		b.op(opRefNull)
		b.heap(e.typ)
	default:
		b.op(opRefFunc)
		b.u(uint64(f))
	}
	b.op(opEnd)
}

func (g *gen) encodeData() (b buf) {
	for _, d := range g.data {
		b.u(uint64(d.flags))
		if d.flags == 2 {
			b.u(0)
		}
		if d.flags != 1 {
			b.raw(d.offset)
			b.op(opEnd)
		}
		b.name(string(d.bytes))
	}
	return b
}

// encodeCustoms adds a name section, sometimes.
func (g *gen) encodeCustoms(out *buf) {
	if !g.src.chance(30) {
		return
	}
	var fns buf
	fns.u(uint64(len(g.funcs)))
	for i := range g.funcs {
		fns.u(uint64(i))
		fns.name(string([]byte{'n', byte('a' + i%26)}))
	}
	var b buf
	b.name("name")
	b.byte(1)
	b.u(uint64(len(fns)))
	b.raw(fns)
	out.byte(secCustom)
	out.u(uint64(len(b)))
	out.raw(b)
}
