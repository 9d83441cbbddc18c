// Package memory provides linear memories as mappings: a reservation of all
// the addresses that a memory may grow to, of which the front is accessible.
// So a memory never moves, growing is a change of protection, and what was
// never written costs nothing.
package memory

import (
	"fmt"
	"math/bits"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A Linear is one linear memory. Its methods must not run at the same time,
// except Bytes beside Bytes and Resize.
type Linear struct {
	reserved []byte
	size     atomic.Int64
	limit    uint64
}

// MaxSize is the largest memory: 4 GiB less a wasm page.
const MaxSize = 65535 << 16

// New reserves addresses for a memory of at most limit bytes. Nothing is
// accessible yet.
func New(limit uint64) (*Linear, error) {
	limit = min(limit, MaxSize)
	b, err := unix.Mmap(-1, 0, int(max(limit, 1)), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("memory: reserve %d bytes of addresses: %w", limit, err)
	}
	return &Linear{reserved: b, limit: limit}, nil
}

// Resize makes the first size bytes accessible and returns them. It never
// shrinks. It fails if size is above the limit or the host has no room.
func (l *Linear) Resize(size uint64) ([]byte, error) {
	if size > l.limit {
		return nil, fmt.Errorf("memory: grow to %d bytes: the limit is %d", size, l.limit)
	}
	if int64(size) > l.size.Load() {
		page := unix.Getpagesize()
		to := (int(size) + page - 1) &^ (page - 1)
		to = min(to, len(l.reserved))
		if err := unix.Mprotect(l.reserved[:to], unix.PROT_READ|unix.PROT_WRITE); err != nil {
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

// Close unmaps the memory. Nothing may use its bytes any more.
func (l *Linear) Close() error {
	b := l.reserved
	l.reserved, l.limit = nil, 0
	l.size.Store(0)
	if b == nil {
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
