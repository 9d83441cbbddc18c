package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

func median[T float64 | time.Duration](xs []T) T {
	if len(xs) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(xs))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}

func quantile(xs []time.Duration, q float64) time.Duration {
	if len(xs) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(xs))
	return s[min(len(s)-1, int(q*float64(len(s))))]
}

func geomean(xs []float64) float64 {
	sum := 0.0
	for _, x := range xs {
		sum += math.Log(x)
	}
	return math.Exp(sum / float64(len(xs)))
}

// An interval is an estimate with its 95 % bounds.
type interval struct{ mid, lo, hi float64 }

const resamples = 4000

// bootstrap estimates f of a sample, by resampling it. The seed is fixed: the
// same figures give the same bounds.
func bootstrap(n int, f func(pick func() int) float64) (lo, hi float64) {
	rnd := rand.New(rand.NewPCG(1, 2))
	out := make([]float64, resamples)
	for i := range out {
		out[i] = f(func() int { return rnd.IntN(n) })
	}
	slices.Sort(out)
	return out[resamples*25/1000], out[resamples*975/1000]
}

// medianOf is the median of ratios with its bounds.
func medianOf(xs []float64) interval {
	if len(xs) == 0 {
		return interval{math.NaN(), math.NaN(), math.NaN()}
	}
	again := make([]float64, len(xs))
	lo, hi := bootstrap(len(xs), func(pick func() int) float64 {
		for i := range again {
			again[i] = xs[pick()]
		}
		return median(again)
	})
	return interval{median(xs), lo, hi}
}

// geomeanOf is the geometric mean over programs of the medians over rounds.
// Resampling is of rounds: the programs are what they are.
func geomeanOf(programs [][]float64) interval {
	var meds []float64
	rounds := math.MaxInt
	for _, xs := range programs {
		if len(xs) > 0 {
			meds = append(meds, median(xs))
			rounds = min(rounds, len(xs))
		}
	}
	if len(meds) == 0 {
		return interval{math.NaN(), math.NaN(), math.NaN()}
	}
	lo, hi := bootstrap(rounds, func(pick func() int) float64 {
		var meds []float64
		for _, xs := range programs {
			if len(xs) == 0 {
				continue
			}
			again := make([]float64, len(xs))
			for i := range again {
				again[i] = xs[pick()]
			}
			meds = append(meds, median(again))
		}
		return geomean(meds)
	})
	return interval{geomean(meds), lo, hi}
}

// percent prints a ratio as what it adds.
func (i interval) percent() string {
	if math.IsNaN(i.mid) {
		return "-"
	}
	return fmt.Sprintf("%s (%s…%s)", percent(i.mid), percent(i.lo), percent(i.hi))
}

func percent(ratio float64) string { return fmt.Sprintf("%+.1f %%", (ratio-1)*100) }
