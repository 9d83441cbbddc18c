package stasis_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stasis-run/stasis"
)

func TestExec(t *testing.T) {
	both(t, func(p *place) {
		s := p.run("a", "sleep")
		var out bytes.Buffer
		o := stasis.ExecOptions{Args: []string{"env", "-x"}, Module: guest("env"), Env: []string{"A=1"}, Dir: "/"}
		o.Stdout = &out
		x, err := s.Exec(p.ctx, o)
		if want := "env\n-x\nA=1\nPWD=/\n"; err != nil || x.Code != 0 || out.String() != want {
			t.Errorf("%+v, %v, printed %q, want %q", x, err, out.String(), want)
		}
		out.Reset()
		large := strings.Repeat("0123456789", 100_000)
		o = stasis.ExecOptions{Args: []string{"cat"}, Module: guest("cat")}
		o.Stdin, o.Stdout = strings.NewReader(large), &out
		if x, err := s.Exec(p.ctx, o); err != nil || x.Code != 0 || out.String() != large {
			t.Errorf("%+v, %v, %d bytes came through", x, err, out.Len())
		}
		if x, err := s.Exec(p.ctx, stasis.ExecOptions{Args: []string{"exit"}, Module: guest("exit")}); err != nil || x.Code != 7 {
			t.Errorf("%+v, %v", x, err)
		}
		if x, err := s.Exec(p.ctx, stasis.ExecOptions{Args: []string{"trap"}, Module: guest("trap")}); err != nil || x.Code != 134 || x.Trap == "" {
			t.Errorf("%+v, %v", x, err)
		}
		_, err = s.Exec(p.ctx, stasis.ExecOptions{Args: []string{"/bin/none"}})
		p.wantKind(err, stasis.NotFound)
		_, err = s.Exec(p.ctx, stasis.ExecOptions{Args: []string{"/"}})
		p.wantKind(err, stasis.NotRunnable)
		_, err = s.Exec(p.ctx, stasis.ExecOptions{Args: []string{"m"}, Module: guest("multimemory")})
		p.wantKind(err, stasis.NotRunnable)
		_, err = s.Exec(p.ctx, stasis.ExecOptions{})
		p.wantKind(err, stasis.Invalid)
		_, err = s.Exec(p.ctx, stasis.ExecOptions{Args: []string{"x"}, Dir: "rel"})
		p.wantKind(err, stasis.Invalid)
		p.must(s.Pause(p.ctx))
		_, err = s.Exec(p.ctx, stasis.ExecOptions{Args: []string{"exit"}, Module: guest("exit")})
		p.wantKind(err, stasis.WrongState)
		p.must(s.Resume(p.ctx))
		if ps, err := s.Processes(p.ctx); err != nil || len(ps.List) != 1 || ps.All != 1 {
			t.Errorf("what was run is still there: %+v, %v", ps, err)
		}
		p.must(s.Terminate(p.ctx))
		_, err = s.Exec(p.ctx, stasis.ExecOptions{Args: []string{"exit"}, Module: guest("exit")})
		p.wantKind(err, stasis.AlreadyStopped)
	})
}

