package sandbox

import (
	"context"

	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/kernel"
)

// Pause stops all tasks until Resume, and waits until they are at rest. A
// paused system can be saved, signalled and ended.
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
	stop := k.Tasks().BeginExternalStop()
	if err := stop.Wait(ctx); err != nil {
		stop.End()
		return err
	}
	s.paused = stop
	return nil
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
		return kernel.Dead.String()
	}
	state := kernel.Dead
	for _, t := range k.Tasks().All() {
		state = t.State()
	}
	return state.String()
}
