package main

import (
	"fmt"
	"time"

	"github.com/stasis-run/stasis/internal/engine/wazero"
)

// runPeel compares designs of going on, under many stops: compiled continuations
// that leave at the next loop head, those that carry loops along, and the
// interpreter, which compiles only where a function runs long.
func (b *bench) runPeel() error {
	designs := []struct {
		name string
		how  stopped
	}{
		{"compiled, hop", stopped{peel: -1, interp: wazero.InterpretNone, again: true}},
		{"compiled, peel below 4 KB", stopped{interp: wazero.InterpretNone, again: true}},
		{"interpreted first", stopped{again: true}},
	}
	fmt.Println("| program | stop each | continuations | unwinds a stop | user CPU to no stops | ms a stop | the same, continuations compiled before | modules of continuations | their code, KB | p50 of stops |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|")
	for i := range b.programs {
		p := &b.programs[i]
		if p.Name != "sqlite" && p.Name != "cpython" && p.Name != "go" {
			continue
		}
		if _, err := b.measure(p, func(s *childSpec) { s.Ours = true }); err != nil {
			return err
		}
		for _, every := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond} {
			warm := make([][]float64, len(designs))
			ratios, perStop, perUnwind := make([][]float64, len(designs)), make([][]float64, len(designs)), make([][]float64, len(designs))
			modules, size, waits := make([][]float64, len(designs)), make([][]float64, len(designs)), make([][]time.Duration, len(designs))
			for range max(1, b.runs/2) {
				base, err := b.measure(p, func(s *childSpec) { s.Ours = true })
				if err != nil {
					return err
				}
				for k, d := range designs {
					d.how.every = every
					r, st, err := b.measureStopped(p, d.how)
					if err != nil {
						return err
					}
					stops := float64(max(1, len(r.Latencies)))
					ratios[k] = append(ratios[k], ratio(r.User, base.User))
					perStop[k] = append(perStop[k], float64((r.User-base.User).Microseconds())/1000/stops)
					warm[k] = append(warm[k], ratio(st.again.User, base.User))
					perUnwind[k] = append(perUnwind[k], float64(r.Unwinds)/stops)
					modules[k], size[k] = append(modules[k], float64(st.modules)), append(size[k], float64(st.bytes)/1000)
					waits[k] = append(waits[k], r.Latencies...)
				}
			}
			for k, d := range designs {
				fmt.Printf("| %s | %v | %s | %.1f | %s | %.2f | %s | %.0f | %.0f | %v |\n", p.Name, every, d.name, median(perUnwind[k]),
					medianOf(ratios[k]).percent(), median(perStop[k]), medianOf(warm[k]).percent(), median(modules[k]), median(size[k]), median(waits[k]).Round(time.Microsecond))
			}
		}
	}
	return nil
}
