package sandbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stasis-run/stasis/internal/checkpoint"
	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/ktime"
	"github.com/stasis-run/stasis/internal/spec"
	"github.com/stasis-run/stasis/internal/symbols"
	"github.com/stasis-run/stasis/internal/syscalls/wasi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/ttyfs"
)

// Options are what a system is booted with.
type Options struct {
	Name     string
	Spec     spec.Spec
	Granted  Granted
	Module   *os.File     // what Spec.Module names; the caller's
	Image    *image.Image // what Spec.Image names; the caller's
	Cache    string       // directory of compiled code; "" is none
	Attempts uint64       // number of the latest checkpoint
	Stress   memoryFiles  // for Spec.StressCheckpoint
	Embedded bool         // in a process whose garbage collector is not ours
	Alone    bool         // in a process that ends with it
	Log      *slog.Logger // is told what guests cannot be; nil discards

	engine <-chan openedEngine // nil: Boot makes one
}

// An openedEngine is an engine that was made while something else was done.
type openedEngine struct {
	engine *wazero.Engine
	cache  *wazero.Cache
	err    error
}

// openEngineSoon begins to make the engine of a system.
func openEngineSoon(cache string, s *spec.Spec) <-chan openedEngine {
	made := make(chan openedEngine, 1)
	go func() {
		sys := System{opts: Options{Cache: cache, Spec: *s}}
		err := sys.openEngine(context.Background())
		made <- openedEngine{sys.engine, sys.cache, err}
	}()
	return made
}

// A System is one system in this process.
type System struct {
	opts   Options
	engine *wazero.Engine
	cache  *wazero.Cache
	code   engine.Module
	module []byte
	counts atomic.Pointer[wazero.Engine] // the engine, for what it counts: it is asked also when it is closed

	first int64 // of a restored system: the function of its first task's outermost frame; -1 if there is none

	symbols *symbols.Table // of module; set before the guest runs

	world  *world
	kernel atomic.Pointer[kernel.Kernel] // another one after each stress checkpoint
	stops  chan *kernel.ExternalStop     // of StressCheckpoint
	runs   chan struct{}                 // closed once the kernel has been started
	fatal  atomic.Int32                  // signal that was sent to end the system, or 0

	pausing sync.Mutex
	paused  *kernel.ExternalStop // the user's pause; protected by pausing

	holding sync.Mutex
	held    bool   // signals wait for the end of the user's pause; protected by holding
	waiting []sent // those, in their order; protected by holding

	copies copies // files on their way in and out; end before world goes

	saving   sync.Mutex      // held while an image is written; guards world against it
	saved    string          // image after which the system is ended; protected by saving
	places   []control.Place // of the frames in the latest image, and where others ran long; protected by saving
	attempts atomic.Uint64   // number of the latest checkpoint
}

// Boot builds the system that o describes. It does not run before Run.
func Boot(ctx context.Context, o Options) (s *System, err error) {
	s = &System{opts: o, stops: make(chan *kernel.ExternalStop, 1), runs: make(chan struct{})}
	s.attempts.Store(o.Attempts)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.openEngine(ctx); err != nil {
		return s, err
	}
	if o.Image != nil {
		return s, s.bootImage(ctx, o.Image)
	}
	if s.module, err = ReadModule(o.Module); err != nil {
		return s, err
	}
	if err := s.compile(ctx); err != nil {
		return s, err
	}
	return s, s.bootModule(ctx)
}

// maxModule bounds a module's file, in bytes: an image holds no larger one.
const maxModule = 1 << 30

