package conformance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/enginetest"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/wasm"
)

// A passHost runs modules through the pass, under a plan of stops. Functions
// of other instances are called by running them to their end inside of the
// call; what else modules share with each other cannot be had yet, and modules
// that import it are refused by name.
type passHost struct {
	engine     *wazero.Engine
	plan       func() enginetest.Plan
	limits     engine.Limits
	registered map[string]*passInstance
	instances  []*passInstance
	foreign    []thrown // exceptions on their way through instances that do not know their tag
	dense      bool     // modules get a safepoint before each instruction
}

func newPassHost(ctx context.Context, o wazero.Options, plan func() enginetest.Plan, limits engine.Limits) (*passHost, error) {
	e, err := wazero.New(ctx, o)
	if err != nil {
		return nil, err
	}
	return &passHost{engine: e, plan: plan, limits: limits, registered: map[string]*passInstance{}}, nil
}

// A passInstance is one module with its state.
type passInstance struct {
	host   *passHost
	module engine.Module
	driver *enginetest.Driver
	decl   *wasm.Module
	tags   []tag // of the module, imported ones first, and last that of foreign ones
}

func (h *passHost) Instantiate(ctx context.Context, name string, b []byte) (Instance, error) {
	decl, err := wasm.Decode(b)
	if err == nil { // the engine says what is wrong with others
		if b, err = h.prepare(name, decl, b); err != nil {
			return nil, err
		}
	}
	m, err := h.engine.Compile(ctx, b)
	if err != nil {
		if errors.Is(err, engine.ErrUnsupported) {
			return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
		}
		return nil, err
	}
	i := &passInstance{host: h, module: m, decl: decl}
	if i.tags, err = h.linkTags(i); err != nil {
		return nil, err
	}
	imports := m.Imports()
	targets := make([]func([]uint64) error, len(imports))
	for k, im := range imports {
		if targets[k], err = h.link(ctx, i, im); err != nil {
			return nil, err
		}
	}
	i.driver, err = enginetest.NewDriver(ctx, m, h.limits, h.plan(), func(fn uint32, stack []uint64) error {
		return targets[fn](stack)
	})
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	h.instances = append(h.instances, i)
	_, trap, err := i.driver.Run(ctx, engine.ModuleStart, nil)
	if err == nil && trap != nil {
		err = trap
	}
	return i, err
}

// prepare gives a module what this run wants of it.
func (h *passHost) prepare(name string, decl *wasm.Module, b []byte) ([]byte, error) {
	if usesTags(decl) {
		addForeignTag(decl)
		b = wasm.Encode(decl)
	}
	if h.dense && name != "spectest" {
		if err := addLoops(decl); err != nil {
			return nil, err
		}
		b = wasm.Encode(decl)
	}
	return b, nil
}

// link finds the function that an import means.
func (h *passHost) link(ctx context.Context, into *passInstance, im engine.Import) (func([]uint64) error, error) {
	from := h.registered[im.Module]
	if from == nil {
		return nil, fmt.Errorf("unknown import %s.%s", im.Module, im.Name)
	}
	fn, t, ok := from.module.Export(im.Name)
	if !ok {
		return nil, fmt.Errorf("unknown import %s.%s", im.Module, im.Name)
	}
	if !sameSig(from.decl, t, into.decl, im.Type) {
		return nil, fmt.Errorf("incompatible import type %s.%s", im.Module, im.Name)
	}
	return func(stack []uint64) error {
		n := 0
		for _, p := range t.Params {
			n++
			if p == wasm.V128 {
				n++
			}
		}
		res, trap, err := from.driver.Run(ctx, fn, append([]uint64(nil), stack[:n]...))
		if e := from.driver.Thrown(); e != nil {
			return into.thrownBy(from, e)
		}
		if trap != nil {
			return trap
		}
		copy(stack, res)
		return err
	}, nil
}

// sameSig reports whether signatures of two modules are equal: types that point
// to other types by what is there. Types that point to themselves do not occur
// in the tests.
func sameSig(am *wasm.Module, a wasm.FuncType, bm *wasm.Module, b wasm.FuncType) bool {
	same := func(x, y wasm.ValType) bool {
		if !x.IsRef() || !y.IsRef() || !x.Heap().IsIndex() || !y.Heap().IsIndex() {
			return x == y
		}
		return x.Nullable() == y.Nullable() && sameSig(am, am.Types[x.Heap()], bm, bm.Types[y.Heap()])
	}
	return slices.EqualFunc(a.Params, b.Params, same) && slices.EqualFunc(a.Results, b.Results, same)
}

func (h *passHost) Register(name string, i Instance) { h.registered[name] = i.(*passInstance) }

// Report says how often the instances were stopped so far.
func (h *passHost) Report() string {
	stops, saves := 0, 0
	for _, i := range h.instances {
		n, m := i.driver.Stops()
		stops, saves = stops+n, saves+m
	}
	return fmt.Sprintf("%d stops, %d saved and woken", stops, saves)
}

func (h *passHost) Close() error {
	var errs []error
	for _, i := range h.instances {
		errs = append(errs, i.driver.Close(), i.module.Close())
	}
	return errors.Join(append(errs, h.engine.Close())...)
}

