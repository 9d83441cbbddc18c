package instrument

import "github.com/stasis-run/stasis/internal/wasm"

// A record is written by host calls whose parameters are its values: pushes
// for what is wide or too many, then the leave that names the site. The order
// of the values, the wire order, is externrefs, then what has 64 bits (v128 as
// two halves, low first), then what has 32; each group in the order of
// Site.Live. A continuation takes its values as parameters in the same order,
// so the host moves them without looking.

// A Wire is one value of a record in wire order.
type Wire struct {
	Live int          // index into Site.Live
	High bool         // the high half of a v128
	Type wasm.ValType // I32 (also of f32 and funcref), I64 (also of f64 and halves of v128) or ExternRef
}

// WireOrder is the order in which the values of a record travel.
func (s *Site) WireOrder() []Wire {
	types := make([]wasm.ValType, len(s.Live))
	for i := range s.Live {
		types[i] = s.Live[i].Type
	}
	return wireOrder(types)
}

func wireOrder(types []wasm.ValType) []Wire {
	return appendWire(make([]Wire, 0, len(types)), types)
}

func appendWire(w []Wire, types []wasm.ValType) []Wire {
	for i, t := range types {
		if lowered(t) == wasm.ExternRef {
			w = append(w, Wire{Live: i, Type: wasm.ExternRef})
		}
	}
	for i, t := range types {
		switch lowered(t) {
		case wasm.I64, wasm.F64:
			w = append(w, Wire{Live: i, Type: wasm.I64})
		case wasm.V128:
			w = append(w, Wire{Live: i, Type: wasm.I64}, Wire{Live: i, High: true, Type: wasm.I64})
		}
	}
	for i, t := range types {
		switch lowered(t) {
		case wasm.I32, wasm.F32:
			w = append(w, Wire{Live: i, Type: wasm.I32})
		}
	}
	return w
}

// A runtimeFunc is a function that the host provides to rewritten modules.
type runtimeFunc int

// Runtime functions. Their names and types are in runtimeTable.
const (
	runtimeLeave0 runtimeFunc = iota            // the record is complete: its site and 0 … maxLeave values of 32 bits
	runtimeGive0  runtimeFunc = iota + maxLeave // the same, and a dummy result of 32 bits
	runtimePush8  runtimeFunc = iota + 2*maxLeave
	runtimeWide1
	runtimeWide2
	runtimeWide4
	runtimeRef1
	runtimeFetch
	runtimeBulk
	runtimeDropped
	runtimeTableGet
	runtimeTableSet
	runtimeTableGrow
	runtimeTableFill
	runtimeTableCopy
	runtimeTableInit
	runtimeThrow
	runtimeThrowRef
	runtimeThrown
	runtimeCaught
	runtimeCaughtRef
	runtimeCaughtWord
	runtimeCaughtItem
	runtimePassed
	runtimeWait32
	runtimeWait64
	runtimeNotify
	runtimeGrow
	numRuntime

	maxLeave = 8
)

// fewSites is how many sites a function has that counts as small.
const fewSites = 30

// A record is what one is written from: the locals that hold its values, and what
// those are.
type record struct {
	from  []uint32
	types []wasm.ValType
	wire  []Wire
}

// save emits the record of a site from the locals that hold its values. last
// is runtimeLeave0 or runtimeGive0. numbered says that the number of the site is
// to be pushed: it is not on the operand stack already.
func (e *emitter) save(k int32, numbered bool, last runtimeFunc) {
	s := &e.b.sites[k]
	from, types := e.rec.from[:0], e.rec.types[:0]
	if s.kind == SiteEntry {
		for i, t := range e.b.typ.Params {
			from, types = append(from, e.local(uint32(i))), append(types, t)
		}
	} else {
		for i := range e.b.live[k].members {
			from, types = append(from, e.local(uint32(i))), append(types, e.b.locals[i])
		}
	}
	for slot, t := range s.operand {
		from, types = append(from, e.temp(int32(slot), t)), append(types, t)
	}
	for _, c := range s.caught {
		from, types = append(from, e.caughtBy(c)), append(types, exception)
	}
	wire := appendWire(e.rec.wire[:0], types)
	e.rec = record{from, types, wire}
	rest := e.pushRecord(from, types, wire)
	if numbered {
		e.siteID(k)
	}
	e.pushWire(from, types, rest)
	e.op1(wasm.OpCall, e.env.runtimeFn(last+runtimeFunc(len(rest))))
}

