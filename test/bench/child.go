package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	plain "github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/ktime"
	"github.com/stasis-run/stasis/internal/memory"
	"github.com/stasis-run/stasis/internal/syscalls/wasi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/hostfile"
	"github.com/stasis-run/stasis/internal/vfs/hostfs"
)

// A childSpec is one measured run, in a process of its own.
type childSpec struct {
	File      string // module
	Args, Env []string
	Root      string // a directory of the host, the guest's /
	Cache     string // of compiled code; "" is none
	Ours      bool   // through the pass and our kernel; else plain wazero
	Peel      int    // instrument.Options.PeelLimit
	Interpret wazero.Interpret
	StopEvery time.Duration
	Count     int32 // unwind at every so manieth safepoint, to count them
	Compile   bool  // compile only, and measure that
	Gated     bool  // it waits at a gate before the guest begins, or the compiling
	Whole     bool  // the parent times it from its start to its end: nothing is done for the measuring

	gate *gate // that, of the parent
}

// A childResult is what it measured. Times are of the whole process, in ns,
// from just before the guest began until it was gone.
type childResult struct {
	User, Sys, Wall time.Duration
	Exit            int
	Error           string          `json:",omitempty"`
	Unwinds         uint64          `json:",omitempty"`
	Latencies       []time.Duration `json:",omitempty"`
	Pass            time.Duration   `json:",omitempty"` // Compile: user CPU of the pass alone
}

const (
	childVar = "STASIS_BENCH_CHILD" // the childSpec of a process that is a child
	resultFD = 3                    // where its childResult goes; stdout is the guest's
	gateFD   = 4                    // Gated: what it waits for the end of
)

func child(spec string) {
	var s childSpec
	var r childResult
	err := json.Unmarshal([]byte(spec), &s)
	if err == nil {
		switch {
		case s.Compile:
			err = s.compile(&r)
		case s.Ours:
			err = s.runOurs(&r)
		default:
			err = s.runPlain(&r)
		}
	}
	if err != nil {
		r.Error = err.Error()
	}
	if err := json.NewEncoder(os.NewFile(resultFD, "result")).Encode(&r); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// await has the garbage of loading collected, which is not the guest's, and waits
// for the others at the gate.
func (s *childSpec) await() error {
	runtime.GC()
	if !s.Gated {
		return nil
	}
	if _, err := syscall.Write(resultFD, []byte("\n")); err != nil {
		return fmt.Errorf("gate: %w", err)
	}
	f := os.NewFile(gateFD, "gate")
	defer f.Close()
	_, err := io.Copy(io.Discard, f)
	return err
}

// A usage is what a process has used.
type usage struct {
	user, sys time.Duration
	at        time.Time
}

func used() usage {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r) // cannot fail for RUSAGE_SELF
	return usage{time.Duration(r.Utime.Nano()), time.Duration(r.Stime.Nano()), time.Now()}
}

func (r *childResult) since(b usage) {
	e := used()
	r.User, r.Sys, r.Wall = e.user-b.user, e.sys-b.sys, e.at.Sub(b.at)
}

// features are those of the adapter.
const features = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall | experimental.CoreFeaturesExtendedConst |
	experimental.CoreFeaturesTypedFunctionReferences

// plainMemory gives plain wazero memories like ours, so that they make no
// difference.
func plainMemory(ctx context.Context) context.Context {
	return experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(func(_, limit uint64) experimental.LinearMemory {
		l, err := memory.New(limit)
		if err != nil {
			panic(err)
		}
		return wazero.Linear{Linear: l}
	}))
}

func (s *childSpec) runPlain(r *childResult) error {
	ctx := context.Background()
	config := plain.NewRuntimeConfigCompiler().WithCoreFeatures(features).WithMemoryLimitPages(65535).
		WithDebugInfoEnabled(false) // else each start would read CPython's DWARF, for traces; we read none
	if s.Cache != "" {
		c, err := plain.NewCompilationCacheWithDir(s.Cache)
		if err != nil {
			return err
		}
		config = config.WithCompilationCache(c)
	}
	rt := plain.NewRuntimeWithConfig(ctx, config)
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, rt); err != nil {
		return err
	}
	b, err := os.ReadFile(s.File)
	if err != nil {
		return err
	}
	m, err := rt.CompileModule(ctx, b)
	if err != nil {
		return err
	}
	cfg := plain.NewModuleConfig().WithName("").WithArgs(s.Args...).WithStdin(strings.NewReader("")).
		WithStdout(os.Stdout).WithStderr(os.Stderr).WithSysWalltime().WithSysNanotime().WithSysNanosleep().WithRandSource(rand.Reader).
		WithFSConfig(plain.NewFSConfig().WithDirMount(s.Root, "/")).WithStartFunctions()
	for _, e := range s.Env {
		k, v, _ := strings.Cut(e, "=")
		cfg = cfg.WithEnv(k, v)
	}
	if !s.Whole { // as kernel.OwnCollector does for ours
		debug.SetGCPercent(-1)
		runtime.GOMAXPROCS(runtime.NumCPU() + 2)
	}
	i, err := rt.InstantiateModule(plainMemory(ctx), m, cfg)
	if err != nil {
		return err
	}
	if !s.Whole {
		if err := s.await(); err != nil {
			return err
		}
	}
	begin := used()
	_, err = i.ExportedFunction("_start").Call(ctx)
	r.since(begin)
	var exit *sys.ExitError
	if errors.As(err, &exit) {
		r.Exit, err = int(exit.ExitCode()), nil
	}
	return err
}

// watched hands out the threads that it makes, to count their unwinds.
type watched struct {
	engine.Module
	threads []engine.Thread
}

