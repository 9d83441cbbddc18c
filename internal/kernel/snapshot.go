package kernel

import (
	"context"
	"errors"
)

// A task may ask for the system to be saved (WASIX, proc_snapshot), if whoever runs the
// system lets it: then it waits for the next checkpoint, which somebody outside makes, as a
// system has nowhere to put an image. A task that wakes in a restored system in such a
// wait has got what it asked for.

// Errors of Snapshot.
var (
	ErrNoSnapshots = errors.New("the program may not ask to be saved (stasis run --snapshots)")
	ErrNotSaved    = errors.New("the system was not saved")
)

// snapshots are the tasks that wait to be saved. All of it is protected by TaskSet.mu.
type snapshots struct {
	wishes map[*Task]*wish
	bell   bell // one wishes it, or is answered
}

// A wish is a task's to be saved.
type wish struct {
	answered bool
	err      error // why the system was not saved
}

// Snapshot waits until the system has been saved. Of the results of Block it returns
// Woken, Interrupted or Signalled; an error is ErrNoSnapshots or is an ErrNotSaved.
//
// Only on the task goroutine, in a system call.
func (t *Task) Snapshot() (BlockResult, error) {
	w, err := t.wish()
	if w == nil || err != nil {
		return Woken, err
	}
	s := t.k.tasks
	got := t.Block(Never, func() bool { return s.isAnswered(w) }, bellWait{s, &s.snapshots.bell})
	if got != Interrupted {
		s.forgetWish(t)
	}
	return got, w.err
}

// wish is what the task waits for; nil if the wish was another kernel's, of whose image
// this one was made.
func (t *Task) wish() (*wish, error) {
	s := t.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.restart.Set {
		return s.snapshots.wishes[t], nil
	}
	if !t.k.opts.Snapshots {
		return nil, ErrNoSnapshots
	}
	if s.snapshots.wishes == nil {
		s.snapshots.wishes = make(map[*Task]*wish)
	}
	w := new(wish)
	t.restart.Set = true
	s.snapshots.wishes[t] = w
	s.snapshots.bell.ringLocked()
	return w, nil
}

func (s *TaskSet) isAnswered(w *wish) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return w.answered
}

func (s *TaskSet) forgetWish(t *Task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.snapshots.wishes, t)
}

// Wishes are those of tasks that wait to be saved now: whoever saves the system from now
// on calls the result with how it went.
func (k *Kernel) Wishes() (answer func(error)) {
	s := k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*wish
	for _, w := range s.snapshots.wishes {
		list = append(list, w)
	}
	return func(err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, w := range list {
			w.answered = true
			if err != nil {
				w.err = errors.Join(ErrNotSaved, err)
			}
		}
		s.snapshots.bell.ringLocked()
	}
}

// AwaitWish waits until a task wants to be saved, or ctx is done. It fails with
// ErrNoSnapshots or ErrExiting if none ever will.
func (k *Kernel) AwaitWish(ctx context.Context) error {
	first := k.Init()
	switch {
	case first == nil:
		return ErrNoProcess
	case !k.opts.Snapshots:
		return ErrNoSnapshots
	}
	s := k.tasks
	rung := newToken()
	defer bellWait{s, &s.snapshots.bell}.Register(rung.Signal)()
	for !s.isWished() {
		select {
		case <-rung:
		case <-first.gone:
			return ErrExiting
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// isWished reports whether a task waits for an answer.
func (s *TaskSet) isWished() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.snapshots.wishes {
		if !w.answered {
			return true
		}
	}
	return false
}
