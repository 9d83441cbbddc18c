package kernel

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stasis-run/stasis/internal/engine/enginetest"
	"github.com/stasis-run/stasis/internal/vfs"
)

// family makes n children of the first process, which run for ever; their pids are
// 2 and so on.
func children(t *testing.T, n int) *procs {
	p := newProcs(t, nil, nil, nil, do(0), enginetest.Loop{})
	p.calls = []guestCall{func(t *Task) Outcome {
		if !t.AtRest() {
			return Again
		}
		for range n {
			if _, err := t.Fork(func(c *Task) { c.Complete(nil) }); err != nil {
				p.note("fork: %v", err)
			}
		}
		return Done
	}}
	p.start()
	return p
}

func (p *procs) wantChange(f WaitFor, want string) {
	p.t.Helper()
	settle()
	c, ok, err := p.g.WaitChild(f)
	got := fmt.Sprintf("%d: %d of %d", c.PID, c.Code, c.Status)
	if err != nil {
		got = err.Error()
	} else if !ok {
		got = "nothing"
	}
	if got != want {
		p.t.Errorf("wait for %+v: %s, want %s", f, got, want)
	}
}

// What waitpid(2) tells: each change once, but with Keep, and the latest one only.
func TestWaitChild(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := children(t, 3)
		any, stops := WaitFor{Exited: true}, WaitFor{Exited: true, Stopped: true, Continued: true}
		p.wantChange(any, "nothing")
		p.wantChange(WaitFor{PID: 9, Exited: true}, ErrNoChild.Error())
		p.wantChange(WaitFor{Group: 2, Exited: true}, ErrNoChild.Error())
		p.wantChange(WaitFor{Group: 1, Exited: true}, "nothing")
		_ = p.child(3).Signal(SIGTSTP)
		p.wantChange(any, "nothing")
		p.wantChange(WaitFor{Stopped: true, Keep: true}, "3: 5 of 20")
		p.wantChange(WaitFor{PID: 2, Stopped: true}, "nothing")
		p.wantChange(stops, "3: 5 of 20")
		p.wantChange(stops, "nothing")
		_ = p.child(3).Signal(SIGCONT)
		p.wantChange(WaitFor{Stopped: true}, "nothing")
		p.wantChange(WaitFor{Continued: true, Keep: true}, "3: 6 of 18")
		p.wantChange(stops, "3: 6 of 18")
		p.wantChange(stops, "nothing")
		_ = p.child(3).Signal(SIGSTOP)
		settle()
		_ = p.child(3).Signal(SIGCONT) // nobody has seen the stop: it is over
		p.wantChange(stops, "3: 6 of 18")
		_ = p.child(3).Signal(SIGSTOP)
		settle()
		p.child(3).Exit(7)
		p.wantChange(WaitFor{Stopped: true}, "nothing")
		p.wantChange(WaitFor{Exited: true, Keep: true}, "3: 1 of 7")
		p.wantChange(stops, "3: 1 of 7")
		p.wantChange(WaitFor{PID: 3, Exited: true}, ErrNoChild.Error())
		_ = p.child(2).Signal(SIGQUIT)
		p.child(4).Exit(0x1ff)
		p.wantChange(any, "2: 3 of 3")
		p.wantChange(any, "4: 1 of 255")
		p.wantChange(any, ErrNoChild.Error())
		if n := len(p.k.tasks.All()); n != 1 {
			t.Errorf("%d tasks are left", n)
		}
	})
}

// A stop that comes before the parent was told of the end of the one before is told.
func TestStopAfterContinue(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := children(t, 1)
		c := p.child(2)
		_ = c.Signal(SIGSTOP)
		p.wantChange(WaitFor{Stopped: true}, "2: 5 of 19")
		s := &c.signals
		s.mu.Lock()
		_, told, _ := s.postLocked(c, SigInfo{Signo: SIGCONT}, nil)
		s.mu.Unlock()
		_ = c.Signal(SIGTSTP) // by somebody else
		settle()
		if told {
			c.toldParent()
		}
		p.wantChange(WaitFor{Stopped: true}, "2: 5 of 20")
	})
}

