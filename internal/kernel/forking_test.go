package kernel

import (
	"errors"
	"slices"
	"testing"

	"github.com/stasis-run/stasis/internal/engine/enginetest"
)

// forkWhile is a world whose first process forks while something happens, and notes
// the signals that it and its child catch, and that they went on.
func forkWhile(t *testing.T, meanwhile func(p *procs)) *procs {
	p := newProcs(t, nil, nil, []enginetest.Script{handlerScript(do(1))}, do(0), do(2), do(3), enginetest.Loop{})
	p.calls = []guestCall{withHandler, func(t *Task) Outcome {
		info, _ := t.Signalled()
		if info.Signo != SIGCHLD {
			p.note("%d: signal %d", t.Group().ID(), info.Signo)
		}
		return Done
	}, func(t *Task) Outcome {
		if !t.AtRest() {
			return Again
		}
		return p.forked(t, func() { meanwhile(p) })
	}, func(t *Task) Outcome {
		p.note("%d: on", t.Group().ID())
		return Done
	}}
	p.start()
	settle()
	p.mu.Lock() // two processes note in any order
	defer p.mu.Unlock()
	slices.Sort(p.log)
	return p
}

// What is sent to several processes during a fork is as if it came after it: the child
// has it too, and once.
func TestSignalWhileForking(t *testing.T) {
	toGroup := func(sigs ...int32) func(*procs) {
		return func(p *procs) {
			for _, sig := range sigs {
				_ = p.g.Kill(0, SigInfo{Signo: sig})
			}
		}
	}
	for _, c := range []struct {
		name      string
		meanwhile func(*procs)
		log       []string
	}{
		{"handlers", toGroup(SIGUSR1), []string{"1: on", "1: signal 10", "2: on", "2: signal 10"}},
		{"to the parent alone", func(p *procs) { _ = p.g.Kill(1, SigInfo{Signo: SIGUSR1}) }, []string{"1: on", "1: signal 10", "2: on"}},
		{"a stop", toGroup(SIGSTOP), nil},
		{"and its end", toGroup(SIGSTOP, SIGCONT), []string{"1: on", "1: signal 18", "2: on", "2: signal 18"}},
		{"the other way round", toGroup(SIGCONT, SIGSTOP), nil},
		{"a terminal", func(p *procs) { p.k.SignalTerminal(nil, SIGUSR2) }, []string{"1: on", "1: signal 12", "2: on", "2: signal 12"}},
	} {
		bubble(t, c.name, func(t *testing.T) {
			p := forkWhile(t, c.meanwhile)
			p.wantLog(c.log...)
			stopped := c.log == nil
			for _, pid := range []TaskID{1, 2} {
				if is := p.child(pid).StoppedBy() != 0; is != stopped {
					t.Errorf("process %d is stopped: %v, want %v", pid, is, stopped)
				}
			}
			if n := len(p.g.signals.forks); n != 0 {
				t.Errorf("%d children are being made", n)
			}
			if !stopped {
				return
			}
			_ = p.g.Kill(-1, SigInfo{Signo: SIGCONT})
			_ = p.g.Signal(SIGCONT)
			settle()
			p.mu.Lock()
			slices.Sort(p.log)
			p.mu.Unlock()
			p.wantLog("1: on", "1: signal 18", "2: on", "2: signal 18")
		})
	}
}

// What is pending when a fork begins comes first, and to the parent alone; a call that
// was put off so, makes no child.
func TestSignalBeforeFork(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		tries := 0
		p := newProcs(t, nil, nil, []enginetest.Script{handlerScript(do(1))}, do(0), do(2), do(3), enginetest.Loop{})
		p.calls = []guestCall{withHandler, func(t *Task) Outcome {
			p.note("signal, %d processes", len(p.k.tasks.Processes()))
			return Done
		}, func(t *Task) Outcome {
			if !t.AtRest() {
				return Again
			}
			if tries++; tries == 1 {
				_ = p.g.Kill(0, SigInfo{Signo: SIGUSR1})
			}
			for _, make := range []func() error{
				func() error { return t.Vfork(false, func(*Task) { p.note("vfork") }) },
				func() error {
					_, err := t.SpawnProcess(p.program("new", enginetest.Loop{}), ProcessOptions{}, nil, nil)
					return err
				},
			} {
				if tries == 1 && !errors.Is(make(), ErrSignalFirst) {
					p.note("it is made")
				}
			}
			return p.forked(t, func() {})
		}, inParent(func(*Task) Outcome {
			p.note("%d processes", len(p.k.tasks.Processes()))
			return Done
		})}
		p.start()
		p.wantLog("signal, 1 processes", "2 processes")
		if tries != 2 || len(p.g.signals.forks) != 0 {
			t.Errorf("%d tries, %d children are being made", tries, len(p.g.signals.forks))
		}
	})
}

// The child of vfork stops with its group, too.
func TestStopWhileVforking(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := newProcs(t, nil, nil, nil, do(0), do(1), enginetest.Loop{})
		p.calls = []guestCall{func(t *Task) Outcome {
			if t.Restart().Set {
				return Done
			}
			if !t.AtRest() {
				return Again
			}
			if err := t.Vfork(false, func(c *Task) {
				c.Complete(nil)
				_ = p.g.Kill(0, SigInfo{Signo: SIGTSTP})
			}); err != nil {
				p.note("%v", err)
			}
			return Again
		}, inChild(func(*Task) Outcome {
			p.note("the child runs")
			return Done
		})}
		p.start()
		p.wantLog()
		_ = p.child(2).Signal(SIGCONT)
		p.wantLog("the child runs")
	})
}
