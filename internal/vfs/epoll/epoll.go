package epoll

import (
	"sync"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

// Events are what an item waits for and what is told of it, with flags of the
// item. The numbers are Linux's.
type Events uint32

// The events, and the flags.
const (
	In    Events = 0x1
	Out   Events = 0x4
	Err   Events = 0x8  // told whether asked for or not
	Hup   Events = 0x10 // the same
	RdHup Events = 0x2000

	OneShot Events = 1 << 30 // told once, then silent until Mod
	Edge    Events = 1 << 31 // told when something happens, not while it is so

)

// An Event is what an item waits for, or what is told of it.
type Event struct {
	Events Events
	Data   uint64    // the guest's own
	More   [2]uint64 // likewise: an event of WASIX holds 24 bytes
}

// A System makes the sets of a system. It may be used by many tasks.
type System struct {
	watches *vfs.Budget // items in all sets; immutable
}

// NewSystem returns a System whose sets have as many items together as watches
// allows, then ENOSPC.
func NewSystem(watches *vfs.Budget) *System { return &System{watches: watches} }

// A Set is the vfs.File of an epoll.
type Set struct {
	system *System
	queue  waiter.Queue // those who wait for the set

	mu    sync.Mutex
	items map[key]*item // protected by mu
	last  uint64        // order number that was given out; protected by mu

	readyMu sync.Mutex
	ready   list // protected by readyMu

	inner, outer map[*Set]int // sets in this one and around it, by how many items; protected by nesting
}

// A key names an item as Linux does: the number counts, too.
type key struct {
	file *vfs.OpenFile
	fd   vfs.FD
}

// An item is a file in a set.
type item struct {
	key
	set   *Set
	order uint64 // of being added; immutable
	event Event  // protected by Set.mu
	entry *waiter.Entry

	// Protected by Set.readyMu.
	listed     bool
	disabled   bool // one-shot and told
	prev, next *item
}

// New returns an empty set.
func (s *System) New() *vfs.OpenFile { return vfs.NewOpenFile(s.newSet(), true, true, 0) }

func (s *System) newSet() *Set {
	return &Set{system: s, items: make(map[key]*item), inner: make(map[*Set]int), outer: make(map[*Set]int)}
}

// Of returns the set behind f, or EINVAL.
func Of(f *vfs.OpenFile) (*Set, abi.Errno) {
	if e, ok := f.File().(*Set); ok {
		return e, abi.OK
	}
	return nil, abi.EINVAL
}

// Add puts the file at fd into the set: EPOLL_CTL_ADD. The caller has a
// reference to f, which stays the caller's. It fails with EEXIST; with EPERM for
// a regular file or directory, which is always ready; EINVAL for the set
// itself, ELOOP for sets in each other or nested too deep; ENOSPC.
func (e *Set) Add(fd vfs.FD, f *vfs.OpenFile, ev Event) abi.Errno {
	if errno := e.mayWatch(f); errno != abi.OK {
		return errno
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	k := key{f, fd}
	if e.items[k] != nil {
		return abi.EEXIST
	}
	if !e.system.watches.Take(1) {
		return abi.ENOSPC
	}
	if in, ok := f.File().(*Set); ok {
		if errno := e.nest(in); errno != abi.OK {
			e.system.watches.Give(1)
			return errno
		}
	}
	e.last++
	it := &item{key: k, set: e, order: e.last, event: ev}
	e.items[k] = it
	f.AddCloseWatcher(e)
	it.watch()
	it.look()
	return abi.OK
}

// mayWatch checks what can be in no set, or not in this one.
func (e *Set) mayWatch(f *vfs.OpenFile) abi.Errno {
	switch file := f.File().(type) {
	case vfs.Regular, vfs.Directory:
		return abi.EPERM
	case *Set:
		if file == e {
			return abi.EINVAL
		}
	}
	return abi.OK
}

// Mod changes what is waited for: EPOLL_CTL_MOD. What is there already counts as
// new. It fails with ENOENT.
func (e *Set) Mod(fd vfs.FD, f *vfs.OpenFile, ev Event) abi.Errno {
	if errno := e.mayWatch(f); errno != abi.OK {
		return errno
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	it := e.items[key{f, fd}]
	if it == nil {
		return abi.ENOENT
	}
	it.file.Unregister(it.entry)
	it.event = ev
	e.readyMu.Lock()
	it.disabled = false
	e.readyMu.Unlock()
	it.watch()
	it.look()
	return abi.OK
}

// Del takes the file at fd out of the set: EPOLL_CTL_DEL. It fails with ENOENT.
func (e *Set) Del(fd vfs.FD, f *vfs.OpenFile) abi.Errno {
	if errno := e.mayWatch(f); errno != abi.OK {
		return errno
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	it := e.items[key{f, fd}]
	if it == nil {
		return abi.ENOENT
	}
	it.removeLocked()
	return abi.OK
}

// watch makes the file call the item.
//
// Preconditions: Set.mu is locked, the item is not registered.
func (it *item) watch() {
	it.entry = waiter.NewEntry(toMask(it.event.Events), it.happened)
	it.file.Register(it.entry)
}

// happened notes an event. It is called with locks of the file held.
func (it *item) happened(waiter.EventMask) {
	e := it.set
	e.readyMu.Lock()
	if it.disabled {
		e.readyMu.Unlock()
		return
	}
	e.ready.push(it)
	e.readyMu.Unlock()
	e.queue.Notify(waiter.In)
}

// look notes what is there already. It is no event for those who wait for the
// set if the item was on the list before.
//
// Preconditions: Set.mu is locked.
func (it *item) look() {
	if it.poll() == 0 {
		return
	}
	e := it.set
	e.readyMu.Lock()
	listed := it.listed
	e.ready.push(it)
	e.readyMu.Unlock()
	if !listed {
		e.queue.Notify(waiter.In)
	}
}

// poll asks the file.
//
// Preconditions: Set.mu is locked.
func (it *item) poll() Events {
	return fromMask(it.file.Readiness(toMask(it.event.Events)))
}

// removeLocked takes the item out of its set.
//
// Preconditions: Set.mu is locked.
func (it *item) removeLocked() {
	e := it.set
	it.file.Unregister(it.entry)
	it.file.RemoveCloseWatcher(e)
	e.readyMu.Lock()
	e.ready.remove(it)
	e.readyMu.Unlock()
	delete(e.items, it.key)
	if in, ok := it.file.File().(*Set); ok {
		e.unnest(in)
	}
	e.system.watches.Give(1)
}

// OpenFileClosed is vfs.CloseWatcher's.
func (e *Set) OpenFileClosed(f *vfs.OpenFile) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for k, it := range e.items {
		if k.file == f {
			it.removeLocked()
		}
	}
}

// Len returns how many items the set has.
func (e *Set) Len() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.items)
}

// toMask is what a file is asked for.
func toMask(ev Events) (m waiter.EventMask) {
	for _, b := range bits {
		if ev&b.event != 0 {
			m |= b.mask
		}
	}
	return m
}

func fromMask(m waiter.EventMask) (ev Events) {
	for _, b := range bits {
		if m&b.mask != 0 {
			ev |= b.event
		}
	}
	return ev
}

var bits = []struct {
	event Events
	mask  waiter.EventMask
}{{In, waiter.In}, {Out, waiter.Out}, {Err, waiter.Err}, {Hup, waiter.Hup}, {RdHup, waiter.RdHup}}
