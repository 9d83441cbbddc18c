package wasi

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/enginetest"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/ktime"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
	"github.com/stasis-run/stasis/internal/wasm"
)

// A guest is a program in Go that makes system calls as wasm code does, so that
// tests of calls need no compiler. Its memory is mem.
type guest struct {
	t     *testing.T
	mem   []byte
	calls map[string]uint32 // import number by name; with "unstable." for that module
	yield func(*request) bool
}

// A request is a call of an import.
type request struct {
	fn      uint32
	args    []uint64
	results []uint64
}

// errKilled unwinds the stack of a guest that must go.
var errKilled = new(int)

// sys makes a call of the import name and returns its errno.
func (g *guest) sys(name string, args ...any) abi.Errno {
	fn, ok := g.calls[name]
	if !ok {
		panic("no such call: " + name)
	}
	r := &request{fn: fn}
	for _, a := range args {
		r.args = append(r.args, toWasm(a))
	}
	if !g.yield(r) {
		panic(errKilled)
	}
	return abi.Errno(r.results[0])
}

func toWasm(a any) uint64 {
	switch v := a.(type) {
	case int:
		return uint64(v)
	case uint32:
		return uint64(v)
	case uint64:
		return v
	case abi.Rights:
		return uint64(v)
	}
	panic(fmt.Sprintf("argument of type %T", a))
}

// want makes a call and fails the test if its errno is another.
func (g *guest) want(errno abi.Errno, name string, args ...any) {
	g.t.Helper()
	if got := g.sys(name, args...); got != errno {
		g.t.Errorf("%s%v = %v, want %v", name, args, got, errno)
	}
}

// put writes s at ptr and returns its length.
func (g *guest) put(ptr int, s string) int { return copy(g.mem[ptr:], s) }

func (g *guest) u32(ptr int) uint32       { return binary.LittleEndian.Uint32(g.mem[ptr:]) }
func (g *guest) u64(ptr int) uint64       { return binary.LittleEndian.Uint64(g.mem[ptr:]) }
func (g *guest) setU32(ptr int, v uint32) { binary.LittleEndian.PutUint32(g.mem[ptr:], v) }
func (g *guest) setU64(ptr int, v uint64) { binary.LittleEndian.PutUint64(g.mem[ptr:], v) }

// iov writes one buffer's description at ptr.
func (g *guest) iov(ptr, buf, n int) {
	g.setU32(ptr, uint32(buf))
	g.setU32(ptr+4, uint32(n))
}

// A fakeModule runs a guest; it is engine.Module and makes engine.Threads.
type fakeModule struct {
	t       *testing.T
	imports []engine.Import
	main    func(*guest)
}

func newFakeModule(t *testing.T, calls []kernel.Call, main func(*guest)) *fakeModule {
	m := &fakeModule{t: t, main: main}
	for _, c := range calls {
		if c.POSIX && c.Module == ModuleWASIX { // the same calls, of a program for WASIX
			continue
		}
		m.imports = append(m.imports, engine.Import{Module: c.Module, Name: c.Name,
			Type: wasm.FuncType{Params: c.Params, Results: c.Results}})
	}
	return m
}

func (m *fakeModule) Imports() []engine.Import { return m.imports }
func (m *fakeModule) Tags() []engine.Tag       { return nil }
func (m *fakeModule) FuncName(uint32) string   { return "guest" }
func (m *fakeModule) Digest() [32]byte         { return [32]byte{} }
func (m *fakeModule) Close() error             { return nil }
func (m *fakeModule) SharedMemory() bool       { return true }
func (m *fakeModule) Join(context.Context, engine.Host, engine.Thread, *engine.State) (engine.Thread, error) {
	return nil, errors.New("fake modules have one thread")
}
func (m *fakeModule) Export(name string) (uint32, wasm.FuncType, bool) {
	if name == threadStart {
		return 1, wasm.FuncType{Params: []wasm.ValType{wasm.I32, wasm.I32}}, true
	}
	return 0, wasm.FuncType{}, true
}

func (m *fakeModule) New(_ context.Context, h engine.Host, _ engine.Limits, _ *engine.State) (engine.Thread, error) {
	g := &guest{t: m.t, mem: make([]byte, 1<<20), calls: make(map[string]uint32)}
	for i, im := range m.imports {
		name := im.Name
		if im.Module == ModuleUnstable {
			name = "unstable." + name
		}
		g.calls[name] = uint32(i)
	}
	th := &fakeThread{host: h, g: g}
	th.next, th.stop = iter.Pull(func(yield func(*request) bool) {
		defer func() {
			if r := recover(); r != nil && r != any(errKilled) {
				panic(r)
			}
		}()
		g.yield = yield
		m.main(g)
	})
	return th, nil
}

// A fakeThread unwinds in system calls only. It has one stack.
type fakeThread struct {
	enginetest.OneStack
	host    engine.Host
	g       *guest
	next    func() (*request, bool)
	stop    func()
	pending *request
	unwinds uint64
}

func (th *fakeThread) Start(uint32, []uint64, ...uint32) error { return nil }
func (th *fakeThread) Interrupt()                              {}
func (th *fakeThread) Clear()                                  {}

func (th *fakeThread) Run(context.Context) engine.Event {
	for {
		r, ok := th.next()
		if !ok {
			return engine.Event{Kind: engine.Exited}
		}
		stack := append([]uint64(nil), r.args...)
		if len(stack) == 0 {
			stack = make([]uint64, 1)
		}
		if th.host.Call(r.fn, stack) == engine.Unwind {
			th.pending = r
			th.unwinds++
			return engine.Event{Kind: engine.Unwound}
		}
		r.results = stack
	}
}

