package stops

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/checkpoint"
	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/ktime"
	"github.com/stasis-run/stasis/internal/syscalls/wasi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/hostfile"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
)

var (
	stopsFlag = flag.Int("stops", 300, "stops of a compute loop to measure")
	allocFlag = flag.Duration("alloc", 3*time.Second, "for how long to allocate beside a looping guest")
	aloneFlag = flag.Duration("alone", 2*time.Second, "for how long a guest is left alone to count its unwinds")
)

func TestMain(m *testing.M) {
	flag.Parse()
	kernel.OwnCollector()
	os.Exit(m.Run())
}

// patience is what no step here takes unless something hangs.
const patience = 30 * time.Second

// A grant is what a system has of the host: names as they are saved.
type grant struct {
	stdin  func(p *hostfile.Poller) (vfs.File, error) // fd 0
	listen string                                     // fd 1, if not ""
	limits func(*kernel.Options)                      // of the kernel; nil for none
}

// A system is a kernel with the real engine and one process.
type system struct {
	code   []byte
	grant  grant
	engine *wazero.Engine
	mod    *spy
	poller *hostfile.Poller
	world  checkpoint.World
	k      *kernel.Kernel
}

// A spy remembers the thread that its module made.
type spy struct {
	engine.Module
	mu     sync.Mutex
	thread engine.Thread // protected by mu
}

func (s *spy) New(ctx context.Context, h engine.Host, l engine.Limits, st *engine.State) (engine.Thread, error) {
	th, err := s.Module.New(ctx, h, l, st)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.thread = th
	return th, err
}

// prepare opens all that a system needs but its kernel.
func prepare(t testing.TB, code []byte, g grant, mounts []vfs.Mount) *system {
	t.Helper()
	s := &system{code: code, grant: g}
	must := func(err error) {
		t.Helper()
		if err != nil {
			s.close(t)
			t.Fatal(err)
		}
	}
	var err error
	s.engine, err = wazero.New(context.Background(), wazero.Options{})
	must(err)
	m, err := s.engine.Compile(context.Background(), code)
	must(err)
	s.mod = &spy{Module: m}
	s.poller, err = hostfile.NewPoller()
	must(err)
	s.world.Namespace = vfs.NewNamespace(ktime.Host.Wall)
	must(s.world.Namespace.MountAll(mounts))
	return s
}

func (g grant) options() kernel.Options {
	o := kernel.Options{Calls: kernel.NewCallTable(wasi.Calls(wasi.Options{}))}
	if g.limits != nil {
		g.limits(&o)
	}
	return o
}

// boot makes a system that runs code. It runs once started. The caller closes it
// before a benchmark's function returns: measuring stops the world.
func boot(t testing.TB, code []byte, g grant) *system {
	t.Helper()
	s := prepare(t, code, g, []vfs.Mount{{Guest: "/", FS: memfs.New(memfs.Options{Now: ktime.Host.Wall})}})
	fds := vfs.NewFDTable(16)
	install := func(f vfs.File, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if _, errno := fds.InstallAll(vfs.NewOpenFile(f, true, false, 0)); errno != abi.OK {
			t.Fatal(errno)
		}
	}
	if g.stdin != nil {
		install(g.stdin(s.poller))
	} else {
		install(hostfile.Inherit(s.poller, int(null(t).Fd()), "stdin"))
	}
	if g.listen != "" {
		install(hostfile.Listen(context.Background(), s.poller, g.listen))
	}
	s.k = kernel.New(g.options())
	if _, err := s.k.CreateProcess(context.Background(), s.mod, kernel.ProcessOptions{Files: fds, Entry: "_start"}); err != nil {
		s.close(t)
		t.Fatal(err)
	}
	return s
}

func null(t testing.TB) *os.File {
	t.Helper()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// begin boots a system and starts it.
func begin(t testing.TB, code []byte, g grant) *system {
	t.Helper()
	s := boot(t, code, g)
	s.start(t)
	return s
}

func (s *system) start(t testing.TB) {
	t.Helper()
	if err := s.k.Start(); err != nil {
		t.Fatal(err)
	}
}

func (s *system) close(t testing.TB) {
	t.Helper()
	var errs []error
	if s.k != nil {
		errs = append(errs, s.k.Close())
	}
	if s.poller != nil {
		errs = append(errs, s.poller.Close())
	}
	if s.mod != nil {
		errs = append(errs, s.mod.Close())
	}
	if s.engine != nil {
		errs = append(errs, s.engine.Close())
	}
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}

// until waits for a state of the task.
func (s *system) until(t testing.TB, want kernel.RunState) {
	t.Helper()
	limit := time.Now().Add(patience)
	for s.k.Tasks().All()[0].State() != want {
		if time.Now().After(limit) {
			t.Fatalf("the task is %v, not %v", s.k.Tasks().All()[0].State(), want)
		}
		runtime.Gosched()
	}
}

// running waits until guest code runs: the CPU clock moves.
func (s *system) running(t testing.TB) {
	t.Helper()
	s.until(t, kernel.Running)
	limit := time.Now().Add(patience)
	for s.k.Init().CPUTime() == 0 {
		if time.Now().After(limit) {
			t.Fatal("the guest does not run")
		}
		runtime.Gosched()
	}
}

// stop stops all tasks and tells how long that took.
func (s *system) stop(t testing.TB) (*kernel.ExternalStop, time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	at := time.Now()
	stop := s.k.Tasks().BeginExternalStop()
	if err := stop.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	return stop, time.Since(at)
}

func (s *system) wait(t testing.TB) kernel.ExitStatus {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	st, err := s.k.Init().Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// elsewhere saves the system, ends it, and makes one of the image, with another
// engine and files opened anew; it is not started. It also tells how long the
// task took to stop, and the state that was saved.
func (s *system) elsewhere(t *testing.T, g grant) (*system, checkpoint.Stats, *checkpoint.State) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	dir := filepath.Join(t.TempDir(), "image")
	draft, err := image.Create(image.OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	stats, err := checkpoint.Save(ctx, s.k, s.world, checkpoint.Options{
		Create: draft.File, Publish: draft.Publish, Module: s.code, Config: image.Config{Stasis: "test"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.close(t)
	im, err := image.Open(image.OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	st, err := checkpoint.Open(im)
	if err != nil {
		t.Fatal(err)
	}
	code, err := checkpoint.ModuleOf(im, st)
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := st.MemoryMounts(ktime.Host.Wall)
	if err != nil {
		t.Fatal(err)
	}
	n := prepare(t, code, g, mounts)
	stdio := func(string) (vfs.File, error) {
		if g.stdin != nil {
			return g.stdin(n.poller)
		}
		return hostfile.Inherit(n.poller, int(null(t).Fd()), "stdin")
	}
	listeners := func(name string) (vfs.File, error) {
		return hostfile.Listen(ctx, n.poller, name)
	}
	n.k, err = checkpoint.Restore(ctx, im, st, checkpoint.Restoring{
		Kernel: g.options(), World: n.world, Kinds: hostfile.Restorers(stdio, listeners), Module: n.mod,
	})
	if err != nil {
		n.close(t)
		t.Fatal(err)
	}
	return n, stats, st
}
