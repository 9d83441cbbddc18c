package stasis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/launch"
	"github.com/stasis-run/stasis/internal/sandbox"
)

// CheckpointOptions say how a system is saved.
type CheckpointOptions struct {
	Dir     string   // directory to be made; "" keeps the image in the store
	Tag     string   // a name for it in the store
	Leave   bool     // the system runs on; else it ends
	Thin    bool     // leave the module out
	DropEnv []string // variables whose values stay out of the image's state
	NoWait  bool     // fail if another checkpoint is under way

	OnRequest bool // wait until the guest asks for it (proc_snapshot), which needs Spec.Snapshots

	// Prepare is how long, once the image is complete, code may be compiled into
	// the cache that a restore would have to compile: 0 is DefaultPrepare, below 0
	// is not at all. What is in the cache already takes no time.
	Prepare time.Duration
}

// DefaultPrepare is how long Checkpoint compiles ahead by default.
const DefaultPrepare = 2 * time.Second

// Checkpoint saves the running system: all of it, but for what it was given of
// the host. The image is complete or absent; when Checkpoint returns nil, it
// lasts. Otherwise the system runs on as if nothing had happened.
func (s *System) Checkpoint(ctx context.Context, o CheckpointOptions) (Stats, error) {
	if err := s.check(); err != nil {
		return Stats{}, s.fail("checkpoint", err)
	}
	if s.embedded != nil {
		st, err := s.embedded.checkpoint(ctx, s.host, o)
		return st, s.fail("checkpoint", err)
	}
	doing := "saving"
	if o.OnRequest {
		doing = "waiting for the program to ask"
	}
	saved := s.host.progress(doing)
	st, places, err := s.checkpoint(ctx, &o)
	for errors.Is(err, errNotRequested) {
		st, places, err = s.checkpoint(ctx, &o)
	}
	if err == nil && !o.Leave { // what it had of the host is free when this returns
		if _, werr := s.entry.Wait(ctx); werr != nil && KindOf(advised(werr)) != NotFound {
			err = fmt.Errorf("saved, but: %w", werr)
		}
	}
	saved()
	if err == nil {
		s.prepare(ctx, &o, places)
	}
	return st, s.fail("checkpoint", err)
}

// prepare compiles what a restore of the image would have to. It can do without.
func (s *System) prepare(ctx context.Context, o *CheckpointOptions, places []control.Place) {
	patience := cmp.Or(o.Prepare, DefaultPrepare)
	cache := s.host.cache()
	if patience < 0 || cache == nil {
		return
	}
	exe, err := s.host.executable()
	if err != nil {
		return
	}
	told := func() {}
	plan := &launch.Plan{System: s.saved, Executable: exe, Cache: cache, Jail: s.host.jail(), Stage: func(string) {
		told = s.host.progress("preparing")
	}}
	_ = launch.Ahead(ctx, plan, o.Dir, s.saved.Spec.Module, places, patience) // the image is there: a restore compiles, then
	told()
}

// errNotRequested says that the guest has not asked for a checkpoint yet.
var errNotRequested = errors.New("the guest does not ask for a checkpoint")

// checkpoint fills in where the image is.
func (s *System) checkpoint(ctx context.Context, o *CheckpointOptions) (st Stats, places []control.Place, err error) {
	t := target{host: s.host, o: *o}
	if err := t.check(); err != nil {
		return Stats{}, nil, err
	}
	c, err := s.dial(ctx)
	if err != nil {
		return Stats{}, nil, err
	}
	defer c.Close()
	defer c.Until(ctx)()
	err = c.Send(control.Call{Version: control.Version, Op: control.OpCheckpoint, Checkpoint: &control.Checkpoint{
		Leave: o.Leave, Thin: o.Thin, DropEnv: o.DropEnv, Path: o.Dir, Wait: !o.NoWait, OnRequest: o.OnRequest,
	}})
	if err != nil { // it is ending
		return Stats{}, nil, s.noReply(ctx)
	}
	if st, err = t.serve(c); err != nil {
		err = errors.Join(err, t.abort())
	}
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if o.Dir = t.o.Dir; o.Dir == "" && err == nil {
		o.Dir, err = s.host.imagePath(t.gen)
	}
	return st, t.places, err
}

// A target is where an image is made, for a system that cannot make files.
type target struct {
	host    *Host
	o       CheckpointOptions
	attempt uint64
	gen     string
	draft   *image.Draft // once the first file is asked for
	done    bool         // it is published

	places []control.Place // what the system says where its frames are
}

// check refuses what cannot be, before anything is stopped for it.
func (t *target) check() error {
	if t.o.Dir != "" {
		abs, err := filepath.Abs(t.o.Dir)
		if err != nil {
			return err
		}
		if _, err := os.Lstat(abs); err == nil {
			return fmt.Errorf("image %s: %w", abs, image.ErrExists)
		}
		t.o.Dir = abs
	}
	if t.o.Tag != "" {
		return t.host.checkTag(t.o.Tag)
	}
	return nil
}

