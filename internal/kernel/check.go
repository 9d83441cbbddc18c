package kernel

import (
	"errors"
	"fmt"
)

// maxTime bounds the clocks of a state, in ns: no system has run for that long,
// and nothing that is added to them overflows.
const maxTime = 1 << 61

// check looks for what cannot be in a state that Save has made.
func (st *State) check(maxTasks int) error {
	if len(st.Processes) == 0 || len(st.Processes[0].Tasks) == 0 {
		return errors.New("the first process is missing, with a task at least")
	}
	if err := st.checkClocks(); err != nil {
		return err
	}
	n := 0
	for i := range st.Processes {
		n += max(1, len(st.Processes[i].Tasks))
	}
	if n > maxTasks {
		return fmt.Errorf("%d tasks, at most %d may be: %w", n, maxTasks, ErrTooManyTasks)
	}
	ids := make(map[TaskID]bool)
	for i := range st.Processes {
		p := &st.Processes[i]
		if err := p.check(st.LastID, ids); err != nil {
			return fmt.Errorf("process %d: %w", p.pid(), err)
		}
	}
	return st.checkTree()
}

func (st *State) checkClocks() error {
	c := st.Clocks
	for _, ns := range []int64{c.Monotonic, c.Boot, c.Wall} {
		if err := checkTime(ns); err != nil {
			return err
		}
	}
	if c.OwnWall && (c.WallBase < -maxTime || c.WallBase > 2*maxTime-1 || c.WallBase+c.Monotonic < 0) {
		return fmt.Errorf("a wall clock %d ns ahead of the monotonic one, which is at %d", c.WallBase, c.Monotonic)
	}
	return nil
}

func checkTime(ns int64) error {
	if ns < 0 || ns > maxTime {
		return fmt.Errorf("a clock at %d ns", ns)
	}
	return nil
}

// check looks at a process by itself. ids are the numbers that are taken.
func (p *ProcessState) check(last TaskID, ids map[TaskID]bool) error {
	for _, ns := range []int64{p.GoneCPU, p.ReapedCPU} {
		if err := checkTime(ns); err != nil {
			return err
		}
	}
	for _, id := range []TaskID{p.pid(), orOwn(p.Group, 1), orOwn(p.Session, 1)} {
		if id <= 0 || id > maxTaskID || last < p.pid() || last > maxTaskID {
			return errors.New("a task without number or thread")
		}
	}
	if (len(p.Tasks) == 0) != (p.Ended != nil) {
		return errors.New("a process has tasks or has ended")
	}
	if p.Ended != nil && p.Entered {
		return errors.New("it has ended, and nobody waits for it")
	}
	if p.Ended != nil {
		if ids[p.ID] {
			return fmt.Errorf("two tasks of number %d", p.ID)
		}
		ids[p.ID] = true
		if p.Ended.Signal < 0 || p.Ended.Signal > maxSignal {
			return fmt.Errorf("ended by signal %d", p.Ended.Signal)
		}
		return nil
	}
	if p.Tasks[0].ID != p.pid() {
		return fmt.Errorf("its first task is %d", p.Tasks[0].ID)
	}
	for i := range p.Tasks {
		ts := &p.Tasks[i]
		if ts.ID <= 0 || ts.ID > maxTaskID || ts.Thread == nil {
			return errors.New("a task without number or thread")
		}
		if ids[ts.ID] {
			return fmt.Errorf("two tasks of number %d", ts.ID)
		}
		ids[ts.ID] = true
		if err := ts.check(p); err != nil {
			return err
		}
	}
	return p.checkSignals()
}

func (ts *TaskState) check(p *ProcessState) error {
	if err := checkTime(ts.CPU); err != nil {
		return err
	}
	if err := ts.Restart.check(); err != nil {
		return err
	}
	if n := ts.GroupStop; n < 0 || n > maxSignal || n != 0 && !sigsStop.has(n) || n != p.Tasks[0].GroupStop {
		return fmt.Errorf("a group stop by signal %d", n)
	}
	if len(ts.Below) > maxHandlers {
		return fmt.Errorf("%d handlers are under way, at most %d can be", len(ts.Below), maxHandlers)
	}
	masks := ts.Mask | ts.Waits | ts.Before
	for i := range ts.Below {
		masks |= ts.Below[i].Mask
		if err := ts.Below[i].Restart.check(); err != nil {
			return err
		}
	}
	if masks&sigsForced != 0 {
		return errors.New("signals are blocked that cannot be")
	}
	return nil
}

func (r *Restart) check() error {
	if r.Done < 0 || r.Deadline < 0 {
		return fmt.Errorf("a call to be made again with %d bytes done and a deadline of %d ns", r.Done, r.Deadline)
	}
	return nil
}

func (p *ProcessState) checkSignals() error {
	if p.Pending.has(SIGKILL) {
		return fmt.Errorf("pending signals %#x", uint64(p.Pending))
	}
	for _, a := range p.Actions {
		if a.Signo < 1 || a.Signo > maxSignal || sigsForced.has(a.Signo) || a.Action.Flags&^saFlags != 0 ||
			a.Action.Mask&sigsForced != 0 || a.Action.Disposition < SigDefault || a.Action.Disposition > SigCatch {
			return fmt.Errorf("signal %d: it cannot be caught so", a.Signo)
		}
	}
	return nil
}

// checkTree looks at how the processes belong together.
func (st *State) checkTree() error {
	by := make(map[TaskID]*ProcessState)
	sessions := make(map[TaskID]TaskID) // by group
	lent := make(map[TaskID]bool)
	for i := range st.Processes {
		p := &st.Processes[i]
		by[p.pid()] = p
		group, session := orOwn(p.Group, p.pid()), orOwn(p.Session, p.pid())
		if other, ok := sessions[group]; ok && other != session {
			return fmt.Errorf("process group %d is in sessions %d and %d", group, other, session)
		}
		sessions[group] = session
	}
	for i := range st.Processes {
		p := &st.Processes[i]
		parent := by[p.Parent]
		if i == 0 && p.Parent != 0 || i > 0 && (parent == nil || parent.Ended != nil) {
			return fmt.Errorf("process %d: its parent %d is not there", p.pid(), p.Parent)
		}
		for up, n := p, 0; up.Parent != 0; up, n = by[up.Parent], n+1 {
			if n > len(st.Processes) || by[up.Parent] == nil {
				return fmt.Errorf("process %d: its parents go round", p.pid())
			}
		}
		for j := range p.Tasks {
			if err := p.Tasks[j].checkLoan(p, by, lent); err != nil {
				return fmt.Errorf("task %d: %w", p.Tasks[j].ID, err)
			}
		}
	}
	return nil
}

// checkLoan looks at a task whose child has its thread.
func (ts *TaskState) checkLoan(p *ProcessState, by map[TaskID]*ProcessState, lent map[TaskID]bool) error {
	if ts.VforkChild == 0 {
		return nil
	}
	c := by[ts.VforkChild]
	if lent[ts.VforkChild] {
		return fmt.Errorf("process %d has two threads that were lent", ts.VforkChild)
	}
	lent[ts.VforkChild] = true
	if c == nil || c.Parent != p.pid() || c.Ended != nil || c.Tasks[0].VforkChild != 0 || c.Module != p.Module {
		return fmt.Errorf("process %d cannot have its thread", ts.VforkChild)
	}
	if ts.Thread.Pending == nil || int64(ts.VforkChild) != ts.Restart.Done || !ts.Restart.Set {
		return errors.New("its thread is lent, and it is not in a call that lends it")
	}
	return nil
}
