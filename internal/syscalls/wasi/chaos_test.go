package wasi

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/enginetest"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/ktime"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/epoll"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
	"github.com/stasis-run/stasis/internal/vfs/pipefs"
	"github.com/stasis-run/stasis/internal/vfs/unixsock"
	"github.com/stasis-run/stasis/internal/wasm"
)

// Every call of the table, with arguments of any kind, by processes and threads that
// the calls themselves make, in memory that others change meanwhile, interrupted by
// signals and stops: never a panic, never a hang, no errno that there is not, and
// nothing is left.
func TestChaos(t *testing.T) {
	n := uint64(150)
	if testing.Short() {
		n = 40
	}
	made := make(map[string]int)
	for seed := range n {
		synctest.Test(t, func(t *testing.T) { newChaos(t, seed, made).run() })
	}
	for _, e := range slices.Concat(entries, wasixEntries) {
		if made[e.name] == 0 && !(raced && slices.Contains(threadMakers, e.name)) {
			t.Errorf("%s was not called", e.name)
		}
	}
}

// Calls after which there is less to try, and calls that make threads.
var (
	enders = []string{"proc_exit", "proc_exit2", "thread_exit", "proc_raise", "proc_signal", "thread_signal",
		"stack_restore", "proc_exec", "proc_exec2", "fd_close", "fd_renumber"}
	threadMakers = []string{"thread-spawn", "thread_spawn", "thread_spawn_v2"}
)

// A chaos is a system of scripts that make random calls.
type chaos struct {
	t     *testing.T
	rnd   *rand.Rand // of the scripts, before they run
	seed  uint64
	clock ktime.Manual
	calls []kernel.Call
	made  map[string]int
	mods  []*enginetest.Scripted
	k     *kernel.Kernel
	g     *kernel.ThreadGroup

	budget atomic.Int64 // of calls that may still be made
}

func newChaos(t *testing.T, seed uint64, made map[string]int) *chaos {
	c := &chaos{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), seed: seed, made: made}
	c.budget.Store(3000)
	ns := vfs.NewNamespace(c.clock.Wall)
	root := memfs.New(memfs.Options{Now: c.clock.Wall, Bytes: 1 << 20})
	if err := ns.Mount(vfs.Mount{Guest: "/", FS: root}); err != nil {
		t.Fatal(err)
	}
	cwd, err := vfs.NewFSContext(ns, "/")
	if err != nil {
		t.Fatal(err)
	}
	files := vfs.NewFDTable(24)
	dir, err := ns.OpenRoot("/")
	if err != nil {
		t.Fatal(err)
	}
	c.write(cwd, "p", "\x00asm")
	c.write(cwd, "s", "#!p x\n")
	c.write(cwd, "l", "#!l\n")
	for range 3 {
		if _, errno := files.InstallAll(vfs.NewOpenFile(new(stream), true, true, 0)); errno != abi.OK {
			t.Fatal(errno)
		}
	}
	if _, errno := files.Preopen(dir, "/"); errno != abi.OK {
		t.Fatal(errno)
	}
	bytes := vfs.NewBudget(1 << 16)
	all := Calls(Options{
		Pipes: pipefs.NewSystem(c.clock.Wall, bytes), Epolls: epoll.NewSystem(vfs.NewBudget(100)), Sockets: unixsock.NewSystem(c.clock.Wall, bytes),
	})
	for i := range all {
		c.calls = append(c.calls, c.watched(all[i]))
	}
	opts := kernel.Options{Calls: kernel.NewCallTable(c.calls), Source: &c.clock, MaxTasks: 16, Slots: 4, Load: c.load}
	c.k = kernel.New(opts)
	stress := kernel.Stress{}
	if seed%3 == 0 {
		stress = kernel.Stress{Every: 3, Stopped: func(s *kernel.ExternalStop) {
			_, _ = c.k.Save() // or it is on its way out
			s.End()
		}}
	}
	m := c.script(120)
	if c.g, err = c.k.CreateProcess(t.Context(), m, kernel.ProcessOptions{
		Args: []string{"a", "b"}, Env: []string{"A=b"}, Files: files, CWD: cwd, Entry: "main", Stress: stress,
	}); err != nil {
		t.Fatal(err)
	}
	if seed%2 == 0 {
		if err := c.g.SetHandler("on_signal"); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *chaos) write(in *vfs.FSContext, name, text string) {
	f, errno := in.OpenAt(nil, name, 0, abi.OCreat, true, true, 0)
	if errno != abi.OK {
		c.t.Fatal(errno)
	}
	defer f.DecRef()
	if _, errno := f.Write([][]byte{[]byte(text)}); errno != abi.OK {
		c.t.Fatal(errno)
	}
}