// serve does what the system asks for, until the image is published.
func (t *target) serve(c *control.Conn) (Stats, error) {
	for {
		var a control.Answer
		files, err := c.Receive(&a)
		for _, f := range files {
			f.Close()
		}
		switch {
		case err != nil && t.done: // the image is there; the system has run on, to its end, before it told more
			return Stats{Attempt: t.attempt, Generation: t.gen}, nil
		case err != nil:
			return Stats{}, fault.Advise(fault.UnexpectedExit, errors.New("the system has ended before it was saved"), "see how with: stasis wait")
		case a.Fault != nil:
			return Stats{}, a.Fault.Err()
		case a.Checkpoint == nil:
			return Stats{}, fault.New(fault.Internal, "the system's answer is not understood")
		}
		switch k := a.Checkpoint; {
		case k.None:
			return Stats{}, errNotRequested
		case k.Attempt != 0:
			t.attempt, t.gen = k.Attempt, k.Generation
		case k.File != "":
			f, err := t.create(k.File)
			if err = reply(c, err, image.OSFile(f)); err != nil {
				return Stats{}, err
			}
		case k.Written:
			if err := reply(c, t.publish(), nil); err != nil {
				return Stats{}, err
			}
		case k.Stats != nil:
			t.places = k.Places
			return *k.Stats, nil
		default: // to wait for what it waits for would be for ever
			return Stats{}, fault.Advise(fault.Unsupported, errors.New("the system's answer is not understood"), "save it with the stasis that started it: stasis inspect tells which")
		}
	}
}

// reply tells the system that something is done, or why not. A failure of ours
// comes back as the system's.
func reply(c *control.Conn, failure error, f *os.File) error {
	r := control.CheckpointReply{Fault: control.FaultOf(advised(failure)), Published: failure == nil && f == nil}
	if f == nil {
		return c.Send(r)
	}
	defer f.Close()
	return c.Send(r, f)
}

// create makes a file of the image.
func (t *target) create(name string) (image.File, error) {
	if t.draft == nil {
		dir := t.o.Dir
		if dir == "" {
			var err error
			if dir, err = t.host.imagePath(t.gen); err != nil {
				return nil, err
			}
		}
		d, err := image.Create(t.host.imageFS(), dir)
		if err != nil {
			return nil, sandbox.Advise(err)
		}
		t.draft = d
	}
	return t.draft.File(name)
}

func (t *target) publish() error {
	if t.draft == nil {
		return fault.New(fault.Internal, "the system wrote no file")
	}
	if err := t.draft.Publish(); err != nil {
		return err
	}
	t.done = true
	if t.o.Tag != "" {
		return t.host.setTag(t.o.Tag, t.gen)
	}
	return nil
}

// abort removes what was written.
func (t *target) abort() error {
	if t.draft == nil || t.done {
		return nil
	}
	return t.draft.Abort()
}

// WaitCheckpoint waits until an attempt has ended, and tells how it did, also
// long afterwards. Attempt 0 is the latest.
func (s *System) WaitCheckpoint(ctx context.Context, n uint64) (Attempt, error) {
	for {
		all, err := s.Attempts()
		if err != nil {
			return Attempt{}, err
		}
		a, ok := findAttempt(all, n)
		switch {
		case !ok:
			return a, s.fail("wait", fault.Advise(fault.NotFound, fmt.Errorf("it has no checkpoint %d", n), "stasis inspect %s lists them", s.Name()))
		case a.Outcome != AttemptRunning:
			return s.settled(a), nil
		}
		select {
		case <-ctx.Done():
			return a, s.fail("wait", fmt.Errorf("checkpoint %d is under way: %w", a.Number, ctx.Err()))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Outcomes of an attempt.
const (
	AttemptRunning = "running"
	AttemptDone    = "done"
	AttemptFailed  = "failed"
	AttemptUnknown = "unknown"
)

func findAttempt(all []Attempt, n uint64) (Attempt, bool) {
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Number == n || n == 0 {
			return all[i], true
		}
	}
	return Attempt{}, false
}

// settled finds out what became of an attempt that nobody noted the end of:
// where the image is, it was published.
func (s *System) settled(a Attempt) Attempt {
	if a.Outcome != AttemptUnknown || s.embedded != nil {
		return a
	}
	dir := a.Image
	if dir == "" {
		dir, _ = s.host.imagePath(a.Generation) // "" is found nowhere
	}
	if c, err := image.OpenConfig(image.OS, dir); err == nil && c.Generation == a.Generation {
		a.Outcome = AttemptDone
	}
	return a
}
