// Package plain runs generated modules on wazero as they are: the reference
// of a differential test.
package plain

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/stasis-run/stasis/internal/wasmgen"
)

// Features is what generated modules need of wazero.
const Features = api.CoreFeaturesV2 |
	experimental.CoreFeaturesTailCall |
	experimental.CoreFeaturesExtendedConst |
	experimental.CoreFeaturesTypedFunctionReferences |
	experimental.CoreFeaturesExceptionHandling |
	experimental.CoreFeaturesThreads

// An Engine runs modules on wazero's compiler, or its interpreter. It is a
// wasmgen.Engine. The zero value is the compiler.
//
// wazero holds exceptions by addresses that Go's collector does not know. So
// the collector must not run beside a module that has some; and only the
// interpreter takes all their values.
type Engine struct {
	Interpreter bool
}

// Instantiate makes a runtime for the module alone: code is freed with it.
func (e Engine) Instantiate(ctx context.Context, wasm []byte, h *wasmgen.Host) (wasmgen.Instance, error) {
	r, err := NewRuntime(ctx, e.Interpreter)
	if err != nil {
		return nil, err
	}
	i, err := r.Instantiate(ctx, wasm, h)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	i.(*instance).alone = r
	return i, nil
}

// A Runtime runs modules one after the other, each closed before the next one
// comes: so many are run faster than with a runtime each. It is a
// wasmgen.Engine, for one goroutine.
type Runtime struct {
	r    wazero.Runtime
	host *wasmgen.Host // of the module that runs
}

// NewRuntime makes a Runtime on wazero's compiler or interpreter.
func NewRuntime(ctx context.Context, interpreter bool) (*Runtime, error) {
	cfg := wazero.NewRuntimeConfigCompiler()
	if interpreter {
		cfg = wazero.NewRuntimeConfigInterpreter()
	}
	r := &Runtime{r: wazero.NewRuntimeWithConfig(ctx, cfg.WithCoreFeatures(Features))}
	env := r.r.NewHostModuleBuilder("env")
	for _, f := range wasmgen.HostFuncs() {
		call := api.GoFunc(func(_ context.Context, stack []uint64) { f.Call(r.host, stack) })
		env.NewFunctionBuilder().WithGoFunction(call, Types(f.Params), Types(f.Results)).Export(f.Name)
	}
	if _, err := env.Instantiate(ctx); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// moduleConfig has a module neither name nor start functions of WASI, and no
// random source, which takes long to seed.
var moduleConfig = wazero.NewModuleConfig().WithName("").WithStartFunctions().WithRandSource(rand.Reader)

// Instantiate implements wasmgen.Engine.
func (r *Runtime) Instantiate(ctx context.Context, wasm []byte, h *wasmgen.Host) (wasmgen.Instance, error) {
	r.host = h
	code, err := r.r.CompileModule(ctx, wasm)
	if err != nil {
		return nil, err
	}
	m, err := r.r.InstantiateModule(ctx, code, moduleConfig)
	if err != nil {
		return nil, errors.Join(err, code.Close(ctx))
	}
	return &instance{code: code, m: m, funcs: map[string]api.Function{}}, nil
}

// Close frees the runtime.
func (r *Runtime) Close() error { return r.r.Close(context.Background()) }

// Types reads the letters of half a signature of a wasmgen.HostFunc.
func Types(s string) []api.ValueType {
	ts := make([]api.ValueType, len(s))
	for i, l := range s {
		ts[i] = map[rune]api.ValueType{
			'i': api.ValueTypeI32, 'j': api.ValueTypeI64, 'f': api.ValueTypeF32,
			'd': api.ValueTypeF64, 'x': api.ValueTypeExternref,
		}[l]
	}
	return ts
}

type instance struct {
	code  wazero.CompiledModule
	m     api.Module
	funcs map[string]api.Function // looked up so far; a look-up makes a stack
	alone *Runtime                // closed with the instance; nil if it is shared
}

func (i *instance) Call(ctx context.Context, fn string, args []uint64) ([]uint64, error) {
	f, ok := i.funcs[fn]
	if !ok {
		if f = i.m.ExportedFunction(fn); f == nil {
			return nil, fmt.Errorf("no function %q", fn)
		}
		i.funcs[fn] = f
	}
	return f.Call(ctx, args...)
}

func (i *instance) Memory() []byte {
	m := i.m.ExportedMemory("mem")
	if m == nil {
		return nil
	}
	b, _ := m.Read(0, m.Size())
	return b
}

func (i *instance) Close() error {
	ctx := context.Background()
	err := errors.Join(i.m.Close(ctx), i.code.Close(ctx))
	if i.alone != nil {
		err = errors.Join(err, i.alone.Close())
	}
	return err
}