// A process ends with whoever began it.
func TestExecCanceled(t *testing.T) {
	both(t, func(p *place) {
		s := p.run("a", "sleep")
		ctx, cancel := context.WithCancel(p.ctx)
		r, w := io.Pipe()
		done := make(chan error)
		go func() {
			o := stasis.ExecOptions{Args: []string{"sleep"}, Module: guest("sleep")}
			o.Stdout = w
			_, err := s.Exec(ctx, o)
			done <- err
		}()
		if _, err := io.ReadFull(r, make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
		ps, err := s.Processes(p.ctx)
		if err != nil || len(ps.List) != 2 || ps.List[1].PID != 2 || ps.List[1].PPID != 1 || ps.List[1].Session != 2 {
			t.Errorf("%+v, %v", ps, err)
		}
		go io.Copy(io.Discard, r)
		cancel()
		p.wantKind(<-done, stasis.Canceled)
		for {
			ps, err := s.Processes(p.ctx)
			if err != nil {
				t.Fatal(err)
			}
			if len(ps.List) == 1 {
				break
			}
		}
	})
}

// However an exec and the system's end meet: it has run, or was ended with the
// system, or there is an error that says so.
func TestExecRacesWithEnd(t *testing.T) {
	tries := map[stasis.Isolation]int{stasis.Process: 12, stasis.InProcess: 60}
	if testing.Short() {
		tries = map[stasis.Isolation]int{stasis.Process: 4, stasis.InProcess: 20}
	}
	both(t, func(p *place) {
		for i := range tries[p.iso] {
			s := p.run("a", "sleep")
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					for {
						x, err := s.Exec(p.ctx, stasis.ExecOptions{Args: []string{"exit"}, Module: guest("exit")})
						switch k := stasis.KindOf(err); {
						case err != nil && k != stasis.AlreadyStopped && k != stasis.UnexpectedExit:
							t.Errorf("kind %s: %v", k, err)
							return
						case err != nil:
							return
						case x.Code != 7 && (x.Signal != 9 || x.Error == ""):
							t.Errorf("it has ended by %+v", x)
						}
					}
				})
			}
			if i%2 == 0 {
				if _, err := s.Exec(p.ctx, stasis.ExecOptions{Args: []string{"exit"}, Module: guest("exit")}); err != nil {
					t.Error(err)
				}
			}
			p.must(s.Signal(p.ctx, 9))
			wg.Wait()
			if x := p.wait(s); x.Signal != 9 || x.Error != "" {
				t.Errorf("the system has ended by %+v", x)
			}
			p.must(s.Remove(p.ctx, stasis.RemoveOptions{Force: true}))
		}
	})
}

func TestProcesses(t *testing.T) {
	both(t, func(p *place) {
		s := p.run("a", "family")
		var ps stasis.Processes
		for len(ps.List) != 3 {
			var err error
			if ps, err = s.Processes(p.ctx); err != nil {
				t.Fatal(err)
			}
		}
		p.wantState(s, stasis.StateRunning)
		p.must(s.Pause(p.ctx))
		if ps, _ = s.Processes(p.ctx); ps.List[1].State != "paused" {
			t.Errorf("%+v", ps)
		}
		p.must(s.SignalProcess(p.ctx, 2, 15)) // waits for the end of the pause
		if ps, _ = s.Processes(p.ctx); len(ps.List) != 3 {
			t.Errorf("%+v", ps)
		}
		p.must(s.Resume(p.ctx))
		p.wantState(s, stasis.StateBlocked)
		for len(ps.List) != 2 { // until its parent has waited for it
			var err error
			if ps, err = s.Processes(p.ctx); err != nil {
				t.Fatal(err)
			}
		}
		p.wantKind(s.SignalProcess(p.ctx, 2, 15), stasis.NotFound)
		p.wantKind(s.SignalProcess(p.ctx, 0, 15), stasis.Invalid)
		p.wantKind(s.SignalProcess(p.ctx, 3, 65), stasis.Invalid)
		p.must(s.SignalProcess(p.ctx, 3, 15))
		if x := p.wait(s); x.Code != 8 {
			t.Errorf("%+v", x)
		}
	})
}

// Checkpoints of a system in which processes begin and end all the time are whole.
func TestExecWhileSaved(t *testing.T) {
	both(t, func(p *place) {
		s := p.run("a", "sleep")
		ctx, cancel := context.WithCancel(p.ctx)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for ctx.Err() == nil {
					x, err := s.Exec(ctx, stasis.ExecOptions{Args: []string{"exit"}, Module: guest("exit")})
					if ctx.Err() == nil && (err != nil || x.Code != 7) {
						t.Errorf("%+v, %v", x, err)
						return
					}
				}
			})
		}
		var dirs []string
		for i := range 5 {
			dir := filepath.Join(t.TempDir(), fmt.Sprint(i))
			if _, err := s.Checkpoint(p.ctx, stasis.CheckpointOptions{Leave: true, Dir: dir}); err != nil {
				t.Fatal(err)
			}
			dirs = append(dirs, dir)
		}
		cancel()
		wg.Wait()
		p.must(s.Terminate(p.ctx))
		for i, dir := range dirs {
			o := stasis.Options{Name: fmt.Sprintf("r%d", i), Isolation: p.iso, Spec: stasis.Spec{Image: dir}}
			r := p.with(p.host.Run(p.ctx, o))
			for { // those that were saved go on, and end
				ps, err := r.Processes(p.ctx)
				if err != nil {
					t.Fatal(err)
				}
				if len(ps.List) == 1 {
					break
				}
			}
			p.must(r.Terminate(p.ctx))
		}
	})
}
