package kernel

import (
	"context"

	"github.com/stasis-run/stasis/internal/engine"
)

// run is the task goroutine. A task that was parked is on a new one.
func (t *Task) run() {
	t.endParking()
	ctx := context.Background()
	for t.lookAround() {
		t.cpu.begin(t.k.clocks.Source())
		t.k.ticker.wake()
		if !t.deliver() {
			t.cpu.end(t.k.clocks.Source())
			continue
		}
		if fn, args, ok := t.thread.Pending(); ok {
			t.callAgain(fn, args)
			t.cpu.end(t.k.clocks.Source())
			if t.parking != nil {
				if t.rest() {
					return
				}
				t.endParking()
			}
			continue
		}
		t.yield.resumed(t)
		ev := t.thread.Run(ctx)
		t.cpu.end(t.k.clocks.Source())
		switch ev.Kind {
		case engine.Unwound:
			t.finish()
			t.stress.unwound(t)
			t.yield.unwound(t)
		case engine.Exited:
			if len(t.below) > 0 {
				t.leaveHandler()
				continue
			}
			if t.fibers.current != 0 {
				t.trapped(engine.NewTrap(t.group.Module(), "a fiber's function has returned", engine.Trace{}))
				continue
			}
			t.returned(ev.Results)
		case engine.Trapped, engine.Threw:
			t.trapped(ev.Trap)
		}
	}
	t.leave()
}

// trapped ends the process. Whoever waits for the first one, or for one that was begun
// from outside, is told the trap; of others the parent learns a signal only, so people
// find it in the log.
func (t *Task) trapped(trap *engine.Trap) {
	if t.group != t.k.Init() && !t.group.entered {
		t.k.log.Warn("a process has trapped", "process", t.group.id, "err", trap.Message, "stack", trap.Stack())
	}
	t.group.exitWith(ExitStatus{Trap: trap})
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
		if t.takeRequests() && !t.staysLocked() {
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
		s.tellStoppedLocked(t.group)
		t.resume.wait(&s.mu)
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
	if t.thread != nil { // lent
		t.thread.Clear()
	}
	return false
}

// leave ends the task. The state of the first process's first one stays readable
// until the kernel is closed.
func (t *Task) leave() {
	if finish := t.beginLeaving(); finish != nil {
		defer finish()
	}
	if t.waits != nil {
		t.waits.give()
		t.waits = nil
	}
	t.dropHandlers(0)
	t.marks.drop()
	t.fibers.drop()
	t.giveBack(false)
	left, err := t.retire()
	if err != nil {
		t.k.log.Warn("a task's thread is not closed", "task", t.id, "err", err)
	}
	last := len(left) > 0
	if last {
		t.group.free(left)
	}
	s := t.k.tasks
	s.update(func() (tell []func()) {
		t.enterLocked(Dead)
		delete(s.snapshots.requests, t)
		if s.live--; s.live == 0 {
			s.changed.Broadcast()
		}
		if last {
			return s.endLocked(t.group)
		}
		t.group.family.changes.ringLocked() // who executes a program waits to be alone
		s.tellStoppedLocked(t.group)
		return nil
	})
}

// free gives back what a process has that has no task any more. The last task does
// it, without a lock.
func (g *ThreadGroup) free(left []*Task) {
	g.k.intervals.ended(g)
	g.closeFiles()
	if g == g.k.Init() {
		return
	}
	for _, t := range left {
		if err := t.closeThread(); err != nil {
			g.k.log.Warn("a task's thread is not closed", "task", t.id, "err", err)
		}
	}
	if err := g.k.programs.release(g.program()); err != nil {
		g.k.log.Warn("code of a program is not freed", "process", g.id, "err", err)
	}
}

// exit tells the task to go. A task that does not run yet goes when it starts.
func (t *Task) exit() {
	t.mu.Lock()
	t.interruptLocked()
	t.exiting = true
	t.mu.Unlock()
	t.resume.Signal()
}
