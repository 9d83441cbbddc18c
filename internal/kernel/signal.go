package kernel

import (
	"fmt"
	"math/bits"
)

// Signals with a meaning here, by Linux's numbers, which WASIX shares.
const (
	SIGHUP    = 1
	SIGINT    = 2
	SIGQUIT   = 3
	SIGILL    = 4
	SIGTRAP   = 5
	SIGABRT   = 6
	SIGBUS    = 7
	SIGFPE    = 8
	SIGKILL   = 9
	SIGUSR1   = 10
	SIGSEGV   = 11
	SIGUSR2   = 12
	SIGPIPE   = 13
	SIGALRM   = 14
	SIGTERM   = 15
	SIGCHLD   = 17
	SIGCONT   = 18
	SIGSTOP   = 19
	SIGTSTP   = 20
	SIGTTIN   = 21
	SIGTTOU   = 22
	SIGURG    = 23
	SIGXCPU   = 24
	SIGXFSZ   = 25
	SIGWINCH  = 28
	SIGSYS    = 31
	maxSignal = 64
)

// A SigSet is a set of signals: bit n-1 is signal n.
type SigSet uint64

func sigSet(sigs ...int32) SigSet {
	var s SigSet
	for _, n := range sigs {
		s |= 1 << (n - 1)
	}
	return s
}

func (s SigSet) has(sig int32) bool { return s&sigSet(sig) != 0 }

// lowest is the signal with the lowest number, which Linux takes first, or 0.
func (s SigSet) lowest() int32 {
	if s == 0 {
		return 0
	}
	return int32(bits.TrailingZeros64(uint64(s))) + 1
}

// Default actions, signal(7). SIGCONT's is to go on; what is in none of these
// ends the process, and so do those that dump core.
var (
	sigsIgnored = sigSet(SIGCHLD, SIGURG, SIGWINCH)
	sigsStop    = sigSet(SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU)
	sigsCore    = sigSet(SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS)

	// sigsPend are those that wait while a process is stopped.
	sigsPend = ^(sigsIgnored | sigSet(SIGKILL, SIGCONT))
)

// endedBy is the status of a process that sig ends.
func endedBy(sig int32) ExitStatus {
	return ExitStatus{Signal: sig, Core: sigsCore.has(sig)}
}

// Signal sends a signal to a process. There are no handlers yet, so it has its
// default action (signal(7)): to end the process, to stop it, to let it go on,
// or none. While a process is stopped by a signal, others wait for SIGCONT, but
// SIGKILL acts at once. A process that has ended takes no signals.
func (g *ThreadGroup) Signal(sig int32) error {
	if sig < 0 || sig > maxSignal {
		return fmt.Errorf("signal %d: signals are 1 to %d", sig, maxSignal)
	}
	if sig == 0 {
		return nil
	}
	if fatal := g.post(sig); fatal != 0 {
		g.exitWith(endedBy(fatal))
	}
	return nil
}

// post takes a signal and returns the one that ends the process now, or 0.
func (g *ThreadGroup) post(sig int32) (fatal int32) {
	s := g.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case sigsIgnored.has(sig):
		return 0
	case sig == SIGKILL:
		return sig
	case sig == SIGCONT:
		g.pending &^= sigsStop // and a stop discards SIGCONT, which never waits here
		if fatal := g.pending.lowest(); fatal != 0 {
			return fatal // the tasks run no more: they stand until it has them go
		}
		g.groupContinueLocked()
		return 0
	case g.stopSig != 0:
		g.pending |= sigSet(sig)
		return 0
	case sigsStop.has(sig):
		g.groupStopLocked(sig)
		return 0
	}
	return sig
}

// groupStopLocked stops all tasks of the process that have no internal stop
// yet.
//
// Preconditions: TaskSet.mu is locked.
func (g *ThreadGroup) groupStopLocked(sig int32) {
	g.stopSig = sig
	for _, t := range g.tasks {
		if t.internal == nil {
			t.beginInternalStopLocked(GroupStop{Signal: sig})
		}
	}
}

// Preconditions: TaskSet.mu is locked.
func (g *ThreadGroup) groupContinueLocked() {
	g.stopSig = 0
	for _, t := range g.tasks {
		if _, ok := t.internal.(GroupStop); ok {
			t.endInternalStopLocked()
		}
	}
}
