package processes

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"path"
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

// A program is a module, compiled, and those that its processes execute.
type program struct {
	code   []byte
	engine *wazero.Engine
	module engine.Module
	park   time.Duration // kernel.Options.ParkAfter
	memory *vfs.Budget   // of all processes; nil is no bound

	mu     sync.Mutex
	others map[[32]byte]engine.Module // by digest; protected by mu
}

func compile(t testing.TB, code []byte, o wazero.Options) *program {
	t.Helper()
	e, err := wazero.New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	m, err := e.Compile(context.Background(), code)
	if err != nil {
		t.Fatal(err)
	}
	p := &program{code: code, engine: e, module: m, others: make(map[[32]byte]engine.Module)}
	t.Cleanup(func() {
		var errs []error
		for _, o := range p.others {
			errs = append(errs, o.Close())
		}
		if err := errors.Join(append(errs, m.Close(), e.Close())...); err != nil {
			t.Error(err)
		}
	})
	return p
}

// load compiles what a process executes, once for all worlds.
func (p *program) load(ctx context.Context, source []byte) (engine.Module, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	digest := sha256.Sum256(source)
	m := p.others[digest]
	if m == nil {
		var err error
		if m, err = p.engine.Compile(ctx, source); err != nil {
			return nil, err
		}
		p.others[digest] = m
	}
	return kept{m}, nil
}

// A kept module outlives the kernels that have loaded it.
type kept struct{ engine.Module }

func (kept) Close() error { return nil }

// An errand is what a program is run for.
type errand struct {
	args  []string          // without its name
	files map[string][]byte // in the directory /job, which it is run in; nil: it has no files at all
	bin   map[string][]byte // in the directory /bin, if there are files
	env   []string          // NAME=value
}

// A world is what the processes of a program share: a file that they print to,
// and what makes pipes and such.
type world struct {
	t       testing.TB
	k       *kernel.Kernel
	program *program
	world   checkpoint.World
	pipes   *pipefs.System
	epolls  *epoll.System
	ptys    *ttyfs.Ptys
}

func newWorld(t testing.TB, p *program) *world {
	w := &world{t: t, program: p, pipes: pipefs.NewSystem(ktime.Host.Wall, nil), epolls: epoll.NewSystem(nil)}
	w.ptys = ttyfs.NewPtys(ttyfs.PtyOptions{Signal: func(t *ttyfs.Terminal, sig int32) { w.k.SignalTerminal(t, sig) }})
	w.world.Namespace = vfs.NewNamespace(ktime.Host.Wall)
	return w
}

func (w *world) options() kernel.Options {
	o := kernel.Options{
		Calls: kernel.NewCallTable(wasi.Calls(wasi.Options{Pipes: w.pipes, Epolls: w.epolls, Ptys: w.ptys})),
		Load:  w.program.load, ParkAfter: w.program.park,
	}
	if w.program.memory != nil {
		o.Limits.Budget = w.program.memory
	}
	return o
}

func (w *world) start() *world {
	w.t.Helper()
	if err := w.k.Start(); err != nil {
		w.t.Fatal(err)
	}
	return w
}

func (w *world) close() {
	w.t.Helper()
	if err := w.k.Close(); err != nil {
		w.t.Error(err)
	}
}

// mount mounts file systems in memory, and those that belong to nobody.
func (w *world) mount(mounts ...vfs.Mount) {
	w.t.Helper()
	dev := devfs.New(devfs.Options{Random: func(b []byte) { clear(b) }, Ptys: w.ptys})
	if err := w.world.Namespace.MountAll(append(mounts, vfs.Mount{Guest: "/dev", FS: dev})); err != nil {
		w.t.Fatal(err)
	}
}

// file opens a file of the root directory.
func (w *world) file(name string, oflags abi.OFlags, flags abi.FDFlags) *vfs.OpenFile {
	w.t.Helper()
	root, err := w.world.Namespace.OpenRoot("/")
	if err != nil {
		w.t.Fatal(err)
	}
	defer root.DecRef()
	f, errno := w.world.Namespace.OpenAt(root, name, 0, oflags, true, oflags != 0, flags)
	if errno != abi.OK {
		w.t.Fatalf("%s: %v", name, errno)
	}
	return f
}

// boot makes a program's first process, which has an fd 1 and an empty 0; with files
// also an fd 2, and the root directory at fd 3. The caller starts and closes it.
func (p *program) boot(t testing.TB, e errand, stress kernel.Stress) *world {
	t.Helper()
	w := newWorld(t, p)
	w.mount(vfs.Mount{Guest: "/", FS: memfs.New(memfs.Options{Now: ktime.Host.Wall})})
	in, end, errno := w.pipes.New()
	if errno != abi.OK {
		t.Fatal(errno)
	}
	end.DecRef()
	fds := vfs.NewFDTable(64)
	open := []*vfs.OpenFile{in, w.file("out", abi.OCreat, abi.FDAppend)}
	if e.files != nil {
		open = append(open, w.file("err", abi.OCreat, abi.FDAppend))
	}
	for _, f := range open {
		if _, errno := fds.InstallAll(f); errno != abi.OK {
			t.Fatal(errno)
		}
	}
	o := kernel.ProcessOptions{
		Args: append([]string{"program"}, e.args...), Env: e.env, Files: fds, Source: p.code, Entry: "_start", Stress: stress,
	}
	if e.files != nil {
		o.CWD = w.work(e, fds)
	}
	w.k = kernel.New(w.options())
	if _, err := w.k.CreateProcess(context.Background(), p.module, o); err != nil {
		t.Fatal(err)
	}
	return w
}

