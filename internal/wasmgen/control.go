package wasmgen

// maxNesting is how deep blocks lie in each other.
const maxNesting = 12

// construct writes a block, loop or if that takes what lies on the stack, or
// values of its own, and leaves its results there.
func (f *body) construct(d int) {
	var in []valType
	switch f.src.pick(50, 35, 15) {
	case 1:
		n := min(f.free(), f.src.n(4))
		in = append(in, f.stack[len(f.stack)-n:]...)
	case 2:
		in = f.g.anyTypes(3)
	}
	out := f.g.anyTypes(f.src.pick(50, 30, 15, 5))
	if f.src.chance(20) {
		out = in
	}
	if len(f.visible()) > maxNesting {
		f.hold(d - 1)
		return
	}
	f.operands(in, d-1)
	f.nested(in, out, d)
}

// nested writes a block, loop or if; its parameters are on the stack.
func (f *body) nested(in, out []valType, d int) {
	if f.g.exceptions() && f.src.chance(35) {
		f.tryCatch(in, out, d)
		return
	}
	switch f.src.pick(35, 30, 35) {
	case 0:
		f.open(opBlock, in, out)
		f.inner(d)
		f.finish(d)
		f.end()
	case 1:
		f.loop(in, out, d)
	case 2:
		f.branches(in, out, d)
	}
}

// inner writes the statements of a block.
func (f *body) inner(d int) {
	f.statements(f.src.n(6), d-1)
}

// branches writes an if; without an else where its type allows, sometimes.
func (f *body) branches(in, out []valType, d int) {
	then, other := f.secret(d), f.secret(d)
	f.value(i32, d-1)
	f.pop(1)
	f.open(opIf, in, out)
	f.reveal(then)
	f.inner(d)
	f.finish(d)
	if !sameTypes(in, out) || f.src.chance(60) {
		f.otherwise()
		f.reveal(other)
		f.inner(d)
		f.finish(d)
	}
	f.end()
}

// loop writes a loop. It goes round a few times by a counter of its own, or
// as often as a random condition and the fuel allow.
func (f *body) loop(in, out []valType, d int) {
	counter := -1
	if f.src.chance(75) {
		counter = f.hidden(i32)
		f.i32Const(int32(2 + f.src.n(7)))
		f.set(counter)
	}
	f.open(opLoop, in, out)
	f.burn(1)
	f.inner(d)
	if counter >= 0 || f.src.chance(40) {
		f.operands(in, d-1)
		f.again(counter, d-1)
		f.opU(opBrIf, 0)
		f.pop(1)
		f.pop(len(in))
		f.push(in...)
	}
	f.finish(d)
	f.end()
}

// again leaves the condition to go round once more.
func (f *body) again(counter, d int) {
	if counter < 0 {
		f.value(i32, d)
		return
	}
	f.get(counter)
	f.i32Const(1)
	f.apply(opI32Sub, 2, i32)
	f.tee(counter)
	f.i32Const(0)
	f.apply(opI32GtS, 2, i32)
}

// finish brings the stack to what the end of the innermost block wants.
func (f *body) finish(d int) {
	b := f.cur()
	d = min(d, 2)
	for f.height() > 0 {
		if sameTypes(f.stack[b.base:], b.out) && f.src.chance(80) {
			return
		}
		f.sinkBeneath()
	}
	f.values(b.out, d)
}

// sinkBeneath takes the value on top at the end of a block, where all that is
// left belongs to the block.
func (f *body) sinkBeneath() {
	keep := f.keep
	f.keep = 0
	f.sink()
	f.keep = keep
}

// anyLabel draws a branch's target. Going back for ever only burns fuel, so
// loops are seldom.
func (f *body) anyLabel() int {
	ls := f.visible()
	l := one(f.src, ls)
	if f.blockAt(l).op == opLoop && f.src.chance(70) {
		l = one(f.src, ls)
	}
	return l
}

