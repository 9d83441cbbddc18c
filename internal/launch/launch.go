// Package launch is the parent of processes that host systems: it opens what a
// system is given, has its code compiled, starts the process and hands all over.
package launch

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/codecache"
	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/sandbox"
	"github.com/stasis-run/stasis/internal/store"
	"github.com/stasis-run/stasis/internal/version"
)

// A Plan is a system to be started.
type Plan struct {
	Store      *store.Store
	Entry      *store.Entry // whose lock is held
	System     store.System
	Executable string           // that hosts systems: see sandbox.ChildCommand
	Seed       *Seed            // the process, if it was started before; it is taken over
	Cache      *codecache.Cache // nil is none
	Jail       string           // on, strict, off

	// Foreground has the system end with this process.
	Foreground bool

	// Stdio are the guest's streams, if they are this process's to give: a
	// system without a terminal in the foreground. A Seed has been given the same.
	Stdio [3]*os.File

	// Attach has the connection be that of an attached client.
	Attach *control.Attach

	// Stage is told what is done with a module whose code is not in the cache:
	// "rewriting", "compiling", and at the end "".
	Stage func(what string)
}

// A Process hosts a system that runs.
type Process struct {
	Conn   *control.Conn // attached, if the plan says so
	PID    int
	Report sandbox.Report
	Exit   *os.File // how it ended: see store.ExitOf
	cmd    *exec.Cmd

	wait sync.Once
	gone chan struct{}
}

// Start starts the system, and returns when it runs.
func Start(ctx context.Context, p *Plan) (*Process, error) {
	o := &opening{plan: p}
	defer o.close()
	seed := p.Seed
	if seed == nil {
		var err error
		if seed, err = Spawn(p.Executable, p.Jail, p.Stdio); err != nil {
			return nil, err
		}
	}
	o.setup.Given = seed.given
	if p.Stdio[0] != nil {
		o.setup.Given.DeathSignal = int32(unix.SIGKILL)
	}
	if err := o.open(ctx); err != nil {
		seed.Kill()
		return nil, err
	}
	proc, err := o.hand(ctx, seed)
	if err != nil {
		_ = os.Remove(p.Store.Socket(p.System.ID)) // it may not be there
		return nil, err
	}
	run := store.Run{
		PID: proc.PID, Started: time.Now(), Foreground: p.Foreground, Jail: proc.Report.Jail, Version: version.Number,
	}
	if err := p.Entry.SetRun(run); err != nil {
		proc.Kill()
		return nil, fmt.Errorf("note the run: %w", err)
	}
	return proc, nil
}

// Kill ends the process and waits until it has gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have gone
	<-p.Gone()
	p.Conn.Close()
	p.Exit.Close()
}

// Gone is closed when the process has gone. How it ended is in the store.
func (p *Process) Gone() <-chan struct{} {
	p.wait.Do(func() {
		go func() {
			defer close(p.gone)
			_ = p.cmd.Wait() // the store tells
		}()
	})
	return p.gone
}

// Release leaves the process alone.
func (p *Process) Release() {
	p.Conn.Close()
	p.Exit.Close()
	p.Gone() // for whoever stays: else it is a zombie when it has ended
}

// hand gives the process what was opened, and waits for its report.
func (o *opening) hand(ctx context.Context, seed *Seed) (*Process, error) {
	proc := &Process{Conn: seed.conn, Exit: o.exit, PID: seed.cmd.Process.Pid, cmd: seed.cmd, gone: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { _ = seed.cmd.Process.Kill() })
	err := o.await(proc)
	if !stop() && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		proc.Kill()
		return nil, err
	}
	return proc, nil
}

// await hands the setup over and waits for the report.
func (o *opening) await(p *Process) error {
	if err := p.Conn.Send(&o.setup, o.files...); err != nil {
		return fmt.Errorf("set the system's process up: %w", err)
	}
	files, err := p.Conn.Receive(&p.Report)
	for _, f := range files {
		f.Close()
	}
	if err != nil {
		<-p.Gone()
		return fault.New(fault.UnexpectedExit, "the system's process ended before the system ran (%v)", p.cmd.ProcessState)
	}
	return p.Report.Fault.Err()
}
