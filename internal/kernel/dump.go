package kernel

import (
	"fmt"

	"github.com/stasis-run/stasis/internal/engine"
)

// A Dump is what a process was doing, with all that is known of it.
type Dump struct {
	Memory []byte // until the stop ends, or the kernel is closed
	Tasks  []TaskDump
}

// A TaskDump is what one of its tasks was doing.
type TaskDump struct {
	Backtrace
	Globals []engine.Global
	Slots   func(below int) []engine.Slot // the live values of a frame, by how many are below it; nil if not known
}

// Dump describes the first process. All its tasks must be at rest, by an external
// stop that has been waited for, or dead: then they are where their end found them.
// trap is what ended the process, or nil: the task that trapped has its stack there.
func (k *Kernel) Dump(trap *engine.Trap) (*Dump, error) {
	s := k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.anyMovingLocked() {
		return nil, fmt.Errorf("tasks are running")
	}
	d := &Dump{}
	for _, t := range s.allLocked() {
		if t.group != k.Init() || t.thread == nil {
			continue
		}
		st, err := t.thread.Save()
		if err != nil {
			return nil, fmt.Errorf("task %d: %w", t.id, err)
		}
		td := TaskDump{Globals: st.Globals, Backtrace: Backtrace{Task: t.id, Trace: t.thread.Backtrace(), Waits: t.waitsLocked()}}
		td.Slots = func(below int) []engine.Slot {
			if below >= len(st.Frames) {
				return nil
			}
			return st.Frames[below].Values
		}
		if trap != nil && len(st.Frames) == 0 {
			td.Trace, td.Slots = trap.Trace, trap.Slots
			trap = nil
		}
		d.Tasks = append(d.Tasks, td)
		d.Memory = t.thread.Memory().Bytes()
	}
	return d, nil
}
