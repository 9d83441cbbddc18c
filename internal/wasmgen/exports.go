package wasmgen

import "fmt"

// Kinds of exports.
const (
	kindFunc   = 0
	kindTable  = 1
	kindMemory = 2
	kindGlobal = 3
)

// writeExports adds the functions that Execute calls, and exports the state.
func (g *gen) writeExports() {
	for n, i := range g.bodies {
		if i != g.start {
			g.wrap(fmt.Sprintf("f%d", n), i)
		}
	}
	if g.start >= 0 && g.teller() {
		g.start = g.tell(g.start)
	}
	g.addDump()
	for i, t := range g.tables {
		g.addNullProbe(i)
		if t.elem != externref && t.elem != exnref {
			g.addProbe(i)
		}
		if t.elem != exnref {
			g.exports = append(g.exports, export{fmt.Sprintf("t%d", i), kindTable, i})
		}
	}
	if g.memory {
		g.exports = append(g.exports, export{"mem", kindMemory, 0})
	}
	for i, v := range g.globals {
		if v.typ != exnref {
			g.exports = append(g.exports, export{fmt.Sprintf("g%d", i), kindGlobal, i})
		}
	}
}

// exported opens a function that is exported under name and its signature.
func (g *gen) exported(name string, sig funcType) *body {
	i := g.addFunc(sig)
	n := name + ":"
	for _, t := range sig.in {
		n += string(letters[t])
	}
	n += ":"
	for _, t := range sig.out {
		n += string(letters[t])
	}
	g.exports = append(g.exports, export{n, kindFunc, i})
	return g.newBody(i, 1<<20)
}

// close ends a function that exported opened.
func (g *gen) close(f *body) { g.funcs[f.self].code = f.seal() }

// closeThrowing ends one out of which exceptions may come.
func (g *gen) closeThrowing(f *body) {
	g.close(f)
	if g.teller() {
		g.exports[len(g.exports)-1].index = g.tell(f.self)
	}
}

// refuel fills the tank.
func (f *body) refuel() {
	f.i32Const(int32(f.g.cfg.Fuel))
	f.opU(opGlobalSet, globalFuel)
	f.pop(1)
}

// wrap exports function i behind one that fills the tank. Typed references do
// not cross to the host: parameters are made up, and of results the host sees
// whether they are null.
func (g *gen) wrap(name string, i int) {
	inner := g.funcs[i].sig
	var sig funcType
	for _, t := range inner.in {
		if !t.private() {
			sig.in = append(sig.in, t)
		}
	}
	for _, t := range inner.out {
		if t.private() {
			t = i32
		}
		sig.out = append(sig.out, t)
	}
	f := g.exported(name, sig)
	f.refuel()
	at := 0
	for _, t := range inner.in {
		if t.private() {
			f.zero(t)
			continue
		}
		f.get(at)
		at++
	}
	f.call(i)
	if !sameTypes(inner.out, sig.out) {
		f.hideTyped(inner.out)
	}
	g.closeThrowing(f)
}

// hideTyped replaces typed references among the results on the stack.
func (f *body) hideTyped(out []valType) {
	locals := make([]int, len(out))
	for i := len(out) - 1; i >= 0; i-- {
		locals[i] = f.hidden(out[i])
		f.set(locals[i])
	}
	for i, t := range out {
		f.get(locals[i])
		if t.private() {
			f.apply(opRefIsNull, 1, i32)
		}
	}
}

// addDump exports a function that logs what the host does not see whole: all
// globals and the sizes of tables.
func (g *gen) addDump() {
	f := g.exported("dump", funcType{})
	for i, v := range g.globals {
		f.opU(opGlobalGet, i)
		f.push(v.typ)
		f.log()
	}
	for i := range g.tables {
		f.opU(opTableSize, i)
		f.push(i32)
		f.log()
	}
	g.close(f)
}

// addNullProbe exports a function that tells whether an entry of a table is null.
func (g *gen) addNullProbe(table int) {
	f := g.exported(fmt.Sprintf("null%d", table), funcType{[]valType{i32}, []valType{i32}})
	f.get(0)
	f.opU(opTableGet, table)
	f.apply(opRefIsNull, 1, i32)
	g.close(f)
}

// addProbe exports a function that calls an entry of a table.
func (g *gen) addProbe(table int) {
	f := g.exported(fmt.Sprintf("probe%d", table), funcType{[]valType{i32}, []valType{i32}})
	f.refuel()
	f.get(0)
	if t := g.tables[table].elem; t.typedRef() { // wazero refuses call_indirect there
		f.opU(opTableGet, table)
		f.opU(opCallRef, int(t.target()))
	} else {
		f.opU(opCallIndirect, int(g.typ(idType)))
		f.code.u(uint64(table))
	}
	f.pop(1)
	f.push(i32)
	g.closeThrowing(f)
}
