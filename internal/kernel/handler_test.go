package kernel

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/engine/enginetest"
)

// handled is a world whose handler notes what it was called for: call 0 sets it, call
// 1 is the handler's. calls begin at 2.
func handled(t *testing.T, calls []guestCall, steps ...enginetest.Step) *procs {
	p := newProcs(t, nil, nil, []enginetest.Script{handlerScript(do(1))}, append([]enginetest.Step{do(0)}, steps...)...)
	p.calls = append([]guestCall{withHandler, p.caught}, calls...)
	return p
}

// action has the process catch a signal in a certain way.
func (p *procs) action(sig int32, a SigAction) {
	p.t.Helper()
	a.Disposition = SigCatch
	if _, ok := p.g.SetAction(sig, a); !ok {
		p.t.Fatalf("signal %d: %+v is refused", sig, a)
	}
}

// A handler runs in a loop without calls, as often as its signal comes.
func TestHandlerInLoop(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := handled(t, nil, enginetest.Loop{})
		p.start()
		for range 3 {
			_ = p.g.Signal(SIGUSR1)
			settle()
		}
		_ = p.g.Signal(SIGTERM) // it is caught as well
		p.wantLog("signal 10", "signal 10", "signal 10", "signal 15")
		p.wantState(Running)
		if !p.inGuest() {
			t.Error("the loop does not go on")
		}
		_ = p.g.Signal(SIGKILL) // it is not
		p.wantExit(ExitStatus{Signal: SIGKILL})
	})
}

// What becomes of a call that waits: signal(7).
func TestHandlerInCall(t *testing.T) {
	restart, plain := SigAction{Flags: SARestart}, SigAction{}
	for _, c := range []struct {
		name string
		call uint32
		act  SigAction
		want []string
	}{
		{"a call ends", sysDo, plain, []string{"block: EINTR", "signal 10"}},
		{"or is made again", sysDo, restart, []string{"signal 10", "block: woken"}},
		{"some always end", sysAlways, restart, []string{"block: EINTR", "signal 10"}},
		{"some never do", sysNever, plain, []string{"signal 10", "block: woken"}},
	} {
		bubble(t, c.name, func(t *testing.T) {
			p := handled(t, nil, enginetest.Import{Fn: c.call, Args: []uint64{2}}, enginetest.Loop{})
			p.calls = append(p.calls, p.blocks)
			p.action(SIGUSR1, c.act)
			p.start()
			p.wantState(Blocked)
			_ = p.g.Signal(SIGUSR1)
			settle()
			p.ev.raise(true)
			p.wantLog(c.want...)
		})
		bubble(t, c.name+", stopped and restored meanwhile", func(t *testing.T) {
			p := handled(t, nil, enginetest.Import{Fn: c.call, Args: []uint64{2}}, enginetest.Loop{})
			p.calls = append(p.calls, p.blocks)
			p.action(SIGUSR1, c.act)
			p.start()
			s := p.stop()
			_ = p.g.Signal(SIGUSR1)
			settle()
			p.wantLog()
			s2 := p.stop()
			s.End()
			p.through()
			s2.End()
			p.start()
			p.ev.raise(true)
			p.wantLog(c.want...)
		})
	}
}

// A handler whose signal came while a call was made that did not wait for it has run
// when the guest sees what the call has returned.
func TestHandlerBeforeReturn(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		var p *procs
		p = handled(t, []guestCall{raises(SIGUSR1)}, do(2), enginetest.Do(func(*enginetest.ScriptedThread) { p.note("returned") }), enginetest.Import{Fn: sysValue})
		p.start()
		st, err := p.g.Wait(t.Context())
		if err != nil || len(st.Results) != 1 || st.Results[0] != 7 {
			t.Errorf("%+v, %v", st, err)
		}
		p.wantLog("signal 10", "returned")
	})
}

