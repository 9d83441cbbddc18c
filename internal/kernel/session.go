package kernel

import (
	"errors"
	"sync/atomic"
)

// A Session is process groups, setsid(2). Protected by TaskSet.mu.
type Session struct {
	id  TaskID   // immutable: pid of who began it
	tty Terminal // that controls it, or nil
}

// A ProcessGroup is processes that job control moves together, setpgid(2).
// Protected by TaskSet.mu.
type ProcessGroup struct {
	id      TaskID   // immutable
	session *Session // immutable
	members map[*ThreadGroup]struct{}

	held     int  // members that keep it from being orphaned: jobs.holds
	orphaned bool // as its members know it: jobs.orphaned
}

// jobs is where a process stands in job control.
type jobs struct {
	group    *ProcessGroup // protected by TaskSet.mu
	holds    bool          // the process is counted in group.held; protected by TaskSet.mu
	orphaned atomic.Bool   // the group is; changed under TaskSet.mu
}

// Errors of process groups and sessions.
var (
	ErrNotPermitted = errors.New("not permitted")
	ErrHasExecuted  = errors.New("the child has executed a program since")
)

// Preconditions: TaskSet.mu is locked.
func (s *TaskSet) newSessionLocked(g *ThreadGroup) {
	s.enterGroupLocked(g, &ProcessGroup{id: g.id, session: &Session{id: g.id}})
}

// enterGroupLocked moves a process into a group.
//
// Preconditions: TaskSet.mu is locked.
func (s *TaskSet) enterGroupLocked(g *ThreadGroup, to *ProcessGroup) {
	s.leaveGroupLocked(g)
	if to.members == nil {
		to.members = make(map[*ThreadGroup]struct{})
	}
	to.members[g] = struct{}{}
	s.jobs[to.id] = to
	g.jobs.group = to
	s.countLocked(g)
	for _, c := range g.family.children {
		s.countLocked(c)
		c.jobs.group.tellOrphanedLocked()
	}
	if len(to.members) == 1 {
		to.orphaned = to.held == 0
	}
	g.jobs.orphaned.Store(to.held == 0)
}

// Preconditions: TaskSet.mu is locked.
func (s *TaskSet) leaveGroupLocked(g *ThreadGroup) {
	from := g.jobs.group
	if from == nil {
		return
	}
	if g.jobs.holds {
		g.jobs.holds = false
		from.held--
	}
	g.jobs.group = nil
	if delete(from.members, g); len(from.members) == 0 {
		delete(s.jobs, from.id)
	}
}

// A group is orphaned if nobody in the session but outside of the group is a parent
// of one of its processes. There may be many of them, and one ends, or gets another
// parent, at a time: so those are counted of which somebody is.

// holdsLocked reports whether a process keeps its group from being orphaned. Whoever
// runs the system counts as the parent of the first process.
//
// Preconditions: TaskSet.mu is locked.
func (g *ThreadGroup) holdsLocked() bool {
	p, parent := g.jobs.group, g.family.parent
	if parent == nil {
		return true
	}
	if g.family.zombie || parent.jobs.group == nil {
		return false
	}
	return parent.jobs.group != p && parent.jobs.group.session == p.session
}

// countLocked is called when what holdsLocked tells of a process may have changed:
// its group, its parent, that one's group, or that it has ended.
//
// Preconditions: TaskSet.mu is locked.
func (s *TaskSet) countLocked(g *ThreadGroup) {
	p := g.jobs.group
	if p == nil {
		return
	}
	switch holds := g.holdsLocked(); {
	case holds && !g.jobs.holds:
		p.held++
	case !holds && g.jobs.holds:
		p.held--
	default:
		return
	}
	g.jobs.holds = !g.jobs.holds
}

// tellOrphanedLocked has the members of a group know whether it is orphaned. It
// reports whether that has changed.
//
// Preconditions: TaskSet.mu is locked.
func (p *ProcessGroup) tellOrphanedLocked() (changed bool) {
	if p == nil || p.orphaned == (p.held == 0) {
		return false
	}
	p.orphaned = p.held == 0
	for g := range p.members {
		g.jobs.orphaned.Store(p.orphaned)
	}
	return true
}

// updateOrphansLocked looks whether a group has become orphaned, in which case
// those of it that are stopped get SIGHUP and SIGCONT (POSIX, _exit()).
//
// Preconditions: TaskSet.mu is locked.
func (s *TaskSet) updateOrphansLocked(p *ProcessGroup) (tell []func()) {
	if !p.tellOrphanedLocked() || !p.orphaned {
		return nil
	}
	stopped := false
	for g := range p.members {
		stopped = stopped || g.signals.stopSig.Load() != 0 && !g.family.zombie
	}
	if !stopped {
		return nil
	}
	for g := range p.members {
		tell = append(tell, g.hangUpLocked()...)
	}
	return tell
}

