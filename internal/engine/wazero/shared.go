package wazero

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/interp"
	"github.com/stasis-run/stasis/internal/memory"
	"github.com/stasis-run/stasis/internal/wasm"
)

// A sharedMemory is the memory of several threads. To wazero it belongs to an
// instance of its own, the holder, from which those of the threads import it:
// so each sees its growth at once, and none is the one whose end would end it.
//
// wazero's object of the memory is not made for what we do with it: closing any
// instance that imports it takes the allocator from it, making one reads its
// length without care, and growing writes both. So these three are kept apart
// by mu (hence memory.grow is a call of the host), and growing needs no
// allocator: the memory is given to wazero with the capacity of all that it may
// grow to, of which we make accessible what is added, before wazero says that
// it is there. Guest code, which only reads the length, is not disturbed.
type sharedMemory struct {
	linear *memory.Linear
	holder api.Module

	mu      sync.RWMutex // read: instances are made; write: instances are closed, the memory grows
	threads int          // protected by mu
}

// sharedLinear is a memory.Linear as wazero takes a memory that others share.
type sharedLinear struct{ *memory.Linear }

// Reallocate implements experimental.LinearMemory. It is asked for what is
// accessible already.
func (l sharedLinear) Reallocate(size uint64) []byte {
	if b := l.Room(); uint64(len(b)) == size {
		return b
	}
	return nil
}

// Free is called when any instance is closed that uses the memory.
func (l sharedLinear) Free() {}

// share makes the holder of a memory that is reserved.
func (m *Module) share(ctx context.Context, linear *memory.Linear) (*sharedMemory, error) {
	s := &sharedMemory{linear: linear, threads: 1}
	var err error
	ictx := experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(
		func(_, _ uint64) experimental.LinearMemory { return sharedLinear{linear} }))
	s.holder, err = m.engine.runtime.InstantiateModule(ictx, m.holder, wazero.NewModuleConfig().WithName(""))
	if err != nil {
		return nil, fmt.Errorf("shared memory: %w", err)
	}
	return s, nil
}

// join counts another thread.
func (s *sharedMemory) join() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.threads == 0 {
		return errors.New("the memory's last thread is closed")
	}
	s.threads++
	return nil
}

// leave closes a thread's instances, and the memory with the last one.
func (s *sharedMemory) leave(instances ...api.Module) error {
	ctx := context.Background()
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, i := range instances {
		errs = append(errs, i.Close(ctx))
	}
	if s.threads--; s.threads == 0 {
		errs = append(errs, s.holder.Close(ctx), s.linear.Close())
	}
	return errors.Join(errs...)
}

// grow is memory.grow.
func (s *sharedMemory) grow(pages uint32) (old uint32, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	have := uint64(len(s.linear.Bytes()))
	size := have + uint64(pages)*pageSize
	if size > s.linear.Limit() {
		return 0, false
	}
	if _, err := s.linear.Resize(size); err != nil {
		return 0, false
	}
	if _, ok := s.holder.ExportedMemory(instrument.ExportMemory).Grow(pages); !ok {
		panic(fmt.Sprintf("engine: a shared memory of %d bytes does not grow to %d", have, size))
	}
	return uint32(have / pageSize), true
}

// SharedMemory implements engine.Module.
func (m *Module) SharedMemory() bool { return m.program.SharedMemory() }

// Join implements engine.Module.
func (m *Module) Join(ctx context.Context, host engine.Host, of engine.Thread, state *engine.State) (engine.Thread, error) {
	other, ok := of.(*Thread)
	if !ok || other.module != m || other.shared == nil {
		return nil, errors.New("join: the other thread has no memory to share")
	}
	if err := other.shared.join(); err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	t := m.newThread(host, other.limits)
	t.shared, t.mem = other.shared, other.shared.linear
	if err := t.begin(ctx, state); err != nil {
		return nil, err
	}
	if state == nil { // the first one has written the data; tables are each thread's own
		t.fresh = false
		if _, err := t.fillTables(); err != nil {
			return nil, errors.Join(fmt.Errorf("join: %w", err), t.Close())
		}
	}
	return t, nil
}

// grow is memory.grow of a thread's memory.
func (t *Thread) grow(pages uint32) (old uint32, ok bool) {
	if t.shared != nil {
		return t.shared.grow(pages)
	}
	return t.hot.ExportedMemory(instrument.ExportMemory).Grow(pages)
}

// instantiating keeps a shared memory from growing meanwhile, until done is
// called.
func (t *Thread) instantiating() (done func()) {
	if t.shared == nil {
		return func() {}
	}
	t.shared.mu.RLock()
	return t.shared.mu.RUnlock
}