// While a handler runs its signal is blocked, and those of its mask; other signals
// interrupt it. Afterwards the mask is what it was.
func TestHandlerMasks(t *testing.T) {
	for _, c := range []struct {
		name string
		act  SigAction
		mask SigSet // in the handler
	}{
		{"its own signal", SigAction{}, sigSet(SIGUSR1)},
		{"others as well", SigAction{Mask: sigSet(SIGUSR2, SIGTERM)}, sigSet(SIGUSR1, SIGUSR2, SIGTERM)},
		{"not its own", SigAction{Flags: SANoDefer}, 0},
		{"only others", SigAction{Flags: SANoDefer, Mask: sigSet(SIGHUP)}, sigSet(SIGHUP)},
	} {
		bubble(t, c.name, func(t *testing.T) {
			let := make(chan struct{})
			p := newProcs(t, nil, nil, []enginetest.Script{handlerScript(do(1), enginetest.Loop{Until: let})}, do(0), enginetest.Loop{})
			p.calls = []guestCall{func(t *Task) Outcome {
				t.SetSigMask(sigSet(SIGURG, SIGKILL, SIGSTOP))
				return withHandler(t)
			}, func(t *Task) Outcome {
				info, _ := t.Signalled()
				p.note("%d: %#x", info.Signo, uint64(t.SigMask()&^sigSet(SIGURG)))
				return Done
			}}
			p.action(SIGUSR1, c.act)
			p.start()
			_ = p.g.Signal(SIGUSR1)
			settle()
			if got, want := p.task().SigMask(), c.mask|sigSet(SIGURG); got != want {
				t.Errorf("mask %#x, want %#x", uint64(got), uint64(want))
			}
			_ = p.g.Signal(SIGUSR1) // waits, or is nested
			want := []string{fmt.Sprintf("10: %#x", uint64(c.mask))}
			if !c.mask.has(SIGUSR1) {
				want = append(want, want[0])
			}
			p.wantLog(want...)
			close(let)
			settle()
			if c.mask.has(SIGUSR1) {
				want = append(want, want[0])
			}
			p.wantLog(want...)
			if got := p.task().SigMask(); got != sigSet(SIGURG) || len(p.task().below) != 0 {
				t.Errorf("afterwards: mask %#x, %d handlers", uint64(got), len(p.task().below))
			}
		})
	}
}

// SAResetHand: the second one has the default action.
func TestHandlerReset(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := handled(t, nil, enginetest.Loop{})
		p.action(SIGUSR1, SigAction{Flags: SAResetHand})
		p.start()
		_ = p.g.Signal(SIGUSR1)
		p.wantLog("signal 10")
		p.wantState(Running)
		_ = p.g.Signal(SIGUSR1)
		p.wantExit(ExitStatus{Signal: SIGUSR1})
	})
}

// A handler's stack begins below the red zone of what it interrupts, aligned; the
// stack pointer is as it was afterwards, also for what is nested and restored.
func TestHandlerStackPointer(t *testing.T) {
	for _, c := range []struct{ pointer, first, second uint64 }{
		{4096, 3968, 3840},
		{4095, 3952, 3824},
		{4097, 3968, 3840},
		{1000, 864, 736},
		{128, 0, 0},     // the handler's own is at its end: it stays
		{100, 100, 100}, // so is the stack's
	} {
		bubble(t, fmt.Sprint(c.pointer), func(t *testing.T) {
			let := make(chan struct{})
			set := enginetest.Do(func(th *enginetest.ScriptedThread) { th.SetStackPointer(c.pointer) })
			p := newProcs(t, nil, nil, []enginetest.Script{handlerScript(do(1), enginetest.Loop{Until: let})}, do(0), set, enginetest.Loop{})
			pointer := func(t *Task) Outcome {
				at, _ := t.thread.StackPointer()
				p.note("%d", at)
				return Done
			}
			p.calls = []guestCall{withHandler, pointer}
			p.start()
			_ = p.g.Signal(SIGUSR1)
			settle()
			_ = p.g.Signal(SIGUSR2)
			p.wantLog(fmt.Sprint(c.first), fmt.Sprint(c.second))
			s := p.stop()
			if n := len(p.task().below); n != 2 || p.task().below[0].pointer != c.pointer || p.task().below[1].pointer != c.first {
				t.Errorf("%d handlers: %+v", n, p.task().below)
			}
			s.End()
			close(let)
			settle()
			s = p.stop()
			if at, _ := p.task().thread.StackPointer(); at != c.pointer {
				t.Errorf("afterwards it is %d", at)
			}
			s.End()
		})
	}
}

// A handler under way is stopped, saved and restored with what it has interrupted.
func TestHandlerSaved(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		let := make(chan struct{})
		p := newProcs(t, nil, nil, []enginetest.Script{handlerScript(do(1), enginetest.Loop{Until: let}, do(2))}, do(0), do(3), enginetest.Loop{})
		p.calls = []guestCall{withHandler, p.caught, func(*Task) Outcome { p.note("back"); return Done }, p.blocks}
		p.action(SIGUSR1, SigAction{Flags: SARestart, Mask: sigSet(SIGHUP)})
		p.start()
		_ = p.g.Signal(SIGUSR1)
		settle()
		_ = p.g.Signal(SIGHUP)
		p.wantLog("signal 10")
		p.through()
		p.start()
		if got := p.task().SigMask(); got != sigSet(SIGUSR1, SIGHUP) {
			t.Errorf("mask %#x", uint64(got))
		}
		_ = p.g.Signal(SIGUSR1)
		p.wantLog("signal 10")
		close(let)
		settle()
		// With the mask as it was, both that wait are set up, so that the second runs
		// first; SIGHUP has no SARestart.
		p.wantLog("signal 10", "back", "block: EINTR", "signal 10", "back", "signal 1", "back")
	})
}

