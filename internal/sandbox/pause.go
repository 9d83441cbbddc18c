package sandbox

import (
	"context"
	"slices"

	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/kernel"
)

// Pause stops all tasks until Resume, and waits until they are at rest. A
// paused system can be saved, and goes on when it is restored; SIGKILL ends it.
func (s *System) Pause(ctx context.Context) error {
	s.pausing.Lock()
	defer s.pausing.Unlock()
	k := s.Kernel()
	switch {
	case k == nil:
		return errEnded
	case s.paused != nil:
		return fault.New(fault.WrongState, "the system is paused already")
	}
	s.setHeld(true) // first: a signal that comes later finds the system paused
	stop := k.Tasks().BeginExternalStop()
	if err := stop.Wait(ctx); err != nil {
		stop.End()
		s.letGo()
		return err
	}
	s.paused = stop
	return nil
}

// A sent is a signal to a process; 0 is the system's first, as Signal has it.
type sent struct {
	pid kernel.TaskID
	sig int32
}

func (s *System) setHeld(held bool) (waiting []sent) {
	s.holding.Lock()
	defer s.holding.Unlock()
	s.held = held
	waiting, s.waiting = s.waiting, nil
	return waiting
}

// maxWaiting bounds the signals that wait, in number: of each there need be one.
const maxWaiting = 64

// hold has a signal wait for the end of a pause, and reports whether there is
// one. Each waits once, as in Linux.
func (s *System) hold(one sent) bool {
	s.holding.Lock()
	defer s.holding.Unlock()
	if s.held && !slices.Contains(s.waiting, one) && len(s.waiting) < maxWaiting {
		s.waiting = append(s.waiting, one)
	}
	return s.held
}

// letGo sends the signals that have waited.
func (s *System) letGo() {
	for _, one := range s.setHeld(false) { // they were looked at when they came
		if one.pid == 0 {
			_ = s.signal(one.sig)
		} else {
			_ = s.signalProcess(one.pid, one.sig)
		}
	}
}

// Resume ends a Pause.
func (s *System) Resume() error {
	s.pausing.Lock()
	defer s.pausing.Unlock()
	if s.paused == nil {
		return fault.New(fault.WrongState, "the system is not paused")
	}
	s.paused.End()
	s.paused = nil
	s.letGo()
	return nil
}

// State is what the system does: running, blocked, stopped or paused.
func (s *System) State() string {
	s.pausing.Lock()
	paused := s.paused != nil
	s.pausing.Unlock()
	if paused {
		return "paused"
	}
	k := s.Kernel()
	if k == nil {
		return kernel.Running.String()
	}
	st := k.Stats()
	tasks := st.Tasks
	switch {
	case tasks[kernel.Running] > 0: // one that runs is enough
	case tasks[kernel.Stopped] > 0 && k.Init().StoppedBy() != 0:
		return kernel.Stopped.String()
	case tasks[kernel.Blocked] > 0 && tasks[kernel.Stopped] == st.Held:
		return kernel.Blocked.String()
	}
	return kernel.Running.String() // also while it begins or ends, and for a moment during a checkpoint
}
