package kernel

// Stress makes a process unwind all the time, to show that it does not matter.
type Stress struct {
	// Every unwinds the stack at every n-th safepoint, and before every n-th
	// system call; 0 is never. It needs a module compiled for it (Counted).
	Every int32

	// Stopped, if not nil, is called at each of these unwinds, on the task
	// goroutine, with a stop of the whole set that has just begun: whoever gets
	// it ends it, or makes another system of the saved state.
	Stopped func(*ExternalStop)
}

// counter is what a thread of a module compiled for Stress can do.
type counter interface {
	SetEvery(n int32)
}

// stress is a task's progress in it. Only on the task goroutine.
type stress struct {
	Stress
	calls int32
}

func (s *stress) begin(t *Task, o Stress) {
	s.Stress = o
	if c, ok := t.thread.(counter); ok && o.Every > 0 {
		c.SetEvery(o.Every)
	}
}

// beforeCall reports whether the system call that is about to be made is to be
// put off until the stack is unwound.
func (s *stress) beforeCall() bool {
	if s.Every <= 0 {
		return false
	}
	s.calls++
	return s.calls%s.Every == 0
}

// unwound is called after an unwind.
func (s *stress) unwound(t *Task) {
	if s.Every > 0 && s.Stopped != nil {
		s.Stopped(t.k.tasks.BeginExternalStop())
	}
}
