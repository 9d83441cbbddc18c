package stops

import (
	"context"
	"encoding/binary"
	"os"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/kernel"
)

// quantiles are p50, p99 and the largest of some times.
func quantiles(ds []time.Duration) (p50, p99, most time.Duration) {
	slices.Sort(ds)
	return ds[len(ds)/2], ds[len(ds)*99/100], ds[len(ds)-1]
}

// A bare compute loop is stopped, every time, wherever it is.
func TestStopLatency(t *testing.T) {
	s := begin(t, counts(), grant{})
	defer s.close(t)
	s.running(t)
	var took []time.Duration
	for range *stopsFlag {
		stop, d := s.stop(t)
		took = append(took, d)
		stop.End()
		s.until(t, kernel.Running)
	}
	p50, p99, most := quantiles(took)
	t.Logf("%d stops: p50 %v, p99 %v, most %v", len(took), p50, p99, most)
	if most > 5*time.Second {
		t.Errorf("a stop took %v", most)
	}
}

// BenchmarkStop tells the time from the request to all tasks at rest.
func BenchmarkStop(b *testing.B) {
	s := begin(b, counts(), grant{})
	defer s.close(b)
	s.running(b)
	took := make([]time.Duration, 0, b.N)
	for range b.N {
		stop, d := s.stop(b)
		took = append(took, d)
		stop.End()
		s.until(b, kernel.Running)
	}
	p50, p99, _ := quantiles(took)
	b.ReportMetric(float64(p50.Nanoseconds())/1e3, "p50-µs")
	b.ReportMetric(float64(p99.Nanoseconds())/1e3, "p99-µs")
}

// A lone compute loop of which nothing is asked is not unwound at all.
func TestAloneIsNotUnwound(t *testing.T) {
	s := begin(t, counts(), grant{})
	defer s.close(t)
	if err := s.k.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop, _ := s.stop(t)
	before := s.mod.thread.Unwinds()
	stop.End()
	time.Sleep(*aloneFlag) // the guest's time, not a wait for something
	stop, _ = s.stop(t)
	defer stop.End()
	if n := s.mod.thread.Unwinds() - before; n != 1 { // by the stop that lets us look
		t.Errorf("unwound %d times in %v, want 1", n, *aloneFlag)
	}
}

func collect(t testing.TB, s *system) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	at := time.Now()
	if err := s.k.Collect(ctx); err != nil {
		t.Fatal(err)
	}
	return time.Since(at)
}

// fillPages is 3 GiB.
const fillPages = 3 << 30 >> 16

// room skips a test that needs more memory than there is.
func room(t testing.TB) {
	t.Helper()
	b, _ := os.ReadFile("/proc/meminfo")
	_, rest, _ := strings.Cut(string(b), "MemAvailable:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		t.Skip("it is not known how much memory there is")
	}
	if kib, _ := strconv.Atoi(fields[0]); kib < 5<<20 {
		t.Skipf("only %d KiB of memory are free", kib)
	}
}

func TestCollect(t *testing.T) {
	t.Run("loop", func(t *testing.T) { collections(t, counts()) })
	t.Run("fill", func(t *testing.T) {
		if testing.Short() {
			t.Skip("3 GiB of memory")
		}
		room(t)
		collections(t, fills(fillPages))
	})
}

func collections(t *testing.T, code []byte) {
	s := begin(t, code, grant{})
	defer s.close(t)
	s.running(t)
	var took []time.Duration
	for range 20 {
		took = append(took, collect(t, s))
		s.until(t, kernel.Running)
	}
	p50, _, most := quantiles(took)
	t.Logf("collections: p50 %v, most %v", p50, most)
	if most > 2*time.Second {
		t.Errorf("a collection took %v", most)
	}
}

// Two kernels in one process: a collection by one waits for the other's guest.
func TestCollectBesideAnotherKernel(t *testing.T) {
	a, b := begin(t, counts(), grant{}), begin(t, ticks(), grant{})
	defer a.close(t)
	defer b.close(t)
	a.running(t)
	b.running(t)
	for range 5 {
		collect(t, a)
		collect(t, b)
	}
}

func BenchmarkCollect(b *testing.B) {
	bench := func(b *testing.B, code []byte) {
		s := begin(b, code, grant{})
		defer s.close(b)
		s.running(b)
		took := make([]time.Duration, 0, b.N)
		for range b.N {
			took = append(took, collect(b, s))
			s.until(b, kernel.Running)
		}
		p50, p99, _ := quantiles(took)
		b.ReportMetric(float64(p50.Nanoseconds())/1e6, "p50-ms")
		b.ReportMetric(float64(p99.Nanoseconds())/1e6, "p99-ms")
	}
	b.Run("loop", func(b *testing.B) { bench(b, counts()) })
	b.Run("fill", func(b *testing.B) {
		room(b)
		bench(b, fills(fillPages))
	})
}

