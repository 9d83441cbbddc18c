package kernel

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stasis-run/stasis/internal/engine/enginetest"
	"github.com/stasis-run/stasis/internal/ktime"
)

// The CPU clock of a task runs while the task does, and not while it waits or
// stands, however it came to do so.
func TestCPUTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := make(chan struct{})
		w := begun(t, enginetest.Loop{Until: until}, enginetest.Import{Fn: sysWait}, enginetest.Loop{})
		want := func(d time.Duration) {
			t.Helper()
			settle()
			if got := time.Duration(w.task().CPUTime()); got != d || time.Duration(w.g.CPUTime()) != d {
				t.Errorf("CPU time %v, of the process %v, want %v", got, time.Duration(w.g.CPUTime()), d)
			}
		}
		w.clock.Advance(3 * time.Second) // several ticks at once
		want(3 * time.Second)
		w.clock.Advance(tickPeriod / 2)
		want(3*time.Second + tickPeriod/2)
		s := w.stop()
		w.clock.Advance(time.Hour)
		want(3*time.Second + tickPeriod/2)
		s.End()
		settle()
		w.clock.Advance(time.Second)
		want(4*time.Second + tickPeriod/2)
		close(until)
		w.wantState(Blocked)
		for range 3 { // a call made again, and interrupted again
			w.clock.Advance(time.Hour)
			s = w.stop()
			w.clock.Advance(time.Hour)
			st := w.state()
			if got := st.Processes[0].Tasks[0].CPU; got != int64(4*time.Second+tickPeriod/2) {
				t.Errorf("saved CPU time %d", got)
			}
			s.End()
			w.wantState(Blocked)
		}
		want(4*time.Second + tickPeriod/2)
		w.ev.raise(true)
		w.wantState(Running)
		w.clock.Advance(time.Second)
		want(5*time.Second + tickPeriod/2)
		_ = w.g.Signal(SIGSTOP)
		settle()
		w.clock.Advance(time.Hour)
		want(5*time.Second + tickPeriod/2)
	})
}

// More tasks than CPUs: in total the clocks advance as the CPUs do, and none
// ever goes back.
func TestCPUTimeIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, enginetest.Loop{})
		w.k.cpus = 2
		w.start()
		tasks := []*Task{w.task(), w.spawn(), w.spawn(), w.spawn()}
		settle()
		last := make([]int64, len(tasks))
		for range 100 {
			w.clock.Advance(tickPeriod / 2)
			for i, task := range tasks {
				now := task.CPUTime()
				if now < last[i] {
					t.Fatalf("a CPU clock goes back from %d to %d", last[i], now)
				}
				last[i] = now
			}
		}
		if got := time.Duration(w.g.CPUTime()); got != 100*tickPeriod {
			t.Errorf("four tasks on two CPUs had %v in %v", got, 50*tickPeriod)
		}
	})
}

func TestTickerArms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, enginetest.Loop{})
		timers := func(want int) {
			t.Helper()
			if got := w.clock.Timers(); got != want {
				t.Errorf("%d timers, want %d", got, want)
			}
		}
		timers(0)
		w.start()
		timers(1)
		for range 3 {
			w.clock.Advance(slackPeriod)
			timers(1)
		}
		if got := w.k.ticker.ticks; got != 3 {
			t.Errorf("%d ticks", got)
		}
		if n := w.thread().Unwinds(); n != 0 {
			t.Errorf("ticks unwound the guest %d times", n)
		}
		if err := w.k.Close(); err != nil {
			t.Error(err)
		}
		timers(0)
		w.k.ticker.start()
		timers(0)
	})
}

// gated is a Source whose Mono waits until it may.
type gated struct {
	ktime.Manual
	entered, gate chan struct{}
}

func (g *gated) Mono() int64 {
	if g.gate != nil {
		close(g.entered)
		<-g.gate
	}
	return g.Manual.Mono()
}

func TestCloseWaitsForTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := new(gated)
		k := New(Options{Source: src})
		k.ticker.start()
		src.entered, src.gate = make(chan struct{}), make(chan struct{})
		go src.Advance(slackPeriod)
		<-src.entered
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			k.ticker.close()
		}()
		settle()
		select {
		case <-closed:
			t.Error("closed in the midst of a tick")
		default:
		}
		close(src.gate)
		<-closed
		if n := src.Timers(); n != 0 {
			t.Errorf("%d timers are left", n)
		}
	})
}

func TestCollect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := func(w *world) {
			t.Helper()
			settle()
			w.k.tasks.mu.Lock()
			defer w.k.tasks.mu.Unlock()
			if w.k.tasks.stops != 0 {
				t.Errorf("%d stops are left", w.k.tasks.stops)
			}
			before := w.k.clocks.Monotonic()
			w.clock.Advance(1)
			if w.k.clocks.Monotonic() != before+1 {
				t.Error("the clock stands still")
			}
		}
		w := begun(t, enginetest.Loop{})
		if err := w.k.Collect(t.Context()); err != nil {
			t.Error(err)
		}
		free(w)
		w.wantState(Running)

		until := make(chan struct{})
		w = begun(t, enginetest.Deaf{Until: until}, enginetest.Loop{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.k.Collect(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		free(w)
		close(until)
		w.wantState(Running)

		w = begun(t, enginetest.Import{Fn: sysWait})
		w.stop().End()
		if err := w.k.Collect(t.Context()); err != nil {
			t.Error(err)
		}
		free(w)
		w.wantState(Blocked)
		w.g.Terminate()
		settle()
		if err := w.k.Collect(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// There is one heap: a collection stops the tasks of every kernel, and a kernel
// that starts meanwhile waits for it.
func TestCollectConcernsAllKernels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := make(chan struct{})
		a, b := begun(t, enginetest.Loop{}), begun(t, enginetest.Deaf{Until: until}, enginetest.Loop{})
		late := newWorld(t, enginetest.Loop{})
		done := make(chan error)
		go func() { done <- a.k.Collect(t.Context()) }()
		a.wantState(Stopped)
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // the lock is not the bubble's, so time stands while it is waited for
		if err := b.k.Collect(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("a second collection: %v", err)
		}
		close(until)
		late.start() // waits for the collection
		if err := <-done; err != nil {
			t.Error(err)
		}
		for _, w := range []*world{a, b, late} {
			w.wantState(Running)
		}
		if a.thread().Unwinds() != 1 || b.thread().Unwinds() != 1 {
			t.Errorf("unwound %d and %d times", a.thread().Unwinds(), b.thread().Unwinds())
		}
	})
}

// With the collector ours, the ticker collects once the heap is large enough,
// and only then.
func TestTickerCollects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer ownCollector.Store(ownCollector.Swap(true))
		w := begun(t, enginetest.Loop{})
		collectAt.Store(1 << 62)
		for range 2 * collectPeriod / tickPeriod {
			w.clock.Advance(tickPeriod)
		}
		if n := w.thread().Unwinds(); n != 0 {
			t.Errorf("%d unwinds for nothing", n)
		}
		collectAt.Store(0)
		for range collectPeriod / tickPeriod {
			w.clock.Advance(tickPeriod)
		}
		settle()
		if n := w.thread().Unwinds(); n != 1 {
			t.Errorf("%d unwinds for a collection", n)
		}
		w.wantState(Running)
	})
}
