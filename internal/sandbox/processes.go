package sandbox

import (
	"fmt"
	"time"

	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/kernel"
)

// Bounds on what is told of processes, so that it is one message: their arguments,
// of each and of all, in bytes.
const (
	maxProcessArgs = 4 << 10
	maxAllArgs     = 512 << 10
	argCost        = 4 // of each, besides its bytes
)

// Processes tells what the system's processes do.
func (s *System) Processes() (*control.Processes, error) {
	k := s.Kernel()
	if k == nil {
		return nil, errEnded
	}
	paused := s.State() == "paused"
	out := &control.Processes{Time: time.Now().UnixNano()}
	all := k.List()
	out.All = int32(len(all))
	left := maxAllArgs
	for i := range all[:min(len(all), control.MaxProcesses)] {
		p := &all[i]
		state := p.State.String()
		switch {
		case p.State == kernel.Dead:
			state = "zombie"
		case paused:
			state = "paused"
		}
		args := cutArgs(p.Args, min(left, maxProcessArgs))
		for _, a := range args {
			left -= len(a) + argCost
		}
		out.List = append(out.List, control.Process{
			PID: int32(p.ID), PPID: int32(p.Parent), Group: int32(p.Group), Session: int32(p.Session), State: state,
			Threads: int32(p.Tasks), CPU: p.CPU, Memory: p.Memory, OpenFDs: int32(p.Files), Args: args,
		})
	}
	return out, nil
}

// cutArgs is the first n bytes of arguments.
func cutArgs(args []string, n int) (out []string) {
	for _, a := range args {
		if n <= 0 {
			break
		}
		a = a[:min(len(a), n)]
		out = append(out, a)
		n -= len(a) + argCost
	}
	return out
}

// SignalProcess sends one of the system's processes a signal, as Signal does the
// first.
func (s *System) SignalProcess(id, sig int32) error {
	pid := kernel.TaskID(id)
	k := s.Kernel()
	if k == nil {
		return errEnded
	}
	if k.Init().ID() == pid {
		return s.Signal(sig)
	}
	if _, ok := k.Tasks().Process(pid); !ok {
		return noProcess(pid)
	}
	if sig > 0 && sig <= 64 && sig != kernel.SIGKILL && s.hold(sent{pid, sig}) {
		return nil
	}
	return s.signalProcess(pid, sig)
}

func (s *System) signalProcess(pid kernel.TaskID, sig int32) error {
	k := s.Kernel()
	if k == nil {
		return errEnded
	}
	g, ok := k.Tasks().Process(pid)
	if !ok {
		return noProcess(pid)
	}
	return g.Signal(sig)
}

func noProcess(pid kernel.TaskID) error {
	return fault.Advise(fault.NotFound, fmt.Errorf("process %d: there is no such process in the system", pid), "see them with: stasis top")
}
