package instrument

import (
	"fmt"

	"github.com/stasis-run/stasis/internal/wasm"
)

// MaxContParams is how many values of a record a continuation takes as
// parameters; it fetches the others one by one.
const MaxContParams = 200

// ContParams is how many of the values of a record are parameters: the first
// MaxContParams, but all references, which cannot be fetched.
func ContParams(wire []Wire) int {
	n := min(len(wire), MaxContParams)
	for n < len(wire) && wire[n].Type == wasm.ExternRef {
		n++
	}
	return n
}

// ExportCont is the name of the continuation in a module made by Continuation.
const ExportCont = "c"

// A contModule is a module of continuations while it is made. All it works on
// is imported from the hot form (HotModule) as it turns out to be needed.
type contModule struct {
	types
	p       *Program
	out     wasm.Module
	fns     map[string]uint32 // imported functions, by module and name
	globals map[string]uint32
	tables  map[string]uint32
	imports []wasm.Import // of functions; the others are in out
}

// HotModule is the module name from which continuations import the hot form's
// exports.
const HotModule = "stasis:hot"

// Continuation makes a module with the continuation of a site, exported as
// ExportCont, and its own look and mode. An entry has none: its continuation is the
// function itself.
//
// A continuation's parameters are the wire values of the record (the first
// MaxContParams of them), the results of the call for a SiteCall, and the
// hidden parameters of the function. Its results are the function's.
func (p *Program) Continuation(id SiteID) ([]byte, error) {
	s, err := p.Site(id)
	if err != nil {
		return nil, err
	}
	b, err := p.body(s.Func - uint32(p.imports))
	if err != nil {
		return nil, err
	}
	m, err := p.contModule(b, &s)
	if err != nil {
		return nil, err
	}
	return wasm.Encode(m), nil
}

func (p *Program) contModule(b *body, s *Site) (*wasm.Module, error) {
	if s.Kind == SiteEntry {
		return nil, fmt.Errorf("site %d is an entry and has no continuation", s.ID)
	}
	c := &contModule{
		types: newTypes(p), p: p,
		fns: make(map[string]uint32), globals: make(map[string]uint32), tables: make(map[string]uint32),
	}
	if t, ok := p.mod.MemoryType(); ok && t.Shared {
		c.out.Imports = append(c.out.Imports, p.sharedImport())
	} else if ok {
		c.out.Imports = append(c.out.Imports, wasm.Import{
			Module: HotModule, Name: ExportMemory, Kind: wasm.ExternMemory, Memory: wasm.Limits{Min: t.Min},
		})
	}
	c.importGlobals(b)
	code, typ := p.emitCont(c, b, s)
	c.out.Funcs = []uint32{typ}
	c.out.Code = []wasm.Code{code}
	c.out.Imports = append(c.out.Imports, c.imports...)
	c.out.Exports = []wasm.Export{{Name: ExportCont, Kind: wasm.ExternFunc, Index: uint32(len(c.imports))}}
	c.ownGlobals()
	c.out.Types = c.list
	// A module name tells frames of continuations from those of the hot form,
	// which has none, in the engine's traces.
	name := "continuation"
	section := append([]byte{0, byte(len(name) + 1), byte(len(name))}, name...)
	c.out.Customs = []wasm.Custom{{Name: "name", Bytes: section, After: 10}}
	return &c.out, nil
}

// fn implements env: functions of the original are imported from the hot form,
// imports from where the original imports them.
func (c *contModule) fn(orig uint32) uint32 {
	if int(orig) >= c.p.imports {
		return c.importFn(HotModule, ExportFunc(orig), c.fnType(orig))
	}
	n := orig
	for _, im := range c.p.mod.Imports {
		if im.Kind == wasm.ExternFunc {
			if n == 0 {
				return c.importFn(im.Module, im.Name, c.plainType(im.Type))
			}
			n--
		}
	}
	panic("instrument: function index out of range")
}

func (c *contModule) importFn(module, name string, typ uint32) uint32 {
	key := fmt.Sprintf("%s\x00%s\x00%d", module, name, typ)
	i, ok := c.fns[key]
	if !ok {
		i = uint32(len(c.imports))
		c.fns[key] = i
		c.imports = append(c.imports, wasm.Import{Module: module, Name: name, Kind: wasm.ExternFunc, Type: typ})
	}
	return i
}