// A process is killed in its handler, and its threads are freed.
func TestHandlerKilled(t *testing.T) {
	for _, sig := range []int32{SIGKILL, SIGSTOP} {
		bubble(t, fmt.Sprint(sig), func(t *testing.T) {
			p := newProcs(t, nil, nil, []enginetest.Script{handlerScript(enginetest.Loop{})}, do(0), enginetest.Loop{})
			p.calls = []guestCall{withHandler}
			p.start()
			_ = p.g.Signal(SIGUSR1)
			settle()
			_ = p.g.Signal(sig)
			settle()
			_ = p.g.Signal(SIGKILL)
			p.wantExit(ExitStatus{Signal: SIGKILL})
		})
	}
}

// Handlers that interrupt themselves come to an end, as Linux's do when the stack is
// full.
func TestHandlersWithoutEnd(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := newProcs(t, nil, nil, []enginetest.Script{handlerScript(do(1), enginetest.Loop{})}, do(0), do(1), enginetest.Loop{})
		p.calls = []guestCall{withHandler, raises(SIGUSR1)}
		p.action(SIGUSR1, SigAction{Flags: SANoDefer})
		p.start()
		p.wantExit(ExitStatus{Signal: SIGSEGV})
	})
}

// A handler's trap and its exit are those of the process.
func TestHandlerEnds(t *testing.T) {
	bubble(t, "trap", func(t *testing.T) {
		p := newProcs(t, nil, nil, []enginetest.Script{handlerScript(enginetest.Fault{Message: "unreachable"})}, do(0), enginetest.Loop{})
		p.calls = []guestCall{withHandler}
		p.start()
		_ = p.g.Signal(SIGUSR1)
		st, err := p.g.Wait(t.Context())
		if err != nil || st.Trap == nil || st.EndedBy() != SIGILL {
			t.Errorf("%+v, %v", st, err)
		}
	})
	bubble(t, "exit", func(t *testing.T) {
		p := newProcs(t, nil, nil, []enginetest.Script{handlerScript(do(1))}, do(0), enginetest.Loop{})
		p.calls = []guestCall{withHandler, exits(4)}
		p.start()
		_ = p.g.Signal(SIGUSR1)
		p.wantExit(ExitStatus{Code: 4})
	})
}

// Real-time signals are queued, in order, up to the limit; others are pending once,
// and never too many. The lowest number is taken first.
func TestRealTimeSignals(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := newProcs(t, nil, nil, []enginetest.Script{handlerScript(do(1))}, do(0), do(2), do(3), enginetest.Loop{})
		var got []SigInfo
		p.calls = []guestCall{
			func(t *Task) Outcome { t.SetSigMask(^SigSet(0)); return withHandler(t) },
			func(t *Task) Outcome {
				info, _ := t.Signalled()
				got = append(got, info)
				return Done
			},
			p.blocks,
			func(t *Task) Outcome { // one after the other
				for t.PendingSignals() != 0 {
					info, _ := t.WaitSignal(^SigSet(0), 0)
					got = append(got, info)
				}
				return Done
			},
		}
		p.start()
		const rt = sigRTMin + 4
		for i := range uint64(maxQueued) {
			if err := p.g.SendInfo(SigInfo{Signo: rt, Code: SIQueue, Value: i}); err != nil {
				t.Fatalf("signal %d: %v", i, err)
			}
		}
		if err := p.g.SendInfo(SigInfo{Signo: rt}); !errors.Is(err, ErrTooManySignals) {
			t.Errorf("one more: %v", err)
		}
		if err := p.task().SendInfo(SigInfo{Signo: rt, Value: 99}); err != nil { // a queue of its own
			t.Error(err)
		}
		for range 2 {
			for _, sig := range []int32{SIGTERM, SIGCHLD, SIGUSR1} {
				if err := p.g.Signal(sig); err != nil {
					t.Errorf("signal %d beside: %v", sig, err)
				}
			}
		}
		p.through()
		p.start()
		p.ev.raise(true)
		settle()
		var want []SigInfo
		want = append(want, SigInfo{Signo: rt, Value: 99}, SigInfo{Signo: SIGUSR1}, SigInfo{Signo: SIGTERM}, SigInfo{Signo: SIGCHLD})
		for i := range uint64(maxQueued) {
			want = append(want, SigInfo{Signo: rt, Code: SIQueue, Value: i})
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%d signals, want %d: %v", len(got), len(want), got[:min(len(got), 6)])
		}
	})
}

