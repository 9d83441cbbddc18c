package kernel

import (
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/engine/enginetest"
)

// waitsFor waits for a signal of a set, for so long if that is not Never, and notes
// what came.
func (p *procs) waitsFor(set SigSet, ns int64) guestCall {
	return func(t *Task) Outcome {
		r := t.Restart()
		if !r.Set {
			r.Set, r.Deadline = true, Never
			if ns != Never {
				r.Deadline = t.k.clocks.Monotonic() + ns
			}
		}
		switch info, got := t.WaitSignal(set, r.Deadline); got {
		case Interrupted:
			return Again
		case Woken:
			p.note("took %d of %d", info.Signo, info.PID)
		default:
			p.note("%s", map[BlockResult]string{TimedOut: "timeout", Signalled: "EINTR"}[got])
		}
		return Done
	}
}

// What is pending is taken at once, blocked or not: the task's own before the
// process's, and of each the lowest; nothing is left of it.
func TestWaitSignalPending(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		set := sigSet(SIGUSR1, SIGUSR2, SIGTERM)
		p := newProcs(t, nil, nil, nil, do(0), do(1), do(1), do(1), do(1), enginetest.Loop{})
		p.calls = []guestCall{func(t *Task) Outcome {
			t.SetSigMask(set | sigSet(SIGHUP))
			for _, info := range []SigInfo{{Signo: SIGTERM, PID: 1}, {Signo: SIGHUP, PID: 2}, {Signo: SIGUSR1, PID: 3}} {
				_ = t.group.SendInfo(info)
			}
			_ = t.SendInfo(SigInfo{Signo: SIGUSR2, PID: 4})
			return Done
		}, p.waitsFor(set, 0)}
		p.start()
		p.wantLog("took 12 of 4", "took 10 of 3", "took 15 of 1", "timeout")
		if got := p.task().PendingSignals(); got != sigSet(SIGHUP) {
			t.Errorf("pending %#x", uint64(got))
		}
	})
}

// A signal that is waited for goes to who waits, whatever else would become of it;
// others have their effect, SIGKILL too.
func TestWaitSignalWaits(t *testing.T) {
	for _, c := range []struct {
		name string
		sig  int32
		log  []string
		ends int32
	}{
		{"one that would end it", SIGTERM, []string{"took 15 of 7"}, 0},
		{"one that is ignored", SIGUSR2, []string{"took 12 of 7"}, 0},
		{"one that is nothing by default", SIGCHLD, []string{"took 17 of 7"}, 0},
		{"one that is caught", SIGUSR1, []string{"took 10 of 7"}, 0},
		{"another one", SIGHUP, nil, SIGHUP},
		{"SIGKILL", SIGKILL, nil, SIGKILL},
	} {
		bubble(t, c.name, func(t *testing.T) {
			p := handled(t, nil, do(2), enginetest.Loop{})
			p.calls = append(p.calls, p.waitsFor(^sigSet(SIGHUP), Never))
			p.action(SIGUSR1, SigAction{})
			for sig, d := range map[int32]Disposition{SIGUSR2: SigIgnore, SIGTERM: SigDefault, SIGHUP: SigDefault, SIGCHLD: SigDefault} {
				p.g.SetAction(sig, SigAction{Disposition: d})
			}
			p.start()
			p.wantState(Blocked)
			if err := p.g.SendInfo(SigInfo{Signo: c.sig, PID: 7, Code: SIKernel}); err != nil {
				t.Error(err)
			}
			p.wantLog(c.log...)
			if c.ends != 0 {
				p.wantExit(ExitStatus{Signal: c.ends})
				return
			}
			p.wantState(Running)
			if w := p.task().sig.waits; w != 0 {
				t.Errorf("it waits for %#x still", uint64(w))
			}
		})
	}
}

