package stasis

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/stasis-run/stasis/internal/control"
)

// Properties are what is known of a system.
type Properties struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	State   State     `json:"state"`
	Owner   int       `json:"owner"` // uid
	Created time.Time `json:"created"`
	Spec    Spec      `json:"spec"`

	// Of the latest run, if there was one.
	PID        int        `json:"pid,omitempty"`
	Started    *time.Time `json:"started,omitempty"`
	Foreground bool       `json:"foreground,omitempty"`
	Version    string     `json:"version,omitempty"` // of stasis that hosts it
	Jail       any        `json:"jail,omitempty"`
	Exit       *Exit      `json:"exit,omitempty"`
	Status     *Status    `json:"status,omitempty"` // of a system that runs

	Attempts []Attempt `json:"checkpoints,omitempty"`
}

// statusTimeout bounds the wait for a running system's answer.
const statusTimeout = 5 * time.Second

// Properties tells what is known of the system. One that runs and does not
// answer in time is told of without its Status.
func (s *System) Properties(ctx context.Context) (Properties, error) {
	if err := s.check(); err != nil {
		return Properties{}, s.fail("properties", err)
	}
	if s.embedded != nil {
		return s.embedded.properties(), nil
	}
	sys := s.saved
	p := Properties{ID: sys.ID, Name: s.Name(), Owner: sys.Owner, Created: sys.Created, Spec: sys.Spec}
	p.Attempts, _ = s.entry.Attempts() // none that can be read
	run, err := s.entry.LastRun()
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return p, s.fail("properties", err)
	default:
		p.PID, p.Started, p.Foreground, p.Version, p.Jail = run.PID, &run.Started, run.Foreground, run.Version, run.Jail
	}
	if s.entry.Running() {
		s.runningState(ctx, &p)
	}
	if !p.State.Running() {
		s.restingState(&p)
	}
	return p, nil
}

// runningState asks the system.
func (s *System) runningState(ctx context.Context, p *Properties) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	a, err := s.call(ctx, control.Call{Op: control.OpStatus})
	switch {
	case err == nil && a.Status != nil:
		p.Status, p.State = a.Status, State(a.Status.State)
		if rss, err := resident(int(a.Status.PID)); err == nil {
			p.Status.RSS = rss // what is resident now; the process itself knows its peak only
		}
		if p.PID == 0 { // whoever started it has not noted the run yet, or was killed
			p.PID = int(a.Status.PID)
		}
		if !p.State.Running() {
			p.State = StateRunning
		}
	case p.Started == nil:
		p.State = StateStarting
	case KindOf(err) == AlreadyStopped || KindOf(err) == UnexpectedExit:
	default:
		p.State = StateRunning
	}
}

// restingState is that of a system without a process.
func (s *System) restingState(p *Properties) {
	x, err := s.entry.Exit()
	switch {
	case errors.Is(err, fs.ErrNotExist) && p.Started == nil:
		p.State = StateCreated
		return
	case errors.Is(err, fs.ErrNotExist) && s.entry.Running(): // it answers no more, and has not written how it ended
		p.State = StateRunning
		return
	case err != nil:
		p.State = StateUnexpected
		return
	case x.Checkpoint != "":
		p.State = StateSaved
	case x.Unexpected:
		p.State = StateUnexpected
	default:
		p.State = StateExited
	}
	p.Exit = &x
}
