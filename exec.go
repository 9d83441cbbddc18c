package stasis

import (
	"context"
	"errors"
	"os"

	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/launch"
	"github.com/stasis-run/stasis/internal/sandbox"
)

// ExecOptions describe another process in a running system.
type ExecOptions struct {
	// Args is its argv. What Args[0] names in the guest's tree is run, looked for as
	// a shell would; with Module, a file of the host is, and Args[0] is but a name.
	Args   []string
	Module string

	Env []string // NAME=VALUE, besides what the first process has
	Dir string   // working directory, an absolute path of the guest; "" is the system's
	TTY bool     // it has a terminal of its own for its streams

	// Stdin, Stdout and Stderr are its streams; nil ones are empty, and go nowhere.
	// Size and Resize are of its terminal; Signals go to it. DetachKeys are not
	// looked at.
	AttachOptions
}

// Exec runs another process in the running system, and returns how it ended once it
// has. It is a child of the first process, in a session of its own, and ends with
// the system, or when ctx is done. A system that is saved meanwhile is saved with it;
// in the restored one its input has ended, and its output goes nowhere.
//
// If the system ends first, Exit.Error says so; AlreadyStopped is the kind of the
// error if it had before the process began, NotFound and
// NotRunnable if there is no such program, or it is none.
func (s *System) Exec(ctx context.Context, o ExecOptions) (Exit, error) {
	x, err := s.exec(ctx, o)
	return x, s.fail("exec", err)
}

func (s *System) exec(ctx context.Context, o ExecOptions) (Exit, error) {
	if err := s.check(); err != nil {
		return Exit{}, err
	}
	if len(o.Args) == 0 {
		return Exit{}, fault.New(fault.Invalid, "no program is named")
	}
	var files []*os.File
	if o.Module != "" {
		f, err := launch.OpenModule(o.Module)
		if err != nil {
			return Exit{}, err
		}
		defer f.Close()
		files = append(files, f)
	}
	c, err := s.execConn(ctx)
	if err != nil {
		return Exit{}, err
	}
	defer c.Close()
	call := control.Call{Version: control.Version, Op: control.OpExec, Exec: &control.Exec{
		Args: o.Args, Env: o.Env, Dir: o.Dir, TTY: o.TTY, Stdin: o.Stdin != nil, Size: o.Size,
	}}
	if err := c.Send(call, files...); err != nil {
		return Exit{}, s.execGone(ctx)
	}
	if _, err := s.execAnswer(ctx, c); err != nil {
		return Exit{}, err
	}
	if err := attached(ctx, c, o.AttachOptions, nil); !errors.Is(err, errSaidEnd) {
		if err == nil {
			err = s.execGone(ctx)
		}
		return Exit{}, err
	}
	return s.execAnswer(ctx, c)
}

// execAnswer waits for an answer: that the process is being made, or how it ended.
func (s *System) execAnswer(ctx context.Context, c *control.Conn) (Exit, error) {
	defer c.Until(ctx)()
	var a control.Answer
	if _, err := c.Receive(&a); err != nil {
		return Exit{}, s.execGone(ctx)
	}
	if a.Fault != nil || a.Exec == nil {
		return Exit{}, a.Fault.Err()
	}
	return Exit{Code: int(a.Exec.Code), Signal: a.Exec.Signal, Trap: fault.Clean(a.Exec.Trap), Error: fault.Clean(a.Exec.Error)}, nil
}

// execGone says why a system does not answer.
func (s *System) execGone(ctx context.Context) error {
	if s.embedded == nil {
		return s.noReply(ctx)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errEnded
}

// execConn connects to the system.
func (s *System) execConn(ctx context.Context) (*control.Conn, error) {
	if s.embedded != nil {
		return s.embedded.serveExec()
	}
	return s.dial(ctx)
}

// serveExec makes a connection on which the system answers one call of OpExec.
func (e *embedded) serveExec() (*control.Conn, error) {
	g, err := e.living()
	if err != nil {
		return nil, err
	}
	ours, f, err := control.Pair()
	if err != nil {
		return nil, err
	}
	theirs, err := control.FileConn(f)
	if err != nil {
		ours.Close()
		return nil, err
	}
	go func() { // until the connection or the system ends
		defer theirs.Close()
		var call control.Call
		files, err := theirs.Receive(&call)
		if err != nil {
			return
		}
		g.System.Exec(theirs, call.Exec, first(files), func(a control.Answer, err error) {
			a.Fault = control.FaultOf(sandbox.Advise(err))
			_ = theirs.Send(a) // whoever has gone needs no answer
		})
		for _, f := range files {
			f.Close()
		}
	}()
	return ours, nil
}

func first(files []*os.File) *os.File {
	if len(files) == 0 {
		return nil
	}
	return files[0]
}
