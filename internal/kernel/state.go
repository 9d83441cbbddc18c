package kernel

import (
	"context"
	"errors"
	"fmt"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/ktime"
	"github.com/stasis-run/stasis/internal/vfs"
)

// State is all of a kernel that is saved, but for the memories of its threads
// and what the vfs package saves itself.
type State struct {
	Clocks    ktime.State    `pb:"1"`
	LastID    TaskID         `pb:"2"` // the highest that a task has had
	Processes []ProcessState `pb:"3"`
	Random    []byte         `pb:"4"` // the generator of a seeded system's random bytes, as math/rand/v2's ChaCha8 marshals; or none
}

// ProcessState is a process.
type ProcessState struct {
	Module [32]byte    `pb:"1"` // digest of what it runs
	Args   []string    `pb:"2"`
	Env    []string    `pb:"3"`
	Tasks  []TaskState `pb:"4"` // the leader first

	Pending SigSet `pb:"5"` // signals that wait while it is stopped
	FDTable uint32 `pb:"6"` // index of its fd table in what the vfs package saves; several may share one

	// Memories are the indices of its linear memories among those of the image,
	// which numbers them.
	Memories []uint32 `pb:"7"`

	GoneCPU int64 `pb:"8"` // CPU time of tasks that have ended, in ns
}

// TaskState is a task.
type TaskState struct {
	ID        TaskID        `pb:"1"`
	Thread    *engine.State `pb:"2"`
	Restart   Restart       `pb:"3"`
	CPU       int64         `pb:"4"` // ns
	GroupStop int32         `pb:"5"` // signal of the group stop it is in, or 0
	Futex     *FutexState   `pb:"6"` // where it waits, if it waits at an address
}

// ErrExiting says that a kernel cannot be saved since its process is on its
// way out, or gone.
var ErrExiting = errors.New("the process has exited")

// Save describes the kernel. All tasks must be at rest, by an external stop
// that has been waited for.
func (k *Kernel) Save() (*State, error) {
	g := k.Init()
	s := k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.anyMovingLocked() {
		return nil, errors.New("save: tasks are running")
	}
	st := &State{Clocks: k.clocks.Save(), LastID: s.lastID}
	if g == nil || g.alive == 0 {
		return nil, ErrExiting
	}
	var err error
	if st.Random, err = k.random.save(); err != nil {
		return nil, err
	}
	p := ProcessState{Module: g.module.Digest(), Args: g.opts.Args, Env: g.opts.Env, Pending: g.pending, GoneCPU: g.goneCPU}
	for _, t := range g.tasks {
		ts, err := t.saveLocked()
		if err != nil {
			return nil, fmt.Errorf("task %d: %w", t.id, err)
		}
		p.Tasks = append(p.Tasks, *ts)
	}
	renumberWaits(p.Tasks)
	st.Processes = append(st.Processes, p)
	return st, nil
}

// Preconditions: TaskSet.mu is locked, the task is at rest.
func (t *Task) saveLocked() (*TaskState, error) {
	if t.state == Dead || t.isExiting() {
		return nil, ErrExiting
	}
	th, err := t.thread.Save()
	if err != nil {
		return nil, err
	}
	st := &TaskState{ID: t.id, Thread: th, Restart: t.restart, CPU: t.cpu.read(0), Futex: t.saveWait()}
	if g, ok := t.internal.(GroupStop); ok {
		st.GroupStop = g.Signal
	}
	return st, nil
}

func (t *Task) isExiting() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.exiting
}

// SavedMemory is the memory of a process whose tasks are at rest. It may be
// read until the stop ends.
func (g *ThreadGroup) SavedMemory() []byte { return g.leader.thread.Memory().Bytes() }

// Restoring is what the caller of Restore provides: everything that has
// authority or is too large for State.
type Restoring struct {
	Module func(digest [32]byte) (engine.Module, error)
	Files  *vfs.FDTable
	Fill   func(memory []byte) error // writes the saved memory
	Stress Stress
}

// Restore makes a kernel that goes on where st was saved, once Start is called.
// The state may come from anywhere; what is not consistent is an error.
func Restore(ctx context.Context, opts Options, st *State, with Restoring) (*Kernel, error) {
	k := New(opts)
	if err := k.restore(ctx, st, with); err != nil {
		return nil, errors.Join(err, k.tasks.closeAll())
	}
	return k, nil
}

// maxTime bounds the clocks of a state, in ns: no system has run for that long,
// and nothing that is added to them overflows.
const maxTime = 1 << 61

