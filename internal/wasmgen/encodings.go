package wasmgen

// This file writes tries in the two encodings. What is random is drawn before,
// so that both are the same program.
//
// In the legacy encoding a try is one block. With try_table it is
//
//	block $out                        the try's block, as far as branches see it
//	  block $h1 … block $h0           where the handlers begin
//	    try_table (catch… $h0 …)
//	      block $pad (result exnref)  if others may delegate to it
//	        …                         the guarded code
//	        br $try_table
//	      end
//	      throw_ref
//	    end
//	    br $out
//	  end
//	  …                               handler 0
//	  br $out
//	end
//	…                                 handler 1
//	end
//
// of which all but $out are hidden: random branches do not lead there.

// openTry begins the guarded code of t; its parameters are on the stack.
func (f *body) openTry(t *guard, in, out []valType) {
	if f.legacy {
		f.open(opTry, in, out)
		f.cur().guard = t
		return
	}
	f.open(opBlock, in, out)
	f.cur().guard = t
	tryAt := len(f.blocks) - 1
	f.quiet(func() {
		for i := len(t.clauses) - 1; i >= 0; i-- {
			c := t.clauses[i]
			var lands []valType
			if c.tag >= 0 {
				lands = f.g.carried(f.g.tags[c.tag])
			}
			if c.held {
				lands = append(lands[:len(lands):len(lands)], exnref)
			}
			f.openHidden(opBlock, in, lands, out)
		}
		f.op(opTryTable)
		f.hiddenType(in, out)
		f.code.u(uint64(len(t.clauses)))
		for i, c := range t.clauses {
			kind := catchTag
			if c.tag < 0 {
				kind = catchAll
			}
			if c.held {
				kind++
			}
			f.code.byte(byte(kind))
			if c.tag >= 0 {
				f.code.u(uint64(c.tag))
			}
			f.code.u(uint64(i))
		}
		f.nest(opTryTable, in, out)
		if t.padded {
			f.openHidden(opBlock, in, []valType{exnref}, out)
			f.cur().padFor = tryAt + 1
		}
	})
}

// openHidden begins a block that random branches do not see. Code in it
// finishes with out, though it ends with results.
func (f *body) openHidden(code uint32, in, results, out []valType) {
	f.op(code)
	f.hiddenType(in, results)
	f.nest(code, in, out)
}

// nest adds a hidden block whose parameters are on the stack.
func (f *body) nest(code uint32, in, out []valType) {
	f.pop(len(in))
	f.blocks = append(f.blocks, block{op: code, in: in, out: out, base: len(f.stack), hidden: true})
	f.push(in...)
}

// hiddenType writes a block's type without a choice.
func (f *body) hiddenType(in, out []valType) {
	switch {
	case len(in) == 0 && len(out) == 0:
		f.code.byte(0x40)
	case len(in) == 0 && len(out) == 1:
		f.code.typ(out[0])
	default:
		f.code.s(int64(f.g.typ(funcType{in, out})))
	}
}

// openHandler ends the guarded code or the handler before, whose results are
// on the stack, and begins handler i.
func (f *body) openHandler(t *guard, i int) {
	c := t.clauses[i]
	if f.legacy {
		if c.tag < 0 {
			f.op(opCatchAll)
		} else {
			f.opU(opCatch, c.tag)
		}
		f.mark(f.last) // that it runs, not that the code before came to its end
		f.budget++     // as quiet
		b := f.cur()
		b.dead = false
		f.stack = f.stack[:b.base]
		if c.tag >= 0 {
			f.push(f.g.tags[c.tag]...)
		}
		f.last = opCatch
		return
	}
	f.quiet(func() {
		if i == 0 {
			f.closeGuarded(t)
		}
		f.opU(opBr, len(t.clauses)-i)
		f.op(opEnd)
		f.stack = f.stack[:f.cur().base]
		f.blocks = f.blocks[:len(f.blocks)-1]
		f.cur().dead = false
		if c.held {
			t.exn = f.hidden(exnref)
			f.opU(opLocalSet, t.exn)
		}
		if c.tag >= 0 {
			f.join(f.g.tags[c.tag])
		}
	})
	f.last = opCatch
}

// closeGuarded ends the pad and the try_table, with the results on the stack.
func (f *body) closeGuarded(t *guard) {
	if t.padded {
		f.opU(opBr, 1)
		f.op(opEnd)
		f.op(opThrowRef)
		f.blocks = f.blocks[:len(f.blocks)-1]
	}
	f.op(opEnd)
	f.blocks = f.blocks[:len(f.blocks)-1]
}

// closeTry ends t with its results on the stack.
func (f *body) closeTry(t *guard) {
	if !f.legacy && len(t.clauses) == 0 {
		f.quiet(func() { f.closeGuarded(t) })
	}
	f.end()
}

// delegate writes a try that hands exceptions on to block `to`.
func (f *body) delegate(to int, in, out []valType, d int) {
	near := f.src.n(16) // which of the labels that mean the same
	if f.legacy {
		f.open(opTry, in, out)
		f.cur().delegates = true
		f.inner(d)
		f.maybeThrow(d)
		f.finish(d)
		b := *f.cur()
		f.blocks = f.blocks[:len(f.blocks)-1]
		labels := f.delegateLabels(to)
		f.opU(opDelegate, labels[near%len(labels)])
		f.stack = append(f.stack[:b.base], out...)
		f.last = opEnd
		return
	}
	f.open(opBlock, in, out)
	f.quiet(func() {
		f.openHidden(opBlock, in, []valType{exnref}, out)
		f.op(opTryTable)
		f.hiddenType(in, out)
		f.code.raw([]byte{1, catchAllRef, 0})
		f.nest(opTryTable, in, out)
	})
	f.inner(d)
	f.maybeThrow(d)
	f.finish(d)
	f.quiet(func() {
		f.op(opEnd)
		f.blocks = f.blocks[:len(f.blocks)-1]
		f.opU(opBr, 1)
		f.op(opEnd)
		f.blocks = f.blocks[:len(f.blocks)-1]
		f.opU(opBr, f.depth(f.padOf(to)))
	})
	f.end()
}

// delegateLabels lists the labels of the legacy encoding that hand exceptions
// on to block to: its own, and those of blocks in it that catch nothing
// themselves and hand nothing on to another one.
func (f *body) delegateLabels(to int) (labels []int) {
	for i := to; i < len(f.blocks); i++ {
		at := i
		for at > 0 && !f.blocks[at].delegates && (f.blocks[at].guard == nil || f.blocks[at].guard.handler) {
			at--
		}
		if at == to {
			labels = append(labels, f.depth(i))
		}
	}
	return labels
}

// padOf is the block in which block to takes exceptions that are delegated.
func (f *body) padOf(to int) int {
	for i := range f.blocks {
		if f.blocks[i].padFor == to+1 {
			return i
		}
	}
	panic("wasmgen: invariant: no pad")
}

// openPad makes the function one that tries in it may delegate to.
func (f *body) openPad() {
	if f.legacy {
		return
	}
	f.quiet(func() {
		f.openHidden(opBlock, nil, []valType{exnref}, f.sig.out)
		f.cur().padFor = 1
	})
}

// closePad ends what openPad began, with the function's results on the stack.
func (f *body) closePad() {
	if f.legacy {
		return
	}
	f.op(opReturn)
	f.op(opEnd)
	f.op(opThrowRef)
	f.blocks = f.blocks[:len(f.blocks)-1]
}
