package kernel

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/stasis-run/stasis/internal/engine"
)

// Fibers are stacks of a task of which one runs at a time, and says which is
// next: WASIX's context_create and so on, makecontext(3) of others. Number 0 is
// the one that the task began with. Where each has its C stack in memory is the
// guest's business; the stack pointer is switched with it.

// maxFibers bounds the fibers of a task.
const maxFibers = 16 << 10

// A fiber is one that does not run.
type fiber struct {
	suspended        // what it goes on with; no stack before it has run
	fn        uint32 // at which it begins
	below     []suspended
}

// fibers are those of a task but the one that runs. Only on the task goroutine,
// or while it is at rest.
type fibers struct {
	byID    map[uint64]*fiber
	current uint64
	last    uint64
}

// Errors of fibers.
var (
	ErrNoFiber       = errors.New("there is no such fiber that could be switched to")
	ErrTooManyFibers = errors.New("as many fibers as may be are there")
)

// NewFiber makes a fiber that begins at a function of the first table.
func (t *Task) NewFiber(index uint32) (id uint64, err error) {
	if _, ok := t.thread.StackPointer(); !ok {
		return 0, ErrNoStackPointer
	}
	fn, ok := t.thread.TableFunc(index)
	if !ok {
		return 0, fmt.Errorf("entry %d of the table is no function that takes and returns nothing: %w", index, ErrNoFiber)
	}
	c := &t.fibers
	if len(c.byID) >= maxFibers {
		return 0, ErrTooManyFibers
	}
	c.last++
	c.set(c.last, &fiber{fn: fn})
	return c.last, nil
}

func (c *fibers) set(id uint64, o *fiber) {
	if c.byID == nil {
		c.byID = make(map[uint64]*fiber)
	}
	c.byID[id] = o
}

// SwitchFiber has another fiber run. The pending call returns the results when
// this one is switched to again.
//
// Only on the task goroutine, in a system call, AtRest. The outcome is Gone.
func (t *Task) SwitchFiber(id uint64, results []uint64) error {
	c := &t.fibers
	to := c.byID[id]
	if to == nil {
		return ErrNoFiber
	}
	t.Complete(results)
	pointer, _ := t.thread.StackPointer()
	from := &fiber{below: t.below, suspended: suspended{stack: t.thread.Detach(), mask: t.SigMask(), pointer: pointer}}
	delete(c.byID, id)
	c.set(c.current, from)
	c.current, t.below = id, to.below
	if to.stack == nil {
		if err := t.thread.Start(to.fn, nil); err != nil {
			panic("kernel: start of a fiber: " + err.Error()) // the function was checked
		}
		return nil
	}
	t.thread.Attach(to.stack)
	t.thread.SetStackPointer(to.pointer)
	t.SetSigMask(to.mask)
	return nil
}

// DropFiber forgets a fiber that does not run. The first one stays. One that
// there is not is gone already.
func (t *Task) DropFiber(id uint64) error {
	c := &t.fibers
	if id == c.current || id == 0 {
		return ErrNoFiber
	}
	if o := c.byID[id]; o != nil {
		o.drop()
		delete(c.byID, id)
	}
	return nil
}

// Fiber is the number of the fiber that runs.
func (t *Task) Fiber() uint64 { return t.fibers.current }

func (o *fiber) drop() {
	if o.stack != nil {
		o.stack.Drop()
	}
	for _, u := range o.below {
		u.drop()
	}
}

func (c *fibers) drop() {
	for _, o := range c.byID {
		o.drop()
	}
	*c = fibers{}
}

// FiberState is a fiber that does not run.
type FiberState struct {
	ID      uint64           `pb:"1"`
	Calls   *engine.Calls    `pb:"2"` // nil: it has not begun
	Func    uint32           `pb:"3"` // at which it begins
	Mask    SigSet           `pb:"4"`
	Pointer uint64           `pb:"5"`
	Below   []SuspendedState `pb:"6"`
}

func (c *fibers) save() (out []FiberState) {
	for _, id := range slices.Sorted(maps.Keys(c.byID)) {
		o := c.byID[id]
		st := FiberState{ID: id, Func: o.fn, Mask: o.mask, Pointer: o.pointer}
		if o.stack != nil {
			calls := o.stack.Save()
			st.Calls = &calls
		}
		for i := range o.below {
			st.Below = append(st.Below, o.below[i].save())
		}
		out = append(out, st)
	}
	return out
}

// restore makes the fibers of a thread that runs fiber current.
func (c *fibers) restore(th engine.Thread, st []FiberState, current, last uint64) error {
	c.current, c.last = current, last
	if len(st) > maxFibers || current > last {
		return fmt.Errorf("%d fibers, and number %d of %d runs", len(st), current, last)
	}
	for i := range st {
		s := &st[i]
		if s.ID == current || s.ID > last || c.byID[s.ID] != nil || len(s.Below) > maxHandlers || s.Mask&sigsForced != 0 {
			return fmt.Errorf("fiber %d: it cannot be", s.ID)
		}
		o, err := s.restore(th)
		if err != nil {
			return fmt.Errorf("fiber %d: %w", s.ID, err)
		}
		c.set(s.ID, o)
	}
	return nil
}

func (s *FiberState) restore(th engine.Thread) (o *fiber, err error) {
	o = &fiber{fn: s.Func, suspended: suspended{mask: s.Mask, pointer: s.Pointer}}
	calls := s.Calls
	if calls == nil { // whether it can begin there is found out by beginning
		calls = &engine.Calls{Frames: []engine.Frame{{Func: s.Func}}}
	}
	stack, err := th.RestoreStack(calls)
	if err != nil {
		return nil, err
	}
	if s.Calls == nil {
		stack.Drop()
	} else {
		o.stack = stack
	}
	for i := range s.Below {
		u, err := s.Below[i].restore(th)
		if err != nil {
			return nil, err
		}
		o.below = append(o.below, u)
	}
	return o, nil
}