func (th *fakeThread) Pending() (uint32, []uint64, bool) {
	if th.pending == nil {
		return 0, nil, false
	}
	return th.pending.fn, th.pending.args, true
}

func (th *fakeThread) Throw(*engine.Exception) error {
	return errors.New("a guest of the tests throws nothing")
}

func (th *fakeThread) Complete(results []uint64) {
	th.pending.results = append([]uint64(nil), results...)
	th.pending = nil
}

func (th *fakeThread) Memory() engine.Memory        { return th }
func (th *fakeThread) Bytes() []byte                { return th.g.mem }
func (th *fakeThread) Hold() (release func())       { return func() {} }
func (th *fakeThread) Depth() int                   { return 1 }
func (th *fakeThread) Backtrace() engine.Trace      { return engine.Trace{} }
func (th *fakeThread) Save() (*engine.State, error) { return &engine.State{}, nil }
func (th *fakeThread) Unwinds() uint64              { return th.unwinds }
func (th *fakeThread) Close() error                 { th.stop(); return nil }

// A world is a kernel with one process that runs a guest: fds 0 and 1 are
// streams, 3 is the root directory in memory.
type world struct {
	clock         *ktime.Manual
	k             *kernel.Kernel
	group         *kernel.ThreadGroup
	files         *vfs.FDTable
	stdin, stdout *stream
	root          *memfs.FS
}

// newWorld makes a world that is not started yet.
func newWorld(t *testing.T, main func(*guest)) *world {
	return newStressedWorld(t, kernel.Stress{}, main)
}

func newStressedWorld(t *testing.T, stress kernel.Stress, main func(*guest)) *world {
	return newWorldOf(t, kernel.Options{}, stress, main)
}

// newWorldOf makes one with other options of its kernel.
func newWorldOf(t *testing.T, opts kernel.Options, stress kernel.Stress, main func(*guest)) *world {
	calls := Calls(Options{})
	return newWorldWith(t, opts, stress, newFakeModule(t, calls, main))
}

// newPOSIXWorld makes one whose program is for WASIX, and has a working directory.
func newPOSIXWorld(t *testing.T, main func(*guest)) *world {
	calls := Calls(Options{})
	m := newFakeModule(t, calls, main)
	for _, c := range calls {
		if c.Module == ModuleWASIX && c.Name == "thread_id" {
			m.imports = append(m.imports, engine.Import{Module: c.Module, Name: c.Name, Type: wasm.FuncType{Params: c.Params, Results: c.Results}})
		}
	}
	return newWorldWith(t, kernel.Options{}, kernel.Stress{}, m)
}

// newWorldWith makes one that runs a module.
func newWorldWith(t *testing.T, opts kernel.Options, stress kernel.Stress, m *fakeModule) *world {
	w := &world{clock: new(ktime.Manual), stdin: new(stream), stdout: new(stream)}
	w.root = memfs.New(memfs.Options{Now: w.clock.Wall, Bytes: 4 << 20})
	ns := vfs.NewNamespace(w.clock.Wall)
	if err := ns.Mount(vfs.Mount{Guest: "/", FS: w.root}); err != nil {
		t.Fatal(err)
	}
	files := vfs.NewFDTable(32)
	w.files = files
	for fd, s := range []*stream{w.stdin, w.stdout, w.stdout} {
		if _, errno := files.InstallAll(vfs.NewOpenFile(s, fd == 0, fd > 0, 0)); errno != abi.OK {
			t.Fatal(errno)
		}
	}
	dir, err := ns.OpenRoot("/")
	if err != nil {
		t.Fatal(err)
	}
	if _, errno := files.Preopen(dir, "/"); errno != abi.OK {
		t.Fatal(errno)
	}
	opts.Calls, opts.Source = kernel.NewCallTable(Calls(Options{})), w.clock
	w.k = kernel.New(opts)
	t.Cleanup(func() {
		if err := w.k.Close(); err != nil {
			t.Error(err)
		}
	})
	process := kernel.ProcessOptions{
		Args: []string{"prog", "", "-x"}, Env: []string{"A=1", "LONG=täxt"}, Files: files, Entry: "_start", Stress: stress,
	}
	if len(m.imports) > 0 && m.imports[len(m.imports)-1].Module == ModuleWASIX {
		if process.CWD, err = vfs.NewFSContext(ns, "/"); err != nil {
			t.Fatal(err)
		}
	}
	w.group, err = w.k.CreateProcess(t.Context(), m, process)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) start(t *testing.T) {
	if err := w.k.Start(); err != nil {
		t.Fatal(err)
	}
}

func (w *world) wait(t *testing.T) kernel.ExitStatus {
	t.Helper()
	st, err := w.group.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// run runs a guest to its end: plainly, and with each call made only after the
// guest was unwound and stopped for it.
func run(t *testing.T, main func(*guest)) kernel.ExitStatus {
	t.Helper()
	w := newWorld(t, main)
	w.start(t)
	plain := w.wait(t)
	stops := 0
	w = newStressedWorld(t, kernel.Stress{Every: 1, Stopped: func(s *kernel.ExternalStop) {
		stops++
		s.End()
	}}, main)
	w.start(t)
	st := w.wait(t)
	if st.Code != plain.Code || st.Signal != plain.Signal || stops == 0 {
		t.Errorf("with %d stops the status is %+v, without %+v", stops, st, plain)
	}
	return plain
}

// blocked waits until the task waits in a call.
func (w *world) blocked() {
	for w.k.Tasks().All()[0].State() != kernel.Blocked {
		runtime.Gosched()
	}
}
