package conformance

import (
	"context"
	"fmt"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// allFeatures is everything that wazero runs; the pass runs with it, too.
const allFeatures = api.CoreFeaturesV2 |
	experimental.CoreFeaturesTailCall |
	experimental.CoreFeaturesExtendedConst |
	experimental.CoreFeaturesTypedFunctionReferences |
	experimental.CoreFeaturesThreads |
	experimental.CoreFeaturesExceptionHandling

// A plainHost runs modules on wazero as they are.
type plainHost struct {
	runtime    wazero.Runtime
	registered map[string]api.Module
}

// newPlainHost makes a host over wazero's compiler.
func newPlainHost(ctx context.Context, f api.CoreFeatures) *plainHost {
	cfg := wazero.NewRuntimeConfigCompiler().WithCoreFeatures(f)
	return &plainHost{wazero.NewRuntimeWithConfig(ctx, cfg), map[string]api.Module{}}
}

func (h *plainHost) Instantiate(ctx context.Context, name string, wasm []byte) (Instance, error) {
	ctx = experimental.WithImportResolver(ctx, func(name string) api.Module { return h.registered[name] })
	m, err := h.runtime.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithName(""))
	if err != nil {
		return nil, err
	}
	return plainInstance{m}, nil
}

func (h *plainHost) Register(name string, i Instance) { h.registered[name] = i.(plainInstance).m }

func (h *plainHost) Close() error { return h.runtime.Close(context.Background()) }

type plainInstance struct{ m api.Module }

func (i plainInstance) Call(ctx context.Context, fn string, args []uint64) ([]uint64, error) {
	f := i.m.ExportedFunction(fn)
	if f == nil {
		return nil, fmt.Errorf("no function %q", fn)
	}
	return f.Call(ctx, args...)
}

func (i plainInstance) Global(name string) ([]uint64, error) {
	g := i.m.ExportedGlobal(name)
	if g == nil {
		return nil, fmt.Errorf("no global %q", name)
	}
	return []uint64{g.Get()}, nil
}

// suiteFeatures are those with which wazero runs each suite itself.
var suiteFeatures = map[string]api.CoreFeatures{
	"v1":             api.CoreFeaturesV1,
	"v2":             api.CoreFeaturesV2,
	"tail-call":      api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall,
	"extended-const": api.CoreFeaturesV2 | experimental.CoreFeaturesExtendedConst,
	"typed-function-references": api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall |
		experimental.CoreFeaturesTypedFunctionReferences,
	"exception-handling": api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall |
		experimental.CoreFeaturesTypedFunctionReferences | experimental.CoreFeaturesExceptionHandling,
	"threads": api.CoreFeaturesV2 | experimental.CoreFeaturesThreads,
}

// Plain wazero passes the tests with the features of each suite: the runner
// reads them right.
func TestPlainSuiteFeatures(t *testing.T) {
	if testing.Short() {
		t.Skip("all suites, without a line of ours but the runner")
	}
	Run(t, Config{
		New: func(ctx context.Context, suite string) (Host, error) {
			return newPlainHost(ctx, suiteFeatures[suite]), nil
		},
		Want: map[string]Counts{
			"v1":                        {18840, 0, 430},
			"v2":                        {52900, 0, 1106},
			"tail-call":                 {108, 0, 11},
			"extended-const":            {114, 0, 3},
			"typed-function-references": {1257, 0, 55},
			"exception-handling":        {103, 0, 2},
			"threads":                   {327, 0, 0},
		},
	})
}

// The measure for a run through the pass: plain wazero with all features on,
// as the pass needs them.
func TestPlainAllFeatures(t *testing.T) {
	if testing.Short() {
		t.Skip("all suites, without a line of ours but the runner")
	}
	Run(t, Config{
		New: func(ctx context.Context, suite string) (Host, error) {
			return newPlainHost(ctx, allFeatures), nil
		},
		Skip: LaterRules,
		Want: map[string]Counts{
			"v1":                        {18815, 0, 455},
			"v2":                        {52898, 0, 1108},
			"tail-call":                 {108, 0, 11},
			"extended-const":            {114, 0, 3},
			"typed-function-references": {1257, 0, 55},
			"exception-handling":        {103, 0, 2},
			"threads":                   {327, 0, 0},
		},
	})
}
