package wazero_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/instrument"
)

// aside runs another call on the thread while its stack is off, and puts the stack
// back as put has it.
func aside(t *testing.T, m engine.Module, th engine.Thread, put func(engine.Stack) engine.Stack) {
	t.Helper()
	depth := th.Depth()
	off := th.Detach()
	if th.Depth() != 0 || off.Depth() != depth {
		t.Fatalf("a stack of %d frames was taken off, %d of %d are left", off.Depth(), th.Depth(), depth)
	}
	fn, _, _ := m.Export("fib")
	if err := th.Start(fn, []uint64{6}); err != nil {
		t.Fatal(err)
	}
	for {
		ev := th.Run(context.Background())
		if ev.Kind == engine.Exited {
			if !slices.Equal(ev.Results, []uint64{8}) {
				t.Fatalf("fib(6) on a stack of its own: %v", ev.Results)
			}
			break
		}
		if ev.Kind != engine.Unwound {
			t.Fatal(ev.Trap)
		}
	}
	th.Attach(put(off))
	if th.Depth() != depth {
		t.Fatalf("%d of %d frames came back", th.Depth(), depth)
	}
}

// TestStackAside takes the stack off at each safepoint and before each call, runs
// something else, and puts the stack back: itself, a copy, or one that was saved.
func TestStackAside(t *testing.T) {
	plain := compile(t, wazero.Options{})
	for _, mode := range modes {
		m := compile(t, wazero.Options{Pass: instrument.Options{Counted: true}, Interpret: mode.interpret})
		for _, c := range basicCalls {
			want := call(t, plain, c.name, c.args, 0, false)
			e := &env{unwind: true}
			th, err := m.New(context.Background(), e, engine.Limits{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			fn, _, _ := m.Export(c.name)
			th.(threadFace).SetEvery(1)
			if err := th.Start(fn, c.args); err != nil {
				t.Fatal(err)
			}
			n := 0
			results, trap := runToEnd(t, th, e, func(th engine.Thread) engine.Thread {
				n++
				aside(t, m, th, func(s engine.Stack) engine.Stack { return putBack(t, th, s, n) })
				return th
			})
			got := fmt.Sprint(results, e.log)
			if trap != nil {
				got += " trap " + trap.Message + "\n" + trap.Stack()
			}
			if got != want {
				t.Errorf("%s, %s: got %s, want %s", mode.name, c.name, got, want)
			}
			th.Close()
		}
	}
}

func putBack(t *testing.T, th engine.Thread, s engine.Stack, n int) engine.Stack {
	switch n % 3 {
	case 0:
		return s
	case 1:
		c := s.Copy()
		s.Drop()
		return c
	}
	saved := s.Save()
	s.Drop()
	out, err := th.RestoreStack(&saved)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestReturned saves a thread whose call has returned and that has not gone on.
func TestReturned(t *testing.T) {
	m := compile(t, wazero.Options{Pass: instrument.Options{Counted: true}})
	want := call(t, m, "nest", []uint64{6}, 0, false)
	e := &env{unwind: true}
	th, err := m.New(context.Background(), e, engine.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { th.Close() }()
	fn, _, _ := m.Export("nest")
	if err := th.Start(fn, []uint64{6}); err != nil {
		t.Fatal(err)
	}
	saves := 0
	results, trap := runToEnd(t, th, e, func(old engine.Thread) engine.Thread {
		fn, args, ok := old.Pending()
		if !ok {
			return old
		}
		s := append(slices.Clone(args), 0)
		e.answer(fn, s)
		old.Complete(s[:len(m.Imports()[fn].Type.Results)])
		st, err := old.Save()
		if err != nil {
			t.Fatal(err)
		}
		next, err := m.New(context.Background(), e, engine.Limits{}, st)
		if err != nil {
			t.Fatalf("restore: %v", err)
		}
		copy(next.Memory().Bytes(), old.Memory().Bytes())
		old.Close()
		th = next
		saves++
		return next
	})
	if got := fmt.Sprint(results, e.log); trap != nil || got != want || saves == 0 {
		t.Errorf("got %s after %d saves, want %s; trap %v", got, saves, want, trap)
	}
}

func TestReturnedErrors(t *testing.T) {
	m := compile(t, wazero.Options{Pass: instrument.Options{Counted: true}})
	th, err := m.New(context.Background(), &env{unwind: true}, engine.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer th.Close()
	fn, _, _ := m.Export("nest")
	if err := th.Start(fn, []uint64{6}); err != nil {
		t.Fatal(err)
	}
	for _, _, ok := th.Pending(); !ok; _, _, ok = th.Pending() {
		if ev := th.Run(context.Background()); ev.Kind != engine.Unwound {
			t.Fatalf("no call: %v", ev.Kind)
		}
	}
	st, err := th.Save()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(*engine.State)
		want   string
	}{
		{"pending and returned", func(st *engine.State) { st.Returned = []uint64{1} }, "is pending and has returned"},
		{"too many results", func(st *engine.State) { st.Pending, st.Returned = nil, []uint64{1, 2, 3} }, "words of results"},
		{"no i32", func(st *engine.State) { st.Pending, st.Returned = nil, []uint64{1 << 40} }, "results"},
		{"results of nothing", func(st *engine.State) { st.Pending, st.Frames, st.Returned = nil, nil, []uint64{1} }, "results without a call"},
	} {
		bad := *st
		c.change(&bad)
		if _, err := m.New(context.Background(), &env{}, engine.Limits{}, &bad); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one about %q", c.name, err, c.want)
		}
	}
}

func TestStackPointer(t *testing.T) {
	m := compile(t, wazero.Options{})
	th, err := m.New(context.Background(), &env{}, engine.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer th.Close()
	if p, ok := th.StackPointer(); ok {
		t.Errorf("a module that has none has the stack pointer %#x", p)
	}
	th.SetStackPointer(1) // no harm
	if _, ok := th.TableFunc(1 << 30); ok {
		t.Error("a function far beyond the table")
	}
}

// Stacks are dropped while the thread runs: by a task that has lent it and ends.
func TestDropMeanwhile(t *testing.T) {
	m := compile(t, wazero.Options{})
	th, err := m.New(context.Background(), &env{}, engine.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer th.Close()
	own := th.Detach()
	var copies []engine.Stack
	for range 1000 {
		copies = append(copies, own.Copy())
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, c := range copies {
			c.Drop()
		}
	})
	for range 1000 {
		th.Attach(own)
		own = th.Detach()
	}
	wg.Wait()
}
