package kernel

import (
	"errors"
	"fmt"
)

// Errors of sending signals.
var (
	ErrNoSuchProcess  = errors.New("there is no such process")
	ErrTooManySignals = errors.New("as many signals are pending as may be")
)

func checkSignal(sig int32) error {
	if sig < 0 || sig > maxSignal {
		return fmt.Errorf("signal %d: signals are 1 to %d", sig, maxSignal)
	}
	return nil
}

// Signal sends a signal to a process from outside. It has its effect at once, or
// at the next safepoint of a task that takes it. A process that has ended takes no
// signals; 0 is none.
func (g *ThreadGroup) Signal(sig int32) error {
	if err := checkSignal(sig); err != nil || sig == 0 {
		return err
	}
	return g.send(SigInfo{Signo: sig, Code: SIUser}, nil)
}

// SendInfo is Signal with what the signal came of.
func (g *ThreadGroup) SendInfo(info SigInfo) error {
	if err := checkSignal(info.Signo); err != nil || info.Signo == 0 {
		return err
	}
	return g.send(info, nil)
}

// SendInfo sends a signal to a task, as tgkill(2) does. What ends or stops a
// process does so to all of it.
func (t *Task) SendInfo(info SigInfo) error {
	if err := checkSignal(info.Signo); err != nil || info.Signo == 0 {
		return err
	}
	return t.group.send(info, t)
}

// send delivers a signal to a process, or to one of its tasks if to is not nil.
// It needs the process's lock of signals only.
func (g *ThreadGroup) send(info SigInfo, to *Task) error {
	s := &g.signals
	s.mu.Lock()
	fatal, told, err := s.postLocked(g, info, to)
	s.mu.Unlock()
	if fatal {
		g.exitWith(endedBy(info.Signo))
	}
	if told {
		g.toldParent()
	}
	return err
}

// postLocked takes a signal. It tells whether the process ends by it now, and
// whether its parent is to hear of it.
//
// Preconditions: s.mu is locked.
func (s *signals) postLocked(g *ThreadGroup, info SigInfo, to *Task) (fatal, told bool, err error) {
	sig, spared := info.Signo, g.sparesInit(info)
	switch {
	case s.exiting, spared && sigsForced.has(sig):
		return false, false, nil
	case sig == SIGKILL:
		return true, false, nil
	case sig == SIGCONT:
		s.dropLocked(sigsStop)
		told = s.continueLocked()
	case sigsStop.has(sig):
		s.dropLocked(sigSet(SIGCONT))
	}
	w := s.waiterLocked(sig, to)
	t := s.takerLocked(sig, to)
	if w != nil {
		t = nil
	}
	ignored := s.ignoresLocked(sig) || spared && s.actionLocked(sig) == SigDefault
	if ignored && t != nil { // what is blocked may be caught before it is taken
		return false, told, nil
	}
	stopped := s.stopSig.Load() != 0
	if t != nil && !stopped && s.actionLocked(sig) == SigDefault {
		if !sigsStop.has(sig) {
			return true, told, nil
		}
		if !g.stopsBy(sig) {
			return false, told, nil
		}
		s.stopLocked(sig)
		return false, told, nil
	}
	q := &s.queue
	if to != nil {
		q = &to.sig.queue
	}
	if !q.push(info, g.k.SigPending()) {
		return false, told, ErrTooManySignals
	}
	if w != nil {
		t = w
	}
	if t != nil && !stopped {
		t.interrupt()
	}
	return false, told, nil
}

// takerLocked is the task that takes a signal: the one that it is for, or the
// first of the process that does not block it; nil if it is blocked.
//
// Preconditions: s.mu is locked.
func (s *signals) takerLocked(sig int32, to *Task) *Task {
	if to != nil {
		if s.maskLocked(to).has(sig) {
			return nil
		}
		return to
	}
	for _, t := range s.tasks {
		if !s.maskLocked(t).has(sig) {
			return t
		}
	}
	return nil
}

// stopLocked stops all tasks of the process, until SIGCONT.
//
// Preconditions: s.mu is locked.
func (s *signals) stopLocked(sig int32) {
	if s.stopSig.Load() == 0 {
		s.stopNo.Add(1)
	}
	s.stopSig.Store(sig)
	s.interruptAllLocked()
}

// continueLocked ends a group stop. It reports whether there was one.
//
// Preconditions: s.mu is locked.
func (s *signals) continueLocked() bool {
	if s.stopSig.Swap(0) == 0 {
		return false
	}
	s.interruptAllLocked()
	return true
}

// stopsBy reports whether a stop signal stops the process: those of terminals have
// no effect on a group that nobody would let go on (setpgid(2), "orphaned process
// group"), but on that of the first process, which whoever runs the system lets go on.
func (g *ThreadGroup) stopsBy(sig int32) bool {
	return sig == SIGSTOP || !g.jobs.orphaned.Load()
}
