package kernel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/memory"
	"github.com/stasis-run/stasis/internal/wasm"
)

// maxTaskID is the highest number of a task. Numbers of 29 bits are what
// wasi-threads has.
const maxTaskID = 1<<29 - 1

// defaultMaxTasks is Options.MaxTasks where that is 0.
const defaultMaxTasks = 4096

// defaultTaskHeap is Options.TaskHeap where that is 0.
const defaultTaskHeap = 1 << 30

// Errors of Spawn.
var (
	ErrTooManyTasks = errors.New("the system has as many tasks as it may have")
	ErrTaskMemory   = errors.New("the system's tasks have as much memory of the host as they may have")
)

// Spawn makes another task in the process: a thread over the same memory, at
// the start of the exported function entry with what args makes of its number.
// It runs as soon as no stop keeps it from running. A process on its way out
// makes none.
//
// Only on the goroutine of a task of the process, in a system call.
func (t *Task) Spawn(entry string, args func(TaskID) []uint64) (TaskID, error) {
	g, s := t.group, t.k.tasks
	fn, _, ok := g.Module().Export(entry)
	if !ok {
		return 0, fmt.Errorf("the module exports no function %q", entry)
	}
	if !t.k.roomForTask() {
		return 0, ErrTaskMemory
	}
	n := newTask(t.k, g, t.calls)
	if err := s.reserve(n); err != nil {
		return 0, err
	}
	n.sig.mask = t.SigMask()
	if err := n.create(t.thread, fn, args(n.id)); err != nil {
		s.giveUp()
		return 0, err
	}
	if err := s.launch(n); err != nil {
		return 0, errors.Join(err, n.closeThread())
	}
	return n.id, nil
}

// create makes the thread of a task in a running process.
func (t *Task) create(of engine.Thread, fn uint32, args []uint64) error {
	th, err := t.group.Module().Join(context.Background(), t, of, nil)
	if err != nil {
		return err
	}
	if err := th.Start(fn, args); err != nil {
		return errors.Join(err, th.Close())
	}
	t.thread = th
	t.stress.begin(t, t.group.stress)
	t.yield.begin(t)
	return nil
}

// reserve gives a task that is about to be made its number, and a place among
// those that there may be.
func (s *TaskSet) reserve(t *Task) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if len(s.tasks)+s.making >= s.k.maxTasks() {
		return ErrTooManyTasks
	}
	s.making++
	t.id = s.nextIDLocked()
	return nil
}

// nextIDLocked is a number that no task and no process group has: they go up, and
// round.
//
// Preconditions: TaskSet.mu is locked; there are fewer tasks than numbers.
func (s *TaskSet) nextIDLocked() TaskID {
	for {
		if s.lastID++; s.lastID > maxTaskID {
			s.lastID = 1
		}
		if s.tasks[s.lastID] == nil && s.jobs[s.lastID] == nil {
			return s.lastID
		}
	}
}

// giveUp takes back a reservation whose task could not be made.
func (s *TaskSet) giveUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.making--
}

// launch makes a task known that has a reservation, and starts its goroutine. A
// stop that came meanwhile covers it.
func (s *TaskSet) launch(t *Task) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.making--
	if s.closed {
		return ErrClosed
	}
	if t.group.Exiting() { // those that are added before it is told so are told to go as well
		return ErrExiting
	}
	s.tasks[t.id] = t
	t.group.addLocked(t)
	s.live++
	go t.run()
	return nil
}

// roomForTask reports whether the heap may grow by another task. What is not
// collected yet counts: it is at most as much as lives (Collect).
func (k *Kernel) roomForTask() bool {
	limit := k.opts.TaskHeap
	if limit <= 0 {
		limit = defaultTaskHeap
	}
	return !ownCollector.Load() || heapSize() < uint64(limit)
}

// MaxTasks is how many tasks there may be at a time, CPULimit the CPU time that a
// process may use (0: no limit), and MemoryLimit the size that a memory may have, in
// bytes.
func (k *Kernel) MaxTasks() int           { return k.maxTasks() }
func (k *Kernel) CPULimit() time.Duration { return k.opts.CPUTime }
func (k *Kernel) MemoryLimit() int64 {
	if k.opts.Limits.Memory > 0 {
		return k.opts.Limits.Memory
	}
	return memory.MaxSize
}

func (k *Kernel) maxTasks() int {
	if k.opts.MaxTasks > 0 {
		return k.opts.MaxTasks
	}
	return defaultMaxTasks
}

// retire takes a task out of the world that ends while its process goes on. Those
// that end with their process, and its first one, stay readable: the last task gets
// them, to be freed.
func (t *Task) retire() (left []*Task, err error) {
	s, g := t.k.tasks, t.group
	s.mu.Lock()
	defer s.mu.Unlock()
	if t != g.leader && !g.Exiting() {
		delete(s.tasks, t.id)
		g.removeLocked(t)
		s.mu.Unlock()
		err = t.closeThread()
		s.mu.Lock()
	}
	if g.alive--; g.alive == 0 {
		left = slices.Clone(g.tasks)
	}
	return left, err
}

// checkThreads says why a module cannot have threads that begin at an export,
// or "".
func checkThreads(m engine.Module, entry string) string {
	_, typ, ok := m.Export(entry)
	switch {
	case !ok:
		return "the module exports no function " + entry + " for threads to begin at"
	case !slices.Equal(typ.Params, []wasm.ValType{wasm.I32, wasm.I32}) || len(typ.Results) > 0:
		return "the module's function " + entry + " does not take two i32 and return nothing"
	case !m.SharedMemory():
		return "the module's memory is not shared, so threads cannot have it in common (link it with --shared-memory)"
	}
	return ""
}