// SIGCHLD and its flags.
func TestChildSignals(t *testing.T) {
	for _, c := range []struct {
		name  string
		act   SigAction
		want  []string
		waits string // after the end
	}{
		{"caught", SigAction{Disposition: SigCatch}, []string{"5 of 19", "6 of 18", "2 of 15"}, "2: 2 of 15"},
		{"no stops", SigAction{Disposition: SigCatch, Flags: SANoChildStop}, []string{"2 of 15"}, "2: 2 of 15"},
		{"no zombies", SigAction{Disposition: SigCatch, Flags: SANoChildWait}, []string{"5 of 19", "6 of 18", "2 of 15"}, ErrNoChild.Error()},
		{"ignored", SigAction{Disposition: SigIgnore}, nil, ErrNoChild.Error()},
	} {
		bubble(t, c.name, func(t *testing.T) {
			p := newProcs(t, nil, nil, []enginetest.Script{handlerScript(do(1))}, do(2), do(0), enginetest.Loop{})
			p.calls = []guestCall{inParent(withHandler), func(t *Task) Outcome {
				info, _ := t.Signalled()
				p.note("%d of %d", info.Code, info.Status)
				return Done
			}, p.forks}
			p.g.SetAction(SIGCHLD, c.act)
			p.start()
			child := p.child(2)
			for _, sig := range []int32{SIGSTOP, SIGCONT, SIGTERM} {
				_ = child.Signal(sig)
				settle()
			}
			p.wantLog(c.want...)
			p.wantChange(WaitFor{Exited: true}, c.waits)
		})
	}
}

// The rules of setpgid(2) and setsid(2).
func TestProcessGroups(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := children(t, 4)
		two, three, four, five := p.child(2), p.child(3), p.child(4), p.child(5)
		_ = five.SetSession()
		three.executed.Store(true)
		for _, c := range []struct {
			by        *ThreadGroup
			pid, pgid TaskID
			want      error
		}{
			{p.g, 0, 0, ErrNotPermitted},  // a leader of a session
			{p.g, 9, 9, ErrNoSuchProcess}, // nobody
			{two, 3, 3, ErrNoSuchProcess}, // not a child
			{p.g, 3, 3, ErrHasExecuted},   //
			{p.g, 2, 9, ErrNotPermitted},  // no such group
			{p.g, 5, 5, ErrNotPermitted},  // in another session
			{p.g, 2, 5, ErrNotPermitted},  // a group of another session
			{p.g, 2, 0, nil},              // its own group
			{p.g, 2, 2, nil},              // again
			{p.g, 4, 2, nil},              // one that there is
			{three, 0, 2, nil},            // the caller
			{p.g, 2, 1, nil},              // back; its group stays
			{four, 0, 0, nil},             //
			{three, 0, 4, nil},            //
			{p.g, 2, 2, nil},              // it is there anew
			{p.g, 2, -1 << 31, ErrNotPermitted},
		} {
			if err := c.by.SetProcessGroup(c.pid, c.pgid); !errors.Is(err, c.want) {
				t.Errorf("setpgid(%d, %d) of %d: %v, want %v", c.pid, c.pgid, c.by.ID(), err, c.want)
			}
		}
		if err := four.SetSession(); !errors.Is(err, ErrNotPermitted) { // it leads a group
			t.Errorf("setsid: %v", err)
		}
		_ = p.g.SetProcessGroup(4, 1)
		if err := four.SetSession(); !errors.Is(err, ErrNotPermitted) { // there is one of its number
			t.Errorf("setsid: %v", err)
		}
		for g, want := range map[*ThreadGroup][2]TaskID{p.g: {1, 1}, two: {2, 1}, three: {4, 1}, four: {1, 1}, five: {5, 5}} {
			if group, session := g.JobIDs(); group != want[0] || session != want[1] {
				t.Errorf("process %d: group %d of session %d, want %v", g.ID(), group, session, want)
			}
		}
		p.through()
		for pid, want := range map[TaskID][2]TaskID{1: {1, 1}, 2: {2, 1}, 3: {4, 1}, 4: {1, 1}, 5: {5, 5}} {
			if group, session := p.child(pid).JobIDs(); group != want[0] || session != want[1] {
				t.Errorf("restored: process %d: group %d of session %d, want %v", pid, group, session, want)
			}
		}
	})
}

