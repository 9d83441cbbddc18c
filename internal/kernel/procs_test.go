package kernel

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/enginetest"
	"github.com/stasis-run/stasis/internal/ktime"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/wasm"
)

// Calls of the worlds below: they run the function of the world that the argument
// numbers, and differ in what a handler makes of them.
const (
	sysDo     = sysStop + 1 + iota // EndsOrRestarts
	sysAlways                      // AlwaysEnds
	sysNever                       // NeverEnds
)

// A guestCall is what a call of a script does.
type guestCall func(t *Task) Outcome

// do is a step that makes call n.
func do(n int) enginetest.Step {
	return enginetest.Import{Fn: sysDo, Args: []uint64{uint64(n)}}
}

// procs is a world whose scripts make processes. A script cannot branch, so what a
// copy of it does differently is for the calls to tell.
type procs struct {
	*world
	calls    []guestCall
	programs map[string]*enginetest.Scripted // by source

	mu  sync.Mutex
	log []string // protected by mu
}

// newProcs makes a world that is not started. Script "on_signal" is the handler of
// tests that have one.
func newProcs(t *testing.T, opts func(*Options), calls []guestCall, others []enginetest.Script, steps ...enginetest.Step) *procs {
	p := &procs{calls: calls, programs: make(map[string]*enginetest.Scripted)}
	p.world = &world{t: t, clock: new(ktime.Manual)}
	i64 := []wasm.ValType{wasm.I64}
	for i, name := range []string{"do", "always", "never"} {
		rule := []HandlerRule{EndsOrRestarts, AlwaysEnds, NeverEnds}[i]
		p.extra = append(p.extra, Call{Module: "t", Name: name, Params: i64, Handlers: rule, Fn: func(t *Task, args []uint64) Outcome {
			if args[0] >= uint64(len(p.calls)) { // of a state that was made up
				return Done
			}
			return p.calls[args[0]](t)
		}})
	}
	p.opts = func(o *Options) {
		o.Load = p.load
		if opts != nil {
			opts(o)
		}
	}
	p.mod = p.script(others, steps)
	p.mod.Sum = [32]byte{1, 2, 3}
	p.k = New(p.options())
	t.Cleanup(func() {
		for source, m := range p.programs {
			if n := m.Open(); n != 0 {
				t.Errorf("%d threads of program %q are not closed", n, source)
			}
		}
	})
	p.closeWith(t)
	var err error
	p.g, err = p.k.CreateProcess(t.Context(), p.mod, ProcessOptions{Args: []string{"prog"}, Files: vfs.NewFDTable(4), Entry: "main"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// script is a module of the world.
func (p *procs) script(others []enginetest.Script, steps []enginetest.Step) *enginetest.Scripted {
	i64 := []wasm.ValType{wasm.I64}
	m := &enginetest.Scripted{Calls: imports(), Steps: steps, Others: others, Shared: true}
	for _, c := range p.extra {
		m.Calls = append(m.Calls, engine.Import{Module: c.Module, Name: c.Name, Type: wasm.FuncType{Params: i64}})
	}
	return m
}

// handler is a function that can be called for signals.
func handlerScript(steps ...enginetest.Step) enginetest.Script {
	return enginetest.Script{Name: "on_signal", Params: []wasm.ValType{wasm.I32}, Steps: steps}
}

// program makes a program that can be executed, whose code is steps.
func (p *procs) program(source string, steps ...enginetest.Step) []byte {
	m := p.script([]enginetest.Script{{Name: ExecEntry, Steps: steps}}, nil)
	m.Sum = sha256.Sum256([]byte(source))
	p.programs[source] = m
	return []byte(source)
}

func (p *procs) load(_ context.Context, source []byte) (engine.Module, error) {
	if m := p.programs[string(source)]; m != nil {
		return m, nil
	}
	return nil, errors.New("no such program")
}

// note has something in the log, in the order of its happening.
func (p *procs) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, fmt.Sprintf(format, args...))
}

func (p *procs) wantLog(want ...string) {
	p.t.Helper()
	settle()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.log, want) {
		p.t.Errorf("log %q, want %q", p.log, want)
	}
}

// caught notes the signal that the handler was called for, unless a child has ended.
func (p *procs) caught(t *Task) Outcome {
	if info, _ := t.Signalled(); info.Signo != SIGCHLD {
		p.note("signal %d", info.Signo)
	}
	return Done
}

// forks makes a child that goes on behind the call, too.
func (p *procs) forks(t *Task) Outcome {
	if !t.AtRest() {
		return Again
	}
	return p.forked(t, func() {})
}

// forked makes a child, and does something while it is being made.
func (p *procs) forked(t *Task, meanwhile func()) Outcome {
	_, err := t.Fork(func(c *Task) {
		c.Complete(nil)
		meanwhile()
	})
	if errors.Is(err, ErrSignalFirst) {
		return Again
	}
	if err != nil {
		p.note("fork: %v", err)
	}
	return Done
}

// vforks makes one that has the thread.
func (p *procs) vforks(through bool) guestCall {
	return func(t *Task) Outcome {
		if t.Restart().Set {
			p.note("child %d gave the thread back", t.Restart().Done)
			return Done
		}
		if !t.AtRest() {
			return Again
		}
		if err := t.Vfork(through, func(c *Task) { c.Complete(nil) }); err != nil {
			p.note("vfork: %v", err)
			return Done
		}
		return Again
	}
}