// ReadModule reads a module's file. What cannot be a module is named for what
// it is.
func ReadModule(f *os.File) ([]byte, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, cause(err)
	}
	if st.Size() > maxModule {
		return nil, fault.New(fault.NotRunnable, "%d bytes, a module has at most %d", st.Size(), maxModule)
	}
	b := make([]byte, st.Size())
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, st.Size()), b); err != nil {
		return nil, fmt.Errorf("read: %w", cause(err))
	}
	not := func(what, remedy string) ([]byte, error) {
		return nil, fault.Advise(fault.NotRunnable, errors.New(what), "%s", remedy)
	}
	switch {
	case len(b) == 0:
		return not("the file is empty", "build or fetch it again")
	case bytes.HasPrefix(bytes.TrimSpace(b[:min(len(b), 1<<10)]), []byte("(module")):
		return not("it is WebAssembly text", "make a module of it with wat2wasm")
	case !bytes.HasPrefix(b, []byte("\x00asm")):
		return not("it is not a WebAssembly module", "name a .wasm file")
	}
	return b, nil
}

// openEngine makes the engine, or takes the one that is being made.
func (s *System) openEngine(ctx context.Context) (err error) {
	defer func() { s.counts.Store(s.engine) }()
	if s.opts.engine != nil {
		e := <-s.opts.engine
		s.engine, s.cache = e.engine, e.cache
		return e.err
	}
	if s.opts.Cache != "" {
		s.cache = wazero.ReadCache(s.opts.Cache)
	}
	o := EngineOptions(s.cache, &s.opts.Spec)
	o.Pass.Counted = o.Pass.Counted || s.opts.Embedded // for kernel.Options.Yield
	s.engine, err = wazero.New(ctx, o)
	return err
}

// compiled is how many pieces of code the system had to compile itself and could not
// keep.
func (s *System) compiled() int64 {
	if e := s.counts.Load(); e != nil {
		return e.Unkept()
	}
	return 0
}

// EngineOptions are those that modules of a system are compiled with.
func EngineOptions(c *wazero.Cache, s *spec.Spec) wazero.Options {
	return wazero.Options{
		Cache: c, Workers: runtime.NumCPU(), Pass: instrument.Options{Counted: s.Stress() > 0}, Check: newCallTable(wasi.Options{}),
	}
}

// newCallTable has all that guests can import.
func newCallTable(o wasi.Options) *kernel.CallTable { return kernel.NewCallTable(wasi.Calls(o)) }

// callOptions are what calls make things of.
func (s *System) callOptions() wasi.Options {
	w := s.world
	return wasi.Options{Pipes: w.pipes, Epolls: w.epolls, Sockets: w.sockets, Ptys: w.ptys, Parallelism: s.parallelism()}
}

// load compiles a module that a process executes.
func (s *System) load(ctx context.Context, source []byte) (engine.Module, error) {
	return s.engine.Compile(ctx, source)
}

// compile makes the code of s.module.
func (s *System) compile(ctx context.Context) (err error) {
	s.symbols = symbols.New(s.module)
	s.code, err = s.engine.Compile(ctx, s.module)
	return err
}

func (s *System) kernelOptions() (kernel.Options, error) {
	var wall ktime.Wall // a restored system's own
	var err error
	if s.opts.Spec.Clock != "" {
		wall, err = ktime.ParseWall(s.opts.Spec.Clock)
	}
	limits := engine.Limits{Memory: s.opts.Spec.MaxMemory()}
	if b := s.world.memory; b != nil {
		limits.Budget = b
	}
	return kernel.Options{
		Calls:     newCallTable(s.callOptions()),
		Load:      s.load,
		Log:       s.opts.Log,
		Limits:    limits,
		CPUTime:   s.opts.Spec.CPUTime,
		CPUs:      kernel.MilliCPUs(s.opts.Spec.CPUs),
		MaxTasks:  int(s.opts.Spec.MaxTasks()),
		Snapshots: s.opts.Spec.Snapshots,
		Leaves:    s.opts.Alone && s.opts.Spec.StressCheckpoint == 0, // else its kernel is replaced again and again
		Rlimits:   s.rlimits(),
		Seed:      s.opts.Spec.Seed,
		Wall:      wall,
		Yield:     s.yield(),
	}, err
}

