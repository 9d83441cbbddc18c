package wazero

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/wasm"
)

// Run implements engine.Thread. It calls the continuation of the innermost
// frame, hands its results to the next one, and so on, until the stack is
// empty or was taken apart again.
func (t *Thread) Run(ctx context.Context) engine.Event {
	t.ctx.Context = ctx
	if err := t.unpark(); err != nil {
		ev, _ := t.fail(err)
		return ev
	}
	t.starts = false
	if t.fresh {
		if trap := t.applySegments(); trap != nil {
			return engine.Event{Kind: engine.Trapped, Trap: trap}
		}
	}
	t.setCount()
	if p := t.pending; p != nil {
		if !p.Bulk {
			panic("engine: Run while an import call is pending")
		}
		t.countLess()
		if ev, done := t.resumeBulk(p); done {
			return ev
		}
	}
	for t.exceptions.throwing != nil || len(t.stack.recs) > 0 {
		step := t.resume
		if t.exceptions.throwing != nil {
			step = t.throwOn
		}
		if ev, done := step(); done {
			return ev
		}
	}
	return engine.Event{Kind: engine.Exited, Results: t.results}
}

// resume puts the innermost frame back and runs it. It reports whether Run is
// over.
func (t *Thread) resume() (ev engine.Event, done bool) {
	top := t.stack.recs[len(t.stack.recs)-1]
	s := t.module.knownSite(top.site)
	if f := t.interprets(s); f != nil {
		vals := t.stack.values(top) // stays as it is until something is pushed
		t.stack.pop()
		t.used -= s.size
		return t.interpret(f, s, vals)
	}
	return t.resumeCompiled(s)
}

// resumeCompiled is resume for a frame at s that goes on in compiled code.
func (t *Thread) resumeCompiled(s *siteInfo) (ev engine.Event, done bool) {
	f, err := t.function(s)
	if err != nil {
		return t.fail(err)
	}
	t.arguments(s, t.stack.recs[len(t.stack.recs)-1])
	t.stack.pop()
	t.used -= s.size
	t.current, t.currentSite = s.fn, s.id
	t.requests.enter(f.flags)
	if s.entry || s.site.Kind == instrument.SiteLoop {
		t.countLess()
	}
	return t.invoke(f.Function, s.returns)
}

// invoke calls into the engine with t.buf. What is called either returns
// results for the next frame or was taken apart.
func (t *Thread) invoke(f api.Function, returns []uint64) (ev engine.Event, done bool) {
	err := f.CallWithStack(&t.ctx, t.buf)
	if err != nil {
		return t.trap(f, err)
	}
	if t.unwinding {
		return t.unwound()
	}
	if t.exceptions.throwing != nil {
		return engine.Event{}, false
	}
	t.results = append(t.results[:0], t.buf[:len(returns)]...)
	for i, mask := range returns {
		t.results[i] &= mask
	}
	return engine.Event{}, false
}

// arguments fills buf for a call of the continuation of a frame.
func (t *Thread) arguments(s *siteInfo, top record) {
	vals := t.stack.values(top)
	t.fetch = vals
	t.buf = t.buf[:0]
	left := t.limits.Stack - t.used
	if s.entry { // the function itself, which takes its frame from the depth
		t.buf = s.toNatural(vals, t.buf)
		left += s.size
	} else {
		t.buf = append(t.buf, vals[:s.params]...)
		t.buf = append(t.buf, t.results[:s.results]...)
	}
	t.buf = append(t.buf, uint64(uint32(max(0, min(left, segmentSize)))))
	for range s.markers {
		t.buf = append(t.buf, 0)
	}
	for len(t.buf) < len(s.returns) {
		t.buf = append(t.buf, 0)
	}
}

// function finds what continues a frame.
func (t *Thread) function(s *siteInfo) (*resumer, error) {
	if f := t.funcs[s.id]; f != nil {
		return f, nil
	}
	f := &resumer{flags: t.requests.hot}
	if s.entry {
		f.Function = t.hot.ExportedFunction(instrument.ExportFunc(s.fn))
	} else {
		code, err := t.module.cont(t.ctx.Context, s.id)
		if err != nil {
			return nil, err
		}
		inst, err := t.instance(code)
		if err != nil {
			return nil, err
		}
		f.Function, f.flags = inst.ExportedFunction(instrument.ExportCont), flagsOf(inst)
	}
	if len(t.funcs) >= maxFuncs {
		clear(t.funcs)
	}
	t.funcs[s.id] = f
	return f, nil
}

// A resumer is what continues a frame.
type resumer struct {
	api.Function
	flags flags // that its own code reads
}

// maxFuncs bounds how many functions a thread holds ready: each has a stack of
// its own, of 10 KB at least.
const maxFuncs = 256

