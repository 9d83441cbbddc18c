package kernel

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/enginetest"
)

// A process ends at once whatever its task does.
func TestTerminate(t *testing.T) {
	cases := []struct {
		name   string
		step   enginetest.Step
		before func(*world)
	}{
		{"running", enginetest.Loop{}, func(*world) {}},
		{"blocked", enginetest.Import{Fn: sysWait}, func(*world) {}},
		{"stopped", enginetest.Loop{}, func(w *world) { w.stop() }},
		{"stopped in a wait", enginetest.Import{Fn: sysWait}, func(w *world) { w.stop() }},
		{"stopped task", enginetest.Loop{}, func(w *world) { w.task().BeginStop() }},
		{"group stop", enginetest.Loop{}, func(w *world) { _ = w.g.Signal(SIGSTOP) }},
		{"about to stop", enginetest.Loop{}, func(w *world) { w.k.tasks.BeginExternalStop() }},
	}
	for _, c := range cases {
		bubble(t, c.name, func(t *testing.T) {
			w := begun(t, c.step)
			c.before(w)
			w.g.Terminate()
			w.wantExit(ExitStatus{Signal: SIGKILL})
			w.wantState(Dead)
		})
	}
	bubble(t, "before it runs", func(t *testing.T) {
		w := newWorld(t, enginetest.Loop{})
		w.g.Terminate()
		w.start()
		w.wantExit(ExitStatus{Signal: SIGKILL})
		if w.thread().Runs() != 0 {
			t.Error("it ran")
		}
	})
}

func TestFirstEndCounts(t *testing.T) {
	bubble(t, "exit, then kill", func(t *testing.T) {
		w := begun(t, enginetest.Import{Fn: sysExit, Args: []uint64{3}}, enginetest.Loop{})
		w.g.Terminate()
		w.wantExit(ExitStatus{Code: 3})
	})
	bubble(t, "kill, then exit", func(t *testing.T) {
		until := make(chan struct{})
		w := begun(t, enginetest.Deaf{Until: until}, enginetest.Exit{})
		w.g.Terminate()
		close(until)
		w.wantExit(ExitStatus{Signal: SIGKILL})
	})
	bubble(t, "trap", func(t *testing.T) {
		w := begun(t, enginetest.Fault{Message: "unreachable"})
		w.g.Exit(4)
		w.wantExit(ExitStatus{Trap: &engine.Trap{}})
		if st, _ := w.g.Wait(t.Context()); st.Trap.Message != "unreachable" {
			t.Errorf("trap %v", st.Trap)
		}
	})
	bubble(t, "many", func(t *testing.T) {
		w := begun(t, enginetest.Loop{})
		w.spawn()
		var wg sync.WaitGroup
		seen := make([]int32, 8)
		for i := range seen {
			wg.Go(func() {
				w.g.Exit(int32(i + 1))
				st, err := w.g.Wait(t.Context())
				if err != nil {
					t.Error(err)
				}
				seen[i] = st.Code
			})
		}
		wg.Wait()
		for _, c := range seen {
			if c != seen[0] || c == 0 {
				t.Errorf("codes %v", seen)
			}
		}
	})
}

// The end of one task is the end of its process, siblings in a wait included.
func TestExitTakesSiblings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := make(chan struct{})
		w := begun(t, enginetest.Loop{Until: until}, enginetest.Import{Fn: sysExit, Args: []uint64{5}})
		a, b := w.spawn(), w.spawn()
		settle()
		close(until)
		w.wantExit(ExitStatus{Code: 5})
		settle()
		if a.State() != Dead || b.State() != Dead {
			t.Errorf("siblings are %v and %v", a.State(), b.State())
		}
	})
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begun(t, enginetest.Loop{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := w.g.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		w.g.Exit(2)
		w.wantExit(ExitStatus{Code: 2})
		if st, err := w.g.Wait(ctx); err != nil || st.Code != 2 {
			t.Errorf("after the end: %+v, %v", st, err)
		}
	})
}

// Who waits for a stop waits for those that go in spite of it, too, also before their
// goroutine has come to run: what is saved then does not change.
func TestStopWaitsForExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begun(t, enginetest.Loop{})
		stop := w.stop()
		defer stop.End()
		u := w.born()
		u.exit()
		waited := make(chan error, 1)
		go func() { waited <- stop.Wait(t.Context()) }()
		settle()
		if len(waited) > 0 {
			t.Fatal("the stop does not wait for a task that is to go")
		}
		if _, err := w.k.Save(); !errors.Is(err, ErrExiting) {
			t.Errorf("saved with a task that is to go: %v", err)
		}
		go u.run()
		if err := <-waited; err != nil {
			t.Fatal(err)
		}
		st, err := w.k.Save()
		if err != nil {
			t.Fatal(err)
		}
		defer st.Release()
		if n := len(st.Processes[0].Tasks); n != 1 {
			t.Errorf("%d tasks are saved", n)
		}
	})
}

