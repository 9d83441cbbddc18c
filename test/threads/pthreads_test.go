package threads

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stasis-run/stasis/guests"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/kernel"
)

// pthreads returns the program that has its threads from a toolchain's libc.
func pthreads(t *testing.T) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	path, err := guests.Path(ctx, "pthreads")
	if guests.IsUnavailable(err) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ended is what a program with that output looks like at its end.
func ended(out string) string { return "code 0, signal 0\n" + out }

// Threads of a libc do what they do on Linux: left alone, and unwound at every
// safepoint, before every call and every wait, with all stopped there or not.
func TestPthreads(t *testing.T) {
	b := pthreads(t)
	g, err := guests.Lookup("pthreads")
	if err != nil {
		t.Fatal(err)
	}
	want := ended(g.Want)
	if got := compile(t, b, wazero.Options{}).run(t, 4, 100); got != want {
		t.Fatalf("left alone: got %s\nwant %s", got, want)
	}
	for _, o := range []wazero.Options{
		{Pass: instrument.Options{Counted: true, PeelLimit: -1}, Interpret: wazero.InterpretNone},
		{Pass: instrument.Options{Counted: true}, Interpret: wazero.InterpretBriefly},
		{Pass: instrument.Options{Counted: true}, Interpret: wazero.InterpretAlways},
	} {
		g := compile(t, b, o)
		for _, every := range []int32{1, 3} {
			for _, stop := range []bool{false, true} {
				stress := kernel.Stress{Every: every}
				if stop {
					stress.Stopped = func(s *kernel.ExternalStop) { s.End() }
				}
				s := g.boot(t, nil, stress, 4, 100).start(t)
				if got := s.wait(t); got != want {
					t.Errorf("interpret %d, every %d, stops %v: got %s\nwant %s", o.Interpret, every, stop, got, want)
				}
				s.close(t)
			}
		}
	}
}

// The same, saved and woken again and again while it runs.
func TestPthreadsSaved(t *testing.T) {
	g := compile(t, pthreads(t), wazero.Options{})
	const threads, rounds = 8, 3000
	want := g.run(t, threads, rounds)
	most := 20
	if testing.Short() {
		most = 6
	}
	s := g.boot(t, nil, kernel.Stress{}, threads, rounds).start(t)
	saved := 0
	for ; saved < most; saved++ {
		was := s.k.Init().CPUTime()
		for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end) && s.k.Init().CPUTime() < was+3e6; {
			runtime.Gosched()
		}
		n, _, ok := s.elsewhere(t, filepath.Join(t.TempDir(), strconv.Itoa(saved)))
		if !ok {
			break
		}
		s = n.start(t)
	}
	if got := s.wait(t); got != want {
		t.Errorf("saved %d times: got %s\nleft alone: %s", saved, got, want)
	}
	s.close(t)
	if saved == 0 {
		t.Error("it ended before it could be saved")
	}
	t.Logf("saved %d times", saved)
}
