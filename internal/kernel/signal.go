package kernel

import "math/bits"

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

func (s SigSet) has(sig int32) bool { return sig > 0 && s&sigSet(sig) != 0 }

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
	sigsForced  = sigSet(SIGKILL, SIGSTOP) // can neither be blocked, caught nor ignored
	sigsIgnored = sigSet(SIGCHLD, SIGCONT, SIGURG, SIGWINCH)
	sigsStop    = sigSet(SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU)
	sigsCore    = sigSet(SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS)
)

// endedBy is the status of a process that sig ends.
func endedBy(sig int32) ExitStatus {
	return ExitStatus{Signal: sig, Core: sigsCore.has(sig)}
}
