package wazero

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero/api"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/memory"
	"github.com/stasis-run/stasis/internal/wasm"
)

// Save implements engine.Thread.
func (t *Thread) Save() (*engine.State, error) {
	if t.unwinding {
		return nil, errors.New("save: the thread is running")
	}
	c := t.module.saveCalls(&t.calls)
	st := &engine.State{
		Fresh: t.fresh, MemorySize: uint64(len(t.Memory().Bytes())),
		Frames: c.Frames, Pending: c.Pending, Returned: c.Returned,
	}
	st.Exceptions = t.saveExceptions()
	st.Globals = t.Globals()
	var err error
	if st.Tables, err = t.saveTables(); err != nil {
		return nil, fmt.Errorf("save: %w", err)
	}
	st.Dropped = t.droppedSegments()
	return st, nil
}

// droppedSegments are those that the guest has dropped, in order.
func (t *Thread) droppedSegments() []engine.Segment {
	var out []engine.Segment
	for s := range t.dropped {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b engine.Segment) int {
		if a.Elem != b.Elem {
			return map[bool]int{false: -1, true: 1}[a.Elem]
		}
		return cmp.Compare(a.Index, b.Index)
	})
	return out
}

// ownGlobals calls f for each mutable global that the module defines.
func (t *Thread) ownGlobals(f func(i uint32, typ wasm.ValType)) {
	m := t.module.program.Module()
	first := m.NumImports(wasm.ExternGlobal)
	for i, g := range m.Globals {
		if g.Type.Mutable {
			f(uint32(first+i), g.Type.Type)
		}
	}
}

// saveCalls describes a stack.
func (m *Module) saveCalls(c *calls) engine.Calls {
	var out engine.Calls
	var top *siteInfo
	for _, r := range c.stack.recs {
		top = m.knownSite(r.site)
		out.Frames = append(out.Frames, top.frame(c.stack.values(r)))
	}
	switch p := c.pending; {
	case p != nil:
		saved := *p
		saved.Args = slices.Clone(p.Args)
		out.Pending = &saved
	case top != nil && top.site.Kind == instrument.SiteCall:
		out.Returned = slices.Clone(c.results[:top.results])
	}
	return out
}

// Globals implements engine.Thread.
func (t *Thread) Globals() []engine.Global {
	if t.parked != nil {
		return slices.Clone(t.parked.globals)
	}
	var out []engine.Global
	t.ownGlobals(func(i uint32, typ wasm.ValType) {
		g := engine.Global{Index: i, Value: engine.Value{Type: typ}}
		if typ == wasm.V128 {
			g.Value.Lo, g.Value.Hi = t.wideGlobal(i)
		} else {
			g.Value.Lo = t.hot.ExportedGlobal(instrument.ExportGlobal(i)).Get()
			if l := instrument.Lowered(typ); l == wasm.I32 || l == wasm.F32 {
				g.Value.Lo &= 0xffffffff
			}
		}
		out = append(out, g)
	})
	return out
}

// wideGlobal reads a v128 global through a function of the module: the API
// knows half of it.
func (t *Thread) wideGlobal(i uint32) (lo, hi uint64) {
	buf := make([]uint64, 2)
	if err := t.hot.ExportedFunction(instrument.ExportGetWide(i)).CallWithStack(&t.ctx, buf); err != nil {
		panic(fmt.Sprintf("engine: read global %d: %v", i, err))
	}
	return buf[0], buf[1]
}

// restore makes an instance what state says: a new one, or one whose tables have been
// filled. The memory's content is the caller's.
func (t *Thread) restore(st *engine.State, filled bool) error {
	t.fresh = false
	if err := t.growTo(st.MemorySize); err != nil {
		return err
	}
	if err := t.restoreExceptions(st); err != nil {
		return err
	}
	if err := t.restoreInstance(st, filled); err != nil {
		return err
	}
	return t.restoreFrames(st.Calls())
}

// restoreInstance takes what is the instance's own.
func (t *Thread) restoreInstance(st *engine.State, filled bool) error {
	if !filled {
		if _, err := t.fillTables(); err != nil {
			return fmt.Errorf("tables: %w", err)
		}
	}
	if err := t.dropSegments(st); err != nil {
		return err
	}
	if err := t.SetGlobals(st.Globals); err != nil {
		return err
	}
	return t.restoreTables(st)
}

