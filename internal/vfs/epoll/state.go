package epoll

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/vfs"
)

// Kind is the kind of a set in a vfs.State. System.Restore is its
// vfs.RestoreFunc.
const Kind = "epoll"

// State is a set: a file of vfs.State.
type State struct {
	Items []ItemState `pb:"1"` // in the order in which they were added
	Ready []uint32    `pb:"2"` // indices of Items: the ready list, first to last
}

// ItemState is an open file in a set.
type ItemState struct {
	FD       vfs.FD     `pb:"1"` // by which it was added
	File     vfs.FileID `pb:"2"`
	Events   Events     `pb:"3"` // what is waited for, and flags, as Linux numbers them
	Data     uint64     `pb:"4"`
	Disabled bool       `pb:"5"` // one-shot, and told
	Seen     Events     `pb:"6"` // what the file was ready for; what is more at a restore is an edge
	More1    uint64     `pb:"7"`
	More2    uint64     `pb:"8"`
}

var errBadState = errors.New("bad state")

// Save is vfs.File's.
func (e *Set) Save(s *vfs.Saver) (vfs.ObjectState, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var items []*item
	for _, it := range e.items {
		items = append(items, it)
	}
	slices.SortFunc(items, func(a, b *item) int { return cmp.Compare(a.order, b.order) })
	var st State
	index := make(map[*item]uint32)
	for i, it := range items {
		id, err := s.File(it.file)
		if err != nil {
			return vfs.ObjectState{}, fmt.Errorf("epoll: fd %d: %w", it.fd, err)
		}
		seen := it.poll()
		e.readyMu.Lock()
		st.Items = append(st.Items, ItemState{it.fd, id, it.event.Events, it.event.Data, it.disabled, seen, it.event.More[0], it.event.More[1]})
		e.readyMu.Unlock()
		index[it] = uint32(i)
	}
	e.readyMu.Lock()
	defer e.readyMu.Unlock()
	for it := e.ready.first; it != nil; it = it.next {
		st.Ready = append(st.Ready, index[it])
	}
	return vfs.NewObjectState(Kind, st)
}

// Restore is the vfs.RestoreFunc of sets. A file that got ready for more than it
// was counts as an event: one that was a connection, and is not there any more,
// must not be waited for in vain.
func (s *System) Restore(r *vfs.Restorer, data []byte) (vfs.File, error) {
	var st State
	if err := protostruct.Unmarshal(data, &st); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	e := s.newSet()
	items := make([]*item, 0, len(st.Items))
	for i := range st.Items {
		it, err := e.restoreItem(&st.Items[i], r)
		if err != nil {
			e.Close()
			return nil, fmt.Errorf("epoll: fd %d: %w", st.Items[i].FD, err)
		}
		items = append(items, it)
	}
	if err := e.restoreReady(&st, items); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// restoreReady makes the ready list. Files of the host may be adding to it.
func (e *Set) restoreReady(st *State, items []*item) error {
	seen := make([]bool, len(items))
	e.readyMu.Lock()
	for _, i := range st.Ready {
		if int64(i) >= int64(len(items)) || seen[i] || items[i].disabled {
			e.readyMu.Unlock()
			return fmt.Errorf("epoll: item %d of %d is ready: %w", i, len(items), errBadState)
		}
		seen[i] = true
		e.ready.push(items[i])
	}
	e.readyMu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, it := range items {
		now := it.poll()
		if it.event.Events&Edge != 0 {
			now &^= st.Items[i].Seen
		}
		if now != 0 {
			it.happened(0)
		}
	}
	return nil
}

// restoreItem puts the item of st into the set, which nobody else uses yet. It
// is on no list.
func (e *Set) restoreItem(st *ItemState, r *vfs.Restorer) (*item, error) {
	f, err := r.File(st.File)
	if err != nil {
		return nil, err
	}
	defer f.DecRef() // the set does not hold it
	if errno := e.Add(st.FD, f, Event{st.Events, st.Data, [2]uint64{st.More1, st.More2}}); errno != abi.OK {
		return nil, fmt.Errorf("%w: %w", errno, errBadState)
	}
	it := e.items[key{f, st.FD}]
	e.readyMu.Lock()
	defer e.readyMu.Unlock()
	e.ready.remove(it)
	it.disabled = st.Disabled
	return it, nil
}
