package stasis

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/launch"
	"github.com/stasis-run/stasis/internal/sandbox"
	"github.com/stasis-run/stasis/internal/store"
)

// An embedded system lives in this process.
type embedded struct {
	opts    Options
	created time.Time
	id      string

	mu      sync.Mutex
	guest   *sandbox.Embedded // nil before Start; protected by mu
	history []Attempt         // protected by mu
}

func (h *Host) newEmbedded(o Options) *System {
	return &System{host: h, opts: o, embedded: &embedded{opts: o, created: time.Now(), id: store.RandomID(8)}}
}

// running returns the guest, or why there is none.
func (e *embedded) running() (*sandbox.Embedded, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.guest == nil {
		return nil, fault.New(fault.WrongState, "the system has not been started")
	}
	return e.guest, nil
}

// living returns the guest of a system that has not ended.
func (e *embedded) living() (*sandbox.Embedded, error) {
	g, err := e.running()
	if err == nil {
		if _, ended := g.Ended(); ended {
			err = errEnded
		}
	}
	return g, err
}

func (e *embedded) start(ctx context.Context, so StartOptions) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.guest != nil {
		return fault.New(fault.WrongState, "the system has been started already")
	}
	o := sandbox.Options{Name: e.opts.Name, Spec: e.opts.Spec, Embedded: true}
	granted, release, err := launch.OpenGrants(&e.opts.Spec)
	if err != nil {
		return err
	}
	defer release()
	o.Granted = granted
	if o.Module, o.Image, err = e.openProgram(); err != nil {
		return err
	}
	if o.Module != nil {
		defer o.Module.Close()
	}
	if o.Image != nil {
		defer o.Image.Close()
	}
	e.guest, err = sandbox.StartEmbedded(ctx, o, [3]*os.File{so.Stdin, so.Stdout, so.Stderr})
	return err
}

func (e *embedded) openProgram() (module *os.File, im *image.Image, err error) {
	if e.opts.Image != "" {
		if im, err = image.Open(image.OS, e.opts.Image); err != nil {
			return nil, nil, err
		}
		if c := im.Config(); !c.Thin() {
			return nil, im, nil
		}
		if e.opts.Module == "" {
			im.Close()
			return nil, nil, launch.MissingModule(e.opts.Image, im.Config())
		}
	}
	if module, err = launch.OpenModule(e.opts.Module); err != nil && im != nil {
		im.Close()
	}
	return module, im, err
}

func (e *embedded) pause(ctx context.Context) error {
	g, err := e.living()
	if err != nil {
		return err
	}
	return g.System.Pause(ctx)
}

func (e *embedded) resume() error {
	g, err := e.living()
	if err != nil {
		return err
	}
	return g.System.Resume()
}

func (e *embedded) signal(sig int32) error {
	g, err := e.living()
	if err != nil {
		return err
	}
	return g.System.Signal(sig)
}

func (e *embedded) stacks(ctx context.Context) ([]Stack, error) {
	g, err := e.living()
	if err != nil {
		return nil, err
	}
	return g.System.Stacks(ctx)
}

func (e *embedded) coredump(ctx context.Context, f *os.File) error {
	g, err := e.living()
	if err != nil {
		return err
	}
	return g.System.WriteCore(ctx, f)
}

func (e *embedded) resize(Size) error {
	return fault.New(fault.Unsupported, "a system in process has no terminal of its own")
}

func (e *embedded) wait(ctx context.Context) (Exit, error) {
	g, err := e.running()
	if err != nil {
		return Exit{}, err
	}
	return g.Wait(ctx)
}

func (e *embedded) close() error {
	g, err := e.running()
	if err != nil {
		return nil // nothing runs
	}
	return g.Close()
}

func (e *embedded) attempts() []Attempt {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]Attempt(nil), e.history...)
}

func (e *embedded) properties() Properties {
	p := Properties{
		ID: e.id, Name: e.opts.Name, State: StateCreated, Owner: os.Getuid(), Created: e.created, Spec: e.opts.Spec,
		PID: os.Getpid(), Version: Version, Attempts: e.attempts(),
	}
	g, err := e.running()
	if err != nil {
		return p
	}
	p.State = State(g.System.State())
	if x, ok := g.Ended(); ok {
		p.Exit, p.State = &x, StateExited
		if x.Checkpoint != "" {
			p.State = StateSaved
		}
	}
	return p
}

// checkpoint writes an image from this process.
func (e *embedded) checkpoint(ctx context.Context, h *Host, o CheckpointOptions) (Stats, error) {
	g, err := e.living()
	if err != nil {
		return Stats{}, err
	}
	if o.OnRequest {
		if err := g.System.AwaitSnapshotRequest(ctx); err != nil {
			return Stats{}, err
		}
	}
	if err := ctx.Err(); err != nil {
		return Stats{}, err
	}
	n, gen := g.System.Begin()
	t := target{host: h, o: o, gen: gen}
	if err := t.check(); err != nil {
		return Stats{}, err
	}
	where := t.o.Dir
	if where == "" {
		if where, err = h.imagePath(gen); err != nil {
			return Stats{}, err
		}
	}
	st, err := g.System.Checkpoint(ctx, sandbox.Save{
		Attempt: n, Generation: gen, Leave: o.Leave, Thin: o.Thin, DropEnv: o.DropEnv,
		Create: t.create,
		Publish: func() error {
			if err := ctx.Err(); err != nil { // nobody wants it any more
				return err
			}
			return t.publish()
		},
	}, where, o.NoWait)
	a := Attempt{Number: n, Generation: gen, Image: where, Outcome: AttemptDone, Stats: &st, Time: time.Now()}
	if err != nil {
		err = errors.Join(err, t.abort())
		a.Outcome, a.Error, a.Stats = AttemptFailed, err.Error(), nil
	} else if !o.Leave {
		g.System.Terminate()
	}
	e.mu.Lock()
	e.history = append(e.history, a)
	e.mu.Unlock()
	if err == nil && !o.Leave { // what it had of the host is free when this returns
		if _, werr := g.Wait(ctx); werr != nil {
			err = fmt.Errorf("saved, but: %w", werr)
		}
	}
	return st, err
}

// invalid makes an error one of what was asked for.
func invalid(err error) error {
	var f *fault.Error
	if err == nil || errors.As(err, &f) {
		return err
	}
	return &fault.Error{Kind: fault.Invalid, Err: err}
}

// imagePath is where the store keeps the image of a generation.
func (h *Host) imagePath(generation string) (string, error) {
	st, err := h.open()
	if err != nil {
		return "", err
	}
	if generation == "" || filepath.Base(generation) != generation {
		return "", fmt.Errorf("generation %q is none", generation)
	}
	return filepath.Join(st.Images(), generation), nil
}
