package kernel

import (
	"sync/atomic"

	"github.com/stasis-run/stasis/internal/invariants"
	"github.com/stasis-run/stasis/internal/wasm"
)

// A Disposition is what becomes of a signal.
type Disposition int32

// Dispositions.
const (
	SigDefault Disposition = iota
	SigIgnore
	SigCatch // a function of the guest is called
)

// A SigAction is what a process wants done with a signal, as sigaction(2) has it.
// Which function is called is the guest's own business: it has one for all signals
// (ThreadGroup.SetHandler).
type SigAction struct {
	Disposition Disposition `pb:"1"`
	Mask        SigSet      `pb:"2"` // blocked while the function runs, besides the signal itself
	Flags       uint32      `pb:"3"` // SARestart and so on
}

// Flags of a SigAction, by Linux's numbers.
const (
	SANoChildStop = 1          // SIGCHLD does not tell of children that stop or go on
	SANoChildWait = 2          // children that end are not waited for
	SARestart     = 0x10000000 // calls that were interrupted are made again
	SANoDefer     = 0x40000000 // the signal is not blocked while the function runs
	SAResetHand   = 0x80000000 // the disposition is the default again when the function is called

	saFlags = SANoChildStop | SANoChildWait | SARestart | SANoDefer | SAResetHand
)

// A handler is the function of the guest that is called for signals.
type handler struct {
	name string // of the export
	fn   uint32
}

// signals is what a process has of signals. The lock is Linux's sighand lock: who
// sends a signal needs no other.
type signals struct {
	mu      invariants.Mutex[signalsLock]
	queue   sigQueue                 // for the process; protected by mu
	actions [maxSignal + 1]SigAction // protected by mu
	told    SigSet                   // signals whose action the process itself has told; protected by mu
	knows   bool                     // the process knows its Dispositions; protected by mu
	handler *handler                 // nil: none; protected by mu
	held    bool                     // all that can be blocked are, since the guest named a function that there is not; protected by mu
	tasks   []*Task                  // that may take one; protected by mu and, for changes, TaskSet.mu
	forks   []*forking               // children that are being made; protected by mu

	exiting bool       // protected by mu
	status  ExitStatus // valid once exiting; protected by mu

	stopSig   atomic.Int32 // what the process is stopped by, or 0; changed under mu
	stopNo    atomic.Int64 // counts the times that it was stopped; changed under mu
	stopTold  int64        // the last of them that the parent knows of; protected by TaskSet.mu
	stopSeen  bool         // and has waited for it; protected by TaskSet.mu
	continued bool         // it went on and nobody has waited for that; protected by TaskSet.mu
}

// taskSignals is what a task has of its own. Protected by signals.mu of its group.
type taskSignals struct {
	queue  sigQueue
	mask   SigSet  // blocked
	before *SigSet // of SuspendSignals: what is blocked again after the handler
	waits  SigSet  // of WaitSignal
}

// ErrNoHandler says that a module has no function that can be called for signals.
type ErrNoHandler struct{ Name, Why string }

func (e *ErrNoHandler) Error() string {
	return "function " + e.Name + " cannot be called for signals: " + e.Why
}

// SetHandler has the exported function of this name, of type i32 -> (), called for
// signals that are caught. Where there is no such function all signals are held, as
// WASIX has it, and the error tells why.
func (g *ThreadGroup) SetHandler(name string) error {
	fn, typ, ok := g.Module().Export(name)
	why := ""
	switch {
	case !ok:
		why = "the module does not export it"
	case len(typ.Params) != 1 || len(typ.Results) != 0 || typ.Params[0] != wasm.I32:
		why = "it does not take an i32 and return nothing"
	}
	s := &g.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = why != ""
	if s.held {
		return &ErrNoHandler{name, why}
	}
	s.handler = &handler{name, fn}
	s.interruptAllLocked() // what was held is looked at again
	return nil
}

// Action is what the process wants done with a signal.
func (g *ThreadGroup) Action(sig int32) (SigAction, bool) {
	if sig < 1 || sig > maxSignal {
		return SigAction{}, false
	}
	s := &g.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.actions[sig], true
}

