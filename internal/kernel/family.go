package kernel

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// family is where a process stands in the tree of processes. Protected by
// TaskSet.mu.
type family struct {
	parent   *ThreadGroup // nil: the first process has none
	children brood
	zombie   bool // it has ended, and its parent has not waited for it
	changes  bell // a child has ended, stopped or gone on

	reapedCPU int64 // CPU time of descendants that were waited for, in ns
}

// A bell wakes those that wait for something of a process. Protected by
// TaskSet.mu.
type bell struct {
	last  int
	wakes map[int]func()
}

func (b *bell) ringLocked() {
	for _, wake := range b.wakes {
		wake()
	}
}

// A bellWait is a Wait for a bell.
type bellWait struct {
	s *TaskSet
	b *bell
}

// Register implements Wait.
func (w bellWait) Register(wake func()) (cancel func()) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	b := w.b
	b.last++
	n := b.last
	if b.wakes == nil {
		b.wakes = make(map[int]func())
	}
	b.wakes[n] = wake
	return func() {
		w.s.mu.Lock()
		defer w.s.mu.Unlock()
		delete(b.wakes, n)
	}
}

// joinLocked makes a process known: the child of another one, in its process
// group and session, or the first.
//
// Preconditions: TaskSet.mu is locked.
func (s *TaskSet) joinLocked(g, parent *ThreadGroup) {
	s.groups[g.id] = g
	g.family.parent = parent
	if parent != nil {
		parent.family.children.add(g)
	}
	if parent == nil || g.entered {
		s.newSessionLocked(g)
		return
	}
	s.enterGroupLocked(g, parent.jobs.group)
}

// worldLocked is what the end of a process means for all: when the first one has
// ended, so do the others, and it is gone when they are.
//
// Preconditions: TaskSet.mu is locked.
func (s *TaskSet) worldLocked(g, first *ThreadGroup) (tell []func()) {
	s.running--
	if g == first {
		if s.left { // see beginLeaving
			return nil
		}
		s.ending = true
		for _, o := range s.groups {
			if !o.family.zombie {
				tell = append(tell, o.Terminate)
			}
		}
	} else {
		tell = append(tell, func() { close(g.gone) })
	}
	if s.ending && !s.left && s.running == 0 {
		tell = append(tell, func() { close(first.gone) })
	}
	return tell
}

// A brood is the children of a process, by pid: there may be thousands, of which one
// is waited for at a time.
type brood []*ThreadGroup

func (c brood) find(pid TaskID) (at int, ok bool) {
	return slices.BinarySearchFunc(c, pid, func(g *ThreadGroup, pid TaskID) int { return cmp.Compare(g.id, pid) })
}

// get is the child of a pid, or nil.
func (c brood) get(pid TaskID) *ThreadGroup {
	if at, ok := c.find(pid); ok {
		return c[at]
	}
	return nil
}

func (c *brood) add(g *ThreadGroup) {
	at, _ := c.find(g.id)
	*c = slices.Insert(*c, at, g)
}

func (c *brood) remove(g *ThreadGroup) {
	if at, ok := c.find(g.id); ok {
		*c = slices.Delete(*c, at, at+1)
	}
}

// takeAll removes all.
func (c *brood) takeAll() brood {
	all := *c
	*c = nil
	return all
}

// endLocked is the end of a process, whose last task is gone. Its children are the
// first process's from now on. It returns what is to be told, without the lock.
//
// Preconditions: TaskSet.mu is locked.
func (s *TaskSet) endLocked(g *ThreadGroup) (tell []func()) {
	first := s.k.Init()
	for _, c := range g.family.children.takeAll() {
		if first == nil || g == first {
			continue // the world ends
		}
		c.family.parent = first
		first.family.children.add(c)
		s.countLocked(c)
		tell = append(tell, s.updateOrphansLocked(c.jobs.group)...)
		if c.family.zombie {
			s.tellParentLocked(c, c.endInfo())
		}
	}
	g.family.zombie = true
	s.countLocked(g)
	for _, t := range g.tasks {
		if t != g.leader && g != first { // that one's stay readable
			delete(s.tasks, t.id)
		}
	}
	tell = append(tell, s.worldLocked(g, first)...)
	tell = append(tell, s.leaderEndedLocked(g)...)
	tell = append(tell, s.updateOrphansLocked(g.jobs.group)...)
	if g.family.parent != nil {
		s.tellParentLocked(g, g.endInfo())
	}
	return tell
}

