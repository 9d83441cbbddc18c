package kernel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/invariants"
	"github.com/stasis-run/stasis/internal/ktime"
)

// Options set up a Kernel. The zero value works but for Calls.
type Options struct {
	Calls  *CallTable    // the system calls that guests may import
	Source ktime.Source  // nil is the host's clock
	Random io.Reader     // random bytes for guests; nil is crypto/rand
	Limits engine.Limits // of each thread
	Log    *slog.Logger  // nil discards

	// Seed, if not nil, has guests see the random bytes that follow from it and
	// nothing else, in place of Random. They go on in a restored system, which
	// another Seed begins anew.
	Seed *uint64

	// Wall is the wall clock that guests see.
	Wall ktime.Wall

	// CPUTime is what each process may use, as RLIMIT_CPU has it; 0 is no limit.
	// A process that has used it ends by SIGXCPU; one that ran all the time at
	// once, one that woke up just before by a tick later (50 ms).
	CPUTime time.Duration

	// Yield is how often tasks leave guest code by themselves, in a process whose
	// garbage collector is Go's own; 0 is never, and has every collection hang
	// while a guest computes. It needs modules compiled for it (Counted).
	Yield time.Duration

	// CPUs is how many CPUs the system gets at most; 0 is no limit.
	CPUs MilliCPUs

	// Slots is how many tasks run guest code at a time; 0 is the number of the
	// host's CPUs, or in a process whose collector is Go's own one less than its
	// Ps where that is less.
	Slots int

	// Load compiles modules that processes execute; nil: they cannot.
	Load Loader

	// MaxTasks is how many tasks there may be at a time; 0 is 4096.
	MaxTasks int

	// ParkAfter is how long a task waits before it is parked: unwound, with neither a
	// goroutine nor an instance of its own; 0 is 50 ms, negative never.
	ParkAfter time.Duration

	// Snapshots says that tasks may ask for the system to be saved, and wait for it: see
	// Task.Snapshot.
	Snapshots bool

	// Leaves says that the host's process ends when the first one has: the others are
	// stopped for good then, and Close leaves them as they are.
	Leaves bool

	// Rlimits are what each process is limited to, as setrlimit(2) has it.
	Rlimits Rlimits

	// TaskHeap is a size of this process's Go heap, in bytes, beyond which no
	// task is made: what tasks need of the host, instances and native stacks, is
	// there. It counts where the collector is ours. 0 is 1 GiB.
	TaskHeap int64
}

// Rlimits are limits of a process that do not change.
type Rlimits struct {
	FileSize   int64  // bytes that files may be made long (RLIMIT_FSIZE): more is SIGXFSZ and EFBIG; 0 is no limit
	SigPending *int64 // real-time signals that may be pending for a process, and for each task (RLIMIT_SIGPENDING); nil is 1024, the most
	Files      int64  // up to which a process may raise its limit of descriptors; 0 is where that is
}

// Rlimits are the limits of each process.
func (k *Kernel) Rlimits() Rlimits { return k.opts.Rlimits }

// SigPending is how many real-time signals may be pending for a process, and for each
// of its tasks.
func (k *Kernel) SigPending() int {
	if l := k.opts.Rlimits.SigPending; l != nil {
		return min(max(int(*l), 0), maxQueued)
	}
	return maxQueued
}

// A Kernel is one compute system's world. Many can live in one host process.
type Kernel struct {
	opts   Options
	clocks *ktime.Clocks
	tasks  *TaskSet
	ticker *ticker
	log    *slog.Logger
	random random
	quota  quota
	cpus   int // of the host; immutable

	futexes   futexTable
	programs  programs
	intervals intervals

	first atomic.Pointer[ThreadGroup] // the first process; set under mu

	mu      invariants.Mutex[kernelLock]
	started bool // protected by mu
}