func (c *contModule) importGlobal(name string, t wasm.GlobalType) uint32 {
	i, ok := c.globals[name]
	if !ok {
		i = uint32(len(c.globals))
		c.globals[name] = i
		c.out.Imports = append(c.out.Imports, wasm.Import{Module: HotModule, Name: name, Kind: wasm.ExternGlobal, Global: t})
	}
	return i
}

func (c *contModule) global(orig uint32) uint32 {
	t, _ := c.p.mod.GlobalType(orig)
	t.Type = lowered(t.Type)
	return c.importGlobal(ExportGlobal(orig), t)
}

// special implements env. look and mode are the module's own, which costs it one
// load less at each check: the host writes those of what runs. All imported
// globals are known before any code is emitted (importGlobals).
func (c *contModule) special(g specialGlobal) uint32 {
	if g == globalCount {
		return c.importGlobal(ExportCount, wasm.GlobalType{Type: wasm.I32, Mutable: true})
	}
	return uint32(len(c.globals)) + uint32(g)
}

// importGlobals imports what a function names.
func (c *contModule) importGlobals(b *body) {
	for i := range b.instrs {
		if x := &b.instrs[i]; x.op == wasm.OpGlobalGet || x.op == wasm.OpGlobalSet {
			c.global(x.a)
		}
	}
	if c.p.opts.Counted {
		c.special(globalCount)
	}
}

// ownGlobals defines look and mode.
func (c *contModule) ownGlobals() {
	for g, name := range []string{ExportLook, ExportMode} {
		c.out.Globals = append(c.out.Globals, wasm.Global{Type: wasm.GlobalType{Type: wasm.I32, Mutable: true}, Init: zeroInit})
		c.out.Exports = append(c.out.Exports, wasm.Export{Name: name, Kind: wasm.ExternGlobal, Index: c.special(specialGlobal(g))})
	}
}

func (c *contModule) importTable(name string, elem wasm.ValType) uint32 {
	i, ok := c.tables[name]
	if !ok {
		i = uint32(len(c.tables))
		c.tables[name] = i
		c.out.Imports = append(c.out.Imports, wasm.Import{
			Module: HotModule, Name: name, Kind: wasm.ExternTable, Table: wasm.TableType{Elem: elem},
		})
	}
	return i
}

func (c *contModule) table(orig uint32) uint32 {
	return c.importTable(ExportTable(orig), c.tableElem(c.p.tableType(orig)))
}

func (c *contModule) funcTable() uint32 { return c.importTable(ExportFuncTable, wasm.FuncRef) }

func (c *contModule) runtimeFn(f runtimeFunc) uint32 {
	return c.importFn(RuntimeModule, f.describe().Name, c.runtimeType(f))
}

func (c *contModule) helper(k helperKey) uint32 {
	typ := c.index(repeat(wasm.I32, 3), nil)
	switch k.op {
	case wasm.OpDataDrop, wasm.OpElemDrop:
		typ = c.index(nil, nil)
	case wasm.OpReturnCall:
		typ = c.hiddenType(c.p.typeOf(k.a))
	}
	return c.importFn(HotModule, exportHelper(k), typ)
}

// emitCont emits the continuation of one site.
func (p *Program) emitCont(c *contModule, b *body, s *Site) (code wasm.Code, typ uint32) {
	wire := s.WireOrder()
	var params []wasm.ValType
	for _, w := range wire[:ContParams(wire)] {
		params = append(params, w.Type)
	}
	results := uint32(len(params))
	params = append(params, loweredAll(s.Results)...)
	hidden := uint32(len(params))
	params = append(params, wasm.I32)
	params = append(params, p.markerTypes(p.typeOf(b.fn))...)

	e := new(emitter)
	e.begin(p, c, b)
	e.depth = hidden
	e.paramShift = uint32(len(params))
	e.localShift = e.paramShift
	e.nlocals = e.paramShift + uint32(len(b.locals))
	e.unpack(s, wire)
	e.reopen(b.instrOf(s), s, results)
	return e.done(b.locals), c.index(params, loweredAll(b.typ.Results))
}

// instrOf is the instruction of a site.
func (b *body) instrOf(s *Site) int32 { return int32(s.Pos) - 1 }

// unpack moves the values of the record to where the function has them.
func (e *emitter) unpack(s *Site, wire []Wire) {
	low := make(map[int]uint32) // v128: where the low half is
	for i, w := range wire {
		from := uint32(i)
		if i >= ContParams(wire) {
			from = e.fetch(i, w)
		}
		slot := s.Live[w.Live]
		switch {
		case lowered(slot.Type) != wasm.V128:
			e.pullWire(slot.Type, from)
		case !w.High:
			low[w.Live] = from
			continue
		default:
			e.pullWire(slot.Type, low[w.Live], from)
		}
		to := e.local(slot.Index)
		switch {
		case slot.Operand:
			to = e.temp(int32(slot.Index), slot.Type)
		case slot.Caught:
			to = e.caughtBy(int32(slot.Index) - 1)
		}
		e.op1(wasm.OpLocalSet, to)
	}
}