// A signal for one task is taken by it alone, one for the process by a task that does
// not block it.
func TestThreadSignals(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := threads(t, []enginetest.Step{do(1), enginetest.Loop{}}, enginetest.Loop{})
		p.mod.Others = append(p.mod.Others, handlerScript(do(2)))
		p.calls = append(p.calls, withHandler, func(t *Task) Outcome {
			info, _ := t.Signalled()
			p.note("task %d: %d", t.ID(), info.Signo)
			return Done
		})
		p.start()
		second, _ := p.k.tasks.Get(2)
		_ = second.SendInfo(SigInfo{Signo: SIGUSR1, Code: SITkill})
		settle()
		_ = p.task().SendInfo(SigInfo{Signo: SIGUSR1, Code: SITkill})
		settle()
		func() { // the first one blocks it
			s := p.stop()
			defer s.End()
			p.task().SetSigMask(sigSet(SIGUSR2))
		}()
		_ = p.g.Signal(SIGUSR2)
		settle()
		_ = p.task().SendInfo(SigInfo{Signo: SIGUSR2, Code: SITkill}) // waits
		p.wantLog("task 2: 10", "task 1: 10", "task 2: 12")
		p.through()
		p.start()
		p.wantLog("task 2: 10", "task 1: 10", "task 2: 12")
		s := p.stop()
		p.task().SetSigMask(0)
		s.End()
		p.wantLog("task 2: 10", "task 1: 10", "task 2: 12", "task 1: 12")
		_ = p.task().SendInfo(SigInfo{Signo: SIGKILL})
		p.wantExit(ExitStatus{Signal: SIGKILL})
	})
}

// A task that ends leaves the process's signals to the others.
func TestSignalOfTaskThatEnds(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		let := make(chan struct{})
		p := threads(t, []enginetest.Step{do(1), enginetest.Loop{}}, enginetest.Deaf{Until: let})
		p.mod.Others = append(p.mod.Others, handlerScript(do(2)))
		p.calls = append(p.calls, func(t *Task) Outcome {
			t.SetSigMask(sigSet(SIGUSR1))
			return withHandler(t)
		}, p.caught)
		p.start()
		_ = p.g.Signal(SIGUSR1) // for the second, which does not come to a safepoint
		settle()
		func() { // quietly
			sig := &p.g.signals
			sig.mu.Lock()
			defer sig.mu.Unlock()
			p.task().sig.mask = 0
		}()
		p.wantLog()
		close(let)
		p.wantLog("signal 10")
	})
}

// A handler that a sleep was interrupted for takes nothing of its time: what is left
// counts on.
func TestHandlerInSleep(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := handled(t, nil, sleepFor(time.Minute))
		p.action(SIGUSR1, SigAction{Flags: SARestart})
		p.start()
		p.clock.Advance(20 * time.Second)
		_ = p.g.Signal(SIGUSR1)
		p.wantLog("signal 10")
		p.wantState(Blocked)
		p.clock.Advance(40*time.Second - 1)
		p.wantState(Blocked)
		p.clock.Advance(1)
		p.wantExit(ExitStatus{})
	})
}

// What is ignored, or is by default, interrupts nothing and does not pend.
func TestIgnoredSignals(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := newProcs(t, nil, nil, nil, do(0))
		p.calls = []guestCall{p.blocks}
		p.start()
		if _, ok := p.g.SetAction(SIGTERM, SigAction{Disposition: SigIgnore}); !ok {
			t.Fatal("SIGTERM cannot be ignored")
		}
		for _, sig := range []int32{SIGKILL, SIGSTOP, 0, 65, -1} {
			if _, ok := p.g.SetAction(sig, SigAction{Disposition: SigIgnore}); ok {
				t.Errorf("signal %d is ignored", sig)
			}
		}
		if _, ok := p.g.SetAction(SIGTERM, SigAction{Flags: 1 << 10}); ok {
			t.Error("an unknown flag was taken")
		}
		for _, sig := range []int32{SIGTERM, SIGCHLD, SIGURG} {
			_ = p.g.Signal(sig)
		}
		p.wantState(Blocked)
		if got := p.task().PendingSignals(); got != 0 {
			t.Errorf("pending %#x", uint64(got))
		}
		p.ev.raise(true)
		p.wantExit(ExitStatus{})
	})
	bubble(t, "blocked", func(t *testing.T) { // what is ignored and blocked may be caught before it is taken
		p := newProcs(t, nil, nil, []enginetest.Script{handlerScript(do(2))}, do(0), do(1), do(3), enginetest.Loop{})
		p.calls = []guestCall{
			func(t *Task) Outcome { t.SetSigMask(sigSet(SIGCHLD)); return Done },
			func(t *Task) Outcome { _ = t.Group().Signal(SIGCHLD); return withHandler(t) },
			func(t *Task) Outcome {
				info, _ := t.Signalled()
				p.note("signal %d", info.Signo)
				return Done
			},
			func(t *Task) Outcome { t.SetSigMask(0); return Done },
		}
		p.start()
		p.wantLog("signal 17")
	})
}