// New makes a kernel without processes. Its monotonic clock stands until Start.
func New(opts Options) *Kernel {
	if opts.Source == nil {
		opts.Source = ktime.Host
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	k := &Kernel{opts: opts, clocks: ktime.NewClocks(opts.Source, opts.Wall), log: opts.Log, cpus: runtime.NumCPU()}
	k.intervals.k = k
	k.programs.load, k.programs.calls = opts.Load, opts.Calls
	k.random.begin(opts)
	k.quota.share = opts.CPUs.share()
	k.clocks.Freeze()
	k.tasks = newTaskSet(k)
	k.ticker = newTicker(k)
	return k
}

// Clocks are the guest's clocks.
func (k *Kernel) Clocks() *ktime.Clocks { return k.clocks }

// Log is where the kernel tells people what guests cannot be told.
func (k *Kernel) Log() *slog.Logger { return k.log }

// Tasks is the set of all tasks.
func (k *Kernel) Tasks() *TaskSet { return k.tasks }

// Init is the first process, nil before CreateProcess.
func (k *Kernel) Init() *ThreadGroup { return k.first.Load() }

// ErrStarted says that a kernel has its first process already.
var ErrStarted = errors.New("the system has its first process already")

// Other errors of calls in the wrong order.
var (
	ErrNoProcess  = errors.New("the system has no process")
	ErrNotStarted = errors.New("the system has not been started")
	ErrClosed     = errors.New("the system is closed")
)

// CreateProcess makes the first process: one task over module, at the start of
// the exported function entry. It does not run before Start.
func (k *Kernel) CreateProcess(ctx context.Context, module engine.Module, p ProcessOptions) (*ThreadGroup, error) {
	program, err := k.programs.bind(module, p.Source)
	if err != nil {
		return nil, err
	}
	fn, err := entryOf(module, p.Entry, len(p.EntryArgs))
	if err != nil {
		return nil, err
	}
	before, err := p.before(module)
	if err != nil {
		return nil, err
	}
	tg := newThreadGroup(k, program, p)
	task := newTask(k, tg, program.calls)
	if task.thread, err = module.New(ctx, task, k.opts.Limits, nil); err != nil {
		return nil, err
	}
	if err := task.thread.Start(fn, p.EntryArgs, before...); err != nil {
		return nil, errors.Join(err, task.thread.Close())
	}
	task.stress.begin(task, p.Stress)
	task.yield.begin(task)
	if err := k.adopt(tg, task); err != nil {
		return nil, errors.Join(err, task.thread.Close())
	}
	return tg, nil
}

// before is the function to be called before the entry, if any.
func (p *ProcessOptions) before(module engine.Module) ([]uint32, error) {
	if p.Before == "" {
		return nil, nil
	}
	fn, t, ok := module.Export(p.Before)
	if !ok {
		return nil, fmt.Errorf("the module exports no function %q", p.Before)
	}
	if len(t.Params)+len(t.Results) > 0 {
		return nil, fmt.Errorf("function %q is of type %v -> %v: to be called first, it must take and return nothing", p.Before, t.Params, t.Results)
	}
	return []uint32{fn}, nil
}

// adopt makes tg the first process and its task known.
func (k *Kernel) adopt(tg *ThreadGroup, task *Task) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.Init() != nil {
		return ErrStarted
	}
	if err := k.tasks.add(task); err != nil {
		return err
	}
	k.first.Store(tg)
	s := k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running++
	s.joinLocked(tg, nil)
	return nil
}

// Start lets the tasks run. It may be called once.
func (k *Kernel) Start() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.Init() == nil {
		return fmt.Errorf("start: %w", ErrNoProcess)
	}
	if k.started {
		return fmt.Errorf("start: %w", ErrStarted)
	}
	k.started = true
	k.clocks.Thaw()
	k.intervals.thawed()
	started.add(k)
	if err := k.tasks.startAll(); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	k.ticker.start()
	return nil
}

// Close ends what runs and frees all. It returns when no goroutine of the
// kernel is left, but for those of Options.Leaves, which stand. It may be called twice.
func (k *Kernel) Close() error {
	if !k.tasks.hasLeft() {
		for _, g := range k.tasks.Processes() {
			g.Terminate()
		}
	}
	k.tasks.wait()
	k.ticker.close()
	k.intervals.close()
	started.remove(k)
	if k.tasks.hasLeft() {
		return nil
	}
	return errors.Join(k.tasks.closeAll(), k.programs.close())
}