func (w *watched) New(ctx context.Context, host engine.Host, limits engine.Limits, state *engine.State) (engine.Thread, error) {
	t, err := w.Module.New(ctx, host, limits, state)
	if err == nil {
		w.threads = append(w.threads, t)
	}
	return t, err
}

func (w *watched) unwinds() (n uint64) {
	for _, t := range w.threads {
		n += t.Unwinds()
	}
	return n
}

// files are the fds of the guest: the standard streams and the root.
func (s *childSpec) files() (*vfs.FDTable, error) {
	poller, err := hostfile.NewPoller()
	if err != nil {
		return nil, err
	}
	fs, err := hostfs.Open(s.Root, hostfs.Options{})
	if err != nil {
		return nil, err
	}
	ns := vfs.NewNamespace(ktime.Host.Wall)
	if err := ns.Mount(vfs.Mount{Guest: "/", FS: fs}); err != nil {
		return nil, err
	}
	fds := vfs.NewFDTable(1024)
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	for i, fd := range []int{int(null.Fd()), 1, 2} {
		f, err := hostfile.Inherit(poller, fd, [...]string{"stdin", "stdout", "stderr"}[i])
		if err != nil {
			return nil, err
		}
		if _, errno := fds.InstallAll(vfs.NewOpenFile(f, i == 0, i != 0, 0)); errno != 0 {
			return nil, errno
		}
	}
	root, err := ns.OpenRoot("/")
	if err != nil {
		return nil, err
	}
	if _, errno := fds.Preopen(root, "/"); errno != 0 {
		return nil, errno
	}
	return fds, nil
}

func (s *childSpec) runOurs(r *childResult) error {
	ctx := context.Background()
	opts := wazero.Options{Pass: instrument.Options{PeelLimit: s.Peel, Counted: s.Count > 0}, Interpret: s.Interpret}
	if s.Cache != "" {
		var err error
		if opts.Cache, err = wazero.OpenCache(s.Cache); err != nil {
			return err
		}
	}
	e, err := wazero.New(ctx, opts)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(s.File)
	if err != nil {
		return err
	}
	m, err := e.Compile(ctx, b)
	if err != nil {
		return err
	}
	w := &watched{Module: m}
	fds, err := s.files()
	if err != nil {
		return err
	}
	k := kernel.New(kernel.Options{Calls: kernel.NewCallTable(wasi.Calls(wasi.Options{}))})
	if _, err := k.CreateProcess(ctx, w, kernel.ProcessOptions{Args: s.Args, Env: s.Env, Files: fds, Entry: "_start", Stress: kernel.Stress{Every: s.Count}}); err != nil {
		return err
	}
	kernel.OwnCollector()
	if err := s.await(); err != nil {
		return err
	}
	begin := used()
	if err := k.Start(); err != nil {
		return err
	}
	var over atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		if s.StopEvery > 0 {
			r.Latencies = stopEvery(k, s.StopEvery, &over)
		}
	}()
	st, err := k.Init().Wait(ctx)
	r.since(begin)
	over.Store(true)
	<-done
	if err != nil {
		return err
	}
	if st.Trap != nil {
		return fmt.Errorf("trap: %s\n%s", st.Trap.Message, st.Trap.Stack())
	}
	if st.Signal != 0 {
		return fmt.Errorf("signal %d", st.Signal)
	}
	r.Exit, r.Unwinds = int(st.Code), w.unwinds()
	return nil
}

// stopPoll is how often stopEvery looks at the CPU clock. A look costs 70 µs of
// CPU, which count.
const stopPoll = 20 * time.Millisecond

// stopEvery stops all tasks whenever the process has used another d of CPU, and
// tells how long each stop took to come about. It goes by CPU time since the
// guest may get only part of a CPU.
func stopEvery(k *kernel.Kernel, d time.Duration, over *atomic.Bool) (out []time.Duration) {
	u := used()
	next := u.user + u.sys + d
	for {
		time.Sleep(stopPoll)
		if over.Load() {
			return out
		}
		if u = used(); u.user+u.sys < next {
			continue
		}
		next += d
		begin := time.Now()
		stop := k.Tasks().BeginExternalStop()
		err := stop.Wait(context.Background())
		took := time.Since(begin)
		stop.End()
		if err == nil && !over.Load() {
			out = append(out, took)
		}
	}
}

// compile compiles without a cache and on one thread.
func (s *childSpec) compile(r *childResult) error {
	ctx := context.Background()
	b, err := os.ReadFile(s.File)
	if err != nil {
		return err
	}
	runtime.GOMAXPROCS(1) // the collector's work is counted, but not done in idle time
	if !s.Ours {
		rt := plain.NewRuntimeWithConfig(ctx, plain.NewRuntimeConfigCompiler().WithCoreFeatures(features))
		if err := s.await(); err != nil {
			return err
		}
		begin := used()
		_, err := rt.CompileModule(ctx, b)
		r.since(begin)
		return err
	}
	e, err := wazero.New(ctx, wazero.Options{})
	if err != nil {
		return err
	}
	if err := s.await(); err != nil {
		return err
	}
	begin := used()
	if _, err = e.Compile(ctx, b); err != nil {
		return err
	}
	r.since(begin)
	digest := sha256.Sum256(b) // in the time of compiling, not in that of the pass
	runtime.GC()
	begin = used()
	p, err := instrument.NewNamed(b, digest, instrument.Options{})
	if err != nil {
		return err
	}
	if _, err := p.Hot(); err != nil {
		return err
	}
	r.Pass = used().user - begin.user
	return nil
}

// privateCache makes a cache that begins with what another one has, so that
// continuations are compiled anew.
func privateCache(from, to string) error {
	return filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		return os.Link(path, filepath.Join(to, rel))
	})
}
