package stasis

import (
	"context"
	"os"

	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/launch"
)

// Start starts a system that does not run. One that has run begins anew; one
// made from an image is woken. When it returns nil, the system runs.
func (s *System) Start(ctx context.Context, o StartOptions) error {
	if err := s.check(); err != nil {
		return s.fail("start", err)
	}
	if s.embedded != nil {
		return s.fail("start", s.embedded.start(ctx, o))
	}
	op := "start"
	if s.opts.Image != "" {
		op = "restore"
	}
	return s.fail(op, s.start(ctx, o))
}

// hold takes the entry. A system that has told its end is gone but for its process,
// which is waited for, for a moment.
func (s *System) hold(ctx context.Context) error {
	if _, err := s.entry.Exit(); err == nil {
		_, _ = s.entry.Wait(ctx) // what is wrong then, Hold says
	}
	return s.entry.Hold()
}

func (s *System) start(ctx context.Context, o StartOptions) error {
	defer s.dropSeed()         // if nobody has taken it
	if s.entry.Lock() == nil { // Run has it already
		if err := s.hold(ctx); err != nil {
			return err
		}
	}
	defer s.entry.Release() // it is the process's then
	sys := s.saved
	exe, err := s.host.executable()
	if err != nil {
		return err
	}
	st, err := s.host.open()
	if err != nil {
		return err
	}
	plan := &launch.Plan{
		Store: st, Entry: s.entry, System: sys, Executable: exe, Cache: s.host.cache(), Jail: s.host.jail(),
		Foreground: o.Foreground, Stage: s.host.stages(),
	}
	plan.Stdio = o.stdio(sys.Spec.TTY)
	if o.Attached {
		plan.Attach = &control.Attach{Stdin: sys.Spec.Stdin || sys.Spec.TTY, Size: o.Size}
	}
	if plan.Seed, err = s.takeSeed(); err != nil {
		return err
	}
	woken := func() {}
	if sys.Spec.Image != "" && plan.Stdio[0] == nil { // a guest that writes to our terminal at once is not to be overwritten
		woken = s.host.progress("restoring")
	}
	p, err := launch.Start(ctx, plan)
	woken()
	if err != nil {
		return err
	}
	if !o.Foreground && !o.Attached {
		p.Release()
		return nil
	}
	s.mu.Lock()
	if s.process != nil {
		s.process.Exit.Close() // of the run before
	}
	s.process, s.ours, s.over = p, o.Foreground, false
	s.mu.Unlock()
	return nil
}

// A seed is a process that is being started for a system that is being made.
type seed struct {
	done chan struct{}
	jail string // mode; immutable
	seed *launch.Seed
	err  error
}

// Prepare begins to start the process of the next system that Run makes. Who knows
// early that there will be one saves that time. A process that is not used ends
// with this one.
func (h *Host) Prepare() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.prepared == nil {
		h.prepared = h.spawn([3]*os.File{os.Stdin, os.Stdout, os.Stderr})
	}
}

// seedFor is a process for a system; nil if it will have none.
func (h *Host) seedFor(o *Options) *seed {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.prepared
	h.prepared = nil
	stdio := o.Start.stdio(o.TTY)
	ours := [3]*os.File{os.Stdin, os.Stdout, os.Stderr}
	if p != nil && p.jail == h.jail() && o.Isolation == Process && (stdio == ours || stdio == [3]*os.File{}) {
		return p
	}
	p.drop()
	if o.Isolation == InProcess {
		return nil
	}
	return h.spawn(stdio)
}

// spawn begins to start a process.
func (h *Host) spawn(stdio [3]*os.File) *seed {
	s := &seed{done: make(chan struct{}), jail: h.jail()}
	go func() {
		defer close(s.done)
		var exe string
		if exe, s.err = h.executable(); s.err == nil {
			s.seed, s.err = launch.Spawn(exe, s.jail, stdio)
		}
	}()
	return s
}

// take waits for the process.
func (s *seed) take() (*launch.Seed, error) {
	if s == nil {
		return nil, nil
	}
	<-s.done
	return s.seed, s.err
}

// drop ends the process, if it was started and nobody took it.
func (s *seed) drop() {
	if p, err := s.take(); err == nil && p != nil {
		p.Kill()
	}
}

// takeSeed is the process that was started for the system, nil if none was.
func (s *System) takeSeed() (*launch.Seed, error) {
	seed := s.seed
	s.seed = nil
	return seed.take()
}

func (s *System) dropSeed() {
	s.seed.drop()
	s.seed = nil
}
