package stasis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stasis-run/stasis"
)

// TestMain has this program host the systems of its tests.
func TestMain(m *testing.M) {
	stasis.SandboxMain()
	os.Exit(m.Run())
}

const patience = time.Minute

// A place is a host of its own, and one sort of systems on it.
type place struct {
	*testing.T
	host *stasis.Host
	iso  stasis.Isolation
	ctx  context.Context
}

// cache is shared by all tests: what was compiled once is.
var cache = filepath.Join(os.TempDir(), fmt.Sprintf("stasis-test-cache-%d", os.Getuid()))

func newPlace(t *testing.T, iso stasis.Isolation) *place {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return &place{t, &stasis.Host{Home: t.TempDir(), Cache: cache}, iso, ctx}
}

// both runs a test with systems of both sorts.
func both(t *testing.T, f func(*place)) {
	t.Run("process", func(t *testing.T) { f(newPlace(t, stasis.Process)) })
	t.Run("in process", func(t *testing.T) { f(newPlace(t, stasis.InProcess)) })
}

func guest(name string) string {
	path, err := filepath.Abs(filepath.Join("cmd", "stasis", "testdata", "guests", name+".wasm"))
	if err != nil {
		panic(err)
	}
	return path
}

func (p *place) options(name, program string, args ...string) stasis.Options {
	return stasis.Options{
		Name: name, Isolation: p.iso,
		Spec: stasis.Spec{Module: guest(program), Args: append([]string{program}, args...)},
	}
}

// with makes a system, and ends it with the test.
func (p *place) with(s *stasis.System, err error) *stasis.System {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Remove(ctx, stasis.RemoveOptions{Force: true}); err != nil && stasis.KindOf(err) != stasis.Closed {
			p.Error(err)
		}
		s.Close()
	})
	return s
}

func (p *place) run(name, program string, args ...string) *stasis.System {
	p.Helper()
	return p.with(p.host.Run(p.ctx, p.options(name, program, args...)))
}

func (p *place) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

func (p *place) wantKind(err error, want stasis.Kind) {
	p.Helper()
	var e *stasis.Error
	if !errors.As(err, &e) || stasis.KindOf(err) != want {
		p.Errorf("error %v is %v, want %v", err, stasis.KindOf(err), want)
	}
}

