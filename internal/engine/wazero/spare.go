package wazero

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/memory"
)

// Making an instance takes as long as the module has functions and elements of segments:
// ms, for a child that a moment later executes another program. So what a thread leaves
// that had its memory for itself is kept, and given to the next one that begins with a
// state, which says all that an instance holds.

// maxSpares is how many a module keeps.
const maxSpares = 2

// A spare is an instance that nobody uses, with its memory, which is all zero.
type spare struct {
	hot           api.Module
	insts         map[wazero.CompiledModule]api.Module // they use the memory
	mem           *memory.Linear
	tables, fixed []shadow
}

type spares struct {
	mu     sync.Mutex
	closed bool // protected by mu, as the list
	list   []*spare
}

// put keeps a spare, if there is room.
func (s *spares) put(sp *spare) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.list) >= maxSpares {
		return false
	}
	s.list = append(s.list, sp)
	return true
}

// room reports whether another one would be kept.
func (s *spares) room() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.closed && len(s.list) < maxSpares
}

// take returns the latest one that fits, or nil.
func (s *spares) take(fits func(*spare) bool) *spare {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.list) - 1; i >= 0; i-- {
		if sp := s.list[i]; fits(sp) {
			s.list = append(s.list[:i], s.list[i+1:]...)
			return sp
		}
	}
	return nil
}

// close frees those that there are, and lets no others come.
func (s *spares) close() error {
	s.mu.Lock()
	list := s.list
	s.list, s.closed = nil, true
	s.mu.Unlock()
	var errs []error
	for _, sp := range list {
		errs = append(errs, sp.close())
	}
	return errors.Join(errs...)
}

func (sp *spare) close() error {
	ctx := context.Background()
	var errs []error
	for _, i := range sp.insts {
		errs = append(errs, i.Close(ctx))
	}
	return errors.Join(append(errs, sp.hot.Close(ctx), sp.mem.Close())...)
}

// retire makes a spare of what the thread has, which is being closed. It reports false
// if that must be closed as well.
func (t *Thread) retire() bool {
	if t.shared != nil || t.mem == nil || t.hot == nil || t.unwinding || len(t.dropped) > 0 || len(t.module.program.Module().Tags) > 0 {
		return false
	}
	if !t.module.spares.room() || !t.mem.Vacate() { // to empty a memory in vain takes time
		return false
	}
	t.requests.park(true) // who asks something of this thread still, asks in vain
	sp := &spare{hot: t.hot, insts: t.insts, mem: t.mem, tables: t.tables, fixed: t.fixed}
	if !t.module.spares.put(sp) {
		return false
	}
	t.hot, t.insts, t.mem, t.tables, t.fixed, t.globals = nil, nil, nil, nil, nil, nil
	t.dropStacks()
	return true
}

// reuse makes the thread of a spare and a state. It reports false if there is none that
// fits. If it fails, the thread is to be closed.
func (t *Thread) reuse(state *engine.State) (ok bool, err error) {
	if state == nil || state.Fresh {
		return false, nil
	}
	sp := t.module.spares.take(func(sp *spare) bool { return t.fitsSpare(sp, state) })
	if sp == nil {
		return false, nil
	}
	if !sp.mem.Occupy(t.limits.Budget) {
		return false, sp.close()
	}
	t.hot, t.insts, t.mem, t.tables, t.fixed = sp.hot, sp.insts, sp.mem, sp.tables, sp.fixed
	f := flagsOf(t.hot)
	f.look.Set(0)
	f.mode.Set(0)
	t.begun()
	if err := t.restore(state, true); err != nil {
		return false, fmt.Errorf("state: %w", err)
	}
	return true, nil
}

// fitsSpare reports whether a spare can become what a state says: nothing in it shrinks.
func (t *Thread) fitsSpare(sp *spare, st *engine.State) bool {
	if uint64(len(sp.mem.Bytes())) > st.MemorySize || sp.mem.Limit() != t.memoryLimit() {
		return false
	}
	for i := range st.Tables {
		n := st.Tables[i].Index
		if int(n) >= len(sp.tables) || !sp.tables[n].kept || len(sp.tables[n].funcs) > len(st.Tables[i].Items) {
			return false
		}
	}
	return true
}