// rlimits are those of processes that have no other place.
func (s *System) rlimits() (r kernel.Rlimits) {
	sp := &s.opts.Spec
	r.Files = int64(maxFDs)
	if u, ok := sp.Ulimit("nofile"); ok {
		r.Files = u.Hard
	}
	if u, ok := sp.Ulimit("fsize"); ok {
		r.FileSize = u.Soft
	}
	if u, ok := sp.Ulimit("sigpending"); ok {
		r.SigPending = &u.Soft
	}
	return r
}

// limitFiles has the processes of a restored system have the limit of descriptors
// that its caller sets.
func (s *System) limitFiles(k *kernel.Kernel) {
	u, ok := s.opts.Spec.Ulimit("nofile")
	if !ok {
		return
	}
	for _, g := range k.Tasks().Processes() {
		if !g.Exiting() {
			g.Files().SetLimit(int(u.Soft))
		}
	}
}

// yieldPeriod is how long a system InProcess may keep Go's collector waiting.
const yieldPeriod = 10 * time.Millisecond

func (s *System) yield() time.Duration {
	if s.opts.Embedded {
		return yieldPeriod
	}
	return 0
}

// wall is the guest's wall time in ns since 1970; the host's while there is no
// kernel.
func (s *System) wall() int64 {
	if k := s.Kernel(); k != nil {
		return k.Clocks().Wall()
	}
	return ktime.Host.Wall()
}

func (s *System) stress() kernel.Stress {
	st := kernel.Stress{Every: s.opts.Spec.Stress()}
	if s.opts.Spec.StressCheckpoint > 0 {
		st.Stopped = func(stop *kernel.ExternalStop) {
			select {
			case s.stops <- stop:
			default: // another task was first: its stop is this one's, too
				stop.End()
			}
		}
	}
	return st
}

func (s *System) bootModule(ctx context.Context) (err error) {
	sp := &s.opts.Spec
	if s.world, err = newWorld(sp, s.opts.Granted, s, nil); err != nil {
		return err
	}
	fds, err := s.world.newFiles()
	if err != nil {
		return err
	}
	cwd, err := s.world.newContext()
	if err != nil {
		fds.CloseAll()
		return err
	}
	if err = s.newProcess(ctx, fds, cwd); err != nil {
		fds.CloseAll()
		cwd.Close()
	}
	return err
}

// newProcess makes the kernel and its first process. It closes nothing if it fails.
func (s *System) newProcess(ctx context.Context, fds *vfs.FDTable, cwd *vfs.FSContext) error {
	sp := &s.opts.Spec
	entry, params, err := s.entry()
	if err != nil {
		return err
	}
	env := sp.Env
	if sp.Workdir != "" && !slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "PWD=") }) {
		env = append(slices.Clone(env), "PWD="+sp.Workdir)
	}
	ko, err := s.kernelOptions()
	if err != nil {
		return err
	}
	k := kernel.New(ko)
	s.kernel.Store(k)
	_, err = k.CreateProcess(ctx, s.code, kernel.ProcessOptions{
		Args: sp.Args, Env: env, Files: fds, CWD: cwd, Source: s.module, Entry: entry, EntryArgs: params, Before: s.initializer(entry), Stress: s.stress(),
	})
	if err == nil && sp.TTY {
		err = s.control()
	}
	return err
}

// control has the terminal of a new system control the session of its first process.
func (s *System) control() error {
	if s.opts.Granted.Terminal == nil {
		return nil
	}
	t, err := s.opts.Granted.Terminal(ttyName)
	if err != nil || t == nil {
		return err
	}
	return s.Kernel().Init().SetControlling(t)
}

// findTerminal is the terminal of a name in a restored system, or nil.
func (s *System) findTerminal(name string) kernel.Terminal {
	for _, n := range s.world.ptys.Numbers() {
		if t := s.world.ptys.Get(n); t != nil && t.Name() == name {
			return t
		}
	}
	if s.opts.Granted.Terminal != nil {
		if t, err := s.opts.Granted.Terminal(name); err == nil && t != nil {
			return t
		}
	}
	return nil
}

