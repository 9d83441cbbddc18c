package kernel

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/enginetest"
	"github.com/stasis-run/stasis/internal/ktime"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/wasm"
)

// The tests of this package run scripted guests inside synctest bubbles: what
// would hang is a failure at once, a goroutine that is left is one too, and
// nothing sleeps. settle waits until all that can happen has happened.
func settle() { synctest.Wait() }

// System calls of scripted guests, by import number.
const (
	sysNop   = iota // does nothing
	sysSleep        // waits for its argument in ns, the time left after an interruption
	sysWait         // waits for the world's event
	sysExit         // ends the process
	sysValue        // returns 7
	sysStop         // stops its own process by SIGSTOP, and is done
)

// An event is a Wait that tests raise.
type event struct {
	mu         sync.Mutex
	set        bool
	wakes      map[int]func()
	registered int
	canceled   int
}

func (e *event) Register(wake func()) func() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.wakes == nil {
		e.wakes = make(map[int]func())
	}
	e.registered++
	n := e.registered
	e.wakes[n] = wake
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.canceled++
		delete(e.wakes, n)
	}
}

func (e *event) ready() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.set
}

// raise wakes who waits; for nothing if !set.
func (e *event) raise(set bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.set = e.set || set
	for _, w := range e.wakes {
		w()
	}
}

func (e *event) balanced() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.registered == e.canceled
}

// A world is a kernel with one process that runs a script.
type world struct {
	t     *testing.T
	clock *ktime.Manual
	mod   *enginetest.Scripted
	k     *Kernel
	g     *ThreadGroup
	ev    event
	made  [8]atomic.Int32 // how often each system call was begun
	opts  func(*Options)  // of the kernel, and of those that are restored; nil for none
	extra []Call          // calls besides those of the table; see procs

	mu      sync.Mutex
	results []BlockResult // of all waits; protected by mu
}

func (w *world) calls() *CallTable {
	i64 := []wasm.ValType{wasm.I64}
	count := func(n int, f func(*Task, []uint64) Outcome) func(*Task, []uint64) Outcome {
		return func(t *Task, args []uint64) Outcome {
			w.made[n].Add(1)
			return f(t, args)
		}
	}
	return NewCallTable(append([]Call{
		{Module: "t", Name: "nop", Fn: count(sysNop, func(*Task, []uint64) Outcome { return Done })},
		{Module: "t", Name: "sleep", Params: i64, Fn: count(sysSleep, w.sleep)},
		{Module: "t", Name: "wait", Fn: count(sysWait, w.wait)},
		{Module: "t", Name: "exit", Params: i64, Fn: count(sysExit, func(t *Task, args []uint64) Outcome {
			t.Group().Exit(int32(args[0]))
			return Gone
		})},
		{Module: "t", Name: "value", Results: i64, Fn: count(sysValue, func(_ *Task, stack []uint64) Outcome {
			stack[0] = 7
			return Done
		})},
		{Module: "t", Name: "stop", Fn: count(sysStop, func(t *Task, _ []uint64) Outcome {
			_ = t.Group().Signal(SIGSTOP)
			return Done
		})},
	}, w.extra...))
}

func (w *world) sleep(t *Task, args []uint64) Outcome {
	r := t.Restart()
	if !r.Set {
		r.Set, r.Deadline = true, t.Kernel().Clocks().Monotonic()+int64(args[0])
	}
	got := t.Block(r.Deadline, nil)
	w.note(got)
	if got == Interrupted {
		return Again
	}
	return Done
}

func (w *world) note(r BlockResult) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.results = append(w.results, r)
}

func (w *world) wait(t *Task, _ []uint64) Outcome {
	got := t.Block(Never, w.ev.ready, &w.ev)
	w.note(got)
	if got == Interrupted {
		t.Restart().Set = true
		return Again
	}
	return Done
}

// imports are all calls, in the order of the numbers above.
func imports() []engine.Import {
	i64 := []wasm.ValType{wasm.I64}
	return []engine.Import{
		{Module: "t", Name: "nop"},
		{Module: "t", Name: "sleep", Type: wasm.FuncType{Params: i64}},
		{Module: "t", Name: "wait"},
		{Module: "t", Name: "exit", Type: wasm.FuncType{Params: i64}},
		{Module: "t", Name: "value", Type: wasm.FuncType{Results: i64}},
		{Module: "t", Name: "stop"},
	}
}

// newWorld makes a world that is not started. It is closed with the test, and
// all must be freed then.
func newWorld(t *testing.T, steps ...enginetest.Step) *world {
	return newWorldWith(t, nil, steps...)
}

