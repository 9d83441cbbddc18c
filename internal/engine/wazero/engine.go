// Package wazero adapts wazero to package engine. It is the only importer of
// wazero: everything that relies on what wazero does, rather than on what it
// promises, is here and is pinned by facts_test.go.
package wazero

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/wasm"
)

// features are all that the pass understands.
const features = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall |
	experimental.CoreFeaturesExtendedConst | experimental.CoreFeaturesThreads | experimental.CoreFeaturesTypedFunctionReferences

// maxPages is the largest memory that the engine's code handles; the pass clamps
// to the same.
const maxPages = 65535

// Options set up an Engine. The zero value works.
type Options struct {
	Cache   *Cache             // nil: compiled code is not kept
	Workers int                // rewrite and compile with so many goroutines; 0 is 1
	Pass    instrument.Options // how modules are rewritten

	// Check is asked about a module that is to be rewritten and compiled; nil
	// refuses none.
	Check Checker

	// Interpret says how frames go on that were taken apart.
	Interpret Interpret

	// Interpreter runs modules on wazero's interpreter, to tell faults of its
	// compiler from ours.
	Interpreter bool

	// ParkAll has Thread.Park take the instance of every thread, for tests, instead of
	// those only that share their memory.
	ParkAll bool
}

// A Checker looks at a valid module and may refuse it.
type Checker interface {
	Check(*wasm.Module) error
}

// An Engine compiles modules with wazero.
type Engine struct {
	// Stage is told what Compile does next that takes long: "rewriting" (unless
	// the cache has the hot form), then "compiling". nil is nobody. It is set before
	// the first Compile.
	Stage func(what string)

	opts    Options
	runtime wazero.Runtime
	host    hostModule // the runtime functions of the pass
	modules atomic.Uint64
	unkept  atomic.Int64
}

// Unkept is how many modules, continuations among them, were compiled and could
// not be kept in the cache, such as by a process that can only read it.
func (e *Engine) Unkept() int64 { return e.unkept.Load() }

// New makes an Engine.
func New(ctx context.Context, opts Options) (*Engine, error) {
	config := wazero.NewRuntimeConfigCompiler()
	if opts.Interpreter {
		config = wazero.NewRuntimeConfigInterpreter()
	}
	config = config.WithCoreFeatures(features).WithMemoryLimitPages(maxPages)
	if opts.Cache != nil {
		config = config.WithCompilationCache(opts.Cache.native)
	}
	if opts.Pass.Workers == 0 {
		opts.Pass.Workers = opts.Workers
	}
	e := &Engine{opts: opts, runtime: wazero.NewRuntimeWithConfig(ctx, config)}
	b := e.runtime.NewHostModuleBuilder(instrument.RuntimeModule)
	for _, f := range instrument.RuntimeFuncs() {
		b.NewFunctionBuilder().WithGoModuleFunction(runtimeFunc(f.Name), apiTypes(f.Params), apiTypes(f.Results)).Export(f.Name)
	}
	var err error
	if e.host, err = e.instantiateHost(ctx, b); err != nil {
		return nil, errors.Join(fmt.Errorf("engine: %w", err), e.runtime.Close(ctx))
	}
	return e, nil
}

// Close implements engine.Engine.
func (e *Engine) Close() error { return e.runtime.Close(context.Background()) }

func (e *Engine) compileContext(ctx context.Context) context.Context {
	if e.opts.Workers > 1 {
		return experimental.WithCompilationWorkers(ctx, e.opts.Workers)
	}
	return ctx
}

// Compile implements engine.Engine.
func (e *Engine) Compile(ctx context.Context, b []byte) (engine.Module, error) {
	m, err := e.compile(ctx, b)
	if err != nil {
		if errors.Is(err, instrument.ErrUnsupported) || errors.Is(err, wasm.ErrUnsupported) {
			err = &unsupportedError{err}
		}
		return nil, err
	}
	return m, nil
}

// unsupportedError makes an error engine.ErrUnsupported, too, and says no more.
type unsupportedError struct{ error }

func (e *unsupportedError) Unwrap() []error { return []error{e.error, engine.ErrUnsupported} }

func (e *Engine) compile(ctx context.Context, b []byte) (*Module, error) {
	p, code, err := e.load(ctx, b)
	if err != nil {
		return nil, err
	}
	m := newModule(e, p)
	m.hot = code
	if p.SharedMemory() {
		if m.holder, err = e.code(ctx, p.MemoryHolder()); err != nil {
			return nil, errors.Join(fmt.Errorf("compile: %w", err), code.Close(ctx))
		}
	}
	if err := m.bindImports(ctx); err != nil {
		return nil, errors.Join(err, m.closeCode(ctx))
	}
	return m, nil
}

