package kernel

import (
	"context"
	"errors"
	"fmt"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/memory"
)

// AtRest reports whether the task's stack is taken apart: the call in progress is
// made again (Again). What makes another stack of it, or puts another one in its
// place, can only be done then. It is not while a handler waits that is to be put onto
// the stack: a call that needs this has not begun, and is made after the handler.
//
// Only in a system call.
func (t *Task) AtRest() bool { return t.again && !t.signalled }

// Fork makes a process that is a copy of the task's, with this task alone, as
// fork(2) does. begin is called with the child's task, which does not run yet, to
// end its pending call: Complete. The child's pid is returned. ErrSignalFirst: the call
// is to be made again.
//
// Only on the task goroutine, in a system call, AtRest.
func (t *Task) Fork(begin func(child *Task)) (TaskID, error) {
	if !t.k.roomForTask() {
		return 0, ErrTaskMemory
	}
	g, s := t.group, t.k.tasks
	child, err := t.beginFork()
	if err != nil {
		return 0, err
	}
	defer g.endFork(child)
	n := newTask(t.k, child, t.calls)
	if err := s.reserve(n); err != nil {
		return 0, err
	}
	if err := t.copyTo(n); err != nil {
		s.giveUp()
		return 0, err
	}
	if err := child.copyFiles(g); err != nil {
		s.giveUp()
		return 0, errors.Join(err, n.closeThread())
	}
	begin(n)
	n.stress.begin(n, child.stress)
	n.yield.begin(n)
	if err := s.launchProcess(n, g); err != nil {
		child.closeFiles()
		return 0, errors.Join(err, n.closeThread())
	}
	return n.id, nil
}

// copyFiles gives a child what its parent has open.
func (g *ThreadGroup) copyFiles(from *ThreadGroup) error {
	files, errno := from.files.Clone()
	if errno != abi.OK {
		return fmt.Errorf("fork: descriptors: %w", errno)
	}
	g.files = files
	if from.cwd != nil {
		g.cwd = from.cwd.Clone()
	}
	return nil
}

// copyTo makes the thread of a child's task: a copy of this one's, its memory and
// what handlers have interrupted.
func (t *Task) copyTo(n *Task) error {
	st, err := t.thread.Save()
	if err != nil {
		return err
	}
	th, err := t.group.Module().New(context.Background(), n, t.k.opts.Limits, st)
	if err != nil {
		return fmt.Errorf("fork: %w", err)
	}
	to, from := th.Memory().Bytes(), t.thread.Memory().Bytes()
	memory.Copy(to, from[:min(len(from), len(to))]) // another thread may have made it grow since
	n.thread = th
	n.sig.mask = t.SigMask()
	for i := range t.below {
		u, err := t.below[i].copyTo(th)
		if err != nil {
			return errors.Join(fmt.Errorf("fork: %w", err), n.closeThread())
		}
		n.below = append(n.below, u)
	}
	if err := t.copyStacks(n); err != nil {
		return errors.Join(fmt.Errorf("fork: %w", err), n.closeThread())
	}
	return nil
}

// copyStacks gives a child's task the other stacks of this one's.
func (t *Task) copyStacks(n *Task) error {
	if err := n.marks.restore(n.thread, t.marks.save(), t.marks.last); err != nil {
		return err
	}
	c := &t.fibers
	st := c.save()
	for i := range st {
		for j := range st[i].Below {
			if b := &st[i].Below[j]; b.Futex != nil { // see suspended.copyTo
				b.Restart = Restart{}
			}
		}
	}
	return n.fibers.restore(n.thread, st, c.current, c.last)
}

// copyTo is a suspended stack as the thread of a child has it.
func (u *suspended) copyTo(th engine.Thread) (suspended, error) {
	c := u.stack.Save()
	s, err := th.RestoreStack(&c)
	out := *u
	out.stack, out.waits = s, nil
	if u.waits != nil { // the copy is not in line: it lines up when the call is made again
		out.restart = Restart{}
	}
	return out, err
}

// launchProcess is launch for the first task of a child of parent.
func (s *TaskSet) launchProcess(t *Task, parent *ThreadGroup) error {
	return s.launchChild(t, parent, func() {})
}

// launchChild is launchProcess. It calls joined, with the lock, before the child
// runs.
func (s *TaskSet) launchChild(t *Task, parent *ThreadGroup, joined func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.making--
	if s.closed {
		return ErrClosed
	}
	if s.ending || parent.Exiting() {
		return ErrExiting
	}
	s.tasks[t.id] = t
	t.group.addLocked(t)
	s.joinLocked(t.group, parent)
	joined()
	t.group.bornWith(parent.endFork(t.group))
	s.running++
	t.k.programs.use(t.group.program())
	s.live++
	go t.run()
	return nil
}

// Complete ends the pending call of a task that does not run: see Fork.
func (t *Task) Complete(results []uint64) {
	t.thread.Complete(results)
	t.restart = Restart{}
}