// execs runs a program.
func (p *procs) execs(source []byte) guestCall {
	return func(t *Task) Outcome {
		if !t.AtRest() {
			return Again
		}
		out, err := t.Exec(source, []string{"new"}, nil)
		if err != nil {
			p.note("exec: %v", err)
		}
		return out
	}
}

// inChild makes a call in all processes but the first.
func inChild(f guestCall) guestCall {
	return func(t *Task) Outcome {
		if t.Group() == t.Kernel().Init() {
			return Done
		}
		return f(t)
	}
}

// inParent makes it in the first alone.
func inParent(f guestCall) guestCall {
	return func(t *Task) Outcome {
		if t.Group() != t.Kernel().Init() {
			return Done
		}
		return f(t)
	}
}

func exits(code int32) guestCall {
	return func(t *Task) Outcome {
		t.Group().Exit(code)
		return Gone
	}
}

// waits waits for a child as waitpid(2) does, and notes what has become of it.
func (p *procs) waits(f WaitFor) guestCall {
	return func(t *Task) Outcome {
		for {
			c, ok, err := t.Group().WaitChild(f)
			if err != nil {
				p.note("wait: %v", err)
				return Done
			}
			if ok {
				p.note("child %d: %d of %d", c.PID, c.Code, c.Status)
				return Done
			}
			ready := func() bool {
				look := f
				look.Keep = true
				_, ok, err := t.Group().WaitChild(look)
				return ok || err != nil
			}
			switch t.Block(Never, ready, t.Group().ChildChanges()) {
			case Interrupted:
				return Again
			case Signalled:
				p.note("wait: interrupted")
				return Done
			}
		}
	}
}

// blocks waits for the world's event and notes how that ended.
func (p *procs) blocks(t *Task) Outcome {
	got := t.Block(Never, p.ev.ready, &p.ev)
	if got == Interrupted {
		return Again
	}
	p.note("block: %v", map[BlockResult]string{Woken: "woken", Signalled: "EINTR"}[got])
	return Done
}

// child is the process of a number.
func (p *procs) child(pid TaskID) *ThreadGroup {
	p.t.Helper()
	settle()
	g, ok := p.k.tasks.Process(pid)
	if !ok {
		p.t.Fatalf("there is no process %d", pid)
	}
	return g
}

// through saves the kernel, takes the state through bytes, and restores it; the
// first kernel is closed.
func (p *procs) through() *procs {
	p.t.Helper()
	s := p.stop()
	st := p.state()
	b, err := protostruct.Marshal(st)
	if err != nil {
		p.t.Fatal(err)
	}
	s.End()
	if err := p.k.Close(); err != nil {
		p.t.Fatal(err)
	}
	back := new(State)
	if err := protostruct.Unmarshal(b, back); err != nil {
		p.t.Fatal(err)
	}
	w, err := p.restored(p.t, back)
	if err != nil {
		p.t.Fatal(err)
	}
	p.world = w
	return p
}

// What is told of tasks and signals: the threads that live, what waits for each, and
// what the process wants done.
func TestListTasks(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := threads(t, []enginetest.Step{do(1), enginetest.Loop{}}, enginetest.Loop{})
		p.mod.Others = append(p.mod.Others, handlerScript(do(2)))
		p.calls = append(p.calls, func(t *Task) Outcome {
			t.SetSigMask(sigSet(SIGUSR1, SIGUSR2, SIGTERM))
			_ = t.SendInfo(SigInfo{Signo: SIGUSR1})
			p.g.SetAction(SIGHUP, SigAction{Disposition: SigIgnore})
			p.g.SetAction(SIGINT, SigAction{Disposition: SigCatch})
			return Done
		}, p.caught)
		p.start()
		thread, _ := p.k.tasks.Get(2)
		thread.SetSigMask(sigSet(SIGTERM)) // it loops
		_ = p.g.Signal(SIGTERM)
		settle()
		got := p.g.ListTasks()
		want := []TaskInfo{
			{ID: 1, State: Running, Pending: sigSet(SIGUSR1), Blocked: sigSet(SIGUSR1, SIGUSR2, SIGTERM)},
			{ID: 2, State: Running, Blocked: sigSet(SIGTERM)},
		}
		for i := range got {
			got[i].CPU = 0
		}
		if !slices.Equal(got, want) {
			t.Errorf("tasks %+v, want %+v", got, want)
		}
		if sig := p.g.Signals(); sig != (SignalInfo{Pending: sigSet(SIGTERM), Ignored: sigSet(SIGHUP)}) { // nothing can be caught yet
			t.Errorf("signals %+v", sig)
		}
		if err := p.g.SetHandler("on_signal"); err != nil {
			t.Fatal(err)
		}
		if sig := p.g.Signals(); sig.Caught != ^(sigsForced|sigSet(SIGHUP)) || sig.Ignored != sigSet(SIGHUP) {
			t.Errorf("signals %+v", sig)
		}
		_ = p.g.Signal(SIGSTOP)
		settle()
		for _, i := range p.g.ListTasks() {
			if i.State != Stopped {
				t.Errorf("task %d is %v", i.ID, i.State)
			}
		}
	})
}