// kill(2): to whom.
func TestKill(t *testing.T) {
	for _, c := range []struct {
		by, pid TaskID
		sig     int32
		ended   []TaskID
		err     error
	}{
		{1, 3, SIGTERM, []TaskID{3}, nil},
		{1, 9, SIGTERM, nil, ErrNoSuchProcess},
		{1, -9, SIGTERM, nil, ErrNoSuchProcess},
		{1, -1 << 31, SIGTERM, nil, ErrNoSuchProcess},
		{1, -2, SIGTERM, []TaskID{2, 3}, nil},
		{4, -2, SIGKILL, []TaskID{2, 3}, nil},
		{3, 0, SIGTERM, []TaskID{2, 3}, nil},
		{2, -1, SIGTERM, []TaskID{3, 4}, nil},
		{1, -1, SIGTERM, []TaskID{2, 3, 4}, nil},
		{1, -2, 0, nil, nil},
		{1, 3, 0, nil, nil},
	} {
		bubble(t, fmt.Sprintf("%d to %d", c.by, c.pid), func(t *testing.T) {
			p := children(t, 3)
			_ = p.g.SetProcessGroup(2, 2)
			_ = p.g.SetProcessGroup(3, 2)
			if err := p.child(c.by).Kill(c.pid, SigInfo{Signo: c.sig}); !errors.Is(err, c.err) {
				t.Errorf("%v, want %v", err, c.err)
			}
			settle()
			var ended []TaskID
			for _, g := range p.k.tasks.Processes() {
				if g.Exiting() {
					ended = append(ended, g.ID())
				}
			}
			if !slices.Equal(ended, c.ended) {
				t.Errorf("%v have ended, want %v", ended, c.ended)
			}
		})
	}
	bubble(t, "some", func(t *testing.T) { // one that it was sent to is enough
		p := children(t, 2)
		full := p.child(3)
		for range maxQueued {
			full.stopFor(sigRTMin)
		}
		_ = p.g.SetProcessGroup(2, 2)
		_ = p.g.SetProcessGroup(3, 2)
		if err := p.g.Kill(-2, SigInfo{Signo: sigRTMin}); err != nil {
			t.Errorf("%v", err)
		}
	})
}

// stopFor has a signal be pending at a stopped process.
func (g *ThreadGroup) stopFor(sig int32) {
	_ = g.Signal(SIGSTOP)
	_ = g.Signal(sig)
}

// Signals of terminals do not stop a group that nobody would let go on; one that
// becomes so while it is stopped gets SIGHUP and SIGCONT.
func TestOrphanedGroups(t *testing.T) {
	// The first process makes a session leader (2), which makes a job (3).
	world := func(t *testing.T) *procs {
		p := newProcs(t, nil, nil, nil, do(0), do(1), do(2), do(3), enginetest.Loop{})
		p.calls = []guestCall{
			p.forks,
			inChild(func(t *Task) Outcome {
				if t.Group().ID() == 2 {
					_ = t.Group().SetSession()
				}
				return Done
			}),
			func(t *Task) Outcome {
				if t.Group().ID() != 2 {
					return Done
				}
				return p.forks(t)
			},
			func(t *Task) Outcome {
				if t.Group().ID() == 3 {
					_ = t.Group().SetProcessGroup(0, 0)
				}
				return Done
			},
		}
		p.start()
		return p
	}
	bubble(t, "stops", func(t *testing.T) {
		p := world(t)
		leader, job := p.child(2), p.child(3)
		_ = leader.Signal(SIGTSTP) // its parent is in another session
		_ = job.Signal(SIGTSTP)
		settle()
		if leader.StoppedBy() != 0 || job.StoppedBy() != SIGTSTP {
			t.Errorf("stopped by %d and %d", leader.StoppedBy(), job.StoppedBy())
		}
		_ = leader.Signal(SIGSTOP) // that one does
		settle()
		if leader.StoppedBy() != SIGSTOP {
			t.Error("it is not stopped")
		}
	})
	bubble(t, "its parent ends", func(t *testing.T) {
		p := world(t)
		job := p.child(3)
		_ = job.Signal(SIGTSTP)
		settle()
		p.child(2).Exit(0)
		settle()
		if st := job.exitStatus(); !job.Exiting() || st.Signal != SIGHUP {
			t.Errorf("exiting %v, %+v", job.Exiting(), st)
		}
	})
	bubble(t, "one that runs is left alone", func(t *testing.T) {
		p := world(t)
		job := p.child(3)
		p.child(2).Exit(0)
		settle()
		_ = job.Signal(SIGTTIN)
		settle()
		if job.Exiting() || job.StoppedBy() != 0 || job.Parent() != 1 {
			t.Errorf("exiting %v, stopped by %d, parent %d", job.Exiting(), job.StoppedBy(), job.Parent())
		}
		p.through()
		job = p.child(3)
		p.start()
		_ = job.Signal(SIGTTIN)
		settle()
		if job.StoppedBy() != 0 {
			t.Error("restored: it is stopped")
		}
	})
}

