// Package ktime is the clocks of a compute system, and the only reader of the
// host's clock.
//
// A guest sees a monotonic clock that stands still while the system is stopped
// or saved, so that whatever it waits for has as much time left afterwards as
// before; a boot clock, which goes on through stops; and a wall clock: the host's,
// or one of its own that keeps step with the monotonic clock (wall.go).
package ktime

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/stasis-run/stasis/internal/invariants"
)

// A Source is where time comes from: the host, or a test.
type Source interface {
	// Mono is a time in ns that never goes back.
	Mono() int64
	// Wall is the time in ns since 1970-01-01 UTC.
	Wall() int64
	// AfterFunc calls f on a goroutine of its own once d has passed, unless
	// stop is called before. stop reports whether it was in time.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// Host is the host's clock.
var Host Source = host{start: time.Now()}

type host struct{ start time.Time }

func (h host) Mono() int64 { return int64(time.Since(h.start)) }
func (h host) Wall() int64 { return time.Now().UnixNano() }
func (h host) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d, f).Stop
}

// A Manual is a Source that only Advance moves. The zero value begins at 0.
type Manual struct {
	mu     sync.Mutex
	now    int64
	timers map[*manualTimer]struct{}
}

type manualTimer struct {
	at int64
	f  func()
}

// Mono implements Source.
func (m *Manual) Mono() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// manualEpoch is the wall time of a Manual at 0: 2026-01-01.
const manualEpoch = 1767225600e9

// Wall implements Source.
func (m *Manual) Wall() int64 { return manualEpoch + m.Mono() }

// AfterFunc implements Source. A timer that is due at once fires at the next
// Advance, also one by 0.
func (m *Manual) AfterFunc(d time.Duration, f func()) func() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := &manualTimer{m.now + int64(d), f}
	if m.timers == nil {
		m.timers = make(map[*manualTimer]struct{})
	}
	m.timers[t] = struct{}{}
	return func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		_, ok := m.timers[t]
		delete(m.timers, t)
		return ok
	}
}

// Advance moves the time by d and calls what is due, in the order of time and
// in the caller's goroutine.
func (m *Manual) Advance(d time.Duration) {
	m.mu.Lock()
	m.now += int64(d)
	var due []*manualTimer
	for t := range m.timers {
		if t.at <= m.now {
			due = append(due, t)
			delete(m.timers, t)
		}
	}
	m.mu.Unlock()
	slices.SortFunc(due, func(a, b *manualTimer) int { return cmp.Compare(a.at, b.at) })
	for _, t := range due {
		t.f()
	}
}

// Timers is the number of timers that wait.
func (m *Manual) Timers() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.timers)
}

// clocksLock is the class of the lock of Clocks, which is a leaf.
type clocksLock struct{}

// Order implements invariants.Class.
func (clocksLock) Order() int { return 90 }

// Clocks are the clocks that a guest sees. They are safe for concurrent use.
type Clocks struct {
	src Source

	mu      invariants.Mutex[clocksLock]
	offset  int64 // monotonic clock less src.Mono; protected by mu
	boot    int64 // boot clock less src.Mono; protected by mu
	freezes int   // Freeze calls not yet ended; protected by mu
	stands  int64 // monotonic clock while frozen; protected by mu

	ownWall  bool  // the wall clock is not the host's; immutable
	wallBase int64 // wall clock less monotonic clock, if ownWall; immutable
}

// State is what of clocks is saved: their readings, in ns.
type State struct {
	Monotonic int64 `pb:"1"`
	Boot      int64 `pb:"2"`
	Wall      int64 `pb:"3"` // the host's, when they were read, to add the time in between to Boot

	OwnWall  bool  `pb:"4"` // the guest's wall clock is not the host's
	WallBase int64 `pb:"5"` // the guest's wall clock less Monotonic, if OwnWall
}

// NewClocks makes clocks that begin at 0, but for the wall clock.
func NewClocks(src Source, w Wall) *Clocks {
	now := src.Mono()
	c := &Clocks{src: src, offset: -now, boot: -now}
	c.ownWall, c.wallBase = w.base(src.Wall(), 0)
	return c
}

// RestoreClocks makes clocks that go on from st. The boot clock gets the wall
// time that has passed meanwhile, but never goes back. The wall clock is the
// host's now if it was the host's, and otherwise goes on where it stood; if w is
// not the zero Wall, it is what w says.
func RestoreClocks(src Source, st State, w Wall) *Clocks {
	now := src.Mono()
	away := max(0, src.Wall()-st.Wall)
	c := &Clocks{src: src, offset: st.Monotonic - now, boot: st.Boot + away - now}
	c.ownWall, c.wallBase = st.OwnWall, st.WallBase
	if w != (Wall{}) {
		c.ownWall, c.wallBase = w.base(src.Wall(), st.Monotonic)
	}
	return c
}

// Save reads the clocks.
func (c *Clocks) Save() State {
	return State{
		Monotonic: c.Monotonic(), Boot: c.Boot(), Wall: c.src.Wall(),
		OwnWall: c.ownWall, WallBase: c.wallBase,
	}
}

// Source is where the clocks' time comes from.
func (c *Clocks) Source() Source { return c.src }

// Monotonic is the time in ns for which the system has not been stopped.
func (c *Clocks) Monotonic() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.monotonicLocked()
}

func (c *Clocks) monotonicLocked() int64 {
	if c.freezes > 0 {
		return c.stands
	}
	return c.src.Mono() + c.offset
}

// Boot is the time in ns since the system began, stops included.
func (c *Clocks) Boot() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.src.Mono() + c.boot
}

// Wall is the wall clock in ns since 1970.
func (c *Clocks) Wall() int64 {
	if c.ownWall {
		return c.wallBase + c.Monotonic()
	}
	return c.src.Wall()
}

// Freeze stops the monotonic clock until Thaw has been called as often.
func (c *Clocks) Freeze() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.freezes == 0 {
		c.stands = c.monotonicLocked()
	}
	c.freezes++
}

// Thaw ends a Freeze.
func (c *Clocks) Thaw() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.freezes == 0 {
		panic("ktime: Thaw without Freeze")
	}
	if c.freezes--; c.freezes == 0 {
		c.offset = c.stands - c.src.Mono()
	}
}

// Frozen reports whether the monotonic clock stands still.
func (c *Clocks) Frozen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.freezes > 0
}
