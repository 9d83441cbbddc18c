// Package threads runs guests with threads on the real engine, saves them in
// the midst of it and wakes them elsewhere. The guests are C without a libc
// (testdata, build.sh); whatever is done to them, they have to print and return
// what they do when left alone.
package threads

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
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
	"github.com/stasis-run/stasis/internal/vfs/pipefs"
)

// TestMain keeps Go's collector from starting behind a looping guest.
func TestMain(m *testing.M) {
	flag.Parse()
	kernel.OwnCollector()
	os.Exit(m.Run())
}

// patience is what no step here takes unless something hangs: the watchdog over
// deadlocks.
const patience = 2 * time.Minute

// A guest is a program of testdata, compiled.
type guest struct {
	code   []byte
	engine *wazero.Engine
	module engine.Module
}

func load(t testing.TB, name string, o wazero.Options) *guest {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return compile(t, b, o)
}

func compile(t testing.TB, b []byte, o wazero.Options) *guest {
	t.Helper()
	e, err := wazero.New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	m, err := e.Compile(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(m.Close(), e.Close()); err != nil {
			t.Error(err)
		}
	})
	return &guest{b, e, m}
}

// A system runs a guest. Its fds are 0, a pipe's end to read from, whose other
// end is 2, and 1, a file in memory.
type system struct {
	guest  *guest
	opts   func(*kernel.Options) // nil for none
	stress kernel.Stress
	world  checkpoint.World
	k      *kernel.Kernel
}

func (s *system) options() kernel.Options {
	o := kernel.Options{Calls: kernel.NewCallTable(wasi.Calls(wasi.Options{}))}
	if s.opts != nil {
		s.opts(&o)
	}
	return o
}

// boot makes a system that is not started. The caller closes it.
func (g *guest) boot(t testing.TB, opts func(*kernel.Options), stress kernel.Stress, args ...int) *system {
	t.Helper()
	s := &system{guest: g, opts: opts, stress: stress}
	s.world.Namespace = vfs.NewNamespace(ktime.Host.Wall)
	if err := s.world.Namespace.Mount(vfs.Mount{Guest: "/", FS: memfs.New(memfs.Options{Now: ktime.Host.Wall})}); err != nil {
		t.Fatal(err)
	}
	fds := vfs.NewFDTable(16)
	r, w, errno := pipefs.NewSystem(ktime.Host.Wall, nil).New()
	if errno != abi.OK {
		t.Fatal(errno)
	}
	root := must(s.world.Namespace.OpenRoot("/"))(t)
	out, errno := s.world.Namespace.OpenAt(root, "out", 0, abi.OCreat, true, true, 0)
	if errno != abi.OK {
		t.Fatal(errno)
	}
	for _, f := range []*vfs.OpenFile{r, out, w} {
		if _, errno := fds.InstallAll(f); errno != abi.OK {
			t.Fatal(errno)
		}
	}
	root.DecRef()
	argv := []string{"guest"}
	for _, a := range args {
		argv = append(argv, strconv.Itoa(a))
	}
	s.k = kernel.New(s.options())
	if _, err := s.k.CreateProcess(context.Background(), g.module, kernel.ProcessOptions{
		Args: argv, Files: fds, Entry: "_start", Stress: stress,
	}); err != nil {
		t.Fatal(err)
	}
	return s
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (s *system) start(t testing.TB) *system {
	t.Helper()
	if err := s.k.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *system) close(t testing.TB) {
	t.Helper()
	if err := s.k.Close(); err != nil {
		t.Error(err)
	}
}

// output is what the guest has printed.
func (s *system) output(t testing.TB) string {
	t.Helper()
	root := must(s.world.Namespace.OpenRoot("/"))(t)
	defer root.DecRef()
	f, errno := s.world.Namespace.OpenAt(root, "out", 0, 0, true, false, 0)
	if errno != abi.OK {
		t.Fatal(errno)
	}
	defer f.DecRef()
	var out bytes.Buffer
	buf := make([]byte, 4096)
	for {
		n, errno := f.Read([][]byte{buf})
		if errno != abi.OK {
			t.Fatal(errno)
		}
		if n == 0 {
			return out.String()
		}
		out.Write(buf[:n])
	}
}

// wait waits for the end, and describes all that can be seen of it.
func (s *system) wait(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	st, err := s.k.Init().Wait(ctx)
	if err != nil {
		t.Fatalf("the guest hangs: %v: %+v", err, s.k.Stats())
	}
	out := fmt.Sprintf("code %d, signal %d\n", st.Code, st.Signal)
	if st.Trap != nil {
		out += "trap: " + st.Trap.Message + "\n" + st.Trap.Stack()
	}
	return out + s.output(t)
}

// run runs a guest to its end, left alone.
func (g *guest) run(t testing.TB, args ...int) string {
	t.Helper()
	s := g.boot(t, nil, kernel.Stress{}, args...)
	defer s.close(t)
	return s.start(t).wait(t)
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

// elsewhere saves the system, ends it and makes one of the image. It is false
// if the guest had ended. An image is what the new system is made of, byte by
// byte: nothing else gets there.
func (s *system) elsewhere(t testing.TB, dir string) (n *system, saved *checkpoint.State, ok bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	draft := must(image.Create(image.OS, dir))(t)
	_, err := checkpoint.Save(ctx, s.k, s.world, checkpoint.Options{
		Create: draft.File, Publish: draft.Publish, Module: s.guest.code, Config: image.Config{Stasis: "test"},
	})
	if errors.Is(err, kernel.ErrExiting) {
		if err := draft.Abort(); err != nil {
			t.Error(err)
		}
		return s, nil, false
	}
	if err != nil {
		t.Fatal(err)
	}
	s.close(t)
	n, saved = s.guest.wake(t, dir, s.opts, s.stress)
	return n, saved, true
}

// wake makes a system of an image. It is not started.
func (g *guest) wake(t testing.TB, dir string, opts func(*kernel.Options), stress kernel.Stress) (*system, *checkpoint.State) {
	t.Helper()
	im := must(image.Open(image.OS, dir))(t)
	defer im.Close()
	st := must(checkpoint.Open(im))(t)
	n := &system{guest: g, opts: opts, stress: stress}
	n.world.Namespace = vfs.NewNamespace(ktime.Host.Wall)
	if err := n.world.Namespace.MountAll(must(st.MemoryMounts(ktime.Host.Wall))(t)); err != nil {
		t.Fatal(err)
	}
	kinds := hostfile.Restorers(nil, nil)
	maps.Copy(kinds, map[string]vfs.RestoreFunc{pipefs.Kind: pipefs.NewSystem(ktime.Host.Wall, nil).Restore})
	var err error
	n.k, err = checkpoint.Restore(context.Background(), im, st, checkpoint.Restoring{
		Kernel: n.options(), World: n.world, Kinds: kinds, Module: g.module, Stress: stress,
	})
	if err != nil {
		t.Fatal(err)
	}
	return n, st
}
