package stasis

import (
	"context"
	"time"

	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/fault"
)

// ProcessInfo is what a process of a running system does and uses.
type ProcessInfo = control.Process

// Processes are those of a system at some time.
type Processes struct {
	List []ProcessInfo // by pid, at most 4096
	Time time.Time
	All  int // how many there are
}

// Processes tells what the processes of the running system do. It disturbs none.
func (s *System) Processes(ctx context.Context) (Processes, error) {
	p, err := s.processes(ctx)
	if err != nil {
		return Processes{}, s.fail("processes", err)
	}
	out := Processes{List: p.List, Time: time.Unix(0, p.Time), All: int(p.All)}
	for i := range out.List { // the system may have been subverted
		l := &out.List[i]
		l.State = fault.Clean(l.State)
		for j := range l.Args {
			l.Args[j] = fault.Clean(l.Args[j])
		}
	}
	return out, nil
}

func (s *System) processes(ctx context.Context) (*control.Processes, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if s.embedded != nil {
		g, err := s.embedded.living()
		if err != nil {
			return nil, err
		}
		return g.System.Processes()
	}
	a, err := s.call(ctx, control.Call{Op: control.OpProcesses})
	if err == nil && a.Processes == nil {
		err = fault.New(fault.Internal, "the system's answer is not understood")
	}
	return a.Processes, err
}

// SignalProcess sends one of the system's processes a signal, by its pid in the
// system. NotFound is the kind of the error if there is no such process.
func (s *System) SignalProcess(ctx context.Context, pid, sig int32) error {
	if sig < 0 || sig > 64 {
		return s.fail("signal", fault.New(fault.Invalid, "signal %d: signals are 1 to 64", sig))
	}
	if pid <= 0 {
		return s.fail("signal", fault.New(fault.Invalid, "process %d: processes are numbered from 1", pid))
	}
	if err := s.check(); err != nil {
		return s.fail("signal", err)
	}
	if s.embedded != nil {
		g, err := s.embedded.living()
		if err != nil {
			return s.fail("signal", err)
		}
		return s.fail("signal", g.System.SignalProcess(pid, sig))
	}
	_, err := s.call(ctx, control.Call{Op: control.OpSignalProcess, PID: pid, Signal: sig})
	return s.fail("signal", err)
}
