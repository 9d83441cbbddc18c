package wasmgen

// call writes a direct call; its arguments are on the stack.
func (f *body) call(i int) {
	f.opU(opCall, i)
	f.called(f.g.funcs[i].sig)
}

// called does to the stack what a call does.
func (f *body) called(sig funcType) {
	f.pop(len(sig.in))
	f.push(sig.out...)
}

// callee draws a defined function, mostly one that comes later, so that most
// of the calls are no recursion.
func (f *body) callee() int {
	fs := append(f.g.leaves[:1:1], f.g.bodies...)
	i := one(f.src, fs)
	if i <= f.self && f.src.chance(60) {
		i = one(f.src, fs)
	}
	return i
}

// anyCall calls something and leaves its results.
func (f *body) anyCall(d int) {
	if f.src.chance(25) {
		f.hostCall(d)
		return
	}
	i := f.callee()
	f.callBy(f.src.pick(60, 25, 15), i, d)
}

// callBy calls function i: directly, through the table or a reference.
func (f *body) callBy(how, i, d int) {
	sig := f.g.funcs[i].sig
	switch how {
	case 1:
		if slot := f.slotOf(i); slot >= 0 {
			f.operands(sig.in, d)
			f.index(slot, d)
			f.indirect(opCallIndirect, i)
			f.called(sig)
			return
		}
	case 2:
		if f.g.cfg.Without&TypedRefs == 0 {
			f.operands(sig.in, d)
			f.funcValue(i, d)
			f.opU(opCallRef, int(f.g.funcs[i].typ))
			f.pop(1)
			f.called(sig)
			return
		}
	}
	f.operands(sig.in, d)
	f.call(i)
}

// slotOf returns where the table for calls held function i at first; -1 is
// nowhere.
func (f *body) slotOf(i int) int {
	for slot, j := range f.g.elems[0].items {
		if i == j {
			return slot
		}
	}
	return -1
}

// index leaves the index of a table entry, now and then another than slot.
func (f *body) index(slot, d int) {
	switch f.src.pick(70, 26, 2, 2) {
	case 0:
		f.i32Const(int32(slot))
	case 1: // computed, and the same
		f.value(i32, d)
		f.mask(0)
		f.i32Const(int32(slot))
		f.apply(opI32Or, 2, i32)
	case 2:
		f.value(i32, d)
		f.mask(tableSize - 1)
	case 3:
		f.value(i32, d)
	}
}

// indirect writes a call through the table, with the type of function i.
func (f *body) indirect(code uint32, i int) {
	f.opU(code, int(f.g.funcs[i].typ))
	f.code.u(tableCalls)
	f.pop(1)
}

// funcValue leaves a reference to a function of the type of i.
func (f *body) funcValue(i, d int) {
	t := f.g.funcs[i].typ
	for _, target := range f.g.targets {
		if target == t && f.src.chance(50) {
			f.value(ref(t), d)
			return
		}
	}
	f.opU(opRefFunc, i)
	f.push(ref(t))
}

// callFor leaves the one result of a call.
func (f *body) callFor(t valType, d int) {
	var fs []int
	for i, fn := range f.g.funcs {
		if len(fn.sig.out) == 1 && fn.sig.out[0] == t && i != f.g.start {
			fs = append(fs, i)
		}
	}
	if len(fs) == 0 {
		f.compute(t, d)
		return
	}
	i := one(f.src, fs)
	if i < len(f.g.imports) {
		f.values(f.g.funcs[i].sig.in, d)
		f.call(i)
		return
	}
	f.callBy(f.src.pick(60, 25, 15), i, d)
}

// hostCall calls a function of the host.
func (f *body) hostCall(d int) {
	i := f.src.n(len(f.g.imports))
	if name := f.g.imports[i]; name == "mark" || name == "uncaught" {
		i = hostIndex("log")
	}
	f.values(f.g.funcs[i].sig.in, d)
	f.call(i)
}

// tailCall leaves the function by calling another with the same results. It
// reports whether there is one.
func (f *body) tailCall(d int) bool {
	var fs []int
	for _, i := range append(f.g.leaves[:1:1], f.g.bodies...) {
		if sameTypes(f.g.funcs[i].sig.out, f.sig.out) {
			fs = append(fs, i)
		}
	}
	if len(fs) == 0 || f.g.cfg.Without&TailCalls != 0 {
		return false
	}
	i := one(f.src, fs)
	sig := f.g.funcs[i].sig
	f.operands(sig.in, d)
	how, slot := f.src.pick(50, 30, 20), f.slotOf(i)
	switch {
	case how == 1 && slot >= 0:
		f.index(slot, d)
		f.indirect(opReturnCallIndirect, i)
	case how == 2 && f.g.cfg.Without&TypedRefs == 0:
		f.funcValue(i, d)
		f.opU(opReturnCallRef, int(f.g.funcs[i].typ))
	default:
		f.opU(opReturnCall, i)
	}
	f.diverge()
	return true
}