// terminalSignal sends a signal of a terminal's to those in its foreground. While the
// system is paused it waits, and is the first process's then.
func (s *System) terminalSignal(t *ttyfs.Terminal, sig int32) {
	if s.hold(sent{sig: sig}) {
		return
	}
	if k := s.Kernel(); k != nil {
		k.SignalTerminal(t, sig)
	}
}

// parallelism is how many tasks may run at a time, for guests that ask.
func (s *System) parallelism() int {
	n := runtime.NumCPU()
	if c := s.opts.Spec.CPUs; c > 0 {
		n = min(n, int((c+999)/1000))
	}
	return n
}

// entry is the function to call and its arguments.
func (s *System) entry() (name string, params []uint64, err error) {
	name = "_start"
	if s.opts.Spec.Invoke != "" {
		name = s.opts.Spec.Invoke
	}
	_, t, ok := s.code.Export(name)
	if !ok {
		if s.opts.Spec.Invoke == "" {
			return "", nil, s.noCommand()
		}
		return "", nil, fmt.Errorf("the module exports no function %s", name)
	}
	if s.opts.Spec.Invoke == "" && len(t.Params)+len(t.Results) > 0 {
		return "", nil, fault.Advise(fault.NotRunnable, fmt.Errorf("function _start is of type %v -> %v: a WASI command's takes and returns nothing", t.Params, t.Results), "give it its arguments with --invoke _start")
	}
	if len(s.opts.Spec.Params) != len(t.Params) {
		return "", nil, fmt.Errorf("function %s takes %d arguments %v, not %d", name, len(t.Params), t.Params, len(s.opts.Spec.Params))
	}
	for i, p := range s.opts.Spec.Params {
		v, err := parseValue(p, t.Params[i])
		if err != nil {
			return "", nil, fmt.Errorf("argument %d of %s: %w", i+1, name, err)
		}
		params = append(params, v)
	}
	return name, params, nil
}

// initializer is the function that a reactor wants called before any other of
// its functions, as WASI has it: _initialize, of a module that is no command.
func (s *System) initializer(entry string) string {
	const name = "_initialize"
	_, _, command := s.code.Export("_start")
	_, _, reactor := s.code.Export(name)
	if command || !reactor || entry == name {
		return ""
	}
	return name
}

func (s *System) noCommand() error {
	what := "it is no WASI command"
	if s.initializer("") != "" {
		what = "it is a WASI reactor, a library"
	}
	return fault.Advise(fault.NotRunnable, errors.New("the module exports no function _start: "+what), "call another function with --invoke FUNC")
}

// bootImage builds the system of an image.
func (s *System) bootImage(ctx context.Context, im *image.Image) error {
	st, err := checkpoint.Open(im)
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	if s.code == nil {
		if s.module, err = s.savedModule(im, st); err != nil {
			return fmt.Errorf("image: %w", err)
		}
		if err := s.compile(ctx); err != nil {
			return fmt.Errorf("image: %w", err)
		}
	}
	if err := s.restore(ctx, im, st); err != nil {
		return fmt.Errorf("image: %w", err)
	}
	return nil
}

// savedModule is the module that an image is of: its own, or of a thin one what
// Options.Module holds, if it is that.
func (s *System) savedModule(im *image.Image, st *checkpoint.State) ([]byte, error) {
	want := st.Kernel.Processes[0].Module
	if c := im.Config(); !c.Thin() || s.opts.Module == nil {
		return checkpoint.ModuleOf(im, st)
	}
	b, err := ReadModule(s.opts.Module)
	if err != nil {
		return nil, fmt.Errorf("module: %w", err)
	}
	if got := sha256.Sum256(b); got != want {
		return nil, fault.Advise(fault.Refused, fmt.Errorf("module %x…: the image is of module %x…", got[:6], want[:6]), "name the file that the system ran")
	}
	return b, nil
}

