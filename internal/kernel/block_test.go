package kernel

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stasis-run/stasis/internal/engine/enginetest"
)

func sleepFor(d time.Duration) enginetest.Import {
	return enginetest.Import{Fn: sysSleep, Args: []uint64{uint64(d)}}
}

func (w *world) wantResults(want ...BlockResult) {
	w.t.Helper()
	settle()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.results, want) {
		w.t.Errorf("Block returned %v, want %v", w.results, want)
	}
}

func TestBlockWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begun(t, enginetest.Import{Fn: sysWait}, enginetest.Loop{})
		w.wantState(Blocked)
		w.ev.raise(false) // for nothing
		w.wantState(Blocked)
		w.ev.raise(true)
		w.wantState(Running)
		w.wantResults(Woken)
	})
}

// What is there before the wait is registered is seen.
func TestBlockReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, enginetest.Import{Fn: sysWait})
		w.ev.raise(true)
		w.start()
		w.wantExit(ExitStatus{})
		w.wantResults(Woken)
	})
}

func TestBlockTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := awake(t, sleepFor(time.Second))
		w.clock.Advance(time.Second - 1)
		w.wantState(Blocked)
		w.clock.Advance(1)
		w.wantExit(ExitStatus{})
		w.wantResults(TimedOut)
		w = awake(t, sleepFor(0))
		w.wantExit(ExitStatus{})
	})
}

// A stop in a wait: the call is made again after it, with the time that was
// left; the clock stands still meanwhile, however often it is stopped.
func TestBlockKeepsTimeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := awake(t, sleepFor(10*time.Second))
		for range 9 {
			w.clock.Advance(time.Second)
			s := w.stop()
			if r := w.task().restart; !r.Set || r.Deadline != int64(10*time.Second) {
				t.Errorf("restart block %+v", r)
			}
			w.clock.Advance(time.Hour)
			w.wantState(Stopped)
			s.End()
			w.wantState(Blocked)
		}
		w.clock.Advance(time.Second - 1)
		w.wantState(Blocked)
		w.clock.Advance(1)
		w.wantExit(ExitStatus{})
		if w.made[sysSleep].Load() != 10 || w.task().restart.Set {
			t.Errorf("made %d times, restart block %+v", w.made[sysSleep].Load(), w.task().restart)
		}
	})
}

// What is asked before the wait is registered interrupts it.
func TestBlockAskedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w *world
		w = newWorld(t, enginetest.Do(func(*enginetest.ScriptedThread) { w.task().BeginStop() }), enginetest.Import{Fn: sysWait})
		w.start()
		w.wantState(Stopped)
		w.task().EndStop()
		w.wantState(Blocked)
	})
}

// A clock that stands still while no task is asked for anything: the timer
// comes, and the task waits on.
func TestBlockFrozenClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := awake(t, sleepFor(time.Minute))
		w.clock.Advance(10 * time.Second)
		w.k.clocks.Freeze()
		w.clock.Advance(time.Hour)
		w.wantState(Blocked)
		w.k.clocks.Thaw()
		w.clock.Advance(40 * time.Second)
		w.wantState(Blocked)
		// The wait was armed anew during the freeze, for all that was left.
		w.clock.Advance(10 * time.Second)
		w.wantExit(ExitStatus{})
		w.wantResults(TimedOut)
	})
}

// A stop that has ended before the task sees it still interrupts the wait; the
// call is made again and nothing else happens.
func TestBlockShortStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begun(t, enginetest.Import{Fn: sysWait})
		w.k.tasks.BeginExternalStop().End()
		w.wantState(Blocked)
		w.ev.raise(true)
		w.wantExit(ExitStatus{})
	})
}
