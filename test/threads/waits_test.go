package threads

import (
	"cmp"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/checkpoint"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/ktime"
)

const waiters = 64

// clocked has a system take its time from a clock that the test moves.
func clocked(clock *ktime.Manual) func(*kernel.Options) {
	return func(o *kernel.Options) { o.Source = clock }
}

// settled waits until the guest's 64 threads wait and only those that spin run:
// the first tasks of the queue for slots do, so the clock has to move for the
// others.
func (s *system) settled(t *testing.T, clock *ktime.Manual) {
	t.Helper()
	moved := time.Now()
	for end := time.Now().Add(patience); ; runtime.Gosched() {
		st := s.k.Stats()
		if st.Living() == waiters+1 && st.Tasks[kernel.Blocked] == waiters+1-waiters/8 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the guest does not settle: %+v", st)
		}
		if now := time.Now(); now.Sub(moved) > 100*time.Microsecond { // no faster: the guest has timeouts
			moved = now
			clock.Advance(time.Millisecond)
		}
	}
}

// feed gives the guest something to read from fd 0.
func (s *system) feed(t *testing.T, text string) {
	t.Helper()
	w, errno := s.k.Init().Files().Get(2, 0)
	if errno != abi.OK {
		t.Fatal(errno)
	}
	defer w.DecRef()
	if n, errno := w.Write([][]byte{[]byte(text)}); n != len(text) || errno != abi.OK {
		t.Fatalf("write: %d, %v", n, errno)
	}
}

// finish wakes the guest's threads and runs it to its end.
func (s *system) finish(t *testing.T, clock *ktime.Manual) string {
	t.Helper()
	s.feed(t, strings.Repeat("x", waiters/8))
	for end := time.Now().Add(patience); !s.k.Init().Exiting(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("the guest hangs: %+v", s.k.Stats())
		}
		clock.Advance(10 * time.Millisecond)
	}
	return s.wait(t)
}

// wantWaits is what the guest prints, but for the order of those in a line,
// which follows that in which they came.
func wantWaits(line []kernel.TaskID) string {
	var b strings.Builder
	b.WriteString("code 0, signal 0\n")
	for i := range waiters {
		fmt.Fprintf(&b, "result %d\n", []int{10, 22, 30, 40, 52, 60, 70, 80}[i%8])
	}
	for _, id := range line {
		fmt.Fprintf(&b, "order %d\n", id)
	}
	return b.String()
}

// lines are the waiters of a saved system at the address where most wait, in
// their order.
func lineOf(t *testing.T, st *checkpoint.State) (line []kernel.TaskID) {
	t.Helper()
	at := make(map[uint64][]*kernel.TaskState)
	for i := range st.Kernel.Processes[0].Tasks {
		if ts := &st.Kernel.Processes[0].Tasks[i]; ts.Futex != nil {
			at[ts.Futex.Addr] = append(at[ts.Futex.Addr], ts)
		}
	}
	var most [][]*kernel.TaskState // the lock's and the line's
	for _, list := range at {
		if len(list) == waiters/8 {
			most = append(most, list)
		}
	}
	if len(most) != 2 {
		t.Fatalf("%d addresses where %d wait, want the lock's and the line's", len(most), waiters/8)
	}
	for _, list := range most {
		if list[0].ID%8 != list[1].ID%8 || (list[0].ID-2)%8 != 6 { // main is 1, thread n is n+2
			continue
		}
		slices.SortFunc(list, func(a, b *kernel.TaskState) int { return cmp.Compare(a.Futex.Order, b.Futex.Order) })
		for _, ts := range list {
			line = append(line, ts.ID)
		}
	}
	return line
}

// 64 threads in every kind of wait (at an address, with and without a timeout,
// of both widths; for a lock; in a line; asleep in poll; at a pipe; running) are
// saved and go on as if nothing had happened, several times over: results,
// timeouts by the guest's clock, the order of the line, numbers.
func TestWaits(t *testing.T) {
	for _, o := range []wazero.Options{{}, {Interpret: wazero.InterpretNone}, {Interpret: wazero.InterpretAlways}} {
		t.Run(fmt.Sprint("interpret ", o.Interpret), func(t *testing.T) {
			g := load(t, "waits", o)
			clock := new(ktime.Manual)
			s := g.boot(t, clocked(clock), kernel.Stress{}, waiters).start(t)
			defer func() { s.close(t) }()
			s.settled(t, clock)
			var line []kernel.TaskID
			for i := range 3 {
				n, st, ok := s.elsewhere(t, filepath.Join(t.TempDir(), fmt.Sprint(i)))
				if !ok {
					t.Fatal("the guest has ended")
				}
				s = n
				clock.Advance(time.Hour) // which the guest does not see
				got := lineOf(t, st)
				if i > 0 && !slices.Equal(got, line) {
					t.Errorf("the line was %d and is %d", line, got)
				}
				line = got
				if n := len(st.Kernel.Processes[0].Tasks); n != waiters+1 {
					t.Fatalf("%d tasks are saved", n)
				}
				s.start(t)
				s.settled(t, clock)
			}
			if got, want := s.finish(t, clock), wantWaits(line); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// Waits that are stopped again and again, without being saved, do not lose
// their places or their timeouts.
func TestWaitsStopped(t *testing.T) {
	g := load(t, "waits", wazero.Options{})
	clock := new(ktime.Manual)
	s := g.boot(t, clocked(clock), kernel.Stress{}, waiters).start(t)
	defer s.close(t)
	for range 200 {
		stop, _ := s.stop(t)
		clock.Advance(time.Minute)
		stop.End()
		clock.Advance(time.Millisecond)
	}
	s.settled(t, clock)
	got := s.finish(t, clock)
	if want := wantWaits(nil); !strings.HasPrefix(got, want) || strings.Count(got, "order ") != waiters/8 {
		t.Errorf("got %s, want %s and an order", got, want)
	}
}
