// Package waiter tells of readiness, so that files can wake tasks without
// knowing them. It is what Linux calls wait queues.
//
// To wait without losing an event, take three steps: register an entry, look
// at Readiness, and sleep only if it is not what one waits for. An event
// between the last two calls the entry.
package waiter

import "github.com/stasis-run/stasis/internal/invariants"

// EventMask is a set of events.
type EventMask uint8

// The events.
const (
	In    EventMask = 1 << iota // a read would not block
	Out                         // a write would not block
	Err                         // an error is pending
	Hup                         // the other side has gone
	RdHup                       // the other side writes no more

	// Always are told whether they were asked for or not, as poll(2) does.
	Always = Err | Hup
)

// A Source is something that gets ready.
type Source interface {
	// Readiness returns which events of mask or Always are there now. It does
	// not block.
	Readiness(mask EventMask) EventMask

	// Register makes e's callback be called when one of its events may have
	// come. It need not call for those that are there already.
	Register(e *Entry)

	// Unregister undoes Register. When it returns, the callback is not running
	// and is not called any more.
	Unregister(e *Entry)
}

// An Entry is one who waits. It may be in one queue at a time.
type Entry struct {
	mask     EventMask       // immutable
	callback func(EventMask) // immutable

	queue      *Queue // protected by that queue's mu, as are the following
	prev, next *Entry
}

// NewEntry returns an Entry for the events of mask and Always. Callback gets
// those that have come. It is called with the queue's lock held, often with
// locks of the file: it must not block or use the queue or the file.
func NewEntry(mask EventMask, callback func(EventMask)) *Entry {
	return &Entry{mask: mask | Always, callback: callback}
}

// NewChannelEntry returns an Entry whose callback leaves a token in a channel
// of length one.
func NewChannelEntry(mask EventMask) (*Entry, <-chan struct{}) {
	c := make(chan struct{}, 1)
	return NewEntry(mask, func(EventMask) {
		select {
		case c <- struct{}{}:
		default:
		}
	}), c
}

// Mask returns the events that e waits for, Always included.
func (e *Entry) Mask() EventMask { return e.mask }

// queueLock is the class of a Queue's lock: callbacks take that of a task, behind it. One
// callback raises the event of another source (epoll's), which cannot wait for itself.
type queueLock struct{}

// Order implements invariants.Class.
func (queueLock) Order() int { return 55 }

// NestsBecause implements invariants.Nesting.
func (queueLock) NestsBecause() string {
	return "sets of sources that wait for each other have no rings"
}

// A Queue holds those who wait for one source. The zero value is empty. Its
// lock is a leaf but for what callbacks take.
type Queue struct {
	mu          invariants.Mutex[queueLock]
	first, last *Entry // protected by mu
}

// Register adds e at the end. An entry that is in a queue already is a bug,
// and panics.
func (q *Queue) Register(e *Entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e.queue != nil {
		panic("waiter: entry is registered already")
	}
	e.queue, e.prev, e.next = q, q.last, nil
	if q.last != nil {
		q.last.next = e
	} else {
		q.first = e
	}
	q.last = e
}

// Unregister removes e, if it is there. When it returns, e's callback is not
// running and is not called any more.
func (q *Queue) Unregister(e *Entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e.queue != q {
		return
	}
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		q.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		q.last = e.prev
	}
	e.queue, e.prev, e.next = nil, nil, nil
}

// Notify calls those who wait for an event of mask, the longest waiting first.
func (q *Queue) Notify(mask EventMask) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for e := q.first; e != nil; e = e.next {
		if m := mask & e.mask; m != 0 {
			e.callback(m)
		}
	}
}

// Interest returns all events that somebody waits for, 0 if nobody waits.
func (q *Queue) Interest() EventMask {
	q.mu.Lock()
	defer q.mu.Unlock()
	var m EventMask
	for e := q.first; e != nil; e = e.next {
		m |= e.mask
	}
	return m
}

// AlwaysReady is a Source that is ready for reading and writing, like a
// regular file. Files embed it.
type AlwaysReady struct{}

// Readiness returns what is asked of In and Out.
func (AlwaysReady) Readiness(mask EventMask) EventMask { return mask & (In | Out) }

// Register does nothing.
func (AlwaysReady) Register(*Entry) {}

// Unregister does nothing.
func (AlwaysReady) Unregister(*Entry) {}
