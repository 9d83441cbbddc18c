package kernel

// Stress makes a process unwind all the time, to show that it does not matter.
type Stress struct {
	// Every unwinds the stack at every n-th safepoint, and before every n-th
	// system call; 0 is never. It needs a module compiled for it (Counted).
	Every int32

	// Calls unwinds the stack before every system call, whatever Every says, and
	// stops there. It needs no module compiled for it.
	Calls StressCalls

	// Stopped, if not nil, is called at each of these unwinds, on the task
	// goroutine, with a stop of the whole set that has just begun: whoever gets
	// it ends it, or makes another system of the saved state.
	Stopped func(*ExternalStop)
}

// StressCalls says where tasks are stopped for the sake of a system call.
type StressCalls int

// Where they are.
const (
	NoCalls     StressCalls = iota
	BeforeCalls             // as the call is to be made for the first time
	// InCalls has the stop begin just before the call is made: one that would wait is
	// stopped in its wait, one that does not when it is done, with its results not
	// yet taken. The call of a restored task is made without that, so that it ends.
	InCalls
)

// counter is what a thread of a module compiled for Stress can do.
type counter interface {
	SetEvery(n int32)
}

// stress is a task's progress in it. Only on the task goroutine.
type stress struct {
	Stress
	calls  int32
	putOff bool // a call waits to be made for the first time, for Calls
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
	if s.Calls != NoCalls {
		s.putOff = true
		return true
	}
	if s.Every <= 0 {
		return false
	}
	s.calls++
	return s.calls%s.Every == 0
}

// unwound is called after an unwind.
func (s *stress) unwound(t *Task) {
	before := s.putOff && s.Calls == BeforeCalls
	if before {
		s.putOff = false
	}
	if s.Every > 0 || before {
		s.stop(t)
	}
}

// making is called as a call that was put off is made.
func (s *stress) making(t *Task) {
	if s.putOff {
		s.putOff = false
		s.stop(t)
	}
}

func (s *stress) stop(t *Task) {
	if s.Stopped != nil {
		s.Stopped(t.k.tasks.BeginExternalStop())
	}
}
