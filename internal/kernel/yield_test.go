package kernel

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stasis-run/stasis/internal/engine/enginetest"
)

// counted notes how far a thread is told to count.
type counted struct{ every int32 }

func (c *counted) SetEvery(n int32) { c.every = n }

// However long a safepoint takes, the task leaves about every Options.Yield.
func TestYield(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const period = 10 * time.Millisecond
		w := newWorldWith(t, func(o *Options) { o.Yield = period }, enginetest.Loop{})
		w.start()
		task, c := w.task(), &counted{}
		y := &yielding{counter: c, every: firstYield}
		leave := func(safepoint time.Duration) time.Duration {
			took := time.Duration(y.every) * safepoint
			y.resumed(task)
			y.since -= int64(took)
			y.unwound(task)
			return took
		}
		for _, safepoint := range []time.Duration{5, 50, 5000, 3, 1_000_000, 20} {
			var took time.Duration
			for range 16 {
				took = leave(safepoint)
			}
			if took < period/2 || took > 2*period {
				t.Errorf("at %v a safepoint, it leaves after %v", safepoint, took)
			}
		}
		for range 40 {
			leave(0)
		}
		if y.every != mostYield || c.every != y.every {
			t.Errorf("it counts to %d, at most %d", y.every, mostYield)
		}
		task.BeginStop() // it is asked to leave: that tells nothing
		settle()
		task.mu.Lock()
		task.asked = true
		task.mu.Unlock()
		if leave(1000); y.every != mostYield {
			t.Errorf("it counts to %d after it was asked", y.every)
		}
		task.EndStop()
	})
}

// A task counts where the collector is Go's own and nobody else has it count.
func TestYieldBegins(t *testing.T) {
	was := ownCollector.Load()
	defer ownCollector.Store(was)
	ownCollector.Store(false)
	for _, c := range []struct {
		yield time.Duration
		own   bool
		every int32
		want  bool
	}{{time.Second, false, 0, true}, {0, false, 0, false}, {time.Second, true, 0, false}, {time.Second, false, 3, false}} {
		ownCollector.Store(c.own)
		k := New(Options{Yield: c.yield})
		task := &Task{k: k, thread: &countedThread{}}
		task.stress.Every = c.every
		task.yield.begin(task)
		if got := task.yield.counter != nil; got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

type countedThread struct {
	enginetest.ScriptedThread
	counted
}
