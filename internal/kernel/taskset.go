package kernel

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/stasis-run/stasis/internal/invariants"
)

// A TaskID is a task's number, a tid; the leader's is the pid of its process.
type TaskID int32

// A TaskSet is all tasks of a kernel: the pid table, and the lock above all
// others.
type TaskSet struct {
	k *Kernel

	mu        invariants.Mutex[taskSetLock]
	changed   sync.Cond                // on mu: no task moves any more, or no goroutine is left
	tasks     map[TaskID]*Task         // protected by mu
	groups    map[TaskID]*ThreadGroup  // processes by pid; protected by mu
	jobs      map[TaskID]*ProcessGroup // protected by mu
	terminals map[Terminal]*control    // that control sessions; protected by mu
	lastID    TaskID                   // protected by mu
	stops     int                      // external stops of the set; protected by mu
	live      int                      // task goroutines, and calls of Exec; protected by mu
	making    int                      // tasks that are being made; protected by mu
	running   int                      // processes that have not ended; protected by mu
	ending    bool                     // the first process has ended, and none is made any more; protected by mu
	moving    int                      // tasks that are not at rest; protected by mu
	left      bool                     // those that there are stand for good (Options.Leaves); protected by mu
	closed    bool                     // no task can be added or started any more; protected by mu

	free  int       // slots that no task has; protected by mu
	queue list.List // of *Task that want a slot, the first first; protected by mu

	snapshots snapshots // protected by mu

	uncharged int64 // CPU time of tasks that are gone, which the quota does not know of, in ns; protected by mu
	throttled bool  // the quota of CPU time is used up; protected by mu
}

func newTaskSet(k *Kernel) *TaskSet {
	s := &TaskSet{
		k: k, tasks: make(map[TaskID]*Task), groups: make(map[TaskID]*ThreadGroup), jobs: make(map[TaskID]*ProcessGroup),
	}
	s.changed.L = &s.mu
	return s
}

// update runs f under the lock, and without it what f returns.
func (s *TaskSet) update(f func() (tell []func())) {
	s.mu.Lock()
	tell := f()
	s.mu.Unlock()
	for _, f := range tell {
		f()
	}
}

// add gives a task its number and makes it known.
func (s *TaskSet) add(t *Task) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if t.id == 0 {
		t.id = s.nextIDLocked()
	}
	s.lastID = max(s.lastID, t.id)
	s.tasks[t.id] = t
	t.group.addLocked(t)
	return nil
}

// All lists the tasks, by number.
func (s *TaskSet) All() []*Task {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.allLocked()
}

func (s *TaskSet) allLocked() []*Task {
	out := slices.Collect(maps.Values(s.tasks))
	slices.SortFunc(out, func(a, b *Task) int { return int(a.id - b.id) })
	return out
}

// unordered lists the tasks in no order, for who looks at many of them often.
func (s *TaskSet) unordered() []*Task {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*Task, 0, len(s.tasks))
	for _, t := range s.tasks {
		out = append(out, t)
	}
	return out
}

// Get finds a task by its number.
func (s *TaskSet) Get(id TaskID) (*Task, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tasks[id]
	return t, ok
}

// Given reports whether a task has had a number.
func (s *TaskSet) Given(id TaskID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return id > 0 && id <= s.lastID
}

// LastID is the highest number that a task has had, or the last if they have gone
// round.
func (s *TaskSet) LastID() TaskID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastID
}

// isEnding reports whether the first process has ended, and the others are to.
func (s *TaskSet) isEnding() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ending
}

// startAll gives each task its goroutine.
func (s *TaskSet) startAll() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.free = s.k.slots()
	for _, t := range s.tasks {
		s.live++
		go t.run()
	}
	return nil
}

// wait waits until no task goroutine is left: the tasks have been told to exit.
// Those that never had one are gone with that.
func (s *TaskSet) wait() {
	for _, t := range s.drain() {
		if t.group.countDown() == 0 {
			t.group.closeFiles()
			close(t.group.gone)
		}
	}
}

func (s *TaskSet) drain() (unborn []*Task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.live > 0 && (!s.left || s.moving > 0) {
		s.changed.Wait()
	}
	s.closed = true
	if s.left {
		return nil
	}
	for _, t := range s.tasks {
		if t.state == Created {
			t.enterLocked(Dead)
			unborn = append(unborn, t)
		}
	}
	return unborn
}

// closeAll frees the threads of tasks without goroutines.
func (s *TaskSet) closeAll() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for id, t := range s.tasks {
		errs = append(errs, t.closeThread())
		delete(s.tasks, id)
	}
	clear(s.groups)
	return errors.Join(errs...)
}

// An ExternalStop keeps all tasks of a set from running, until End.
type ExternalStop struct {
	set  *TaskSet
	once sync.Once
}

// BeginExternalStop stops all tasks, those created later too. It does not
// wait. The guest's monotonic clock stands still until End.
func (s *TaskSet) BeginExternalStop() *ExternalStop {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopAllLocked()
	return &ExternalStop{set: s}
}

// stopAllLocked begins a stop of all tasks.
//
// Preconditions: TaskSet.mu is locked.
func (s *TaskSet) stopAllLocked() {
	s.stops++
	s.k.clocks.Freeze()
	for _, t := range s.tasks {
		if t.state == Parked || t.state == Stopped { // it looks for stops before it goes on
			continue
		}
		t.interrupt()
		t.resume.Signal() // it may want a slot
	}
}

// End ends the stop. Ending twice is once.
func (e *ExternalStop) End() {
	e.once.Do(func() {
		s := e.set
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.stops == 0 {
			panic("kernel: external stops of the task set fell below zero")
		}
		s.stops--
		s.k.clocks.Thaw()
		s.k.intervals.thawed()
		if s.stops == 0 {
			s.resumeLocked()
		}
	})
}

// Wait waits until all tasks stand at safepoints, or ctx is done. One that was told to
// exit goes in spite of the stop, and is waited for, unless the first process ends. The
// caller still has to End the stop.
func (e *ExternalStop) Wait(ctx context.Context) error {
	s := e.set
	wake := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changed.Broadcast()
	})
	defer wake()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.moving > 0 || s.anyLeavesLocked() {
		if ctx.Err() != nil {
			return fmt.Errorf("wait for tasks to stop: %d still run: %w", s.moving, ctx.Err())
		}
		s.changed.Wait()
	}
	return nil
}

// anyLeavesLocked reports whether a task that is at rest is about to go on, to its end,
// while the system stays.
//
// Preconditions: TaskSet.mu is locked.
func (s *TaskSet) anyLeavesLocked() bool {
	if first := s.k.Init(); first == nil || first.Exiting() {
		return false
	}
	for _, t := range s.tasks {
		if t.state.atRest() && t.state != Dead && t.isExiting() {
			return true
		}
	}
	return false
}

// anyMovingLocked reports whether a task is not at rest.
//
// Preconditions: TaskSet.mu is locked.
func (s *TaskSet) anyMovingLocked() bool { return s.moving > 0 }

// resumeLocked has all tasks look again whether they may run. Those that queue for a slot
// do when they get one: there can be thousands.
//
// Preconditions: TaskSet.mu is locked.
func (s *TaskSet) resumeLocked() {
	for _, t := range s.tasks {
		if !t.slot.queued {
			t.resume.Signal()
		}
	}
	s.grantLocked()
}
