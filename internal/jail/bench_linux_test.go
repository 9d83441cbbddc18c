package jail

import (
	"os"
	"testing"
	"time"
)

// BenchmarkJail measures a child from its start to its end, without a jail, in
// the whole one, and with each layer alone; and Enter in it. The differences are
// what layers cost.
func BenchmarkJail(b *testing.B) {
	dir := b.TempDir()
	f, err := os.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	measure := func(name string, skip map[Layer]bool) {
		b.Run(name, func(b *testing.B) {
			p := Policy{Dirs: []Dir{{FD: 3, Writable: true}}, Read: []string{dir}, Skip: skip, Sockets: true}
			if skip != nil && !skip[UID] {
				p.Dirs, p.Read, p.Drop = nil, nil, true
			}
			// Of a few runs the best, too: a busy machine adds to the mean.
			var enter time.Duration
			bestEnter, best := time.Hour, time.Hour
			for b.Loop() {
				start := time.Now()
				o := run(p, "", scene{}, []*os.File{f})
				if o.Fatal != "" {
					b.Fatal(o.Fatal)
				}
				enter += o.Took
				bestEnter, best = min(bestEnter, o.Took), min(best, time.Since(start))
			}
			b.ReportMetric(float64(best.Microseconds()), "best-µs")
			b.ReportMetric(float64(bestEnter.Microseconds()), "best-enter-µs")
			b.ReportMetric(float64(enter.Microseconds())/float64(b.N), "enter-µs/op")
		})
	}
	measure("none", only())
	measure("all", nil)
	measure("namespaces", only(MountNS, PIDNS, NetNS, IPCNS, UTSNS))
	for _, l := range columns {
		measure(string(l), only(l))
	}
}