// dropSegments drops what the guest had dropped.
func (t *Thread) dropSegments(st *engine.State) error {
	for _, s := range st.Dropped {
		f := t.hot.ExportedFunction(instrument.ExportDrop(s.Elem, s.Index))
		if f == nil {
			return fmt.Errorf("segment %d cannot have been dropped", s.Index)
		}
		if err := f.CallWithStack(&t.ctx, nil); err != nil {
			return err
		}
	}
	return nil
}

// SetGlobals implements engine.Thread.
func (t *Thread) SetGlobals(saved []engine.Global) error {
	if err := t.unpark(); err != nil {
		return err
	}
	have := make(map[uint32]engine.Value, len(saved))
	for _, g := range saved {
		have[g.Index] = g.Value
	}
	var err error
	t.ownGlobals(func(i uint32, typ wasm.ValType) {
		v, ok := have[i]
		switch {
		case err != nil:
		case !ok:
			err = fmt.Errorf("global %d is missing", i)
		case v.Type != typ:
			err = fmt.Errorf("global %d: type %v, want %v", i, v.Type, typ)
		default:
			if e := t.checkValue(v); e != nil {
				err = fmt.Errorf("global %d: %w", i, e)
				return
			}
			t.setGlobal(i, v)
		}
		delete(have, i)
	})
	for i := range have {
		if err == nil {
			err = fmt.Errorf("global %d is not a mutable global of the module", i)
		}
	}
	return err
}

func (t *Thread) setGlobal(i uint32, v engine.Value) {
	if v.Type == wasm.V128 {
		if err := t.hot.ExportedFunction(instrument.ExportSetWide(i)).CallWithStack(&t.ctx, []uint64{v.Lo, v.Hi}); err != nil {
			panic(fmt.Sprintf("engine: write global %d: %v", i, err))
		}
		return
	}
	t.hot.ExportedGlobal(instrument.ExportGlobal(i)).(api.MutableGlobal).Set(v.Lo)
}

// restoreFrames takes the stack. It checks each frame against the module and
// that each fits on the one below: a call whose results the frame below waits
// for.
func (t *Thread) restoreFrames(st *engine.Calls) error {
	// Frames of functions that are accounted for by their callers add nothing to
	// used; a stack that has been saved has those callers.
	if n := int64(len(st.Frames)); n*instrument.LeastFrame > t.limits.Stack {
		return fmt.Errorf("%d frames, at most %d fit the limit of %d bytes", n, t.limits.Stack/instrument.LeastFrame, t.limits.Stack)
	}
	var below *siteInfo
	for i := range st.Frames {
		f := &st.Frames[i]
		s, err := t.siteOf(f)
		if err != nil {
			return fmt.Errorf("frame %d: %w", i, err)
		}
		vals, err := t.values(s, f)
		if err != nil {
			return fmt.Errorf("frame %d: function %d: position %d: %w", i, f.Func, f.Pos, err)
		}
		if below != nil {
			if err := t.fits(below, f.Func); err != nil {
				return fmt.Errorf("frame %d: %w", i, err)
			}
		}
		t.pushRecord(s, vals)
		below = s
	}
	if t.used > t.limits.Stack {
		return fmt.Errorf("%d bytes of frames, the limit is %d", t.used, t.limits.Stack)
	}
	if st.Pending == nil {
		return t.restoreReturned(st.Returned, below)
	}
	if len(st.Returned) > 0 {
		return errors.New("a call is pending and has returned")
	}
	return t.restorePending(st.Pending, below)
}

// restoreReturned takes the results of the call that the innermost frame is at.
func (t *Thread) restoreReturned(vals []uint64, top *siteInfo) error {
	if top == nil || top.site.Kind != instrument.SiteCall {
		if len(vals) > 0 {
			return errors.New("results without a call that has returned them")
		}
		return nil
	}
	if len(vals) != top.results {
		return fmt.Errorf("the innermost frame is at a call of %d words of results, nothing is called, and they are not there", top.results)
	}
	at := 0
	for _, typ := range top.site.Results {
		v := engine.Value{Type: typ, Lo: vals[at]}
		if err := t.checkValue(v); err != nil {
			return fmt.Errorf("results: %w", err)
		}
		at += words([]wasm.ValType{typ})
	}
	t.results = slices.Clone(vals)
	return nil
}

