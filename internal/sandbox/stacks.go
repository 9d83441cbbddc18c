package sandbox

import (
	"context"
	"strings"

	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/symbols"
)

const (
	maxStackTasks = 256       // stacks of an answer
	maxStackBytes = 512 << 10 // about, of all their texts: an answer is one message
	maxExitBytes  = 64 << 10  // the same in the report of a system's end, which is one small file
)

// Stacks tells what all tasks are doing. They are stopped for that and go on where
// they were; a call that one waits in is made again, with what is left of its time.
func (s *System) Stacks(ctx context.Context) ([]symbols.Stack, error) {
	k := s.Kernel()
	if k == nil {
		return nil, errEnded
	}
	paused := s.State() == "paused"
	states := make(map[kernel.TaskID]kernel.RunState)
	for _, t := range k.Tasks().All() {
		states[t.ID()] = t.State()
	}
	traces, err := backtraces(ctx, k)
	if err != nil {
		return nil, err
	}
	out := s.describe(traces, maxStackBytes)
	for i := range out {
		out[i].State = taskState(states[kernel.TaskID(out[i].Task)], out[i].Waits)
		if paused {
			out[i].State = "paused"
		}
	}
	return out, nil
}

// describe is backtraces in terms of the module's source, cut to so many bytes.
func (s *System) describe(traces []kernel.Backtrace, left int) (out []symbols.Stack) {
	traces = traces[:min(len(traces), maxStackTasks)]
	for i, b := range traces {
		st := s.symbols.Stack(b.Trace)
		st.Task, st.Waits = int32(b.Task), b.Waits
		share := left / (len(traces) - i)
		left -= share - st.Bound(share)
		out = append(out, st)
	}
	return out
}

// backtraces stops all tasks for a moment.
func backtraces(ctx context.Context, k *kernel.Kernel) ([]kernel.Backtrace, error) {
	stop := k.Tasks().BeginExternalStop()
	defer stop.End()
	if err := stop.Wait(ctx); err != nil {
		return nil, err
	}
	return k.Backtraces(), nil
}

// taskState is what a task was doing before it was stopped, in a word. Whoever
// was in a call that is to be made again waited there.
func taskState(st kernel.RunState, waits string) string {
	switch {
	case st == kernel.Stopped:
		return st.String()
	case st == kernel.Blocked || waits != "":
		return kernel.Blocked.String()
	}
	return kernel.Running.String()
}

// lastStacks tells what the tasks of a system were doing that a signal has ended.
func (s *System) lastStacks() string {
	d, err := s.Kernel().Dump(nil)
	if err != nil {
		return ""
	}
	var traces []kernel.Backtrace
	for i := range d.Tasks {
		traces = append(traces, d.Tasks[i].Backtrace)
	}
	stacks := s.describe(traces, maxExitBytes)
	for i := range stacks {
		stacks[i].State = taskState(kernel.Dead, stacks[i].Waits)
	}
	return fault.Clean(stacksText(stacks)) // names are the guest's
}

// stacksText is stacks for people.
func stacksText(stacks []symbols.Stack) string {
	var b strings.Builder
	for i := range stacks {
		b.WriteString(stacks[i].Head() + "\n" + stacks[i].Text())
	}
	return b.String()
}
