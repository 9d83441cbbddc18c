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

// beginFork makes the process of a child, as fork(2) does but for its task and its
// files: with the handlers of its parent, and no signals pending. It is born with
// launchChild; endFork forgets one that was not.
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
	s.forks = append(s.forks, c)
	return c, nil
}

// inheritLocked takes over what a parent wants done with signals.
//
// Preconditions: of.mu is locked; nobody has s yet.
func (s *signals) inheritLocked(of *signals) {
	s.actions, s.handler, s.held, s.told, s.knows = of.actions, of.handler, of.held, of.told, of.knows
}

// endFork ends the making of a child: what is sent from now on is sent to it by itself,
// or it was not born.
func (g *ThreadGroup) endFork(c *ThreadGroup) {
	s := &g.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forks = slices.DeleteFunc(s.forks, func(o *ThreadGroup) bool { return o == c })
}

// sharedLocked has the children that are being made begin with a signal that is sent
// to several processes.
//
// Preconditions: s.mu is locked.
func (s *signals) sharedLocked(info SigInfo, most int) {
	for _, c := range s.forks {
		q := &c.signals
		q.mu.Lock()
		switch sig := info.Signo; {
		case sig == SIGCONT:
			q.queue.drop(sigsStop)
		case sigsStop.has(sig):
			q.queue.drop(sigSet(SIGCONT))
		}
		q.queue.push(info, most) // beyond the limit it is lost, as for others
		q.mu.Unlock()
	}
}
