package wasmgen

// teller reports whether exports tell the host of exceptions that leave them.
func (g *gen) teller() bool { return g.exceptions() && g.cfg.Encoding == Reference }

// tell adds a function that calls function i, tells the host of an exception
// that comes out of it, and throws it again.
func (g *gen) tell(i int) int {
	sig := g.funcs[i].sig
	at := g.addFunc(sig)
	f := g.newBody(at, 1<<20)
	for tag := len(g.tags) - 1; tag >= 0; tag-- {
		c := g.carried(g.tags[tag])
		f.openHidden(opBlock, nil, append(c[:len(c):len(c)], exnref), sig.out)
	}
	f.op(opTryTable)
	f.hiddenType(nil, sig.out)
	f.code.u(uint64(len(g.tags)))
	for tag := range g.tags {
		f.code.byte(catchTagRef)
		f.code.u(uint64(tag))
		f.code.u(uint64(tag))
	}
	for p := range sig.in {
		f.get(p)
	}
	f.call(i)
	f.op(opEnd)
	f.op(opReturn)
	for tag := range g.tags {
		f.op(opEnd)
		f.stack, f.blocks = f.stack[:0], f.blocks[:len(f.blocks)-1]
		f.push(g.carried(g.tags[tag])...)
		f.push(exnref)
		f.tellOne(tag)
	}
	g.close(f)
	return at
}

// tellOne tells of the exception on the stack, its values beneath it.
func (f *body) tellOne(tag int) {
	exn := f.hidden(exnref)
	f.set(exn)
	ts := f.g.tags[tag]
	f.pop(len(f.g.carried(ts)))
	f.join(ts)
	locals := f.park(ts)
	f.i32Const(int32(tag))
	f.call(hostIndex("uncaught"))
	for i, t := range ts {
		f.fetch(locals[i], t)
		f.log()
	}
	f.get(exn)
	f.op(opThrowRef)
	f.pop(1)
}