// SetAction says what is to be done with a signal and returns what was until now.
// It reports false for signals that cannot be caught, and unknown flags.
func (g *ThreadGroup) SetAction(sig int32, a SigAction) (old SigAction, ok bool) {
	if sig < 1 || sig > maxSignal || sigsForced.has(sig) || a.Flags&^saFlags != 0 || a.Disposition < SigDefault || a.Disposition > SigCatch {
		return old, false
	}
	a.Mask &^= sigsForced
	s := &g.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	old = s.actions[sig]
	s.actions[sig] = a
	s.told |= sigSet(sig)
	if s.ignoresLocked(sig) { // POSIX: pending ones are discarded
		s.dropLocked(sigSet(sig))
	}
	return old, true
}

// ToldDispositions says that the process itself knows its Dispositions: its library
// keeps them from now on, see actionLocked.
func (g *ThreadGroup) ToldDispositions() {
	s := &g.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	s.knows = true
}

// Dispositions lists the signals that the process was made to ignore: what a
// program that is executed finds.
func (g *ThreadGroup) Dispositions() (ignored []int32) {
	s := &g.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	for sig := int32(1); sig <= maxSignal; sig++ {
		if s.actions[sig].Disposition == SigIgnore {
			ignored = append(ignored, sig)
		}
	}
	return ignored
}

// actionLocked is what becomes of a signal. A guest that has a function for
// signals and has not told the kernel more wants them all: its library does what
// is to be done (WASIX). That is so of those, too, that the process was begun with
// ignored, if its library has asked which these are: it ignores them until the program
// catches one, of which the kernel is not told.
//
// Preconditions: s.mu is locked.
func (s *signals) actionLocked(sig int32) Disposition {
	d := s.actions[sig].Disposition
	if (d == SigDefault || d == SigIgnore && s.knows) && s.handler != nil && !s.told.has(sig) && !sigsForced.has(sig) {
		return SigCatch
	}
	if d == SigCatch && s.handler == nil {
		return SigDefault
	}
	return d
}

// ignoresLocked reports whether a signal has no effect.
//
// Preconditions: s.mu is locked.
func (s *signals) ignoresLocked(sig int32) bool {
	d := s.actionLocked(sig)
	return d == SigIgnore || d == SigDefault && sigsIgnored.has(sig)
}

// dropLocked removes pending signals.
//
// Preconditions: s.mu is locked.
func (s *signals) dropLocked(sigs SigSet) {
	s.queue.drop(sigs)
	for _, t := range s.tasks {
		t.sig.queue.drop(sigs)
	}
}

// maskLocked is what a task does not take now.
//
// Preconditions: s.mu is locked.
func (s *signals) maskLocked(t *Task) SigSet {
	if s.held {
		return ^sigsForced
	}
	return t.sig.mask | t.sig.waits
}

// waiterLocked is a task that waits for a signal in WaitSignal: the one that it is
// for, or any.
//
// Preconditions: s.mu is locked.
func (s *signals) waiterLocked(sig int32, to *Task) *Task {
	for _, t := range s.tasks {
		if t.sig.waits.has(sig) && (to == nil || t == to) {
			return t
		}
	}
	return nil
}

// interruptAllLocked has all tasks look at what is pending.
//
// Preconditions: s.mu is locked.
func (s *signals) interruptAllLocked() {
	for _, t := range s.tasks {
		t.interrupt()
		t.resume.Signal()
	}
}

// SigMask is what the task blocks.
func (t *Task) SigMask() SigSet {
	s := &t.group.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	return t.sig.mask
}

// SetSigMask blocks signals, and no others. What was pending and is not blocked
// any more is taken at the next safepoint.
//
// Only on the task goroutine.
func (t *Task) SetSigMask(mask SigSet) {
	s := &t.group.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	t.sig.mask = mask &^ sigsForced
	if (t.sig.queue.set|s.queue.set)&^t.sig.mask != 0 {
		t.interrupt()
	}
}

// PendingSignals are those that wait to be taken by the task.
func (t *Task) PendingSignals() SigSet {
	s := &t.group.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	return t.sig.queue.set | s.queue.set
}
