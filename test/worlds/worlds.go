// Package worlds runs programs of many processes for tests, in this process and
// without a jail: left alone, stopped at safepoints, and saved and woken meanwhile as
// another system.
package worlds

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
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
	"github.com/stasis-run/stasis/internal/vfs/devfs"
	"github.com/stasis-run/stasis/internal/vfs/epoll"
	"github.com/stasis-run/stasis/internal/vfs/eventfd"
	"github.com/stasis-run/stasis/internal/vfs/hostfile"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
	"github.com/stasis-run/stasis/internal/vfs/pipefs"
	"github.com/stasis-run/stasis/internal/vfs/ttyfs"
)

// Patience is what no program takes unless it hangs.
const Patience = 2 * time.Minute

// A Code compiles modules, each once for all worlds.
type Code struct {
	engine *wazero.Engine

	mu      sync.Mutex
	modules map[[32]byte]engine.Module // protected by mu
}

// NewCode returns a Code that is closed at the end of the test.
func NewCode(t *testing.T, o wazero.Options) *Code {
	t.Helper()
	e, err := wazero.New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	c := &Code{engine: e, modules: make(map[[32]byte]engine.Module)}
	t.Cleanup(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		var errs []error
		for m := range maps.Values(c.modules) {
			errs = append(errs, m.Close())
		}
		if err := errors.Join(append(errs, e.Close())...); err != nil {
			t.Error(err)
		}
	})
	return c
}

// Load compiles a module that a process executes.
func (c *Code) Load(ctx context.Context, source []byte) (engine.Module, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	digest := sha256.Sum256(source)
	m := c.modules[digest]
	if m == nil {
		var err error
		if m, err = c.engine.Compile(ctx, source); err != nil {
			return nil, err
		}
		c.modules[digest] = m
	}
	return lent{m}, nil
}

// lent is a module that whoever has it does not close.
type lent struct{ engine.Module }

func (lent) Close() error { return nil }

// A Program is what the first process of a world runs.
type Program struct {
	*Code
	Source []byte
	Args   []string          // nil is one, the name "program"
	Env    []string          // NAME=value
	Files  map[string]string // contents by path below the root, which is in memory
	Dev    bool              // there is a /dev
}

// A World is what the processes of a program share: a file that they print to,
// and what makes pipes and such.
type World struct {
	t       *testing.T
	k       *kernel.Kernel
	program *Program
	world   checkpoint.World
	pipes   *pipefs.System
	epolls  *epoll.System
	ptys    *ttyfs.Ptys
}

func newWorld(t *testing.T, p *Program) *World {
	w := &World{t: t, program: p, pipes: pipefs.NewSystem(ktime.Host.Wall, nil), epolls: epoll.NewSystem(nil)}
	w.ptys = ttyfs.NewPtys(ttyfs.PtyOptions{Signal: func(t *ttyfs.Terminal, sig int32) { w.k.SignalTerminal(t, sig) }})
	w.world.Namespace = vfs.NewNamespace(ktime.Host.Wall)
	return w
}

func (w *World) options() kernel.Options {
	return kernel.Options{
		Calls: kernel.NewCallTable(wasi.Calls(wasi.Options{Pipes: w.pipes, Epolls: w.epolls, Ptys: w.ptys})),
		Load:  w.program.Load,
	}
}

// Start has its processes run, and returns w.
func (w *World) Start() *World {
	w.t.Helper()
	if err := w.k.Start(); err != nil {
		w.t.Fatal(err)
	}
	return w
}

// Close ends it.
func (w *World) Close() {
	w.t.Helper()
	if err := w.k.Close(); err != nil {
		w.t.Error(err)
	}
}

// mounts are the file systems that are made anew, or are there, in each world.
func (w *World) mounts(memory []vfs.Mount) []vfs.Mount {
	if w.program.Dev {
		memory = append(memory, vfs.Mount{Guest: "/dev", FS: devfs.New(devfs.Options{Random: func(b []byte) { rand.Read(b) }, Ptys: w.ptys})})
	}
	return memory
}

