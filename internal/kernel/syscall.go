package kernel

import (
	"fmt"
	"slices"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/wasm"
)

// An Outcome is how a system call ended.
type Outcome int

// Outcomes.
const (
	// Done: the results are in place.
	Done Outcome = iota
	// Again: the call was interrupted in its wait. It is made again after what
	// interrupted it, with the same arguments and the task's Restart block.
	Again
	// Gone: the call does not come back: the task exits, or something else is in
	// the place of what has made the call.
	Gone
)

// A Level says how complete a call is.
type Level int

// Levels.
const (
	Full    Level = iota
	Partial       // Note says what is missing
	None          // it answers ENOTSUP
)

func (l Level) String() string { return [...]string{"full", "partial", "none"}[l] }

// A HandlerRule says what becomes of a call that waits when a handler is to run
// (signal(7), "Interruption of system calls and library functions by signal
// handlers").
type HandlerRule int

// Rules.
const (
	EndsOrRestarts HandlerRule = iota // it ends with EINTR, or is made again if the signal has SARestart
	AlwaysEnds                        // with EINTR
	NeverEnds                         // it goes on after the handler
)

// A Call is one system call.
type Call struct {
	Module, Name    string
	Params, Results []wasm.ValType

	// Fn runs the call on the task goroutine. args are the parameters; results
	// go to its start. It has room for both.
	Fn func(t *Task, args []uint64) Outcome

	// Threads is the function at which threads begin that the call makes, or "".
	// A module that imports the call must export it, as (i32, i32) -> (), and
	// have a shared memory.
	Threads string

	// Handlers says what becomes of the call if it waits and a handler is to run.
	Handlers HandlerRule

	// POSIX says that a module which imports the call is no plain one of WASI preview 1.
	POSIX bool

	// For people: how complete the call is, what is to be known of it, and what
	// becomes of it across a checkpoint if it can be under way then.
	Level       Level
	Note, Saved string
}

// A CallTable is the system calls that guests may import.
type CallTable struct {
	calls map[[2]string]*Call
}

// NewCallTable makes a table. A call given twice is a bug and panics.
func NewCallTable(calls []Call) *CallTable {
	t := &CallTable{calls: make(map[[2]string]*Call, len(calls))}
	for i := range calls {
		c := &calls[i]
		key := [2]string{c.Module, c.Name}
		if t.calls[key] != nil {
			panic("kernel: system call " + c.Module + "." + c.Name + " is there twice")
		}
		t.calls[key] = c
	}
	return t
}

// All lists the calls by module and name.
func (t *CallTable) All() []*Call {
	out := make([]*Call, 0, len(t.calls))
	for _, c := range t.calls {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b *Call) int {
		if a.Module != b.Module {
			if a.Module < b.Module {
				return -1
			}
			return 1
		}
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return out
}

// An ImportError says that a module imports what there is not.
type ImportError struct {
	Module, Name string
	Problem      string
}

func (e *ImportError) Error() string {
	return fmt.Sprintf("import %s.%s: %s", e.Module, e.Name, e.Problem)
}

// Check checks that there is all that a module imports, before it is compiled.
func (t *CallTable) Check(m *wasm.Module) error {
	for _, im := range m.Imports {
		var err error
		switch im.Kind {
		case wasm.ExternFunc:
			_, err = t.find(im.Module, im.Name, m.Types[im.Type])
		case wasm.ExternTag:
			err = noTag(im.Module, im.Name)
		case wasm.ExternMemory:
			if !im.Memory.Shared {
				err = &ImportError{im.Module, im.Name, "only a shared memory can be imported"}
			}
		default:
			err = &ImportError{im.Module, im.Name, fmt.Sprintf("only functions can be imported, not a %v", im.Kind)}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// find finds the call for an import.
func (t *CallTable) find(module, name string, ft wasm.FuncType) (*Call, error) {
	c := t.calls[[2]string{module, name}]
	if c == nil {
		return nil, &ImportError{module, name, "there is no such system call"}
	}
	if !slices.Equal(c.Params, ft.Params) || !slices.Equal(c.Results, ft.Results) {
		return nil, &ImportError{module, name, fmt.Sprintf("its type is %v -> %v, not %v -> %v", c.Params, c.Results, ft.Params, ft.Results)}
	}
	return c, nil
}

func noTag(module, name string) error {
	return &ImportError{module, name, "it is a tag of exceptions, which nothing here provides"}
}

// bind finds the call for each import of a module.
func (t *CallTable) bind(m engine.Module) ([]*Call, error) {
	imports := m.Imports()
	out := make([]*Call, len(imports))
	for i, im := range imports {
		c, err := t.find(im.Module, im.Name, im.Type)
		if err != nil {
			return nil, err
		}
		if c.Threads != "" {
			if problem := checkThreads(m, c.Threads); problem != "" {
				return nil, &ImportError{im.Module, im.Name, problem}
			}
		}
		out[i] = c
	}
	for _, tag := range m.Tags() {
		if tag.Module != "" {
			return nil, noTag(tag.Module, tag.Name)
		}
	}
	return out, nil
}

// Call implements engine.Host: the guest calls an import.
func (t *Task) Call(fn uint32, stack []uint64) engine.Action {
	if t.stress.beforeCall() {
		return engine.Unwind
	}
	c := t.call(fn)
	if c.Fn(t, stack) != Done {
		return engine.Unwind
	}
	t.restart = Restart{}
	if !t.isAsked() {
		return engine.Return
	}
	t.finished = append([]uint64{}, stack[:len(c.Results)]...)
	return engine.Unwind
}

// finish ends a call that was done when something was asked of the task: the stack is
// taken apart, and what is asked comes before the guest sees the results. A handler
// for a signal that came before what they tell has run then, as on Linux.
func (t *Task) finish() {
	if t.finished != nil {
		t.thread.Complete(t.finished)
		t.finished = nil
	}
}

// call is an import of the module, or an instruction that waits or wakes.
func (t *Task) call(fn uint32) *Call {
	if n := engine.AtomicNumber(fn); n > 0 {
		return &atomicCalls[n-1]
	}
	return t.calls[fn]
}

// callAgain makes the pending call.
func (t *Task) callAgain(fn uint32, args []uint64) {
	c := t.call(fn)
	stack := make([]uint64, max(len(args), len(c.Results)))
	copy(stack, args)
	t.again = true
	defer func() { t.again = false }()
	t.stress.making(t)
	if c.Fn(t, stack) == Done {
		t.restart = Restart{}
		t.thread.Complete(stack[:len(c.Results)])
	}
}