// watched is a call whose results are looked at.
func (c *chaos) watched(call kernel.Call) kernel.Call {
	fn := call.Fn
	call.Fn = func(t *kernel.Task, args []uint64) kernel.Outcome {
		if c.budget.Add(-1) < 0 { // threads that make threads, and jumps back, have no end
			c.k.Init().Terminate()
			return kernel.Gone
		}
		in := slices.Clone(args)
		out := fn(t, args)
		if out == kernel.Done && len(call.Results) > 0 && call.Module != ModuleThreads && args[0] > uint64(abi.ENOTCAPABLE) {
			c.t.Errorf("seed %d: %s.%s%v = %d", c.seed, call.Module, call.Name, in, args[0])
		}
		return out
	}
	return call
}

// load is the program that all executables are.
func (c *chaos) load(_ context.Context, source []byte) (engine.Module, error) {
	m := &enginetest.Scripted{Shared: true, Sum: sha256.Sum256(source), Others: []enginetest.Script{{Name: kernel.ExecEntry, Steps: []enginetest.Step{enginetest.Spurious{}}}}}
	return m, nil
}

func (c *chaos) script(n int) *enginetest.Scripted {
	m := &enginetest.Scripted{Shared: true, Steps: c.steps(n), Others: []enginetest.Script{
		{Name: "on_signal", Params: []wasm.ValType{wasm.I32}, Steps: c.steps(3)},
		{Name: threadStart, Params: []wasm.ValType{wasm.I32, wasm.I32}, Steps: c.steps(40)},
		{Name: "fiber", Steps: c.steps(5)},
	}}
	for i := range c.calls {
		m.Calls = append(m.Calls, engine.Import{Module: c.calls[i].Module, Name: c.calls[i].Name,
			Type: wasm.FuncType{Params: c.calls[i].Params, Results: c.calls[i].Results}})
	}
	c.mods = append(c.mods, m)
	return m
}

// steps are n calls, and changes of the memory between them.
func (c *chaos) steps(n int) (out []enginetest.Step) {
	for range n {
		seed := c.rnd.Uint64()
		out = append(out, enginetest.Do(func(th *enginetest.ScriptedThread) {
			scribble(th.Memory().Bytes(), rand.New(rand.NewPCG(seed, 0)), 12)
		}))
		if c.rnd.IntN(12) == 0 && !raced { // for long, while other tasks make calls
			out = append(out, enginetest.Do(func(th *enginetest.ScriptedThread) {
				scribble(th.Memory().Bytes(), rand.New(rand.NewPCG(seed, 0)), 20000)
			}))
		}
		i := c.rnd.IntN(len(c.calls))
		name := c.calls[i].Name
		if slices.Contains(enders, name) && c.rnd.IntN(6) > 0 || raced && slices.Contains(threadMakers, name) {
			continue
		}
		c.made[name]++
		args := make([]uint64, len(c.calls[i].Params))
		for j := range args {
			args[j] = hostileValue(c.rnd, c.calls[i].Params[j] == wasm.I64)
			if c.rnd.IntN(3) > 0 {
				args[j] = uint64(c.rnd.IntN(1100)) &^ 3
			}
		}
		out = append(out, enginetest.Import{Fn: uint32(i), Args: args})
	}
	return out
}

