package kernel

import (
	"errors"
	"slices"
	"testing"

	"github.com/stasis-run/stasis/internal/engine/enginetest"
)

// A namedTerminal is a terminal of a test's.
type namedTerminal string

func (n *namedTerminal) Name() string { return string(*n) }

func newTerminal(name string) *namedTerminal {
	n := namedTerminal(name)
	return &n
}

// jobControl is the first process as the leader of a session with a terminal, and n
// children of it in process groups of their own, which loop.
func jobControl(t *testing.T, n int) (*procs, *namedTerminal) {
	p := children(t, n)
	term := newTerminal("tty")
	if err := p.g.SetControlling(term); err != nil {
		t.Fatal(err)
	}
	for pid := TaskID(2); pid < TaskID(n+2); pid++ {
		if err := p.g.SetProcessGroup(pid, pid); err != nil {
			t.Fatal(err)
		}
	}
	return p, term
}

// The rules of TIOCSCTTY: leaders of sessions, one terminal a session, one session a
// terminal.
func TestSetControlling(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p, term := jobControl(t, 2)
		other := newTerminal("other")
		_ = p.child(3).SetProcessGroup(0, 1)
		leader := p.child(2)
		for _, c := range []struct {
			name string
			by   *ThreadGroup
			term Terminal
			want error
		}{
			{"again", p.g, term, nil},
			{"another one", p.g, other, ErrNotPermitted},
			{"who leads no session", p.child(3), other, ErrNotPermitted},
		} {
			if err := c.by.SetControlling(c.term); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
		}
		_ = leader.SetProcessGroup(0, 1)
		if err := leader.SetSession(); err != nil {
			t.Fatal(err)
		}
		if err := leader.SetControlling(term); !errors.Is(err, ErrNotPermitted) {
			t.Errorf("another session's: %v", err)
		}
		if err := leader.SetControlling(other); err != nil {
			t.Errorf("its own: %v", err)
		}
		for g, want := range map[*ThreadGroup]Terminal{p.g: term, p.child(3): term, leader: other} {
			if got := g.Controlling(); got != want {
				t.Errorf("process %d has %v, want %v", g.ID(), got, want)
			}
		}
	})
}

// Whose terminal it is has a group in its foreground, of its own session.
func TestForeground(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p, term := jobControl(t, 3)
		outside := p.child(4)
		_ = p.g.SetProcessGroup(4, 1)
		if err := outside.SetSession(); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			by    *ThreadGroup
			term  Terminal
			group TaskID
			want  error
		}{
			{p.g, term, 9, ErrNoSuchProcess},
			{p.g, term, 4, ErrNotPermitted}, // in another session
			{p.g, newTerminal("other"), 2, ErrNotControlling},
			{outside, term, 4, ErrNotControlling},
			{p.g, term, 3, nil},
			{p.child(2), term, 2, nil}, // who is not its leader may as well
		} {
			if err := c.by.SetForeground(c.term, c.group); !errors.Is(err, c.want) {
				t.Errorf("group %d by %d: %v, want %v", c.group, c.by.ID(), err, c.want)
			}
		}
		if group, err := p.g.Foreground(term); group != 2 || err != nil {
			t.Errorf("foreground %d, %v", group, err)
		}
		if _, err := outside.Foreground(term); !errors.Is(err, ErrNotControlling) {
			t.Errorf("from another session: %v", err)
		}
	})
}

