package kernel

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/enginetest"
	"github.com/stasis-run/stasis/internal/vfs"
)

// newTown makes a world whose kernel loads programs, all of which do steps.
func newTown(t *testing.T, steps ...enginetest.Step) (w *world, program *enginetest.Scripted) {
	source := []byte("program")
	program = &enginetest.Scripted{
		Calls: imports(), Sum: sha256.Sum256(source), Others: []enginetest.Script{{Name: ExecEntry, Steps: steps}},
	}
	t.Cleanup(func() {
		if n := program.Open(); n != 0 {
			t.Errorf("%d threads of programs are not closed", n)
		}
	})
	w = newWorldWith(t, func(o *Options) {
		o.Load = func(context.Context, []byte) (engine.Module, error) { return program, nil }
	}, enginetest.Loop{})
	return w, program
}

func (w *world) exec() (*ThreadGroup, error) {
	return w.k.Exec(w.t.Context(), []byte("program"), ProcessOptions{Args: []string{"program"}, Files: vfs.NewFDTable(4)})
}

func TestExecFromOutside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := newTown(t, enginetest.Loop{})
		if _, err := w.exec(); !errors.Is(err, ErrNotStarted) {
			t.Errorf("before the start: %v", err)
		}
		w.start()
		g, err := w.exec()
		if err != nil {
			t.Fatal(err)
		}
		settle()
		group, session := g.JobIDs()
		if g.ID() != 2 || g.Parent() != 1 || group != 2 || session != 2 {
			t.Errorf("pid %d, parent %d, group %d, session %d", g.ID(), g.Parent(), group, session)
		}
		w.clock.Advance(time.Second)
		settle()
		got := w.k.List()
		if len(got) != 2 || got[1].State != Running || got[1].CPU != int64(time.Second) || got[1].Tasks != 1 || got[1].Args[0] != "program" {
			t.Errorf("%+v", got)
		}
		if _, _, err := w.g.WaitChild(WaitFor{Exited: true}); !errors.Is(err, ErrNoChild) {
			t.Errorf("the first process waits for it: %v", err)
		}
		st := w.saved()
		if len(st.Processes) != 2 || !st.Processes[1].Entered {
			t.Errorf("saved: %+v", st.Processes)
		}
		if err := g.Signal(SIGTERM); err != nil {
			t.Fatal(err)
		}
		settle()
		if x, err := g.Wait(t.Context()); err != nil || x.Signal != SIGTERM {
			t.Errorf("ended by %+v, %v", x, err)
		}
		if _, ok := w.k.Tasks().Process(2); ok {
			t.Error("nobody waits for it, and it is still there")
		}
		if got := w.k.Stats(); got.CPU != int64(2*time.Second) || got.Processes != 1 || w.g.signals.queue.set != 0 {
			t.Errorf("after its end: %+v, pending %v", got, w.g.signals.queue.set)
		}
	})
}

// One that a stop finds there stands; one that comes during a stop begins after it.
func TestExecWhileStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, program := newTown(t, enginetest.Loop{})
		w.start()
		stop := w.stop()
		g, err := w.exec()
		if err != nil {
			t.Fatal(err)
		}
		settle()
		if n := program.Threads()[0].Runs(); n != 0 {
			t.Error("it runs during the stop")
		}
		if err := stop.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		stop.End()
		settle()
		if n := program.Threads()[0].Runs(); n != 1 || g.Exiting() {
			t.Errorf("it ran %d times after the stop", n)
		}
	})
}

// Whatever comes first, the end of the system or a process from outside: there is a
// process that ends with the system, or an error; no task and no thread is left.
func TestExecRacesWithExit(t *testing.T) {
	for i := range 300 {
		began := 0
		synctest.Test(t, func(t *testing.T) {
			w, _ := newTown(t, enginetest.Loop{})
			w.start()
			var wg sync.WaitGroup
			var mu sync.Mutex
			for range 4 {
				wg.Go(func() {
					for {
						g, err := w.exec()
						if errors.Is(err, ErrExiting) || errors.Is(err, ErrClosed) {
							return
						}
						if err != nil {
							t.Error(err)
							return
						}
						mu.Lock()
						began++
						mu.Unlock()
						if x, err := g.Wait(t.Context()); err != nil || x.Signal != SIGKILL {
							t.Errorf("%+v, %v", x, err)
						}
					}
				})
			}
			if i%3 == 0 {
				settle()
			}
			if i%2 == 0 {
				w.g.Exit(3)
			} else if err := w.k.Close(); err != nil {
				t.Error(err)
			}
			wg.Wait()
			settle()
			if x, err := w.g.Wait(t.Context()); err != nil || i%2 == 0 && x.Code != 3 {
				t.Errorf("%+v, %v", x, err)
			}
			if s := w.k.tasks; s.making != 0 || s.live != 0 || s.running != 0 {
				t.Errorf("%d tasks are being made, %d live, %d processes run", s.making, s.live, s.running)
			}
		})
		if i%3 == 0 && began != 4 {
			t.Errorf("%d processes were begun", began)
		}
	}
}

func TestListStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := newTown(t, enginetest.Import{Fn: sysWait})
		w.start()
		g, err := w.exec()
		if err != nil {
			t.Fatal(err)
		}
		want := func(first, second RunState, held int) {
			t.Helper()
			settle()
			got := w.k.List()
			if len(got) != 2 || got[0].State != first || got[1].State != second || w.k.Stats().Held != held {
				t.Errorf("%+v, %+v", got, w.k.Stats())
			}
		}
		want(Running, Blocked, 0)
		_ = w.g.Signal(SIGSTOP)
		want(Stopped, Blocked, 1)
		_ = g.Signal(SIGSTOP)
		want(Stopped, Stopped, 2)
		_ = w.g.Signal(SIGCONT)
		_ = g.Signal(SIGCONT)
		want(Running, Blocked, 0)
	})
}
