package kernel

import (
	"container/list"
	"runtime"
	"time"
)

// Slots: guest code never lets Go's scheduler have its thread back, so a task
// that runs keeps one of Go's Ps and an OS thread. There must be fewer of those
// than Ps, or no Go code runs any more that could ask for a safepoint; and no
// more than CPUs, or a task that is asked to stop first has to wait for the
// host to run it. So a task needs one of a fixed number of slots to run. Those
// that have none stand unwound (or at the end of their wait) in a queue. While
// somebody stands there, a task gives its slot up after a slice of time; it
// does so at once in sched_yield, and when it waits for something.

// slotSlice is how long a task keeps its slot at least while others queue for
// one; the ticker looks every tickPeriod.
const slotSlice = tickPeriod / 2

// slots is how many there are.
func (k *Kernel) slots() int {
	if n := k.opts.Slots; n > 0 {
		return n
	}
	n := runtime.NumCPU()
	if !ownCollector.Load() {
		n = min(n, runtime.GOMAXPROCS(0)-1)
	}
	return max(n, 1)
}

// A slot is a task's share of the slots. All of it is protected by TaskSet.mu.
type slot struct {
	held    bool
	queued  bool
	at      *list.Element // in TaskSet.queue, while queued
	expired bool          // others want it: to be given up at the next safepoint
	since   int64         // host time when it was taken
}

// takeSlotLocked reports whether the task has a slot or gets one now. If not,
// it queues for one.
//
// Preconditions: TaskSet.mu is locked.
func (t *Task) takeSlotLocked() bool {
	s := t.k.tasks
	if t.slot.held && t.slot.expired && s.queue.Len() > 0 {
		t.giveSlotLocked()
	}
	if t.slot.held {
		t.slot.expired = false
		return true
	}
	if !t.slot.queued {
		t.slot.queued, t.slot.at = true, s.queue.PushBack(t)
		s.grantLocked()
	}
	return t.slot.held
}

// giveSlotLocked gives up the task's slot or its place in the queue.
//
// Preconditions: TaskSet.mu is locked.
func (t *Task) giveSlotLocked() {
	s := t.k.tasks
	switch {
	case t.slot.held:
		t.slot = slot{}
		s.free++
		s.grantLocked()
	case t.slot.queued:
		s.queue.Remove(t.slot.at)
		t.slot = slot{}
	}
}

// grantLocked hands free slots to those that queue, but in a stop of all.
//
// Preconditions: TaskSet.mu is locked.
func (s *TaskSet) grantLocked() {
	for s.stops == 0 && s.free > 0 && s.queue.Len() > 0 {
		t := s.queue.Remove(s.queue.Front()).(*Task)
		s.free--
		t.slot = slot{held: true, since: s.k.clocks.Source().Mono()}
		t.resume.Signal()
	}
}

// regainSlot gives a task its slot back after a wait. It reports false if
// something is asked of the task first.
func (t *Task) regainSlot() bool {
	s := t.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if t.isAsked() {
			t.giveSlotLocked()
			return false
		}
		if t.takeSlotLocked() {
			return true
		}
		t.resume.wait(&s.mu)
	}
}

// YieldSlot lets another task run, if one is ready to.
//
// Only on the task goroutine, in a system call.
func (t *Task) YieldSlot() {
	s := t.k.tasks
	s.mu.Lock()
	others := s.queue.Len() > 0
	if others {
		t.slot.expired = true
		t.nudge()
	}
	s.mu.Unlock()
	if !others {
		runtime.Gosched()
	}
}

// rotateSlots has tasks give up their slots that have had them for long, if
// others queue. It reports whether any do.
func (s *TaskSet) rotateSlots(now int64) (queued bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue.Len() == 0 {
		return false
	}
	for _, t := range s.tasks {
		if t.slot.held && time.Duration(now-t.slot.since) >= slotSlice {
			t.slot.expired = true
			t.nudge()
		}
	}
	return true
}
