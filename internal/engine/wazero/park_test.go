package wazero_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/instrument"
)

// What an instance holds is there when the thread was saved and made anew, was
// parked, or was saved while it was parked; each at every safepoint and call.
func TestInstanceStays(t *testing.T) {
	plain := compileFile(t, "instance", wazero.Options{})
	for _, mode := range modes {
		for _, all := range []bool{true, false} {
			m := compileFile(t, "instance", wazero.Options{Pass: instrument.Options{Counted: true}, Interpret: mode.interpret, ParkAll: all})
			for _, name := range []string{"data", "elem", "kept"} {
				want := call(t, plain, name, nil, 0, false)
				_, memory := parkedCall(t, m, name, false, false)
				for how, parks := range map[string][2]bool{"parked": {true, false}, "saved": {false, true}, "both": {true, true}} {
					got, b := parkedCall(t, m, name, parks[0], parks[1])
					if got != want {
						t.Errorf("%s, %s, %s, all %v: got %s, want %s", mode.name, name, how, all, got, want)
					}
					if !bytes.Equal(b, memory) { // the guest's own view is in what it tells
						t.Errorf("%s, %s, %s, all %v: the host sees another memory, of %d bytes", mode.name, name, how, all, len(b))
					}
				}
			}
		}
	}
}

// parkedCall runs an export with an unwind at each safepoint and before each call; at
// each the thread is parked, or saved and made anew, or both. It returns what there is to
// tell, and the memory.
func parkedCall(t *testing.T, m engine.Module, name string, park, save bool) (string, []byte) {
	t.Helper()
	e := &env{unwind: true}
	th := countedThread(t, m, e, nil)
	defer func() { th.Close() }()
	fn, _, _ := m.Export(name)
	if err := th.Start(fn, nil); err != nil {
		t.Fatal(err)
	}
	results, trap := runToEnd(t, th, e, func(old engine.Thread) engine.Thread {
		for range 2 { // the second time there is nothing to do
			if !park {
				break
			}
			if err := old.Park(); err != nil {
				t.Fatal(err)
			}
		}
		if !save {
			return old
		}
		st, err := old.Save()
		if err != nil {
			t.Fatal(err)
		}
		th = countedThread(t, m, e, st)
		copy(th.Memory().Bytes(), old.Memory().Bytes())
		old.Close()
		return th
	})
	return told(results, e, trap), bytes.Clone(th.Memory().Bytes())
}

// countedThread makes a thread that unwinds at each safepoint.
func countedThread(t *testing.T, m engine.Module, h engine.Host, st *engine.State) engine.Thread {
	t.Helper()
	th, err := m.New(context.Background(), h, engine.Limits{}, st)
	if err != nil {
		t.Fatal(err)
	}
	th.(threadFace).SetEvery(1)
	return th
}

// A thread that is asked to unwind while it is parked does so when it runs, and one
// that was told not to does not.
func TestParkedInterrupt(t *testing.T) {
	m := compileFile(t, "basic", wazero.Options{ParkAll: true})
	th, err := m.New(context.Background(), &env{}, engine.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer th.Close()
	fn, _, _ := m.Export("fib")
	if err := th.Start(fn, []uint64{10}); err != nil {
		t.Fatal(err)
	}
	th.Interrupt()
	if ev := th.Run(context.Background()); ev.Kind != engine.Unwound {
		t.Fatalf("%+v", ev)
	}
	for _, asks := range []bool{true, false} {
		th.Clear()
		if err := th.Park(); err != nil {
			t.Fatal(err)
		}
		th.Interrupt()
		if !asks {
			th.Clear()
		}
		ev := th.Run(context.Background())
		if got := ev.Kind == engine.Unwound; got != asks {
			t.Fatalf("asked %v: %+v", asks, ev)
		}
	}
}
