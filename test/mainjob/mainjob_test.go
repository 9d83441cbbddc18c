package mainjob_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stasis-run/stasis/guests"
	"github.com/stasis-run/stasis/test/mainjob"
)

var (
	rounds = flag.Int("rounds", 2, "how many times in a row each guest is saved and woken; one with -short")
	seed   = flag.Uint64("seed", uint64(time.Now().UnixNano()), "for the moments of the saves")
)

var stasis string // the command, built for these tests

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(mainjob.Main(m.Run, &stasis))
}

// Each program, saved in the middle of its calls and woken elsewhere, prints
// what it prints undisturbed.
func TestMainJob(t *testing.T) {
	for _, g := range []struct {
		name   string
		frames int // the deepest of the saves is at least so deep
	}{
		{"sqlite", 3},
		{"quickjs", 4},
		{"go", 2},
		{"cpython", 5},
	} {
		t.Run(g.name, func(t *testing.T) {
			if testing.Short() && (g.name == "go" || g.name == "cpython") {
				t.Skip("it compiles for many seconds")
			}
			mainJob(t, g.name, g.frames)
		})
	}
}

func mainJob(t *testing.T, name string, deep int) {
	ctx := t.Context()
	g, err := guests.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	module, err := guests.Path(ctx, name)
	if guests.IsUnavailable(err) {
		t.Skipf("the guest cannot be had here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	n := *rounds
	if testing.Short() {
		n = 1
	}
	j, err := mainjob.NewJob(stasis, module, g, g.Args, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ref, took, err := j.Reference(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if g.Want != "" && string(ref) != g.Want {
		t.Errorf("undisturbed, it printed\n%s\nwant, as on plain wazero,\n%s", ref, g.Want)
	}
	t.Logf("undisturbed: %d bytes of output, CPU time %v; seed %d", len(ref), took.Round(time.Millisecond), *seed)
	r := rand.New(rand.NewPCG(*seed, 0))
	c := start(ctx, t, j, ref)
	most := 0
	for round := range n {
		s, err := c.SaveAtRandom(ctx, r, took, round, n, func() { t.Logf("round %d: too late; once more from there", round) })
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		most = max(most, s.Frames)
		wake, err := c.Wake(ctx)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		t.Logf("round %d: saved after %d bytes of output of this process, in %d calls, stopped in %v, stood still for %v, image %d KiB of %d KiB memory, %s; woken in %v",
			round, s.Printed, s.Frames, s.Stop, s.Stopped.Round(time.Microsecond), s.Image>>10, s.Memory>>10, how(s.Killed), wake.Round(time.Millisecond))
	}
	if err := c.Finish(ctx); err != nil {
		t.Fatal(err)
	}
	if most < deep {
		t.Errorf("at most %d calls deep at the saves, want %d: not in the middle of anything", most, deep)
	}
}

// start starts a chain that does not outlive the test.
func start(ctx context.Context, t *testing.T, j *mainjob.Job, ref []byte) *mainjob.Chain {
	t.Helper()
	c, err := j.Start(ctx, ref)
	t.Cleanup(func() {
		if c == nil {
			return
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func how(killed bool) string {
	if killed {
		return "left running, then kill -9"
	}
	return "ended by it"
}
