package wazero

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/interp"
	"github.com/stasis-run/stasis/internal/memory"
	"github.com/stasis-run/stasis/internal/wasm"
)

// segmentSize is how many bytes of frames may be on the engine's stack. What
// is called beyond stays in records below until the callee returns. It is
// small enough that the engine's own limit (about 84 MB of native frames) is
// never met, and large enough that the boundary is rarely crossed.
const segmentSize = 8 << 20

const defaultStack = 64 << 20

// A record is a frame that was taken apart: its site, and where its values
// are.
type record struct {
	site instrument.SiteID
	off  uint32
	n    uint32
}

// A recordStack is a stack of frames, the innermost last.
type recordStack struct {
	recs []record
	vals []uint64
}

func (s *recordStack) push(site instrument.SiteID, vals []uint64) {
	s.recs = append(s.recs, record{site, uint32(len(s.vals)), uint32(len(vals))})
	s.vals = append(s.vals, vals...)
}

func (s *recordStack) values(r record) []uint64 { return s.vals[r.off : r.off+r.n] }

func (s *recordStack) pop() {
	top := s.recs[len(s.recs)-1]
	s.recs = s.recs[:len(s.recs)-1]
	s.vals = s.vals[:top.off]
}

// calls are a stack that is taken apart, and what it waits for.
type calls struct {
	stack   recordStack
	used    int64 // bytes of frames in it
	pending *engine.Pending
	results []uint64 // for the innermost frame, if that waits at a call and nothing is pending
}

// A Thread is one guest thread over an instance of its own.
type Thread struct {
	module *Module
	host   engine.Host
	limits engine.Limits
	ctx    threadContext

	hot      api.Module
	mem      *memory.Linear
	shared   *sharedMemory // nil: mem is this thread's alone
	requests requests

	count  api.MutableGlobal // Options.Counted only
	insts  map[wazero.CompiledModule]api.Module
	funcs  map[instrument.SiteID]*resumer
	tables []shadow // by table; nil funcs where none is kept

	// For the interpreter, made when needed.
	fixed   []shadow // of tables that cannot change
	callees map[uint32]*callee
	frame   interp.Frame // only one is interpreted at a time
	globals []api.Global

	// The stack. All of it only on the task goroutine.
	calls
	detached    detached          // those that were taken off
	off         recordStack       // of the unwind in progress, innermost first
	unwinding   bool              // mode is raised
	buf         []uint64          // parameters and results of engine calls
	fetch       []uint64          // values of the record whose continuation is being called
	current     uint32            // function whose frame is at the bottom of the engine's stack
	currentSite instrument.SiteID // and the site that it went on from
	dropped     map[engine.Segment]bool
	fresh       bool // segments are not applied yet
	starts      bool // nothing has run: the module's start function is to
	unwinds     uint64
	every       int32 // Counted: unwind at every n-th safepoint; 0 never

	exceptions exceptions

	parked *parked // it has no instance; or nil
}

// threadContext hands the thread to host functions: wazero passes the context
// of a call on as it is.
type threadContext struct {
	context.Context
	t *Thread
}

// New implements engine.Module.
func (m *Module) New(ctx context.Context, host engine.Host, limits engine.Limits, state *engine.State) (engine.Thread, error) {
	t := m.newThread(host, limits)
	switch ok, err := t.reuse(state); {
	case err != nil:
		return nil, errors.Join(err, t.Close())
	case ok:
		return t, nil
	}
	if err := t.reserve(ctx); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	if err := t.begin(ctx, state); err != nil {
		return nil, err
	}
	return t, nil
}

func (m *Module) newThread(host engine.Host, limits engine.Limits) *Thread {
	t := &Thread{
		module: m, host: host, limits: limits, fresh: true,
		insts: make(map[wazero.CompiledModule]api.Module), funcs: make(map[instrument.SiteID]*resumer),
		dropped: make(map[engine.Segment]bool), callees: make(map[uint32]*callee),
	}
	if t.limits.Memory == 0 {
		t.limits.Memory = memory.MaxSize
	}
	if t.limits.Stack == 0 {
		t.limits.Stack = defaultStack
	}
	t.ctx = threadContext{context.Background(), t}
	return t
}

