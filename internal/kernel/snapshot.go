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
	requests map[*Task]*snapshotRequest
	bell     bell // one asks for it, or is answered
}

// A snapshotRequest is a task's to be saved.
type snapshotRequest struct {
	answered bool
	err      error // why the system was not saved
}

// Snapshot waits until the system has been saved. Of the results of Block it returns
// Woken, Interrupted or Signalled; an error is ErrNoSnapshots or is an ErrNotSaved.
//
// Only on the task goroutine, in a system call.
func (t *Task) Snapshot() (BlockResult, error) {
	r, err := t.requestSnapshot()
	if r == nil || err != nil {
		return Woken, err
	}
	s := t.k.tasks
	got := t.Block(Never, func() bool { return s.isAnswered(r) }, bellWait{s, &s.snapshots.bell})
	if got == Interrupted { // the call is made again
		return got, nil
	}
	return got, s.endRequest(t)
}

// requestSnapshot is what the task waits for; nil if it asked another kernel, of whose image
// this one was made.
func (t *Task) requestSnapshot() (*snapshotRequest, error) {
	s := t.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.restart.Set {
		return s.snapshots.requests[t], nil
	}
	if !t.k.opts.Snapshots {
		return nil, ErrNoSnapshots
	}
	if s.snapshots.requests == nil {
		s.snapshots.requests = make(map[*Task]*snapshotRequest)
	}
	r := new(snapshotRequest)
	t.restart.Set = true
	s.snapshots.requests[t] = r
	s.snapshots.bell.ringLocked()
	return r, nil
}

func (s *TaskSet) isAnswered(r *snapshotRequest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return r.answered
}

// endRequest forgets what a task has asked for, and tells how it went, if it was answered.
func (s *TaskSet) endRequest(t *Task) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.snapshots.requests[t]
	delete(s.snapshots.requests, t)
	return r.err
}

// SnapshotRequests are those of tasks that wait to be saved now: whoever saves the system
// from now on calls the result with how it went.
func (k *Kernel) SnapshotRequests() (answer func(error)) {
	s := k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.snapshots.openLocked()
	return func(err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, r := range list {
			r.answered = true
			if err != nil {
				r.err = errors.Join(ErrNotSaved, err)
			}
		}
		s.snapshots.bell.ringLocked()
	}
}

// openLocked lists the requests that nobody has answered.
//
// Preconditions: TaskSet.mu is locked.
func (s *snapshots) openLocked() (out []*snapshotRequest) {
	for _, r := range s.requests {
		if !r.answered {
			out = append(out, r)
		}
	}
	return out
}

// AwaitSnapshotRequest waits until a task wants to be saved, or ctx is done. It fails with
// ErrNoSnapshots or ErrExiting if none ever will.
func (k *Kernel) AwaitSnapshotRequest(ctx context.Context) error {
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
	for !s.isSnapshotRequested() {
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

func (s *TaskSet) isSnapshotRequested() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.snapshots.openLocked()) > 0
}