// newWorldWith makes one with other options of its kernel.
func newWorldWith(t *testing.T, opts func(*Options), steps ...enginetest.Step) *world {
	w := &world{t: t, clock: new(ktime.Manual), opts: opts}
	w.mod = &enginetest.Scripted{Calls: imports(), Steps: steps, Sum: [32]byte{1, 2, 3}}
	w.k = New(w.options())
	w.closeWith(t)
	var err error
	w.g, err = w.k.CreateProcess(t.Context(), w.mod, ProcessOptions{
		Args: []string{"prog", "-x"}, Env: []string{"A=1"}, Files: vfs.NewFDTable(4), Entry: "main",
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) options() Options {
	o := Options{Calls: w.calls(), Source: w.clock, Slots: 16}
	if w.opts != nil {
		w.opts(&o)
	}
	return o
}

func (w *world) closeWith(t *testing.T) {
	t.Cleanup(func() {
		if err := w.k.Close(); err != nil {
			t.Error(err)
		}
		if n := w.mod.Open(); n != 0 {
			t.Errorf("%d threads are not closed", n)
		}
		if n := w.clock.Timers(); n != 0 {
			t.Errorf("%d timers are left", n)
		}
		if !w.ev.balanced() {
			t.Error("a wait was not canceled")
		}
	})
}

// begun makes a world and runs it until nothing happens by itself.
func begun(t *testing.T, steps ...enginetest.Step) *world {
	w := newWorld(t, steps...)
	w.start()
	return w
}

// awake is begun for a world whose tasks are not parked.
func awake(t *testing.T, steps ...enginetest.Step) *world {
	w := newWorldWith(t, func(o *Options) { o.ParkAfter = -1 }, steps...)
	w.start()
	return w
}

func (w *world) start() {
	w.t.Helper()
	if err := w.k.Start(); err != nil {
		w.t.Fatal(err)
	}
	settle()
}

func (w *world) task() *Task { return w.g.leader }

func (w *world) thread() *enginetest.ScriptedThread {
	ths := w.mod.Threads()
	return ths[len(ths)-1]
}

// wantState checks the leader's state once all is quiet.
func (w *world) wantState(want RunState) {
	w.t.Helper()
	settle()
	if got := w.task().State(); got != want {
		w.t.Fatalf("the task is %v, want %v", got, want)
	}
}

// wantExit waits for the end and checks the status.
func (w *world) wantExit(want ExitStatus) {
	w.t.Helper()
	st, err := w.g.Wait(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	if st.Code != want.Code || st.Signal != want.Signal || (st.Trap == nil) != (want.Trap == nil) {
		w.t.Fatalf("exit status %+v, want %+v", st, want)
	}
}

// inGuest reports whether guest code of the last thread runs, once all is quiet.
func (w *world) inGuest() bool {
	settle()
	return w.thread().Runs() > w.thread().Unwinds()
}

// saved is the state of the kernel, which runs on.
func (w *world) saved() *State {
	w.t.Helper()
	s := w.stop()
	defer s.End()
	return w.state()
}

// state is the state of the kernel, whose tasks are at rest.
func (w *world) state() *State {
	w.t.Helper()
	st, err := w.k.Save()
	if err != nil {
		w.t.Fatal(err)
	}
	return &st.State
}

// pass lets d pass in small steps, and all happen that does.
func (w *world) pass(d time.Duration) {
	const step = time.Millisecond
	settle()
	for ; d > 0; d -= step {
		w.clock.Advance(min(d, step))
		settle()
	}
}

// stop begins a stop of the set and waits for it.
func (w *world) stop() *ExternalStop {
	w.t.Helper()
	s := w.k.tasks.BeginExternalStop()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	if err := s.Wait(ctx); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// spawn adds another task to the process and runs it, as a clone will.
func (w *world) spawn() *Task {
	w.t.Helper()
	t := w.born()
	go t.run()
	return t
}

// born adds another task, whose goroutine has not come to run yet.
func (w *world) born() *Task {
	w.t.Helper()
	t := newTask(w.k, w.g, w.g.leader.calls)
	var err error
	if t.thread, err = w.mod.New(w.t.Context(), t, engine.Limits{}, nil); err != nil {
		w.t.Fatal(err)
	}
	if err := w.k.tasks.add(t); err != nil {
		w.t.Fatal(err)
	}
	s := w.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live++
	return t
}

func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// renumber gives the process and its first task another number.
func (w *world) renumber(id TaskID) {
	s := w.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	t := w.g.leader
	delete(s.tasks, t.id)
	delete(s.groups, t.id)
	t.id, w.g.id = id, id
	s.tasks[id], s.groups[id] = t, w.g
	s.newSessionLocked(w.g)
}
