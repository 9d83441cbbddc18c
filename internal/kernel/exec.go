package kernel

import (
	"context"
	"errors"
	"fmt"

	"github.com/stasis-run/stasis/internal/engine"
)

// ExecEntry is the function at which programs begin that are executed.
const ExecEntry = "_start"

// Exec has the process run another program, as execve(2) does: the task begins it,
// others of the process are gone, signals that were caught are not any more,
// descriptors close that are to. On an error nothing has changed. It may return
// Again: the call is to be made again, and goes on then.
//
// Only on the task goroutine, in a system call, AtRest. With Gone as the outcome the
// task has become another one, and the call does not come back.
func (t *Task) Exec(source []byte, args, env []string) (Outcome, error) {
	p, err := t.k.programs.open(context.Background(), source)
	if err != nil {
		return Done, err
	}
	out, err := t.exec(p, args, env)
	if err != nil || out == Again {
		return out, errors.Join(err, t.k.programs.release(p))
	}
	return out, nil
}

func (t *Task) exec(p *Program, args, env []string) (Outcome, error) {
	th, err := t.newThread(p)
	if err != nil {
		return Done, err
	}
	if !t.alone() {
		return Again, th.Close()
	}
	g := t.group
	old := g.program()
	g.exe.Store(&executable{p, args, env})
	g.executed.Store(true)
	t.become(th, p)
	g.resetSignals()
	g.Files().CloseOnExec()
	if err := t.k.programs.release(old); err != nil {
		t.k.log.Warn("code of a program is not freed", "process", g.id, "err", err)
	}
	return Gone, nil
}

// newThread makes a thread at the beginning of a program.
func (t *Task) newThread(p *Program) (engine.Thread, error) {
	fn, err := entryOf(p.Module, ExecEntry, 0)
	if err != nil {
		return nil, err
	}
	th, err := p.Module.New(context.Background(), t, t.k.opts.Limits, nil)
	if err != nil {
		return nil, err
	}
	if err := th.Start(fn, nil); err != nil {
		return nil, errors.Join(err, th.Close())
	}
	return th, nil
}

// alone has the process's other tasks go, and waits until they have gone; false if
// something is asked of this one first.
func (t *Task) alone() bool {
	s := &t.group.signals
	s.mu.Lock()
	if t.isExiting() { // another one was quicker
		s.mu.Unlock()
		return false
	}
	for _, o := range s.tasks {
		if o != t {
			o.exit()
		}
	}
	s.mu.Unlock()
	return t.Block(Never, t.isAlone, bellWait{t.k.tasks, &t.group.family.changes}) == Woken
}

// isAlone reports whether the others have gone. Those that one of them was making
// when it was told to go are told now.
func (t *Task) isAlone() bool {
	s := t.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.group.alive == 1 {
		return true
	}
	for _, o := range t.group.tasks {
		if o != t && !o.isExiting() {
			o.exit()
		}
	}
	return false
}

// become gives the task, the only one of its process, another thread. It is the
// first task from now on and has the number of the first, as on Linux.
func (t *Task) become(th engine.Thread, p *Program) {
	t.dropHandlers(0)
	t.marks.drop()
	t.fibers.drop()
	t.restart, t.calls = Restart{}, p.calls
	if !t.giveBack(true) {
		if err := t.closeThread(); err != nil {
			t.k.log.Warn("a thread is not closed", "task", t.id, "err", err)
		}
	}
	t.swapThread(th)
	t.lead()
	t.stress.begin(t, t.group.stress)
	t.yield.begin(t)
}

// lead makes the task, the only one of its process that lives, the first one.
func (t *Task) lead() {
	s, g := t.k.tasks, t.group
	s.mu.Lock()
	was := g.leader
	if was != t {
		g.removeLocked(was)
		delete(s.tasks, t.id)
		t.id, g.leader = g.id, t
		s.tasks[t.id] = t
	}
	s.mu.Unlock()
	if was == t {
		return
	}
	if err := was.closeThread(); err != nil {
		t.k.log.Warn("a thread is not closed", "task", was.id, "err", err)
	}
}

// swapThread gives the task another thread, which is asked for what this one was.
func (t *Task) swapThread(th engine.Thread) (old engine.Thread) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old, t.thread = t.thread, th
	if th != nil && t.asked && !t.exiting {
		th.Interrupt()
	}
	return old
}

// resetSignals is what execve(2) does to them: those that were caught have their
// default action again.
func (g *ThreadGroup) resetSignals() {
	s := &g.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler, s.held, s.told, s.knows = nil, false, 0, false
	for i := range s.actions {
		if s.actions[i].Disposition != SigIgnore {
			s.actions[i] = SigAction{}
		}
	}
}

// SpawnProcess makes a child of the process that runs a program, as
// posix_spawn(3) does. files are its descriptors, which it takes over; ignored and
// defaults are signals whose dispositions it does not inherit.
//
// Only on a task goroutine of the process, in a system call, which is to be made again
// with ErrSignalFirst.
func (t *Task) SpawnProcess(source []byte, o ProcessOptions, ignored, defaults []int32) (TaskID, error) {
	if !t.k.roomForTask() {
		return 0, ErrTaskMemory
	}
	p, err := t.k.programs.open(context.Background(), source)
	if err != nil {
		return 0, err
	}
	id, err := t.spawnProcess(p, o, ignored, defaults)
	if err != nil {
		return 0, errors.Join(err, t.k.programs.release(p))
	}
	return id, t.k.programs.release(p) // launching has counted it
}

func (t *Task) spawnProcess(p *Program, o ProcessOptions, ignored, defaults []int32) (TaskID, error) {
	g, err := t.beginFork()
	if err != nil {
		return 0, err
	}
	defer t.group.endFork(g)
	g.exe.Store(&executable{p, o.Args, o.Env})
	g.executed.Store(true)
	g.files, g.cwd = o.Files, o.CWD
	g.resetSignals()
	for _, sig := range ignored {
		g.SetAction(sig, SigAction{Disposition: SigIgnore})
	}
	for _, sig := range defaults {
		g.SetAction(sig, SigAction{})
	}
	g.signals.told = 0 // its program has not told anything; nobody else has the process yet
	n := newTask(t.k, g, p.calls)
	n.sig.mask = t.SigMask()
	if err := n.reserveFor(p); err != nil {
		return 0, fmt.Errorf("spawn: %w", err)
	}
	if err := t.k.tasks.launchProcess(n, t.group); err != nil {
		return 0, errors.Join(err, n.closeThread())
	}
	return n.id, nil
}

// reserveFor gives a task that is to begin a program its number and its thread.
func (t *Task) reserveFor(p *Program) error {
	s := t.k.tasks
	if err := s.reserve(t); err != nil {
		return err
	}
	th, err := t.newThread(p)
	if err != nil {
		s.giveUp()
		return err
	}
	t.thread = th
	t.stress.begin(t, t.group.stress)
	t.yield.begin(t)
	return nil
}
