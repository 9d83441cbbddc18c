package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/stasis-run/stasis/internal/engine/wazero"
)

// stopPeriod is after how much CPU time a program is stopped again.
const stopPeriod = 100 * time.Millisecond

// stopsVariant is the variant whose stops are counted.
const stopsVariant = 2

// A variant is a way in which the programs are run. The first is what the
// others are compared to.
type variant struct {
	name string
	run  func(*bench, *program) (childResult, error)
}

var variants = []variant{
	{"plain", func(b *bench, p *program) (childResult, error) {
		return b.measure(p, func(*childSpec) {})
	}},
	{"ours", func(b *bench, p *program) (childResult, error) {
		return b.measure(p, func(s *childSpec) { s.Ours = true })
	}},
	stopsVariant: {"a stop each 100 ms, first time", func(b *bench, p *program) (childResult, error) {
		r, _, err := b.measureStopped(p, stopped{every: stopPeriod})
		return r, err
	}},
	{"a stop each 100 ms, later", func(b *bench, p *program) (childResult, error) {
		return b.measure(p, func(s *childSpec) {
			s.Ours, s.Cache, s.StopEvery = true, filepath.Join(b.tmp, "later"), stopPeriod
		})
	}},
	{"Asyncify", func(b *bench, p *program) (childResult, error) {
		return b.measure(p, func(s *childSpec) { s.File = p.asyncify })
	}},
}

// runPrograms compares ours, ours with stops, and Asyncify to plain wazero.
func (b *bench) runPrograms() error {
	fmt.Print("| program | plain, s ")
	for _, v := range variants[1:] {
		fmt.Printf("| %s ", v.name)
	}
	fmt.Println("| stops |")
	fmt.Println("|---|---|---|---|---|---|---|")
	all := make([][][]float64, len(variants))
	for i := range b.programs {
		p := &b.programs[i]
		if err := b.warmUp(p); err != nil {
			return err
		}
		ratios := make([][]float64, len(variants))
		var base []time.Duration
		var stops []float64
		for range b.runs {
			round, err := b.together(p)
			if err != nil {
				return err
			}
			base = append(base, round[0].User)
			stops = append(stops, float64(len(round[stopsVariant].Latencies)))
			for k := range variants {
				if r := round[k]; r.User > 0 {
					ratios[k] = append(ratios[k], ratio(r.User, base[len(base)-1]))
				}
			}
		}
		fmt.Printf("| %s | %.2f ", p.Name, median(base).Seconds())
		for k := range variants {
			if k > 0 {
				fmt.Printf("| %s ", medianOf(ratios[k]).percent())
			}
			all[k] = append(all[k], ratios[k])
		}
		fmt.Printf("| %.0f |\n", median(stops))
	}
	fmt.Print("| geometric mean | ")
	for k := range variants[1:] {
		fmt.Printf("| %s ", geomeanOf(all[k+1]).percent())
	}
	fmt.Println("| |")
	return nil
}

// together runs a program in all variants at the same time on one CPU, which
// they share in turns of some milliseconds: whatever else goes on in the
// machine is the same for all of them. On a machine with busy neighbours, runs
// one after the other differ by 20 % and more.
func (b *bench) together(p *program) ([]childResult, error) {
	out, errs := make([]childResult, len(variants)), make([]error, len(variants))
	n := len(variants)
	if p.asyncify == "" {
		n--
	}
	b.gate = newGate(n)
	defer func() { b.gate = nil }()
	var wg sync.WaitGroup
	for k, v := range variants {
		if v.name == "Asyncify" && p.asyncify == "" {
			continue
		}
		wg.Go(func() { out[k], errs[k] = v.run(b, p) })
	}
	wg.Wait()
	return out, errors.Join(errs...)
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(max(b, 1)) }

// warmUp fills the caches.
func (b *bench) warmUp(p *program) error {
	for _, change := range []func(*childSpec){
		func(*childSpec) {}, func(s *childSpec) { s.Ours = true }, func(s *childSpec) { s.File = p.asyncify },
		func(s *childSpec) { s.Ours, s.Cache, s.StopEvery = true, filepath.Join(b.tmp, "later"), stopPeriod },
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

// stopped is how a program is stopped and goes on.
type stopped struct {
	every  time.Duration // of CPU
	peel   int           // instrument.Options.PeelLimit
	interp wazero.Interpret
	again  bool // once more, with what the first run compiled
}

// measureStopped measures a run with stops. Its continuations come from
// nowhere: it has a cache of its own, with no more than the hot form in it.
func (b *bench) measureStopped(p *program, o stopped) (childResult, contStats, error) {
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
			s.Ours, s.Cache, s.Peel, s.Interpret, s.StopEvery = true, dir, o.peel, o.interp, o.every
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
	if o.again {
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
