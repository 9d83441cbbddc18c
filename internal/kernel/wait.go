package kernel

import "errors"

// A WaitFor says what waitpid(2) waits for. The zero value is the end of any
// child.
type WaitFor struct {
	PID       TaskID // this child; 0 is any
	Group     TaskID // those of this process group; 0 is any
	Stopped   bool   // also those that have stopped
	Continued bool   // also those that went on
	Exited    bool   // those that have ended; set unless one of the others is to be waited for alone
	Keep      bool   // leave the child to be waited for again (WNOWAIT)
}

// A Change is what has become of a child.
type Change struct {
	PID    TaskID
	Code   int32 // CLDExited and so on
	Status int32 // exit code, or signal
	CPU    int64 // CPU time of a child that has ended and of those that it has waited for, in ns
}

// ErrNoChild says that there is no child to wait for.
var ErrNoChild = errors.New("there is no such child")

// WaitChild looks for a child that has changed, and takes note of the change. ok
// is false if none has yet.
func (g *ThreadGroup) WaitChild(f WaitFor) (c Change, ok bool, err error) {
	s := g.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	some := false
	among := g.family.children
	if f.PID != 0 {
		at, ok := among.find(f.PID)
		if !ok {
			return c, false, ErrNoChild
		}
		among = among[at : at+1]
	}
	for _, child := range among {
		if child.entered || f.Group != 0 && child.jobs.group.id != f.Group {
			continue
		}
		some = true
		if c, ok := s.changeLocked(child, f); ok {
			return c, true, nil
		}
	}
	if !some {
		return c, false, ErrNoChild
	}
	return c, false, nil
}

// changeLocked is what a child has to tell.
//
// Preconditions: TaskSet.mu is locked.
func (s *TaskSet) changeLocked(g *ThreadGroup, f WaitFor) (Change, bool) {
	sig := &g.signals
	switch {
	case g.family.zombie:
		if !f.Exited {
			return Change{}, false
		}
		info := g.endInfo()
		c := Change{PID: g.id, Code: info.Code, Status: info.Status, CPU: g.cpuLocked(0) + g.family.reapedCPU}
		if !f.Keep {
			s.reapLocked(g)
		}
		return c, true
	case f.Stopped && sig.stopKnown() && !sig.stopSeen:
		sig.stopSeen = !f.Keep
		return Change{PID: g.id, Code: CLDStopped, Status: sig.stopSig.Load()}, true
	case f.Continued && sig.continued:
		sig.continued = f.Keep
		return Change{PID: g.id, Code: CLDContinued, Status: SIGCONT}, true
	}
	return Change{}, false
}

// stopKnown reports whether the process is stopped, and its parent knows of it.
//
// Preconditions: TaskSet.mu is locked.
func (s *signals) stopKnown() bool {
	return s.stopSig.Load() != 0 && s.stopTold == s.stopNo.Load()
}

// ChildChanges is a Wait for a change of any child of the process.
func (g *ThreadGroup) ChildChanges() Wait { return bellWait{g.k.tasks, &g.family.changes} }
