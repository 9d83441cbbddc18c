// Package differential compares programs as they are with the same programs
// rewritten and stopped, saved and woken at random: whatever can be seen of
// them must be the same.
package differential

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/enginetest"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/wasm"
	"github.com/stasis-run/stasis/internal/wasmgen"
)

// An Engine runs generated modules through the pass, under a plan. It is a
// wasmgen.Engine.
type Engine struct {
	Pass   instrument.Options
	Plan   enginetest.Plan
	Seed   uint64 // of a random plan, if not 0
	Limits engine.Limits

	// Stops, if not nil, takes in how often the modules were stopped.
	Stops *Stops

	// Shared is used for all modules, if not nil, and Pass is not: a new engine
	// for each module takes as long as a small module itself.
	Shared *wazero.Engine
}

// Stops says how often a module was stopped.
type Stops struct {
	All, Saves int
	Own        int // in functions of random code, not in what looks at the state afterwards
}

// Instantiate implements wasmgen.Engine.
func (e *Engine) Instantiate(ctx context.Context, b []byte, h *wasmgen.Host) (wasmgen.Instance, error) {
	if e.Shared != nil {
		return e.instantiate(ctx, e.Shared, b, h)
	}
	w, err := wazero.New(ctx, wazero.Options{Pass: e.Pass})
	if err != nil {
		return nil, err
	}
	i, err := e.instantiate(ctx, w, b, h)
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	i.engine = w
	return i, nil
}

func (e *Engine) instantiate(ctx context.Context, w *wazero.Engine, b []byte, h *wasmgen.Host) (*instance, error) {
	m, err := w.Compile(ctx, b)
	if err != nil {
		return nil, err
	}
	calls := make([]func(*wasmgen.Host, []uint64), len(m.Imports()))
	for i, im := range m.Imports() {
		for _, f := range wasmgen.HostFuncs() {
			if f.Name == im.Name {
				calls[i] = f.Call
			}
		}
	}
	plan := e.Plan
	if e.Seed != 0 {
		plan.Random = rand.New(rand.NewPCG(e.Seed, 1))
	}
	d, err := enginetest.NewDriver(ctx, m, e.Limits, plan, func(fn uint32, stack []uint64) error {
		calls[fn](h, stack)
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	i := &instance{module: m, driver: d, host: h, exported: exportsMemory(b), stops: e.Stops}
	if _, trap, err := d.Run(ctx, engine.ModuleStart, nil); trap != nil || err != nil {
		i.tell()
		i.Close()
		if err != nil {
			return nil, err
		}
		return nil, trap
	}
	return i, nil
}

func exportsMemory(b []byte) bool {
	m, err := wasm.Decode(b)
	return err == nil && slices.ContainsFunc(m.Exports, func(x wasm.Export) bool { return x.Kind == wasm.ExternMemory })
}

type instance struct {
	engine   *wazero.Engine // closed with the instance; nil if shared
	module   engine.Module
	driver   *enginetest.Driver
	host     *wasmgen.Host
	exported bool // the memory
	stops    *Stops
}

func (i *instance) Call(ctx context.Context, fn string, args []uint64) ([]uint64, error) {
	n, _, ok := i.module.Export(fn)
	if !ok {
		return nil, fmt.Errorf("no function %q", fn)
	}
	before, _ := i.driver.Stops()
	results, trap, err := i.driver.Run(ctx, n, args)
	if after, _ := i.driver.Stops(); i.stops != nil && strings.HasPrefix(fn, "f") {
		i.stops.Own += after - before
	}
	if trap != nil && err == nil {
		i.tell()
		err = trap
	}
	return results, err
}

// tell tells the host of an exception that nothing has caught, as modules of
// the reference do themselves.
func (i *instance) tell() {
	e := i.driver.Thrown()
	if e == nil {
		return
	}
	var kinds []byte
	var words []uint64
	for _, v := range e.Values {
		words = append(words, v.Lo)
		switch v.Type {
		case wasm.I32:
			kinds = append(kinds, 'i')
		case wasm.I64:
			kinds = append(kinds, 'j')
		case wasm.F32:
			kinds = append(kinds, 'f')
		case wasm.F64:
			kinds = append(kinds, 'd')
		case wasm.V128:
			kinds = append(kinds, 'v')
			words = append(words, v.Hi)
		case wasm.ExternRef:
			kinds = append(kinds, 'x')
		default:
			kinds = append(kinds, 'n')
		}
	}
	i.host.Uncaught(e.Tag, string(kinds), words)
}

func (i *instance) Memory() []byte {
	if !i.exported {
		return nil
	}
	return i.driver.Thread().Memory().Bytes()
}

func (i *instance) Close() error {
	if i.stops != nil {
		n, m := i.driver.Stops()
		i.stops.All += n
		i.stops.Saves += m
	}
	err := errors.Join(i.driver.Close(), i.module.Close())
	if i.engine != nil {
		err = errors.Join(err, i.engine.Close())
	}
	return err
}
