package kernel

import (
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stasis-run/stasis/internal/engine/enginetest"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/protostruct/prototest"
)

// The calls of the family below.
const (
	famHandler = iota
	famMark
	famFork
	famVfork
	famFiber
	famSwitch
	famWait
	famSpawn
	famZombie
	famSignal
)

// famous is a world that makes all that a state can have: a tree of processes with
// groups and sessions, one that has ended, one whose child has its thread, threads,
// handlers under way in waits, marks, fibers, intervals, pending signals of all kinds
// and stops.
func famous(t *testing.T) *procs {
	p := newProcs(t, nil, nil, []enginetest.Script{
		handlerScript(enginetest.Loop{}),
		{Name: "thread", Steps: []enginetest.Step{do(famWait), enginetest.Loop{}}},
		{Name: "fiber", Steps: []enginetest.Step{do(famSwitch), enginetest.Loop{}}},
	}, do(famHandler), do(famMark), do(famFork), do(famZombie), do(famVfork), do(famFiber), do(famSwitch), do(famSpawn), do(famSignal), do(famWait), enginetest.Loop{})
	p.calls = make([]guestCall, famSignal+1)
	p.calls[famHandler] = withHandler
	p.calls[famMark] = func(t *Task) Outcome {
		if !t.AtRest() {
			return Again
		}
		_, _ = t.Mark(16)
		return Done
	}
	p.calls[famFork] = p.forks
	p.calls[famZombie] = inChild(func(t *Task) Outcome { // the child makes one, which ends
		if t.Group().Parent() > 1 {
			t.Group().Exit(3)
			return Gone
		}
		_ = t.Group().SetSession()
		t.SetSigMask(sigSet(SIGCHLD)) // its handler does not return: the calls below would not be made if it came first
		return p.forks(t)
	})
	p.calls[famVfork] = inChild(func(t *Task) Outcome {
		if borrows, _ := t.Borrows(); borrows || t.Group().Parent() > 1 {
			t.Group().Exit(3)
			return Gone
		}
		return p.vforks(true)(t)
	})
	p.calls[famFiber] = func(t *Task) Outcome { _, _ = t.NewFiber(3); _, _ = t.NewFiber(3); return Done }
	p.calls[famSwitch] = func(t *Task) Outcome {
		if !t.AtRest() {
			return Again
		}
		if err := t.SwitchFiber(1-t.Fiber(), nil); err != nil {
			return Done
		}
		return Gone
	}
	p.calls[famSpawn] = p.spawns
	p.calls[famSignal] = func(t *Task) Outcome {
		_, _, _ = t.Group().SetInterval(SIGALRM, int64(time.Minute), int64(time.Second))
		t.Group().SetAction(SIGUSR2, SigAction{Disposition: SigCatch, Mask: sigSet(SIGHUP, sigRTMin), Flags: SARestart})
		t.SetSigMask(sigSet(SIGHUP, SIGTERM))
		_ = t.Group().SendInfo(SigInfo{Signo: SIGTERM})
		_ = t.Group().SendInfo(SigInfo{Signo: SIGHUP, Value: 3})
		_ = t.SendInfo(SigInfo{Signo: SIGHUP})
		return Done
	}
	p.calls[famWait] = func(t *Task) Outcome {
		_, out := t.FutexWait(futexAddr, -1, func() bool { return true })
		return out
	}
	p.start()
	settle()
	for _, g := range p.k.tasks.Processes() {
		_ = g.SendInfo(SigInfo{Signo: SIGUSR2}) // handlers in waits
	}
	settle()
	_ = p.g.Signal(SIGSTOP)
	return p
}

// tryFamily restores from b and runs that for a moment.
func tryFamily(t *testing.T, p *procs, b []byte) (ok bool) {
	st := new(State)
	if protostruct.Unmarshal(b, st) != nil {
		return false
	}
	n, err := p.restored(t, st)
	if err != nil {
		return false
	}
	n.start()
	for _, g := range n.k.tasks.Processes() {
		_ = g.Signal(SIGCONT)
		_ = g.Signal(SIGUSR2)
		_ = g.Signal(SIGCHLD)
	}
	settle()
	n.clock.Advance(time.Hour)
	n.k.futexes.wake(futexKey{}, 1)
	s := n.stop()
	saved, err := n.k.Save()
	if err != nil && !errors.Is(err, ErrExiting) {
		t.Error(err)
	}
	s.End()
	settle()
	for _, g := range n.k.tasks.Processes() {
		if g != n.g {
			g.Terminate()
			settle()
		}
	}
	_, _, _ = n.g.WaitChild(WaitFor{Exited: true, Stopped: true})
	if err := n.k.Close(); err != nil {
		t.Error(err)
	}
	if err == nil && saved != nil { // what was saved of it can be restored
		if again, err := p.restored(t, &saved.State); err != nil {
			t.Errorf("saved again, it is refused: %v", err)
		} else if err := again.k.Close(); err != nil {
			t.Error(err)
		}
	}
	return true
}

// A state with everything in it comes through as it is, and whatever is changed in it
// gives an error or a system that can be stopped, saved, restored and closed.
func TestHostileFamilies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := famous(t)
		s := p.stop()
		st := p.state()
		b, err := protostruct.Marshal(st)
		s.End()
		if err != nil {
			t.Fatal(err)
		}
		has := map[string]bool{}
		for i := range st.Processes {
			q := &st.Processes[i]
			has["an end"] = has["an end"] || q.Ended != nil
			has["intervals"] = has["intervals"] || len(q.Intervals) > 0
			has["a session"] = has["a session"] || q.Session > 1
			has["a queue"] = has["a queue"] || len(q.Queue) > 0
			for j := range q.Tasks {
				ts := &q.Tasks[j]
				has["a lent thread"] = has["a lent thread"] || ts.VforkChild != 0
				has["handlers"] = has["handlers"] || len(ts.Below) > 0
				has["a wait"] = has["a wait"] || ts.Futex != nil || len(ts.Below) > 0 && ts.Below[0].Futex != nil
				has["marks"] = has["marks"] || len(ts.Marks) > 0
				has["fibers"] = has["fibers"] || len(ts.Fibers) > 0
				has["a stop"] = has["a stop"] || ts.GroupStop != 0
				has["threads"] = has["threads"] || j > 0
			}
		}
		for _, want := range []string{"an end", "intervals", "a session", "a queue", "a lent thread", "handlers", "a wait", "marks", "fibers", "a stop", "threads"} {
			if !has[want] {
				t.Errorf("the state has not %s", want)
			}
		}
		if !tryFamily(t, p, b) {
			_, err := p.restored(t, st)
			t.Fatalf("the state is refused as it is: %v", err)
		}
		n := 1500
		if testing.Short() {
			n = 300
		}
		r := rand.New(rand.NewPCG(5, 6))
		taken := 0
		for range n {
			st := new(State)
			if err := protostruct.Unmarshal(b, st); err != nil {
				t.Fatal(err)
			}
			for range 1 + r.IntN(2) {
				prototest.Mutate(r, st)
			}
			m, err := protostruct.Marshal(st)
			if err != nil {
				t.Fatal(err)
			}
			if tryFamily(t, p, m) {
				taken++
			}
		}
		t.Logf("%d of %d mutations are still states", taken, n)
	})
}
