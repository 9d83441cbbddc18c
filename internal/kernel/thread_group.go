package kernel

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/vfs"
)

// ProcessOptions describe a new process.
type ProcessOptions struct {
	Args  []string // argv
	Env   []string // NAME=value
	Files *vfs.FDTable
	CWD   *vfs.FSContext // nil: it has no working directory

	Entry     string   // exported function to call
	EntryArgs []uint64 // its arguments
	Before    string   // exported function of no parameters and results to be called before; "" is none

	// Source is the module that the code was compiled from, for those that save
	// processes of several modules; nil is not known.
	Source []byte

	Stress Stress // for tests of guests

	// Terminal, if not nil, controls the session of a process that Exec makes.
	Terminal Terminal
}

// A ThreadGroup is a process: tasks that share their memory, files and signal
// handling, and exit together.
type ThreadGroup struct {
	k      *Kernel
	id     TaskID // pid: the number of the first task; immutable once that is known
	stress Stress // immutable

	// It was begun from outside (Kernel.Exec): nobody in the system waits for it.
	// Immutable once the process is known.
	entered bool

	exe      atomic.Pointer[executable]
	executed atomic.Bool    // a program, since it was forked
	files    *vfs.FDTable   // immutable once the process is known
	cwd      *vfs.FSContext // likewise; nil: there is none

	leader  *Task   // protected by TaskSet.mu
	tasks   []*Task // protected by TaskSet.mu
	alive   int     // tasks that are not dead; protected by TaskSet.mu
	goneCPU int64   // CPU time of those that are not in tasks any more, in ns; protected by TaskSet.mu

	family  family
	jobs    jobs
	signals signals

	gone chan struct{} // closed when no task of the group runs any more
}

// An executable is what a process runs, and with what. It is immutable.
type executable struct {
	program   *Program
	args, env []string
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

func newThreadGroup(k *Kernel, p *Program, o ProcessOptions) *ThreadGroup {
	g := &ThreadGroup{k: k, stress: o.Stress, gone: make(chan struct{})}
	g.exe.Store(&executable{p, o.Args, o.Env})
	g.files, g.cwd = o.Files, o.CWD
	return g
}

// Preconditions: TaskSet.mu is locked.
func (g *ThreadGroup) addLocked(t *Task) {
	if g.leader == nil {
		g.leader, g.id = t, t.id
		if g.cwd != nil {
			g.cwd.SetCaller(uint32(t.id))
		}
	}
	g.tasks = append(g.tasks, t)
	g.alive++
	g.signals.mu.Lock()
	defer g.signals.mu.Unlock()
	g.signals.tasks = append(g.signals.tasks, t)
}

// removeLocked takes a task out whose goroutine is about to end.
//
// Preconditions: TaskSet.mu is locked.
func (g *ThreadGroup) removeLocked(t *Task) {
	g.tasks = slices.DeleteFunc(g.tasks, func(o *Task) bool { return o == t })
	g.goneCPU += t.cpu.read(0)
	g.k.tasks.uncharged += t.cpu.charge()
	g.signals.remove(t)
}

// remove has a task take no signals any more. Others take what it would have
// taken.
func (s *signals) remove(t *Task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tasks = slices.DeleteFunc(s.tasks, func(o *Task) bool { return o == t })
	for _, o := range s.tasks {
		if s.queue.set&^s.maskLocked(o) != 0 {
			o.interrupt()
		}
	}
}

func (g *ThreadGroup) isLeader(t *Task) bool {
	g.k.tasks.mu.Lock()
	defer g.k.tasks.mu.Unlock()
	return g.leader == t
}

// Args are the process's arguments. They must not be changed.
func (g *ThreadGroup) Args() []string { return g.exe.Load().args }

// Env is the process's environment. It must not be changed.
func (g *ThreadGroup) Env() []string { return g.exe.Load().env }

// Files is the process's table of open files.
func (g *ThreadGroup) Files() *vfs.FDTable { return g.files }

// CWD is the process's working directory, or nil if it has none.
func (g *ThreadGroup) CWD() *vfs.FSContext { return g.cwd }

// closeFiles closes what the process has open. A file of the host may take its
// time.
func (g *ThreadGroup) closeFiles() {
	g.files.CloseAll()
	if g.cwd != nil {
		g.cwd.Close()
	}
}

// Module is the code that the process runs.
func (g *ThreadGroup) Module() engine.Module { return g.program().Module }

// Program is what the process runs.
func (g *ThreadGroup) Program() *Program { return g.program() }

func (g *ThreadGroup) program() *Program { return g.exe.Load().program }

// Leader is the process's first task.
func (g *ThreadGroup) Leader() *Task {
	g.k.tasks.mu.Lock()
	defer g.k.tasks.mu.Unlock()
	return g.leader
}

// ID is the pid: the number of the first task.
func (g *ThreadGroup) ID() TaskID { return g.id }

// Exit ends the process with a code, as exit_group(2) does. The first end of a
// process counts.
func (g *ThreadGroup) Exit(code int32) { g.exitWith(ExitStatus{Code: code}) }

// Terminate ends the process as SIGKILL does.
func (g *ThreadGroup) Terminate() { g.exitWith(ExitStatus{Signal: SIGKILL}) }

func (g *ThreadGroup) exitWith(st ExitStatus) {
	s := &g.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.exiting {
		return
	}
	s.exiting, s.status = true, st
	for _, t := range s.tasks {
		t.exit()
	}
}

// Exiting reports whether the process is on its way out or gone. Its files are
// closed only after this is true.
func (g *ThreadGroup) Exiting() bool {
	g.signals.mu.Lock()
	defer g.signals.mu.Unlock()
	return g.signals.exiting
}

// StoppedBy is the signal that stopped the process, or 0.
func (g *ThreadGroup) StoppedBy() int32 { return g.signals.stopSig.Load() }

func (g *ThreadGroup) members() []*Task {
	g.k.tasks.mu.Lock()
	defer g.k.tasks.mu.Unlock()
	return slices.Clone(g.tasks)
}

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
	return g.exitStatus(), nil
}
