package kernel

import (
	"errors"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/ktime"
)

// State is all of a kernel that is saved, but for the memories of its threads
// and what the vfs package saves itself.
type State struct {
	Clocks    ktime.State     `pb:"1"`
	LastID    TaskID          `pb:"2"` // the highest that a task has had
	Processes []ProcessState  `pb:"3"` // the first one first
	Terminals []TerminalState `pb:"5"` // those that control sessions
	Random    []byte          `pb:"4"` // the generator of a seeded system's random bytes, as math/rand/v2's ChaCha8 marshals; or none
}

// ProcessState is a process.
type ProcessState struct {
	Module [32]byte    `pb:"1"` // digest of what it runs
	Args   []string    `pb:"2"`
	Env    []string    `pb:"3"`
	Tasks  []TaskState `pb:"4"` // the leader first; none if it has ended

	Pending SigSet `pb:"5"` // signals that wait for a task to take them
	FDTable uint32 `pb:"6"` // index of its fd table in what the vfs package saves; several may share one

	// Memories are the indices of its linear memories among those of the image,
	// which numbers them.
	Memories []uint32 `pb:"7"`

	GoneCPU int64 `pb:"8"` // CPU time of tasks that have ended, in ns

	ID        TaskID          `pb:"9"`  // pid; 0 is that of the leader
	Parent    TaskID          `pb:"10"` // 0: none
	Group     TaskID          `pb:"11"` // process group; 0 is its own
	Session   TaskID          `pb:"12"` // 0 is its own
	Ended     *EndState       `pb:"13"` // it has ended and waits to be waited for
	Executed  bool            `pb:"14"` // a program, since it was forked
	Actions   []ActionState   `pb:"15"` // those that are not the default, or that it has told
	Handler   string          `pb:"16"` // export that is called for signals, or ""
	Held      bool            `pb:"17"` // all signals that can be are blocked
	Queue     []SigInfo       `pb:"18"` // those of Pending, in their order; those that are missing came from nobody
	StopTold  bool            `pb:"19"` // the parent knows that it is stopped
	StopSeen  bool            `pb:"20"` // and has waited for that
	Continued bool            `pb:"21"` // it went on, and nobody has waited for that
	ReapedCPU int64           `pb:"22"` // CPU time of descendants that were waited for, in ns
	Intervals []IntervalState `pb:"24"`
	Entered   bool            `pb:"25"` // it was begun from outside: nobody in the system waits for it
	Knows     bool            `pb:"26"` // the process was told which signals it was begun with ignored
	CWD       uint32          `pb:"23"` // index plus one of its working directory in what the vfs package saves; 0 is none
}

// EndState is how a process has ended, for those that wait for it.
type EndState struct {
	Code   int32 `pb:"1"`
	Signal int32 `pb:"2"`
}

// ActionState is what a process wants done with a signal.
type ActionState struct {
	Signo  int32     `pb:"1"`
	Action SigAction `pb:"2"`
	Begun  bool      `pb:"3"` // with it; the process has not told it
}

// TaskState is a task.
type TaskState struct {
	ID        TaskID        `pb:"1"`
	Thread    *engine.State `pb:"2"`
	Restart   Restart       `pb:"3"`
	CPU       int64         `pb:"4"` // ns
	GroupStop int32         `pb:"5"` // signal of the group stop it is in, or 0
	Futex     *FutexState   `pb:"6"` // where it waits, if it waits at an address

	Mask  SigSet           `pb:"7"` // signals that it blocks
	Queue []SigInfo        `pb:"8"` // signals that wait for this task
	Below []SuspendedState `pb:"9"` // what handlers have interrupted, the first first

	// VforkChild is the process that runs on this task's thread, or 0. Thread has
	// the task's own stack and globals then.
	VforkChild TaskID `pb:"10"`
	Through    bool   `pb:"11"` // it goes on from where the child is then

	Marks     []MarkState  `pb:"12"`
	LastMark  uint64       `pb:"13"`
	Fibers    []FiberState `pb:"14"` // but the one that runs
	Fiber     uint64       `pb:"15"` // which runs
	LastFiber uint64       `pb:"16"`

	Before   SigSet `pb:"17"` // what is blocked again after the handler that the task waits for
	Suspends bool   `pb:"18"` // it waits for one (sigsuspend(2))
	Waits    SigSet `pb:"19"` // signals that it waits for (sigtimedwait(2))
}

// SuspendedState is a stack that a handler has interrupted.
type SuspendedState struct {
	Calls   engine.Calls `pb:"1"`
	Restart Restart      `pb:"2"`
	Futex   *FutexState  `pb:"3"`
	Mask    SigSet       `pb:"4"`
	Pointer uint64       `pb:"5"` // the C stack pointer
	Info    SigInfo      `pb:"6"` // what the handler was called for
}

// ErrExiting says that a kernel cannot be saved since its process is on its
// way out, or gone.
var ErrExiting = errors.New("the process has exited")

// pid is the number of a process.
func (p *ProcessState) pid() TaskID {
	if p.ID == 0 && len(p.Tasks) > 0 {
		return p.Tasks[0].ID
	}
	return p.ID
}

func orOwn(id, own TaskID) TaskID {
	if id == 0 {
		return own
	}
	return id
}

// Plain reports whether the process leaves all signals to their default actions.
func (p *ProcessState) Plain() bool {
	if p.Handler != "" || p.Held || len(p.Actions) > 0 {
		return false
	}
	for i := range p.Tasks {
		t := &p.Tasks[i]
		if t.Mask != 0 || len(t.Queue) > 0 || len(t.Below) > 0 {
			return false
		}
	}
	return true
}
