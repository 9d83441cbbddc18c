package stasis

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/launch"
	"github.com/stasis-run/stasis/internal/store"
)

// A State is what a system does.
type State string

// The states of a system.
const (
	StateCreated    State = "created"    // it has not run yet
	StateStarting   State = "starting"   // its process is being built
	StateRunning    State = "running"    // it computes
	StateBlocked    State = "blocked"    // it waits for something
	StateStopped    State = "stopped"    // by SIGSTOP, until SIGCONT
	StatePaused     State = "paused"     // by Pause, until Resume
	StateExited     State = "exited"     // its latest run has ended
	StateSaved      State = "saved"      // it was saved and ended
	StateUnexpected State = "unexpected" // its process ended without a word
)

// Running reports whether a process hosts the system.
func (s State) Running() bool {
	switch s {
	case StateStarting, StateRunning, StateBlocked, StateStopped, StatePaused:
		return true
	}
	return false
}

// A System is a handle of one compute system. Close frees the handle and stops
// nothing, unless the system is InProcess.
type System struct {
	host     *Host
	opts     Options
	entry    *store.Entry
	saved    store.System // what is in the store; it does not change
	seed     *seed        // a process for the first Start; it alone uses this
	embedded *embedded    // of a system InProcess; else nil

	mu      sync.Mutex
	process *launch.Process // of a run that this handle started and still has a part in; protected by mu
	ours    bool            // that run ends with us; protected by mu
	over    bool            // that run has said that it has ended; protected by mu
	closed  bool            // protected by mu
}

// Name is the system's name.
func (s *System) Name() string {
	if s.embedded != nil {
		return s.opts.Name
	}
	return s.entry.Name()
}

// fail makes an error of this system.
func (s *System) fail(op string, err error) error { return failed(op, s.Name(), err) }

var errClosed = fault.New(fault.Closed, "the handle has been closed")

// check refuses a closed handle.
func (s *System) check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	return nil
}

// Close frees the handle. It may be called again.
func (s *System) Close() error {
	s.mu.Lock()
	p, ours, ended, closed := s.process, s.ours, s.over, s.closed
	s.process, s.closed = nil, true
	s.mu.Unlock()
	if p != nil && (!ours || ended) {
		p.Release()
	} else if p != nil {
		p.Conn.Close() // the system ends
		<-p.Gone()
		p.Exit.Close()
	}
	if s.embedded != nil && !closed {
		return s.fail("close", s.embedded.close())
	}
	return nil
}

// dialTimeout bounds the wait for a system that is being built to listen.
const dialTimeout = 30 * time.Second

var errEnded = fault.Advise(fault.AlreadyStopped, errors.New("the system has ended"), "see how with: stasis wait")