// tellParentLocked has the parent of a process know of a change: those that wait
// for it look again, and SIGCHLD is sent. A child that ended and that its parent
// does not want to wait for is gone with that, and so is one that was begun from
// outside, of which the parent knows nothing.
//
// Preconditions: TaskSet.mu is locked.
func (s *TaskSet) tellParentLocked(g *ThreadGroup, info SigInfo) {
	p := g.family.parent
	if p == nil {
		return
	}
	if g.entered {
		if g.family.zombie {
			s.reapLocked(g)
		}
		return
	}
	act := p.childAction()
	ended := g.family.zombie
	if ended && (act.Disposition == SigIgnore || act.Flags&SANoChildWait != 0) {
		s.reapLocked(g)
	}
	if ended || act.Flags&SANoChildStop == 0 {
		_ = p.SendInfo(info) // before anybody can have waited for it; one that is pending already says it
	}
	p.family.changes.ringLocked()
}

// childAction is what becomes of SIGCHLD.
func (g *ThreadGroup) childAction() SigAction {
	s := &g.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.actions[SIGCHLD]
	a.Disposition = s.actionLocked(SIGCHLD)
	return a
}

// reapLocked removes a process that has ended.
//
// Preconditions: TaskSet.mu is locked.
func (s *TaskSet) reapLocked(g *ThreadGroup) {
	if p := g.family.parent; p != nil {
		p.family.reapedCPU += g.cpuLocked(0) + g.family.reapedCPU
		p.family.children.remove(g)
	}
	g.family.zombie = false
	delete(s.groups, g.id)
	delete(s.tasks, g.id)
	s.leaveGroupLocked(g)
}

// endInfo is what SIGCHLD says of a process that has ended.
func (g *ThreadGroup) endInfo() SigInfo {
	st := g.exitStatus()
	info := SigInfo{Signo: SIGCHLD, Code: CLDExited, PID: g.id, Status: st.Code & 0xff}
	if sig := st.EndedBy(); sig != 0 {
		info.Code, info.Status = CLDKilled, sig
		if sigsCore.has(sig) {
			info.Code = CLDDumped
		}
	}
	return info
}

func (g *ThreadGroup) exitStatus() ExitStatus {
	g.signals.mu.Lock()
	defer g.signals.mu.Unlock()
	return g.signals.status
}

// EndedBy is the signal that ended a process, or 0. A trap is the one that Linux
// gives for what it stands for.
func (st *ExitStatus) EndedBy() int32 {
	if st.Trap == nil {
		return st.Signal
	}
	switch st.Trap.Message {
	case "integer divide by zero", "integer overflow", "invalid conversion to integer":
		return SIGFPE
	case "unreachable":
		return SIGILL
	case "unaligned atomic":
		return SIGBUS
	}
	if strings.HasPrefix(st.Trap.Message, "uncaught exception") { // std::terminate
		return SIGABRT
	}
	return SIGSEGV
}

// toldParent has a process's parent hear that it went on, unless it has heard already
// that it was stopped again since.
func (g *ThreadGroup) toldParent() {
	s := g.k.tasks
	s.update(func() []func() {
		if g.signals.stopKnown() {
			return nil
		}
		g.signals.continued = true
		s.tellParentLocked(g, SigInfo{Signo: SIGCHLD, Code: CLDContinued, PID: g.id, Status: SIGCONT})
		return nil
	})
}

// tellStoppedLocked has the parent of a stopped process hear of it once all its
// tasks stand.
//
// Preconditions: TaskSet.mu is locked.
func (s *TaskSet) tellStoppedLocked(g *ThreadGroup) {
	sig, no := g.signals.stopSig.Load(), g.signals.stopNo.Load()
	if sig == 0 || g.signals.stopTold == no {
		return
	}
	for _, t := range g.tasks {
		if !t.state.atRest() {
			return
		}
	}
	g.signals.stopTold, g.signals.stopSeen, g.signals.continued = no, false, false
	s.tellParentLocked(g, SigInfo{Signo: SIGCHLD, Code: CLDStopped, PID: g.id, Status: sig})
}

// Parent is the pid of a process's parent; 0 if it has none.
func (g *ThreadGroup) Parent() TaskID {
	s := g.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.family.parent == nil {
		return 0
	}
	return g.family.parent.id
}

// Process finds a process by its pid. One that has ended is found until its parent
// has waited for it.
func (s *TaskSet) Process(pid TaskID) (*ThreadGroup, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.groups[pid]
	return g, ok
}

// Processes lists the processes by pid, those included that have ended and that
// nobody has waited for.
func (s *TaskSet) Processes() []*ThreadGroup {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.processesLocked()
}

func (s *TaskSet) processesLocked() []*ThreadGroup {
	out := make([]*ThreadGroup, 0, len(s.groups))
	for _, pid := range slices.Sorted(maps.Keys(s.groups)) {
		out = append(out, s.groups[pid])
	}
	return out
}
