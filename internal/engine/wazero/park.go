package wazero

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero/api"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/interp"
)

// A thread that is parked keeps its records, and what its instance held beside the
// memory; the instance itself is made again when it is needed. One whose memory is
// its own keeps its instance, of which there is one for each such memory.

// parked is what a thread without an instance holds of it.
type parked struct {
	globals []engine.Global
	tables  []engine.Table
}

// Park implements engine.Thread.
func (t *Thread) Park() error {
	if t.unwinding {
		return errors.New("park: the thread is running")
	}
	if t.parked != nil {
		return nil
	}
	var held *parked
	if t.shared != nil || t.module.engine.opts.ParkAll {
		held = &parked{globals: t.Globals()}
		var err error
		if held.tables, err = t.saveTables(); err != nil {
			return fmt.Errorf("park: %w", err)
		}
	}
	t.requests.park(held != nil)
	t.dropStacks()
	t.parked = held
	if held == nil { // its continuations stay with it: closing one takes the memory's allocator from all
		return nil
	}
	var instances []api.Module
	for code, i := range t.insts {
		instances = append(instances, i)
		delete(t.insts, code)
	}
	instances = append(instances, t.hot)
	t.hot, t.count, t.tables, t.fixed, t.globals = nil, nil, nil, nil, nil
	return t.closeInstances(instances)
}

// dropStacks forgets what has a stack of the engine's, and what is made anew for each
// run.
func (t *Thread) dropStacks() {
	clear(t.funcs)
	clear(t.callees)
	t.frame = interp.Frame{}
	t.off, t.buf, t.fetch = recordStack{}, nil, nil
	t.stack.recs, t.stack.vals = slices.Clip(t.stack.recs), slices.Clip(t.stack.vals)
}

// closeInstances closes instances of a thread that stays.
func (t *Thread) closeInstances(instances []api.Module) error {
	if t.shared != nil {
		t.shared.mu.Lock()
		defer t.shared.mu.Unlock()
	}
	var errs []error
	for _, i := range instances {
		errs = append(errs, i.Close(context.Background()))
	}
	return errors.Join(errs...)
}

// unpark gives a thread its instance back, if it is parked.
func (t *Thread) unpark() error {
	held := t.parked
	if held == nil {
		return nil
	}
	if err := t.instantiate(context.Background()); err != nil {
		return fmt.Errorf("unpark: %w", err)
	}
	t.parked = nil
	if err := t.growInstance(); err != nil {
		return fmt.Errorf("unpark: %w", err)
	}
	if t.fresh {
		return nil
	}
	st := &engine.State{Globals: held.globals, Tables: held.tables, Dropped: t.droppedSegments()}
	if err := t.restoreInstance(st, false); err != nil {
		return fmt.Errorf("unpark: %w", err)
	}
	return nil
}

// growInstance has a new instance know how long the memory is, if it is not shared.
func (t *Thread) growInstance() error {
	if t.shared != nil || t.mem == nil {
		return nil
	}
	m := t.hot.ExportedMemory(instrument.ExportMemory)
	if _, ok := m.Grow(uint32(len(t.mem.Bytes())/pageSize) - m.Size()/pageSize); !ok {
		return fmt.Errorf("an instance of %d bytes of memory does not grow to %d", m.Size(), len(t.mem.Bytes()))
	}
	return nil
}

// mustUnpark is unpark for those who cannot tell an error: what is put back was in an
// instance of the same module before.
func (t *Thread) mustUnpark() {
	if err := t.unpark(); err != nil {
		panic("engine: " + err.Error())
	}
}