// begin makes the instance of a thread that has its memory. If it fails, the
// thread is closed.
func (t *Thread) begin(ctx context.Context, state *engine.State) error {
	if err := t.instantiate(ctx); err != nil {
		return errors.Join(err, t.Close())
	}
	var err error
	switch {
	case state == nil:
		t.starts = true
	case state.Fresh:
		err = t.restoreFrames(state.Calls())
	default:
		err = t.restore(state, false)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("state: %w", err), t.Close())
	}
	return nil
}

func (t *Thread) instantiate(ctx context.Context) error {
	defer t.instantiating()()
	ictx := experimental.WithImportResolver(ctx, t.resolve)
	ictx = experimental.WithMemoryAllocator(ictx, experimental.MemoryAllocatorFunc(t.allocate))
	hot, err := t.module.engine.runtime.InstantiateModule(ictx, t.module.hot, moduleConfig)
	if err != nil {
		return fmt.Errorf("instantiate: %w", err)
	}
	t.hot = hot
	t.begun()
	t.initShadows()
	return nil
}

// begun has the thread know the instance that it has been given.
func (t *Thread) begun() {
	t.requests.begin(flagsOf(t.hot))
	if g := t.hot.ExportedGlobal(instrument.ExportCount); g != nil {
		t.count = g.(api.MutableGlobal)
		t.setCount()
	}
}

// moduleConfig has an instance neither a name nor WASI's start functions, nor
// the random source that it would get otherwise and that takes longer to seed
// than the rest of it to make.
var moduleConfig = wazero.NewModuleConfig().WithName("").WithStartFunctions().WithRandSource(rand.Reader)

// reserve makes the memory that the instance will be given: the engine has no
// way to be told that there is no room.
func (t *Thread) reserve(ctx context.Context) error {
	l, ok := t.module.program.Module().MemoryType()
	if !ok {
		return nil
	}
	if limit := uint64(t.limits.Memory); l.Min<<16 > limit {
		return &engine.MemoryError{Need: l.Min << 16, Limit: limit}
	}
	m, err := memory.NewIn(t.limits.Budget, t.memoryLimit())
	if err != nil {
		return err
	}
	t.mem = m
	if err = t.resize(l.Min << 16); err != nil || !l.Shared {
		return err
	}
	t.shared, err = t.module.share(ctx, m)
	return err
}

// memoryLimit is how large the memory may grow, in bytes.
func (t *Thread) memoryLimit() uint64 {
	limit := uint64(t.limits.Memory)
	if l, ok := t.module.program.Module().MemoryType(); ok && l.HasMax {
		limit = min(limit, l.Max<<16)
	}
	return min(limit, memory.MaxSize)
}

// resize makes the memory size bytes long, of which the engine does not hear.
func (t *Thread) resize(size uint64) error {
	_, err := t.mem.Resize(size)
	if errors.Is(err, memory.ErrBudget) {
		return fmt.Errorf("%d bytes of memory: %w", size, engine.ErrNoMemory)
	}
	return err
}

// resolve finds the modules that rewritten modules import from.
func (t *Thread) resolve(name string) api.Module {
	switch name {
	case instrument.RuntimeModule:
		return t.module.engine.host.Module
	case instrument.HotModule:
		return t.hot
	case instrument.MemoryModule:
		return t.shared.holder
	}
	if h, ok := t.module.imports[name]; ok {
		return h.Module
	}
	return nil
}

// A Linear makes a memory.Linear fit wazero, which takes nil for a failure.
type Linear struct{ *memory.Linear }

// Reallocate implements experimental.LinearMemory. The instance of a thread that was
// parked is made over a memory that may have grown: it begins with the first bytes.
func (l Linear) Reallocate(size uint64) []byte {
	if b := l.Bytes(); size < uint64(len(b)) {
		return b[:size]
	}
	b, err := l.Resize(size)
	if err != nil {
		return nil
	}
	return b
}

// Free is called when the instance is closed; Thread.Close unmaps.
func (l Linear) Free() {}

func (t *Thread) allocate(_, _ uint64) experimental.LinearMemory { return Linear{t.mem} }

// Close implements engine.Thread.
func (t *Thread) Close() error {
	if t.retire() {
		return nil
	}
	ctx := context.Background()
	var errs []error
	var instances []api.Module
	for _, i := range t.insts {
		instances = append(instances, i)
	}
	if t.hot != nil {
		instances = append(instances, t.hot)
	}
	if s := t.shared; s != nil {
		t.shared, t.mem = nil, nil
		return s.leave(instances...)
	}
	for _, i := range instances {
		errs = append(errs, i.Close(ctx))
	}
	if t.mem != nil {
		errs = append(errs, t.mem.Close())
		t.mem = nil
	}
	return errors.Join(errs...)
}

