package conformance

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Counts says what became of the commands of a file, a suite or a run.
type Counts struct {
	Passed, Failed, Skipped int
}

// Add adds o to c.
func (c *Counts) Add(o Counts) {
	c.Passed += o.Passed
	c.Failed += o.Failed
	c.Skipped += o.Skipped
}

func (c Counts) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", c.Passed, c.Failed, c.Skipped)
}

// A tally counts the commands of one run and why some were skipped.
type tally struct {
	suites map[string]Counts
	why    map[string]int // skips by reason
}

func newTally() *tally { return &tally{suites: map[string]Counts{}, why: map[string]int{}} }

// add takes in the outcome of one file.
func (t *tally) add(suite string, c Counts, why map[string]int) {
	s := t.suites[suite]
	s.Add(c)
	t.suites[suite] = s
	for r, n := range why {
		t.why[r] += n
	}
}

// total is the sum over all suites.
func (t *tally) total() Counts {
	var c Counts
	for _, s := range t.suites {
		c.Add(s)
	}
	return c
}

// String is the report: a line a suite, the sum, a line a reason.
func (t *tally) String() string {
	var b strings.Builder
	for _, s := range slices.Sorted(maps.Keys(t.suites)) {
		fmt.Fprintf(&b, "%-26s %v\n", s, t.suites[s])
	}
	fmt.Fprintf(&b, "%-26s %v", "all", t.total())
	for _, r := range slices.Sorted(maps.Keys(t.why)) {
		fmt.Fprintf(&b, "\n  skipped %d: %s", t.why[r], r)
	}
	return b.String()
}
