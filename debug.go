package stasis

import (
	"context"
	"os"

	"golang.org/x/sys/unix"

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

// WriteCoredump writes a core dump of a running system to a regular file that is open
// for writing, in the WebAssembly tool conventions' format: its stacks, with the values
// of what is live in them, its globals, and its memory where that is not zero. The
// system stands meanwhile and then runs on.
func (s *System) WriteCoredump(ctx context.Context, f *os.File) error {
	if err := s.check(); err != nil {
		return s.fail("coredump", err)
	}
	if s.embedded != nil {
		return s.fail("coredump", s.embedded.coredump(ctx, f))
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0) // the call closes what it sends
	if err != nil {
		return s.fail("coredump", err)
	}
	_, err = s.callWith(ctx, control.Call{Op: control.OpCoredump}, os.NewFile(uintptr(fd), f.Name()))
	return s.fail("coredump", err)
}