// newModule is a module without its hot form.
func newModule(e *Engine, p *instrument.Program) *Module {
	return &Module{
		engine: e, program: p, id: e.modules.Add(1),
		sites: make(map[instrument.SiteID]*siteInfo), conts: make(map[instrument.SiteID]wazero.CompiledModule),
		named: make(map[siteName]*siteInfo), colds: make(map[uint32]*coldFunc),
	}
}

func (e *Engine) stage(what string) {
	if e.Stage != nil {
		e.Stage(what)
	}
}

// load makes the hot form of a module and compiles it, or takes it and what the
// pass knows of the module from the cache.
func (e *Engine) load(ctx context.Context, b []byte) (*instrument.Program, wazero.CompiledModule, error) {
	digest := sha256.Sum256(b)
	key := hotKey(digest, e.opts.Pass)
	if c := e.opts.Cache; c != nil {
		if hot, ok := c.get(key); ok {
			if facts, ok := c.get(key + ".facts"); ok {
				p, code, err := e.loadCached(ctx, b, digest, hot, facts)
				if err != nil || p != nil {
					return p, code, err
				}
			}
		}
	}
	p, hot, err := e.rewrite(b, digest, key)
	if err != nil {
		return nil, nil, err
	}
	code, err := e.codeOf(ctx, hot)
	return p, code, err
}

// loadCached looks at the original module while the engine loads its hot form. It
// returns no program if the facts are not the module's.
func (e *Engine) loadCached(ctx context.Context, b []byte, digest [sha256.Size]byte, hot, facts []byte) (*instrument.Program, wazero.CompiledModule, error) {
	var p *instrument.Program
	var wrong error
	var wg sync.WaitGroup
	wg.Go(func() { p, wrong = instrument.NewFrom(b, digest, e.opts.Pass, facts) })
	code, err := e.codeOf(ctx, hot)
	wg.Wait()
	switch {
	case err != nil:
		return nil, nil, err
	case wrong != nil:
		return nil, nil, code.Close(ctx)
	}
	return p, code, nil
}

// codeOf is code of a hot form.
func (e *Engine) codeOf(ctx context.Context, hot []byte) (wazero.CompiledModule, error) {
	e.stage("compiling")
	code, err := e.code(ctx, hot)
	if err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	return code, nil
}

// rewrite makes the hot form of a module, and keeps it.
func (e *Engine) rewrite(b []byte, digest [sha256.Size]byte, key string) (*instrument.Program, []byte, error) {
	e.stage("rewriting")
	p, err := instrument.NewNamed(b, digest, e.opts.Pass)
	if err != nil {
		return nil, nil, err
	}
	if err := e.check(p); err != nil {
		return nil, nil, err
	}
	hot, err := p.Hot()
	if err != nil {
		return nil, nil, err
	}
	if c := e.opts.Cache; c != nil {
		c.put(key+".facts", p.Facts())
		c.put(key, hot)
	}
	return p, hot, nil
}

// check asks who made the engine whether a program is to be compiled.
func (e *Engine) check(p *instrument.Program) error {
	if e.opts.Check == nil {
		return nil
	}
	return e.opts.Check.Check(p.Module())
}

// code compiles a rewritten module. To wazero it is an error if an entry of the
// native cache cannot be written, though it has the code then and finds it when
// asked again; and if one cannot be read, which counts as absent here: all are
// removed and the module is compiled anew.
func (e *Engine) code(ctx context.Context, b []byte) (wazero.CompiledModule, error) {
	c, err := e.runtime.CompileModule(e.compileContext(ctx), b)
	if err != nil && e.opts.Cache != nil {
		if c, err = e.runtime.CompileModule(e.compileContext(ctx), b); err == nil {
			e.unkept.Add(1)
		}
	}
	if err != nil && e.opts.Cache != nil && e.opts.Cache.dropNative() {
		c, err = e.runtime.CompileModule(e.compileContext(ctx), b)
	}
	return c, err
}

// A Module is a compiled program and the continuations made for it so far.
type Module struct {
	engine   *Engine
	program  *instrument.Program
	hot      wazero.CompiledModule
	holder   wazero.CompiledModule // of the shared memory, or nil
	id       uint64
	argMasks [][]uint64            // per import: the bits of its arguments that mean something
	imports  map[string]hostModule // with the guest's imports, by their name in the guest

	spares spares // what threads have left

	mu    sync.RWMutex
	sites map[instrument.SiteID]*siteInfo             // protected by mu
	named map[siteName]*siteInfo                      // those that interpreted frames came to; protected by mu
	conts map[instrument.SiteID]wazero.CompiledModule // protected by mu
	colds map[uint32]*coldFunc                        // by function; protected by mu

	coldSize int // instructions of all in colds; protected by mu

	pointer struct { // see stackPointer
		once   sync.Once
		export string
		known  bool
	}
}