// blockAt is the block that a branch to label l leaves.
func (f *body) blockAt(l int) *block { return &f.blocks[len(f.blocks)-1-l] }

// branchIf writes a conditional branch; what it carries stays on the stack.
func (f *body) branchIf(d int) {
	if f.g.cfg.Without&TypedRefs == 0 && f.src.chance(25) {
		f.branchOnRef(d)
		return
	}
	l := f.anyLabel()
	ts := f.blockAt(l).label()
	f.operands(ts, d)
	f.value(i32, d)
	if f.blockAt(l).op == opLoop && f.src.chance(80) {
		f.mask(4)
	}
	f.opU(opBrIf, l)
	f.pop(1 + len(ts))
	f.push(ts...)
}

// branchOnRef branches if a reference is null, or if it is not.
func (f *body) branchOnRef(d int) {
	t := nullRefTo(one(f.src, f.g.targets))
	if f.src.chance(50) {
		l := f.anyLabel()
		ts := f.blockAt(l).label()
		f.operands(ts, d)
		f.value(t, d)
		f.opU(opBrOnNull, l)
		f.pop(1 + len(ts))
		f.push(ts...)
		f.push(ref(t.target()))
		return
	}
	// br_on_non_null carries the reference, so its label has to want one.
	carried := ref(t.target())
	f.open(opBlock, nil, []valType{carried})
	f.value(t, d)
	f.opU(opBrOnNonNull, 0)
	f.pop(1)
	f.inner(min(d, 1))
	f.finish(min(d, 1))
	f.end()
}

// leave writes a branch after which code is dead. It spares the outermost
// blocks, of whose rest nothing would run.
func (f *body) leave(d int) {
	if len(f.visible()) < 3 && !f.src.chance(10) {
		f.hold(d)
		return
	}
	if f.g.exceptions() && f.src.chance(f.throwing()) {
		f.throw(d)
		return
	}
	switch f.src.pick(30, 45, 12, 15, 1) {
	case 0:
		l := f.anyLabel()
		f.operands(f.blockAt(l).label(), d)
		f.opU(opBr, l)
	case 1:
		f.branchTable(d)
	case 2:
		f.operands(f.sig.out, d)
		f.op(opReturn)
	case 3:
		if f.tailCall(d) {
			return
		}
		f.operands(f.sig.out, d)
		f.op(opReturn)
	case 4:
		f.op(opUnreachable)
	}
	f.diverge()
}

// branchTable writes a br_table over labels that carry the same.
func (f *body) branchTable(d int) {
	ts := f.blockAt(f.anyLabel()).label()
	var labels []int
	for _, l := range f.visible() {
		if sameTypes(f.blockAt(l).label(), ts) {
			labels = append(labels, l)
		}
	}
	f.operands(ts, d)
	f.value(i32, d)
	if f.src.chance(70) {
		f.mask(7)
	}
	n := f.src.n(8)
	f.opU(opBrTable, n)
	for range n + 1 {
		f.code.u(uint64(one(f.src, labels)))
	}
}

// cases writes a br_table to blocks whose ends read locals of their own, so
// that each of its edges keeps something alive.
func (f *body) cases(d int) {
	n := 2 + f.src.n(4)
	f.open(opBlock, nil, nil)
	out := len(f.blocks) - 1
	kept := make([]int, n)
	for k := range n {
		kept[k] = f.secret(d)
		f.open(opBlock, nil, nil)
	}
	first := len(f.blocks) - 1
	if f.src.chance(60) {
		f.anyCall(min(d, 1))
	}
	f.value(i32, min(d, 1))
	f.mask(7)
	f.opU(opBrTable, n-1)
	for k := range n {
		f.code.u(uint64(f.depth(first - k)))
	}
	f.diverge()
	for k := range n {
		f.end()
		f.reveal(kept[k])
		if f.src.chance(70) {
			f.opU(opBr, f.depth(out))
			f.diverge()
		}
	}
	f.finish(0)
	f.end()
}
