package kernel

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stasis-run/stasis/internal/engine/enginetest"
)

func TestStopOfTheSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := make(chan struct{})
		w := begun(t, enginetest.Loop{Until: until}, enginetest.Import{Fn: sysValue})
		w.wantState(Running)
		a := w.stop()
		w.wantState(Stopped)
		b := w.stop()
		runs := w.thread().Runs()
		a.End()
		a.End() // is once
		w.wantState(Stopped)
		if got := w.thread().Runs(); got != runs {
			t.Errorf("the guest ran %d times while stopped", got-runs)
		}
		b.End()
		w.wantState(Running)
		if w.thread().Runs() != runs+1 {
			t.Error("the guest was not resumed once")
		}
		close(until)
		w.wantExit(ExitStatus{})
		if st, _ := w.g.Wait(t.Context()); len(st.Results) != 1 || st.Results[0] != 7 {
			t.Errorf("results %v", st.Results)
		}
	})
}

func TestStopOfATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begun(t, enginetest.Loop{})
		other := w.spawn()
		settle()
		w.task().BeginStop()
		w.task().BeginStop()
		w.wantState(Stopped)
		if got := other.State(); got != Running {
			t.Errorf("the other task is %v", got)
		}
		s := w.stop()
		if got := other.State(); got != Stopped {
			t.Errorf("the other task is %v", got)
		}
		w.task().EndStop()
		s.End()
		w.wantState(Stopped)
		w.task().EndStop()
		w.wantState(Running)
	})
}

func wantPanic(t *testing.T, text string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), text) {
			t.Errorf("panic %v, want one about %q", r, text)
		}
	}()
	f()
}

func TestStopUnderflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		wantPanic(t, "stops of a task fell below zero", w.task().EndStop)
		wantPanic(t, "stops of the task set fell below zero", (&ExternalStop{set: w.k.tasks}).End)
		s := w.k.tasks
		s.mu.Lock()
		defer s.mu.Unlock()
		w.task().beginInternalStopLocked(GroupStop{SIGSTOP})
		wantPanic(t, "two internal stops", func() { w.task().beginInternalStopLocked(GroupStop{SIGSTOP}) })
	})
}

func TestStopBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, enginetest.Exit{})
		s := w.stop() // at rest: there is no goroutine yet
		w.start()
		w.wantState(Stopped)
		if n := w.thread().Runs(); n != 0 {
			t.Errorf("the guest ran %d times", n)
		}
		s.End()
		w.wantExit(ExitStatus{})
	})
}

func TestStopCoversLaterTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begun(t, enginetest.Loop{})
		s := w.stop()
		later := w.spawn()
		settle()
		if got := later.State(); got != Stopped || w.thread().Runs() != 0 {
			t.Errorf("a task made during the stop is %v and ran %d times", got, w.thread().Runs())
		}
		if ids := []TaskID{w.task().ID(), later.ID()}; ids[0] != 1 || ids[1] != 2 || w.g.ID() != 1 {
			t.Errorf("ids %v", ids)
		}
		s.End()
		settle()
		if got := later.State(); got != Running {
			t.Errorf("afterwards it is %v", got)
		}
	})
}

// A guest that comes to no safepoint: the wait has an end, the stop still
// counts, and ending it leaves nothing behind.
func TestStopDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := make(chan struct{})
		w := begun(t, enginetest.Deaf{Until: until}, enginetest.Loop{})
		s := w.k.tasks.BeginExternalStop()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := s.Wait(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 still run") {
			t.Errorf("error %v", err)
		}
		close(until)
		if err := s.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		w.wantState(Stopped)
		if err := s.Wait(ctx); err != nil {
			t.Errorf("all stand, and the wait with a context that is done says %v", err)
		}
		s.End()
		w.wantState(Running)
	})
}

// Stops are begun, waited for and ended at once by many; while anyone holds
// one, nothing runs.
func TestManyStopsAtOnce(t *testing.T) {
	for _, step := range []struct {
		name string
		enginetest.Step
	}{{"loop", enginetest.Loop{}}, {"blocked", enginetest.Import{Fn: sysWait}}} {
		bubble(t, step.name, func(t *testing.T) {
			w := begun(t, step.Step)
			w.spawn()
			settle()
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for range 50 {
						s := w.k.tasks.BeginExternalStop()
						if err := s.Wait(t.Context()); err != nil {
							t.Error(err)
						}
						for _, task := range w.k.tasks.All() {
							if got := task.State(); got != Stopped {
								t.Errorf("a task is %v", got)
							}
						}
						s.End()
					}
				})
			}
			wg.Wait()
			settle()
			for _, task := range w.k.tasks.All() {
				if got := task.State(); got != Running && got != Blocked {
					t.Errorf("in the end a task is %v", got)
				}
			}
		})
	}
}

