package instrument

import (
	"math/bits"
	"slices"
)

// A bitset is a set of small integers.
type bitset []uint64

// A bitsets makes bitsets for n members, many of them out of one piece of memory:
// most functions have few locals and many sites.
type bitsets struct {
	n    int
	free []uint64
}

// piece is how many words are taken at once, at least.
const piece = 1 << 9

// empty makes an empty one.
func (a *bitsets) empty() bitset {
	n := (a.n + 63) / 64
	if len(a.free) < n {
		a.free = make([]uint64, max(n, piece))
	}
	s := a.free[:n:n]
	a.free = a.free[n:]
	return s
}

// clone makes a copy.
func (a *bitsets) clone(s bitset) bitset {
	t := a.empty()
	copy(t, s)
	return t
}

func (s bitset) has(i uint32) bool { return s[i>>6]&(1<<(i&63)) != 0 }
func (s bitset) add(i uint32)      { s[i>>6] |= 1 << (i & 63) }
func (s bitset) remove(i uint32)   { s[i>>6] &^= 1 << (i & 63) }

// or adds the members of t and reports whether s changed.
func (s bitset) or(t bitset) bool {
	changed := false
	for i, w := range t {
		if n := s[i] | w; n != s[i] {
			s[i], changed = n, true
		}
	}
	return changed
}

// count is the number of members.
func (s bitset) count() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

func (s bitset) equal(t bitset) bool { return slices.Equal(s, t) }

// members is the sequence of all members, ascending.
func (s bitset) members(yield func(i int) bool) {
	for k, w := range s {
		for ; w != 0; w &= w - 1 {
			if !yield(k<<6 + bits.TrailingZeros64(w)) {
				return
			}
		}
	}
}