// check looks for what cannot be in a state that Save has made.
func (st *State) check(p *ProcessState) error {
	c := st.Clocks
	for _, ns := range []int64{c.Monotonic, c.Boot, c.Wall, p.GoneCPU} {
		if err := checkTime(ns); err != nil {
			return err
		}
	}
	if c.OwnWall && (c.WallBase < -maxTime || c.WallBase > 2*maxTime-1 || c.WallBase+c.Monotonic < 0) {
		return fmt.Errorf("a wall clock %d ns ahead of the monotonic one, which is at %d", c.WallBase, c.Monotonic)
	}
	seen := make(map[TaskID]bool)
	for i := range p.Tasks {
		ts := &p.Tasks[i]
		if ts.ID <= 0 || ts.ID > maxTaskID || ts.Thread == nil || st.LastID > maxTaskID || st.LastID < p.Tasks[0].ID {
			return errors.New("a task without number or thread")
		}
		if seen[ts.ID] {
			return fmt.Errorf("two tasks of number %d", ts.ID)
		}
		seen[ts.ID] = true
		if err := ts.check(p); err != nil {
			return err
		}
	}
	return nil
}

func checkTime(ns int64) error {
	if ns < 0 || ns > maxTime {
		return fmt.Errorf("a clock at %d ns", ns)
	}
	return nil
}

func (ts *TaskState) check(p *ProcessState) error {
	if err := checkTime(ts.CPU); err != nil {
		return err
	}
	if r := ts.Restart; r.Done < 0 || r.Deadline < 0 {
		return fmt.Errorf("a call to be made again with %d bytes done and a deadline of %d ns", r.Done, r.Deadline)
	}
	if n := ts.GroupStop; n < 0 || n > maxSignal || n != 0 && !sigsStop.has(n) || n != p.Tasks[0].GroupStop {
		return fmt.Errorf("a group stop by signal %d", n)
	}
	if p.Pending&^sigsPend != 0 || p.Pending != 0 && ts.GroupStop == 0 {
		return fmt.Errorf("pending signals %#x of a process stopped by signal %d", uint64(p.Pending), ts.GroupStop)
	}
	return nil
}

func (k *Kernel) restore(ctx context.Context, st *State, with Restoring) error {
	if len(st.Processes) != 1 || len(st.Processes[0].Tasks) == 0 {
		return fmt.Errorf("state: %d processes; this version restores one, with a task at least", len(st.Processes))
	}
	p := &st.Processes[0]
	if n := len(p.Tasks); n > k.maxTasks() {
		return fmt.Errorf("state: %d tasks, at most %d may be: %w", n, k.maxTasks(), ErrTooManyTasks)
	}
	if err := st.check(p); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	k.clocks = ktime.RestoreClocks(k.opts.Source, st.Clocks, k.opts.Wall)
	k.clocks.Freeze() // until Start: what is still to be loaded takes no time from the guest
	if err := k.random.restore(st.Random); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	m, err := with.Module(p.Module)
	if err != nil {
		return err
	}
	calls, err := k.opts.Calls.bind(m)
	if err != nil {
		return err
	}
	g := newThreadGroup(k, m, ProcessOptions{Args: p.Args, Env: p.Env, Files: with.Files, Stress: with.Stress})
	g.stopSig, g.pending, g.goneCPU = p.Tasks[0].GroupStop, p.Pending, p.GoneCPU
	for i := range p.Tasks {
		if err := k.restoreTask(ctx, g, calls, &p.Tasks[i]); err != nil {
			return fmt.Errorf("task %d: %w", p.Tasks[i].ID, err)
		}
	}
	k.tasks.lastID = st.LastID
	return with.Fill(g.SavedMemory())
}

// restoreTask makes a task of a process; the first is its leader.
func (k *Kernel) restoreTask(ctx context.Context, g *ThreadGroup, calls []*Call, ts *TaskState) (err error) {
	t := newTask(k, g, calls)
	t.id, t.restart = ts.ID, ts.Restart
	t.cpu.restore(ts.CPU)
	if ts.GroupStop != 0 {
		t.internal = GroupStop{Signal: ts.GroupStop}
	}
	if g.leader == nil {
		t.thread, err = g.module.New(ctx, t, k.opts.Limits, ts.Thread)
	} else {
		t.thread, err = g.module.Join(ctx, t, g.leader.thread, ts.Thread)
	}
	if err != nil {
		return err
	}
	if err := t.restoreWait(ts.Futex); err != nil {
		return errors.Join(err, t.closeThread())
	}
	t.stress.begin(t, g.opts.Stress)
	t.yield.begin(t)
	if g.leader == nil {
		err = k.adopt(g, t)
	} else {
		err = k.tasks.add(t)
	}
	if err != nil {
		return errors.Join(err, t.closeThread())
	}
	return nil
}
