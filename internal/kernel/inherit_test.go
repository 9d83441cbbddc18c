package kernel

import (
	"testing"

	"github.com/stasis-run/stasis/internal/engine/enginetest"
)

// What a program was begun with ignored stays so, also if it has a function for
// signals, unless its library knows of it: then it is told, but for what it says itself
// to the kernel. Executing a program begins that anew; saving it does not.
func TestInheritedDispositions(t *testing.T) {
	ignore := SigAction{Disposition: SigIgnore}
	for _, c := range []struct {
		name  string
		knows bool
		tells bool // that it ignores SIGUSR1
		exec  bool // another program, which knows nothing
		log   []string
	}{
		{"it does not know", false, false, false, nil},
		{"it knows", true, false, false, []string{"signal 10"}},
		{"it ignores one itself", true, true, false, nil},
		{"it executes a program", true, false, true, nil},
	} {
		bubble(t, c.name, func(t *testing.T) {
			p := newProcs(t, nil, nil, nil, do(0), enginetest.Loop{})
			begin := func(t *Task) Outcome {
				if c.knows {
					t.Group().ToldDispositions()
				}
				if c.tells {
					t.Group().SetAction(SIGUSR1, ignore)
				}
				return withHandler(t)
			}
			last := p.program("last", do(1), enginetest.Loop{})
			program := p.program("new", do(2), enginetest.Loop{})
			if c.exec {
				program = p.program("new", do(2), do(4), enginetest.Loop{})
			}
			for _, m := range p.programs {
				m.Others = append(m.Others, handlerScript(do(3)))
			}
			p.calls = []guestCall{func(t *Task) Outcome {
				if _, err := t.SpawnProcess(program, ProcessOptions{Files: p.g.Files()}, []int32{SIGUSR1}, nil); err != nil {
					p.note("spawn: %v", err)
				}
				return Done
			}, withHandler, begin, p.caught, p.execs(last)}
			p.start()
			_ = p.child(2).Signal(SIGUSR1)
			p.wantLog(c.log...)
			if p.child(2).Exiting() {
				t.Error("it has ended")
			}
		})
	}
}

// A restored process ignores what it ignored.
func TestInheritedIsSaved(t *testing.T) {
	for _, knows := range []bool{false, true} {
		bubble(t, map[bool]string{true: "it knows", false: "it does not"}[knows], func(t *testing.T) {
			p := handled(t, nil, enginetest.Loop{})
			for _, sig := range []int32{SIGUSR1, SIGUSR2} {
				p.g.SetAction(sig, SigAction{Disposition: SigIgnore})
			}
			p.g.signals.told = sigSet(SIGUSR2) // it was begun with the other one
			if knows {
				p.g.ToldDispositions()
			}
			p.start()
			p.through()
			p.start()
			_ = p.g.Signal(SIGUSR1)
			_ = p.g.Signal(SIGUSR2)
			if knows {
				p.wantLog("signal 10")
			} else {
				p.wantLog()
			}
		})
	}
}

// Children of a process that was begun with SIGCHLD ignored are not waited for, unless
// its library knows of that and has a function for signals: the program may catch it.
func TestInheritedSIGCHLD(t *testing.T) {
	for _, knows := range []bool{false, true} {
		bubble(t, map[bool]string{true: "it knows", false: "it does not"}[knows], func(t *testing.T) {
			p := handled(t, nil, do(2), enginetest.Loop{})
			p.calls = append(p.calls, p.forks)
			p.g.SetAction(SIGCHLD, SigAction{Disposition: SigIgnore})
			p.g.signals.told = 0 // it was begun with it
			if knows {
				p.g.ToldDispositions()
			}
			p.start()
			p.child(2).Exit(3)
			want := ErrNoChild.Error()
			if knows {
				want = "2: 1 of 3"
			}
			p.wantChange(WaitFor{Exited: true}, want)
		})
	}
}