// An atomicCall is an instruction that waits or wakes.
type atomicCall struct {
	number   uint32 // engine.Wait32 and so on
	size     uint64 // bytes that it looks at, to which its address is aligned
	operands int
}

var (
	wait32Call = atomicCall{engine.Wait32, 4, 3}
	wait64Call = atomicCall{engine.Wait64, 8, 3}
	notifyCall = atomicCall{engine.Notify, 4, 2}
)

// make checks the operands in stack, whose first is the effective address
// already, and has the host make the call, which leaves its result in stack.
func (c atomicCall) make(t *Thread, stack []uint64) (unwound bool, trap error) {
	if c.number != engine.Wait64 {
		stack[1] = uint64(uint32(stack[1]))
	}
	if err := c.check(t, stack[0]); err != nil {
		return false, err
	}
	p := &engine.Pending{Atomic: engine.AtomicNumber(c.number), Args: append([]uint64{}, stack[:c.operands]...)}
	if t.host.Call(c.number, stack) == engine.Unwind {
		t.pending = p
		return true, nil
	}
	return false, nil
}

// goFunc is the runtime function for an instruction that waits or wakes:
// the offset is the last of its operands.
func (c atomicCall) goFunc() api.GoModuleFunc {
	return func(ctx context.Context, _ api.Module, stack []uint64) {
		t := threadOf(ctx)
		stack[0] = uint64(uint32(stack[0])) + uint64(uint32(stack[c.operands]))
		unwound, trap := c.make(t, stack)
		if trap != nil {
			panic(trap) // the engine makes a trap of it
		}
		if unwound {
			t.beginUnwind()
		}
	}
}

// interpretWait does the same for an interpreted frame.
func (t *Thread) interpretWait(f *coldFunc, fr *interp.Frame) (ev engine.Event, over, left bool) {
	op, offset, _ := f.code.WaitAt(fr.PC)
	c := map[wasm.Opcode]atomicCall{
		wasm.OpMemoryAtomicWait32: wait32Call, wasm.OpMemoryAtomicWait64: wait64Call, wasm.OpMemoryAtomicNotify: notifyCall,
	}[op]
	at := len(fr.Stack) - c.operands
	t.buf = append(t.buf[:0], fr.Stack[at:]...)
	t.buf[0] = uint64(uint32(t.buf[0])) + uint64(offset)
	unwound, trap := c.make(t, t.buf)
	if trap != nil {
		return t.trapHere(f, fr, trap.Error()), true, true
	}
	if unwound {
		t.unwinding = true
		t.putBack(t.siteHere(f, fr), fr)
		ev, over = t.unwound()
		return ev, over, true
	}
	fr.Stack = append(fr.Stack[:at], uint64(uint32(t.buf[0])))
	fr.PC++
	return engine.Event{}, false, false
}

// Traps of the instructions that wait or wake.
var (
	errOutOfBounds = errors.New("out of bounds memory access")
	errUnaligned   = errors.New("unaligned atomic")
	errNotShared   = errors.New("expected shared memory")
)

func (c atomicCall) check(t *Thread, addr uint64) error {
	switch {
	case addr+c.size > uint64(len(t.mem.Bytes())):
		return errOutOfBounds
	case addr%c.size != 0:
		return errUnaligned
	case c.number != engine.Notify && t.shared == nil:
		return errNotShared
	}
	return nil
}

func growFunc(ctx context.Context, _ api.Module, stack []uint64) {
	old, ok := threadOf(ctx).grow(uint32(stack[0]))
	if !ok {
		old = ^uint32(0)
	}
	stack[0] = uint64(old)
}

// restoreAtomic takes a pending instruction from a state.
func (t *Thread) restoreAtomic(p *engine.Pending, top *siteInfo) error {
	c := atomicCall{}
	if p.Atomic <= 3 {
		c = []atomicCall{wait32Call, wait64Call, notifyCall}[p.Atomic-1]
	}
	if p.Atomic > 3 || len(p.Args) != c.operands || top == nil || t.waits(top, []wasm.ValType{wasm.I32}) != nil {
		return fmt.Errorf("pending atomic instruction %d: it does not fit the frame that waits for it", p.Atomic)
	}
	if p.Args[0] > memory.MaxSize || t.mem == nil || c.check(t, p.Args[0]) != nil {
		return fmt.Errorf("pending atomic instruction %d: not at address %#x", p.Atomic, p.Args[0])
	}
	if c.number != engine.Wait64 && p.Args[1]>>32 != 0 {
		return fmt.Errorf("pending atomic instruction %d: operand %#x is no i32", p.Atomic, p.Args[1])
	}
	t.pending = &engine.Pending{Atomic: p.Atomic, Args: append([]uint64{}, p.Args...)}
	return nil
}
