package kernel

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/ktime"
	"github.com/stasis-run/stasis/internal/vfs"
)

// Restoring is what the caller of Restore provides: everything that has
// authority or is too large for State.
type Restoring struct {
	// Module is code of the first process's module, which is Source; it is the
	// caller's. Read tells the modules of others, which Options.Load compiles.
	Module engine.Module
	Source []byte
	Read   func(digest [32]byte) ([]byte, error)

	// Files is what a process has open, and its working directory or nil. The kernel
	// closes them, also if the restore fails.
	Files func(p *ProcessState) (*vfs.FDTable, *vfs.FSContext, error)

	// Terminal finds a terminal by name, nil if there is none; nil finds none.
	Terminal func(name string) Terminal

	// Fill writes the saved content of memory n.
	Fill func(n uint32, memory []byte) error

	Stress Stress
}

// Restore makes a kernel that goes on where st was saved, once Start is called.
// The state may come from anywhere; what is not consistent is an error.
func Restore(ctx context.Context, opts Options, st *State, with Restoring) (*Kernel, error) {
	k := New(opts)
	r := restorer{k: k, with: with, lent: make(map[TaskID]*lent)}
	if err := r.restore(ctx, st); err != nil {
		for _, g := range r.groups {
			g.closeFiles()
		}
		for _, l := range r.lent {
			if l.thread != nil {
				err = errors.Join(err, l.thread.Close())
			}
		}
		return nil, errors.Join(err, k.tasks.closeAll(), k.programs.close())
	}
	return k, nil
}

// A restorer makes the processes of a state.
type restorer struct {
	k      *Kernel
	with   Restoring
	groups []*ThreadGroup // that have files
	states map[TaskID]*ProcessState
	lent   map[TaskID]*lent // by the process that has the thread
}

// A lent thread belongs to a task that waits for it. It is made with the process of
// that task, whose other tasks have its memory as well.
type lent struct {
	to     *Task
	st     *TaskState
	thread engine.Thread // until the process has it that it is lent to
}

func (r *restorer) restore(ctx context.Context, st *State) error {
	k := r.k
	if err := st.check(k.maxTasks()); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	k.clocks = ktime.RestoreClocks(k.opts.Source, st.Clocks, k.opts.Wall)
	k.clocks.Freeze() // until Start: what is still to be loaded takes no time from the guest
	if err := k.random.restore(st.Random); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	by := make(map[TaskID]*ThreadGroup)
	r.states = make(map[TaskID]*ProcessState)
	for i := range st.Processes {
		r.states[st.Processes[i].pid()] = &st.Processes[i]
	}
	for _, i := range st.parentsFirst() {
		p := &st.Processes[i]
		g, err := r.process(ctx, p, i == 0)
		if err != nil {
			return processError(i, p, err)
		}
		by[g.id] = g
	}
	for pid, l := range r.lent {
		if err := r.lend(by[pid].leader, l); err != nil {
			return fmt.Errorf("process %d: a thread that was lent: %w", pid, err)
		}
	}
	if err := k.tasks.restoreTree(st, by, r.with.Terminal); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	k.tasks.lastID = st.LastID
	return r.fill(st, by)
}

// parentsFirst are the indices of the processes, each behind its parent: numbers go
// round.
func (st *State) parentsFirst() []int {
	at := make(map[TaskID]int)
	out := make([]int, len(st.Processes))
	for i := range st.Processes {
		at[st.Processes[i].pid()], out[i] = i, i
	}
	depth := func(i int) (n int) {
		for st.Processes[i].Parent != 0 {
			i, n = at[st.Processes[i].Parent], n+1
		}
		return n
	}
	slices.SortStableFunc(out, func(a, b int) int { return depth(a) - depth(b) })
	return out
}

// processError names the process, but for the first one, which most systems have
// alone.
func processError(i int, p *ProcessState, err error) error {
	if i == 0 {
		return err
	}
	return fmt.Errorf("process %d: %w", p.pid(), err)
}

// program is what a process runs, counted.
func (r *restorer) program(ctx context.Context, digest [32]byte) (*Program, error) {
	k := r.k
	if p := k.programs.take(digest); p != nil {
		return p, nil
	}
	if r.with.Module.Digest() == digest {
		return k.programs.bind(r.with.Module, r.with.Source)
	}
	if r.with.Read == nil {
		return nil, fmt.Errorf("module %x… is not there", digest[:4])
	}
	source, err := r.with.Read(digest)
	if err != nil {
		return nil, err
	}
	return k.programs.open(ctx, source)
}

