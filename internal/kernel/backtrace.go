package kernel

import (
	"fmt"
	"strings"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/wasm"
)

// A Backtrace is where a task is.
type Backtrace struct {
	Task  TaskID
	Trace engine.Trace
	Waits string // the system call that is to be made, with its arguments, or ""
}

// Backtraces tells where all tasks are that have not ended, by number. All must be
// at rest, by an external stop that has been waited for. A process that is on its
// way out has none.
func (k *Kernel) Backtraces() []Backtrace {
	s := k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.anyMovingLocked() {
		panic("kernel: backtraces of tasks that run")
	}
	var out []Backtrace
	for _, t := range s.allLocked() {
		if t.state != Dead && !t.isExiting() {
			out = append(out, Backtrace{Task: t.id, Trace: t.thread.Backtrace(), Waits: t.waitsLocked()})
		}
	}
	return out
}

// waitsLocked describes the pending call.
//
// Preconditions: TaskSet.mu is locked, the task is at rest.
func (t *Task) waitsLocked() string {
	fn, args, ok := t.thread.Pending()
	if !ok {
		return ""
	}
	c := t.call(fn)
	shown := make([]string, 0, len(args))
	for i, a := range args {
		if i < len(c.Params) && c.Params[i] == wasm.I32 {
			shown = append(shown, fmt.Sprint(int32(a)))
		} else {
			shown = append(shown, fmt.Sprint(int64(a)))
		}
	}
	name := c.Name
	if c.Module != "" { // an instruction that waits has none
		name = c.Module + "." + name
	}
	return fmt.Sprintf("%s(%s)", name, strings.Join(shown, ", "))
}
