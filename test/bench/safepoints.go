package main

import "fmt"

// countEvery is at every how manieth safepoint a program unwinds to be counted.
const countEvery = 1 << 18

// runSafepoints tells how often programs pass the entry of a function or the
// head of a loop: what their checks can cost follows.
func (b *bench) runSafepoints() error {
	fmt.Println("| program | entries and loop heads, per µs of plain CPU | ours | ns each |")
	fmt.Println("|---|---|---|---|")
	for i := range b.programs {
		p := &b.programs[i]
		count := func(s *childSpec) { s.Ours, s.Count = true, countEvery }
		c, err := b.measure(p, count)
		if err != nil {
			return err
		}
		var ratios, per, ns []float64
		for range b.runs {
			plain, err := b.measure(p, func(*childSpec) {})
			if err != nil {
				return err
			}
			ours, err := b.measure(p, func(s *childSpec) { s.Ours = true })
			if err != nil {
				return err
			}
			n := float64(c.Unwinds) * countEvery
			ratios = append(ratios, ratio(ours.User, plain.User))
			per = append(per, n/float64(plain.User.Microseconds()))
			ns = append(ns, float64(ours.User-plain.User)/n)
		}
		fmt.Printf("| %s | %.0f | %s | %.2f |\n", p.Name, median(per), medianOf(ratios).percent(), median(ns))
	}
	return nil
}
