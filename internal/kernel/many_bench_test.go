package kernel

import (
	"testing"
	"time"
)

// manyChildren is a process with n children, of which all but those that are left
// living have ended.
func manyChildren(n int) *ThreadGroup {
	k := New(Options{Calls: NewCallTable(nil)})
	s := k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	add := func(parent *ThreadGroup) *ThreadGroup {
		g := newThreadGroup(k, nil, ProcessOptions{})
		g.id = s.nextIDLocked()
		s.joinLocked(g, parent)
		s.running++
		return g
	}
	first := add(nil)
	k.first.Store(first)
	for range n {
		c := add(first)
		c.leader = newTask(k, c, nil)
		s.endLocked(c)
	}
	return first
}

// A parent waits for 4,000 children that have ended; the time is that of each.
func BenchmarkWaitForMany(b *testing.B) {
	const n = 4000
	for done := 0; done < b.N; done += n {
		b.StopTimer()
		g := manyChildren(n)
		b.StartTimer()
		for range min(n, b.N-done) {
			if _, ok, err := g.WaitChild(WaitFor{Exited: true}); !ok || err != nil {
				b.Fatal(err)
			}
		}
	}
}

// One of 1,000 processes that have an interval sets its own anew, and the first fires.
func BenchmarkManyIntervals(b *testing.B) {
	k := New(Options{Calls: NewCallTable(nil)})
	var all []*ThreadGroup
	for range 1000 {
		g := newThreadGroup(k, nil, ProcessOptions{})
		all = append(all, g)
		if _, _, err := g.SetInterval(SIGCHLD, int64(time.Hour), 0); err != nil {
			b.Fatal(err)
		}
	}
	for i := range b.N {
		if _, _, err := all[i%len(all)].SetInterval(SIGCHLD, int64(time.Hour)+int64(i), 0); err != nil {
			b.Fatal(err)
		}
		k.intervals.fire()
	}
}