func (i *passInstance) Call(ctx context.Context, fn string, args []uint64) ([]uint64, error) {
	n, _, ok := i.module.Export(fn)
	if !ok {
		return nil, fmt.Errorf("no function %q", fn)
	}
	res, trap, err := i.driver.Run(ctx, n, args)
	if trap != nil && err == nil {
		err = trap
	}
	return res, err
}

func (i *passInstance) Global(name string) ([]uint64, error) {
	for _, x := range i.decl.Exports {
		if x.Name != name || x.Kind != wasm.ExternGlobal {
			continue
		}
		g, ok := i.driver.Thread().(interface {
			Global(uint32) (engine.Value, bool)
		}).Global(x.Index)
		if ok {
			return []uint64{g.Lo}, nil
		}
	}
	return nil, fmt.Errorf("no global %q", name)
}

// stopPlans are the ways in which the tests run: untouched, stopped at every
// safepoint and before every call of the host, and at random, saved and woken.
// There stacks are small: runaway recursion is saved with all its frames again
// and again. Frames go on in compiled code, in the interpreter, and in one after
// the other.
var stopPlans = []struct {
	name      string
	pass      instrument.Options
	interpret wazero.Interpret
	limits    engine.Limits
	plan      func() enginetest.Plan
	dense     bool
	park      bool     // threads give their instances up at each stop
	suites    []string // nil is allSuites
	short     []string // suites with -short
}{
	{name: "untouched", short: []string{"extended-const", "typed-function-references", "exception-handling", "threads"}, plan: func() enginetest.Plan { return enginetest.Plan{} }},
	{
		name: "every", short: []string{"v1", "tail-call", "extended-const", "exception-handling", "threads"}, pass: instrument.Options{Counted: true, PeelLimit: -1},
		interpret: wazero.InterpretNone, limits: engine.Limits{Stack: 1 << 20}, plan: stopEvery,
	},
	{
		name: "every, interpreted", short: []string{"v1", "tail-call", "extended-const", "exception-handling", "threads"}, pass: instrument.Options{Counted: true},
		interpret: wazero.InterpretAlways, limits: engine.Limits{Stack: 1 << 20}, plan: stopEvery,
	},
	{
		name: "random", short: []string{"tail-call", "extended-const", "exception-handling", "threads"}, pass: instrument.Options{Counted: true},
		interpret: wazero.InterpretBriefly, limits: engine.Limits{Stack: 256 << 10},
		plan: func() enginetest.Plan {
			return enginetest.Plan{Every: 4, Random: rand.New(rand.NewPCG(3, 5)), Save: 3}
		},
	},
	{
		name: "every instruction", suites: denseSuites, short: denseSuites, dense: true, pass: instrument.Options{Counted: true},
		interpret: wazero.InterpretNone, limits: engine.Limits{Stack: 256 << 10},
		plan: func() enginetest.Plan { return enginetest.Plan{Every: 1, Calls: true, Save: 13} },
	},
	{
		name: "every instruction, interpreted", suites: denseSuites, short: denseSuites, dense: true, pass: instrument.Options{Counted: true, PeelLimit: -1},
		interpret: wazero.InterpretAlways, limits: engine.Limits{Stack: 256 << 10}, plan: stopEvery,
	},
	{
		name: "parked", suites: parkedSuites, short: denseSuites, park: true, pass: instrument.Options{Counted: true},
		interpret: wazero.InterpretBriefly, limits: engine.Limits{Stack: 256 << 10},
		plan: func() enginetest.Plan {
			return enginetest.Plan{Every: 50, Random: rand.New(rand.NewPCG(7, 11)), Park: true, Save: 5}
		},
	},
}

// parkedSuites are those of what an instance holds: tables, segments, globals.
var parkedSuites = []string{"v2", "tail-call", "extended-const", "typed-function-references", "exception-handling", "threads"}

// denseSuites are those of what is special at each instruction.
var denseSuites = []string{"exception-handling"}

func stopEvery() enginetest.Plan { return enginetest.Plan{Every: 1, Calls: true} }

// allSuites are those of what the pass can stop.
var allSuites = []string{"v1", "v2", "tail-call", "extended-const", "typed-function-references", "exception-handling", "threads"}

// The specification's tests pass through the pass as they do plain.
func TestSpecThroughThePass(t *testing.T) {
	for _, p := range stopPlans {
		suites, plan := allSuites, p.plan
		if p.suites != nil {
			suites = p.suites
		}
		if testing.Short() { // fewer suites, and stops
			suites = p.short
			plan = func() enginetest.Plan {
				few := p.plan()
				few.Every *= 100
				return few
			}
		}
		t.Run(p.name, func(t *testing.T) {
			Run(t, Config{
				Suites:   suites,
				Deadline: 5 * time.Minute,
				New: func(ctx context.Context, suite string) (Host, error) {
					h, err := newPassHost(ctx, wazero.Options{Pass: p.pass, Interpret: p.interpret, ParkAll: p.park}, plan, p.limits)
					if err == nil {
						h.dense = p.dense
					}
					return h, err
				},
				Skip: PassRules,
				Want: map[string]Counts{
					"v1":                        {18631, 0, 639},
					"v2":                        {52603, 0, 1403},
					"tail-call":                 {108, 0, 11},
					"extended-const":            {54, 0, 63},
					"typed-function-references": {1139, 0, 173},
					"exception-handling":        {103, 0, 2},
					"threads":                   {327, 0, 0},
				},
			})
		})
	}
}