// Who is in the background is stopped when it reads, or changes the terminal, unless
// it does not take the signal: then a change is allowed, and a read is not.
func TestTerminalAccess(t *testing.T) {
	for _, c := range []struct {
		name       string
		sig        int32
		foreground TaskID
		prepare    func(t *Task)
		want       Access
		stopped    int32
	}{
		{"the foreground", SIGTTIN, 2, nil, Allowed, 0},
		{"a read", SIGTTIN, 1, nil, Later, SIGTTIN},
		{"a change", SIGTTOU, 1, nil, Later, SIGTTOU},
		{"a read that ignores it", SIGTTIN, 1, func(t *Task) { t.group.SetAction(SIGTTIN, SigAction{Disposition: SigIgnore}) }, Denied, 0},
		{"a change that ignores it", SIGTTOU, 1, func(t *Task) { t.group.SetAction(SIGTTOU, SigAction{Disposition: SigIgnore}) }, Allowed, 0},
		{"a read that blocks it", SIGTTIN, 1, func(t *Task) { t.SetSigMask(sigSet(SIGTTIN)) }, Denied, 0},
		{"a change that blocks it", SIGTTOU, 1, func(t *Task) { t.SetSigMask(sigSet(SIGTTOU)) }, Allowed, 0},
		{"an orphaned group", SIGTTIN, 1, func(t *Task) { t.group.jobs.orphaned.Store(true) }, Denied, 0},
		{"a change in an orphaned group", SIGTTOU, 1, func(t *Task) { t.group.jobs.orphaned.Store(true) }, Denied, 0},
		{"another session", SIGTTIN, 1, func(t *Task) {
			_ = t.k.Init().SetProcessGroup(2, 1)
			_ = t.group.SetSession()
		}, Allowed, 0},
	} {
		bubble(t, c.name, func(t *testing.T) {
			let := make(chan struct{})
			p := newProcs(t, nil, nil, nil, do(0), enginetest.Loop{Until: let}, do(1), enginetest.Loop{})
			term := newTerminal("tty")
			again := false
			p.calls = []guestCall{p.forks, inChild(func(t *Task) Outcome {
				if again {
					return Done
				}
				again = true
				if c.prepare != nil {
					c.prepare(t)
				}
				switch got := t.TerminalAccess(term, c.sig); {
				case got != c.want:
					p.note("%v, want %v", got, c.want)
				case got == Later:
					return Again
				}
				return Done
			})}
			p.start()
			_ = p.g.SetControlling(term)
			_ = p.g.SetProcessGroup(2, 2)
			if err := p.g.SetForeground(term, c.foreground); err != nil {
				t.Fatal(err)
			}
			close(let)
			p.wantLog()
			if got := p.child(2).StoppedBy(); got != c.stopped {
				t.Errorf("stopped by %d, want %d", got, c.stopped)
			}
		})
	}
}

// A handler for the signal is called in place of a stop.
func TestTerminalAccessCaught(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		let := make(chan struct{})
		p := newProcs(t, nil, nil, []enginetest.Script{handlerScript(do(1))}, do(0), do(2), enginetest.Loop{Until: let}, do(3), enginetest.Loop{})
		term, tries := newTerminal("tty"), 0
		p.calls = []guestCall{withHandler, p.caught, p.forks, inChild(func(t *Task) Outcome {
			if tries++; tries > 1 {
				return Done
			}
			if got := t.TerminalAccess(term, SIGTTIN); got != Later {
				p.note("%v", got)
			}
			return Again
		})}
		p.action(SIGTTIN, SigAction{Flags: SARestart})
		p.start()
		_ = p.g.SetControlling(term)
		_ = p.g.SetProcessGroup(2, 2)
		close(let)
		p.wantLog("signal 21")
		if p.child(2).StoppedBy() != 0 || tries < 2 {
			t.Errorf("stopped by %d, tried %d times", p.child(2).StoppedBy(), tries)
		}
	})
}