// dial connects to the running system.
func (s *System) dial(ctx context.Context) (*control.Conn, error) {
	st, err := s.host.open()
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(dialTimeout); ; {
		c, err := control.Dial(ctx, st.Socket(s.saved.ID))
		switch {
		case err == nil:
			return c, nil
		case !s.entry.Running():
			return nil, s.ended()
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case time.Now().After(end):
			return nil, fmt.Errorf("it does not answer: %w", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// ended says why a system does not answer.
func (s *System) ended() error {
	_, err := s.entry.LastRun()
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Advise(fault.WrongState, errors.New("the system has not been started"), "start it with: stasis start %s", s.Name())
	}
	return fault.Advise(fault.AlreadyStopped, errors.New("the system has ended"), "see how with: stasis wait %s", s.Name())
}

// call asks the running system for something.
func (s *System) call(ctx context.Context, call control.Call) (control.Answer, error) {
	return s.callWith(ctx, call)
}

// callWith is call with files that go along, which it closes once they are sent.
func (s *System) callWith(ctx context.Context, call control.Call, files ...*os.File) (control.Answer, error) {
	var a control.Answer
	if err := s.check(); err != nil {
		return a, err
	}
	c, err := s.dial(ctx)
	if err != nil {
		return a, err
	}
	defer c.Close()
	defer c.Until(ctx)()
	call.Version = control.Version
	err = c.Send(call, files...)
	for _, f := range files {
		f.Close()
	}
	if err == nil {
		_, err = c.Receive(&a)
		if err == nil {
			return a, a.Fault.Err()
		}
	}
	return a, s.noReply(ctx)
}

// noReply says why a system that was asked for something cannot be spoken to.
func (s *System) noReply(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !s.entry.Running() {
		return s.ended()
	}
	return fault.Advise(fault.UnexpectedExit, errors.New("it has ended before it replied"), "see how with: stasis wait %s", s.Name())
}

// Pause stops all tasks until Resume, and returns when they are at rest. SIGKILL
// ends a paused system; other signals wait for Resume. It can be saved, and stays
// paused if it is to run on; the image is not: what is restored from it runs, and
// signals that waited are not in it.
func (s *System) Pause(ctx context.Context) error {
	if err := s.check(); err != nil {
		return s.fail("pause", err)
	}
	if s.embedded != nil {
		return s.fail("pause", s.embedded.pause(ctx))
	}
	_, err := s.call(ctx, control.Call{Op: control.OpPause})
	return s.fail("pause", err)
}

// Resume ends a Pause.
func (s *System) Resume(ctx context.Context) error {
	if err := s.check(); err != nil {
		return s.fail("resume", err)
	}
	if s.embedded != nil {
		return s.fail("resume", s.embedded.resume())
	}
	_, err := s.call(ctx, control.Call{Op: control.OpResume})
	return s.fail("resume", err)
}

// Signal sends the init process a signal, by its number in Linux (signal(7)).
func (s *System) Signal(ctx context.Context, sig int32) error {
	if sig < 0 || sig > 64 {
		return s.fail("signal", fault.New(fault.Invalid, "signal %d: signals are 1 to 64", sig))
	}
	if err := s.check(); err != nil {
		return s.fail("signal", err)
	}
	if s.embedded != nil {
		return s.fail("signal", s.embedded.signal(sig))
	}
	_, err := s.call(ctx, control.Call{Op: control.OpSignal, Signal: sig})
	return s.fail("signal", err)
}

// ResizeTTY sets the size of the system's terminal.
func (s *System) ResizeTTY(ctx context.Context, size Size) error {
	if err := s.check(); err != nil {
		return s.fail("resize", err)
	}
	if s.embedded != nil {
		return s.fail("resize", s.embedded.resize(size))
	}
	_, err := s.call(ctx, control.Call{Op: control.OpResize, Size: &size})
	return s.fail("resize", err)
}

// Signals that Shutdown and Terminate send.
const (
	sigkill = 9
	sigterm = 15
)

// Shutdown sends SIGTERM, and SIGKILL if the system has not ended after grace;
// it returns when it has. On a system that does not run it succeeds; one that is
// paused is resumed, to see the signal.
func (s *System) Shutdown(ctx context.Context, grace time.Duration) error {
	if s.embedded != nil || s.entry.Running() {
		_ = s.Resume(ctx) // it need not be paused
	}
	if err := s.end(ctx, sigterm, grace); err != nil {
		return s.fail("stop", err)
	}
	return s.fail("stop", s.end(ctx, sigkill, killPatience))
}

// killPatience is how long a system may take to end by SIGKILL.
const killPatience = 30 * time.Second

// Terminate ends the system at once, and returns when it has ended. On a system
// that does not run it succeeds.
func (s *System) Terminate(ctx context.Context) error {
	return s.fail("terminate", s.end(ctx, sigkill, killPatience))
}

// end sends a signal and waits for a while until the system has ended; that it
// has not is no error.
func (s *System) end(ctx context.Context, sig int32, patience time.Duration) error {
	if err := s.check(); err != nil {
		return err
	}
	if s.embedded == nil && !s.entry.Running() {
		return nil
	}
	if err := s.Signal(ctx, sig); err != nil {
		if k := KindOf(err); k == AlreadyStopped || k == WrongState || k == UnexpectedExit {
			err = nil
		}
		if err != nil {
			return errors.Unwrap(err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := s.Wait(ctx)
	if KindOf(err) == Timeout || KindOf(err) == NotFound {
		return nil
	}
	return err
}

// Wait waits until the run that goes on has ended, and tells how; of a system
// that does not run, how its latest run ended. Its error says whether waiting
// worked.
func (s *System) Wait(ctx context.Context) (Exit, error) {
	if err := s.check(); err != nil {
		return Exit{}, s.fail("wait", err)
	}
	if s.embedded != nil {
		x, err := s.embedded.wait(ctx)
		return x, s.fail("wait", err)
	}
	if err := s.waitProcess(ctx); err != nil {
		return Exit{}, s.fail("wait", err)
	}
	x, err := s.exit(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		err = s.ended()
	}
	return x, s.fail("wait", err)
}

// exit is how the run has ended, which is waited for. Of a run that is ours, it is
// known whatever has become of the system's name.
func (s *System) exit(ctx context.Context) (Exit, error) {
	s.mu.Lock()
	p := s.process
	s.mu.Unlock()
	if p != nil {
		return store.ExitOf(p.Exit), nil
	}
	return s.entry.Wait(ctx)
}

// waitProcess waits for the process of a run that is ours, which is told at once.
func (s *System) waitProcess(ctx context.Context) error {
	s.mu.Lock()
	p, ended := s.process, s.over
	s.mu.Unlock()
	if p == nil || ended {
		return nil
	}
	select {
	case <-p.Gone():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("it still runs: %w", ctx.Err())
	}
}

// Attempts lists the system's checkpoints, failed ones too, oldest first.
func (s *System) Attempts() ([]Attempt, error) {
	if err := s.check(); err != nil {
		return nil, s.fail("attempts", err)
	}
	if s.embedded != nil {
		return s.embedded.attempts(), nil
	}
	all, err := s.entry.Attempts()
	return all, s.fail("attempts", err)
}

// RemoveOptions say how a system is removed.
type RemoveOptions struct {
	Force bool // end it first, if it runs
}

// Remove removes the system and all that is known of it, its images excepted.
func (s *System) Remove(ctx context.Context, o RemoveOptions) error {
	if s.embedded != nil {
		return s.Close()
	}
	if err := s.check(); err != nil {
		return s.fail("remove", err)
	}
	if o.Force {
		if err := s.Terminate(ctx); err != nil {
			return err
		}
	}
	s.mu.Lock()
	ended := s.over // its process may take another moment, and uses nothing of this any more
	s.mu.Unlock()
	var err error
	if !ended {
		err = s.hold(ctx)
	}
	if errors.Is(err, store.ErrRunning) {
		err = fault.Advise(fault.WrongState, store.ErrRunning, "end it with: stasis kill %s, or remove it with rm -f", s.Name())
	}
	if now, readErr := s.entry.System(); err == nil && readErr == nil && now.ID != s.saved.ID {
		s.entry.Release()
		return nil // somebody else has, and the name is another system's now
	}
	if err == nil {
		err = s.entry.Remove()
	}
	if errors.Is(err, store.ErrNotFound) {
		err = nil // somebody else has
	}
	return s.fail("remove", err)
}

// Rename gives the system another name.
func (s *System) Rename(ctx context.Context, name string) error {
	if err := s.check(); err != nil {
		return s.fail("rename", err)
	}
	if s.embedded != nil {
		return s.fail("rename", fault.New(fault.Unsupported, "a system in process has no name for others"))
	}
	old := s.Name()
	return failed("rename", old, s.entry.Rename(name))
}
