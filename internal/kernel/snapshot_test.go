package kernel

import (
	"context"
	"errors"
	"testing"

	"github.com/stasis-run/stasis/internal/engine/enginetest"
)

// asking is a world whose task asks to be saved.
func asking(t *testing.T) *procs {
	t.Helper()
	p := newProcs(t, func(o *Options) { o.Snapshots = true }, nil, nil, do(0), enginetest.Loop{})
	p.calls = []guestCall{p.asksToBeSaved}
	return p
}

func (p *procs) asksToBeSaved(t *Task) Outcome {
	got, err := t.Snapshot()
	switch {
	case errors.Is(err, ErrNotSaved):
		p.note("not saved")
	case err != nil:
		p.note("%v", err)
	case got == Interrupted:
		return Again
	case got == Signalled:
		p.note("EINTR")
	default:
		p.note("saved")
	}
	return Done
}

// asked reports whether somebody waits for a checkpoint.
func (p *procs) asked() bool {
	p.t.Helper()
	settle()
	ctx, cancel := context.WithCancel(p.t.Context())
	cancel()
	err := p.k.AwaitSnapshotRequest(ctx)
	if err != nil && !errors.Is(err, context.Canceled) {
		p.t.Error(err)
	}
	return err == nil
}

// A task that asks to be saved waits, through stops and parked, until somebody has saved
// the system, or could not.
func TestSnapshot(t *testing.T) {
	for _, c := range []struct {
		name string
		how  error
		want string
	}{{"saved", nil, "saved"}, {"not saved", errors.New("disk full"), "not saved"}} {
		bubble(t, c.name, func(t *testing.T) {
			p := asking(t)
			if p.asked() {
				t.Error("asked before the start")
			}
			before := p.k.SnapshotRequests()
			p.start()
			awaited := make(chan error, 1)
			go func() { awaited <- p.k.AwaitSnapshotRequest(t.Context()) }()
			if err := <-awaited; err != nil {
				t.Error(err)
			}
			p.stop().End()
			p.pass(2 * defaultParkAfter)
			p.wantParked(p.task(), true)
			p.stop().End()
			before(nil) // of a checkpoint that began before it asked
			p.wantLog()
			if !p.asked() {
				t.Error("the request is forgotten")
			}
			p.k.SnapshotRequests()(c.how)
			p.wantLog(c.want)
			if p.asked() {
				t.Error("asked after the answer")
			}
			p.wantState(Running)
		})
	}
}

// The first answer counts: who is told while it stands, as all do that are saved, is not told
// otherwise by the next checkpoint.
func TestSnapshotAnsweredOnce(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := asking(t)
		p.start()
		stop := p.stop()
		p.k.SnapshotRequests()(nil)
		p.k.SnapshotRequests()(errors.New("disk full"))
		p.wantLog()
		stop.End()
		p.wantLog("saved")
	})
}

// Who may not ask is told at once.
func TestSnapshotRefused(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := newProcs(t, nil, nil, nil, do(0), enginetest.Loop{})
		p.calls = []guestCall{p.asksToBeSaved}
		p.start()
		p.wantLog(ErrNoSnapshots.Error())
		if err := p.k.AwaitSnapshotRequest(t.Context()); !errors.Is(err, ErrNoSnapshots) {
			t.Error(err)
		}
	})
}

// In a system that is restored from an image in which a task waits to be saved, it has
// been, whether it may ask there or not.
func TestSnapshotRestored(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := asking(t)
		p.start()
		if !p.asked() {
			t.Fatal("it does not ask")
		}
		p.through()
		p.start()
		p.wantLog("saved")
		if p.asked() {
			t.Error("asked in the restored system")
		}
	})
}

// Who waits for a request hears of the system's end.
func TestAwaitSnapshotRequestEnds(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := newProcs(t, func(o *Options) { o.Snapshots = true }, nil, nil, enginetest.Loop{})
		p.start()
		ended := make(chan error, 1)
		go func() { ended <- p.k.AwaitSnapshotRequest(t.Context()) }()
		settle()
		p.g.Terminate()
		if err := <-ended; !errors.Is(err, ErrExiting) {
			t.Error(err)
		}
	})
}

// A task that is killed or gets a signal while it waits asks for nothing any more.
func TestSnapshotEnds(t *testing.T) {
	bubble(t, "killed", func(t *testing.T) {
		p := asking(t)
		p.start()
		answer := p.k.SnapshotRequests()
		p.g.Terminate()
		p.wantExit(ExitStatus{Signal: SIGKILL})
		if err := p.k.AwaitSnapshotRequest(t.Context()); !errors.Is(err, ErrExiting) {
			t.Errorf("a request of a task that is gone: %v", err)
		}
		answer(nil)
	})
	bubble(t, "a signal", func(t *testing.T) {
		p := newProcs(t, func(o *Options) { o.Snapshots = true }, nil, []enginetest.Script{handlerScript(do(1))}, do(0), do(2), enginetest.Loop{})
		p.calls = []guestCall{withHandler, p.caught, p.asksToBeSaved}
		p.action(SIGUSR1, SigAction{})
		p.start()
		if !p.asked() {
			t.Fatal("it does not ask")
		}
		_ = p.g.Signal(SIGUSR1)
		p.wantLog("EINTR", "signal 10") // the handler runs as the call ends
		if p.asked() {
			t.Error("the request of a call that has ended")
		}
	})
}