// Boot makes a program's first process, whose input is at its end, and whose
// output, of both streams, is a file. The caller starts and closes it.
func (p *Program) Boot(t *testing.T, stress kernel.Stress) *World {
	t.Helper()
	w := newWorld(t, p)
	memory := []vfs.Mount{{Guest: "/", FS: memfs.New(memfs.Options{Now: ktime.Host.Wall})}}
	if err := w.world.Namespace.MountAll(w.mounts(memory)); err != nil {
		t.Fatal(err)
	}
	cwd, err := vfs.NewFSContext(w.world.Namespace, "/")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Files)) {
		w.place(cwd, name, p.Files[name])
	}
	out := w.open(cwd, "out", abi.OCreat, abi.FDAppend)
	in, end, errno := w.pipes.New()
	if errno != abi.OK {
		t.Fatal(errno)
	}
	end.DecRef()
	fds := vfs.NewFDTable(64)
	out.IncRef()
	for _, f := range []*vfs.OpenFile{in, out, out} {
		if _, errno := fds.InstallAll(f); errno != abi.OK {
			t.Fatal(errno)
		}
	}
	w.k = kernel.New(w.options())
	m, err := p.Load(context.Background(), p.Source)
	if err != nil {
		t.Fatal(err)
	}
	args := p.Args
	if args == nil {
		args = []string{"program"}
	}
	if _, err := w.k.CreateProcess(context.Background(), m, kernel.ProcessOptions{
		Args: args, Env: p.Env, Files: fds, CWD: cwd, Entry: "_start", Stress: stress,
	}); err != nil {
		t.Fatal(err)
	}
	return w
}

// place makes a file.
func (w *World) place(cwd *vfs.FSContext, name, content string) {
	for dir := path.Dir(name); dir != "." && dir != "/"; dir = path.Dir(dir) {
		if _, errno := cwd.StatAt(nil, dir, 0); errno == abi.OK {
			break
		}
		if errno := cwd.MkdirAt(nil, dir); errno != abi.OK {
			w.t.Fatalf("mkdir %s: %v", dir, errno)
		}
	}
	f := w.open(cwd, name, abi.OCreat, 0)
	defer f.DecRef()
	for data := []byte(content); len(data) > 0; {
		n, errno := f.Write([][]byte{data})
		if errno != abi.OK {
			w.t.Fatalf("write %s: %v", name, errno)
		}
		data = data[n:]
	}
}

func (w *World) open(cwd *vfs.FSContext, name string, flags abi.OFlags, fdflags abi.FDFlags) *vfs.OpenFile {
	w.t.Helper()
	f, errno := cwd.OpenAt(nil, name, 0, flags, true, true, fdflags)
	if errno != abi.OK {
		w.t.Fatalf("open %s: %v", name, errno)
	}
	return f
}

