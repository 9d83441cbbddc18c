package kernel

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/engine/enginetest"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/wasm"
)

// Bombs: guests that make as much of something as they can. They get the error that
// there is for it, and the system can be ended at once.

// endsSoon ends the system, by the end of its first process or by Close, and fails if
// that does not come in time of the host's.
func (p *procs) endsSoon(end func()) {
	p.t.Helper()
	begun := time.Now()
	end()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := p.g.Wait(ctx); err != nil {
		p.t.Fatalf("it has not ended: %v", err)
	}
	if err := p.k.Close(); err != nil {
		p.t.Error(err)
	}
	p.t.Logf("ended in %v", time.Since(begun))
}

// A mill is steps that come round: a script has no loops, so a mark is jumped to.
// Calls 0 and 1 are its.
func mill(p *procs, steps ...enginetest.Step) []enginetest.Step {
	p.calls = append(p.calls, func(t *Task) Outcome {
		if !t.AtRest() {
			return Again
		}
		if _, err := t.Mark(8); err != nil {
			p.note("mark: %v", err)
		}
		return Done
	}, func(t *Task) Outcome {
		if !t.AtRest() {
			return Again
		}
		if _, err := t.Jump(t.marks.last); err != nil {
			p.note("jump: %v", err)
			return Done
		}
		t.Complete(nil)
		return Gone
	})
	return append(append([]enginetest.Step{do(0)}, steps...), do(1))
}

// newMill is a world whose first process makes calls from 2 on for ever.
func newMill(t *testing.T, opts func(*Options), n int) *procs {
	p := newProcs(t, opts, nil, nil)
	var steps []enginetest.Step
	for i := range n {
		steps = append(steps, do(2+i))
	}
	p.mod.Steps = mill(p, steps...)
	return p
}

func limited(n int) func(*Options) { return func(o *Options) { o.MaxTasks = n } }

// Copies that make copies of themselves come to the limit, and all end with the first.
func TestForkBomb(t *testing.T) {
	for _, end := range []string{"kill", "close", "exit"} {
		t.Run(end, func(t *testing.T) {
			p := newMill(t, limited(64), 1)
			full := make(chan struct{}, 1)
			p.calls = append(p.calls, func(t *Task) Outcome {
				if !t.AtRest() {
					return Again
				}
				_, err := t.Fork(func(c *Task) { c.Complete(nil) })
				switch {
				case errors.Is(err, ErrTooManyTasks):
					select {
					case full <- struct{}{}:
					default:
					}
				case err != nil && !errors.Is(err, ErrExiting) && !errors.Is(err, ErrClosed):
					p.note("%v", err)
				}
				return Done
			})
			if err := p.k.Start(); err != nil {
				t.Fatal(err)
			}
			<-full
			if n := len(p.k.tasks.All()); n > 64 {
				t.Errorf("%d tasks", n)
			}
			p.endsSoon(map[string]func(){"kill": func() { _ = p.g.Signal(SIGKILL) }, "exit": func() { p.g.Exit(1) }, "close": func() { go p.k.Close() }}[end])
			if len(p.log) > 0 {
				t.Error(p.log)
			}
		})
	}
}