// process makes one process, without its relations.
func (r *restorer) process(ctx context.Context, p *ProcessState, first bool) (*ThreadGroup, error) {
	program, err := r.programOf(ctx, p)
	if err != nil {
		return nil, err
	}
	o := ProcessOptions{Args: p.Args, Env: p.Env, Stress: r.with.Stress}
	if p.Ended == nil {
		if o.Files, o.CWD, err = r.with.Files(p); err != nil {
			return nil, err
		}
	}
	g := newThreadGroup(r.k, program, o)
	g.id, g.goneCPU, g.family.reapedCPU = p.pid(), p.GoneCPU, p.ReapedCPU
	g.executed.Store(p.Executed)
	g.entered = p.Entered
	if p.Ended != nil {
		g.ended(p.Ended)
		return g, nil
	}
	r.groups = append(r.groups, g)
	if err := g.restoreSignals(p); err != nil {
		return nil, err
	}
	if err := r.k.intervals.restore(g, p.Intervals); err != nil {
		return nil, err
	}
	for i := range p.Tasks {
		if err := r.task(ctx, g, &p.Tasks[i]); err != nil {
			return nil, fmt.Errorf("task %d: %w", p.Tasks[i].ID, err)
		}
	}
	if first {
		r.k.first.Store(g)
	}
	return g, nil
}

// programOf is what a process runs; one that has ended runs nothing, and its module
// may be gone.
func (r *restorer) programOf(ctx context.Context, p *ProcessState) (*Program, error) {
	if p.Ended != nil {
		return nil, nil
	}
	return r.program(ctx, p.Module)
}

// ended makes a process one that has ended.
func (g *ThreadGroup) ended(st *EndState) {
	g.family.zombie = true
	g.signals.exiting = true
	g.signals.status = ExitStatus{Code: st.Code, Signal: st.Signal, Core: sigsCore.has(st.Signal)}
	close(g.gone)
}

// restoreSignals takes what a process has of signals.
func (g *ThreadGroup) restoreSignals(p *ProcessState) error {
	s := &g.signals
	if p.Handler != "" {
		if err := g.SetHandler(p.Handler); err != nil {
			return err
		}
	}
	s.held, s.knows = p.Held, p.Knows
	for _, a := range p.Actions {
		s.actions[a.Signo] = a.Action
		if !a.Begun {
			s.told |= sigSet(a.Signo)
		}
	}
	if !s.queue.restore(p.Queue) || s.queue.set&^p.Pending != 0 {
		return fmt.Errorf("pending signals %v", p.Queue)
	}
	for left := p.Pending &^ s.queue.set; left != 0; left &= left - 1 {
		s.queue.push(SigInfo{Signo: left.lowest()}, maxQueued)
	}
	s.stopSig.Store(p.Tasks[0].GroupStop)
	s.stopNo.Store(1)
	if p.StopTold {
		s.stopTold = 1
	}
	s.stopSeen, s.continued = p.StopSeen, p.Continued
	return nil
}

// task makes a task of a process; the first is its leader.
func (r *restorer) task(ctx context.Context, g *ThreadGroup, ts *TaskState) (err error) {
	t := newTask(r.k, g, g.program().calls)
	t.id, t.restart = ts.ID, ts.Restart
	t.cpu.restore(ts.CPU)
	t.sig.mask, t.sig.waits = ts.Mask, ts.Waits
	if before := ts.Before; ts.Suspends {
		t.sig.before = &before
	}
	if !t.sig.queue.restore(ts.Queue) {
		return fmt.Errorf("pending signals %v", ts.Queue)
	}
	if ts.VforkChild != 0 {
		t.internal = VforkStop{ts.VforkChild}
		l := &lent{to: t, st: ts}
		if l.thread, err = r.thread(ctx, t, r.states[ts.VforkChild].Tasks[0].Thread); err != nil {
			return err
		}
		r.lent[ts.VforkChild] = l
		return r.k.tasks.add(t)
	}
	if l := r.lent[g.id]; l != nil && g.leader == nil {
		t.thread, l.thread = l.thread, nil
		t.thread.SetHost(t)
	} else if t.thread, err = r.thread(ctx, t, ts.Thread); err != nil {
		return err
	}
	if err := t.restoreStacks(t.thread, ts); err != nil {
		return errors.Join(err, t.closeThread())
	}
	t.stress.begin(t, g.stress)
	t.yield.begin(t)
	if _, _, waits := t.thread.Pending(); waits { // it needs no instance until that is done
		if err := t.thread.Park(); err != nil {
			return errors.Join(err, t.closeThread())
		}
	}
	if err := r.k.tasks.add(t); err != nil {
		return errors.Join(err, t.closeThread())
	}
	return nil
}

// thread makes a thread of a task's process, with the memory of those that it has.
func (r *restorer) thread(ctx context.Context, t *Task, st *engine.State) (engine.Thread, error) {
	if of := r.threadOf(t.group); of != nil {
		return t.group.Module().Join(ctx, t, of, st)
	}
	return t.group.Module().New(ctx, t, r.k.opts.Limits, st)
}

