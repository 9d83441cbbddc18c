package kernel

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stasis-run/stasis/internal/engine/enginetest"
)

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if got := New(Options{}).Stats(); got.CPU != 0 || got.Memory != 0 || got.Tasks != [Dead + 1]int{} {
			t.Errorf("without a process: %+v", got)
		}
		w := newWorld(t, enginetest.Loop{})
		w.k.cpus = 4
		want := func(cpu time.Duration, memory int64, states ...RunState) {
			t.Helper()
			settle()
			got := w.k.Stats()
			want := Stats{At: w.clock.Mono(), CPU: int64(cpu), Memory: memory}
			if memory > 0 {
				want.Processes = 1
			}
			for _, s := range states {
				want.Tasks[s]++
			}
			if got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		}
		want(0, 1024, Created)
		w.start()
		w.spawn().BeginStop()
		settle()
		w.clock.Advance(time.Second)
		want(time.Second, 1024, Running, Stopped) // one memory for both
		if n := w.g.leader.thread.Unwinds(); n != 0 {
			t.Errorf("the guest was unwound %d times", n)
		}
		w.k.tasks.throttle(true)
		want(time.Second, 1024, Running, Stopped)
		_ = w.g.Signal(SIGKILL)
		want(time.Second, 0, Dead, Dead)
		if err := w.k.Close(); err != nil {
			t.Error(err)
		}
		want(0, 0)
	})
}