// One kill(2) of a group reaches all of it, also those that are just being made.
func TestForkBombOfGroup(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 20
	}
	var wanted atomic.Bool
	p := newMill(t, limited(40), 1)
	p.calls = append(p.calls, func(t *Task) Outcome {
		if t.Group() == p.g { // it makes the first of the group, when that is wanted
			if t.Block(Never, wanted.Load, &p.ev) == Interrupted {
				return Again
			}
		}
		if !t.AtRest() {
			return Again
		}
		if group, _ := t.Group().JobIDs(); t.Group() == p.g {
			wanted.Store(false)
		} else if group == p.g.ID() {
			_ = t.Group().SetProcessGroup(0, 0)
		}
		_, _ = t.Fork(func(c *Task) { c.Complete(nil) })
		return Done
	})
	if err := p.k.Start(); err != nil {
		t.Fatal(err)
	}
	until := func(what string, f func() bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); !f(); runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatalf("%s: there are %d tasks", what, len(p.k.tasks.All()))
			}
		}
	}
	for i := range rounds {
		wanted.Store(true)
		p.ev.raise(false)
		until("the bomb", func() bool { return len(p.k.tasks.All()) > 1+i%30 })
		var group TaskID
		until("its group", func() bool {
			all := p.k.tasks.Processes()
			group, _ = all[len(all)-1].JobIDs()
			return group > 1
		})
		if err := p.g.Kill(-group, SigInfo{Signo: SIGKILL}); err != nil {
			t.Fatal(err)
		}
		until("the end of the group", func() bool {
			_, _, err := p.g.WaitChild(WaitFor{Exited: true})
			return errors.Is(err, ErrNoChild)
		})
	}
	p.endsSoon(p.g.Terminate)
}

// Threads that make threads come to the limit.
func TestThreadBomb(t *testing.T) {
	p := newMill(t, limited(64), 1)
	p.mod.Others = []enginetest.Script{{Name: "thread", Params: []wasm.ValType{wasm.I32}, Steps: []enginetest.Step{do(2), do(2), enginetest.Loop{}}}}
	full := make(chan struct{}, 1)
	p.calls = append(p.calls, func(t *Task) Outcome {
		_, err := t.Spawn("thread", func(TaskID) []uint64 { return []uint64{0} })
		switch {
		case errors.Is(err, ErrTooManyTasks):
			select {
			case full <- struct{}{}:
			default:
			}
		case err != nil && !errors.Is(err, ErrExiting) && !errors.Is(err, ErrClosed):
			p.note("%v", err)
		}
		return Done
	})
	if err := p.k.Start(); err != nil {
		t.Fatal(err)
	}
	<-full
	p.endsSoon(func() { _ = p.g.Signal(SIGTERM) })
	if len(p.log) > 0 {
		t.Error(p.log)
	}
}

// A nilFile is a file that can be closed.
type nilFile struct{ vfs.File }

func (nilFile) Close() {}

// Descriptors come to the table's limit, in copies of the process as well, and all are
// closed with them.
func TestDescriptorBomb(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProcs(t, nil, nil, nil, do(0), do(1), do(0), do(2))
		p.calls = []guestCall{func(t *Task) Outcome {
			for n := 0; ; n++ {
				if _, errno := t.Group().Files().InstallAll(vfs.NewOpenFile(nilFile{}, true, true, 0)); errno != abi.OK {
					p.note("%d: %v", n, errno)
					return Done
				}
			}
		}, p.forks, p.waits(WaitFor{Exited: true})}
		p.start()
		p.wantExit(ExitStatus{})
		slices.Sort(p.log) // the two run at once
		p.wantLog("0: "+abi.EMFILE.Error(), "0: "+abi.EMFILE.Error(), "4: "+abi.EMFILE.Error(), "child 2: 1 of 0", "wait: "+ErrNoChild.Error())
	})
}