// To whom signals of a terminal's go.
func TestSignalTerminal(t *testing.T) {
	for _, c := range []struct {
		name       string
		sig        int32
		foreground TaskID // 0: the terminal controls nobody
		ended      []TaskID
		stopped    []TaskID
	}{
		{"nobody's, to the first process", SIGINT, 0, []TaskID{1}, nil},
		{"the foreground", SIGINT, 2, []TaskID{2}, nil},
		{"a hang-up, to the leader as well", SIGHUP, 2, []TaskID{1, 2}, nil},
		{"a stop", SIGTSTP, 2, nil, []TaskID{2}},
		{"not of the first one's group", SIGTSTP, 1, nil, nil},
		{"nor of nobody's", SIGTSTP, 0, nil, nil},
	} {
		bubble(t, c.name, func(t *testing.T) {
			p, term := jobControl(t, 2)
			to := Terminal(term)
			if c.foreground == 0 {
				to = newTerminal("other")
			} else if err := p.g.SetForeground(term, c.foreground); err != nil {
				t.Fatal(err)
			}
			p.k.SignalTerminal(to, c.sig)
			settle()
			for pid := TaskID(1); pid < 4; pid++ {
				g, _ := p.k.tasks.Process(pid)
				if ended := g.Exiting() && g.exitStatus().Signal == c.sig; ended != slices.Contains(c.ended, pid) {
					t.Errorf("process %d has ended by it: %v", pid, ended)
				}
				if stopped := g.StoppedBy() == c.sig; stopped != slices.Contains(c.stopped, pid) {
					t.Errorf("process %d is stopped by it: %v", pid, stopped)
				}
			}
		})
	}
}

// When the leader of a session ends, its terminal is free, and those in the foreground
// are told: also stopped ones, which go on for that.
func TestLeaderLeavesTerminal(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		// The first process makes a leader (2) that makes a job (3) and another one (4).
		p := newProcs(t, nil, nil, nil, do(0), do(1), enginetest.Loop{})
		p.calls = []guestCall{p.forks, func(t *Task) Outcome {
			if t.group.id != 2 {
				return Done
			}
			if !t.AtRest() {
				return Again
			}
			_ = t.group.SetSession()
			for range 2 {
				if _, err := t.Fork(func(c *Task) { c.Complete(nil) }); err != nil {
					p.note("%v", err)
				}
			}
			return Done
		}}
		p.start()
		leader, job, other, term := p.child(2), p.child(3), p.child(4), newTerminal("pty")
		if err := leader.SetControlling(term); err != nil {
			t.Fatal(err)
		}
		for _, g := range []*ThreadGroup{job, other} {
			if err := leader.SetProcessGroup(g.id, g.id); err != nil {
				t.Fatal(err)
			}
		}
		if err := leader.SetForeground(term, 3); err != nil {
			t.Fatal(err)
		}
		_ = job.Signal(SIGSTOP)
		settle()
		leader.Exit(0)
		settle()
		if !job.Exiting() || job.exitStatus().Signal != SIGHUP || other.Exiting() {
			t.Errorf("the job: %v, %+v, the other: %v", job.Exiting(), job.exitStatus(), other.Exiting())
		}
		if other.Controlling() != nil || len(p.k.tasks.terminals) != 0 {
			t.Error("the terminal is not free")
		}
	})
}

// A restored system's sessions have their terminals, as far as these are there.
func TestTerminalsAreSaved(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p, term := jobControl(t, 2)
		_ = p.g.SetForeground(term, 3)
		st := p.saved()
		if len(st.Terminals) != 1 || st.Terminals[0] != (TerminalState{"tty", 1, 3}) {
			t.Fatalf("saved %+v", st.Terminals)
		}
		for name, there := range map[string]bool{"tty": true, "another one": false} {
			k, s := New(p.options()), &Session{id: 1}
			found := newTerminal(name)
			find := func(n string) Terminal {
				if n == name {
					return found
				}
				return nil
			}
			k.tasks.mu.Lock()
			err := k.tasks.restoreTerminals(st.Terminals, map[TaskID]*Session{1: s}, find)
			got := k.tasks.terminals[found]
			k.tasks.mu.Unlock()
			if err != nil || (got != nil) != there || there && (got.foreground != 3 || got.session != s || s.tty != Terminal(found)) {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		}
		for name, bad := range map[string][]TerminalState{
			"a session that there is not": {{"tty", 7, 1}},
			"two terminals of a session":  {{"a", 1, 1}, {"b", 1, 1}},
		} {
			k := New(p.options())
			k.tasks.mu.Lock()
			err := k.tasks.restoreTerminals(bad, map[TaskID]*Session{1: {id: 1}}, func(n string) Terminal { return newTerminal(n) })
			k.tasks.mu.Unlock()
			if err == nil {
				t.Errorf("%s: it is restored", name)
			}
		}
	})
}
