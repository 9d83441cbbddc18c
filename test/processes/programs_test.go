package processes

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/checkpoint"
	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/ktime"
	"github.com/stasis-run/stasis/internal/syscalls/wasi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/epoll"
	"github.com/stasis-run/stasis/internal/vfs/eventfd"
	"github.com/stasis-run/stasis/internal/vfs/hostfile"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
	"github.com/stasis-run/stasis/internal/vfs/pipefs"
	"github.com/stasis-run/stasis/internal/vfs/ttyfs"
)

// TestMain keeps Go's collector from starting behind a looping guest.
func TestMain(m *testing.M) {
	flag.Parse()
	kernel.OwnCollector()
	os.Exit(m.Run())
}

// patience is what no program takes unless it hangs.
const patience = 2 * time.Minute

// A program is a module, compiled.
type program struct {
	code   []byte
	engine *wazero.Engine
	module engine.Module
}

func compile(t *testing.T, code []byte, o wazero.Options) *program {
	t.Helper()
	e, err := wazero.New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	m, err := e.Compile(context.Background(), code)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(m.Close(), e.Close()); err != nil {
			t.Error(err)
		}
	})
	return &program{code, e, m}
}

// A world is what the processes of a program share: a file that they print to,
// and what makes pipes and such.
type world struct {
	t       *testing.T
	k       *kernel.Kernel
	program *program
	world   checkpoint.World
	pipes   *pipefs.System
	epolls  *epoll.System
	ptys    *ttyfs.Ptys
}

func newWorld(t *testing.T, p *program) *world {
	w := &world{t: t, program: p, pipes: pipefs.NewSystem(ktime.Host.Wall, nil), epolls: epoll.NewSystem(nil)}
	w.ptys = ttyfs.NewPtys(ttyfs.PtyOptions{Signal: func(t *ttyfs.Terminal, sig int32) { w.k.SignalTerminal(t, sig) }})
	w.world.Namespace = vfs.NewNamespace(ktime.Host.Wall)
	return w
}