// Close implements engine.Module.
func (m *Module) Close() error {
	ctx := context.Background()
	errs := []error{m.spares.close(), m.closeConts(ctx), m.closeCode(ctx)}
	for _, h := range m.imports {
		errs = append(errs, h.Close(ctx), h.code.Close(ctx))
	}
	return errors.Join(errs...)
}

func (m *Module) closeCode(ctx context.Context) error {
	err := m.hot.Close(ctx)
	if m.holder != nil {
		err = errors.Join(err, m.holder.Close(ctx))
	}
	return err
}

// Imports implements engine.Module.
func (m *Module) Imports() []engine.Import {
	var out []engine.Import
	mod := m.program.Module()
	for _, im := range mod.Imports {
		if im.Kind == wasm.ExternFunc {
			out = append(out, engine.Import{Module: im.Module, Name: im.Name, Type: mod.Types[im.Type]})
		}
	}
	return out
}

// Export implements engine.Module.
func (m *Module) Export(name string) (fn uint32, t wasm.FuncType, ok bool) {
	mod := m.program.Module()
	for _, x := range mod.Exports {
		if x.Kind == wasm.ExternFunc && x.Name == name {
			t, ok = mod.FuncType(x.Index)
			return x.Index, t, ok
		}
	}
	return 0, wasm.FuncType{}, false
}

// FuncName implements engine.Module.
func (m *Module) FuncName(fn uint32) string { return m.program.Module().FuncName(fn) }

// Digest implements engine.Module.
func (m *Module) Digest() [32]byte { return m.program.Digest() }

// bindImports makes a host module for each module name that the guest imports
// functions from. But for a shared memory, other things cannot be imported: nobody
// provides them.
func (m *Module) bindImports(ctx context.Context) error {
	m.imports = make(map[string]hostModule)
	mod := m.program.Module()
	builders := make(map[string]wazero.HostModuleBuilder)
	seen := make(map[string]bool)
	fn := uint32(0)
	for _, im := range mod.Imports {
		if im.Kind == wasm.ExternTag {
			continue // the host throws, if it does, by number
		}
		if im.Kind == wasm.ExternMemory && im.Memory.Shared {
			continue // made with the first thread
		}
		if im.Kind != wasm.ExternFunc {
			return fmt.Errorf("import %s.%s: only functions and shared memories can be imported, not a %v: %w", im.Module, im.Name, im.Kind, instrument.ErrUnsupported)
		}
		t := mod.Types[im.Type]
		n := fn
		fn++
		m.argMasks = append(m.argMasks, masks(t.Params))
		b := builders[im.Module]
		if b == nil {
			b = m.engine.runtime.NewHostModuleBuilder(im.Module)
			builders[im.Module] = b
		}
		if seen[im.Module+"\x00"+im.Name] {
			continue // imported twice: the first answers; the kernel refuses differing types
		}
		seen[im.Module+"\x00"+im.Name] = true
		b.NewFunctionBuilder().WithGoModuleFunction(importFunc(n), loweredTypes(t.Params), loweredTypes(t.Results)).Export(im.Name)
	}
	for name, b := range builders {
		h, err := m.engine.instantiateHost(ctx, b)
		if err != nil {
			return fmt.Errorf("imports from %s: %w", name, err)
		}
		m.imports[name] = h
	}
	return nil
}

// A hostModule is an instance of Go functions, and its code, which outlives the
// instance.
type hostModule struct {
	api.Module
	code wazero.CompiledModule
}

// instantiateHost makes a host module without a name. What the builder's own
// Instantiate returns cannot be handed to an import resolver; this can.
func (e *Engine) instantiateHost(ctx context.Context, b wazero.HostModuleBuilder) (hostModule, error) {
	c, err := b.Compile(ctx)
	if err != nil {
		return hostModule{}, err
	}
	i, err := e.runtime.InstantiateModule(ctx, c, moduleConfig)
	if err != nil {
		return hostModule{}, errors.Join(err, c.Close(ctx))
	}
	return hostModule{i, c}, nil
}

func apiTypes(ts []wasm.ValType) []api.ValueType {
	out := make([]api.ValueType, len(ts))
	for i, t := range ts {
		out[i] = api.ValueType(t)
	}
	return out
}

// loweredTypes are the types of rewritten functions: references to functions
// are numbers there.
func loweredTypes(ts []wasm.ValType) []api.ValueType {
	out := make([]api.ValueType, len(ts))
	for i, t := range ts {
		out[i] = api.ValueType(instrument.Lowered(t))
	}
	return out
}
