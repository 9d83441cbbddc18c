package waiter

import (
	"sync"
	"testing"
)

func TestNotifyByMask(t *testing.T) {
	var q Queue
	var got [3]EventMask
	entries := []*Entry{
		NewEntry(In, func(m EventMask) { got[0] |= m }),
		NewEntry(Out, func(m EventMask) { got[1] |= m }),
		NewEntry(In|Out, func(m EventMask) { got[2] |= m }),
	}
	if q.Interest() != 0 {
		t.Errorf("interest of an empty queue is %v", q.Interest())
	}
	for _, e := range entries {
		q.Register(e)
	}
	q.Notify(In)
	if want := [3]EventMask{In, 0, In}; got != want {
		t.Errorf("after In: %v, want %v", got, want)
	}
	q.Notify(Hup)
	if want := [3]EventMask{In | Hup, Hup, In | Hup}; got != want {
		t.Errorf("after Hup: %v, want %v", got, want)
	}
	if want := In | Out | Always; q.Interest() != want {
		t.Errorf("interest = %v, want %v", q.Interest(), want)
	}
}

// Entries leave from the front, the middle and the end, and may come again.
func TestUnregister(t *testing.T) {
	for leave := range 3 {
		var q Queue
		var n [3]int
		var entries [3]*Entry
		for i := range entries {
			entries[i] = NewEntry(In, func(EventMask) { n[i]++ })
			q.Register(entries[i])
		}
		q.Unregister(entries[leave])
		q.Unregister(entries[leave]) // twice does no harm
		q.Notify(In)
		q.Register(entries[leave])
		q.Notify(In)
		for i := range n {
			want := 2
			if i == leave {
				want = 1
			}
			if n[i] != want {
				t.Errorf("leave %d: entry %d was called %d times, want %d", leave, i, n[i], want)
			}
		}
	}
}

func TestRegisterTwicePanics(t *testing.T) {
	var q Queue
	e := NewEntry(In, func(EventMask) {})
	q.Register(e)
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	q.Register(e)
}

// The three steps of the package comment lose no event, however they fall.
func TestNoLostWakeup(t *testing.T) {
	var q Queue
	var mu sync.Mutex
	ready := 0
	const rounds = 2000
	var wg sync.WaitGroup
	wg.Go(func() {
		for range rounds {
			mu.Lock()
			ready++
			mu.Unlock()
			q.Notify(In)
		}
	})
	for taken := 0; taken < rounds; {
		e, wake := NewChannelEntry(In)
		q.Register(e)
		for {
			mu.Lock()
			n := ready
			ready = 0
			mu.Unlock()
			if n > 0 {
				taken += n
				break
			}
			<-wake
		}
		q.Unregister(e)
	}
	wg.Wait()
}

func TestAlwaysReady(t *testing.T) {
	var s Source = AlwaysReady{}
	if got := s.Readiness(In | Hup); got != In {
		t.Errorf("Readiness = %v, want %v", got, In)
	}
	e := NewEntry(In, nil)
	s.Register(e)
	s.Unregister(e)
}
