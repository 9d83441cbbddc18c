package kernel

import (
	"context"

	"github.com/stasis-run/stasis/internal/engine"
)

// run is the task goroutine.
func (t *Task) run() {
	ctx := context.Background()
	for t.lookAround() {
		t.cpu.begin(t.k.clocks.Source())
		t.k.ticker.wake()
		if fn, args, ok := t.thread.Pending(); ok {
			t.callAgain(fn, args)
			t.cpu.end(t.k.clocks.Source())
			continue
		}
		t.yield.resumed(t)
		ev := t.thread.Run(ctx)
		t.cpu.end(t.k.clocks.Source())
		switch ev.Kind {
		case engine.Unwound:
			t.stress.unwound(t)
			t.yield.unwound(t)
		case engine.Exited:
			t.returned(ev.Results)
		case engine.Trapped, engine.Threw:
			t.group.exitWith(ExitStatus{Trap: ev.Trap})
		}
	}
	t.leave()
}

// returned ends the process if its first task has returned from its first
// function, or only the task.
func (t *Task) returned(results []uint64) {
	if t.group.isLeader(t) {
		t.group.exitWith(ExitStatus{Results: append([]uint64(nil), results...)})
		return
	}
	t.Exit()
}

// Exit ends the task. The last one's end does not end the process: its first
// task's does.
//
// Only on the task goroutine.
func (t *Task) Exit() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.exiting = true
}

// lookAround handles what is asked of the task, and stays here while the task
// is stopped. It reports whether the task may run. When it returns, the request
// flag is down, and whatever is asked from then on raises it again: both under
// the lock under which requests are made, so none is lost.
func (t *Task) lookAround() bool {
	s := t.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if t.takeRequests() {
			t.giveSlotLocked()
			t.enterLocked(Exiting)
			return false
		}
		if t.heldLocked() || s.throttled {
			t.giveSlotLocked()
		} else if t.takeSlotLocked() {
			break
		}
		if t.state != Stopped {
			t.enterLocked(Stopped)
		}
		t.resume.Wait()
	}
	if t.state != Running {
		t.enterLocked(Running)
	}
	return true
}

// takeRequests lowers the request flag and reports whether the task must go.
// Stops are looked at by the caller, under TaskSet.mu, where they are made.
func (t *Task) takeRequests() (exit bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked = false
	if t.exiting {
		return true
	}
	t.thread.Clear()
	return false
}

// leave ends the task. The state of a process's first one stays readable until
// the kernel is closed.
func (t *Task) leave() {
	if t.waits != nil {
		t.waits.give()
		t.waits = nil
	}
	if err := t.retire(); err != nil {
		t.k.log.Warn("a task's thread is not closed", "task", t.id, "err", err)
	}
	if t.group.taskGone() {
		defer t.group.ended()
	}
	s := t.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	t.enterLocked(Dead)
	if s.live--; s.live == 0 {
		s.changed.Broadcast()
	}
}

// exit tells the task to go. A task that does not run yet goes when it starts.
func (t *Task) exit() {
	t.mu.Lock()
	t.interruptLocked()
	t.exiting = true
	t.mu.Unlock()
	s := t.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	t.resume.Signal()
}
