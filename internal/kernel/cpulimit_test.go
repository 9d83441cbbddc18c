package kernel

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stasis-run/stasis/internal/engine/enginetest"
)

// wantLimit waits for the end by the limit on CPU time.
func (w *world) wantLimit() {
	w.t.Helper()
	w.wantExit(ExitStatus{Signal: SIGXCPU})
	if st, _ := w.g.Wait(w.t.Context()); st.Limit != LimitCPUTime || !st.Core {
		w.t.Errorf("status %+v", st)
	}
}

func cpuTime(d time.Duration) func(*Options) { return func(o *Options) { o.CPUTime = d } }

// A process ends when its CPU time is used up, and a system that was saved in
// between has what is left; time for which it waits or stands is not counted.
func TestCPUTimeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := make(chan struct{})
		w := newWorldWith(t, cpuTime(time.Second), enginetest.Import{Fn: sysWait}, enginetest.Loop{Until: until}, enginetest.Loop{})
		w.start()
		w.pass(2 * time.Second)
		w.wantState(Blocked)
		w.ev.raise(true)
		w.wantState(Running)
		w.pass(300 * time.Millisecond)
		s := w.stop()
		w.pass(2 * time.Second)
		s.End()
		w.wantState(Running)
		w.pass(300 * time.Millisecond)
		st := w.saved()

		w.pass(400*time.Millisecond - 1)
		w.wantState(Running)
		w.pass(slackPeriod) // it woke between two ticks
		w.wantLimit()

		n, err := w.restored(t, st)
		if err != nil {
			t.Fatal(err)
		}
		n.start()
		n.pass(400*time.Millisecond - 1)
		n.wantState(Running)
		n.pass(1)
		n.wantLimit() // to the ns: it ran all the time

		w.opts = cpuTime(time.Millisecond) // the limit is the restorer's
		if n, err = w.restored(t, st); err != nil {
			t.Fatal(err)
		}
		n.start()
		n.pass(minTick)
		n.wantLimit()

		w.opts = nil
		if n, err = w.restored(t, st); err != nil {
			t.Fatal(err)
		}
		n.start()
		n.pass(3 * time.Second)
		n.wantState(Running)
	})
}

// Tasks use the time of their process together.
func TestCPUTimeLimitOfTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldWith(t, cpuTime(300*time.Millisecond), enginetest.Loop{})
		w.k.cpus = 4
		w.start()
		w.spawn()
		w.spawn()
		w.pass(100*time.Millisecond - 1)
		w.wantState(Running)
		w.pass(1)
		w.wantLimit()
	})
}

// The time that is left is waited for in one go, not polled.
func TestCPUTimeLimitTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldWith(t, cpuTime(10*slackPeriod+slackPeriod/2), enginetest.Loop{})
		w.start()
		w.pass(11 * slackPeriod)
		w.wantLimit()
		if got := w.k.ticker.ticks; got != 11 {
			t.Errorf("%d ticks", got)
		}
		if n := w.thread().Interrupts(); n != 1 {
			t.Errorf("the guest was asked %d times", n)
		}
	})
}

func cpus(n MilliCPUs) func(*Options) { return func(o *Options) { o.CPUs = n } }

// wantCPU checks what the process had, give or take half of a period.
func (w *world) wantCPU(want time.Duration) {
	w.t.Helper()
	settle()
	got := time.Duration(w.g.CPUTime())
	if d := got - want; d < -quotaPeriod/2 || d > quotaPeriod/2 {
		w.t.Errorf("CPU time %v, want %v", got, want)
	}
}

