package ktime

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestManual(t *testing.T) {
	var m Manual
	if m.Mono() != 0 || m.Wall() != time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano() {
		t.Errorf("begins at %d, %d", m.Mono(), m.Wall())
	}
	var fired []int
	at := func(d time.Duration, n int) func() bool { return m.AfterFunc(d, func() { fired = append(fired, n) }) }
	at(3, 3)
	at(1, 1)
	stop2 := at(2, 2)
	at(10, 10)
	now := at(0, 0)
	if m.Timers() != 5 {
		t.Errorf("%d timers", m.Timers())
	}
	m.Advance(0)
	if !slices.Equal(fired, []int{0}) || now() {
		t.Errorf("fired %v", fired)
	}
	if !stop2() || stop2() {
		t.Error("a timer is stopped once")
	}
	m.Advance(9)
	if !slices.Equal(fired, []int{0, 1, 3}) {
		t.Errorf("fired %v", fired)
	}
	m.AfterFunc(1, func() { m.AfterFunc(0, func() { fired = append(fired, 99) }) })
	m.Advance(1)
	m.Advance(0)
	if !slices.Equal(fired, []int{0, 1, 3, 10, 99}) || m.Timers() != 0 || m.Mono() != 10 {
		t.Errorf("fired %v, %d timers, now %d", fired, m.Timers(), m.Mono())
	}
}

func TestHost(t *testing.T) {
	a, b := Host.Mono(), Host.Mono()
	if b < a || a < 0 {
		t.Errorf("%d, then %d", a, b)
	}
	if d := time.Until(time.Unix(0, Host.Wall())); d < -time.Minute || d > time.Minute {
		t.Errorf("off by %v", d)
	}
	synctest.Test(t, func(t *testing.T) {
		fired := make(chan struct{})
		stop := Host.AfterFunc(time.Hour, func() { t.Error("it was stopped") })
		Host.AfterFunc(2*time.Hour, func() { close(fired) })
		if !stop() {
			t.Error("not in time")
		}
		<-fired
	})
}

func TestFreeze(t *testing.T) {
	var m Manual
	m.Advance(time.Hour)
	c := NewClocks(&m, Wall{})
	want := func(mono, boot time.Duration) {
		t.Helper()
		if c.Monotonic() != int64(mono) || c.Boot() != int64(boot) {
			t.Errorf("clocks at %v, %v, want %v, %v", time.Duration(c.Monotonic()), time.Duration(c.Boot()), mono, boot)
		}
	}
	want(0, 0)
	m.Advance(5)
	want(5, 5)
	c.Freeze()
	m.Advance(10)
	want(5, 15)
	c.Freeze()
	c.Thaw()
	m.Advance(10)
	want(5, 25)
	c.Thaw()
	want(5, 25)
	m.Advance(1)
	want(6, 26)
	if c.Wall() != m.Wall() || c.Source() != Source(&m) {
		t.Error("the wall clock is another")
	}
	defer func() {
		if recover() == nil {
			t.Error("Thaw without Freeze is a bug and must panic")
		}
	}()
	c.Thaw()
}

// However stops lie, the monotonic clock counts the time without any.
func TestFreezeNesting(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 100 {
		var m Manual
		c := NewClocks(&m, Wall{})
		depth, want, boot := 0, int64(0), int64(0)
		for range 200 {
			switch n := r.IntN(3); {
			case n == 0:
				c.Freeze()
				depth++
			case n == 1 && depth > 0:
				c.Thaw()
				depth--
			default:
				d := int64(r.IntN(1000))
				m.Advance(time.Duration(d))
				boot += d
				if depth == 0 {
					want += d
				}
			}
			if c.Monotonic() != want || c.Boot() != boot {
				t.Fatalf("clocks at %d, %d, want %d, %d", c.Monotonic(), c.Boot(), want, boot)
			}
		}
	}
}

func TestFreezeConcurrently(t *testing.T) {
	c := NewClocks(Host, Wall{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			last := int64(0)
			for range 1000 {
				c.Freeze()
				now := c.Monotonic()
				if now < last || c.Monotonic() != now {
					t.Errorf("a frozen clock goes from %d to %d", now, c.Monotonic())
				}
				last = now
				c.Thaw()
			}
		})
	}
	wg.Wait()
}

func TestRestoreClocks(t *testing.T) {
	var m Manual
	m.Advance(time.Hour)
	c := NewClocks(&m, Wall{})
	m.Advance(5)
	c.Freeze()
	m.Advance(7)
	st := c.Save()
	if st != (State{Monotonic: 5, Boot: 12, Wall: m.Wall()}) {
		t.Errorf("state %+v", st)
	}
	var other Manual // another host, whose own clock is elsewhere
	other.Advance(time.Hour + 12 + time.Minute)
	c = RestoreClocks(&other, st, Wall{})
	if c.Monotonic() != 5 || c.Boot() != 12+int64(time.Minute) {
		t.Errorf("clocks at %d, %d", c.Monotonic(), c.Boot())
	}
	other.Advance(3)
	if c.Monotonic() != 8 || c.Boot() != 15+int64(time.Minute) {
		t.Errorf("clocks at %d, %d", c.Monotonic(), c.Boot())
	}
	// A host whose wall clock is behind takes nothing from the boot clock.
	c = RestoreClocks(new(Manual), st, Wall{})
	if c.Monotonic() != 5 || c.Boot() != 12 {
		t.Errorf("clocks at %d, %d", c.Monotonic(), c.Boot())
	}
}