// A process's children are the first process's when it ends, zombies too; what has
// ended is there until it was waited for, also in a restored system.
func TestAdoption(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		// The first process makes 2, which makes 3, and both make 4 and so on.
		p := newProcs(t, nil, nil, nil, do(0), do(1), enginetest.Loop{})
		p.calls = []guestCall{p.forks, inChild(p.forks)}
		p.start()
		three := p.child(3)
		if three.Parent() != 2 {
			t.Fatalf("parent %d", three.Parent())
		}
		three.Exit(3)
		settle()
		p.wantChange(WaitFor{Exited: true}, "nothing")
		p.through()
		p.start()
		p.wantChange(WaitFor{Exited: true}, "nothing")
		if err := p.child(2).Signal(SIGKILL); err != nil {
			t.Error(err)
		}
		settle()
		if p.child(3).Parent() != 1 || p.child(3).Signal(SIGTERM) != nil {
			t.Error("it was not adopted")
		}
		p.through()
		p.start()
		p.wantChange(WaitFor{Exited: true}, "2: 2 of 9")
		p.wantChange(WaitFor{Exited: true}, "3: 1 of 3")
		p.wantChange(WaitFor{Exited: true}, ErrNoChild.Error())
		if n := len(p.k.tasks.Processes()); n != 1 {
			t.Errorf("%d processes are left", n)
		}
	})
}

// The end of the first process is that of all, stopped ones too, and then no process
// is made any more.
func TestWorldEnds(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := children(t, 3)
		_ = p.child(2).Signal(SIGSTOP)
		p.child(3).Exit(0)
		settle()
		p.g.Exit(5)
		p.wantExit(ExitStatus{Code: 5})
		for _, g := range p.k.tasks.Processes() {
			if !g.Exiting() {
				t.Errorf("process %d goes on", g.ID())
			}
		}
		g := newThreadGroup(p.k, p.g.program(), ProcessOptions{Files: vfs.NewFDTable(1)})
		task := newTask(p.k, g, nil)
		if err := p.k.tasks.reserve(task); err != nil {
			t.Fatal(err)
		}
		if err := p.k.tasks.launchProcess(task, p.g); !errors.Is(err, ErrExiting) {
			t.Errorf("another process: %v", err)
		}
	})
}

// A number is given again only when no task and no process group has it.
func TestNumbersGoRound(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := children(t, 2)
		_ = p.g.SetProcessGroup(2, 2)
		_ = p.g.SetProcessGroup(3, 2)
		p.child(2).Exit(0)
		p.wantChange(WaitFor{Exited: true}, "2: 1 of 0")
		s := p.k.tasks
		s.mu.Lock()
		defer s.mu.Unlock()
		s.lastID = maxTaskID - 1
		for _, want := range []TaskID{maxTaskID, 4, 5} {
			if id := s.nextIDLocked(); id != want {
				t.Errorf("number %d, want %d", id, want)
			}
		}
	})
}

// Whether groups are orphaned is known after whatever happens to their processes, and
// it is what a look at all of them tells.
func TestOrphansAreCounted(t *testing.T) {
	k := New(Options{Calls: NewCallTable(nil)})
	s := k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*ThreadGroup
	join := func(parent *ThreadGroup) {
		g := newThreadGroup(k, nil, ProcessOptions{})
		g.id = s.nextIDLocked()
		s.joinLocked(g, parent)
		s.running++
		all = append(all, g)
	}
	join(nil)
	k.first.Store(all[0])
	r := rand.New(rand.NewPCG(1, 2))
	orphaned := 0
	for i := range 20_000 {
		g := all[r.IntN(len(all))]
		_, living := s.groups[g.id]
		living = living && !g.family.zombie
		switch n := r.IntN(10); {
		case n < 4 && living && len(all) < 40:
			join(g)
		case n < 5 && living && s.jobs[g.id] == nil:
			was := g.jobs.group
			s.newSessionLocked(g)
			s.updateOrphansLocked(was)
		case n < 8 && living:
			was, to := g.jobs.group, all[r.IntN(len(all))].id
			if s.regroupLocked(g, was.session, to) == nil {
				s.updateOrphansLocked(was)
				s.updateOrphansLocked(g.jobs.group)
			}
		case n < 9 && living && g != all[0]:
			s.endLocked(g)
		case g.family.zombie && s.groups[g.id] == g:
			s.reapLocked(g)
			all = slices.DeleteFunc(all, func(o *ThreadGroup) bool { return o == g })
		}
		for _, p := range s.jobs {
			want := true
			for m := range p.members {
				want = want && !m.holdsLocked()
			}
			for m := range p.members {
				if m.jobs.orphaned.Load() != want {
					t.Fatalf("step %d: process %d of group %d: orphaned %v, want %v", i, m.id, p.id, !want, want)
				}
			}
			if want {
				orphaned++
			}
		}
	}
	if orphaned == 0 {
		t.Error("no group was orphaned")
	}
}
