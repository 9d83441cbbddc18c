package stops

import (
	"encoding/binary"
	"runtime"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/kernel"
)

// A loop ends when its CPU time is used up, also in a restored system, which has
// what is left.
func TestCPUTimeLimit(t *testing.T) {
	const limit = 200 * time.Millisecond
	g := grant{limits: func(o *kernel.Options) { o.CPUTime = limit }}
	s := begin(t, ticks(), g)
	for s.k.Init().CPUTime() < int64(limit/2) {
		if s.k.Init().Exiting() {
			t.Fatal("it ended early")
		}
		runtime.Gosched()
	}
	s, _, st := s.elsewhere(t, g)
	defer s.close(t)
	if used := st.Kernel.Processes[0].Tasks[0].CPU; used < int64(limit/2) || used >= int64(limit) {
		t.Errorf("saved with %d ns used", used)
	}
	s.start(t)
	got := s.wait(t)
	if got.Signal != kernel.SIGXCPU || got.Limit != kernel.LimitCPUTime {
		t.Errorf("status %+v", got)
	}
	if used := time.Duration(s.k.Init().CPUTime()); used < limit {
		t.Errorf("it ended after %v", used)
	}
}

// A loop gets no more than its quota, and reads of how it does disturb nothing.
func TestQuota(t *testing.T) {
	const cpu = 100 * time.Millisecond // that of five periods
	s := begin(t, ticks(), grant{limits: func(o *kernel.Options) { o.CPUs = 200 }})
	defer s.close(t)
	begin := time.Now()
	// Where ticks come late it has more for a while, and owes it: a guest that always
	// runs never comes to less than a third.
	for {
		had, took := time.Duration(s.k.Stats().CPU), time.Since(begin)
		if had >= cpu && took > 3*had {
			break
		}
		if took > patience {
			t.Fatalf("it had %v of CPU in %v", had, took)
		}
		runtime.Gosched()
	}
	if got := s.k.Stats(); got.Tasks[kernel.Running] != 1 || got.Memory != 1<<16 {
		t.Errorf("%+v", got)
	}
	stop, _ := s.stop(t)
	defer stop.End()
	if binary.LittleEndian.Uint32(s.k.Init().Memory()) == 0 {
		t.Error("the guest did not run")
	}
}
