package wazero_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/instrument"
)

// env answers the imports of testdata/basic.wat and keeps what was logged.
// With unwind set it has every call unwound and answers it only then.
type env struct {
	log    []uint32
	unwind bool
}

func (e *env) Call(fn uint32, stack []uint64) engine.Action {
	if e.unwind {
		return engine.Unwind
	}
	e.answer(fn, stack)
	return engine.Return
}

func (e *env) answer(fn uint32, stack []uint64) {
	switch fn {
	case 0:
		e.log = append(e.log, uint32(stack[0]))
	case 1:
		stack[0] = uint64(uint32(stack[0]) * 3)
	}
}

type threadFace interface {
	engine.Thread
	SetEvery(int32)
}

// runToEnd runs a thread, completing pending calls; between is called after
// each unwind and may give another thread to go on with.
func runToEnd(t *testing.T, th engine.Thread, e *env, between func(engine.Thread) engine.Thread) ([]uint64, *engine.Trap) {
	t.Helper()
	for {
		ev := th.Run(context.Background())
		switch ev.Kind {
		case engine.Exited:
			return slices.Clone(ev.Results), nil
		case engine.Trapped, engine.Threw:
			return nil, ev.Trap
		}
		if between != nil {
			th = between(th)
		}
		if fn, args, ok := th.Pending(); ok {
			s := append(slices.Clone(args), 0)
			e.answer(fn, s)
			th.Complete(s[:1])
		}
	}
}

// compile compiles testdata/basic.wat.
func compile(t *testing.T, opts wazero.Options) engine.Module {
	t.Helper()
	return compileFile(t, "basic", opts)
}

// call runs an export with an unwind at every n-th safepoint (0: none); save
// has the thread saved and another one made of it at each.
func call(t *testing.T, m engine.Module, name string, args []uint64, every int32, save bool) string {
	t.Helper()
	e := &env{unwind: every > 0}
	th, err := m.New(context.Background(), e, engine.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { th.Close() }()
	fn, _, ok := m.Export(name)
	if !ok {
		t.Fatalf("no export %s", name)
	}
	th.(threadFace).SetEvery(every)
	if err := th.Start(fn, args); err != nil {
		t.Fatal(err)
	}
	results, trap := runToEnd(t, th, e, func(old engine.Thread) engine.Thread {
		if !save {
			return old
		}
		st, err := old.Save()
		if err != nil {
			t.Fatal(err)
		}
		next, err := m.New(context.Background(), e, engine.Limits{}, st)
		if err != nil {
			t.Fatalf("restore: %v", err)
		}
		copy(next.Memory().Bytes(), old.Memory().Bytes())
		next.(threadFace).SetEvery(every)
		old.Close()
		th = next
		return next
	})
	return told(results, e, trap)
}

// told is all that a run has told.
func told(results []uint64, e *env, trap *engine.Trap) string {
	out := fmt.Sprint(results, e.log)
	if trap != nil {
		out += " trap " + trap.Message + "\n" + trap.Stack()
	}
	return out
}

// modes are the ways in which frames go on.
var modes = []struct {
	name      string
	interpret wazero.Interpret
}{
	{"cold interpreted", wazero.InterpretCold},
	{"compiled", wazero.InterpretNone},
	{"briefly interpreted", wazero.InterpretBriefly},
	{"interpreted", wazero.InterpretAlways},
}

func TestUnwindChangesNothing(t *testing.T) {
	plain := compile(t, wazero.Options{})
	want := make(map[string]string)
	for _, c := range basicCalls {
		want[c.name] = call(t, plain, c.name, c.args, 0, false)
		t.Logf("%s: %s", c.name, strings.TrimSpace(want[c.name]))
	}
	for _, mode := range modes {
		for _, peel := range []int{-1, 0} {
			t.Run(fmt.Sprintf("%s, peel %d", mode.name, peel), func(t *testing.T) {
				m := compile(t, wazero.Options{Pass: instrument.Options{Counted: true, PeelLimit: peel}, Interpret: mode.interpret})
				unwindEverywhere(t, m, want)
			})
		}
	}
}

// basicCalls are calls of testdata/basic.wat.
var basicCalls = []struct {
	name string
	args []uint64
}{
	{"fib", []uint64{12}}, {"sum", []uint64{50}}, {"nest", []uint64{6}}, {"deep", []uint64{500}},
	{"fill", []uint64{5000}}, {"trap", []uint64{70000}},
}

func unwindEverywhere(t *testing.T, m engine.Module, want map[string]string) {
	for _, c := range basicCalls {
		for _, every := range []int32{0, 1, 2, 3, 7} {
			for _, save := range []bool{false, true} {
				if got := call(t, m, c.name, c.args, every, save); got != want[c.name] {
					t.Errorf("%s: every %d, save %v: got %s, want %s", c.name, every, save, got, want[c.name])
				}
			}
		}
	}
}
