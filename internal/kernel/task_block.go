package kernel

import (
	"time"
)

// A Result of Block says why it returned.
type BlockResult int

// Results of Block.
const (
	Woken       BlockResult = iota // what was waited for may have happened
	TimedOut                       // the deadline has passed
	Interrupted                    // something is asked of the task: return Again
	Signalled                      // a handler is to run: the call ends, with EINTR or what it has done
)

// A Wait is something that a task can wait for.
type Wait interface {
	// Register has wake called once or more when what is waited for may have
	// happened, from now on; wake does not block. cancel ends that, and returns
	// when no call of wake is under way or will come.
	Register(wake func()) (cancel func())
}

// Block waits until one of the waits wakes the task, the deadline (ns of the
// monotonic clock, or Never) has passed, or something is asked of the task. It
// is the only place where a task waits, so stops are looked at in one place.
//
// ready is asked after the waits are registered and again after each wake-up:
// true ends the wait. It must not block.
//
// Only on the task goroutine, in a system call.
func (t *Task) Block(deadline int64, ready func() bool, waits ...Wait) BlockResult {
	if t.signalled {
		if ready != nil && ready() {
			return Woken
		}
		return Signalled
	}
	if long := t.waitedLong; long {
		t.waitedLong = false
		if t.again {
			return t.park(deadline, ready, waits)
		}
	}
	events := make(chan struct{}, 1)
	wake := func() {
		select {
		case events <- struct{}{}:
		default:
		}
	}
	for _, w := range waits {
		defer w.Register(wake)()
	}
	asked := t.beginBlock()
	if asked == nil {
		return Interrupted
	}
	t.cpu.end(t.k.clocks.Source())
	t.setState(Blocked)
	defer func() {
		t.setState(Running)
		t.endBlock()
		t.cpu.begin(t.k.clocks.Source())
		t.k.ticker.wake()
	}()
	got := t.await(deadline, ready, events, asked)
	if !t.regainSlot() {
		return Interrupted
	}
	return got
}

func (t *Task) await(deadline int64, ready func() bool, events, asked chan struct{}) BlockResult {
	park := t.parkTime(deadline)
	for {
		if ready != nil && ready() {
			return Woken
		}
		var timer func() bool
		expired := make(chan struct{})
		if until := min(deadline, park); until != Never {
			left := until - t.k.clocks.Monotonic()
			switch {
			case left <= 0 && until == park:
				t.waitedLong = true
				return Interrupted
			case left <= 0:
				return TimedOut
			}
			timer = t.k.clocks.Source().AfterFunc(time.Duration(left), func() { close(expired) })
		}
		select {
		case <-events:
			stopTimer(timer)
			if ready == nil {
				return Woken
			}
		case <-asked:
			stopTimer(timer)
			return Interrupted
		case <-expired: // the clock may have stood still meanwhile: look again
		}
	}
}

func stopTimer(stop func() bool) {
	if stop != nil {
		stop()
	}
}

// beginBlock makes the channel that interrupt closes, or returns nil if
// something is asked of the task already.
func (t *Task) beginBlock() chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.asked {
		return nil
	}
	t.wake = make(chan struct{})
	return t.wake
}

func (t *Task) endBlock() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wake = nil
}

func (t *Task) setState(to RunState) {
	s := t.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	if to == Blocked {
		t.giveSlotLocked()
	}
	t.enterLocked(to)
}
