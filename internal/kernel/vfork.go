package kernel

import "github.com/stasis-run/stasis/internal/engine"

// vfork(2): the child runs in the memory of its parent, on the parent's own
// thread, while the parent stands, until the child executes a program or ends.
// Then the parent has its thread back, as it left it but for the memory.

// A VforkStop is the stop of a task whose child has its thread.
type VforkStop struct{ Child TaskID }

// Killable implements Stop: the parent may be killed; the child then has the thread
// for good.
func (VforkStop) Killable() bool { return true }

// A loan is the thread of another task's that a child of vfork(2) runs on.
type loan struct {
	from    *Task
	stack   engine.Stack // the lender's
	globals []engine.Global

	// The lender goes on from where the borrower executes a program or exits, in that
	// call, which returns to it: proc_fork_env of WASIX.
	through bool
}

// Vfork makes a child that runs on the task's thread, from its pending call on.
// begin ends that call in the child. The task stands with the same call pending;
// when it goes on, the call is made again, and Restart.Done is the child's pid.
//
// With through the task goes on elsewhere: in the child's call of Exec, or of
// ExitThrough, which returns to it; where the child ends otherwise, in its own call,
// with Restart.Done as it was.
//
// Only on the task goroutine, in a system call, AtRest. The outcome of the call is
// Again, also with ErrSignalFirst. A task that runs on a thread which was lent to it
// cannot lend it on (Borrows).
func (t *Task) Vfork(through bool, begin func(child *Task)) error {
	g, s := t.group, t.k.tasks
	child, err := t.beginFork()
	if err != nil {
		return err
	}
	defer g.endFork(child)
	n := newTask(t.k, child, t.calls)
	if err := s.reserve(n); err != nil {
		return err
	}
	if err := child.copyFiles(g); err != nil {
		s.giveUp()
		return err
	}
	n.sig.mask = t.SigMask()
	t.restart = Restart{Set: true, Done: int64(n.id)}
	t.lend(n)
	n.loan.through = through
	begin(n)
	s.mu.Lock()
	t.internal = VforkStop{n.id}
	s.mu.Unlock()
	if err := s.launchProcess(n, g); err != nil {
		child.closeFiles()
		n.unlend(t)
		return err
	}
	return nil
}

// unlend gives the lender its thread back from a task that could not be launched,
// also if the lender is on its way out: its call ends with an error first.
func (t *Task) unlend(to *Task) {
	l := t.loan
	t.loan = nil
	th := t.swapThread(nil)
	l.putBack(th)
	th.SetHost(to)
	to.swapThread(th)
	to.restart = Restart{}
	s := t.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	to.endInternalStopLocked()
}

// Borrows reports whether the task runs on a thread that was lent to it, and
// whether its lender goes on from where it is.
func (t *Task) Borrows() (borrows, through bool) {
	return t.loan != nil, t.loan != nil && t.loan.through
}

// ExitThrough ends a process that Borrows through: its lender goes on in the call in
// progress, which returns zeros.
//
// Only on the task goroutine, in a system call, AtRest. The outcome is Gone.
func (t *Task) ExitThrough(code int32) {
	t.giveBack(true)
	t.group.Exit(code)
}

// lend has another task have the thread.
func (t *Task) lend(to *Task) {
	globals := t.thread.Globals()
	own := t.thread.Detach()
	t.thread.Attach(own.Copy())
	th := t.swapThread(nil)
	th.SetHost(to)
	to.thread = th
	to.loan = &loan{from: t, stack: own, globals: globals}
}

// giveBack returns the task's thread to the one that has lent it, which goes on. It
// reports false if the thread is the task's own, now at the latest: the lender may
// be gone. here says that a lender which goes on from where the task is can do so.
func (t *Task) giveBack(here bool) bool {
	l := t.loan
	if l == nil {
		return false
	}
	t.loan = nil
	if !l.from.takeBack(t, l, l.through && here) {
		l.stack.Drop()
		return false
	}
	s := t.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	l.from.endInternalStopLocked()
	return true
}

// takeBack gives a task the thread that it has lent, unless it is on its way out:
// nobody would free it then.
func (t *Task) takeBack(from *Task, l *loan, here bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.exiting {
		return false
	}
	th := from.swapThread(nil)
	if here {
		fn, _, _ := th.Pending()
		th.Complete(make([]uint64, len(t.call(fn).Results)))
		l.stack.Drop()
		t.restart = Restart{}
	} else {
		l.putBack(th)
	}
	th.SetHost(t)
	t.thread = th
	if t.asked {
		th.Interrupt()
	}
	return true
}

// putBack has a thread go on where its lender left it.
func (l *loan) putBack(th engine.Thread) {
	th.Detach().Drop()
	th.Attach(l.stack)
	if err := th.SetGlobals(l.globals); err != nil {
		panic("kernel: globals of a thread that was lent: " + err.Error()) // they are its own, and were checked
	}
}

// saved describes a task whose thread is lent.
func (l *loan) saved() *engine.State {
	c := l.stack.Save()
	return &engine.State{Frames: c.Frames, Pending: c.Pending, Returned: c.Returned, Globals: l.globals}
}

// borrow has a restored task run on the thread of another one, whose stack and
// globals st has.
func (t *Task) borrow(from *Task, st *engine.State, through bool) error {
	s, err := t.thread.RestoreStack(st.Calls())
	if err != nil {
		return err
	}
	own := t.thread.Globals()
	if err := t.thread.SetGlobals(st.Globals); err != nil { // they are given back without an error then
		s.Drop()
		return err
	}
	if err := t.thread.SetGlobals(own); err != nil {
		return err
	}
	t.loan = &loan{from: from, stack: s, globals: st.Globals, through: through}
	return nil
}