// Elsewhere saves the system, ends it and makes one of the image, not started. It
// is false if the program had ended.
func (w *World) Elsewhere(dir string) (*World, bool) {
	t := w.t
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	draft, err := image.Create(image.OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = checkpoint.Save(ctx, w.k, w.world, checkpoint.Options{
		Create: draft.File, Publish: draft.Publish, Module: w.program.Source, Config: image.Config{Stasis: "test"},
	})
	if errors.Is(err, kernel.ErrExiting) {
		if err := draft.Abort(); err != nil {
			t.Error(err)
		}
		return w, false
	}
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	return w.wake(dir), true
}

// wake makes a system of an image.
func (w *World) wake(dir string) *World {
	t := w.t
	t.Helper()
	im, err := image.Open(image.OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	st, err := checkpoint.Open(im)
	if err != nil {
		t.Fatal(err)
	}
	n := newWorld(t, w.program)
	memory, err := st.MemoryMounts(ktime.Host.Wall)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.world.Namespace.MountAll(n.mounts(memory)); err != nil {
		t.Fatal(err)
	}
	kinds := hostfile.Restorers(nil, nil)
	maps.Copy(kinds, map[string]vfs.RestoreFunc{pipefs.Kind: n.pipes.Restore, epoll.Kind: n.epolls.Restore, eventfd.Kind: eventfd.Restore, ttyfs.MasterKind: n.ptys.Restore})
	kinds[ttyfs.Kind] = ttyfs.Restore(func(name string) (*ttyfs.Terminal, error) { return n.ptys.Provide(name), nil })
	m, err := w.program.Load(context.Background(), w.program.Source)
	if err != nil {
		t.Fatal(err)
	}
	if n.k, err = checkpoint.Restore(context.Background(), im, st, checkpoint.Restoring{
		Kernel: n.options(), World: n.world, Kinds: kinds, Module: m, Source: w.program.Source, Terminal: n.terminal,
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// terminal finds a pty that is open in a restored world.
func (w *World) terminal(name string) kernel.Terminal {
	for _, n := range w.ptys.Numbers() {
		if t := w.ptys.Get(n); t != nil && t.Name() == name {
			return t
		}
	}
	return nil
}

// Ends waits for the end and returns what was printed and the exit code, as a line.
func (w *World) Ends() string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	st, err := w.k.Init().Wait(ctx)
	if err != nil {
		w.t.Fatalf("the program hangs: %v: %+v\n%s", err, w.k.Stats(), w.Printed())
	}
	code := int(st.Code)
	if st.Signal != 0 {
		code = 128 + int(st.Signal)
	}
	end := w.Printed() + fmt.Sprintf("rc %d\n", code)
	if st.Trap != nil {
		end += "trap: " + st.Trap.Message + "\n" + st.Trap.Stack()
	}
	return end
}

// Printed is what its processes have printed so far.
func (w *World) Printed() string {
	w.t.Helper()
	root, err := w.world.Namespace.OpenRoot("/")
	if err != nil {
		w.t.Fatal(err)
	}
	defer root.DecRef()
	out, errno := w.world.Namespace.OpenAt(root, "out", 0, 0, true, false, 0)
	if errno != abi.OK {
		w.t.Fatal(errno)
	}
	defer out.DecRef()
	var all bytes.Buffer
	buf := make([]byte, 4096)
	for {
		n, errno := out.Read([][]byte{buf})
		if errno != abi.OK {
			w.t.Fatal(errno)
		}
		if n == 0 {
			return all.String()
		}
		all.Write(buf[:n])
	}
}

// Run runs a program to its end: Ends tells what it returns.
func (p *Program) Run(t *testing.T, stress kernel.Stress) string {
	t.Helper()
	w := p.Boot(t, stress)
	defer w.Close()
	return w.Start().Ends()
}

// Saved runs a program and saves and wakes all its processes up to so many times, each
// time after they have computed a little. It returns what Ends does, how often they were
// saved, and how many processes there were then, at most.
func (p *Program) Saved(t *testing.T, most int) (end string, saves, processes int) {
	t.Helper()
	w, ok := p.Boot(t, kernel.Stress{}).Start(), true
	defer func() { w.Close() }()
	for ok && saves < most {
		for was, end := w.cpu(), time.Now().Add(5*time.Millisecond); time.Now().Before(end) && w.cpu() < was+200_000; {
			runtime.Gosched()
		}
		if w, ok = w.Elsewhere(filepath.Join(t.TempDir(), strconv.Itoa(saves))); ok {
			saves++
			processes = max(processes, len(w.k.Tasks().Processes()))
			w.Start()
		}
	}
	return w.Ends(), saves, processes
}

// cpu is how long the first process has computed.
func (w *World) cpu() int64 { return w.k.Init().CPUTime() }

// Difference tells where two outputs differ first.
func Difference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		line := func(s []string) string {
			if i < len(s) {
				return strconv.Quote(s[i])
			}
			return "its end"
		}
		if line(g) != line(w) {
			return fmt.Sprintf("line %d: got %s, want %s", i+1, line(g), line(w))
		}
	}
	return ""
}