func (s *System) restore(ctx context.Context, im *image.Image, st *checkpoint.State) (err error) {
	if s.world, err = newWorld(&s.opts.Spec, s.opts.Granted, s, st.MemoryMountsOver); err != nil {
		return err
	}
	ko, err := s.kernelOptions()
	if err != nil {
		return err
	}
	k, err := checkpoint.Restore(ctx, im, st, checkpoint.Restoring{
		Kernel: ko, World: s.world.World, Kinds: s.world.kinds(), Module: s.code, Source: s.module, Stress: s.stress(), Terminal: s.findTerminal,
	})
	if err == nil {
		s.limitFiles(k)
		s.world.hangUp()
		s.kernel.Store(k)
		s.first = outermost(st.Kernel.Processes[0].Tasks[0].Thread)
	}
	return err
}

// grantFlag is what a user has to say to grant what is missing.
func grantFlag(m *vfs.MissingError) string {
	switch m.Kind {
	case "mount":
		return "--dir HOST:" + m.Name
	case "directory below":
		if m.Name == "/" {
			return "--rootfs DIR"
		}
		return "-v HOST:" + m.Name + ":O"
	case "listener":
		return "--listen " + m.Name
	case "terminal":
		return "-t"
	}
	return "-i"
}

// Run runs the system to its end. Under StressCheckpoint the system is another
// one after each checkpoint.
func (s *System) Run(ctx context.Context) (kernel.ExitStatus, error) {
	if err := s.Kernel().Start(); err != nil {
		return kernel.ExitStatus{}, err
	}
	close(s.runs)
	for {
		k := s.Kernel()
		if sig := s.fatal.Load(); sig != 0 { // it may have come while there was no kernel
			_ = k.Init().Signal(sig) // a valid signal
		}
		gone := make(chan struct{})
		wait, cancel := context.WithCancel(ctx)
		var status kernel.ExitStatus
		var err error
		go func() {
			status, err = k.Init().Wait(wait)
			close(gone)
		}()
		select {
		case <-gone:
			cancel()
			return status, err
		case stop := <-s.stops:
			cancel()
			<-gone
			err := s.wakeElsewhere(ctx, stop)
			if errors.Is(err, kernel.ErrExiting) {
				continue // on its way out: there is nothing to wake
			}
			if err == nil {
				err = s.Kernel().Start()
			}
			if err != nil {
				return kernel.ExitStatus{}, fmt.Errorf("stress checkpoint: %w", err)
			}
		}
	}
}

// Signal sends the system a signal. SIGQUIT has the stacks of all tasks in the
// report of the system's end, as Go and Java print them. While it is paused, all but SIGKILL wait for
// it to be resumed; they are not saved with it.
func (s *System) Signal(sig int32) error {
	if sig > 0 && sig <= 64 && sig != kernel.SIGKILL && s.hold(sent{sig: sig}) {
		return nil
	}
	return s.signal(sig)
}

func (s *System) signal(sig int32) error {
	switch sig {
	case 0, kernel.SIGCHLD, kernel.SIGCONT, kernel.SIGSTOP, kernel.SIGTSTP, kernel.SIGTTIN, kernel.SIGTTOU, kernel.SIGURG, kernel.SIGWINCH:
	default:
		if sig > 0 && sig <= 64 {
			s.fatal.CompareAndSwap(0, sig) // before the kernel is looked at; see Run
		}
	}
	k := s.Kernel()
	if k == nil {
		return nil
	}
	return k.Init().Signal(sig)
}

// Kernel is the system's kernel.
func (s *System) Kernel() *kernel.Kernel { return s.kernel.Load() }

// drop ends the kernel and gives back what of the host it had.
func (s *System) drop() error {
	var err error
	s.copies.refuse(errEnded, true)
	if k := s.kernel.Swap(nil); k != nil {
		err = k.Close()
	}
	if s.world != nil {
		s.world.close()
		s.world = nil
	}
	return err
}

// Close ends the system and frees all.
func (s *System) Close() error {
	errs := []error{s.drop()}
	if s.code != nil {
		errs = append(errs, s.code.Close())
		s.code = nil
	}
	if s.engine != nil {
		errs = append(errs, s.engine.Close())
		s.engine = nil
	}
	if s.cache != nil {
		errs = append(errs, s.cache.Close())
		s.cache = nil
	}
	return errors.Join(errs...)
}
