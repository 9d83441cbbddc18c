package kernel

import (
	"container/heap"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/stasis-run/stasis/internal/invariants"
)

// An interval sends its process a signal when the monotonic clock comes to a time,
// and again and again: setitimer(2)'s ITIMER_REAL, for any signal.
type interval struct {
	next  int64 // ns of the monotonic clock
	every int64 // ns from then on; 0: once

	g   *ThreadGroup
	sig int32
	at  int // in intervals.line
}

// A timeline is intervals, a heap by when they are next.
type timeline []*interval

func (l timeline) Len() int           { return len(l) }
func (l timeline) Less(i, j int) bool { return l[i].next < l[j].next }
func (l timeline) Swap(i, j int) {
	l[i], l[j] = l[j], l[i]
	l[i].at, l[j].at = i, j
}

// Push and Pop are for package container/heap.
func (l *timeline) Push(x any) {
	i := x.(*interval)
	i.at = len(*l)
	*l = append(*l, i)
}

func (l *timeline) Pop() any {
	last := len(*l) - 1
	i := (*l)[last]
	(*l)[last] = nil
	*l = (*l)[:last]
	return i
}

// intervalGap is how long there is nothing between the firings of intervals, in ns: a
// guest could have the host do nothing else.
const intervalGap = 100_000

// intervals are those of all processes, with one timer of the host. While the
// clock stands still there is none.
type intervals struct {
	k *Kernel

	mu     invariants.Mutex[intervalsLock]
	of     map[*ThreadGroup]map[int32]*interval // by signal; protected by mu
	line   timeline                             // the same; protected by mu
	stop   func() bool                          // of the timer that is armed, or nil; protected by mu
	again  int64                                // no timer is set for before, in ns of the monotonic clock; protected by mu
	closed bool                                 // protected by mu
}

// SetInterval has the process get a signal after first ns, and then every so many;
// 0 for first ends that, 0 for every is once. It returns what was left until the next
// one, and the interval, before.
func (g *ThreadGroup) SetInterval(sig int32, first, every int64) (left, was int64, err error) {
	if err := checkSignal(sig); err != nil || sig == 0 || first < 0 || every < 0 {
		return 0, 0, errors.Join(err, fmt.Errorf("interval of %d and %d ns for signal %d", first, every, sig))
	}
	x := &g.k.intervals
	now := g.k.clocks.Monotonic()
	x.mu.Lock()
	defer x.mu.Unlock()
	if old := x.of[g][sig]; old != nil {
		left, was = max(old.next-now, 1), old.every
	}
	if first == 0 {
		x.removeLocked(g, sig)
	} else {
		x.setLocked(&interval{next: min(now, maxTime) + min(first, maxTime), every: min(every, maxTime), g: g, sig: sig})
	}
	x.armLocked()
	return left, was, nil
}

// Interval is what is left until the next signal of an interval, and the interval;
// 0 if there is none.
func (g *ThreadGroup) Interval(sig int32) (left, every int64) {
	x := &g.k.intervals
	now := g.k.clocks.Monotonic()
	x.mu.Lock()
	defer x.mu.Unlock()
	if i := x.of[g][sig]; i != nil {
		return max(i.next-now, 1), i.every
	}
	return 0, 0
}

// Preconditions: x.mu is locked, as for all below.
func (x *intervals) setLocked(i *interval) {
	g := i.g
	x.removeLocked(g, i.sig)
	if x.of == nil {
		x.of = make(map[*ThreadGroup]map[int32]*interval)
	}
	if x.of[g] == nil {
		x.of[g] = make(map[int32]*interval)
	}
	x.of[g][i.sig] = i
	heap.Push(&x.line, i)
}

func (x *intervals) removeLocked(g *ThreadGroup, sig int32) {
	i := x.of[g][sig]
	if i == nil {
		return
	}
	heap.Remove(&x.line, i.at)
	if delete(x.of[g], sig); len(x.of[g]) == 0 {
		delete(x.of, g)
	}
}

// armLocked sets the timer for the earliest of all.
func (x *intervals) armLocked() {
	if x.stop != nil {
		x.stop()
		x.stop = nil
	}
	if len(x.line) == 0 || x.closed || x.k.clocks.Frozen() {
		return
	}
	left := time.Duration(max(max(x.line[0].next, x.again)-x.k.clocks.Monotonic(), 0))
	x.stop = x.k.clocks.Source().AfterFunc(left, x.fire)
}

// fire sends the signals that are due. Of intervals that have passed several times,
// one signal tells.
func (x *intervals) fire() {
	type due struct {
		g   *ThreadGroup
		sig int32
	}
	var all []due
	x.mu.Lock()
	now := x.k.clocks.Monotonic()
	for len(x.line) > 0 && x.line[0].next <= now {
		i := x.line[0]
		all = append(all, due{i.g, i.sig})
		if i.every == 0 {
			x.removeLocked(i.g, i.sig)
			continue
		}
		i.next += (1 + (now-i.next)/i.every) * i.every
		heap.Fix(&x.line, 0)
	}
	if len(all) > 0 {
		x.again = now + intervalGap
	}
	x.armLocked()
	x.mu.Unlock()
	slices.SortFunc(all, func(a, b due) int { return int(a.g.id - b.g.id) })
	for _, d := range all {
		_ = d.g.SendInfo(SigInfo{Signo: d.sig, Code: SIKernel}) // one that is pending already says it
	}
}

// thawed has the timer set again: the clock goes on.
func (x *intervals) thawed() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.armLocked()
}

// ended forgets those of a process.
func (x *intervals) ended(g *ThreadGroup) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.of[g] == nil {
		return
	}
	for sig := range x.of[g] {
		x.removeLocked(g, sig)
	}
	x.armLocked()
}

func (x *intervals) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = true
	x.armLocked()
}

// IntervalState is an interval of a process.
type IntervalState struct {
	Signo int32 `pb:"1"`
	Next  int64 `pb:"2"` // ns of the monotonic clock
	Every int64 `pb:"3"` // ns; 0: once
}

func (x *intervals) save(g *ThreadGroup) (out []IntervalState) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, sig := range slices.Sorted(maps.Keys(x.of[g])) {
		out = append(out, IntervalState{sig, x.of[g][sig].next, x.of[g][sig].every})
	}
	return out
}

// restore takes those of a process. The timer is set when the clock begins to run.
func (x *intervals) restore(g *ThreadGroup, st []IntervalState) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, s := range st {
		if s.Signo < 1 || s.Signo > maxSignal || s.Next < 0 || s.Next > 2*maxTime || s.Every < 0 || s.Every > maxTime {
			return fmt.Errorf("an interval of %d ns at %d for signal %d", s.Every, s.Next, s.Signo)
		}
		x.setLocked(&interval{next: s.Next, every: s.Every, g: g, sig: s.Signo})
	}
	return nil
}
