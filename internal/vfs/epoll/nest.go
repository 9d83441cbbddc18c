package epoll

import (
	"sync"

	"github.com/stasis-run/stasis/internal/abi"
)

// maxNested is how many sets deep sets may be in each other: Linux's limit.
const maxNested = 5

// nesting is above who is in whom, of all sets: two sets that are put into each
// other at the same time must not both succeed.
var nesting sync.Mutex

// nest notes that in is to be in e, or returns ELOOP.
func (e *Set) nest(in *Set) abi.Errno {
	nesting.Lock()
	defer nesting.Unlock()
	inside := in.depth(func(s *Set) map[*Set]int { return s.inner }, make(map[*Set]int))
	around := e.depth(func(s *Set) map[*Set]int { return s.outer }, make(map[*Set]int))
	if inside+around > maxNested || in.reaches(e, make(map[*Set]bool)) {
		return abi.ELOOP
	}
	e.inner[in]++
	in.outer[e]++
	return abi.OK
}

// unnest undoes nest.
func (e *Set) unnest(in *Set) {
	nesting.Lock()
	defer nesting.Unlock()
	for _, m := range []struct {
		of  map[*Set]int
		who *Set
	}{{e.inner, in}, {in.outer, e}} {
		if m.of[m.who]--; m.of[m.who] == 0 {
			delete(m.of, m.who)
		}
	}
}

// depth returns how many sets there are on the longest way from e on. Known are
// those that were looked at.
//
// Preconditions: nesting is locked.
func (e *Set) depth(next func(*Set) map[*Set]int, known map[*Set]int) int {
	if d := known[e]; d != 0 {
		return d
	}
	d := 1
	for s := range next(e) {
		d = max(d, 1+s.depth(next, known))
	}
	known[e] = d
	return d
}

// reaches reports whether other is e or in it.
//
// Preconditions: nesting is locked.
func (e *Set) reaches(other *Set, seen map[*Set]bool) bool {
	if e == other {
		return true
	}
	if seen[e] {
		return false
	}
	seen[e] = true
	for in := range e.inner {
		if in.reaches(other, seen) {
			return true
		}
	}
	return false
}