// siteID pushes the number of a site.
func (e *emitter) siteID(k int32) {
	e.i32(int32(e.p.firstSite[int(e.b.fn)-e.p.imports] + SiteID(k)))
}

// leave emits the record of a site and returns from the function, with dummies
// for results. A function of one 32-bit result, as most are, gets its dummy
// from the host, which takes less code; not where there is little to save:
// wazero's registers come out better with a constant in small functions (14
// points or more of a recursive fib).
func (e *emitter) leave(k int32) { e.leaveWith(k, true) }

// leaveWith is leave where the number of the site may be on the operand stack.
func (e *emitter) leaveWith(k int32, numbered bool) {
	r := e.b.typ.Results
	if len(r) == 1 && lowered(r[0]) == wasm.I32 && len(e.b.sites) > fewSites {
		e.save(k, numbered, runtimeGive0)
	} else {
		e.save(k, numbered, runtimeLeave0)
		for _, t := range r {
			e.zero(lowered(t))
		}
	}
	e.op(wasm.OpReturn)
}

// pushRecord hands the host all values of a record but the last few, which go with
// the number of the site. It returns those.
func (e *emitter) pushRecord(from []uint32, types []wasm.ValType, wire []Wire) []Wire {
	for len(wire) > 0 && wire[0].Type == wasm.ExternRef {
		e.pushWire(from, types, wire[:1])
		e.op1(wasm.OpCall, e.env.runtimeFn(runtimeRef1))
		wire = wire[1:]
	}
	wide := 0
	for wide < len(wire) && wire[wide].Type == wasm.I64 {
		wide++
	}
	for wide > 0 {
		f, n := runtimeWide1, 1
		switch {
		case wide >= 4:
			f, n = runtimeWide4, 4
		case wide >= 2:
			f, n = runtimeWide2, 2
		}
		e.pushWire(from, types, wire[:n])
		e.op1(wasm.OpCall, e.env.runtimeFn(f))
		wire, wide = wire[n:], wide-n
	}
	for len(wire) > maxLeave {
		e.pushWire(from, types, wire[:8])
		e.op1(wasm.OpCall, e.env.runtimeFn(runtimePush8))
		wire = wire[8:]
	}
	return wire
}

// pushWire puts values on the operand stack as integers.
func (e *emitter) pushWire(from []uint32, types []wasm.ValType, wire []Wire) {
	for _, w := range wire {
		e.op1(wasm.OpLocalGet, from[w.Live])
		switch lowered(types[w.Live]) {
		case wasm.F32:
			e.op(wasm.OpI32ReinterpretF32)
		case wasm.F64:
			e.op(wasm.OpI64ReinterpretF64)
		case wasm.V128:
			e.op(wasm.OpI64x2ExtractLane)
			e.out = append(e.out, b2i(w.High))
		}
	}
}

// pullWire is its inverse for one value whose integers are in the locals
// from (v128: low and high).
func (e *emitter) pullWire(t wasm.ValType, from ...uint32) {
	e.op1(wasm.OpLocalGet, from[0])
	switch lowered(t) {
	case wasm.F32:
		e.op(wasm.OpF32ReinterpretI32)
	case wasm.F64:
		e.op(wasm.OpF64ReinterpretI64)
	case wasm.V128:
		e.op(wasm.OpI64x2Splat)
		e.op1(wasm.OpLocalGet, from[1])
		e.op(wasm.OpI64x2ReplaceLane)
		e.out = append(e.out, 1)
	}
}

func b2i(b bool) byte {
	if b {
		return 1
	}
	return 0
}