// A signal for the process goes to the thread that waits for it, also if another one
// would take it; one for another thread does not.
func TestWaitSignalOfThreads(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := threads(t, []enginetest.Step{enginetest.Loop{}}, do(1), enginetest.Loop{})
		p.calls = append(p.calls, p.waitsFor(sigSet(SIGUSR1), Never))
		p.start()
		_ = p.g.SendInfo(SigInfo{Signo: SIGUSR1, PID: 5})
		p.wantLog("took 10 of 5")
		p.wantState(Running)
		_ = p.g.Signal(SIGUSR1) // nobody waits any more
		p.wantExit(ExitStatus{Signal: SIGUSR1})
	})
	bubble(t, "another one's", func(t *testing.T) {
		p := threads(t, []enginetest.Step{enginetest.Loop{}}, do(1), enginetest.Loop{})
		p.calls = append(p.calls, p.waitsFor(sigSet(SIGUSR1), Never))
		p.start()
		_ = p.task().SendInfo(SigInfo{Signo: SIGUSR1})
		p.wantExit(ExitStatus{Signal: SIGUSR1})
		p.wantLog()
	})
}

// A wait ends in time, by the clock that stands while the system does, and what came
// meanwhile is not lost; afterwards nothing is waited for.
func TestWaitSignalStopped(t *testing.T) {
	for _, c := range []struct {
		name   string
		signal bool
		want   string
	}{{"a signal comes meanwhile", true, "took 15 of 0"}, {"none comes", false, "timeout"}} {
		bubble(t, c.name, func(t *testing.T) {
			p := newProcs(t, nil, nil, nil, do(0), enginetest.Loop{})
			p.calls = []guestCall{p.waitsFor(sigSet(SIGTERM), int64(10*time.Millisecond))}
			p.start()
			p.pass(6 * time.Millisecond)
			s := p.stop()
			p.pass(time.Second)
			if c.signal {
				_ = p.g.Signal(SIGTERM)
			}
			p.through()
			s.End()
			p.start()
			p.pass(3 * time.Millisecond)
			if !c.signal {
				p.wantLog()
				p.pass(2 * time.Millisecond)
			}
			p.wantLog(c.want)
			p.wantState(Running)
			_ = p.g.Signal(SIGTERM)
			p.wantExit(ExitStatus{Signal: SIGTERM})
		})
	}
}

// While a handler runs nothing is waited for: what the wait was for is caught, or ends
// the process. A wait that goes on after the handler waits again.
func TestWaitSignalInHandler(t *testing.T) {
	world := func(t *testing.T, call uint32, flags uint32) *procs {
		p := newProcs(t, nil, nil, []enginetest.Script{handlerScript(do(1), do(2))}, do(0), enginetest.Import{Fn: call, Args: []uint64{3}}, enginetest.Loop{})
		p.calls = []guestCall{withHandler, p.caught, func(t *Task) Outcome {
			if info, _ := t.Signalled(); info.Signo == SIGUSR1 {
				p.note("in the handler it waits for %#x", uint64(t.sig.waits))
				_ = p.g.Signal(SIGUSR2)
			}
			return Done
		}, p.waitsFor(sigSet(SIGUSR2), Never)}
		p.action(SIGUSR1, SigAction{Flags: flags})
		p.action(SIGUSR2, SigAction{Flags: flags})
		p.start()
		_ = p.g.Signal(SIGUSR1)
		return p
	}
	bubble(t, "the wait ends", func(t *testing.T) {
		p := world(t, sysAlways, SARestart)
		p.wantLog("EINTR", "signal 10", "in the handler it waits for 0x0", "signal 12")
		p.wantState(Running)
	})
	bubble(t, "it goes on", func(t *testing.T) {
		p := world(t, sysDo, SARestart)
		p.wantLog("signal 10", "in the handler it waits for 0x0", "signal 12")
		p.wantState(Blocked)
		_ = p.g.SendInfo(SigInfo{Signo: SIGUSR2, PID: 3})
		p.wantLog("signal 10", "in the handler it waits for 0x0", "signal 12", "took 12 of 3")
	})
}