func (p *place) wantState(s *stasis.System, want ...stasis.State) {
	p.Helper()
	for limit := time.Now().Add(patience); ; {
		pr, err := s.Properties(p.ctx)
		p.must(err)
		for _, w := range want {
			if pr.State == w {
				return
			}
		}
		if time.Now().After(limit) {
			p.Fatalf("state %s, want %s", pr.State, want)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (p *place) wait(s *stasis.System) stasis.Exit {
	p.Helper()
	x, err := s.Wait(p.ctx)
	p.must(err)
	return x
}

// A life of a system, from its making to its removal.
func TestLife(t *testing.T) {
	both(t, func(p *place) {
		s := p.with(p.host.New(p.ctx, p.options("a", "spin")))
		p.wantState(s, stasis.StateCreated)
		_, err := s.Wait(p.ctx)
		p.wantKind(err, stasis.WrongState)
		p.wantKind(s.Pause(p.ctx), stasis.WrongState)
		p.wantKind(s.Signal(p.ctx, 15), stasis.WrongState)
		p.must(s.Start(p.ctx, stasis.StartOptions{}))
		p.wantKind(s.Start(p.ctx, stasis.StartOptions{}), stasis.WrongState)
		p.wantState(s, stasis.StateRunning)
		p.must(s.Pause(p.ctx))
		p.wantState(s, stasis.StatePaused)
		p.wantKind(s.Pause(p.ctx), stasis.WrongState)
		p.must(s.Resume(p.ctx))
		p.wantKind(s.Resume(p.ctx), stasis.WrongState)
		p.wantState(s, stasis.StateRunning)
		p.wantKind(s.Signal(p.ctx, 99), stasis.Invalid)
		p.must(s.Signal(p.ctx, 19))
		p.wantState(s, stasis.StateStopped)
		p.must(s.Signal(p.ctx, 18))
		p.wantState(s, stasis.StateRunning)
		p.must(s.Shutdown(p.ctx, time.Minute))
		if x := p.wait(s); x.Signal != 15 || x.Code != 128+15 {
			p.Errorf("exit %+v", x)
		}
		p.wantState(s, stasis.StateExited)
		p.must(s.Shutdown(p.ctx, time.Minute)) // it has ended
		p.must(s.Terminate(p.ctx))
		for _, err := range []error{s.Pause(p.ctx), s.Resume(p.ctx), s.Signal(p.ctx, 15)} {
			p.wantKind(err, stasis.AlreadyStopped)
		}
		_, err = s.Checkpoint(p.ctx, stasis.CheckpointOptions{})
		p.wantKind(err, stasis.AlreadyStopped)
		p.must(s.Remove(p.ctx, stasis.RemoveOptions{}))
	})
}

// SIGKILL ends a paused system; other signals wait for the end of the pause.
func TestPaused(t *testing.T) {
	both(t, func(p *place) {
		s := p.run("a", "spin")
		p.must(s.Pause(p.ctx))
		p.must(s.Signal(p.ctx, 15))
		p.wantState(s, stasis.StatePaused)
		p.must(s.Resume(p.ctx))
		if x := p.wait(s); x.Signal != 15 {
			p.Errorf("exit %+v", x)
		}
		s = p.run("b", "spin")
		p.must(s.Pause(p.ctx))
		dir := filepath.Join(p.TempDir(), "image")
		_, err := s.Checkpoint(p.ctx, stasis.CheckpointOptions{Dir: dir, Leave: true})
		p.must(err)
		p.wantState(s, stasis.StatePaused)
		p.must(s.Signal(p.ctx, 9))
		if x := p.wait(s); x.Signal != 9 {
			p.Errorf("exit %+v", x)
		}
		s = p.with(p.host.Run(p.ctx, stasis.Options{Name: "c", Isolation: p.iso, Spec: stasis.Spec{Image: dir}}))
		p.wantState(s, stasis.StateRunning) // not paused
		p.must(s.Pause(p.ctx))
		p.must(s.Shutdown(p.ctx, 10*time.Millisecond))
		s = p.run("d", "spin")
		p.must(s.Pause(p.ctx))
		_, err = s.Checkpoint(p.ctx, stasis.CheckpointOptions{Dir: dir + "2"})
		p.must(err)
		p.wantState(s, stasis.StateSaved)
	})
}

// Every wait can be given up, and costs the system nothing.
func TestContexts(t *testing.T) {
	both(t, func(p *place) {
		s := p.run("a", "sleep")
		done, cancel := context.WithCancel(p.ctx)
		cancel()
		_, err := s.Wait(done)
		p.wantKind(err, stasis.Canceled)
		late, cancel := context.WithTimeout(p.ctx, time.Millisecond)
		defer cancel()
		_, err = s.Wait(late)
		p.wantKind(err, stasis.Timeout)
		_, err = s.Checkpoint(done, stasis.CheckpointOptions{})
		p.wantKind(err, stasis.Canceled)
		if p.iso == stasis.Process {
			for _, err := range []error{
				s.Pause(done), s.Resume(done), s.Signal(done, 1), s.ResizeTTY(done, stasis.Size{}), s.Attach(done, stasis.AttachOptions{}),
				s.Logs(done, stasis.LogOptions{Follow: true, Tail: -1}, func(stasis.Record) error { return nil }),
				func() error { _, err := p.host.Run(done, p.options("b", "sleep")); return err }(),
			} {
				p.wantKind(err, stasis.Canceled)
			}
			_, err = p.host.Open(p.ctx, "b")
			p.wantKind(err, stasis.NotFound)
		}
		p.wantState(s, stasis.StateBlocked)
		images, damaged, err := p.host.Images(p.ctx)
		if len(images)+len(damaged) > 0 || err != nil {
			p.Errorf("images %v, %v, %v", images, damaged, err)
		}
		p.must(s.Terminate(p.ctx))
	})
}

func TestClosed(t *testing.T) {
	both(t, func(p *place) {
		s := p.run("a", "sleep")
		p.must(s.Close())
		p.must(s.Close())
		_, err1 := s.Wait(p.ctx)
		_, err2 := s.Properties(p.ctx)
		_, err3 := s.Checkpoint(p.ctx, stasis.CheckpointOptions{})
		_, err4 := s.Attempts()
		for i, err := range []error{
			err1, err2, err3, err4, s.Start(p.ctx, stasis.StartOptions{}), s.Pause(p.ctx), s.Resume(p.ctx), s.Signal(p.ctx, 15),
			s.ResizeTTY(p.ctx, stasis.Size{}), s.Shutdown(p.ctx, 0), s.Terminate(p.ctx), s.Attach(p.ctx, stasis.AttachOptions{}),
			s.Logs(p.ctx, stasis.LogOptions{}, nil), s.Rename(p.ctx, "b"), s.Remove(p.ctx, stasis.RemoveOptions{}),
		} {
			if stasis.KindOf(err) != stasis.Closed && !(i == 14 && p.iso == stasis.InProcess) { // to remove it is to close it
				p.Errorf("call %d: %v", i, err)
			}
		}
		if p.iso == stasis.Process {
			again := p.with(p.host.Open(p.ctx, "a")) // it runs on
			p.wantState(again, stasis.StateBlocked)
		}
	})
}

// Saved, left running, ended, and woken from each image.
func TestCheckpoint(t *testing.T) {
	both(t, func(p *place) {
		r, w, err := os.Pipe()
		p.must(err)
		defer r.Close()
		null, err := os.Open(os.DevNull)
		p.must(err)
		defer null.Close()
		o := p.options("a", "work", "d")
		o.Start = stasis.StartOptions{Foreground: true, Stdin: null, Stdout: w, Stderr: w}
		s := p.with(p.host.Run(p.ctx, o))
		b := make([]byte, 6)
		_, err = io.ReadFull(r, b)
		p.must(err)
		first, err := s.Checkpoint(p.ctx, stasis.CheckpointOptions{Leave: true, Tag: "early"})
		p.must(err)
		second, err := s.Checkpoint(p.ctx, stasis.CheckpointOptions{})
		p.must(err)
		if first.Attempt != 1 || second.Attempt != 2 || first.Generation == second.Generation || second.Frames == 0 {
			p.Errorf("%+v\n%+v", first, second)
		}
		if x := p.wait(s); x.Checkpoint == "" {
			p.Errorf("exit %+v", x)
		}
		p.wantState(s, stasis.StateSaved)
		a, err := s.WaitCheckpoint(p.ctx, 2)
		if err != nil || a.Outcome != stasis.AttemptDone || a.Generation != second.Generation {
			p.Errorf("attempt %+v, %v", a, err)
		}
		_, err = s.WaitCheckpoint(p.ctx, 3)
		p.wantKind(err, stasis.NotFound)
		images, damaged, err := p.host.Images(p.ctx)
		if len(images) != 2 || len(damaged) > 0 || err != nil {
			p.Fatalf("%v, %v, %v", images, damaged, err)
		}
		if images[0].Config.Generation != second.Generation || images[0].System() != "a" || images[1].Tags[0] != "early" {
			p.Errorf("images %+v", images)
		}
		var outs []string
		for _, ref := range []string{"early", second.Generation[:8], "a"} {
			im, err := p.host.Image(p.ctx, ref)
			p.must(err)
			p.must(im.Verify(p.ctx))
			o := stasis.Options{Name: "woken", Isolation: p.iso, Spec: stasis.Spec{Image: im.Dir}}
			o.Start = stasis.StartOptions{Foreground: true, Stdin: null, Stdout: w, Stderr: w}
			s := p.with(p.host.Run(p.ctx, o))
			if x := p.wait(s); x.Code != 0 {
				p.Errorf("%s: exit %+v", ref, x)
			}
			p.must(s.Remove(p.ctx, stasis.RemoveOptions{}))
			b := make([]byte, 28)
			_, err = io.ReadFull(r, b)
			p.must(err)
			outs = append(outs, string(b))
		}
		if !strings.HasPrefix(outs[0], "the sum is ") || outs[0] != outs[1] || outs[1] != outs[2] {
			p.Errorf("printed %q", outs)
		}
		p.must(p.host.RemoveImage(p.ctx, images[1]))
		_, err = p.host.Image(p.ctx, "early")
		p.wantKind(err, stasis.NotFound)
	})
}

func TestKinds(t *testing.T) {
	both(t, func(p *place) {
		for _, c := range []struct {
			name string
			o    stasis.Options
			want stasis.Kind
		}{
			{"nothing", stasis.Options{}, stasis.Invalid},
			{"relative", stasis.Options{Spec: stasis.Spec{Module: "a.wasm"}}, stasis.Invalid},
			{"no file", stasis.Options{Spec: stasis.Spec{Module: "/nowhere/a.wasm"}}, stasis.NotFound},
			{"text", stasis.Options{Spec: stasis.Spec{Module: strings.TrimSuffix(guest("cat"), "wasm") + "wat"}}, stasis.NotRunnable},
			{"needs", stasis.Options{Spec: stasis.Spec{Module: guest("needs")}}, stasis.NotRunnable},
			{"wrong type", stasis.Options{Spec: stasis.Spec{Module: guest("wrongtype")}}, stasis.NotRunnable},
			{"no image", stasis.Options{Spec: stasis.Spec{Image: "/nowhere"}}, stasis.NotFound},
			{"no image here", stasis.Options{Spec: stasis.Spec{Image: filepath.Dir(guest("cat"))}}, stasis.Corrupt},
			{"no directory", stasis.Options{Spec: stasis.Spec{Module: guest("cat"), Dirs: []stasis.Dir{{Host: "/nowhere/at/all", Guest: "/a"}}}}, stasis.Invalid},
			{"memory", stasis.Options{Spec: stasis.Spec{Module: guest("cat"), Memory: 1}}, stasis.Exhausted},
		} {
			c.o.Isolation = p.iso
			s, err := p.host.Run(p.ctx, c.o)
			if stasis.KindOf(err) != c.want {
				p.Errorf("%s: %v is %v, want %v", c.name, err, stasis.KindOf(err), c.want)
			}
			if err == nil {
				p.must(s.Remove(p.ctx, stasis.RemoveOptions{Force: true}))
			}
		}
		if all, err := p.host.List(p.ctx, stasis.Query{}); len(all) > 0 || err != nil {
			p.Errorf("left: %v, %v", all, err)
		}
	})
}

func TestExit(t *testing.T) {
	both(t, func(p *place) {
		if x := p.wait(p.run("a", "exit")); x.Code != 7 {
			p.Errorf("exit %+v", x)
		}
		if x := p.wait(p.run("b", "trap")); x.Code != 134 || x.Trap == "" || x.Stack == "" {
			p.Errorf("exit %+v", x)
		}
		o := p.options("c", "spin")
		o.Timeout = 30 * time.Millisecond
		if x := p.wait(p.with(p.host.Run(p.ctx, o))); x.Code != 124 || x.Limit == "" {
			p.Errorf("exit %+v", x)
		}
		o = p.options("d", "spin")
		o.CPUTime = 30 * time.Millisecond
		if x := p.wait(p.with(p.host.Run(p.ctx, o))); x.Code != 128+24 || x.Limit == "" {
			p.Errorf("exit %+v", x)
		}
	})
}

func TestStacks(t *testing.T) {
	both(t, func(p *place) {
		s := p.run("a", "sleep")
		p.wantState(s, stasis.StateBlocked)
		stacks, err := s.Stacks(p.ctx)
		p.must(err)
		if len(stacks) != 1 || stacks[0].Waits != "wasi_snapshot_preview1.poll_oneoff(64, 256, 1, 0)" ||
			len(stacks[0].Frames) != 1 || stacks[0].Frames[0].Name != "main" || stacks[0].Frames[0].Offset == 0 {
			p.Errorf("stacks %+v", stacks)
		}
		f, err := os.Create(filepath.Join(p.TempDir(), "core"))
		p.must(err)
		p.must(s.WriteCoredump(p.ctx, f))
		r, w, err := os.Pipe()
		p.must(err)
		defer r.Close()
		defer w.Close()
		p.wantKind(s.WriteCoredump(p.ctx, w), stasis.Invalid)
		st, err := f.Stat() // it is still open
		p.must(errors.Join(err, f.Close()))
		if st.Size() < 100 {
			p.Errorf("a core dump of %d bytes", st.Size())
		}
		p.wantState(s, stasis.StateBlocked)
		p.must(s.Terminate(p.ctx))
		_, err = s.Stacks(p.ctx)
		p.wantKind(err, stasis.AlreadyStopped)
	})
}

// SIGQUIT leaves the stacks of all tasks, and a core dump where one is wanted.
func TestQuit(t *testing.T) {
	both(t, func(p *place) {
		o := p.options("a", "spin")
		o.Coredump = filepath.Join(p.TempDir(), "core")
		s := p.with(p.host.Run(p.ctx, o))
		p.wantState(s, stasis.StateRunning)
		p.must(s.Signal(p.ctx, 3))
		x := p.wait(s)
		if x.Code != 131 || x.Signal != 3 || !strings.HasPrefix(x.Stack, "task 1, running:\n  #0  0x") || x.Core != o.Coredump {
			p.Errorf("exit %+v", x)
		}
		if st, err := os.Stat(o.Coredump); err != nil || st.Size() < 50 || st.Mode().Perm() != 0o600 {
			p.Errorf("core dump: %v, %v", st, err)
		}
	})
}

func TestStore(t *testing.T) {
	p := newPlace(t, stasis.Process)
	a := p.run("a", "sleep")
	o := p.options("b", "sleep")
	o.Labels = map[string]string{"app": "x"}
	b := p.with(p.host.New(p.ctx, o))
	_, err := p.host.New(p.ctx, o)
	p.wantKind(err, stasis.Exists)
	p.wantKind(b.Rename(p.ctx, "a"), stasis.Exists)
	p.wantKind(a.Rename(p.ctx, "../x"), stasis.Invalid)
	p.must(a.Rename(p.ctx, "c"))
	p.wantState(a, stasis.StateBlocked)
	names := func(q stasis.Query) string {
		all, err := p.host.List(p.ctx, q)
		p.must(err)
		var names []string
		for _, s := range all {
			names = append(names, s.Name())
		}
		return strings.Join(names, " ")
	}
	for _, c := range []struct {
		q    stasis.Query
		want string
	}{
		{stasis.Query{}, "b c"},
		{stasis.Query{Running: true}, "c"},
		{stasis.Query{Labels: map[string]string{"app": ""}}, "b"},
		{stasis.Query{Labels: map[string]string{"app": "y"}}, ""},
	} {
		if got := names(c.q); got != c.want {
			t.Errorf("%+v: %s, want %s", c.q, got, c.want)
		}
	}
	pr, err := a.Properties(p.ctx)
	p.must(err)
	other := p.with(p.host.Open(p.ctx, pr.ID[:6]))
	if other.Name() != "c" || pr.PID == os.Getpid() || pr.Started == nil {
		t.Errorf("%s, %+v", other.Name(), pr)
	}
	_, err = p.host.Open(p.ctx, "nobody")
	p.wantKind(err, stasis.NotFound)
	p.wantKind(a.Remove(p.ctx, stasis.RemoveOptions{}), stasis.WrongState)
	p.must(b.Remove(p.ctx, stasis.RemoveOptions{}))
	p.must(a.Remove(p.ctx, stasis.RemoveOptions{Force: true}))
	p.must(a.Remove(p.ctx, stasis.RemoveOptions{}))
	if got := names(stasis.Query{}); got != "" {
		t.Errorf("left: %s", got)
	}
}

func TestAutoRemove(t *testing.T) {
	p := newPlace(t, stasis.Process)
	o := p.options("a", "tick")
	o.AutoRemove = true
	s := p.with(p.host.Run(p.ctx, o))
	if x := p.wait(s); x.Code != 0 {
		t.Errorf("exit %+v", x)
	}
	if all, err := p.host.List(p.ctx, stasis.Query{}); len(all) > 0 || err != nil {
		t.Errorf("left: %v, %v", all, err)
	}
	_ = p.run("a", "tick") // the name is free
}

// A system begins anew each time that it is started.
func TestStartAgain(t *testing.T) {
	p := newPlace(t, stasis.Process)
	s := p.run("a", "tick")
	for range 2 {
		p.wait(s)
		var out bytes.Buffer
		p.must(s.Logs(p.ctx, stasis.LogOptions{Tail: -1}, func(r stasis.Record) error {
			out.Write(r.Data)
			return nil
		}))
		if out.String() != "1\n2\n3\n4\n5\n" {
			t.Errorf("log %q", out.String())
		}
		p.must(s.Start(p.ctx, stasis.StartOptions{}))
	}
}

func TestLogs(t *testing.T) {
	p := newPlace(t, stasis.Process)
	s := p.run("a", "tick")
	var out bytes.Buffer
	show := func(r stasis.Record) error {
		out.Write(r.Data)
		return nil
	}
	p.must(s.Logs(p.ctx, stasis.LogOptions{Tail: -1, Follow: true}, show))
	if out.String() != "1\n2\n3\n4\n5\n" {
		t.Errorf("followed %q", out.String())
	}
	for _, c := range []struct {
		o    stasis.LogOptions
		want string
	}{
		{stasis.LogOptions{Tail: 2}, "4\n5\n"}, {stasis.LogOptions{Tail: 9}, "1\n2\n3\n4\n5\n"}, {stasis.LogOptions{Tail: 0}, ""},
		{stasis.LogOptions{Tail: -1, Since: time.Now()}, ""},
	} {
		out.Reset()
		p.must(s.Logs(p.ctx, c.o, show))
		if out.String() != c.want {
			t.Errorf("%+v: %q, want %q", c.o, out.String(), c.want)
		}
	}
	stop := errors.New("enough")
	if err := s.Logs(p.ctx, stasis.LogOptions{Tail: -1}, func(stasis.Record) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("error %v", err)
	}
}

func TestAttach(t *testing.T) {
	p := newPlace(t, stasis.Process)
	o := p.options("a", "cat")
	o.Stdin = true
	s := p.with(p.host.Run(p.ctx, o))
	other := p.with(p.host.Open(p.ctx, "a"))
	r, w := io.Pipe()
	out, in := io.Pipe()
	seen := make(chan error, 1)
	go func() { seen <- other.Attach(p.ctx, stasis.AttachOptions{Stdout: in}) }()
	for { // both are there
		pr, err := s.Properties(p.ctx)
		p.must(err)
		if pr.Status != nil && pr.Status.Attached == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	var mine bytes.Buffer
	done := make(chan error, 1)
	go func() { done <- s.Attach(p.ctx, stasis.AttachOptions{Stdin: r, Stdout: &mine}) }()
	_, err := io.WriteString(w, "hello\n")
	p.must(err)
	b := make([]byte, 6)
	_, err = io.ReadFull(out, b)
	p.must(err)
	w.Close() // the end of the input ends cat
	p.must(<-done)
	p.must(<-seen)
	if mine.String() != "hello\n" || string(b) != "hello\n" {
		t.Errorf("seen %q and %q", mine.String(), b)
	}
	if x := p.wait(s); x.Code != 0 {
		t.Errorf("exit %+v", x)
	}
	p.wantKind(s.Attach(p.ctx, stasis.AttachOptions{}), stasis.AlreadyStopped)
}

// What a system in process cannot do, it says.
func TestInProcessOnly(t *testing.T) {
	p := newPlace(t, stasis.InProcess)
	s := p.run("a", "sleep")
	for _, err := range []error{
		s.Attach(p.ctx, stasis.AttachOptions{}), s.Logs(p.ctx, stasis.LogOptions{}, nil), s.ResizeTTY(p.ctx, stasis.Size{}), s.Rename(p.ctx, "b"),
	} {
		p.wantKind(err, stasis.Unsupported)
	}
	if all, err := p.host.List(p.ctx, stasis.Query{}); len(all) > 0 || err != nil {
		t.Errorf("listed: %v, %v", all, err)
	}
}

// A computing guest in process does not keep Go's collector waiting.
func TestCollector(t *testing.T) {
	for _, program := range []string{"spin", "work"} {
		t.Run(program, func(t *testing.T) {
			p := newPlace(t, stasis.InProcess)
			s := p.run("a", program, "z")
			p.wantState(s, stasis.StateRunning)
			longest := time.Duration(0)
			for range 20 {
				begin := time.Now()
				runtime.GC()
				longest = max(longest, time.Since(begin))
			}
			if longest > time.Second {
				t.Errorf("a collection took %v", longest)
			}
			t.Logf("the longest collection took %v", longest)
			p.must(s.Terminate(p.ctx))
		})
	}
}

// A checkpoint that the program asks for is made when it does, as often as it does; who
// waits for one hears that the system has ended, that none will come, or gives up.
func TestOnRequest(t *testing.T) {
	both(t, func(p *place) {
		o := p.options("a", "snapshot")
		o.Snapshots = true
		s := p.with(p.host.Run(p.ctx, o))
		dir := filepath.Join(p.TempDir(), "image")
		for _, n := range []string{"0", "1"} {
			_, err := s.Checkpoint(p.ctx, stasis.CheckpointOptions{OnRequest: true, Leave: true, Dir: dir + n})
			p.must(err)
		}
		if x := p.wait(s); x.Code != 0 {
			p.Errorf("exit %+v", x)
		}
		_, err := s.Checkpoint(p.ctx, stasis.CheckpointOptions{OnRequest: true})
		p.wantKind(err, stasis.AlreadyStopped)
		s = p.with(p.host.Run(p.ctx, stasis.Options{Name: "b", Isolation: p.iso, Spec: stasis.Spec{Image: dir + "1"}}))
		if x := p.wait(s); x.Code != 0 {
			p.Errorf("woken, it has not been saved: %+v", x)
		}

		o = p.options("c", "spin")
		o.Snapshots = true
		s = p.with(p.host.Run(p.ctx, o))
		late, cancel := context.WithTimeout(p.ctx, 10*time.Millisecond)
		defer cancel()
		_, err = s.Checkpoint(late, stasis.CheckpointOptions{OnRequest: true})
		p.wantKind(err, stasis.Timeout)
		ended := make(chan error, 1)
		go func() {
			_, err := s.Checkpoint(p.ctx, stasis.CheckpointOptions{OnRequest: true})
			ended <- err
		}()
		p.must(s.Terminate(p.ctx))
		if kind := stasis.KindOf(<-ended); kind != stasis.AlreadyStopped && kind != stasis.UnexpectedExit {
			p.Errorf("the system has ended: %q", kind)
		}
		s = p.run("d", "spin")
		_, err = s.Checkpoint(p.ctx, stasis.CheckpointOptions{OnRequest: true})
		p.wantKind(err, stasis.WrongState)
		p.must(s.Terminate(p.ctx))
	})
}