// Memory implements engine.Thread.
func (t *Thread) Memory() engine.Memory {
	if t.mem == nil {
		return noMemory{}
	}
	return t.mem
}

type noMemory struct{}

func (noMemory) Bytes() []byte { return nil }

func (noMemory) Hold() (release func()) { return func() {} }

// Interrupt implements engine.Thread.
func (t *Thread) Interrupt() { t.requests.interrupt() }

// Clear implements engine.Thread.
func (t *Thread) Clear() { t.requests.clear() }

// Unwinds implements engine.Thread.
func (t *Thread) Unwinds() uint64 { return t.unwinds }

// Depth implements engine.Thread.
func (t *Thread) Depth() int { return len(t.stack.recs) }

// Backtrace implements engine.Thread.
func (t *Thread) Backtrace() engine.Trace { return t.module.backtrace(t.stack.recs) }

func (m *Module) backtrace(recs []record) engine.Trace {
	var out engine.Trace
	for i := len(recs) - 1; i >= 0; i-- {
		if i == len(recs)-1-engine.MaxFrames && i >= engine.MaxOuter { // those are not described one by one
			out.Cut = i + 1 - engine.MaxOuter
			i -= out.Cut
		}
		out.Append(m.knownSite(recs[i].site).location())
	}
	return out
}

// location is where a frame is that waits at a site.
func (s *siteInfo) location() engine.Location {
	return engine.Location{Func: s.fn, Pos: max(s.pos, 1)} // at an entry, the first instruction is next
}

// Start implements engine.Thread. A function that is an import becomes the
// pending call.
func (t *Thread) Start(fn uint32, args []uint64, before ...uint32) error {
	if len(t.stack.recs) > 0 || t.pending != nil {
		return errors.New("start: the thread has a stack already")
	}
	if fn != engine.ModuleStart {
		if err := t.call(fn, args); err != nil {
			return err
		}
	}
	if s := t.module.program.Module().Start; s != nil && t.starts {
		before = append([]uint32{*s}, before...)
	}
	for _, b := range slices.Backward(before) {
		if err := t.call(b, nil); err != nil {
			return err
		}
	}
	return nil
}

// SetHost implements engine.Thread.
func (t *Thread) SetHost(h engine.Host) { t.host = h }

// call pushes the entry of a function. An import has none: it becomes the
// pending call, and so must be the first to be called.
func (t *Thread) call(fn uint32, args []uint64) error {
	if t.pending != nil {
		return fmt.Errorf("start: function %s is an import: nothing can be called before it", t.module.FuncName(t.pending.Import))
	}
	if int(fn) < t.module.program.NumImports() { // exported, or the start function
		t.pending = &engine.Pending{Import: fn, Args: append([]uint64{}, args...)}
		return nil
	}
	s, err := t.module.site(t.module.entryID(fn))
	if err != nil {
		return err
	}
	if len(args) != len(s.wire) {
		return fmt.Errorf("function %s takes %d words of arguments, not %d", t.module.FuncName(fn), len(s.wire), len(args))
	}
	t.pushRecord(s, s.fromNatural(args))
	return nil
}

func (t *Thread) pushRecord(s *siteInfo, wire []uint64) {
	t.stack.push(s.id, wire)
	t.used += s.size
}

// fromNatural puts the arguments of a function into wire order.
func (s *siteInfo) fromNatural(args []uint64) []uint64 {
	at := make([]int, len(s.site.Live)+1)
	for i, l := range s.site.Live {
		at[i+1] = at[i] + words([]wasm.ValType{l.Type})
	}
	out := make([]uint64, len(s.wire))
	for i, w := range s.wire {
		k := at[w.Live]
		if w.High {
			k++
		}
		out[i] = args[k]
	}
	return out
}

// toNatural is its inverse.
func (s *siteInfo) toNatural(wire, args []uint64) []uint64 {
	at := make([]int, len(s.site.Live)+1)
	for i, l := range s.site.Live {
		at[i+1] = at[i] + words([]wasm.ValType{l.Type})
	}
	args = append(args, make([]uint64, len(wire))...)
	for i, w := range s.wire {
		k := at[w.Live]
		if w.High {
			k++
		}
		args[k] = wire[i]
	}
	return args
}
