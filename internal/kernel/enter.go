package kernel

import (
	"context"
	"errors"
	"fmt"
)

// Exec makes a process that runs a program, from outside: a child of the first one
// in a session of its own, which nobody in the system waits for. It runs as soon as
// no stop keeps it from running, and takes over o.Files and o.CWD unless there is an
// error: ErrExiting and ErrClosed say that the system is on its way out. It may be
// called on any goroutine, also while the kernel is closed.
func (k *Kernel) Exec(ctx context.Context, source []byte, o ProcessOptions) (*ThreadGroup, error) {
	if err := k.enter(); err != nil {
		return nil, err
	}
	defer k.tasks.quit()
	if !k.roomForTask() {
		return nil, ErrTaskMemory
	}
	p, err := k.programs.open(ctx, source)
	if err != nil {
		return nil, err
	}
	g, err := k.execute(p, o)
	if released := k.programs.release(p); released != nil { // launching has counted it
		k.log.Warn("code of a program is not freed", "err", released)
	}
	return g, err
}

// enter keeps the kernel from being closed until quit.
func (k *Kernel) enter() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.started { // those that there are then are started once
		return ErrNotStarted
	}
	s := k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrClosed
	case s.ending || k.Init().Exiting():
		return ErrExiting
	}
	s.live++
	return nil
}

func (s *TaskSet) quit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live--; s.live == 0 {
		s.changed.Broadcast()
	}
}

func (k *Kernel) execute(p *Program, o ProcessOptions) (*ThreadGroup, error) {
	s, first := k.tasks, k.Init()
	o.Stress = first.stress
	g := newThreadGroup(k, p, o)
	g.entered = true
	g.executed.Store(true)
	n := newTask(k, g, p.calls)
	if err := n.reserveFor(p); err != nil {
		return nil, fmt.Errorf("exec: %w", err)
	}
	if err := s.launchEntered(n, first, o.Terminal); err != nil {
		return nil, errors.Join(err, n.closeThread())
	}
	return g, nil
}

// launchEntered is launchProcess for a process that is begun from outside, with its
// terminal.
func (s *TaskSet) launchEntered(t *Task, first *ThreadGroup, term Terminal) error {
	return s.launchChild(t, first, func() {
		if term != nil {
			s.controlLocked(term, t.group.jobs.group.session, t.group.id)
		}
	})
}
