package kernel

// The process of the host may end with the system (Options.Leaves). To take thousands of
// tasks and memories apart then, one after the other, only to have the host do so once
// more takes longer than all else of a kill: so as soon as the first task of the first
// process leaves, since that ends, all others are stopped for good. No guest code runs any
// more, and nobody can tell the difference.

// beginLeaving is called by a task on its way out. What it returns, if not nil, is to be
// called when the task is dead.
func (t *Task) beginLeaving() (finish func()) {
	first := t.k.Init()
	if !t.k.opts.Leaves || t.group != first || !t.group.Exiting() {
		return nil
	}
	s := t.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left {
		return nil
	}
	s.left, s.ending = true, true
	s.stopAllLocked()
	s.changed.Broadcast() // Close waits for less now
	var entered []*ThreadGroup
	for _, g := range s.groups {
		if g.entered && !g.family.zombie {
			entered = append(entered, g)
		}
	}
	return func() {
		for _, g := range entered { // who began them waits for their end
			g.Terminate()
		}
		s.waitAtRest()
		close(first.gone)
	}
}

// waitAtRest waits until no task moves.
func (s *TaskSet) waitAtRest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.moving > 0 {
		s.changed.Wait()
	}
}

// hasLeft reports whether the tasks that there are stand for good.
func (s *TaskSet) hasLeft() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left
}

// staysLocked reports whether a task that is to go stands for good instead.
//
// Preconditions: TaskSet.mu is locked.
func (t *Task) staysLocked() bool { return t.k.tasks.left && !t.group.entered }
