package wazero_test

import (
	"context"
	"math"
	"os"
	"testing"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/instrument"
)

var counted = instrument.Options{Counted: true}

// stoppedAt is the state of a call of the basic module after n safepoints; nil if it
// has ended before.
func stoppedAt(t *testing.T, m engine.Module, name string, arg uint64, n int32) *engine.State {
	t.Helper()
	th := newThread(t, m, &env{})
	fn, _, _ := m.Export(name)
	th.(threadFace).SetEvery(n)
	if err := th.Start(fn, []uint64{arg}); err != nil {
		t.Fatal(err)
	}
	if ev := th.Run(context.Background()); ev.Kind != engine.Unwound {
		return nil
	}
	st, err := th.Save()
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// wake runs what was saved to its end, with the cache in dir, and reports how many
// entries of native code that made.
func wake(t *testing.T, dir string, st *engine.State) int {
	t.Helper()
	before := native(t, dir)
	c, err := wazero.OpenCache(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m := compile(t, wazero.Options{Cache: c, Interpret: wazero.InterpretBriefly, Pass: counted})
	th, err := m.New(t.Context(), &env{}, engine.Limits{}, st)
	if err != nil {
		t.Fatal(err)
	}
	defer th.Close()
	if ev := th.Run(t.Context()); ev.Kind != engine.Exited {
		t.Fatalf("%+v", ev)
	}
	return len(native(t, dir)) - len(before)
}

// What frames of a state go on in can be compiled before they do: then waking it
// compiles nothing.
func TestAhead(t *testing.T) {
	b, err := os.ReadFile("testdata/basic.wasm")
	if err != nil {
		t.Fatal(err)
	}
	m := compile(t, wazero.Options{Pass: counted})
	needed := 0
	for _, c := range []struct {
		name string
		arg  uint64
	}{{"spin", 1000}, {"nest", 100}, {"fib", 12}, {"deep", 20}} {
		for n := int32(1); n < 20; n++ {
			st := stoppedAt(t, m, c.name, c.arg, n)
			if st == nil {
				break
			}
			var places []engine.Location
			for _, f := range st.Frames {
				places = append(places, engine.Location{Func: f.Func, Pos: f.Pos})
			}
			needed += wake(t, warm(t, nil), st)
			if made := wake(t, warm(t, func(e *wazero.Engine, dir string) { ahead(t, e, b, dir, places) }), st); made != 0 {
				t.Errorf("%s(%d) stopped at safepoint %d: %d compiled by who wakes it", c.name, c.arg, n, made)
			}
		}
	}
	if needed == 0 {
		t.Error("nothing is compiled without preparation, either")
	}
}

// warm makes a cache with the basic module's hot form and what then adds.
func warm(t *testing.T, then func(e *wazero.Engine, dir string)) (dir string) {
	t.Helper()
	dir = t.TempDir()
	c, err := wazero.OpenCache(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	e, err := wazero.New(t.Context(), wazero.Options{Cache: c, Pass: counted})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	b, err := os.ReadFile("testdata/basic.wasm")
	if err != nil {
		t.Fatal(err)
	}
	m, err := e.Compile(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if then != nil {
		then(e, dir)
	}
	return dir
}

func ahead(t *testing.T, e *wazero.Engine, b []byte, dir string, places []engine.Location) {
	t.Helper()
	o := wazero.Ahead{Dir: dir, Places: places, More: func() bool { return true }}
	made, all, err := e.Ahead(t.Context(), b, o)
	if err != nil || !all {
		t.Errorf("ahead of %v: all %v, %v", places, all, err)
	}
	o.Made, o.More = made, func() bool { return false }
	if made, all, err = e.Ahead(t.Context(), b, o); err != nil || !all || len(made) > 0 {
		t.Errorf("ahead again of %v: made %v, all %v, %v", places, made, all, err)
	}
}

// Places come from a system that may have been subverted.
func TestAheadOfNothing(t *testing.T) {
	b, err := os.ReadFile("testdata/basic.wasm")
	if err != nil {
		t.Fatal(err)
	}
	var places []engine.Location
	for _, fn := range []uint32{0, 1, 2, 3, 7, 1000, math.MaxInt32, math.MaxUint32} {
		for _, pos := range []uint32{0, 1, 2, 1000, math.MaxUint32} {
			places = append(places, engine.Location{Func: fn, Pos: pos})
		}
	}
	warm(t, func(e *wazero.Engine, dir string) {
		ahead(t, e, b, dir, places)
		ahead(t, e, b, t.TempDir(), places) // without facts
		o := wazero.Ahead{Dir: dir, Places: []engine.Location{{Func: spinFunc(t, e, b), Pos: 1}}, Made: places, More: func() bool { return false }}
		if made, all, err := e.Ahead(t.Context(), b, o); err != nil || all || len(made) > 0 {
			t.Errorf("without time: made %v, all %v, %v", made, all, err)
		}
	})
}

// spinFunc is the function whose loop is its first instruction.
func spinFunc(t *testing.T, e *wazero.Engine, b []byte) uint32 {
	t.Helper()
	m, err := e.Compile(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	fn, _, _ := m.Export("spin")
	return fn
}
