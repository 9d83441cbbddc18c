package kernel

import (
	"testing"

	"github.com/stasis-run/stasis/internal/engine/enginetest"
	"github.com/stasis-run/stasis/internal/wasm"
)

// withHandler has the process call "on_signal" for signals.
func withHandler(t *Task) Outcome {
	if err := t.Group().SetHandler("on_signal"); err != nil {
		panic(err)
	}
	return Done
}

// raises sends a signal to the own process.
func raises(sig int32) guestCall {
	return func(t *Task) Outcome {
		_ = t.Group().Signal(sig)
		return Done
	}
}

// A call that is put off until the stack is taken apart has not begun: a handler
// that is to run meanwhile runs before it, on the stack that made the call.
func TestHandlerBeforeCallAtRest(t *testing.T) {
	for _, c := range []struct {
		name  string
		begin func(p *procs) guestCall
		want  []string
	}{
		{"fork", func(p *procs) guestCall { return p.forks }, []string{"signal 10", "after", "after"}},
		{"vfork", func(p *procs) guestCall { return p.vforks(false) }, []string{"signal 10", "after", "child 2 gave the thread back", "after"}},
		{"exec", func(p *procs) guestCall { return p.execs(p.program("new", do(4), enginetest.Loop{})) }, []string{"signal 10", "new program"}},
	} {
		bubble(t, c.name, func(t *testing.T) {
			p := newProcs(t, nil, nil, []enginetest.Script{handlerScript(do(1))}, do(0), do(2), do(3), enginetest.Loop{})
			first := true
			begin := c.begin(p)
			p.calls = []guestCall{withHandler, p.caught,
				func(t *Task) Outcome {
					if first && !t.AtRest() {
						first = false
						_ = t.Group().Signal(SIGUSR1)
					}
					return begin(t)
				},
				func(*Task) Outcome { p.note("after"); return Done },
				func(*Task) Outcome { p.note("new program"); return Done },
			}
			p.start()
			if c.name == "vfork" {
				p.child(2).Exit(0)
			}
			p.wantLog(c.want...)
		})
	}
}

// threads is a world with a process of two tasks: the first one makes call 0 and
// spawns "thread", whose steps are given, with the mark of both running.
func threads(t *testing.T, main []enginetest.Step, thread ...enginetest.Step) *procs {
	i32 := wasm.I32
	p := newProcs(t, nil, nil, []enginetest.Script{{Name: "thread", Params: []wasm.ValType{i32}, Steps: thread}}, append([]enginetest.Step{do(0)}, main...)...)
	p.calls = []guestCall{p.spawns}
	return p
}

func (p *procs) spawns(t *Task) Outcome {
	if _, err := t.Spawn("thread", func(id TaskID) []uint64 { return []uint64{uint64(id)} }); err != nil {
		p.note("spawn: %v", err)
	}
	return Done
}

// A thread that is not the first one executes a program: it is the only task then,
// has the process's number, and takes its signals.
func TestExecByThread(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := threads(t, []enginetest.Step{enginetest.Loop{}}, do(1))
		source := p.program("new", do(2), enginetest.Loop{})
		p.programs["new"].Others = append(p.programs["new"].Others, handlerScript(do(3)))
		p.calls = append(p.calls, p.execs(source), withHandler, p.caught)
		p.start()
		settle()
		all := p.k.tasks.All()
		if len(all) != 1 || all[0].ID() != p.g.ID() || p.g.Leader() != all[0] || all[0].State() != Running {
			t.Fatalf("tasks %v", all)
		}
		if n := p.mod.Open(); n != 0 {
			t.Errorf("%d threads of the old program are left", n)
		}
		_ = p.g.Signal(SIGUSR1)
		p.wantLog("signal 10")
		_ = p.g.Signal(SIGKILL)
		p.wantExit(ExitStatus{Signal: SIGKILL})
	})
}

// Of two threads that execute programs one does, and the other is gone.
func TestExecByTwo(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		both := make(chan struct{})
		arrived := 0
		p := threads(t, []enginetest.Step{do(1)}, do(1))
		source := p.program("new", do(2), enginetest.Loop{})
		exec := p.execs(source)
		p.calls = append(p.calls, func(t *Task) Outcome {
			if t.AtRest() {
				p.mu.Lock()
				if arrived++; arrived == 2 {
					close(both)
				}
				p.mu.Unlock()
				<-both
			}
			return exec(t)
		}, func(*Task) Outcome { p.note("new program"); return Done })
		p.start()
		p.wantLog("new program")
		if p.g.Exiting() || len(p.k.tasks.All()) != 1 {
			t.Errorf("exiting %v, tasks %v", p.g.Exiting(), p.k.tasks.All())
		}
	})
}