// A handler that jumps away leaves no wait behind.
func TestWaitSignalLeftByJump(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		var mark uint64
		p := newProcs(t, nil, nil, []enginetest.Script{handlerScript(do(3))}, do(0), do(1), enginetest.Import{Fn: sysNever, Args: []uint64{2}}, enginetest.Loop{})
		jumped := false
		p.calls = []guestCall{withHandler, func(t *Task) Outcome {
			if !t.AtRest() {
				return Again
			}
			var err error
			if mark, err = t.Mark(16); err != nil {
				p.note("mark: %v", err)
			}
			return Done
		}, func(t *Task) Outcome {
			if jumped {
				p.note("it waits for %#x", uint64(t.sig.waits))
				return Done
			}
			return p.waitsFor(sigSet(SIGUSR2), Never)(t)
		}, func(t *Task) Outcome {
			if !t.AtRest() {
				return Again
			}
			if info, _ := t.Signalled(); info.Signo != SIGUSR1 {
				return p.caught(t)
			}
			jumped = true
			if _, err := t.Jump(mark); err != nil {
				p.note("jump: %v", err)
			}
			t.Complete(nil)
			return Gone
		}}
		p.start()
		p.wantState(Blocked)
		_ = p.g.Signal(SIGUSR1)
		settle()
		_ = p.g.Signal(SIGUSR2)
		p.wantLog("it waits for 0x0", "signal 12")
	})
}

// suspends blocks the signals of a mask and no others until a handler has run.
func (p *procs) suspends(mask SigSet) guestCall {
	return func(t *Task) Outcome {
		got := t.SuspendSignals(mask)
		if got == Interrupted {
			return Again
		}
		p.note("suspended: %v, mask %#x", got == Signalled, uint64(t.SigMask()))
		return Done
	}
}

// sigsuspend(2): a handler runs of what was blocked before, once, with the mask of the
// call; then the mask is as it was. It is so, too, if the signal is pending already, and
// in a system that was saved meanwhile.
func TestSuspendSignals(t *testing.T) {
	before, during := sigSet(SIGUSR1, SIGUSR2), sigSet(SIGUSR2)
	for _, c := range []struct {
		name           string
		pending, saved bool
	}{{"it comes", false, false}, {"it is there", true, false}, {"saved meanwhile", false, true}} {
		bubble(t, c.name, func(t *testing.T) {
			p := newProcs(t, nil, nil, []enginetest.Script{handlerScript(do(1))}, do(0),
				enginetest.Import{Fn: sysAlways, Args: []uint64{2}}, do(3), enginetest.Loop{})
			p.calls = []guestCall{func(t *Task) Outcome {
				t.SetSigMask(before)
				if c.pending {
					_ = p.g.Signal(SIGUSR1)
				}
				return withHandler(t)
			}, func(t *Task) Outcome {
				p.note("handler, mask %#x", uint64(t.SigMask()))
				return Done
			}, p.suspends(during), func(t *Task) Outcome {
				p.note("mask %#x", uint64(t.SigMask()))
				return Done
			}}
			p.start()
			if c.saved {
				p.through()
				p.start()
			}
			if !c.pending {
				p.wantState(Blocked)
				_ = p.g.Signal(SIGUSR2) // it stays blocked
				p.wantLog()
				_ = p.g.Signal(SIGUSR1)
			}
			p.wantLog("suspended: true, mask 0x800", "handler, mask 0xa00", "mask 0xa00")
			want := before
			if got := p.task().SigMask(); got != want {
				t.Errorf("mask %#x, want %#x", uint64(got), uint64(want))
			}
		})
	}
}

// Nothing is told of a handler where none runs.
func TestSignalledWithoutHandler(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := newProcs(t, nil, nil, nil, do(0), enginetest.Loop{})
		p.calls = []guestCall{func(t *Task) Outcome {
			info, ok := t.Signalled()
			p.note("%v %v", info, ok)
			return Done
		}}
		p.start()
		p.wantLog("{0 0 0 0 0} false")
	})
}
