package sandbox

import (
	"context"
	"strings"
	"time"

	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/symbols"
)

const (
	maxStackTasks = 256       // stacks of an answer
	maxStackBytes = 512 << 10 // about, of all their texts: an answer is one message
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
	var out []symbols.Stack
	left := maxStackBytes
	for i, b := range traces[:min(len(traces), maxStackTasks)] {
		st := s.symbols.Stack(b.Trace)
		st.Task, st.State, st.Waits = int32(b.Task), taskState(states[b.Task], b.Waits), b.Waits
		if paused {
			st.State = "paused"
		}
		share := left / (min(len(traces), maxStackTasks) - i)
		left -= share - st.Bound(share)
		out = append(out, st)
	}
	return out, nil
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

// stackPatience is how long SIGQUIT waits for tasks to come to a safepoint. One
// that does not is ended without its stack.
const stackPatience = 2 * time.Second

// noteStacks keeps what all tasks are doing, for the report of a system that
// SIGQUIT ends.
func (s *System) noteStacks() {
	ctx, cancel := context.WithTimeout(context.Background(), stackPatience)
	defer cancel()
	stacks, err := s.Stacks(ctx)
	if err != nil || len(stacks) == 0 {
		return // it ends all the same
	}
	text := StacksText(stacks)
	s.quitStacks.CompareAndSwap(nil, &text)
}

// StacksText is stacks for people.
func StacksText(stacks []symbols.Stack) string {
	var b strings.Builder
	for i := range stacks {
		b.WriteString(stacks[i].Head() + "\n" + stacks[i].Text())
	}
	return b.String()
}
