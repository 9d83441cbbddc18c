package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// stopPeriod is after how much CPU time a program is stopped again.
const stopPeriod = 100 * time.Millisecond

// runPrograms compares ours, ours with stops, and Asyncify to plain wazero.
func (b *bench) runPrograms() error {
	n := len(b.programs)
	hot, stops, async := make([][]float64, n), make([][]float64, n), make([][]float64, n)
	var best []float64 // of the best runs: on a busy machine the steadiest figure
	fmt.Println("| program | plain, s | ours | a stop each 100 ms | stops | Asyncify | ours, best run to best run |")
	fmt.Println("|---|---|---|---|---|---|---|")
	for i := range b.programs {
		p := &b.programs[i]
		if err := b.warmUp(p); err != nil {
			return err
		}
		var base, our []time.Duration
		var unwinds []float64
		for range b.runs {
			plain, err := b.measure(p, func(*childSpec) {})
			if err != nil {
				return err
			}
			ours, err := b.measure(p, func(s *childSpec) { s.Ours = true })
			if err != nil {
				return err
			}
			stopped, _, err := b.measureStopped(p, 0, stopPeriod, false)
			if err != nil {
				return err
			}
			base, our = append(base, plain.User), append(our, ours.User)
			hot[i] = append(hot[i], ratio(ours.User, plain.User))
			stops[i] = append(stops[i], ratio(stopped.User, plain.User))
			unwinds = append(unwinds, float64(len(stopped.Latencies)))
			if p.asyncify != "" {
				a, err := b.measure(p, func(s *childSpec) { s.File = p.asyncify })
				if err != nil {
					return err
				}
				async[i] = append(async[i], ratio(a.User, plain.User))
			}
		}
		best = append(best, ratio(slices.Min(our), slices.Min(base)))
		fmt.Printf("| %s | %.2f | %s | %s | %.0f | %s | %s |\n", p.Name, median(base).Seconds(),
			medianOf(hot[i]).percent(), medianOf(stops[i]).percent(), median(unwinds), medianOf(async[i]).percent(), percent(best[i]))
	}
	fmt.Printf("| geometric mean | | %s | %s | | %s | %s |\n", geomeanOf(hot).percent(), geomeanOf(stops).percent(), geomeanOf(async).percent(), percent(geomean(best)))
	return nil
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(max(b, 1)) }

// warmUp fills the cache.
func (b *bench) warmUp(p *program) error {
	for _, change := range []func(*childSpec){
		func(*childSpec) {}, func(s *childSpec) { s.Ours = true }, func(s *childSpec) { s.File = p.asyncify },
	} {
		var s childSpec
		if change(&s); s.File == "" && !s.Ours && p.asyncify == "" {
			continue
		}
		if _, err := b.measure(p, change); err != nil {
			return err
		}
	}
	return nil
}

// A contStats is what was compiled to continue frames.
type contStats struct {
	modules int
	bytes   int64       // of native code, with what the engine keeps beside it
	again   childResult // of a second run with what the first one compiled
}

// measureStopped measures a run with stops. Its continuations come from
// nowhere: it has a cache of its own, with no more than the hot form in it.
func (b *bench) measureStopped(p *program, peel int, every time.Duration, again bool) (childResult, contStats, error) {
	var st contStats
	dir, err := os.MkdirTemp(b.tmp, "cache-")
	if err != nil {
		return childResult{}, st, err
	}
	defer os.RemoveAll(dir)
	if err := privateCache(filepath.Join(b.tmp, "cache"), dir); err != nil {
		return childResult{}, st, err
	}
	before, err := nativeFiles(dir)
	if err != nil {
		return childResult{}, st, err
	}
	run := func() (childResult, error) {
		return b.measure(p, func(s *childSpec) {
			s.Ours, s.Cache, s.Peel, s.StopEvery = true, dir, peel, every
		})
	}
	r, err := run()
	if err != nil {
		return r, st, err
	}
	after, err := nativeFiles(dir)
	if err != nil {
		return r, st, err
	}
	for f, size := range after {
		if _, had := before[f]; !had {
			st.modules++
			st.bytes += size
		}
	}
	if again {
		st.again, err = run()
	}
	return r, st, err
}

// nativeFiles are the files of native code in a cache, and their sizes.
func nativeFiles(dir string) (map[string]int64, error) {
	names, err := filepath.Glob(filepath.Join(dir, "wazero-*", "*"))
	if err != nil {
		return nil, err
	}
	out := make(map[string]int64)
	for _, n := range names {
		if st, err := os.Stat(n); err == nil {
			out[n] = st.Size()
		}
	}
	return out, nil
}