// siteOf finds the site of a frame that comes from outside.
func (t *Thread) siteOf(f *engine.Frame) (*siteInfo, error) {
	p := t.module.program
	if int64(f.Func) < int64(p.NumImports()) || int64(f.Func) >= int64(p.NumFuncs()) {
		return nil, fmt.Errorf("function %d is not defined by the module", f.Func)
	}
	if f.Pos == 0 {
		if !p.Startable(f.Func) {
			if _, ok := p.EntrySite(f.Func); !ok {
				return nil, fmt.Errorf("function %d has no site at position 0", f.Func)
			}
		}
		return t.module.site(t.module.entryID(f.Func))
	}
	s, err := p.SiteAt(f.Func, f.Pos)
	if err != nil {
		return nil, err
	}
	return t.module.site(s.ID)
}

// fits checks that what a frame gives back is what the frame below waits for.
// The outermost frames of a start (an entry below the start function) wait for
// nothing.
func (t *Thread) fits(below *siteInfo, fn uint32) error {
	ft, _ := t.module.program.Module().FuncType(fn)
	return t.waits(below, ft.Results)
}

// waits checks that a frame waits for these results.
func (t *Thread) waits(below *siteInfo, results []wasm.ValType) error {
	if below.entry && len(results) == 0 {
		return nil
	}
	if below.site.Kind != instrument.SiteCall {
		return fmt.Errorf("the frame below (function %d, position %d) is not at a call", below.fn, below.pos)
	}
	if !t.module.program.Matches(results, below.site.Results) {
		return fmt.Errorf("function %d at position %d waits for other results", below.fn, below.pos)
	}
	return nil
}

func (t *Thread) restorePending(p *engine.Pending, top *siteInfo) error {
	if p.Bulk && (top == nil || top.site.Kind != instrument.SiteCall) {
		return errors.New("a pending memory operation without a frame that waits for it")
	}
	if p.Bulk {
		return t.restoreBulk(p, top)
	}
	if p.Atomic != 0 {
		return t.restoreAtomic(p, top)
	}
	imports := t.module.Imports()
	if int(p.Import) >= len(imports) {
		return fmt.Errorf("pending call: the module has no import %d", p.Import)
	}
	im := &imports[p.Import]
	if len(p.Args) != words(im.Type.Params) || top != nil && t.waits(top, im.Type.Results) != nil {
		return fmt.Errorf("pending call: %s.%s does not fit the call that waits for it", im.Module, im.Name)
	}
	t.pending = &engine.Pending{Import: p.Import, Args: slices.Clone(p.Args)}
	return nil
}

func (t *Thread) restoreBulk(p *engine.Pending, top *siteInfo) error {
	if len(p.Args) != 3 || len(top.site.Results) != 0 {
		return errors.New("pending memory operation: it does not fit the instruction that waits for it")
	}
	t.mustUnpark()
	if t.hot.ExportedFunction(instrument.ExportBulk(p.Op)) == nil {
		return fmt.Errorf("pending memory operation %d: the module has no such instruction", p.Op)
	}
	t.pending = &engine.Pending{Bulk: true, Op: p.Op, Args: slices.Clone(p.Args)}
	return nil
}

// growTo makes the memory of a new thread n bytes long.
func (t *Thread) growTo(n uint64) error {
	have := uint64(len(t.Memory().Bytes()))
	if n < have || n%pageSize != 0 || n > memory.MaxSize {
		return fmt.Errorf("memory of %d bytes does not fit the module", n)
	}
	if n == have {
		return nil
	}
	if _, ok := t.grow(uint32((n - have) / pageSize)); !ok {
		if err := t.resize(n); errors.Is(err, engine.ErrNoMemory) { // why it was
			return err
		}
		return fmt.Errorf("memory of %d bytes: beyond the module's or the system's limit of %d", n, t.limits.Memory)
	}
	return nil
}

// pageSize is WebAssembly's.
const pageSize = 64 << 10

// Global reads a global of the original module, for tests; the upper half of a
// v128 is left out.
func (t *Thread) Global(i uint32) (engine.Value, bool) {
	typ, ok := t.module.program.Module().GlobalType(i)
	if !ok {
		return engine.Value{}, false
	}
	t.mustUnpark()
	return engine.Value{Type: typ.Type, Lo: t.hot.ExportedGlobal(instrument.ExportGlobal(i)).Get()}, true
}
