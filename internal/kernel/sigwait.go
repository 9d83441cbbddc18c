package kernel

// WaitSignal takes a pending signal of set, as sigtimedwait(2) does, or waits for one
// until the deadline; the handlers of signals in set are not called meanwhile. With
// Interrupted the call is to be made again.
//
// Only on the task goroutine, in a system call.
func (t *Task) WaitSignal(set SigSet, deadline int64) (SigInfo, BlockResult) {
	set &^= sigsForced
	s := &t.group.signals
	for {
		s.mu.Lock()
		t.sig.waits = set
		info, ok := t.takeOfLocked(s, set)
		if ok {
			t.sig.waits = 0
		}
		s.mu.Unlock()
		if ok {
			return info, Woken
		}
		got := t.Block(deadline, nil)
		if got != Interrupted {
			t.leaveWait()
		}
		if got != Woken {
			return SigInfo{}, got
		}
	}
}

// leaveWait has the task wait for no signal any more.
//
// Only on the task goroutine.
func (t *Task) leaveWait() {
	s := &t.group.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	t.sig.waits = 0
}

// takeOfLocked removes the next of some signals, blocked or not.
//
// Preconditions: s.mu is locked.
func (t *Task) takeOfLocked(s *signals, set SigSet) (SigInfo, bool) {
	if info, ok := t.sig.queue.take(^set); ok {
		return info, true
	}
	return s.queue.take(^set)
}

// SuspendSignals blocks the signals of mask, and no others, until a handler has been
// called; then those are blocked again that were before, as sigsuspend(2) has it. The
// result is Signalled, or Interrupted: the call is to be made again.
//
// Only on the task goroutine, in a system call.
func (t *Task) SuspendSignals(mask SigSet) BlockResult {
	r := &t.restart
	s := &t.group.signals
	if !r.Set {
		r.Set = true
		s.mu.Lock()
		before := t.sig.mask
		t.sig.before, t.sig.mask = &before, mask&^sigsForced
		waits := (t.sig.queue.set|s.queue.set)&^t.sig.mask != 0
		s.mu.Unlock()
		if waits {
			t.interrupt()
		}
	}
	return t.Block(Never, nil)
}

// Signalled is what the handler that runs was called for.
//
// Only on the task goroutine.
func (t *Task) Signalled() (SigInfo, bool) {
	if len(t.below) == 0 {
		return SigInfo{}, false
	}
	return t.below[len(t.below)-1].info, true
}