// hangUpLocked tells one of several processes that nobody would let it go on, or that
// its terminal is gone.
//
// Preconditions: TaskSet.mu is locked.
func (g *ThreadGroup) hangUpLocked() (tell []func()) {
	for _, sig := range []int32{SIGHUP, SIGCONT} {
		more, _ := g.sendLocked(SigInfo{Signo: sig, Code: SIKernel}, true)
		tell = append(tell, more...)
	}
	return tell
}

// SetSession makes the process the first of a session and a group of its own. It
// must not lead a group.
func (g *ThreadGroup) SetSession() (err error) {
	s := g.k.tasks
	s.update(func() []func() {
		if s.jobs[g.id] != nil {
			err = ErrNotPermitted
			return nil
		}
		was := g.jobs.group
		s.newSessionLocked(g)
		return s.updateOrphansLocked(was)
	})
	return err
}

// SetProcessGroup moves a process, the caller or its child, into the group of id
// pgid, which begins with the process itself if it is its pid; 0 is that.
func (g *ThreadGroup) SetProcessGroup(pid, pgid TaskID) (err error) {
	s := g.k.tasks
	s.update(func() (tell []func()) {
		of := g
		if pid != 0 && pid != g.id {
			if of = g.family.children.get(pid); of == nil || of.family.zombie {
				err = ErrNoSuchProcess
				return nil
			}
			if of.executed.Load() {
				err = ErrHasExecuted
				return nil
			}
		}
		was := of.jobs.group
		if err = s.regroupLocked(of, g.jobs.group.session, pgid); err != nil {
			return nil
		}
		return append(s.updateOrphansLocked(was), s.updateOrphansLocked(of.jobs.group)...)
	})
	return err
}

// regroupLocked moves a process of a session into a group of it.
//
// Preconditions: TaskSet.mu is locked.
func (s *TaskSet) regroupLocked(of *ThreadGroup, in *Session, pgid TaskID) error {
	if pgid == 0 {
		pgid = of.id
	}
	was := of.jobs.group
	switch to := s.jobs[pgid]; {
	case of.id == was.session.id || was.session != in:
		return ErrNotPermitted
	case to != nil && to.session == was.session:
		s.enterGroupLocked(of, to)
	case to == nil && pgid == of.id:
		s.enterGroupLocked(of, &ProcessGroup{id: pgid, session: was.session})
	default:
		return ErrNotPermitted
	}
	return nil
}

// JobIDs are the ids of the process group and the session of a process.
func (g *ThreadGroup) JobIDs() (group, session TaskID) {
	s := g.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.jobs.group == nil { // it was reaped just now
		return 0, 0
	}
	return g.jobs.group.id, g.jobs.group.session.id
}

// Kill sends a signal as kill(2) does: to the process pid, for 0 to the caller's
// group, for -1 to all but the first process and the caller, otherwise to the
// group -pid. ErrNoSuchProcess says that there is nobody.
func (g *ThreadGroup) Kill(pid TaskID, info SigInfo) error {
	if err := checkSignal(info.Signo); err != nil {
		return err
	}
	some, err := false, ErrNoSuchProcess
	g.k.tasks.update(func() (tell []func()) {
		for _, to := range g.targetsLocked(pid) {
			more, failed := to.sendLocked(info, pid <= 0)
			tell = append(tell, more...)
			some, err = some || failed == nil, failed
		}
		return tell
	})
	if some { // kill(2): one that it was sent to is enough
		return nil
	}
	return err
}

// sendLocked is SendInfo, to one process or one of several. No process that a target of
// several makes is left out: it is there already, or is born with the signal.
//
// Preconditions: TaskSet.mu is locked.
func (g *ThreadGroup) sendLocked(info SigInfo, several bool) (tell []func(), err error) {
	if info.Signo == 0 {
		return nil, nil
	}
	s := &g.signals
	s.mu.Lock()
	if several {
		s.sharedLocked(info, g.k.SigPending())
	}
	fatal, told, err := s.postLocked(g, info, nil)
	s.mu.Unlock()
	if fatal {
		g.exitWith(endedBy(info.Signo))
	}
	if told {
		tell = append(tell, g.toldParent)
	}
	return tell, err
}

// Preconditions: TaskSet.mu is locked.
func (g *ThreadGroup) targetsLocked(pid TaskID) (out []*ThreadGroup) {
	s := g.k.tasks
	if pid > 0 {
		if to := s.groups[pid]; to != nil {
			out = append(out, to)
		}
		return out
	}
	first := s.k.Init()
	for _, to := range s.processesLocked() {
		switch {
		case pid == 0 && to.jobs.group != g.jobs.group:
		case pid == -1 && (to == g || to == first):
		case pid < -1 && to.jobs.group.id != -pid:
		default:
			out = append(out, to)
		}
	}
	return out
}
