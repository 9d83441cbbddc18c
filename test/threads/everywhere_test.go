package threads

import (
	"context"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/kernel"
)

// Threads that are saved and woken at every safepoint of any of them, and before
// every call and every wait, print what they do when left alone.
func TestSavedEverywhere(t *testing.T) {
	rounds := 40
	if testing.Short() {
		rounds = 3
	}
	for _, how := range []wazero.Interpret{wazero.InterpretCold, wazero.InterpretAlways} {
		g := load(t, "count", wazero.Options{Pass: instrument.Options{Counted: true}, Interpret: how})
		want := g.run(t, 3, rounds)
		stops := make(chan *kernel.ExternalStop, 1)
		stress := kernel.Stress{Every: 1, Stopped: func(stop *kernel.ExternalStop) {
			select {
			case stops <- stop:
			default: // another thread was first: its stop is this one's, too
				stop.End()
			}
		}}
		s := g.boot(t, nil, stress, 3, rounds)
		saved := 0
		for dir := t.TempDir(); ; saved++ {
			stop := s.start(t).stopped(t, stops)
			if stop == nil {
				break
			}
			n, _, ok := s.elsewhere(t, filepath.Join(dir, strconv.Itoa(saved)))
			stop.End()
			if !ok {
				break
			}
			select {
			case late := <-stops: // of a thread that came to a safepoint meanwhile
				late.End()
			default:
			}
			s = n
		}
		if got := s.wait(t); got != want {
			t.Errorf("interpret %d, saved %d times:\n%s\nleft alone:\n%s", how, saved, got, want)
		}
		s.close(t)
		if saved < 3*rounds {
			t.Errorf("interpret %d: saved %d times only", how, saved)
		}
		t.Logf("interpret %d: saved %d times", how, saved)
	}
}

// stopped waits until a thread comes to a safepoint; nil if the process has ended.
func (s *system) stopped(t testing.TB, stops chan *kernel.ExternalStop) *kernel.ExternalStop {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := s.k.Init().Wait(ctx)
		ended <- err
	}()
	select {
	case stop := <-stops:
		cancel()
		<-ended
		return stop
	case err := <-ended:
		if err != nil {
			t.Fatalf("the guest hangs: %v: %+v", err, s.k.Stats())
		}
		return nil
	}
}

// Threads that queue for the only CPU, after calls and waits as well, are saved at
// any moment: what a call has returned is in the guest before that.
func TestSavedAfterCalls(t *testing.T) {
	g := load(t, "count", wazero.Options{Pass: instrument.Options{Counted: true}})
	opts := func(o *kernel.Options) { o.Slots = 1 }
	times := 60
	if testing.Short() {
		times = 25
	}
	want := g.run(t, 8, 4000)
	s := g.boot(t, opts, kernel.Stress{Every: 1}, 8, 4000).start(t)
	saved := 0
	for dir := t.TempDir(); saved < times && s.moves(); saved++ {
		n, _, ok := s.elsewhere(t, filepath.Join(dir, strconv.Itoa(saved)))
		if !ok {
			break
		}
		s = n.start(t)
	}
	if got := s.wait(t); got != want {
		t.Errorf("saved %d times:\n%s\nleft alone:\n%s", saved, got, want)
	}
	s.close(t)
	t.Logf("saved %d times", saved)
}