func TestQuota(t *testing.T) {
	for _, c := range []struct {
		name  string
		cpus  MilliCPUs
		tasks int
		want  time.Duration // in a second
	}{
		{"half of one", 500, 1, time.Second / 2},
		{"a hundredth", 10, 1, time.Second / 100},
		{"less is a hundredth", 1, 1, time.Second / 100},
		{"more than it takes", 1500, 1, time.Second},
		{"two for three", 2000, 3, 2 * time.Second},
		{"a quarter for three", 250, 3, time.Second / 4},
		{"no limit", 0, 2, 2 * time.Second},
	} {
		bubble(t, c.name, func(t *testing.T) {
			w := newWorldWith(t, cpus(c.cpus), enginetest.Loop{})
			w.k.cpus = 4
			w.start()
			for range c.tasks - 1 {
				w.spawn()
			}
			for i := range time.Duration(5) {
				w.pass(time.Second)
				w.wantCPU((i + 1) * c.want)
			}
			if n := w.thread().Unwinds(); n > 51 {
				t.Errorf("unwound %d times in %d periods", n, 5*time.Second/quotaPeriod)
			}
			if got := w.k.clocks.Monotonic(); got != int64(5*time.Second) {
				t.Errorf("the monotonic clock is at %d", got)
			}
			w.wantState(Running)
		})
	}
}

// A quota that is used up and a saved system: the restored one begins a period
// of its own.
func TestQuotaIsNotSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldWith(t, cpus(100), enginetest.Loop{})
		w.start()
		w.pass(20 * time.Millisecond)
		if w.inGuest() {
			t.Fatal("the guest runs beyond its quota")
		}
		w.wantCPU(10 * time.Millisecond)
		n, err := w.restored(t, w.saved())
		if err != nil {
			t.Fatal(err)
		}
		n.start()
		if !n.inGuest() {
			t.Error("the restored guest does not run")
		}
		n.pass(time.Second)
		n.wantCPU(110 * time.Millisecond)
	})
}

// A process without CPU time left in its period ends at once all the same.
func TestQuotaAndExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldWith(t, cpus(10), enginetest.Loop{})
		w.start()
		w.pass(20 * time.Millisecond)
		if w.inGuest() {
			t.Fatal("the guest runs beyond its quota")
		}
		_ = w.g.Signal(SIGTERM)
		w.wantExit(ExitStatus{Signal: SIGTERM})
	})
}

// A call that waits is not disturbed by a quota; if its wait ends, the guest
// stands at its next safepoint.
func TestQuotaAndBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begun(t, enginetest.Import{Fn: sysWait}, enginetest.Loop{})
		w.k.tasks.throttle(true)
		w.k.tasks.throttle(true)
		w.wantState(Blocked)
		w.ev.raise(true)
		w.wantState(Running)
		if w.inGuest() {
			t.Error("the guest runs")
		}
		w.k.tasks.throttle(false)
		if !w.inGuest() {
			t.Error("the guest does not run")
		}
		if w.made[sysWait].Load() != 1 || len(w.results) != 1 || w.results[0] != Woken {
			t.Errorf("the call was made %d times: %v", w.made[sysWait].Load(), w.results)
		}
	})
}

func TestQuotaCharge(t *testing.T) {
	const ms = time.Millisecond
	q := quota{share: 20 * ms}
	q.begin(0)
	for i, c := range []struct {
		now, used time.Duration
		over      bool
		left      time.Duration
		next      time.Duration // with two running
	}{
		{10 * ms, 5 * ms, false, 15 * ms, 7*ms + ms/2},
		{30 * ms, 25 * ms, true, -10 * ms, 70 * ms},
		{100 * ms, 0, false, 10 * ms, 5 * ms},
		{199 * ms, 0, false, 10 * ms, 1 * ms},
		{350 * ms, 0, false, 20 * ms, 10 * ms},             // what is left is lost
		{399 * ms, 60 * ms, true, -40 * ms, 1 * ms},        // owed
		{400 * ms, 0, true, -20 * ms, 100 * ms},            // for two periods
		{500 * ms, 0, true, 0, 100 * ms},                   //
		{600 * ms, 0, false, 20 * ms, 10 * ms},             //
		{1000 * ms, 3600e3 * ms, true, -20 * ms, 100 * ms}, // owes 100 ms at most, and four periods go by
		{3600e3 * ms, 0, false, 20 * ms, 10 * ms},          //
		{3600e3*ms + 1, ms, false, 19 * ms, 9*ms + ms/2},
	} {
		over := q.charge(int64(c.now), c.used)
		if over != c.over || q.left != c.left || q.next(int64(c.now), 2) != c.next {
			t.Errorf("%d: over %v, left %v, next %v; want %v, %v, %v", i, over, q.left, q.next(int64(c.now), 2), c.over, c.left, c.next)
		}
	}
}