// threadOf is a thread over the memory of a process, or nil if it has none yet.
func (r *restorer) threadOf(g *ThreadGroup) engine.Thread {
	for _, t := range g.tasks {
		if t.thread != nil {
			return t.thread
		}
	}
	for _, l := range r.lent {
		if l.to.group == g && l.thread != nil {
			return l.thread
		}
	}
	return nil
}

// restore makes a stack that a handler has interrupted, but for where it waits.
func (b *SuspendedState) restore(th engine.Thread) (u suspended, err error) {
	u = suspended{restart: b.Restart, mask: b.Mask, pointer: b.Pointer, info: b.Info}
	u.stack, err = th.RestoreStack(&b.Calls)
	return u, err
}

// restoreStacks takes what handlers have interrupted, and where the task waits.
func (t *Task) restoreStacks(th engine.Thread, ts *TaskState) (err error) {
	if t.thread != nil {
		if t.waits, err = t.restoreWait(th.Memory(), th, t.restart, ts.Futex); err != nil {
			return err
		}
	}
	for i := range ts.Below {
		b := &ts.Below[i]
		u, err := b.restore(th)
		if err != nil {
			return fmt.Errorf("handler %d: %w", i, err)
		}
		if u.waits, err = t.restoreWait(th.Memory(), u.stack, u.restart, b.Futex); err != nil {
			return fmt.Errorf("handler %d: %w", i, err)
		}
		t.below = append(t.below, u)
	}
	if err := t.marks.restore(th, ts.Marks, ts.LastMark); err != nil {
		return err
	}
	if err := t.fibers.restore(th, ts.Fibers, ts.Fiber, ts.LastFiber); err != nil {
		return err
	}
	return t.restoreFiberWaits(th, ts.Fibers)
}

// restoreFiberWaits takes where handlers have interrupted fibers that do not run.
func (t *Task) restoreFiberWaits(th engine.Thread, st []FiberState) (err error) {
	for i := range st {
		o := t.fibers.byID[st[i].ID]
		for j := range o.below {
			u, b := &o.below[j], &st[i].Below[j]
			if u.waits, err = t.restoreWait(th.Memory(), u.stack, u.restart, b.Futex); err != nil {
				return fmt.Errorf("fiber %d: handler %d: %w", st[i].ID, j, err)
			}
		}
	}
	return nil
}

// lend has a task of a restored process run on the thread of another one's.
func (r *restorer) lend(borrower *Task, l *lent) error {
	if borrower.thread == nil {
		return errors.New("the child has no thread")
	}
	if err := borrower.borrow(l.to, l.st.Thread, l.st.Through); err != nil {
		return err
	}
	return l.to.restoreStacks(borrower.thread, l.st)
}

// restoreTree makes the relations of processes.
func (s *TaskSet) restoreTree(st *State, by map[TaskID]*ThreadGroup, find func(string) Terminal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	sessions := make(map[TaskID]*Session)
	for i := range st.Processes {
		p := &st.Processes[i]
		g := by[p.pid()]
		s.groups[g.id] = g
		if p.Ended == nil {
			s.running++
		}
		if parent := by[p.Parent]; parent != nil {
			g.family.parent = parent
			parent.family.children.add(g)
		}
		group, session := orOwn(p.Group, g.id), orOwn(p.Session, g.id)
		if sessions[session] == nil {
			sessions[session] = &Session{id: session}
		}
		to := s.jobs[group]
		if to == nil {
			to = &ProcessGroup{id: group, session: sessions[session]}
		}
		s.enterGroupLocked(g, to)
	}
	for _, p := range s.jobs {
		p.orphaned = p.held == 0
		for g := range p.members {
			g.jobs.orphaned.Store(p.orphaned)
		}
	}
	return s.restoreTerminals(st.Terminals, sessions, find)
}

// fill has the memories filled, each once.
func (r *restorer) fill(st *State, by map[TaskID]*ThreadGroup) error {
	filled := make(map[uint32]engine.Memory)
	for i := range st.Processes {
		p := &st.Processes[i]
		th := r.threadOf(by[p.pid()])
		if th == nil { // it has ended, or its child has the only one
			continue
		}
		if len(p.Memories) != 1 {
			return fmt.Errorf("state: process %d has memories %v; this version restores one", p.pid(), p.Memories)
		}
		n := p.Memories[0]
		m := th.Memory()
		if was, ok := filled[n]; ok {
			if was != m { // it would be that of a child of vfork otherwise
				return fmt.Errorf("process %d has the memory of another one", p.pid())
			}
			continue
		}
		filled[n] = m
		if err := r.with.Fill(n, m.Bytes()); err != nil {
			return err
		}
	}
	return nil
}
