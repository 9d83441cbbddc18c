package wasi

import (
	"bytes"
	"runtime"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/ktime"
)

// With a seed each run gets the same bytes.
func TestSeed(t *testing.T) {
	run := func(seed uint64) []byte {
		var got []byte
		w := newWorldOf(t, kernel.Options{Seed: &seed}, kernel.Stress{}, func(g *guest) {
			for _, n := range []int{1, 30, 4000} {
				g.want(abi.OK, "random_get", 0, n)
				got = append(got, g.mem[:n]...)
			}
			g.want(abi.OK, "random_get", 0, 0)
		})
		w.start(t)
		w.wait(t)
		return got
	}
	if a := run(7); !bytes.Equal(a, run(7)) || bytes.Equal(a, run(8)) {
		t.Error("the bytes are not the seed's")
	}
}

// What the wall clock says, an absolute timeout on it means.
func TestOwnWallClock(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	wall, err := ktime.FixedWall(begin)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorldOf(t, kernel.Options{Wall: wall}, kernel.Stress{}, func(g *guest) {
		g.want(abi.OK, "clock_time_get", 0, 0, 0)
		if got := g.u64(0); got != uint64(begin.UnixNano()) {
			t.Errorf("the clock begins at %d", got)
		}
		// A subscription at 100: realtime, absolute, in 10 s.
		clear(g.mem[100:148])
		g.setU64(124, uint64(begin.Add(10*time.Second).UnixNano()))
		g.setU32(140, 1)
		g.want(abi.OK, "poll_oneoff", 100, 200, 1, 300)
		g.want(abi.OK, "clock_time_get", 0, 0, 0)
		if got := g.u64(0); got != uint64(begin.Add(10*time.Second).UnixNano()) {
			t.Errorf("after the wait it is %d", got)
		}
	})
	w.start(t)
	w.blocked()
	for w.clock.Timers() < 2 { // the ticker's, and that of the wait
		runtime.Gosched()
	}
	w.clock.Advance(10 * time.Second)
	w.wait(t)
}