// fetch asks the host for one value of the record and keeps it in a local.
func (e *emitter) fetch(i int, w Wire) uint32 {
	return e.word(runtimeFetch, int32(i), scratch-8-int32(i), w.Type)
}

// word asks a runtime function for word n of what it has and keeps it in the local
// of a scratch slot.
func (e *emitter) word(f runtimeFunc, n, slot int32, typ wasm.ValType) uint32 {
	x := e.temp(slot, typ)
	e.i32(n)
	e.op1(wasm.OpCall, e.env.runtimeFn(f))
	if typ == wasm.I32 {
		e.op(wasm.OpI32WrapI64)
	}
	e.op1(wasm.OpLocalSet, x)
	return x
}

// reopen emits the function from site s at instruction i on. The blocks around
// it are opened anew without parameters, each with the operands that lie
// between it and the next one.
func (e *emitter) reopen(i int32, s *Site, results uint32) {
	b := e.b
	around := b.around(i)
	here := &b.sites[b.instrs[i].site]
	operands := s.Live[len(s.Live)-len(here.operand)-len(here.caught):]
	operands = operands[:len(here.operand)]
	e.push(label{opener: -1})
	at := int32(0)
	push := func(to int32) {
		for ; at < to; at++ {
			e.op1(wasm.OpLocalGet, e.temp(at, operands[at].Type))
		}
	}
	for _, o := range around {
		x := &b.instrs[o.opener]
		push(x.base)
		params, results := e.p.mod.BlockSig(x.block)
		if isTry(x.op) && o.arm == 0 {
			e.openTry(o.opener, nil, results)
			continue
		}
		if x.op == wasm.OpLoop {
			e.block(wasm.OpBlock, nil, results)
			exit := e.open
			e.block(wasm.OpBlock, nil, params)
			e.push(label{opener: o.opener, depth: e.open, loop: &reopened{exit: exit}})
			continue
		}
		e.block(wasm.OpBlock, nil, results)
		e.push(label{opener: o.opener, arm: o.arm, depth: e.open})
	}
	push(int32(len(operands)))
	if s.Kind == SiteLoop {
		e.code(i, 0)
		return
	}
	for k := range s.Results {
		e.op1(wasm.OpLocalGet, results+uint32(k))
	}
	e.keep(i)
	if here.guarded {
		e.throwCheck()
	}
	e.code(i+1, 0)
}

// An enclosure is a block around a site: what opens it, and in which handler of
// a try the site is.
type enclosure struct{ opener, arm int32 }

// around lists the blocks around instruction i, outermost first.
func (b *body) around(i int32) []enclosure {
	var open []enclosure
	for k := range i {
		switch x := &b.instrs[k]; {
		case isBlock(x.op):
			open = append(open, enclosure{opener: k})
		case isCatch(x.op):
			open[len(open)-1].arm = k
		case isEnd(x.op):
			open = open[:len(open)-1]
		}
	}
	return open
}

// closeReopened ends a loop around the site. If its head is branched to, the
// branch lands between the two blocks: there the whole loop follows, or the
// frame is saved as at the loop's head and left.
func (e *emitter) closeReopened(l *label) {
	b := e.b
	first := &b.instrs[l.opener]
	params, _ := e.p.mod.BlockSig(first.block)
	fell := e.reach
	if fell {
		e.op1(wasm.OpBr, uint32(e.open-l.loop.exit))
	}
	e.end()
	e.reach = false
	switch {
	case !l.used:
		e.op(wasm.OpUnreachable)
	case e.peels(l.opener):
		e.reach = true
		e.code(l.opener, len(e.labels))
	default:
		for k := len(params) - 1; k >= 0; k-- {
			e.op1(wasm.OpLocalSet, e.temp(first.base+int32(k), params[k]))
		}
		e.leave(first.site)
	}
	e.end()
	e.reach = e.reach || fell
}

// peels reports whether continuations carry a loop along.
func (e *emitter) peels(opener int32) bool {
	return int(e.b.instrs[e.b.endOf(opener)].end-e.b.instrs[opener].pos) <= e.p.opts.PeelLimit
}