func (w *world) options() kernel.Options {
	return kernel.Options{Calls: kernel.NewCallTable(wasi.Calls(wasi.Options{Pipes: w.pipes, Epolls: w.epolls, Ptys: w.ptys}))}
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

// boot makes a program's first process, which has an fd 1 and an empty 0. The
// caller starts and closes it.
func (p *program) boot(t *testing.T, stress kernel.Stress) *world {
	t.Helper()
	w := newWorld(t, p)
	if err := w.world.Namespace.Mount(vfs.Mount{Guest: "/", FS: memfs.New(memfs.Options{Now: ktime.Host.Wall})}); err != nil {
		t.Fatal(err)
	}
	root, err := w.world.Namespace.OpenRoot("/")
	if err != nil {
		t.Fatal(err)
	}
	defer root.DecRef()
	out, errno := w.world.Namespace.OpenAt(root, "out", 0, abi.OCreat, true, true, abi.FDAppend)
	if errno != abi.OK {
		t.Fatal(errno)
	}
	in, end, errno := w.pipes.New()
	if errno != abi.OK {
		t.Fatal(errno)
	}
	end.DecRef()
	fds := vfs.NewFDTable(64)
	for _, f := range []*vfs.OpenFile{in, out} {
		if _, errno := fds.InstallAll(f); errno != abi.OK {
			t.Fatal(errno)
		}
	}
	w.k = kernel.New(w.options())
	if _, err := w.k.CreateProcess(context.Background(), p.module, kernel.ProcessOptions{
		Args: []string{"program"}, Files: fds, Entry: "_start", Stress: stress,
	}); err != nil {
		t.Fatal(err)
	}
	return w
}

// elsewhere saves the system, ends it and makes one of the image, not started. It
// is false if the program had ended.
func (w *world) elsewhere(dir string) (*world, bool) {
	t := w.t
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	draft, err := image.Create(image.OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = checkpoint.Save(ctx, w.k, w.world, checkpoint.Options{
		Create: draft.File, Publish: draft.Publish, Module: w.program.code, Config: image.Config{Stasis: "test"},
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
	w.close()
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
	mounts, err := st.MemoryMounts(ktime.Host.Wall)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.world.Namespace.MountAll(mounts); err != nil {
		t.Fatal(err)
	}
	kinds := hostfile.Restorers(nil, nil)
	maps.Copy(kinds, map[string]vfs.RestoreFunc{pipefs.Kind: n.pipes.Restore, epoll.Kind: n.epolls.Restore, eventfd.Kind: eventfd.Restore, ttyfs.MasterKind: n.ptys.Restore})
	kinds[ttyfs.Kind] = ttyfs.Restore(func(name string) (*ttyfs.Terminal, error) { return n.ptys.Provide(name), nil })
	if n.k, err = checkpoint.Restore(context.Background(), im, st, checkpoint.Restoring{
		Kernel: n.options(), World: n.world, Kinds: kinds, Module: w.program.module, Terminal: n.terminal,
	}); err != nil {
		t.Fatal(err)
	}
	return n, true
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

// modules are the modules of a program.
func modules(name string) []string {
	if name == "forkthrow" {
		return []string{"forkthrow-legacy", "forkthrow-exnref"}
	}
	return []string{name}
}

// run runs a program to its end.
func (p *program) run(t *testing.T, stress kernel.Stress) string {
	t.Helper()
	w := p.boot(t, stress)
	defer w.close()
	return w.start().ends()
}

// saved runs a program and saves and wakes all its processes again and again.
func (p *program) saved(t *testing.T, want string) {
	t.Helper()
	most := 30
	if testing.Short() {
		most = 8
	}
	w, n, ok := p.boot(t, kernel.Stress{}).start(), 0, true
	defer func() { w.close() }()
	for ; ok && n < most; n++ {
		for was, end := w.cpu(), time.Now().Add(5*time.Millisecond); time.Now().Before(end) && w.cpu() < was+200_000; {
			runtime.Gosched()
		}
		if w, ok = w.elsewhere(filepath.Join(t.TempDir(), strconv.Itoa(n))); ok {
			w.start()
		}
	}
	if got := w.ends(); got != want {
		t.Errorf("saved %d times: got %s\nwant %s", n, got, want)
	}
	t.Logf("saved %d times", n)
}

// cpu is how long the first process has computed.
func (w *world) cpu() int64 { return w.k.Init().CPUTime() }

// Programs do what they do on Linux: left alone, with all processes unwound at
// every safepoint and before every call, stopped there or not, and saved and woken
// meanwhile.
// terminal finds a pty that is open in a restored world.
func (w *world) terminal(name string) kernel.Terminal {
	for _, n := range w.ptys.Numbers() {
		if t := w.ptys.Get(n); t != nil && t.Name() == name {
			return t
		}
	}
	return nil
}

func TestPrograms(t *testing.T) {
	for _, name := range programs(t) {
		if name == "exec" {
			continue // it needs files to execute
		}
		for _, module := range modules(name) {
			code := []byte(read(t, "testdata/"+module+".wasm"))
			want := read(t, "testdata/want/"+name+".txt")
			t.Run(module, func(t *testing.T) {
				alone := compile(t, code, wazero.Options{})
				if got := alone.run(t, kernel.Stress{}); got != want {
					t.Fatalf("left alone: got %s\nwant %s", got, want)
				}
				alone.saved(t, want)
				if testing.Short() && (name == "forktree" || name == "pipeline") {
					return // much to compute
				}
				counted := compile(t, code, wazero.Options{Pass: instrument.Options{Counted: true}, Interpret: wazero.InterpretBriefly})
				for _, every := range []int32{1, 7} {
					for _, stop := range []bool{false, true} {
						stress := kernel.Stress{Every: every}
						if stop {
							stress.Stopped = func(s *kernel.ExternalStop) { s.End() }
						}
						if got := counted.run(t, stress); got != want {
							t.Errorf("every %d, stops %v: got %s\nwant %s", every, stop, got, want)
						}
					}
				}
			})
		}
	}
}