// Zombies count as tasks until they were waited for: a parent that does not wait
// gets no more children, and all goes on when it does.
func TestZombieFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 200
		p := newProcs(t, limited(most), nil, nil, do(0), do(1), do(2), enginetest.Loop{})
		made, refused := 0, error(nil)
		p.calls = []guestCall{func(t *Task) Outcome {
			if !t.AtRest() {
				return Again
			}
			for refused == nil {
				if _, refused = t.Fork(func(c *Task) { c.Complete(nil) }); refused == nil {
					made++
				}
			}
			return Done
		}, inChild(exits(1)), p.blocks}
		p.start()
		if made != most-1 || !errors.Is(refused, ErrTooManyTasks) {
			t.Errorf("%d were made, then %v", made, refused)
		}
		p.through()
		p.start()
		if n := len(p.k.tasks.Processes()); n != most {
			t.Errorf("restored: %d processes", n)
		}
		if n := len(p.k.List()); n != most || p.k.tasks.OpenFiles() != 0 {
			t.Errorf("restored: %d processes are listed, %d files are open", n, p.k.tasks.OpenFiles())
		}
		for i := range made {
			if c, ok, err := p.g.WaitChild(WaitFor{Exited: true}); err != nil || !ok || c.PID != TaskID(i+2) {
				t.Fatalf("wait %d: %+v, %v, %v", i, c, ok, err)
			}
		}
		if _, _, err := p.g.WaitChild(WaitFor{Exited: true}); !errors.Is(err, ErrNoChild) {
			t.Errorf("one more: %v", err)
		}
		if n := len(p.k.tasks.All()); n != 1 {
			t.Errorf("%d tasks are left", n)
		}
	})
}

// Signals of all kinds from many sides, at a process that forks, with handlers nested
// and stops between: it is killed at once, and nothing is left.
func TestSignalStorm(t *testing.T) {
	p := newProcs(t, limited(32), nil, nil)
	p.mod.Others = []enginetest.Script{handlerScript(do(3)), {Name: "thread", Params: []wasm.ValType{wasm.I32}}}
	p.mod.Steps = append([]enginetest.Step{do(4)}, mill(p, do(2), do(3), do(5), do(6))...)
	p.mod.Others[1].Steps = []enginetest.Step{do(3), do(3)}
	begun := make(chan struct{})
	p.calls = append(p.calls,
		func(t *Task) Outcome { // 2: a child that ends
			if !t.AtRest() {
				return Again
			}
			if t.Group() != p.g {
				t.Group().Exit(0)
				return Gone
			}
			_, _ = t.Fork(func(c *Task) { c.Complete(nil) })
			return Done
		},
		func(t *Task) Outcome { // 3: a short wait
			if t.Block(t.k.clocks.Monotonic(), nil) == Interrupted {
				return Again
			}
			return Done
		},
		func(t *Task) Outcome {
			close(begun)
			return withHandler(t)
		},
		func(t *Task) Outcome { // 5
			_, _, _ = t.Group().WaitChild(WaitFor{Exited: true})
			_, _ = t.Spawn("thread", func(TaskID) []uint64 { return []uint64{0} })
			return Done
		},
		func(t *Task) Outcome { // 6: a child that has the thread; it ends in call 2
			if t.Group() != p.g {
				t.Group().Exit(0)
				return Gone
			}
			if t.Restart().Set {
				return Done
			}
			if !t.AtRest() {
				return Again
			}
			if err := t.Vfork(false, func(c *Task) { c.Complete(nil) }); err != nil {
				return Done
			}
			return Again
		},
	)
	if err := p.k.Start(); err != nil {
		t.Fatal(err)
	}
	<-begun
	var done []chan struct{}
	n := 3000
	if testing.Short() {
		n = 600
	}
	for _, sigs := range [][]int32{{10, 12, 40}, {SIGSTOP, SIGCONT}, {15, 1, 50}, {0}} {
		end := make(chan struct{})
		done = append(done, end)
		go func() {
			defer close(end)
			for i := range n {
				switch sig := sigs[i%len(sigs)]; {
				case sig == 0 && i%10 == 0:
					s := p.k.tasks.BeginExternalStop()
					_ = s.Wait(t.Context())
					_, _ = p.k.Save()
					s.End()
				case i%3 == 0:
					for _, task := range p.k.tasks.All() {
						_ = task.SendInfo(SigInfo{Signo: sig})
					}
				default:
					_ = p.g.Kill(0, SigInfo{Signo: sig})
				}
			}
		}()
	}
	for _, d := range done {
		<-d
	}
	_ = p.g.Signal(SIGCONT)
	p.endsSoon(func() { _ = p.g.Signal(SIGKILL) })
}
