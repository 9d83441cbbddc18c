package vfs

import (
	"errors"
	"math"
	"sync/atomic"
)

// ErrNoMemory says that file systems in memory do not fit into the budget of their
// system.
var ErrNoMemory = errors.New("the system has as much memory as it may have")

// A Budget bounds what all processes of a system take of something together:
// fds, bytes of pipes, memory. A nil Budget has no bound.
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

// Left returns how much is not taken.
func (b *Budget) Left() int64 {
	if b == nil {
		return math.MaxInt64
	}
	return max(b.max-b.used.Load(), 0)
}

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
