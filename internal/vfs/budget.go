package vfs

import "sync/atomic"

// A Budget bounds what all processes of a system take of something together:
// fds, bytes of pipes. A nil Budget has no bound.
type Budget struct {
	max  int64 // immutable
	used atomic.Int64
}

// NewBudget returns a Budget of max.
func NewBudget(max int64) *Budget { return &Budget{max: max} }

// Max returns the bound, and Used how much of it is taken.
func (b *Budget) Max() int64 { return b.max }

// Used returns how much is taken.
func (b *Budget) Used() int64 { return b.used.Load() }

// Take takes n if as much is left. Give gives it back.
func (b *Budget) Take(n int) bool {
	if b == nil {
		return true
	}
	if b.used.Add(int64(n)) > b.max {
		b.used.Add(-int64(n))
		return false
	}
	return true
}

// Give gives back n that were taken.
func (b *Budget) Give(n int) {
	if b != nil {
		b.used.Add(-int64(n))
	}
}
