package sandbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"github.com/stasis-run/stasis/internal/coredump"
	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/kernel"
)

// writeCore writes a core dump of a process that is at rest or has ended, by trap
// if that is not nil.
func (s *System) writeCore(w io.Writer, trap *engine.Trap) error {
	k := s.Kernel()
	if k == nil {
		return errEnded
	}
	m := s.symbols.Module()
	if m == nil {
		return errors.New("the module cannot be read")
	}
	if trap != nil {
		trap.Locate()
	}
	d, err := k.Dump(trap)
	if err != nil {
		return err
	}
	out := coredump.Dump{Program: path.Base(cmp.Or(s.opts.Spec.Program(), s.opts.Name)), Module: m, Memory: d.Memory}
	for i := range d.Tasks {
		t := &d.Tasks[i]
		out.Threads = append(out.Threads, coredump.Thread{
			Name: coredump.ThreadName(int32(t.Task)), Globals: t.Globals, Frames: coredump.FramesOf(&t.Trace, t.Slots),
		})
	}
	return coredump.Write(w, &out)
}

// WriteCore writes a core dump of the system, which stands meanwhile and then runs
// on.
func (s *System) WriteCore(ctx context.Context, f *os.File) error {
	k := s.Kernel()
	if k == nil {
		return errEnded
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() { // whoever reads a pipe could hold the system up
		return fault.New(fault.Invalid, "a core dump is written to a regular file")
	}
	stop := k.Tasks().BeginExternalStop()
	defer stop.End()
	if err := stop.Wait(ctx); err != nil {
		return err
	}
	if k.Init().Exiting() {
		return kernel.ErrExiting
	}
	if err := s.writeCore(f, nil); err != nil {
		return fmt.Errorf("write: %w", cause(err))
	}
	return nil
}
