package sandbox

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/spec"
	"github.com/stasis-run/stasis/internal/store"
)

// An Embedded is a system in the caller's process.
type Embedded struct {
	System  *System
	console *console
	done    chan struct{} // closed when exit is valid
	exit    store.Exit
	err     error
}

// StartEmbedded starts a system in this process. Its streams are stdio; nil ones
// are empty, and go nowhere.
func StartEmbedded(ctx context.Context, o Options, stdio [3]*os.File) (*Embedded, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	for i := range stdio {
		if stdio[i] == nil {
			stdio[i] = null
		}
	}
	c, err := newConsole(newLogWriter([2]*os.File{}, spec.DefaultLogLimit), o.Spec.Stdin)
	if err != nil {
		null.Close()
		return nil, err
	}
	c.useDirect(stdio)
	o.Granted.Stdio = c.file
	o.Log = newNotices(o.Name, c.notice)
	if o.Stress, err = newStressFiles(&o.Spec); err != nil {
		null.Close()
		c.end()
		return nil, err
	}
	e := &Embedded{console: c, done: make(chan struct{})}
	if e.System, err = Boot(ctx, o); err != nil {
		null.Close()
		c.end()
		return nil, err
	}
	go func() {
		defer close(e.done)
		defer null.Close()
		defer o.Stress.close()
		e.run()
	}()
	return e, nil
}

// run runs the system to its end, and frees it.
func (e *Embedded) run() {
	h := &host{setup: &Setup{Name: e.System.opts.Name, Spec: e.System.opts.Spec}, console: e.console, sys: e.System}
	e.exit = h.watch()
	e.exit.Ended = time.Now()
	e.err = e.System.Close()
	e.console.end()
}

// Wait waits until the system has ended and tells how.
func (e *Embedded) Wait(ctx context.Context) (store.Exit, error) {
	select {
	case <-e.done:
		return e.exit, nil
	case <-ctx.Done():
		return store.Exit{}, fmt.Errorf("it still runs: %w", ctx.Err())
	}
}

// Ended tells how the system ended, if it has.
func (e *Embedded) Ended() (store.Exit, bool) {
	select {
	case <-e.done:
		return e.exit, true
	default:
		return store.Exit{}, false
	}
}

// Close ends the system and waits until nothing of it is left.
func (e *Embedded) Close() error {
	_ = e.System.Signal(kernel.SIGKILL) // a valid signal
	<-e.done
	return e.err
}

// Terminate ends the system's process as SIGKILL does.
func (s *System) Terminate() {
	if k := s.Kernel(); k != nil {
		k.Init().Terminate()
	}
}
