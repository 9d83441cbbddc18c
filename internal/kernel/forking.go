package kernel

import (
	"errors"
	"slices"
)

// A signal that is sent to several processes comes before a fork or after it: before
// it to the parent alone, after it to the child as well, or one that stops a group of
// processes would leave the child running. So a fork is put off while something is
// pending that its task takes, and what is sent to several during it is pending for the
// child too when it begins. What is sent to the parent alone does not put a fork off,
// which timers could do for ever. Linux has it so since version 4.19 (kernel/fork.c,
// "multiprocess").

// ErrSignalFirst says that a signal is to be taken before the process can be copied:
// the call is to be made again.
var ErrSignalFirst = errors.New("a signal comes first")

// A forking is a child that is being made, and what was sent meanwhile to its parent
// as one of several. Protected by signals.mu of the parent.
type forking struct {
	child *ThreadGroup
	queue sigQueue
}

// beginFork makes the process of a child, as fork(2) does but for its task and its
// files: with the handlers of its parent, and no signals pending. launchChild ends the
// making of it; endFork that of one that is not to be.
//
// Only on a task goroutine of the process.
func (t *Task) beginFork() (*ThreadGroup, error) {
	g := t.group
	c := &ThreadGroup{k: g.k, stress: g.stress, gone: make(chan struct{})}
	c.exe.Store(g.exe.Load())
	s := &g.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopSig.Load() != 0 || (t.sig.queue.set|s.queue.set)&^s.maskLocked(t) != 0 {
		return nil, ErrSignalFirst
	}
	c.signals.inheritLocked(s)
	s.forks = append(s.forks, &forking{child: c})
	return c, nil
}

// inheritLocked takes over what a parent wants done with signals.
//
// Preconditions: of.mu is locked; nobody has s yet.
func (s *signals) inheritLocked(of *signals) {
	s.actions, s.handler, s.held, s.told, s.knows = of.actions, of.handler, of.held, of.told, of.knows
}

// endFork ends the making of a child and returns what is pending for it: what is sent
// from now on is sent to it by itself, or it was not born.
func (g *ThreadGroup) endFork(c *ThreadGroup) (pending sigQueue) {
	s := &g.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forks = slices.DeleteFunc(s.forks, func(f *forking) bool {
		if f.child == c {
			pending = f.queue
		}
		return f.child == c
	})
	return pending
}

// bornWith has a signal be pending for a process whose task does not run yet.
func (g *ThreadGroup) bornWith(pending sigQueue) {
	g.signals.mu.Lock()
	defer g.signals.mu.Unlock()
	g.signals.queue = pending
}

// sharedLocked has the children that are being made begin with a signal that is sent
// to several processes.
//
// Preconditions: s.mu is locked.
func (s *signals) sharedLocked(info SigInfo, most int) {
	for _, f := range s.forks {
		switch sig := info.Signo; {
		case sig == SIGCONT:
			f.queue.drop(sigsStop)
		case sigsStop.has(sig):
			f.queue.drop(sigSet(SIGCONT))
		}
		f.queue.push(info, most) // beyond the limit it is lost, as for others
	}
}
