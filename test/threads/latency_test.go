package threads

import (
	"flag"
	"slices"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/kernel"
)

var latencyFlag = flag.Int("latency", 200, "stops of eight looping threads to measure")

// Eight threads that loop stop soon, however few the CPUs are. The bound is far
// above what is aimed at, as tests share their machine; the figures are in the
// log.
func TestStopLatency(t *testing.T) {
	const most = time.Second
	g := load(t, "spin", wazero.Options{})
	s := g.boot(t, nil, kernel.Stress{}, 8).start(t)
	defer s.close(t)
	s.until(t, "8 tasks", func(st kernel.Stats) bool { return st.Tasks[kernel.Running] == 8 })
	took := make([]time.Duration, *latencyFlag)
	for i := range took {
		was := s.k.Init().CPUTime()
		s.until(t, "running", func(st kernel.Stats) bool { return st.CPU > was+int64(2*time.Millisecond) })
		var stop *kernel.ExternalStop
		stop, took[i] = s.stop(t)
		stop.End()
	}
	slices.Sort(took)
	t.Logf("request to all stopped: median %v, p90 %v, p99 %v, worst %v", took[len(took)/2], took[len(took)*9/10], took[len(took)*99/100], took[len(took)-1])
	if p90 := took[len(took)*9/10]; p90 > most {
		t.Errorf("nine in ten stops take %v, want %v at most", p90, most)
	}
}
