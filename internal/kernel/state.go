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
}

// TaskState is a task.
type TaskState struct {
	ID        TaskID        `pb:"1"`
	Thread    *engine.State `pb:"2"`
	Restart   Restart       `pb:"3"`
	CPU       int64         `pb:"4"` // ns
	GroupStop int32         `pb:"5"` // signal of the group stop it is in, or 0
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
	if s.runningLocked() > 0 {
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
	p := ProcessState{Module: g.module.Digest(), Args: g.opts.Args, Env: g.opts.Env, Pending: g.pending}
	for _, t := range g.tasks {
		ts, err := t.saveLocked()
		if err != nil {
			return nil, fmt.Errorf("task %d: %w", t.id, err)
		}
		p.Tasks = append(p.Tasks, *ts)
	}
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
	st := &TaskState{ID: t.id, Thread: th, Restart: t.restart, CPU: t.cpu.read(0)}
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
	ts := &p.Tasks[0]
	if ts.ID <= 0 || ts.Thread == nil || st.LastID < ts.ID {
		return errors.New("a task without number or thread")
	}
	for _, ns := range []int64{st.Clocks.Monotonic, st.Clocks.Boot, st.Clocks.Wall, ts.CPU} {
		if ns < 0 || ns > maxTime {
			return fmt.Errorf("a clock at %d ns", ns)
		}
	}
	if r := ts.Restart; r.Done < 0 || r.Deadline < 0 {
		return fmt.Errorf("a call to be made again with %d bytes done and a deadline of %d ns", r.Done, r.Deadline)
	}
	if c := st.Clocks; c.OwnWall && (c.WallBase < -maxTime || c.WallBase > 2*maxTime-1 || c.WallBase+c.Monotonic < 0) {
		return fmt.Errorf("a wall clock %d ns ahead of the monotonic one, which is at %d", c.WallBase, c.Monotonic)
	}
	if n := ts.GroupStop; n < 0 || n > maxSignal || n != 0 && !sigsStop.has(n) {
		return fmt.Errorf("a group stop by signal %d", n)
	}
	if p.Pending&^sigsPend != 0 || p.Pending != 0 && ts.GroupStop == 0 {
		return fmt.Errorf("pending signals %#x of a process stopped by signal %d", uint64(p.Pending), ts.GroupStop)
	}
	return nil
}

func (k *Kernel) restore(ctx context.Context, st *State, with Restoring) error {
	if len(st.Processes) != 1 || len(st.Processes[0].Tasks) != 1 {
		return fmt.Errorf("state: %d processes; this version restores one with one task", len(st.Processes))
	}
	p := &st.Processes[0]
	ts := &p.Tasks[0]
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
	t := newTask(k, g, calls)
	t.id, t.restart = ts.ID, ts.Restart
	t.cpu.restore(ts.CPU)
	g.stopSig, g.pending = ts.GroupStop, p.Pending
	if ts.GroupStop != 0 {
		t.internal = GroupStop{Signal: ts.GroupStop}
	}
	if t.thread, err = m.New(ctx, t, k.opts.Limits, ts.Thread); err != nil {
		return fmt.Errorf("task %d: %w", ts.ID, err)
	}
	t.stress.begin(t, with.Stress)
	t.yield.begin(t)
	if err := k.adopt(g, t); err != nil {
		return err
	}
	k.tasks.lastID = st.LastID
	return with.Fill(t.thread.Memory().Bytes())
}
