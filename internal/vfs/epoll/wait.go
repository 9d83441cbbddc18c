package epoll

import (
	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

var (
	_ vfs.File         = (*Set)(nil)
	_ vfs.CloseWatcher = (*Set)(nil)
)

// Wait tells what is ready, in as many of out as it takes, and returns how many.
// It does not block: who got 0 waits for the set to be readable (it is a
// waiter.Source) and asks again.
func (e *Set) Wait(out []Event) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.readyMu.Lock()
	left := e.ready.len // what is put back goes behind
	e.readyMu.Unlock()
	n := 0
	for ; left > 0 && n < len(out); left-- {
		it := e.pop()
		if it == nil {
			break
		}
		events := it.poll()
		if events == 0 {
			continue
		}
		out[n] = Event{events, it.event.Data, it.event.More}
		n++
		e.told(it)
	}
	return n
}

// pop takes the first item off the ready list. An event from then on puts it
// there again.
func (e *Set) pop() *item {
	e.readyMu.Lock()
	defer e.readyMu.Unlock()
	it := e.ready.first
	if it != nil {
		e.ready.remove(it)
	}
	return it
}

// told notes that an item was told.
//
// Preconditions: e.mu is locked.
func (e *Set) told(it *item) {
	e.readyMu.Lock()
	defer e.readyMu.Unlock()
	switch {
	case it.event.Events&OneShot != 0:
		it.disabled = true
		e.ready.remove(it)
	case it.event.Events&Edge == 0:
		e.ready.push(it)
	}
}

// Readiness is waiter.Source's. A set is readable if something in it is ready.
func (e *Set) Readiness(mask waiter.EventMask) waiter.EventMask {
	if mask&waiter.In == 0 {
		return 0
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		e.readyMu.Lock()
		it := e.ready.first
		e.readyMu.Unlock()
		if it == nil {
			return 0
		}
		if it.poll() != 0 {
			return waiter.In
		}
		// Off the list and asked again: an event in between is not lost.
		e.readyMu.Lock()
		e.ready.remove(it)
		e.readyMu.Unlock()
		if it.poll() != 0 {
			e.readyMu.Lock()
			e.ready.pushFront(it)
			e.readyMu.Unlock()
			return waiter.In
		}
	}
}

// Register is waiter.Source's.
func (e *Set) Register(w *waiter.Entry) { e.queue.Register(w) }

// Unregister is waiter.Source's.
func (e *Set) Unregister(w *waiter.Entry) { e.queue.Unregister(w) }

// Stat is vfs.File's. Preview 1 has no type for an epoll.
func (e *Set) Stat() (abi.Filestat, abi.Errno) {
	return abi.Filestat{Filetype: abi.FiletypeUnknown, Nlink: 1}, abi.OK
}

// Describe is vfs.Described's.
func (e *Set) Describe() string { return "anon_inode:[eventpoll]" }

// Close is vfs.File's.
func (e *Set) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, it := range e.items {
		it.removeLocked()
	}
}

// A list is a queue of items, linked through them.
type list struct {
	first, last *item
	len         int
}

// push puts it at the end, unless it is in the list.
func (l *list) push(it *item) {
	if it.listed {
		return
	}
	it.listed, it.prev, it.next = true, l.last, nil
	if l.last != nil {
		l.last.next = it
	} else {
		l.first = it
	}
	l.last = it
	l.len++
}

// pushFront puts it at the start, unless it is in the list.
func (l *list) pushFront(it *item) {
	if it.listed {
		return
	}
	it.listed, it.prev, it.next = true, nil, l.first
	if l.first != nil {
		l.first.prev = it
	} else {
		l.last = it
	}
	l.first = it
	l.len++
}

// remove takes it out, if it is in the list.
func (l *list) remove(it *item) {
	if !it.listed {
		return
	}
	if it.prev != nil {
		it.prev.next = it.next
	} else {
		l.first = it.next
	}
	if it.next != nil {
		it.next.prev = it.prev
	} else {
		l.last = it.prev
	}
	it.listed, it.prev, it.next = false, nil, nil
	l.len--
}