// An ordering is a sequence of begin (B) and end (E) of an external stop of
// the set, b and e of one of the task, SIGSTOP (S) and SIGCONT (C), the quota
// used up (Q) and not any more (q).
func (w *world) play(ordering string, free RunState) {
	w.t.Helper()
	var held []*ExternalStop
	own, group, quota := 0, false, false
	for i, op := range ordering {
		switch op {
		case 'B':
			held = append(held, w.k.tasks.BeginExternalStop())
		case 'E':
			held[len(held)-1].End()
			held = held[:len(held)-1]
		case 'b':
			w.task().BeginStop()
			own++
		case 'e':
			w.task().EndStop()
			own--
		case 'S', 'C':
			sig := int32(SIGSTOP)
			if op == 'C' {
				sig = SIGCONT
			}
			if err := w.g.Signal(sig); err != nil {
				w.t.Fatal(err)
			}
			group = op == 'S'
		case 'Q', 'q':
			quota = op == 'Q'
			w.k.tasks.throttle(quota)
		}
		settle()
		want := free
		if len(held)+own > 0 || group {
			want = Stopped
		}
		if got := w.task().State(); got != want {
			w.t.Fatalf("after %s of %s the task is %v, want %v", ordering[:i+1], ordering, got, want)
		}
		if runs := want == Running && !quota; free == Running && w.inGuest() != runs {
			w.t.Fatalf("after %s of %s guest code runs: %v, want %v", ordering[:i+1], ordering, !runs, runs)
		}
	}
	for _, s := range held {
		s.End()
	}
	for range own {
		w.task().EndStop()
	}
	_ = w.g.Signal(SIGCONT)
	w.k.tasks.throttle(false)
	settle()
	if got := w.task().State(); got != free {
		w.t.Fatalf("after %s and the end of all stops the task is %v", ordering, got)
	}
}

// orderings lists the ways to merge a and b.
func orderings(a, b string) []string {
	if a == "" || b == "" {
		return []string{a + b}
	}
	var out []string
	for _, rest := range orderings(a[1:], b) {
		out = append(out, a[:1]+rest)
	}
	for _, rest := range orderings(a, b[1:]) {
		out = append(out, b[:1]+rest)
	}
	return out
}

func TestGroupStopAmongExternalStops(t *testing.T) {
	guests := []struct {
		name string
		step enginetest.Step
		free RunState
	}{{"loop", enginetest.Loop{}, Running}, {"blocked", enginetest.Import{Fn: sysWait}, Blocked}}
	for _, g := range guests {
		bubble(t, g.name, func(t *testing.T) {
			w := begun(t, g.step)
			for _, o := range orderings("SCSSC", "BbEe") {
				w.play(o, g.free)
			}
			for _, o := range orderings("BBEE", "SC") {
				w.play(o, g.free)
			}
			if g.free == Running {
				for _, o := range orderings("SCBE", "QqQq") {
					w.play(o, g.free)
				}
				for _, o := range orderings("beSBEC", "Qq") {
					w.play(o, g.free)
				}
			}
		})
		bubble(t, g.name+"/random", func(t *testing.T) {
			w := begun(t, g.step)
			r := rand.New(rand.NewPCG(1, 2))
			for range 50 {
				w.play(randomOrdering(r, 40), g.free)
			}
		})
	}
}

// randomOrdering draws n events; no stop ends that has not begun.
func randomOrdering(r *rand.Rand, n int) string {
	var o []byte
	open := map[byte]int{} // by the letter of the end
	for len(o) < n {
		c := "BEbeSC"[r.IntN(6)]
		switch c {
		case 'B', 'b':
			open[c-'B'+'E']++
		case 'E', 'e':
			if open[c] == 0 {
				continue
			}
			open[c]--
		}
		o = append(o, c)
	}
	return string(o)
}

