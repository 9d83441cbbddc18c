package wasmgen

// bulk writes an instruction on a range of memory or a table, or on an entry.
func (f *body) bulk(d int) {
	if f.g.memory && f.src.chance(45) {
		f.bulkMemory(d)
		return
	}
	f.bulkTable(d)
}

// bulkMemory writes memory.fill, copy or init, or data.drop.
func (f *body) bulkMemory(d int) {
	if f.g.minPages > 1 && f.src.chance(25) {
		f.bigRange(d)
		return
	}
	switch f.src.pick(35, 35, 22, 8) {
	case 0:
		f.address(d)
		f.value(i32, d)
		f.length(d)
		f.opU(opMemoryFill, 0)
	case 1:
		f.address(d)
		f.address(d)
		f.length(d)
		f.op(opMemoryCopy)
		f.code.raw([]byte{0, 0})
	case 2:
		f.address(d)
		f.short(d, 15)
		f.short(d, 7)
		f.opU(opMemoryInit, f.src.n(2))
		f.code.byte(0)
	case 3: // mostly the segment that few others read
		i := 1
		if f.src.chance(20) {
			i = f.src.n(len(f.g.data))
		}
		f.opU(opDataDrop, i)
		return
	}
	f.pop(3)
}

// bigRange writes a memory.fill or copy of more than a page, which the pass
// stops in the middle of.
func (f *body) bigRange(d int) {
	f.value(i32, d)
	f.mask(0xff)
	f.value(i32, d)
	f.mask(0xff)
	f.value(i32, d)
	f.mask(0x3fff)
	f.i32Const(0x10000)
	f.apply(opI32Or, 2, i32)
	if f.src.chance(50) {
		f.opU(opMemoryFill, 0)
	} else {
		f.op(opMemoryCopy)
		f.code.raw([]byte{0, 0})
	}
	f.pop(3)
}

// length leaves a length in bytes: short, up to half a page, or anything.
func (f *body) length(d int) {
	f.value(i32, d)
	switch f.src.pick(70, 29, 1) {
	case 0:
		f.mask(0xff)
	case 1:
		f.mask(0x7fff)
	}
}

// short leaves a number up to m, seldom a larger one.
func (f *body) short(d int, m int32) {
	f.value(i32, d)
	if f.src.chance(98) {
		f.mask(m)
	}
}

// anyTable draws a table to change: seldom the one for calls.
func (f *body) anyTable() int {
	if f.src.chance(5) {
		return tableCalls
	}
	return tableFuncs + f.src.n(len(f.g.tables)-tableFuncs)
}

// bulkTable writes an instruction on a table.
func (f *body) bulkTable(d int) {
	i := f.anyTable()
	t := f.g.tables[i].elem
	switch f.src.pick(35, 18, 18, 15, 6, 8) {
	case 0:
		f.short(d, tableSize-1)
		f.value(t, d)
		f.opU(opTableSet, i)
		f.pop(2)
	case 1:
		f.short(d, 7)
		f.value(t, d)
		f.short(d, 7)
		f.opU(opTableFill, i)
		f.pop(3)
	case 2:
		f.copyTable(i, t, d)
	case 3:
		f.initTable(i, t, d)
	case 4: // never the declarative one: it is dropped from the start
		f.opU(opElemDrop, 1+f.src.n(len(f.g.elems)-1))
	case 5:
		f.growTable(d)
		f.sink()
	}
}

// copyTable writes a table.copy from a table of the same type.
func (f *body) copyTable(to int, t valType, d int) {
	from := to
	for i, u := range f.g.tables {
		if u.elem == t && f.src.chance(50) {
			from = i
		}
	}
	f.short(d, 7)
	f.short(d, 7)
	f.short(d, 7)
	f.opU(opTableCopy, to)
	f.code.u(uint64(from))
	f.pop(3)
}

// initTable writes a table.init from a segment of the table's type, if there is one.
func (f *body) initTable(table int, t valType, d int) {
	var segs []int
	for i, e := range f.g.elems {
		if e.typ == t && (e.flags&3 == 1 || f.src.chance(1)) {
			segs = append(segs, i)
		}
	}
	if len(segs) == 0 {
		f.op(opNop)
		return
	}
	seg := one(f.src, segs)
	n := int32(1) << f.src.n(3) // segments have up to 5 items; many accesses fit
	if len(f.g.elems[seg].items) < 2 {
		n = 1
	}
	f.short(d, 7)
	f.short(d, n>>1)
	f.short(d, n-1)
	f.opU(opTableInit, seg)
	f.code.u(uint64(table))
	f.pop(3)
}

// growTable leaves the result of a table.grow.
func (f *body) growTable(d int) {
	i := f.anyTable()
	t := f.g.tables[i].elem
	f.value(t, d)
	f.short(d, 1)
	f.opU(opTableGrow, i)
	f.pop(2)
	f.push(i32)
}

// fromTable leaves an entry of a table of type t.
func (f *body) fromTable(t valType, d int) {
	for i := len(f.g.tables) - 1; i >= 0; i-- {
		if f.g.tables[i].elem != t || i > 0 && f.src.chance(20) {
			continue
		}
		f.short(d, tableSize-1)
		f.opU(opTableGet, i)
		f.pop(1)
		f.push(t)
		return
	}
	f.leaf(t)
}
