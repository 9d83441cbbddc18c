//go:build race || invariants

package invariants

import (
	"fmt"
	"slices"
	"sync"
)

// Enabled says whether the checks are made.
const Enabled = true

// A Mutex is a sync.Mutex of a class.
type Mutex[C Class] struct {
	mu     sync.Mutex
	holder uintptr // goroutine; protected by mu
}

// Lock locks m. It panics if the goroutine holds a lock that comes behind it.
func (m *Mutex[C]) Lock() {
	var class C
	id := goroutine()
	held.check(id, class)
	m.mu.Lock()
	m.holder = id
	held.add(id, class)
}

// Unlock unlocks m, on the goroutine that has locked it.
func (m *Mutex[C]) Unlock() {
	var class C
	held.remove(m.holder, class)
	m.mu.Unlock()
}

// holdings are the classes that each goroutine holds.
type holdings [64]shard

// A shard is those of some goroutines.
type shard struct {
	mu sync.Mutex
	of map[uintptr][]Class // protected by mu
}

var held holdings

// shard finds that of a goroutine.
func (h *holdings) shard(id uintptr) *shard {
	const granule = 512 // what the runtime keeps is about as long
	return &h[id/granule%uintptr(len(h))]
}

func (h *holdings) check(id uintptr, class Class) {
	s := h.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, has := range s.of[id] {
		_, nests := class.(Nesting)
		if has.Order() > class.Order() || has.Order() == class.Order() && !(nests && has == class) {
			panic(fmt.Sprintf("invariants: a %T is locked while a %T is held: the order is the other way round", class, has))
		}
	}
}

func (h *holdings) add(id uintptr, class Class) {
	s := h.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = make(map[uintptr][]Class)
	}
	s.of[id] = append(s.of[id], class)
}

func (h *holdings) remove(id uintptr, class Class) {
	s := h.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.of[id], class)
	if i < 0 {
		panic(fmt.Sprintf("invariants: a %T is unlocked that is not held", class))
	}
	if s.of[id] = slices.Delete(s.of[id], i, i+1); len(s.of[id]) == 0 {
		delete(s.of, id)
	}
}
