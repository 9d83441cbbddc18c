// Package memory provides linear memories as mappings: a reservation of all
// the addresses that a memory may grow to, of which the front is accessible.
// So a memory never moves, growing is a change of protection, and what was
// never written costs nothing.
package memory

import (
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A Linear is one linear memory. Its methods must not run at the same time,
// except Bytes beside Bytes and Resize, and Hold's release beside all.
type Linear struct {
	reserved []byte
	size     atomic.Int64
	limit    uint64
	budget   Budget // size is taken of; or nil

	mu     sync.Mutex
	held   int    // by Hold; protected by mu
	unused []byte // closed, to be unmapped with the last release; protected by mu
}

// A Budget is what several memories have together, in bytes.
type Budget interface {
	Take(n int) bool // n bytes, if as many are left
	Give(n int)      // back
}

// ErrBudget says that as much is taken of a Budget as there is.
var ErrBudget = errors.New("all memory that there may be together is taken")

// MaxSize is the largest memory: 4 GiB less a wasm page.
const MaxSize = 65535 << 16

// New reserves addresses for a memory of at most limit bytes. Nothing is
// accessible yet.
func New(limit uint64) (*Linear, error) { return NewIn(nil, limit) }

// NewIn is New for a memory whose size counts against a budget.
func NewIn(budget Budget, limit uint64) (*Linear, error) {
	limit = min(limit, MaxSize)
	b, err := unix.Mmap(-1, 0, int(max(limit, 1)), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("memory: reserve %d bytes of addresses: %w", limit, err)
	}
	return &Linear{reserved: b, limit: limit, budget: budget}, nil
}

// Resize makes the first size bytes accessible and returns them. It never
// shrinks. It fails if size is above the limit, the host has no room, or the budget has
// none (ErrBudget).
func (l *Linear) Resize(size uint64) ([]byte, error) {
	if size > l.limit {
		return nil, fmt.Errorf("memory: grow to %d bytes: the limit is %d", size, l.limit)
	}
	if more := int(int64(size) - l.size.Load()); more > 0 {
		if l.budget != nil && !l.budget.Take(more) {
			return nil, fmt.Errorf("memory: grow to %d bytes: %w", size, ErrBudget)
		}
		page := unix.Getpagesize()
		to := (int(size) + page - 1) &^ (page - 1)
		to = min(to, len(l.reserved))
		if err := unix.Mprotect(l.reserved[:to], unix.PROT_READ|unix.PROT_WRITE); err != nil {
			if l.budget != nil {
				l.budget.Give(more)
			}
			return nil, fmt.Errorf("memory: grow to %d bytes: %w", size, err)
		}
		l.size.Store(int64(size))
	}
	return l.Bytes(), nil
}

// Bytes is the accessible part.
func (l *Linear) Bytes() []byte {
	n := l.size.Load()
	return l.reserved[:n:n]
}

// Limit is how large the memory may grow, in bytes.
func (l *Linear) Limit() uint64 { return l.limit }

// Room is Bytes with the capacity of all that the memory may grow to. What is
// beyond its length is not accessible.
func (l *Linear) Room() []byte {
	return l.reserved[:l.size.Load():l.limit]
}

// Hold keeps the bytes that there are mapped until release is called, whatever Close does
// before.
func (l *Linear) Hold() (release func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held++
	return sync.OnceFunc(func() {
		if b := l.releaseHold(); b != nil {
			_ = unix.Munmap(b) // as Close reports: it fails for what is no mapping only
		}
	})
}

// releaseHold returns what nobody uses any more.
func (l *Linear) releaseHold() (unused []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held--; l.held > 0 {
		return nil
	}
	unused, l.unused = l.unused, nil
	return unused
}

// Vacate makes a memory that nobody uses as good as new, but for its size: its bytes are
// zero, and it counts against no budget. It reports false, and does nothing, if somebody
// holds the memory or the host does not take its pages.
func (l *Linear) Vacate() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.size.Load()
	if l.held > 0 || l.reserved == nil {
		return false
	}
	if n > 0 && unix.Madvise(l.reserved[:n], unix.MADV_DONTNEED) != nil { // of a private mapping: zero pages from now on (madvise(2))
		return false
	}
	if l.budget != nil {
		l.budget.Give(int(n))
		l.budget = nil
	}
	return true
}

// Occupy has a memory that was vacated count against a budget, or none. It reports false
// if there is not as much left.
func (l *Linear) Occupy(budget Budget) bool {
	if budget != nil && !budget.Take(int(l.size.Load())) {
		return false
	}
	l.budget = budget
	return true
}

// Close unmaps the memory, as soon as nobody holds it. Nothing else may use its bytes any
// more.
func (l *Linear) Close() error {
	b := l.reserved
	l.reserved, l.limit = nil, 0
	if n := l.size.Swap(0); l.budget != nil {
		l.budget.Give(int(n))
	}
	if b == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held > 0 {
		l.unused = b
		return nil
	}
	return unix.Munmap(b)
}

// IsZero reports whether all bytes of b are zero.
func IsZero(b []byte) bool {
	for len(b) >= 64 {
		var acc uint64
		for i := 0; i < 64; i += 8 {
			acc |= uint64(b[i]) | uint64(b[i+1])<<8 | uint64(b[i+2])<<16 | uint64(b[i+3])<<24 |
				uint64(b[i+4])<<32 | uint64(b[i+5])<<40 | uint64(b[i+6])<<48 | uint64(b[i+7])<<56
		}
		if bits.LeadingZeros64(acc) != 64 {
			return false
		}
		b = b[64:]
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// copyUnit is how many bytes Copy looks at together: the page of most hosts.
const copyUnit = 4 << 10

// Copy copies a memory into one that is new, and so zero: pages that are zero are
// left alone, which costs no memory there.
func Copy(to, from []byte) {
	for len(from) > 0 {
		n := min(copyUnit, len(from))
		if !IsZero(from[:n]) {
			copy(to, from[:n])
		}
		to, from = to[n:], from[n:]
	}
}
