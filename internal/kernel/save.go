package kernel

import (
	"errors"
	"fmt"

	"github.com/stasis-run/stasis/internal/engine"
)

// A Saved kernel is its state, and what belongs to it and is not in it.
type Saved struct {
	State
	Memories [][]byte   // by the numbers in ProcessState.Memories; to be read until Release, or the stop ends
	Programs []*Program // those that the processes run, each once

	holds []func()
}

// Release lets go of the memories: a process that is told to exit meanwhile does, in
// spite of the stop, but for these.
func (s *Saved) Release() {
	for _, release := range s.holds {
		release()
	}
	s.holds, s.Memories = nil, nil
}

// Save describes the kernel. All tasks must be at rest, by an external stop
// that has been waited for; ErrExiting says that some have been told to exit since. The
// caller has to Release what it gets.
func (k *Kernel) Save() (*Saved, error) {
	first := k.Init()
	s := k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.anyMovingLocked() {
		if s.stops == 0 {
			return nil, errors.New("save: tasks are running")
		}
		return nil, ErrExiting
	}
	if first == nil || first.alive == 0 {
		return nil, ErrExiting
	}
	out := &saver{Saved: Saved{State: State{Clocks: k.clocks.Save(), LastID: s.lastID}}, memories: make(map[engine.Memory]uint32)}
	var err error
	if out.Random, err = k.random.save(); err != nil {
		return nil, err
	}
	for _, g := range append([]*ThreadGroup{first}, s.processesLocked()...) {
		if g == first && len(out.Processes) > 0 {
			continue
		}
		p, err := out.process(g)
		if err != nil {
			out.Release()
			return nil, fmt.Errorf("process %d: %w", g.id, err)
		}
		out.Processes = append(out.Processes, *p)
	}
	out.Terminals = s.saveTerminals()
	renumberWaits(&out.State)
	return &out.Saved, nil
}

// A saver numbers what processes may have in common.
type saver struct {
	Saved
	memories map[engine.Memory]uint32
}

// Preconditions: TaskSet.mu is locked, as for all below.
func (v *saver) process(g *ThreadGroup) (*ProcessState, error) {
	exe := g.exe.Load()
	p := &ProcessState{
		Args: exe.args, Env: exe.env, GoneCPU: g.goneCPU, ReapedCPU: g.family.reapedCPU,
		ID: g.id, Group: g.jobs.group.id, Session: g.jobs.group.session.id, Executed: g.executed.Load(), Entered: g.entered,
	}
	if g.family.parent != nil {
		p.Parent = g.family.parent.id
	}
	if g.family.zombie {
		st := g.exitStatus()
		p.Ended = &EndState{Code: st.Code, Signal: st.EndedBy()}
		p.GoneCPU = g.cpuLocked(0)
		return p, nil
	}
	v.program(exe.program)
	p.Module = exe.program.Module.Digest()
	g.signals.save(p)
	p.Intervals = g.k.intervals.save(g)
	for _, t := range g.tasks {
		ts, mem, err := t.saveLocked()
		if err != nil {
			return nil, fmt.Errorf("task %d: %w", t.id, err)
		}
		p.Tasks = append(p.Tasks, *ts)
		if t == g.leader {
			p.Memories = []uint32{v.memory(mem)}
		}
	}
	return p, nil
}

func (v *saver) memory(m engine.Memory) uint32 {
	n, ok := v.memories[m]
	if !ok {
		n = uint32(len(v.memories))
		v.memories[m] = n
		v.Memories, v.holds = append(v.Memories, m.Bytes()), append(v.holds, m.Hold())
	}
	return n
}

func (v *saver) program(p *Program) {
	for _, o := range v.Programs {
		if o.Module.Digest() == p.Module.Digest() {
			return
		}
	}
	v.Programs = append(v.Programs, p)
}

// save describes what a process has of signals.
func (s *signals) save(p *ProcessState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.Pending, p.Held, p.Knows = s.queue.set, s.held, s.knows
	p.Queue = append(p.Queue, s.queue.infos...)
	if s.handler != nil {
		p.Handler = s.handler.name
	}
	for sig, a := range s.actions {
		if a != (SigAction{}) || s.told.has(int32(sig)) {
			p.Actions = append(p.Actions, ActionState{int32(sig), a, !s.told.has(int32(sig))})
		}
	}
	p.StopTold, p.StopSeen, p.Continued = s.stopKnown(), s.stopSeen, s.continued
}

// saveLocked describes a task, and tells its memory.
func (t *Task) saveLocked() (*TaskState, engine.Memory, error) {
	if t.state == Dead || t.isExiting() {
		return nil, nil, ErrExiting
	}
	st := &TaskState{ID: t.id, Restart: t.restart, CPU: t.cpu.read(0), Futex: t.waits.save(), GroupStop: t.group.signals.stopSig.Load()}
	var mem engine.Memory
	if v, ok := t.internal.(VforkStop); ok {
		borrower := t.k.tasks.groups[v.Child].leader
		st.VforkChild, st.Thread, mem = v.Child, borrower.loan.saved(), borrower.thread.Memory()
		st.Through = borrower.loan.through
	} else {
		var err error
		if st.Thread, err = t.thread.Save(); err != nil {
			return nil, nil, err
		}
		mem = t.thread.Memory()
	}
	for i := range t.below {
		st.Below = append(st.Below, t.below[i].save())
	}
	st.Marks, st.LastMark = t.marks.save(), t.marks.last
	st.Fibers, st.Fiber, st.LastFiber = t.fibers.save(), t.fibers.current, t.fibers.last
	s := &t.group.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Mask, st.Waits = t.sig.mask, t.sig.waits
	if b := t.sig.before; b != nil {
		st.Before, st.Suspends = *b, true
	}
	st.Queue = append(st.Queue, t.sig.queue.infos...)
	return st, mem, nil
}

func (u *suspended) save() SuspendedState {
	return SuspendedState{Calls: u.stack.Save(), Restart: u.restart, Futex: u.waits.save(), Mask: u.mask, Pointer: u.pointer, Info: u.info}
}

func (t *Task) isExiting() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.exiting
}

// Memory is the linear memory of a process whose tasks are at rest, or nil. It may
// be read until the stop ends.
func (g *ThreadGroup) Memory() []byte {
	for _, t := range g.members() {
		if t.thread != nil {
			return t.thread.Memory().Bytes()
		}
	}
	return nil
}
