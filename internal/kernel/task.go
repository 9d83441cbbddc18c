package kernel

import (
	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/invariants"
)

// A RunState says what a task is doing.
type RunState int32

// Run states; see the package comment.
const (
	Created RunState = iota // has no goroutine yet
	Running
	Blocked
	Parked // blocked for long: at a safepoint, without a goroutine
	Stopped
	Exiting
	Dead
)

func (s RunState) String() string {
	return [...]string{"created", "running", "blocked", "parked", "stopped", "exiting", "dead"}[s]
}

// A Task is one guest thread.
type Task struct {
	k     *Kernel
	group *ThreadGroup // immutable
	calls []*Call      // by import of the module; changed by exec, on the task goroutine
	id    TaskID       // immutable once the task is in the set

	thread  engine.Thread // only on the task goroutine, or while the task is at rest; changed under mu
	restart Restart       // likewise
	waits   *futexWaiter  // likewise: of the call in progress, if that waits at an address
	below   []suspended   // likewise: what handlers have interrupted, the first first
	loan    *loan         // likewise: whose thread this is, after vfork; or nil
	marks   marks         // likewise
	fibers  fibers        // likewise
	stress  stress        // likewise
	yield   yielding      // likewise

	again      bool     // the pending call is being made; only on the task goroutine
	signalled  bool     // it is to end, since a handler waits; only on the task goroutine
	waitedLong bool     // it is to be parked when it is made again; only on the task goroutine
	parking    *parking // the waits of a task that rests, or is about to; or nil; only on the task goroutine
	finished   []uint64 // results of the pending call, which is done: see finish; or nil; only on the task goroutine

	sig taskSignals

	state    RunState // protected by TaskSet.mu; see enterLocked
	slot     slot     // likewise
	stops    int      // external stops of this task; protected by TaskSet.mu
	internal Stop     // protected by TaskSet.mu

	resume token // the task may run, must go, or is asked for something

	mu      invariants.Mutex[taskLock]
	asked   bool          // something waits for the task: stops, exit; protected by mu
	wake    chan struct{} // wakes Block; made anew by each; protected by mu
	exiting bool          // the task must go; protected by mu
	resting bool          // parked, and no goroutine has been made since; protected by mu

	cpu cpuClock
}

// A Restart is what a system call may not do twice. The zero value is that of a
// call that is made for the first time.
type Restart struct {
	Set      bool  `pb:"1"` // the call has begun before
	Deadline int64 `pb:"2"` // ns of the monotonic clock; Never if there is none
	Done     int64 `pb:"3"` // bytes done
}

// Never is a deadline that does not come.
const Never = int64(1<<63 - 1)

func newTask(k *Kernel, group *ThreadGroup, calls []*Call) *Task {
	return &Task{k: k, group: group, calls: calls, resume: newToken()}
}

// ID is the task's number.
func (t *Task) ID() TaskID { return t.id }

// Group is the task's process.
func (t *Task) Group() *ThreadGroup { return t.group }

// Kernel is the task's world.
func (t *Task) Kernel() *Kernel { return t.k }

// Memory is the guest's linear memory. Only on the task goroutine, in a system
// call; it may be longer after the next one.
func (t *Task) Memory() []byte { return t.thread.Memory().Bytes() }

// Restart is the restart block of the system call in progress.
func (t *Task) Restart() *Restart { return &t.restart }

// State is what the task does at the moment. One that stands only because the
// quota of CPU time is used up, or because it has no slot, is running, as Linux
// has it; one that is parked is blocked, or stopped.
func (t *Task) State() RunState {
	t.k.tasks.mu.Lock()
	defer t.k.tasks.mu.Unlock()
	return t.shownLocked()
}

// Preconditions: TaskSet.mu is locked.
func (t *Task) shownLocked() RunState {
	switch held := t.heldLocked(); {
	case t.state == Stopped && !held: // it is about to run
		return Running
	case t.state == Parked && held:
		return Stopped
	case t.state == Parked:
		return Blocked
	}
	return t.state
}

// heldLocked reports whether there is an external or internal stop.
//
// Preconditions: TaskSet.mu is locked.
func (t *Task) heldLocked() bool {
	return t.k.tasks.stops > 0 || t.stops > 0 || t.internal != nil || t.group.signals.stopSig.Load() != 0
}

// atRest reports whether the state of a task in this state may be read by others.
func (s RunState) atRest() bool {
	return s == Stopped || s == Parked || s == Dead || s == Created
}

// enterLocked is a change of the task's state.
//
// Preconditions: TaskSet.mu is locked.
func (t *Task) enterLocked(to RunState) {
	s := t.k.tasks
	was := t.state.atRest()
	t.state = to
	switch now := to.atRest(); {
	case was && !now:
		s.moving++
	case !was && now:
		if s.moving--; s.moving == 0 {
			s.changed.Broadcast()
		}
	}
}

// closeThread frees the task's thread. Whoever still holds the task may ask it
// for things; it answers to nobody.
func (t *Task) closeThread() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	th := t.thread
	t.thread = nil
	if th == nil {
		return nil
	}
	return th.Close()
}

// interrupt asks the task to look at what is asked of it: guest code leaves at
// its next safepoint, a blocked call at once.
func (t *Task) interrupt() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.interruptLocked()
}

// nudge has guest code leave at its next safepoint. A blocked call stays.
func (t *Task) nudge() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.thread != nil && !t.exiting {
		t.thread.Interrupt()
	}
}

// Preconditions: t.mu is locked.
func (t *Task) interruptLocked() {
	t.asked = true
	if t.thread != nil && !t.exiting {
		t.thread.Interrupt()
	}
	if t.wake != nil {
		close(t.wake)
		t.wake = nil
	}
	t.rouseLocked()
}
