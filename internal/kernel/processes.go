package kernel

import (
	"slices"

	"github.com/stasis-run/stasis/internal/vfs"
)

// A ProcessInfo is what a process does and uses, taken without stopping it.
type ProcessInfo struct {
	ID, Parent     TaskID // 0: it has no parent
	Group, Session TaskID

	// State is Running if one of its tasks runs, Stopped if a signal has stopped it,
	// Dead if it has ended and its parent has not waited for it, else Blocked.
	State RunState

	Tasks  int   // that are not dead
	CPU    int64 // CPU time of its tasks, in ns
	Memory int64 // bytes of its linear memory; 0 while a child of vfork(2) has it
	Files  int   // open descriptors
	Args   []string
}

// List tells what the processes do, by pid. It costs a lock and a few reads for each
// task, and asks nothing of the guests.
func (k *Kernel) List() []ProcessInfo {
	now := k.clocks.Source().Mono()
	s := k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.processesLocked()
	out := make([]ProcessInfo, len(all))
	for i, g := range all {
		out[i] = g.infoLocked(now)
	}
	return out
}

// Preconditions: TaskSet.mu is locked.
func (g *ThreadGroup) infoLocked(now int64) ProcessInfo {
	i := ProcessInfo{ID: g.id, State: g.stateLocked(), Tasks: g.alive, CPU: g.cpuLocked(now), Args: g.Args()}
	if p := g.family.parent; p != nil {
		i.Parent = p.id
	}
	if j := g.jobs.group; j != nil {
		i.Group, i.Session = j.id, j.session.id
	}
	if g.alive > 0 {
		i.Memory, i.Files = g.leader.memorySize(), g.files.Len()
	}
	return i
}

// Preconditions: TaskSet.mu is locked.
func (g *ThreadGroup) stateLocked() RunState {
	switch {
	case g.family.zombie || g.alive == 0:
		return Dead
	case g.signals.stopSig.Load() != 0:
		return Stopped
	}
	for _, t := range g.tasks {
		if st := t.shownLocked(); st != Blocked && st != Dead && t.internal == nil {
			return Running
		}
	}
	return Blocked
}

// A TaskInfo is what a task does, and what signals wait for it.
type TaskInfo struct {
	ID               TaskID
	State            RunState
	CPU              int64 // ns
	Pending, Blocked SigSet
}

// ListTasks tells what the tasks of the process do, by number; one that has ended
// before the others, too, if it was the first.
func (g *ThreadGroup) ListTasks() (out []TaskInfo) {
	now := g.k.clocks.Source().Mono()
	s := g.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	g.signals.mu.Lock()
	defer g.signals.mu.Unlock()
	for _, t := range g.tasks {
		if t.state == Dead && t != g.leader {
			continue
		}
		i := TaskInfo{ID: t.id, State: t.shownLocked(), CPU: t.cpu.read(now), Pending: t.sig.queue.set, Blocked: t.sig.mask}
		if i.State != Dead && g.signals.stopSig.Load() != 0 {
			i.State = Stopped
		}
		out = append(out, i)
	}
	slices.SortFunc(out, func(a, b TaskInfo) int { return int(a.ID - b.ID) })
	return out
}

// A SignalInfo is what a process has of signals.
type SignalInfo struct{ Pending, Ignored, Caught SigSet }

// Signals tells it, for /proc.
func (g *ThreadGroup) Signals() (i SignalInfo) {
	s := &g.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	i.Pending = s.queue.set
	for sig := int32(1); sig <= maxSignal; sig++ {
		switch s.actionLocked(sig) {
		case SigIgnore:
			i.Ignored |= sigSet(sig)
		case SigCatch:
			i.Caught |= sigSet(sig)
		}
	}
	return i
}

// OpenFiles is how many descriptors the processes have open.
func (s *TaskSet) OpenFiles() (n int) {
	seen := make(map[*vfs.FDTable]bool)
	for _, g := range s.Processes() {
		if g.files != nil && !seen[g.files] { // one that had ended before a restore has none
			seen[g.files] = true
			n += g.files.Len()
		}
	}
	return n
}