// instance makes a module of continuations work on this thread's state. The
// thread is unwound, so nothing of the hot form runs meanwhile.
func (t *Thread) instance(code wazero.CompiledModule) (api.Module, error) {
	if i := t.insts[code]; i != nil {
		return i, nil
	}
	defer t.instantiating()()
	ctx := experimental.WithImportResolver(t.ctx.Context, t.resolve)
	i, err := t.module.engine.runtime.InstantiateModule(ctx, code, moduleConfig)
	if err != nil {
		return nil, fmt.Errorf("instantiate continuations: %w", err)
	}
	t.insts[code] = i
	return i, nil
}

// unwound puts the frames that were taken off on top of the others.
func (t *Thread) unwound() (ev engine.Event, done bool) {
	t.unwinding = false
	t.requests.setMode(0)
	t.unwinds++
	var top *siteInfo
	for i := len(t.off.recs) - 1; i >= 0; i-- {
		r := t.off.recs[i]
		s := t.module.knownSite(r.site)
		t.pushRecord(s, t.off.values(r))
		top = s
	}
	t.off.recs, t.off.vals = t.off.recs[:0], t.off.vals[:0]
	if t.requests.self {
		t.collectExceptions()
		t.requests.done()
	}
	if t.pending == nil && top != nil && top.site.Kind != instrument.SiteCall && t.used >= t.limits.Stack {
		clear(t.funcs) // their stacks have grown
		clear(t.callees)
		return engine.Event{Kind: engine.Trapped, Trap: t.stackTrap("stack overflow", engine.Trace{})}, true
	}
	return engine.Event{Kind: engine.Unwound}, true
}

// fail ends the run with what is no trap of the guest's: code that cannot be
// made or instantiated.
func (t *Thread) fail(err error) (engine.Event, bool) {
	return engine.Event{Kind: engine.Trapped, Trap: t.stackTrap("engine: "+err.Error(), engine.Trace{})}, true
}

// resumeBulk goes on with a stopped memory operation.
func (t *Thread) resumeBulk(p *engine.Pending) (engine.Event, bool) {
	f := t.hot.ExportedFunction(instrument.ExportBulk(p.Op))
	t.buf = append(t.buf[:0], p.Args...)
	t.pending = nil
	return t.invoke(f, nil)
}

// applySegments does what an engine does before the start function.
func (t *Thread) applySegments() *engine.Trap {
	t.fresh = false
	f, err := t.fillTables()
	if err != nil {
		ev, _ := t.trap(f, err)
		return ev.Trap
	}
	return t.applyData()
}

// fillTables applies the active segments of tables.
func (t *Thread) fillTables() (f api.Function, err error) {
	f = t.hot.ExportedFunction(instrument.ExportTables)
	if err := f.CallWithStack(&t.ctx, nil); err != nil {
		return f, err
	}
	t.applyShadows()
	return f, nil
}

// applyData writes the active data segments, in order; one that does not fit
// traps, and those before it stay written.
func (t *Thread) applyData() *engine.Trap {
	data := t.module.program.Module().Data
	for i := range data {
		d := &data[i]
		if d.Mode != wasm.Active {
			continue
		}
		b, off := t.mem.Bytes(), uint64(t.constI32(d.Offset))
		if off+uint64(len(d.Bytes)) > uint64(len(b)) {
			return t.stackTrap("out of bounds memory access", engine.Trace{})
		}
		copy(b[off:], d.Bytes)
	}
	return nil
}

// Pending implements engine.Thread.
func (t *Thread) Pending() (fn uint32, args []uint64, ok bool) { return t.awaited() }

// awaited is the call that is to be made.
func (c *calls) awaited() (fn uint32, args []uint64, ok bool) {
	if c.pending == nil || c.pending.Bulk {
		return 0, nil, false
	}
	if fn, ok := engine.AtomicCall(c.pending.Atomic); ok {
		return fn, c.pending.Args, true
	}
	return c.pending.Import, c.pending.Args, true
}

// Complete implements engine.Thread.
func (t *Thread) Complete(results []uint64) {
	if t.pending == nil || t.pending.Bulk {
		panic("engine: Complete without a pending call")
	}
	t.pending = nil
	t.results = append(t.results[:0], results...)
}

// SetEvery makes a thread of a Counted program unwind at every n-th safepoint;
// 0 is never.
func (t *Thread) SetEvery(n int32) {
	t.every = n
	t.setCount()
}

// Left is how many safepoints are left until then.
func (t *Thread) Left() int {
	t.mustUnpark()
	return int(int32(t.count.Get()))
}

// setCount begins to count anew.
func (t *Thread) setCount() {
	if t.count != nil {
		t.count.Set(uint64(uint32(t.every)))
	}
}

// countLess lets a safepoint pass uncounted: what goes on at an entry, the head
// of a loop or between slices passes that one again.
func (t *Thread) countLess() {
	if t.count != nil && t.every > 0 {
		t.count.Set(uint64(uint32(t.count.Get()) + 1))
	}
}