// work makes the directory that a program is run in, and the one of commands.
func (w *world) work(e errand, fds *vfs.FDTable) *vfs.FSContext {
	w.t.Helper()
	root, err := w.world.Namespace.OpenRoot("/")
	if err != nil {
		w.t.Fatal(err)
	}
	for dir, files := range map[string]map[string][]byte{"job": e.files, "bin": e.bin} {
		if errno := w.world.Namespace.MkdirAt(root, dir); errno != abi.OK {
			w.t.Fatal(errno)
		}
		for name, content := range files {
			f := w.file(path.Join(dir, name), abi.OCreat, 0)
			if n, errno := f.Write([][]byte{content}); errno != abi.OK || n != len(content) {
				w.t.Fatalf("%s: %d bytes written: %v", name, n, errno)
			}
			f.DecRef()
		}
	}
	if _, errno := fds.Preopen(root, "/"); errno != abi.OK {
		w.t.Fatal(errno)
	}
	cwd, err := vfs.NewFSContext(w.world.Namespace, "/job")
	if err != nil {
		w.t.Fatal(err)
	}
	return cwd
}

// elsewhere saves the system, ends it and makes one of the image, not started. It
// is false if the program had ended.
func (w *world) elsewhere(dir string) (*world, bool) {
	w.t.Helper()
	draft, err := image.Create(image.OS, dir)
	if err != nil {
		w.t.Fatal(err)
	}
	open := func() (*image.Image, error) { return image.Open(image.OS, dir) }
	n, ok := w.wakeElsewhere(draft.File, draft.Publish, open, kernel.Stress{})
	if !ok {
		if err := draft.Abort(); err != nil {
			w.t.Error(err)
		}
	}
	return n, ok
}

// wakeElsewhere is elsewhere for any kind of image, with what disturbs the new one.
func (w *world) wakeElsewhere(create func(string) (image.File, error), publish func() error, open func() (*image.Image, error), stress kernel.Stress) (*world, bool) {
	t := w.t
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := checkpoint.Save(ctx, w.k, w.world, checkpoint.Options{
		Create: create, Publish: publish, Module: w.program.code, Config: image.Config{Stasis: "test"},
	})
	if errors.Is(err, kernel.ErrExiting) {
		return w, false
	}
	if err != nil {
		t.Fatalf("%v: %+v\n%s", err, w.k.Stats(), w.printed())
	}
	w.close()
	im, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	return w.restored(im, stress), true
}

// restored makes a world of an image, not started.
func (w *world) restored(im *image.Image, stress kernel.Stress) *world {
	t := w.t
	t.Helper()
	st, err := checkpoint.Open(im)
	if err != nil {
		t.Fatal(err)
	}
	n := newWorld(t, w.program)
	mounts, err := st.MemoryMounts(ktime.Host.Wall)
	if err != nil {
		t.Fatal(err)
	}
	n.mount(mounts...)
	kinds := hostfile.Restorers(nil, nil)
	maps.Copy(kinds, map[string]vfs.RestoreFunc{pipefs.Kind: n.pipes.Restore, epoll.Kind: n.epolls.Restore, eventfd.Kind: eventfd.Restore, ttyfs.MasterKind: n.ptys.Restore})
	kinds[ttyfs.Kind] = ttyfs.Restore(func(name string) (*ttyfs.Terminal, error) { return n.ptys.Provide(name), nil })
	if n.k, err = checkpoint.Restore(context.Background(), im, st, checkpoint.Restoring{
		Kernel: n.options(), World: n.world, Kinds: kinds, Module: w.program.module, Source: w.program.code, Terminal: n.terminal, Stress: stress,
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// ends waits for the end and returns what was printed and the exit code, as in want.
func (w *world) ends() string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	st, err := w.k.Init().Wait(ctx)
	if err != nil {
		w.t.Fatalf("the program hangs: %v: %+v\n%s", err, w.k.Stats(), w.printed())
	}
	code := int(st.Code)
	if st.Signal != 0 {
		code = 128 + int(st.Signal)
	}
	end := w.printed() + fmt.Sprintf("rc %d\n", code)
	if st.Trap != nil {
		end += "trap: " + st.Trap.Message + "\n" + st.Trap.Stack()
	}
	return end
}

func (w *world) printed() string {
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

// terminal finds a pty that is open in a restored world.
func (w *world) terminal(name string) kernel.Terminal {
	for _, n := range w.ptys.Numbers() {
		if t := w.ptys.Get(n); t != nil && t.Name() == name {
			return t
		}
	}
	return nil
}