// A call that stops its own process is not interrupted by that: it is done
// once, and the guest stands after it.
func TestSelfStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begun(t, enginetest.Import{Fn: sysStop}, enginetest.Loop{})
		w.wantState(Stopped)
		if w.made[sysStop].Load() != 1 {
			t.Errorf("the call was made %d times", w.made[sysStop].Load())
		}
		_ = w.g.Signal(SIGCONT)
		w.wantState(Running)
		if w.made[sysStop].Load() != 1 {
			t.Errorf("the call was made %d times", w.made[sysStop].Load())
		}
	})
}

func TestSignals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begun(t, enginetest.Loop{})
		for _, sig := range []int32{-1, maxSignal + 1} {
			if err := w.g.Signal(sig); err == nil {
				t.Errorf("signal %d was taken", sig)
			}
		}
		for _, sig := range []int32{0, SIGCHLD, SIGURG, SIGWINCH, SIGCONT} {
			if err := w.g.Signal(sig); err != nil {
				t.Error(err)
			}
			w.wantState(Running)
		}
		for _, sig := range []int32{SIGTSTP, SIGTTIN, SIGTTOU, SIGSTOP} {
			_ = w.g.Signal(sig)
			w.wantState(Stopped)
			_ = w.g.Signal(SIGCONT)
			w.wantState(Running)
		}
		_ = w.g.Signal(SIGUSR1)
		w.wantExit(ExitStatus{Signal: SIGUSR1})
		_ = w.g.Signal(SIGSTOP)
		w.wantState(Dead)
	})
}

// Spurious unwinds and pending calls in a row change nothing.
func TestSpuriousUnwinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begun(t, enginetest.Spurious{}, enginetest.Import{Fn: sysValue}, enginetest.Spurious{}, enginetest.Import{Fn: sysValue})
		st, err := w.g.Wait(t.Context())
		if err != nil || len(st.Results) != 2 {
			t.Errorf("%+v, %v", st, err)
		}
	})
}

// With Stress every call is put off until the stack is unwound, and made once.
func TestStress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, enginetest.Import{Fn: sysNop}, enginetest.Import{Fn: sysValue}, enginetest.Import{Fn: sysSleep, Args: []uint64{0}})
		n := 0
		w.task().stress.begin(w.task(), Stress{Every: 1, Stopped: func(s *ExternalStop) {
			n++
			s.End()
		}})
		w.start()
		w.wantExit(ExitStatus{})
		if n != 3 || w.made[sysNop].Load() != 1 || w.made[sysValue].Load() != 1 || w.made[sysSleep].Load() != 1 {
			t.Errorf("%d stops", n)
		}
	})
}

// Stress can stop tasks before each call, and in it or as soon as it is done; the call
// is made once all the same, and its results are there.
func TestStressCalls(t *testing.T) {
	for _, c := range []struct {
		name string
		at   StressCalls
		want []string
	}{
		{"before", BeforeCalls, []string{"call 4 is to be made", "call 1 is to be made"}},
		{"in", InCalls, []string{"returned 7", "call 1 waits"}},
	} {
		bubble(t, c.name, func(t *testing.T) {
			w := newWorld(t, enginetest.Import{Fn: sysValue}, enginetest.Import{Fn: sysSleep, Args: []uint64{5}}, enginetest.Import{Fn: sysExit, Args: []uint64{3}})
			stops := make(chan *ExternalStop, 1)
			w.task().stress.begin(w.task(), Stress{Calls: c.at, Stopped: func(s *ExternalStop) { stops <- s }})
			w.start()
			var got []string
			for range 2 {
				s := <-stops
				if err := s.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
				st := w.state().Processes[0].Tasks[0]
				switch p := st.Thread.Pending; {
				case p == nil:
					got = append(got, fmt.Sprintf("returned %d", st.Thread.Frames[0].Values[0].Value.Lo))
				case st.Restart.Set:
					got = append(got, fmt.Sprintf("call %d waits", p.Import))
				default:
					got = append(got, fmt.Sprintf("call %d is to be made", p.Import))
				}
				s.End()
				w.pass(5)
			}
			(<-stops).End()
			w.wantExit(ExitStatus{Code: 3})
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if w.made[sysValue].Load() != 1 || w.made[sysExit].Load() != 1 {
				t.Errorf("%d and %d calls", w.made[sysValue].Load(), w.made[sysExit].Load())
			}
		})
	}
}