func TestClose(t *testing.T) {
	bubble(t, "running, twice and at once", func(t *testing.T) {
		w := begun(t, enginetest.Loop{})
		s := w.stop()
		defer s.End()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := w.k.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		w.wantExit(ExitStatus{Signal: SIGKILL})
		w.task().BeginStop() // held for longer than it lived: harmless
		w.task().EndStop()
		if _, err := w.k.Save(); !errors.Is(err, ErrExiting) {
			t.Errorf("save: %v", err)
		}
	})
	bubble(t, "never started", func(t *testing.T) {
		w := newWorld(t, enginetest.Loop{})
		if err := w.k.Close(); err != nil {
			t.Error(err)
		}
		w.wantExit(ExitStatus{Signal: SIGKILL})
		if err := w.k.Start(); !errors.Is(err, ErrClosed) {
			t.Errorf("start: %v", err)
		}
	})
	bubble(t, "without a process", func(t *testing.T) {
		k := New(Options{})
		if err := k.Start(); !errors.Is(err, ErrNoProcess) {
			t.Errorf("start: %v", err)
		}
		if err := k.Collect(t.Context()); err != nil {
			t.Error(err)
		}
		if err := k.Close(); err != nil {
			t.Error(err)
		}
		m := &enginetest.Scripted{}
		if _, err := k.CreateProcess(t.Context(), m, ProcessOptions{Entry: "main"}); !errors.Is(err, ErrClosed) {
			t.Errorf("create: %v", err)
		}
		if m.Open() != 0 {
			t.Error("a thread is left")
		}
	})
	bubble(t, "while others end it", func(t *testing.T) {
		for range 50 {
			w := newWorld(t, enginetest.Loop{})
			var wg sync.WaitGroup
			wg.Go(w.g.Terminate)
			wg.Go(func() { _ = w.k.Start() })
			wg.Go(func() { _ = w.k.Close() })
			wg.Go(func() { w.k.tasks.BeginExternalStop().End() })
			wg.Go(func() { _, _ = w.k.Save() })
			wg.Wait()
		}
	})
}

func TestCreateProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, enginetest.Loop{})
		if _, err := w.k.CreateProcess(t.Context(), w.mod, ProcessOptions{Entry: "main"}); !errors.Is(err, ErrStarted) {
			t.Errorf("second process: %v", err)
		}
		if w.mod.Open() != 1 {
			t.Error("the second process left a thread")
		}
		w.start()
		if err := w.k.Start(); !errors.Is(err, ErrStarted) {
			t.Errorf("second start: %v", err)
		}
		k := New(Options{Calls: w.calls()})
		for _, c := range []struct {
			want string
			m    *enginetest.Scripted
			o    ProcessOptions
		}{
			{"import t.zap: there is no such system call", &enginetest.Scripted{Calls: []engine.Import{{Module: "t", Name: "zap"}}}, ProcessOptions{Entry: "main"}},
			{"import t.sleep: its type is [i64] -> [], not [] -> []", &enginetest.Scripted{Calls: []engine.Import{{Module: "t", Name: "sleep"}}}, ProcessOptions{Entry: "main"}},
			{`the module exports no function "_start"`, &enginetest.Scripted{}, ProcessOptions{Entry: "_start"}},
			{`function "main" takes 0 arguments, not 1`, &enginetest.Scripted{}, ProcessOptions{Entry: "main", EntryArgs: []uint64{1}}},
		} {
			_, err := k.CreateProcess(t.Context(), c.m, c.o)
			if err == nil || err.Error() != c.want {
				t.Errorf("error %v, want %s", err, c.want)
			}
		}
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestCallTable(t *testing.T) {
	table := new(world).calls()
	all := table.All()
	for i := 1; i < len(all); i++ {
		if all[i-1].Name >= all[i].Name {
			t.Errorf("%s before %s", all[i-1].Name, all[i].Name)
		}
	}
	wantPanic(t, "t.a is there twice", func() { NewCallTable([]Call{{Module: "t", Name: "a"}, {Module: "t", Name: "a"}}) })
}
