package kernel

// Stats are numbers of a system, taken without stopping it: each is true of
// some moment at or after At.
type Stats struct {
	At     int64         // host time in ns, as ktime.Source.Mono: rates are differences over it
	CPU    int64         // CPU time of all tasks that there have been, in ns
	Tasks  [Dead + 1]int // how many tasks are in each RunState
	Held   int           // those of Tasks[Stopped] that job control or a child of vfork(2) holds
	Parked int           // those of Tasks[Blocked] and Tasks[Stopped] that are parked
	Memory int64         // bytes of the linear memories of processes that are not gone

	Processes int // that have not ended
}

// Living is how many tasks are not dead.
func (s Stats) Living() (n int) {
	for _, tasks := range s.Tasks[:Dead] {
		n += tasks
	}
	return n
}

// Stats tells how the system does. It costs a lock and a few reads for each
// task, and asks nothing of the guests.
func (k *Kernel) Stats() Stats {
	st := Stats{At: k.clocks.Source().Mono()}
	s := k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tasks {
		shown := t.shownLocked()
		st.Tasks[shown]++
		if t.state == Parked {
			st.Parked++
		}
		if shown == Stopped && (t.internal != nil || t.group.signals.stopSig.Load() != 0) {
			st.Held++
		}
	}
	for _, g := range s.groups {
		st.CPU += g.cpuLocked(st.At) + g.family.reapedCPU
		if g.alive > 0 {
			st.Memory += g.leader.memorySize()
			st.Processes++
		}
	}
	return st
}

// memorySize is the length of the task's memory, also while it runs.
func (t *Task) memorySize() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.thread == nil {
		return 0
	}
	return int64(len(t.thread.Memory().Bytes()))
}
