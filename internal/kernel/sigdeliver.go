package kernel

import (
	"github.com/stasis-run/stasis/internal/engine"
)

// redZone is how far below its stack pointer a C function may keep data without
// lowering it (System V ABI, AMD64, 3.2.2; LLVM does so for WebAssembly's leaf
// functions): a handler, which can begin at any safepoint, leaves it alone.
const redZone = 128

// maxHandlers bounds how many handlers of a task can be under way, one in the
// other: each signal blocks itself meanwhile, unless the guest wants it otherwise.
const maxHandlers = 256

// A suspended is what a handler has interrupted.
type suspended struct {
	stack   engine.Stack
	restart Restart
	waits   *futexWaiter
	mask    SigSet
	pointer uint64  // the stack pointer, if the module has one
	info    SigInfo // what the handler was called for
}

// A delivery is a signal that the task takes now.
type delivery struct {
	SigInfo
	SigAction
	fn uint32
}

// deliver has the task take what is pending for it: its handlers are put on the
// stack, to be run. It reports false if the task has to look around again instead of
// running.
//
// Only on the task goroutine, at rest.
func (t *Task) deliver() (run bool) {
	for {
		d, what := t.nextSignal()
		switch what {
		case takeNothing:
			return true
		case takeEnd:
			t.group.exitWith(endedBy(d.Signo))
			return false
		case takeStop:
			return false
		}
		if t.settleCall(d); !t.enterHandler(d) {
			return false
		}
	}
}

// A taking is what a task takes.
type taking int

const (
	takeNothing taking = iota
	takeHandler        // a function is to be called
	takeStop           // the process is stopped now
	takeEnd            // it ends
)

// nextSignal removes the next signal that has an effect.
func (t *Task) nextSignal() (delivery, taking) {
	s := &t.group.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		info, ok := t.takeLocked(s)
		if !ok {
			return delivery{}, takeNothing
		}
		sig := info.Signo
		switch s.actionLocked(sig) {
		case SigCatch:
			d := delivery{SigInfo: info, SigAction: s.actions[sig], fn: s.handler.fn}
			if d.Flags&SAResetHand != 0 {
				s.actions[sig] = SigAction{}
				s.told |= sigSet(sig)
			}
			return d, takeHandler
		case SigDefault:
			switch {
			case t.group.sparesInit(info):
			case sigsStop.has(sig) && t.group.stopsBy(sig):
				s.stopLocked(sig)
				return delivery{}, takeStop
			case !sigsIgnored.has(sig) && !sigsStop.has(sig):
				return delivery{SigInfo: info}, takeEnd
			}
		}
	}
}

// takeLocked removes the next signal of the task's own or of the process.
//
// Preconditions: s.mu is locked.
func (t *Task) takeLocked(s *signals) (SigInfo, bool) {
	mask := s.maskLocked(t)
	if info, ok := t.sig.queue.take(mask); ok {
		return info, true
	}
	return s.queue.take(mask)
}

// HandlerWaits reports whether a handler is to run as soon as the task comes to a
// safepoint.
func (t *Task) HandlerWaits() bool {
	s := &t.group.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	left := (t.sig.queue.set | s.queue.set) &^ s.maskLocked(t)
	for ; left != 0; left &= left - 1 {
		if s.actionLocked(left.lowest()) == SigCatch {
			return true
		}
	}
	return false
}

// settleCall ends the pending call for a handler, which runs before the call would
// have ended: it fails with EINTR, or with what it has done so far, unless it is to
// be made again after the handler (signal(7), "Interruption of system calls").
func (t *Task) settleCall(d delivery) {
	fn, args, ok := t.thread.Pending()
	if !ok {
		return
	}
	if rule := t.call(fn).Handlers; rule == NeverEnds || rule == EndsOrRestarts && d.Flags&SARestart != 0 {
		return
	}
	t.signalled = true
	t.callAgain(fn, args)
	t.signalled = false
}

// enterHandler puts a call of the guest's function onto the task, whose own stack
// is put aside until it returns. It reports false if the process ends instead.
func (t *Task) enterHandler(d delivery) bool {
	if len(t.below) >= maxHandlers {
		t.group.exitWith(endedBy(SIGSEGV)) // as on Linux, where the stack is full
		return false
	}
	pointer, known := t.thread.StackPointer()
	if known {
		t.thread.SetStackPointer(handlerPointer(pointer))
	}
	u := suspended{stack: t.thread.Detach(), restart: t.restart, waits: t.waits, pointer: pointer, info: d.SigInfo}
	t.restart, t.waits = Restart{}, nil
	s := &t.group.signals
	s.mu.Lock()
	u.mask = t.sig.mask
	if t.sig.before != nil {
		u.mask, t.sig.before = *t.sig.before, nil
	}
	t.sig.waits = 0 // a call that waits for signals does so again when it is made again
	t.sig.mask |= d.Mask
	if d.Flags&SANoDefer == 0 {
		t.sig.mask |= sigSet(d.Signo)
	}
	s.mu.Unlock()
	t.below = append(t.below, u)
	if err := t.thread.Start(d.fn, []uint64{uint64(d.Signo)}); err != nil {
		panic("kernel: start of a handler: " + err.Error()) // it was checked when it was set
	}
	return true
}

// handlerPointer is the stack pointer of a handler.
func handlerPointer(p uint64) uint64 {
	const align = 16
	if p < redZone {
		return p // the guest's stack is full, or elsewhere: it will find out
	}
	return (p - redZone) &^ (align - 1)
}

// leaveHandler goes on with what the innermost handler has interrupted.
func (t *Task) leaveHandler() {
	u := t.below[len(t.below)-1]
	t.below = t.below[:len(t.below)-1]
	t.thread.Attach(u.stack)
	if _, known := t.thread.StackPointer(); known {
		t.thread.SetStackPointer(u.pointer)
	}
	t.restart, t.waits = u.restart, u.waits
	t.SetSigMask(u.mask)
}

// dropHandlers forgets what handlers have interrupted, from the n-th on: the task
// does not come back there.
func (t *Task) dropHandlers(n int) {
	for _, u := range t.below[n:] {
		u.drop()
	}
	t.below = t.below[:n]
}

// drop forgets what a handler has interrupted.
func (u *suspended) drop() {
	u.stack.Drop()
	if u.waits != nil {
		u.waits.give()
	}
}