// A thread that is made while another one executes a program does not keep it from
// doing so.
func TestExecAndSpawn(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		there, let := make(chan struct{}), make(chan struct{})
		p := threads(t, []enginetest.Step{do(2)}, do(1), enginetest.Loop{})
		exec := p.execs(p.program("new", do(3), enginetest.Loop{}))
		made := false
		p.calls = append(p.calls, func(t *Task) Outcome { // the thread makes another one, late
			if made {
				return Done
			}
			made = true
			close(there)
			<-let
			return p.spawns(t)
		}, func(t *Task) Outcome {
			<-there
			return exec(t)
		}, func(*Task) Outcome { p.note("new program"); return Done })
		p.start()
		close(let)
		p.wantLog("new program")
	})
}

// The parent's end while a child is being made on its thread: the child is not
// there, and nothing is left.
func TestVforkWhileEnding(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := newProcs(t, nil, nil, nil, do(0), enginetest.Loop{})
		p.calls = []guestCall{func(t *Task) Outcome {
			if !t.AtRest() {
				return Again
			}
			err := t.Vfork(false, func(c *Task) {
				c.Complete(nil)
				p.g.Terminate()
			})
			if err == nil {
				return Again
			}
			p.note("%v", err)
			return Done
		}}
		p.start()
		p.wantExit(ExitStatus{Signal: SIGKILL})
		if all := p.k.tasks.Processes(); len(all) != 1 {
			t.Errorf("processes %v", all)
		}
	})
}

// The parent is killed while its child has the thread: the child keeps it.
func TestVforkParentKilled(t *testing.T) {
	for _, ends := range []bool{false, true} { // or executes a program
		bubble(t, map[bool]string{false: "exec", true: "exit"}[ends], func(t *testing.T) {
			let := make(chan struct{})
			// The first process makes the parent, which makes the child.
			p := newProcs(t, nil, nil, nil, do(0), do(1), do(2), enginetest.Loop{Until: let}, do(3))
			source := p.program("new", enginetest.Loop{})
			last := p.execs(source)
			if ends {
				last = exits(3)
			}
			p.calls = []guestCall{
				p.forks,
				inParent(p.waits(WaitFor{Exited: true})),
				func(t *Task) Outcome { // in the first process a wait for the child, which is its own then
					if t.Group() == t.Kernel().Init() {
						return p.waits(WaitFor{Exited: true})(t)
					}
					return p.vforks(false)(t)
				},
				inChild(last),
			}
			p.start()
			parent, child := p.child(2), p.child(3)
			if _, ok := parent.Leader().InternalStop().(VforkStop); !ok {
				t.Fatalf("the parent stands by %v", parent.Leader().InternalStop())
			}
			_ = parent.Signal(SIGKILL)
			p.wantLog("child 2: 2 of 9")
			if child.Parent() != p.g.ID() {
				t.Errorf("the child's parent is %d", child.Parent())
			}
			close(let)
			settle()
			if !ends {
				if child.Exiting() || child.Leader().State() != Running || p.mod.Open() != 1 {
					t.Errorf("it is %v, %d threads of the old program", child.Leader().State(), p.mod.Open())
				}
				_ = child.Signal(SIGTERM)
				p.wantLog("child 2: 2 of 9", "child 3: 2 of 15")
				return
			}
			p.wantLog("child 2: 2 of 9", "child 3: 1 of 3")
		})
	}
}

// A task that lends its thread on from a process of several has the memory of the
// process after a restore, and so has the child.
func TestVforkOfThreadsSaved(t *testing.T) {
	for _, byLeader := range []bool{true, false} {
		bubble(t, map[bool]string{true: "the first task", false: "another one"}[byLeader], func(t *testing.T) {
			main, thread := []enginetest.Step{enginetest.Loop{}}, []enginetest.Step{do(1), enginetest.Loop{}}
			if byLeader {
				main, thread = thread, main
			}
			p := threads(t, main, thread...)
			p.calls = append(p.calls, p.vforks(false))
			p.start()
			p.child(3)
			p.through()
			p.start()
			lender := p.g.Leader()
			if !byLeader {
				lender, _ = p.k.tasks.Get(2)
			}
			if s, ok := lender.InternalStop().(VforkStop); !ok || s.Child != 3 {
				t.Fatalf("the parent stands by %v", lender.InternalStop())
			}
			child := p.child(3)
			s := p.stop()
			var mems []any
			for _, task := range p.k.tasks.All() {
				if task.thread != nil {
					mems = append(mems, task.thread.Memory())
				}
			}
			if len(mems) != 2 || mems[0] != mems[1] {
				t.Errorf("memories %p", mems)
			}
			s.End()
			child.Exit(0)
			p.wantLog("child 3 gave the thread back")
			settle()
			if lender.State() != Running {
				t.Errorf("the parent is %v", lender.State())
			}
		})
	}
}
