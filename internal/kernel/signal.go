package kernel

import "fmt"

// Signals with a meaning here, by Linux's numbers, which WASIX shares.
const (
	SIGHUP    = 1
	SIGINT    = 2
	SIGQUIT   = 3
	SIGABRT   = 6
	SIGKILL   = 9
	SIGUSR1   = 10
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
	SIGWINCH  = 28
	maxSignal = 64
)

// Signal sends a signal to a process. There are no handlers yet, so it has its
// default action (signal(7)): to end the process, to stop it, to let it go on,
// or none. A process that has ended takes no signals.
func (g *ThreadGroup) Signal(sig int32) error {
	if sig < 0 || sig > maxSignal {
		return fmt.Errorf("signal %d: signals are 1 to %d", sig, maxSignal)
	}
	switch sig {
	case 0, SIGCHLD, SIGURG, SIGWINCH:
	case SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU:
		g.groupStop(sig)
	case SIGCONT:
		g.groupContinue()
	default:
		g.exitWith(ExitStatus{Signal: sig})
	}
	return nil
}

// groupStop stops all tasks of the process that have no internal stop yet.
func (g *ThreadGroup) groupStop(sig int32) {
	s := g.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range g.tasks {
		if t.internal == nil {
			t.beginInternalStopLocked(GroupStop{Signal: sig})
		}
	}
}

func (g *ThreadGroup) groupContinue() {
	s := g.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range g.tasks {
		if _, ok := t.internal.(GroupStop); ok {
			t.endInternalStopLocked()
		}
	}
}
