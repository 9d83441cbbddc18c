package kernel

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/stasis-run/stasis/internal/engine"
)

// setjmp(3) and longjmp(3): a mark is the stack as it was in a call that has made
// it, to be gone on with again and again. The linear memory is not touched: as on
// Linux, variables there keep what was written meanwhile.

// maxMarks bounds the marks of a task.
const maxMarks = 4096

// A mark is a stack to which the task can jump.
type mark struct {
	stack   engine.Stack // in the call that has made it, pending
	addr    uint64       // where the guest keeps the mark
	pointer uint64       // the C stack pointer
	handler int          // how many handlers were under way
	mask    SigSet
	fiber   uint64
}

// marks are those of a task. Only on the task goroutine, or while it is at rest.
type marks struct {
	byID map[uint64]*mark
	last uint64
}

// Errors of marks and fibers.
var (
	ErrNoStackPointer = errors.New("the module does not tell its stack pointer: link it with --export=__stack_pointer")
	ErrTooManyMarks   = errors.New("as many marks as may be are set")
	ErrNoMark         = errors.New("there is no such mark")
)

// Mark notes the task's stack in its pending call. addr is where the guest keeps
// the number that is returned; what was there before is forgotten, and so are marks
// of functions that have returned since.
//
// Only on the task goroutine, in a system call, AtRest.
func (t *Task) Mark(addr uint64) (id uint64, err error) {
	pointer, ok := t.thread.StackPointer()
	if !ok {
		return 0, ErrNoStackPointer
	}
	m := &t.marks
	for id, o := range m.byID {
		if o.addr == addr || o.fiber == t.fibers.current && o.pointer < pointer {
			o.stack.Drop()
			delete(m.byID, id)
		}
	}
	if len(m.byID) >= maxMarks {
		return 0, ErrTooManyMarks
	}
	own := t.thread.Detach()
	t.thread.Attach(own.Copy())
	m.last++
	m.set(m.last, &mark{own, addr, pointer, len(t.below), t.SigMask(), t.fibers.current})
	return m.last, nil
}

func (m *marks) set(id uint64, o *mark) {
	if m.byID == nil {
		m.byID = make(map[uint64]*mark)
	}
	m.byID[id] = o
}

// Jump has the task go on where a mark was made: in the call that has made it,
// whose arguments are returned and which is to be ended with Complete.
//
// Only on the task goroutine, in a system call, AtRest. The outcome is Gone.
func (t *Task) Jump(id uint64) (args []uint64, err error) {
	o := t.marks.byID[id]
	if o == nil || o.fiber != t.fibers.current || o.handler > len(t.below) {
		return nil, ErrNoMark
	}
	t.dropHandlers(o.handler)
	t.thread.Detach().Drop()
	t.thread.Attach(o.stack.Copy())
	t.thread.SetStackPointer(o.pointer)
	t.restart = Restart{}
	t.SetSigMask(o.mask)
	_, args, _ = t.thread.Pending()
	return args, nil
}

func (m *marks) drop() {
	for _, o := range m.byID {
		o.stack.Drop()
	}
	m.byID = nil
}

// MarkState is a mark.
type MarkState struct {
	ID      uint64       `pb:"1"`
	Calls   engine.Calls `pb:"2"`
	Addr    uint64       `pb:"3"`
	Pointer uint64       `pb:"4"`
	Handler uint32       `pb:"5"`
	Mask    SigSet       `pb:"6"`
	Fiber   uint64       `pb:"7"`
}

func (m *marks) save() (out []MarkState) {
	for _, id := range slices.Sorted(maps.Keys(m.byID)) {
		o := m.byID[id]
		out = append(out, MarkState{id, o.stack.Save(), o.addr, o.pointer, uint32(o.handler), o.mask, o.fiber})
	}
	return out
}

// restore makes the marks of a thread. Their calls are pending.
func (m *marks) restore(th engine.Thread, st []MarkState, last uint64) error {
	if len(st) > maxMarks {
		return fmt.Errorf("%d marks, at most %d may be", len(st), maxMarks)
	}
	m.last = last
	for i := range st {
		s := &st[i]
		if s.ID == 0 || s.ID > last || m.byID[s.ID] != nil || s.Calls.Pending == nil || s.Handler > maxHandlers || s.Mask&sigsForced != 0 {
			return fmt.Errorf("mark %d: it cannot have been made", s.ID)
		}
		stack, err := th.RestoreStack(&s.Calls)
		if err != nil {
			return fmt.Errorf("mark %d: %w", s.ID, err)
		}
		m.set(s.ID, &mark{stack, s.Addr, s.Pointer, int(s.Handler), s.Mask, s.Fiber})
	}
	return nil
}
