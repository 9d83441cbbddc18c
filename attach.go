package stasis

import (
	"context"
	"errors"
	"io"

	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/detachkeys"
	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/launch"
)

// DefaultDetachKeys end an attachment: docker's.
const DefaultDetachKeys = "ctrl-p,ctrl-q"

// AttachOptions say what an attached client gives and takes. Nil streams are
// left alone.
type AttachOptions struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Size           *Size        // of the client's terminal
	Resize         <-chan Size  // its later sizes
	Signals        <-chan int32 // to be sent to the guest
	DetachKeys     string       // "" is DefaultDetachKeys; only for a system with a terminal
}

// ErrDetached is in the error of an Attach that the detach keys have ended.
var ErrDetached = errors.New("detached")

// Attach shows the system's output and gives it input, until the system ends
// (nil), the detach keys are typed (ErrDetached), or ctx is done. Reads of Stdin
// may go on for one more time after it has returned.
func (s *System) Attach(ctx context.Context, o AttachOptions) error {
	if err := s.check(); err != nil {
		return s.fail("attach", err)
	}
	if s.embedded != nil {
		return s.fail("attach", fault.New(fault.Unsupported, "a system in process has its streams from Options"))
	}
	s.mu.Lock()
	p := s.process
	s.mu.Unlock()
	var c *control.Conn
	var err error
	if p != nil {
		c = p.Conn
	} else if c, err = s.attachAnew(ctx, o); err != nil {
		return s.fail("attach", err)
	}
	if p == nil {
		defer c.Close()
	}
	keys := o.DetachKeys
	if keys == "" {
		keys = DefaultDetachKeys
	}
	k, err := detachkeys.Parse(keys)
	if err != nil {
		return s.fail("attach", invalid(err))
	}
	err = attached(ctx, c, o, k)
	if errors.Is(err, errSaidEnd) {
		err = nil
		s.mu.Lock()
		s.over = p != nil
		s.mu.Unlock()
	}
	if p != nil && errors.Is(err, ErrDetached) {
		s.leave(p)
	}
	return s.fail("attach", err)
}

// leave lets a run go on that was to end with us.
func (s *System) leave(p *launch.Process) {
	_ = p.Conn.Send(control.Stream{Detach: true}) // or it has ended
	s.mu.Lock()
	s.process = nil
	s.mu.Unlock()
	p.Release()
}

func (s *System) attachAnew(ctx context.Context, o AttachOptions) (*control.Conn, error) {
	c, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	var a control.Answer
	err = c.Send(control.Call{Version: control.Version, Op: control.OpAttach, Attach: &control.Attach{Stdin: o.Stdin != nil, Size: o.Size}})
	if err == nil {
		_, err = c.Receive(&a)
	}
	if err == nil {
		err = a.Fault.Err()
	} else if !s.entry.Running() {
		err = s.ended()
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// attached moves what goes both ways. keys, if not nil, detach.
func attached(ctx context.Context, c *control.Conn, o AttachOptions, keys *detachkeys.Keys) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if o.Stdin != nil {
		go func() { cancel(sendInput(c, o.Stdin, keys)) }()
	}
	go sendEvents(ctx, c, o)
	done := make(chan error, 1)
	go func() { done <- receiveOutput(c, o) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	if cause := context.Cause(ctx); !errors.Is(cause, errInputEnded) {
		return cause
	}
	return <-done
}

// errSaidEnd is how a system says that it has ended: how is noted, and all that it
// had of the host is free, but for its process.
var errSaidEnd = errors.New("the system has ended")

// errInputEnded says that there is no more input; output may still come.
var errInputEnded = errors.New("the input has ended")

func sendInput(c *control.Conn, r io.Reader, k *detachkeys.Keys) error {
	buf := make([]byte, 16<<10)
	for {
		n, err := r.Read(buf)
		pass, detached := buf[:n], false
		if k != nil {
			pass, detached = k.Scan(pass)
		}
		if len(pass) > 0 {
			if err := c.Send(control.Stream{Stdin: pass}); err != nil {
				return errInputEnded
			}
		}
		switch {
		case detached:
			return ErrDetached
		case err != nil:
			_ = c.Send(control.Stream{EOF: true}) // or the system has gone
			return errInputEnded
		}
	}
}

// sendEvents sends sizes and signals as they come.
func sendEvents(ctx context.Context, c *control.Conn, o AttachOptions) {
	for {
		var m control.Stream
		select {
		case <-ctx.Done():
			return
		case size, ok := <-o.Resize:
			if !ok {
				o.Resize = nil
				continue
			}
			m.Size = &size
		case sig, ok := <-o.Signals:
			if !ok {
				o.Signals = nil
				continue
			}
			m.Signal = sig
		}
		if c.Send(m) != nil {
			return
		}
	}
}

func receiveOutput(c *control.Conn, o AttachOptions) error {
	write := func(w io.Writer, p []byte) error {
		if w == nil || len(p) == 0 {
			return nil
		}
		_, err := w.Write(p)
		return err
	}
	for {
		var m control.Stream
		files, err := c.Receive(&m)
		for _, f := range files {
			f.Close()
		}
		if err != nil {
			return nil // the system has gone: how, Wait tells
		}
		if err := errors.Join(write(o.Stdout, m.Stdout), write(o.Stderr, m.Stderr)); err != nil {
			return err
		}
		if m.Ended {
			return errSaidEnd
		}
	}
}
