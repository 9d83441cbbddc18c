package threads

import (
	"flag"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/kernel"
)

// Threads count what they are to count.
func TestCount(t *testing.T) {
	g := load(t, "count", wazero.Options{})
	got := g.run(t, 8, 4000)
	want := "code 0, signal 0\nplain 2000\n"
	if !strings.HasPrefix(got, want) || !strings.Contains(got, "\na32 32000\na16 32000\na8 0\ncas 64000\n") {
		t.Errorf("got %s", got)
	}
}

var stopsFlag = flag.Int("stops", 300, "stops of a program of 16 threads")

// A program of 16 threads that is stopped again and again does what it does
// when left alone.
func TestStops(t *testing.T) {
	g := load(t, "count", wazero.Options{})
	want := g.run(t, 16, 3000)
	var worst time.Duration
	for n := 0; n < *stopsFlag; {
		s := g.boot(t, nil, kernel.Stress{}, 16, 3000).start(t)
		for s.moves() {
			stop, took := s.stop(t)
			worst = max(worst, took)
			stop.End()
			n++
		}
		if got := s.wait(t); got != want {
			t.Errorf("stopped:\n%s\nleft alone:\n%s", got, want)
		}
		s.close(t)
	}
	t.Logf("the longest stop took %v", worst)
}

// moves waits until the guest has run a little more. It is false if it has ended.
func (s *system) moves() bool {
	for was := s.k.Init().CPUTime(); s.k.Init().CPUTime() < was+20_000; runtime.Gosched() {
		if s.k.Init().Exiting() {
			return false
		}
	}
	return true
}

// A program that is saved and woken again and again does what it does when left
// alone.
func TestSaved(t *testing.T) {
	g := load(t, "count", wazero.Options{})
	const rounds = 30000
	want := g.run(t, 16, rounds)
	s := g.boot(t, nil, kernel.Stress{}, 16, rounds).start(t)
	saved := 0
	for ; saved < 20; saved++ {
		was := s.k.Init().CPUTime()
		for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end) && s.k.Init().CPUTime() < was+5e6; {
			runtime.Gosched()
		}
		n, st, ok := s.elsewhere(t, filepath.Join(t.TempDir(), strconv.Itoa(saved)))
		if !ok {
			break
		}
		s = n
		var ids []kernel.TaskID
		for _, ts := range st.Kernel.Processes[0].Tasks {
			ids = append(ids, ts.ID)
		}
		if got := tids(s.k); !slices.Equal(got, ids) {
			t.Fatalf("tasks %d were %d", got, ids)
		}
		s.start(t)
	}
	if got := s.wait(t); got != want {
		t.Errorf("saved %d times:\n%s\nleft alone:\n%s", saved, got, want)
	}
	s.close(t)
	t.Logf("saved %d times", saved)
}

func tids(k *kernel.Kernel) (ids []kernel.TaskID) {
	for _, t := range k.Tasks().All() {
		ids = append(ids, t.ID())
	}
	return ids
}

// Threads that are unwound at every safepoint, and before every call and every
// wait, do what they do when left alone; also when all of them are stopped at
// each of these, and whoever runs their frames.
func TestStressed(t *testing.T) {
	for _, o := range []wazero.Options{
		{Pass: instrument.Options{Counted: true, PeelLimit: -1}, Interpret: wazero.InterpretNone},
		{Pass: instrument.Options{Counted: true}, Interpret: wazero.InterpretBriefly},
		{Pass: instrument.Options{Counted: true}, Interpret: wazero.InterpretAlways},
	} {
		g := load(t, "count", o)
		want := g.run(t, 5, 150)
		for _, every := range []int32{1, 2, 7} {
			for _, stop := range []bool{false, true} {
				stress := kernel.Stress{Every: every}
				if stop {
					stress.Stopped = func(s *kernel.ExternalStop) { s.End() }
				}
				s := g.boot(t, nil, stress, 5, 150).start(t)
				if got := s.wait(t); got != want {
					t.Errorf("interpret %d, every %d, stops %v:\n%s\nleft alone:\n%s", o.Interpret, every, stop, got, want)
				}
				s.close(t)
			}
		}
	}
}