// scribble writes what calls may find: small numbers and names mostly.
func scribble(mem []byte, rnd *rand.Rand, n int) {
	names := []string{"p\x00", "s\x00", "l\x00", "/\x00", ".\n", "on_signal", "A=b\n"}
	for range n {
		at := rnd.IntN(len(mem)-16) &^ 3
		switch rnd.IntN(4) {
		case 0:
			copy(mem[at:], names[rnd.IntN(len(names))])
		case 1:
			binary.LittleEndian.PutUint64(mem[at:], hostileValue(rnd, true))
		default:
			binary.LittleEndian.PutUint32(mem[at:], uint32(rnd.IntN(9)))
		}
	}
}

// run runs it until it has ended, or for a while. What waits gets time, and signals.
func (c *chaos) run() {
	if err := c.k.Start(); err != nil {
		c.t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(c.seed, 2))
	for range 60 {
		synctest.Wait()
		if c.g.Exiting() {
			break
		}
		c.clock.Advance(time.Hour)
		for _, g := range c.k.Tasks().Processes() {
			_ = g.Signal([]int32{10, 12, 18, 17, 40}[rnd.IntN(5)] * int32(c.seed%2^1)) // without a handler they would end it
		}
		if rnd.IntN(3) == 0 {
			s := c.k.Tasks().BeginExternalStop()
			if err := s.Wait(c.t.Context()); err != nil {
				c.t.Fatal(err)
			}
			_, _ = c.k.Save()
			s.End()
		}
	}
	if err := c.k.Close(); err != nil {
		c.t.Error(err)
	}
	for _, m := range c.mods {
		if n := m.Open(); n != 0 {
			c.t.Errorf("seed %d: %d threads are not closed", c.seed, n)
		}
	}
	if n := c.clock.Timers(); n != 0 {
		c.t.Errorf("seed %d: %d timers are left", c.seed, n)
	}
}

// A state may say that a mark was made by any call: to jump there ends the process.
func TestMarkOfAnotherCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := Calls(Options{})
		number := func(name string) uint32 {
			return uint32(slices.IndexFunc(calls, func(c kernel.Call) bool { return c.Module == ModuleWASIX && c.Name == name }))
		}
		m := &enginetest.Scripted{Sum: [32]byte{1}, Shared: true, Others: []enginetest.Script{
			{Name: threadStart, Params: []wasm.ValType{wasm.I32, wasm.I32}}}, Steps: []enginetest.Step{
			enginetest.Import{Fn: number("stack_checkpoint"), Args: []uint64{16, 64}},
			enginetest.Import{Fn: number("thread_sleep"), Args: []uint64{uint64(time.Minute)}},
			enginetest.Import{Fn: number("stack_restore"), Args: []uint64{16, 1}},
		}}
		for _, c := range calls {
			m.Calls = append(m.Calls, engine.Import{Module: c.Module, Name: c.Name, Type: wasm.FuncType{Params: c.Params, Results: c.Results}})
		}
		clock := new(ktime.Manual)
		k := kernel.New(kernel.Options{Calls: kernel.NewCallTable(calls), Source: clock})
		if _, err := k.CreateProcess(t.Context(), m, kernel.ProcessOptions{Files: vfs.NewFDTable(1), Entry: "main"}); err != nil {
			t.Fatal(err)
		}
		if err := k.Start(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s := k.Tasks().BeginExternalStop()
		if err := s.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		saved, err := k.Save()
		if err != nil {
			t.Fatal(err)
		}
		memory := slices.Clone(saved.Memories[0])
		s.End()
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
		saved.Processes[0].Tasks[0].Marks[0].Calls.Pending = &engine.Pending{Import: number("sched_yield")}
		k, err = kernel.Restore(t.Context(), kernel.Options{Calls: kernel.NewCallTable(calls), Source: clock}, &saved.State, kernel.Restoring{
			Module: m,
			Files:  func(*kernel.ProcessState) (*vfs.FDTable, *vfs.FSContext, error) { return vfs.NewFDTable(1), nil, nil },
			Fill:   func(_ uint32, b []byte) error { copy(b, memory); return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Start(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		clock.Advance(time.Hour)
		if st, err := k.Init().Wait(t.Context()); err != nil || st.Code != int32(abi.EINVAL) {
			t.Errorf("%+v, %v", st, err)
		}
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
}
