package stasis

import (
	"context"

	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/fault"
)

// Stacks tells what each task of a running system is doing: its stack, in terms of
// the module that it runs, and the system call that it waits in. The system is
// stopped for a moment, as Pause does, and runs on; of one that is paused or
// stopped, it stays so. It has at most 256 tasks, and of a deep stack the innermost
// and outermost frames.
func (s *System) Stacks(ctx context.Context) ([]Stack, error) {
	if err := s.check(); err != nil {
		return nil, s.fail("stacks", err)
	}
	if s.embedded != nil {
		all, err := s.embedded.stacks(ctx)
		return all, s.fail("stacks", err)
	}
	a, err := s.call(ctx, control.Call{Op: control.OpStacks})
	if err != nil {
		return nil, s.fail("stacks", err)
	}
	if a.Stacks == nil {
		return nil, s.fail("stacks", fault.New(fault.Internal, "the system's process gave no answer"))
	}
	all := a.Stacks.Tasks
	for i := range all {
		all[i].Clean(fault.Clean) // it is printed, and the process may have been subverted
	}
	return all, nil
}
