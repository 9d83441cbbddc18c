package threads

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/kernel"
)

var parkedFlag = flag.Int("parked", 300, "threads that wait at an address, parked")

// parked waits until so many tasks are.
func (s *system) parked(t *testing.T, want int) {
	t.Helper()
	for end := time.Now().Add(patience); s.k.Stats().Parked != want; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d tasks are not parked: %+v", want, s.k.Stats())
		}
	}
}

// Threads that wait for long have no goroutines, are not disturbed by stops and by
// being saved, and go on in their order, here and elsewhere.
func TestParked(t *testing.T) {
	n := *parkedFlag
	for _, o := range []wazero.Options{{}, {Interpret: wazero.InterpretNone}} {
		t.Run(fmt.Sprint("interpret ", o.Interpret), func(t *testing.T) {
			g := load(t, "park", o)
			opts := func(k *kernel.Options) { k.MaxTasks = n + 8 }
			goroutines, resident := runtime.NumGoroutine(), residentBytes(t)
			s := g.boot(t, opts, kernel.Stress{}, n)
			defer func() { s.close(t) }()
			s.start(t)
			for i := range 3 {
				s.parked(t, n+1)
				fewGoroutines(t, goroutines+20)
				debug.FreeOSMemory()
				t.Logf("resident: %d KiB more", (residentBytes(t)-resident)>>10)
				stop, took := s.stop(t)
				if st := s.k.Stats(); st.Parked != n+1 || st.Tasks[kernel.Stopped] != n+1 {
					t.Fatalf("in a stop: %+v", st)
				}
				stop.End()
				begin := time.Now()
				next, st, ok := s.elsewhere(t, filepath.Join(t.TempDir(), fmt.Sprint(i)))
				if !ok || len(st.Kernel.Processes[0].Tasks) != n+1 {
					t.Fatal("not all tasks are saved")
				}
				t.Logf("stopped in %v; saved and made anew in %v", took, time.Since(begin))
				s = next
				s.start(t)
			}
			s.parked(t, n+1)
			s.feed(t, "x")
			if got, want := s.wait(t), fmt.Sprintf("code 0, signal 0\nbegan %d\nwoken %d\nsum %d\n", n, n, n*(n-1)/2); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// fewGoroutines waits until there are no more than so many: those of tasks that have just
// been parked are about to end.
func fewGoroutines(t *testing.T, most int) {
	t.Helper()
	for end := time.Now().Add(patience); runtime.NumGoroutine() > most; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, want %d at most", runtime.NumGoroutine(), most)
		}
	}
}

// residentBytes is the process's resident memory.
func residentBytes(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, resident int
	if _, err := fmt.Fscan(strings.NewReader(string(b)), &size, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * os.Getpagesize()
}
