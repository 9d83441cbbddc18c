package abi

import "strconv"

// Signal is a signal's number as WASI preview 1 counts them: Linux's, but
// without its SIGSTKFLT, so that from SIGCHLD on they are lower by one. WASIX
// counts as Linux does.
type Signal uint8

// Linux is s by Linux's numbers.
func (s Signal) Linux() int32 {
	if s >= SIGCHLD {
		return int32(s) + 1
	}
	return int32(s)
}

// The signals.
const (
	SIGHUP    Signal = 1
	SIGINT    Signal = 2
	SIGQUIT   Signal = 3
	SIGILL    Signal = 4
	SIGTRAP   Signal = 5
	SIGABRT   Signal = 6
	SIGBUS    Signal = 7
	SIGFPE    Signal = 8
	SIGKILL   Signal = 9
	SIGUSR1   Signal = 10
	SIGSEGV   Signal = 11
	SIGUSR2   Signal = 12
	SIGPIPE   Signal = 13
	SIGALRM   Signal = 14
	SIGTERM   Signal = 15
	SIGCHLD   Signal = 16
	SIGCONT   Signal = 17
	SIGSTOP   Signal = 18
	SIGTSTP   Signal = 19
	SIGTTIN   Signal = 20
	SIGTTOU   Signal = 21
	SIGURG    Signal = 22
	SIGXCPU   Signal = 23
	SIGXFSZ   Signal = 24
	SIGVTALRM Signal = 25
	SIGPROF   Signal = 26
	SIGWINCH  Signal = 27
	SIGPOLL   Signal = 28
	SIGPWR    Signal = 29
	SIGSYS    Signal = 30
)

var signalNames = [...]string{"",
	"SIGHUP",
	"SIGINT",
	"SIGQUIT",
	"SIGILL",
	"SIGTRAP",
	"SIGABRT",
	"SIGBUS",
	"SIGFPE",
	"SIGKILL",
	"SIGUSR1",
	"SIGSEGV",
	"SIGUSR2",
	"SIGPIPE",
	"SIGALRM",
	"SIGTERM",
	"SIGCHLD",
	"SIGCONT",
	"SIGSTOP",
	"SIGTSTP",
	"SIGTTIN",
	"SIGTTOU",
	"SIGURG",
	"SIGXCPU",
	"SIGXFSZ",
	"SIGVTALRM",
	"SIGPROF",
	"SIGWINCH",
	"SIGPOLL",
	"SIGPWR",
	"SIGSYS",
}

// String returns the name of s, "SIGTERM".
func (s Signal) String() string {
	if s > 0 && int(s) < len(signalNames) {
		return signalNames[s]
	}
	return "signal(" + strconv.Itoa(int(s)) + ")"
}
