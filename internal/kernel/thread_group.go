package kernel

import (
	"context"
	"slices"
	"sync"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/vfs"
)

// ProcessOptions describe a new process.
type ProcessOptions struct {
	Args  []string // argv
	Env   []string // NAME=value
	Files *vfs.FDTable

	Entry     string   // exported function to call
	EntryArgs []uint64 // its arguments
	Before    string   // exported function of no parameters and results to be called before; "" is none

	Stress Stress // for tests of guests
}

// A ThreadGroup is a process: tasks that share their memory, files and signal
// handling, and exit together.
type ThreadGroup struct {
	k      *Kernel
	module engine.Module // immutable
	opts   ProcessOptions

	leader  *Task   // protected by TaskSet.mu
	tasks   []*Task // protected by TaskSet.mu
	alive   int     // tasks that are not dead; protected by TaskSet.mu
	goneCPU int64   // CPU time of those that are not in tasks any more, in ns; protected by TaskSet.mu

	stopSig int32  // what the process was stopped by, or 0; protected by TaskSet.mu
	pending SigSet // signals that wait for SIGCONT; protected by TaskSet.mu

	signalMu sync.Mutex
	exiting  bool          // protected by signalMu
	status   ExitStatus    // valid once exiting; protected by signalMu
	gone     chan struct{} // closed when no task of the group runs any more
}

// An ExitStatus says how a process ended.
type ExitStatus struct {
	Code    int32        // of proc_exit, or 0
	Signal  int32        // that ended it, or 0
	Core    bool         // Signal is one that dumps core by default; there is no core
	Limit   string       // the limit that it went beyond: LimitCPUTime, or ""
	Trap    *engine.Trap // that ended it, or nil
	Results []uint64     // of the entry function, if that returned
}

// LimitCPUTime is the ExitStatus.Limit of a process that has used the CPU time
// that it may use: Options.CPUTime.
const LimitCPUTime = "CPU time"

func newThreadGroup(k *Kernel, m engine.Module, p ProcessOptions) *ThreadGroup {
	return &ThreadGroup{k: k, module: m, opts: p, gone: make(chan struct{})}
}

// Preconditions: TaskSet.mu is locked.
func (g *ThreadGroup) addLocked(t *Task) {
	if g.leader == nil {
		g.leader = t
	}
	if g.stopSig != 0 && t.internal == nil {
		t.internal = GroupStop{Signal: g.stopSig}
	}
	g.tasks = append(g.tasks, t)
	g.alive++
}

// removeLocked takes a task out whose goroutine is about to end.
//
// Preconditions: TaskSet.mu is locked.
func (g *ThreadGroup) removeLocked(t *Task) {
	g.tasks = slices.DeleteFunc(g.tasks, func(o *Task) bool { return o == t })
	g.goneCPU += t.cpu.read(0)
	g.k.tasks.uncharged += t.cpu.charge()
}

func (g *ThreadGroup) isLeader(t *Task) bool {
	g.k.tasks.mu.Lock()
	defer g.k.tasks.mu.Unlock()
	return g.leader == t
}

// Args are the process's arguments. They must not be changed.
func (g *ThreadGroup) Args() []string { return g.opts.Args }

// Env is the process's environment. It must not be changed.
func (g *ThreadGroup) Env() []string { return g.opts.Env }

// Files is the process's table of open files.
func (g *ThreadGroup) Files() *vfs.FDTable { return g.opts.Files }

// Module is what the process runs.
func (g *ThreadGroup) Module() engine.Module { return g.module }

// ID is the pid: the number of the first task.
func (g *ThreadGroup) ID() TaskID {
	g.k.tasks.mu.Lock()
	defer g.k.tasks.mu.Unlock()
	return g.leader.id
}

// Exit ends the process with a code, as exit_group(2) does. The first end of a
// process counts.
func (g *ThreadGroup) Exit(code int32) { g.exitWith(ExitStatus{Code: code}) }

// Terminate ends the process as SIGKILL does.
func (g *ThreadGroup) Terminate() { g.exitWith(ExitStatus{Signal: SIGKILL}) }

func (g *ThreadGroup) exitWith(st ExitStatus) {
	g.signalMu.Lock()
	first := !g.exiting
	if first {
		g.exiting, g.status = true, st
	}
	g.signalMu.Unlock()
	if !first {
		return
	}
	for _, t := range g.members() {
		t.exit()
	}
}

// Exiting reports whether the process is on its way out or gone. Its files are
// closed only after this is true.
func (g *ThreadGroup) Exiting() bool {
	g.signalMu.Lock()
	defer g.signalMu.Unlock()
	return g.exiting
}

// StoppedBy is the signal that stopped the process, or 0.
func (g *ThreadGroup) StoppedBy() int32 {
	s := g.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	return g.stopSig
}

func (g *ThreadGroup) members() []*Task {
	g.k.tasks.mu.Lock()
	defer g.k.tasks.mu.Unlock()
	return append([]*Task(nil), g.tasks...)
}

// taskGone is called by each task that ends. The last one closes the files,
// without a lock: a file of the host may take its time. It has to say ended when
// it is dead: whoever waits for the process may look at its tasks then.
func (g *ThreadGroup) taskGone() (last bool) {
	if g.countDown() > 0 {
		return false
	}
	g.opts.Files.CloseAll()
	return true
}

func (g *ThreadGroup) ended() { close(g.gone) }

func (g *ThreadGroup) countDown() int {
	g.k.tasks.mu.Lock()
	defer g.k.tasks.mu.Unlock()
	g.alive--
	return g.alive
}

// Wait waits until the process has ended and tells how, or until ctx is done.
func (g *ThreadGroup) Wait(ctx context.Context) (ExitStatus, error) {
	select {
	case <-g.gone:
	case <-ctx.Done():
		select {
		case <-g.gone: // both: what is known counts
		default:
			return ExitStatus{}, ctx.Err()
		}
	}
	g.signalMu.Lock()
	defer g.signalMu.Unlock()
	return g.status, nil
}
