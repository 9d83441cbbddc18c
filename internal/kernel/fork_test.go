package kernel

import (
	"errors"
	"testing"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/enginetest"
)

// waitsAt lines up at futexAddr and notes how that ended.
func (p *procs) waitsAt(t *Task) Outcome {
	got, out := t.FutexWait(futexAddr, -1, func() bool { return true })
	if out == Done {
		p.note("process %d: %d", t.Group().ID(), got)
	}
	return out
}

// A handler that has interrupted a wait at an address forks: the child waits as well,
// in its own memory, and not for ever as one that is not in line.
func TestForkInHandlerOfWait(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		forked := false
		p := newProcs(t, nil, nil, []enginetest.Script{handlerScript(do(1))}, do(0), enginetest.Import{Fn: sysNever, Args: []uint64{2}}, enginetest.Loop{})
		p.calls = []guestCall{withHandler, func(t *Task) Outcome {
			if forked {
				return Done
			}
			forked = t.AtRest()
			return p.forks(t)
		}, p.waitsAt}
		p.start()
		_ = p.g.Signal(SIGUSR1)
		child := p.child(2)
		p.wantLog()
		p.through()
		p.start()
		p.wantLog()
		for _, g := range []*ThreadGroup{p.g, p.child(child.ID())} {
			if n := p.k.futexes.wake(futexKey{g.Leader().thread.Memory(), futexAddr}, 9); n != 1 {
				t.Errorf("process %d: %d tasks wait", g.ID(), n)
			}
			settle()
		}
		p.wantLog("process 1: 0", "process 2: 0")
	})
}

// A fiber that is dropped while a handler in it has interrupted a wait waits no more,
// and nor do those of a task that ends: wake-ups are for others.
func TestFiberInHandlerOfWait(t *testing.T) {
	for _, ends := range []bool{false, true} {
		bubble(t, map[bool]string{false: "dropped", true: "the task ends"}[ends], func(t *testing.T) {
			// The thread makes a fiber, waits, and switches to the fiber in a handler.
			p := threads(t, []enginetest.Step{enginetest.Loop{}}, do(1), do(2), enginetest.Import{Fn: sysNever, Args: []uint64{3}}, enginetest.Loop{})
			p.mod.Others = append(p.mod.Others, handlerScript(do(4)), enginetest.Script{Name: "fiber", Steps: []enginetest.Step{do(5), enginetest.Loop{}}})
			let := make(chan struct{})
			p.mod.Others[2].Steps = []enginetest.Step{enginetest.Loop{Until: let}, do(5), enginetest.Loop{}}
			var fiber uint64
			p.calls = append(p.calls, withHandler, func(t *Task) (_ Outcome) {
				fiber, _ = t.NewFiber(3)
				return Done
			}, p.waitsAt, func(t *Task) Outcome {
				if !t.AtRest() {
					return Again
				}
				if err := t.SwitchFiber(fiber, nil); err != nil {
					p.note("%v", err)
					return Done
				}
				return Gone
			}, func(t *Task) Outcome {
				if ends {
					t.Exit()
					return Gone
				}
				for id := range t.fibers.byID {
					t.fibers.byID[id].drop()
					delete(t.fibers.byID, id)
				}
				return Done
			})
			p.start()
			thread, _ := p.k.tasks.Get(2)
			_ = thread.SendInfo(SigInfo{Signo: SIGUSR1})
			settle()
			p.through()
			p.start()
			key := futexKey{p.g.Leader().thread.Memory(), futexAddr}
			if n := len(p.k.futexes.lines[key]); n != 1 {
				t.Fatalf("%d tasks wait, log %q", n, p.log)
			}
			close(let)
			settle()
			if n := p.k.futexes.wake(key, 1); n != 0 {
				t.Errorf("%d tasks were woken that there are not", n)
			}
		})
	}
}

// Another thread has the memory grow while it is copied.
func TestForkWhileMemoryGrows(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := newProcs(t, nil, nil, nil, do(0), enginetest.Loop{})
		p.calls = []guestCall{func(t *Task) Outcome {
			if !t.AtRest() {
				return Again
			}
			child, _ := t.beginFork()
			defer t.group.endFork(child)
			n := newTask(t.k, child, t.calls)
			th := t.thread.(*enginetest.ScriptedThread)
			grown := &grownThread{ScriptedThread: th, by: 4096}
			t.thread = grown
			err := t.copyTo(n)
			t.thread = th
			p.note("%v", errors.Join(err, n.closeThread()))
			return Done
		}}
		p.start()
		p.wantLog("<nil>")
	})
}

// A grownThread has a larger memory than it has said it would save.
type grownThread struct {
	*enginetest.ScriptedThread
	by int
}

func (g *grownThread) Memory() engine.Memory {
	b := make(grown, len(g.ScriptedThread.Memory().Bytes())+g.by)
	for i := range b {
		b[i] = 1
	}
	return &b
}

type grown []byte

func (g *grown) Bytes() []byte { return *g }

func (g *grown) Hold() (release func()) { return func() {} }

// Marks: to go back again and again, out of handlers, and in a restored system; what
// has returned or is another fiber's is not gone back to.
func TestMarks(t *testing.T) {
	bubble(t, "out of a handler", func(t *testing.T) {
		p := newProcs(t, nil, nil, []enginetest.Script{handlerScript(do(2))}, do(0), do(1), do(3), enginetest.Loop{})
		mask := SigSet(0)
		p.calls = []guestCall{withHandler, func(t *Task) Outcome {
			if !t.AtRest() {
				return Again
			}
			if _, err := t.Mark(8); err != nil {
				p.note("%v", err)
			}
			return Done
		}, func(t *Task) Outcome {
			if !t.AtRest() {
				return Again
			}
			if _, err := t.Jump(t.marks.last); err != nil {
				p.note("%v", err)
				return Done
			}
			mask |= t.SigMask()
			t.Complete(nil)
			return Gone
		}, func(t *Task) Outcome { p.note("after the mark"); return Done }}
		p.start()
		for range 3 {
			_ = p.g.Signal(SIGUSR1)
			settle()
			p.through()
			p.start()
		}
		p.wantLog("after the mark", "after the mark", "after the mark", "after the mark")
		if mask != 0 || len(p.task().below) != 0 {
			t.Errorf("mask %#x, %d handlers", uint64(mask), len(p.task().below))
		}
	})
	bubble(t, "what there is not", func(t *testing.T) {
		p := newProcs(t, nil, nil, nil, do(0), enginetest.Loop{})
		p.calls = []guestCall{func(t *Task) Outcome {
			if !t.AtRest() {
				return Again
			}
			for _, id := range []uint64{0, 1, 99} {
				if _, err := t.Jump(id); !errors.Is(err, ErrNoMark) {
					p.note("mark %d: %v", id, err)
				}
			}
			for range maxMarks + 10 { // at one address there is one
				if _, err := t.Mark(8); err != nil {
					p.note("%v", err)
				}
			}
			for i := range maxMarks {
				_, err := t.Mark(16 + 8*uint64(i))
				if (err != nil) != (i == maxMarks-1) || err != nil && !errors.Is(err, ErrTooManyMarks) {
					p.note("mark at %d: %v", i, err)
				}
			}
			return Done
		}}
		p.start()
		p.wantLog()
	})
}
