// Package plain runs generated modules on wazero as they are: the reference
// of a differential test.
package plain

import (
	"context"
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
	experimental.CoreFeaturesTypedFunctionReferences

// An Engine runs modules on wazero's compiler, or its interpreter. It is a
// wasmgen.Engine. The zero value is the compiler.
type Engine struct {
	Interpreter bool
}

// Instantiate makes a runtime for the module alone: code is freed with it.
func (e Engine) Instantiate(ctx context.Context, wasm []byte, h *wasmgen.Host) (wasmgen.Instance, error) {
	cfg := wazero.NewRuntimeConfigCompiler()
	if e.Interpreter {
		cfg = wazero.NewRuntimeConfigInterpreter()
	}
	r := wazero.NewRuntimeWithConfig(ctx, cfg.WithCoreFeatures(Features))
	i, err := instantiate(ctx, r, wasm, h)
	if err != nil {
		r.Close(ctx)
		return nil, err
	}
	return i, nil
}

func instantiate(ctx context.Context, r wazero.Runtime, wasm []byte, h *wasmgen.Host) (*instance, error) {
	env := r.NewHostModuleBuilder("env")
	for _, f := range wasmgen.HostFuncs() {
		call := api.GoFunc(func(_ context.Context, stack []uint64) { f.Call(h, stack) })
		env.NewFunctionBuilder().WithGoFunction(call, Types(f.Params), Types(f.Results)).Export(f.Name)
	}
	if _, err := env.Instantiate(ctx); err != nil {
		return nil, err
	}
	m, err := r.Instantiate(ctx, wasm)
	if err != nil {
		return nil, err
	}
	return &instance{r, m, map[string]api.Function{}}, nil
}

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
	r     wazero.Runtime
	m     api.Module
	funcs map[string]api.Function // looked up so far; a look-up makes a stack
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

func (i *instance) Close() error { return i.r.Close(context.Background()) }