// cycles is how many collections there were. Reading it does not stop the
// world.
func cycles() uint64 {
	s := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

var sink [][]byte

// The host allocates beside a looping guest, far more than it keeps: the
// collector runs, by the ticker, and nothing hangs. -alloc says for how long.
func TestAllocateBesideLoop(t *testing.T) {
	s := begin(t, ticks(), grant{})
	defer s.close(t)
	s.running(t)
	before := cycles()
	total := 0
	sink = make([][]byte, 64)
	for end := time.Now().Add(*allocFlag); time.Now().Before(end); {
		for i := range 256 {
			sink[i%len(sink)] = make([]byte, 64<<10)
			total += 64 << 10
		}
		time.Sleep(time.Millisecond) // the pace of a host that does something: 16 GB/s would be too much for any heap
	}
	sink = nil
	n := cycles() - before
	t.Logf("%d MiB allocated, %d collections", total>>20, n)
	if total > 1<<30 && n == 0 {
		t.Error("the collector never ran")
	}
	stop, _ := s.stop(t)
	defer stop.End()
	if n := binary.LittleEndian.Uint32(s.k.Init().Memory()); n == 0 {
		t.Error("the guest did not run")
	}
}

// SIGSTOP holds a loop, SIGCONT lets it go on.
func TestStopAndContinue(t *testing.T) {
	s := begin(t, ticks(), grant{})
	defer s.close(t)
	s.running(t)
	s.counts(t, 0)
	last := uint32(0)
	for range 20 {
		if err := s.k.Init().Signal(kernel.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		s.until(t, kernel.Stopped)
		count := func() uint32 { return binary.LittleEndian.Uint32(s.k.Init().Memory()) }
		now := count()
		for range 1000 {
			if got := count(); got != now {
				t.Fatalf("a stopped guest counts from %d to %d", now, got)
			}
		}
		if now == last {
			t.Errorf("it did not go on from %d", now)
		}
		last = now
		if err := s.k.Init().Signal(kernel.SIGCONT); err != nil {
			t.Fatal(err)
		}
		s.until(t, kernel.Running)
		s.counts(t, now)
	}
}

// counts waits until the guest has counted further than n, by what it uses of
// the CPU: its memory is read only while it stands.
func (s *system) counts(t *testing.T, n uint32) {
	t.Helper()
	limit := time.Now().Add(patience)
	for {
		stop, _ := s.stop(t)
		now := binary.LittleEndian.Uint32(s.k.Init().Memory())
		stop.End()
		if now != n {
			return
		}
		if time.Now().After(limit) {
			t.Fatal("the guest does not go on")
		}
	}
}

// A process that loops is killed at once: within 100 ms when the host is not
// busy with something else, which one of several tries has to show.
func TestKill(t *testing.T) {
	best := time.Hour
	for range 10 {
		s := begin(t, counts(), grant{})
		s.running(t)
		at := time.Now()
		s.k.Init().Terminate()
		x := s.wait(t)
		took := time.Since(at)
		s.close(t)
		if x.Signal != kernel.SIGKILL {
			t.Errorf("exit %+v", x)
		}
		if took > 5*time.Second {
			t.Errorf("a kill took %v", took)
		}
		best = min(best, took)
	}
	t.Logf("killed within %v at best", best)
	if best > 100*time.Millisecond {
		t.Errorf("killed within %v at best, want 100ms", best)
	}
}

// A looping guest is saved in mid-loop and goes on elsewhere.
func TestSaveLoop(t *testing.T) {
	s := begin(t, ticks(), grant{})
	s.running(t)
	stop, _ := s.stop(t)
	was := binary.LittleEndian.Uint32(s.k.Init().Memory())
	stop.End()
	n, stats, st := s.elsewhere(t, grant{})
	defer n.close(t)
	if f := st.Kernel.Processes[0].Tasks[0].Thread.Frames; len(f) != 1 {
		t.Errorf("frames %+v", f)
	}
	now := binary.LittleEndian.Uint32(n.k.Init().Memory())
	if now-was > 1<<31 {
		t.Errorf("counted from %d to %d", was, now)
	}
	t.Logf("stopped within %v", stats.TimeToStop)
	n.start(t)
	n.running(t)
	n.counts(t, now)
}
