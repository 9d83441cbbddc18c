package kernel

import "time"

// Parking: a task that has waited in Block for long is unwound, makes its call once
// more and is left at that: its waits are registered, its goroutine ends, and its
// thread keeps only what cannot be made again. Whatever wakes it, or is asked of it,
// gives it a goroutine, on which the call is made again as after a stop. It stands at
// a safepoint all the time, so a stop of the task set has nothing to wait for.

// defaultParkAfter is Options.ParkAfter where that is 0.
const defaultParkAfter = 50 * time.Millisecond

// A parking is the waits of a task that is parked, or about to be.
type parking struct {
	t       *Task
	cancels []func()
	timer   func() bool // stops the one of the deadline; or nil
	woken   bool        // protected by Task.mu
}

// parkTime is when a task that begins to wait is to be parked, in ns of the
// monotonic clock: not shortly before it goes on anyway.
func (t *Task) parkTime(deadline int64) int64 {
	after := t.k.opts.ParkAfter
	if after == 0 {
		after = defaultParkAfter
	}
	now := t.k.clocks.Monotonic()
	if after < 0 || deadline-now < 2*int64(after) { // Never is far from now
		return Never
	}
	return now + int64(after)
}

// park registers the waits of a call that is left waiting. With Interrupted the call
// returns Again, and the task rests.
//
// Only on the task goroutine, in a call that is made again.
func (t *Task) park(deadline int64, ready func() bool, waits []Wait) BlockResult {
	p := &parking{t: t}
	t.parking = p
	for _, w := range waits {
		p.cancels = append(p.cancels, w.Register(p.wake))
	}
	if ready != nil && ready() {
		t.endParking()
		return Woken
	}
	if deadline != Never {
		left := deadline - t.k.clocks.Monotonic()
		if left <= 0 {
			t.endParking()
			return TimedOut
		}
		p.timer = t.k.clocks.Source().AfterFunc(time.Duration(left), p.wake)
	}
	return Interrupted
}

// rest ends the task goroutine of a task whose waits are registered. It reports false
// if something has come up: then the goroutine goes on.
func (t *Task) rest() bool {
	if err := t.thread.Park(); err != nil {
		t.k.log.Warn("a task's thread is not parked", "task", t.id, "err", err)
	}
	s := t.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.parking.woken || t.asked || t.exiting {
		return false
	}
	t.resting = true
	t.giveSlotLocked()
	t.enterLocked(Parked)
	return true
}

// wake has the task make its call again.
func (p *parking) wake() {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	p.woken = true
	p.t.rouseLocked()
}

// rouseLocked gives a task that rests a goroutine.
//
// Preconditions: t.mu is locked.
func (t *Task) rouseLocked() {
	if t.resting {
		t.resting = false
		go t.run()
	}
}

// endParking withdraws the waits, if there are any.
//
// Only on the task goroutine.
func (t *Task) endParking() {
	p := t.parking
	if p == nil {
		return
	}
	t.parking = nil
	for _, cancel := range p.cancels {
		cancel()
	}
	stopTimer(p.timer)
}
