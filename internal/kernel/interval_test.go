package kernel

import (
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/engine/enginetest"
)

// sends is a world whose handler notes signals and that runs for ever.
func sends(t *testing.T) *procs {
	p := handled(t, nil, enginetest.Loop{})
	p.start()
	return p
}

func (p *procs) every(sig int32, first, every time.Duration) {
	p.t.Helper()
	if _, _, err := p.g.SetInterval(sig, int64(first), int64(every)); err != nil {
		p.t.Fatal(err)
	}
}

// The first time and those after it; one signal tells of those that were missed.
func TestInterval(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := sends(t)
		p.every(SIGALRM, time.Second, 3*time.Second)
		p.every(SIGUSR1, 2*time.Second, 0)
		step := func(d time.Duration, want ...string) {
			t.Helper()
			p.mu.Lock()
			p.log = nil
			p.mu.Unlock()
			p.clock.Advance(d)
			p.wantLog(want...)
		}
		step(time.Second - 1)
		step(1, "signal 14")
		step(time.Second, "signal 10")
		step(2*time.Second - 1)
		step(1, "signal 14")
		step(11*time.Second, "signal 14") // 7, 10, 13
		if left, every := p.g.Interval(SIGALRM); left != int64(time.Second) || every != int64(3*time.Second) {
			t.Errorf("%d ns are left, of %d", left, every)
		}
		if left, was, err := p.g.SetInterval(SIGALRM, 0, 0); err != nil || left != int64(time.Second) || was != int64(3*time.Second) {
			t.Errorf("it ends with %d, %d, %v", left, was, err)
		}
		step(time.Hour)
		for _, bad := range [][3]int64{{0, 1, 0}, {65, 1, 0}, {-1, 1, 1}, {14, -1, 0}, {14, 1, -1}} {
			if _, _, err := p.g.SetInterval(int32(bad[0]), bad[1], bad[2]); err == nil {
				t.Errorf("%v was taken", bad)
			}
		}
		p.every(SIGALRM, 1<<63-1, 1<<63-1) // for ever
		step(time.Hour)
	})
}

// While the system is stopped, saved or not yet started, no time passes: what was left
// is left. A group stop is the process's alone, and time goes on.
func TestIntervalStopped(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := sends(t)
		p.every(SIGALRM, 10*time.Second, 10*time.Second)
		p.clock.Advance(4 * time.Second)
		s, again := p.stop(), p.stop()
		p.clock.Advance(time.Hour)
		s.End()
		p.clock.Advance(time.Hour)
		again.End()
		again.End()
		p.clock.Advance(6*time.Second - 1)
		p.wantLog()
		p.through()
		p.clock.Advance(time.Hour)
		p.start()
		p.wantLog()
		p.clock.Advance(1)
		p.wantLog("signal 14")
		_ = p.g.Signal(SIGSTOP)
		settle()
		p.clock.Advance(25 * time.Second)
		p.wantLog("signal 14")
		_ = p.g.Signal(SIGCONT)
		p.wantLog("signal 14", "signal 18", "signal 14") // both are set up: SIGCONT, which is caught too, runs first
	})
}

// The end of a process is that of its intervals; a child has none, a program that is
// executed keeps them.
func TestIntervalOfProcesses(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := newProcs(t, nil, nil, nil, do(0), do(1), do(2), enginetest.Loop{})
		p.calls = []guestCall{
			func(t *Task) Outcome {
				_, _, _ = t.Group().SetInterval(SIGALRM, int64(time.Second), 0)
				return Done
			},
			p.forks,
			inChild(p.execs(p.program("new", enginetest.Loop{}))),
		}
		p.start()
		child := p.child(2)
		if left, _ := child.Interval(SIGALRM); left != 0 {
			t.Errorf("the child has %d ns left", left)
		}
		if _, _, err := child.SetInterval(SIGTERM, int64(2*time.Second), 0); err != nil {
			t.Fatal(err)
		}
		p.g.SetAction(SIGALRM, SigAction{Disposition: SigIgnore})
		p.clock.Advance(time.Second)
		settle()
		if child.Exiting() || p.g.Exiting() {
			t.Fatal("somebody has ended")
		}
		_, _, _ = child.SetInterval(SIGUSR1, int64(time.Minute), 1)
		p.clock.Advance(time.Second)
		p.wantChange(WaitFor{Exited: true}, "2: 2 of 15")
		if n := len(p.k.intervals.of); n != 0 {
			t.Errorf("%d processes have intervals", n)
		}
	})
}

// An interval as short as can be does not keep the host busy.
func TestShortInterval(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := sends(t)
		p.every(SIGALRM, 1, 1)
		for range 1000 {
			p.clock.Advance(time.Microsecond)
			settle()
		}
		p.mu.Lock()
		n := len(p.log)
		p.mu.Unlock()
		if n < 5 || n > 20 {
			t.Errorf("%d signals in a millisecond", n)
		}
		p.every(SIGALRM, 0, 0)
	})
}
