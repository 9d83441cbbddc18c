package kernel

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// A Terminal is what a session can have for its controlling one. The kernel knows
// whose it is, and which process group is in its foreground; what it does with
// characters is its own business. Terminals are compared with ==.
type Terminal interface {
	// Name is what a restored system finds it by.
	Name() string
}

// A control is the session that has a terminal. Protected by TaskSet.mu.
type control struct {
	session    *Session
	foreground TaskID // process group; it may be gone
}

// ErrNotControlling says that a terminal is not the one that controls the caller's
// session.
var ErrNotControlling = errors.New("it is not the controlling terminal")

// SetControlling makes a terminal that of the process's session, which the process
// leads and which has none, with the process's group in the foreground
// (ioctl_tty(2), TIOCSCTTY).
func (g *ThreadGroup) SetControlling(term Terminal) error {
	s := g.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	own := g.jobs.group
	if own.session.id != g.id || own.session.tty != nil && own.session.tty != term {
		return ErrNotPermitted
	}
	if c := s.terminals[term]; c != nil && c.session != own.session {
		return ErrNotPermitted
	}
	s.controlLocked(term, own.session, own.id)
	return nil
}

// Preconditions: TaskSet.mu is locked.
func (s *TaskSet) controlLocked(term Terminal, by *Session, foreground TaskID) {
	if s.terminals == nil {
		s.terminals = make(map[Terminal]*control)
	}
	s.terminals[term] = &control{by, foreground}
	by.tty = term
}

// Controlling is the terminal of the process's session, or nil.
func (g *ThreadGroup) Controlling() Terminal {
	s := g.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.jobs.group == nil {
		return nil
	}
	return g.jobs.group.session.tty
}

// Foreground is the process group in the foreground of the terminal that controls
// the process's session.
func (g *ThreadGroup) Foreground(term Terminal) (TaskID, error) {
	s := g.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.terminals[term]
	if c == nil || g.jobs.group == nil || c.session != g.jobs.group.session {
		return 0, ErrNotControlling
	}
	return c.foreground, nil
}

// SetForeground has a process group of the session be in the foreground. Who may is
// for TerminalAccess to say.
func (g *ThreadGroup) SetForeground(term Terminal, group TaskID) error {
	s := g.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.terminals[term]
	if c == nil || c.session != g.jobs.group.session {
		return ErrNotControlling
	}
	to := s.jobs[group]
	if to == nil {
		return ErrNoSuchProcess
	}
	if to.session != c.session {
		return ErrNotPermitted
	}
	c.foreground = group
	return nil
}

// An Access is whether a process may use its terminal.
type Access int

// Accesses.
const (
	Allowed Access = iota
	Denied         // EIO
	Later          // the process is stopped, or a handler is to run: the call is to be made again
)

// TerminalAccess asks whether the task may read from a terminal (SIGTTIN) or change
// it (SIGTTOU): those in the background are sent the signal instead (termios(3),
// credentials(7), "Job control").
func (t *Task) TerminalAccess(term Terminal, sig int32) Access {
	g, s := t.group, t.k.tasks
	s.mu.Lock()
	c := s.terminals[term]
	own := g.jobs.group
	background := c != nil && c.session == own.session && c.foreground != own.id
	s.mu.Unlock()
	if !background {
		return Allowed
	}
	if t.ignores(sig) {
		if sig == SIGTTOU {
			return Allowed
		}
		return Denied
	}
	if g.jobs.orphaned.Load() {
		return Denied
	}
	_ = g.Kill(0, SigInfo{Signo: sig, Code: SIKernel})
	return Later
}

// ignores reports whether the task blocks or ignores a signal.
func (t *Task) ignores(sig int32) bool {
	s := &t.group.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.maskLocked(t).has(sig) || s.actions[sig].Disposition == SigIgnore
}

// SignalTerminal sends a signal of a terminal's: keys' and SIGWINCH to its foreground
// group, SIGHUP, when it is gone, to the leader of the session as well. A terminal
// that controls nobody sends it to the first process. What would stop that one's group
// is left out: nobody in the system could let it go on.
func (k *Kernel) SignalTerminal(term Terminal, sig int32) {
	s := k.tasks
	first := k.Init()
	if first == nil {
		return
	}
	s.update(func() (tell []func()) {
		to, stops := []*ThreadGroup{first}, sigsStop.has(sig)
		if c := s.terminals[term]; c != nil {
			to = s.foregroundLocked(c, sig == SIGHUP)
		}
		for _, g := range to {
			if stops && g.jobs.group == first.jobs.group {
				continue
			}
			more, _ := g.sendLocked(SigInfo{Signo: sig, Code: SIKernel}, true)
			tell = append(tell, more...)
		}
		return tell
	})
}

// Preconditions: TaskSet.mu is locked.
func (s *TaskSet) foregroundLocked(c *control, leader bool) (to []*ThreadGroup) {
	for _, g := range s.processesLocked() {
		if g.jobs.group == nil || g.family.zombie {
			continue
		}
		if g.jobs.group.id == c.foreground && g.jobs.group.session == c.session || leader && g.id == c.session.id {
			to = append(to, g)
		}
	}
	return to
}

// leaderEndedLocked is what the end of a session's leader means for its terminal: it
// is free, and those in its foreground are told (_exit(2)).
//
// Preconditions: TaskSet.mu is locked.
func (s *TaskSet) leaderEndedLocked(g *ThreadGroup) (tell []func()) {
	own := g.jobs.group
	if own == nil || own.session.id != g.id || own.session.tty == nil {
		return nil
	}
	c := s.terminals[own.session.tty]
	for _, to := range s.foregroundLocked(c, false) {
		if to != g {
			tell = append(tell, to.hangUpLocked()...)
		}
	}
	delete(s.terminals, own.session.tty)
	own.session.tty = nil
	return tell
}

// TerminalState is a terminal that controls a session.
type TerminalState struct {
	Name       string `pb:"1"`
	Session    TaskID `pb:"2"`
	Foreground TaskID `pb:"3"`
}

// Preconditions: TaskSet.mu is locked.
func (s *TaskSet) saveTerminals() (out []TerminalState) {
	for term, c := range s.terminals {
		out = append(out, TerminalState{term.Name(), c.session.id, c.foreground})
	}
	slices.SortFunc(out, func(a, b TerminalState) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// restoreTerminals gives sessions their terminals. One that is not there any more
// controls nobody.
//
// Preconditions: TaskSet.mu is locked.
func (s *TaskSet) restoreTerminals(st []TerminalState, sessions map[TaskID]*Session, find func(name string) Terminal) error {
	for _, t := range st {
		by := sessions[t.Session]
		if by == nil || by.tty != nil {
			return fmt.Errorf("terminal %q controls session %d", t.Name, t.Session)
		}
		if find == nil {
			continue
		}
		if term := find(t.Name); term != nil && s.terminals[term] == nil {
			s.controlLocked(term, by, t.Foreground)
		}
	}
	return nil
}
