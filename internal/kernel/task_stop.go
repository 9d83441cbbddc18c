package kernel

// A Stop is an internal stop: the task's own reason not to run.
type Stop interface {
	// Killable reports whether SIGKILL ends the stop early.
	Killable() bool
}

// Stops are looked at together: t.internal is the task's own, and a GroupStop is
// that of its process, which is kept there (signals.stopSig).

// A GroupStop is the stop of all tasks of a process by SIGSTOP and its like,
// until SIGCONT.
type GroupStop struct{ Signal int32 }

// Killable implements Stop.
func (GroupStop) Killable() bool { return true }

// BeginStop puts an external stop on one task. It does not wait.
func (t *Task) BeginStop() {
	s := t.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	t.stops++
	t.interrupt()
	t.resume.Signal()
}

// EndStop ends one external stop of the task.
func (t *Task) EndStop() {
	s := t.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.stops == 0 {
		panic("kernel: external stops of a task fell below zero")
	}
	t.stops--
	t.resume.Signal()
}

// beginInternalStop puts an internal stop on a task that has none.
//
// Preconditions: TaskSet.mu is locked.
func (t *Task) beginInternalStopLocked(st Stop) {
	if t.internal != nil {
		panic("kernel: a task has two internal stops")
	}
	t.internal = st
	t.interrupt()
	t.resume.Signal()
}

// InternalStop is the task's own reason not to run, or nil.
func (t *Task) InternalStop() Stop {
	s := t.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.internal != nil {
		return t.internal
	}
	if sig := t.group.signals.stopSig.Load(); sig != 0 {
		return GroupStop{sig}
	}
	return nil
}

// Preconditions: TaskSet.mu is locked.
func (t *Task) endInternalStopLocked() {
	t.internal = nil
	t.resume.Signal()
}
