package kernel

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stasis-run/stasis/internal/engine/enginetest"
)

// parkedWorld is a world whose first task waits for the world's event, parked.
func parkedWorld(t *testing.T, steps ...enginetest.Step) *world {
	t.Helper()
	w := begun(t, append([]enginetest.Step{enginetest.Import{Fn: sysWait}}, steps...)...)
	w.pass(defaultParkAfter)
	w.wantParked(w.task(), true)
	return w
}

// wantParked checks whether a task is parked, which nobody is told.
func (w *world) wantParked(task *Task, want bool) {
	w.t.Helper()
	settle()
	s := w.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	task.mu.Lock()
	defer task.mu.Unlock()
	if got := task.state == Parked && task.resting; got != want {
		w.t.Fatalf("parked: %v, want %v (%v)", got, want, task.state)
	}
}

func TestPark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begun(t, enginetest.Import{Fn: sysWait})
		w.clock.Advance(defaultParkAfter - 1)
		w.wantParked(w.task(), false)
		w.clock.Advance(1)
		w.wantParked(w.task(), true)
		w.wantState(Blocked)
		if n := w.thread().Parks(); n != 1 {
			t.Errorf("the thread was parked %d times", n)
		}
		w.ev.raise(true)
		w.wantExit(ExitStatus{})
		w.wantResults(Interrupted, Interrupted, Woken)
	})
}

// A task that is woken for nothing waits on, and is parked again.
func TestParkAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := parkedWorld(t)
		w.ev.raise(false)
		w.wantParked(w.task(), false)
		w.wantState(Blocked)
		w.pass(defaultParkAfter)
		w.wantParked(w.task(), true)
	})
}

// A wait whose end is near is left alone, and one that lasts ends in time.
func TestParkDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begun(t, sleepFor(2*defaultParkAfter-1), sleepFor(time.Second))
		w.pass(2*defaultParkAfter - 2)
		if n := w.thread().Parks(); n != 0 {
			t.Fatalf("parked %d times", n)
		}
		w.clock.Advance(1)
		w.pass(defaultParkAfter)
		w.wantParked(w.task(), true)
		w.clock.Advance(time.Second - defaultParkAfter - 1)
		w.wantParked(w.task(), true)
		w.clock.Advance(1)
		w.wantExit(ExitStatus{})
	})
}

// A stop of the set, and a checkpoint, leave a parked task where it is; what wakes it
// meanwhile has it stand until the stop ends.
func TestParkStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := parkedWorld(t)
		asked := w.thread().Interrupts()
		made := w.made[sysWait].Load()
		s := w.stop()
		w.wantParked(w.task(), true)
		w.wantState(Stopped)
		st := w.state()
		s.End()
		w.wantParked(w.task(), true)
		w.wantState(Blocked)
		if n := w.thread().Interrupts(); n != asked || w.made[sysWait].Load() != made {
			t.Errorf("it was asked for something, or made its call again")
		}
		s = w.stop()
		w.ev.raise(true)
		w.wantParked(w.task(), false)
		w.wantState(Stopped)
		s.End()
		w.wantExit(ExitStatus{})

		r, err := w.restored(t, st)
		if err != nil {
			t.Fatal(err)
		}
		r.ev.raise(true)
		r.start()
		r.wantExit(ExitStatus{})
	})
}

// What is asked of a parked task itself it is asked at once.
func TestParkAsked(t *testing.T) {
	for name, c := range map[string]struct {
		ask  func(w *world)
		want func(w *world)
	}{
		"killed":  {func(w *world) { _ = w.g.Signal(SIGKILL) }, func(w *world) { w.wantExit(endedBy(SIGKILL)) }},
		"stopped": {func(w *world) { w.task().BeginStop() }, func(w *world) { w.wantState(Stopped); w.task().EndStop(); w.wantState(Blocked) }},
		"by a signal": {func(w *world) { _ = w.g.Signal(SIGSTOP) }, func(w *world) {
			w.wantParked(w.task(), false)
			w.wantState(Stopped)
			_ = w.g.Signal(SIGCONT)
			w.wantState(Blocked)
			w.ev.raise(true)
			w.wantExit(ExitStatus{})
		}},
		"closed": {func(*world) {}, func(*world) {}},
	} {
		bubble(t, name, func(t *testing.T) {
			w := parkedWorld(t)
			c.ask(w)
			c.want(w)
		})
	}
}

// What comes up while a task is about to rest is not lost.
func TestParkLate(t *testing.T) {
	for name, ask := range map[string]func(w *world){
		"woken":   func(w *world) { w.ev.raise(true) },
		"killed":  func(w *world) { _ = w.g.Signal(SIGKILL) },
		"stopped": func(w *world) { w.k.tasks.BeginExternalStop().End(); w.ev.raise(true) },
	} {
		bubble(t, name, func(t *testing.T) {
			w := newWorld(t, enginetest.Import{Fn: sysWait})
			once := false
			w.thread().OnPark(func() {
				if !once {
					once = true
					ask(w)
				}
			})
			w.start()
			w.pass(defaultParkAfter)
			if !once {
				t.Fatal("it was not parked")
			}
			if _, err := w.g.Wait(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Tasks that wait at an address keep their order when they are parked.
func TestParkFutex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFutexWorld(t, -1)
		f.start()
		var waiting []*Task
		for range 3 {
			waiting = append(waiting, f.thread())
			f.pass(defaultParkAfter / 2)
		}
		f.pass(defaultParkAfter)
		for _, w := range waiting {
			f.wantParked(w, true)
		}
		line := f.k.futexes.lines[futexKey{f.g.leader.thread.Memory(), futexAddr}]
		want := []*futexWaiter{f.g.leader.waits, waiting[0].waits, waiting[1].waits, waiting[2].waits}
		if !slices.Equal(line, want) {
			t.Errorf("the line is %v, want %v", line, want)
		}
		if n := f.wake(4); n != 4 {
			t.Errorf("%d were woken", n)
		}
		f.wantExit(ExitStatus{Results: []uint64{uint64(FutexWoken)}})
		if f.looks != 4 {
			t.Errorf("the address was looked at %d times", f.looks)
		}
	})
}
