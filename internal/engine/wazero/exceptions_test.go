package wazero_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/enginetest"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/wasm"
)

// exceptionCalls are calls of testdata/legacy.wat and trytable.wat and what comes of
// them: worked out by hand from the specification, as no engine here runs the
// legacy encoding.
var exceptionCalls = []struct {
	file, name string
	arg        uint64
	want       string
}{
	{"legacy", "dig", 20, "[107] []"},
	{"legacy", "sum", 4, "[32] [1001 1003]"},
	{"legacy", "rethrow", 6, "[18] [6 55]"},
	{"legacy", "later", 9, "[9] [0 1 2 3]"},
	{"legacy", "delegate", 2, "[12] []"},
	{"legacy", "delegate", 3, "[30043] []"},
	{"legacy", "wide", 5, "[30] [1 1]"},
	{"legacy", "multi", 4, "[126] []"},
	{"legacy", "multi", 3, "[41] []"},
	{"legacy", "uncaught", 3, "[] [3] trap uncaught exception: tag 0\n   0: raise\n   1: uncaught\n"},
	{"legacy", "trap", 0, "[] [] trap integer divide by zero\n   0: trap\n"},
	{"trytable", "sum", 4, "[28] []"},
	{"trytable", "again", 8, "[8] [0 1 2]"},
	{"trytable", "kept", 6, "[12] [5]"},
	{"trytable", "many", 5000, "[12502509] []"},
	{"trytable", "null", 0, "[] [] trap null exception reference\n   0: null\n"},
	{"trytable", "uncaught", 3, "[] [] trap uncaught exception: tag 0\n   0: raise\n   1: uncaught\n"},
	{"trytable", "handed", 5, "[5] []"},
	{"trytable", "tail", 2, "[1006] []"},
	{"trytable", "tail", 3, "[3] []"},
}

func TestExceptions(t *testing.T) {
	for _, mode := range modes {
		for _, peel := range []int{-1, 0} {
			t.Run(fmt.Sprintf("%s, peel %d", mode.name, peel), func(t *testing.T) {
				opts := wazero.Options{Pass: instrument.Options{Counted: true, PeelLimit: peel}, Interpret: mode.interpret}
				mods := map[string]engine.Module{"legacy": compileFile(t, "legacy", opts), "trytable": compileFile(t, "trytable", opts)}
				for _, c := range exceptionCalls {
					throwEverywhere(t, mods[c.file], c.name, c.arg, c.want)
				}
			})
		}
	}
}

// throwEverywhere makes a call with unwinds at every n-th safepoint, with and
// without saving.
func throwEverywhere(t *testing.T, m engine.Module, name string, arg uint64, want string) {
	t.Helper()
	for _, every := range []int32{0, 1, 2, 3, 7} {
		for _, save := range []bool{false, true} {
			if save && arg > 100 && every < 7 {
				continue // takes long and shows nothing new
			}
			if got := call(t, m, name, []uint64{arg}, every, save); got != want {
				t.Errorf("%s(%d): every %d, save %v: got %q, want %q", name, arg, every, save, got, want)
			}
		}
	}
}

func compileFile(t *testing.T, name string, opts wazero.Options) engine.Module {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".wasm")
	if err != nil {
		t.Fatal(err)
	}
	e, err := wazero.New(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return enginetest.Compile(t, e, b)
}

// A thrower is a host whose call of triple throws tag 0 when its argument is 1.
type thrower struct {
	env
	thread engine.Thread
	later  bool // the call waits first
}

func (h *thrower) Call(fn uint32, stack []uint64) engine.Action {
	if fn == 1 && uint32(stack[0]) == 1 {
		if h.later {
			return engine.Unwind
		}
		return h.throw()
	}
	return h.env.Call(fn, stack)
}

func (h *thrower) throw() engine.Action {
	err := h.thread.Throw(&engine.Exception{Values: []engine.Value{{Type: wasm.I32, Lo: 70}}})
	if err != nil {
		panic(err)
	}
	return engine.Throw
}

// TestHostThrows has an import throw what the guest catches, at once and after it
// has waited.
func TestHostThrows(t *testing.T) {
	for _, mode := range modes {
		m := compileFile(t, "legacy", wazero.Options{Pass: instrument.Options{Counted: true}, Interpret: mode.interpret})
		for _, later := range []bool{false, true} {
			h := &thrower{later: later}
			th := newThread(t, m, h)
			h.thread = th
			fn, _, _ := m.Export("host")
			if err := th.Start(fn, []uint64{1}); err != nil {
				t.Fatal(err)
			}
			ev := th.Run(t.Context())
			if later {
				if _, _, ok := th.Pending(); ev.Kind != engine.Unwound || !ok {
					t.Fatalf("%s: %v: no pending call", mode.name, ev)
				}
				h.throw()
				ev = th.Run(t.Context())
			}
			if ev.Kind != engine.Exited || ev.Results[0] != 75 {
				t.Errorf("%s: later %v: %+v, want 75", mode.name, later, ev)
			}
		}
	}
}

func TestThrowRefuses(t *testing.T) {
	m := compileFile(t, "trytable", wazero.Options{})
	th := newThread(t, m, new(env))
	for _, c := range []struct {
		e    engine.Exception
		want string
	}{
		{engine.Exception{Tag: 3}, "no tag 3"},
		{engine.Exception{Tag: 1, Values: []engine.Value{{Type: wasm.I32}}}, "has 0 values, not 1"},
		{engine.Exception{Values: []engine.Value{{Type: wasm.I64}}}, "type i64, want i32"},
		{engine.Exception{Values: []engine.Value{{Type: wasm.I32, Lo: 1 << 40}}}, "no value of type i32"},
		{engine.Exception{Tag: 2, Values: []engine.Value{{Type: wasm.ExnRef, Lo: 5}}}, "no exception 5"},
	} {
		if err := th.Throw(&c.e); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("throw %+v: %v, want %q", c.e, err, c.want)
		}
	}
}

// TestExceptionsAreForgotten: what nothing refers to any more is not kept.
func TestExceptionsAreForgotten(t *testing.T) {
	m := compileFile(t, "trytable", wazero.Options{})
	th := newThread(t, m, new(env))
	fn, _, _ := m.Export("many")
	if err := th.Start(fn, []uint64{100_000}); err != nil {
		t.Fatal(err)
	}
	unwinds := 0
	for {
		ev := th.Run(t.Context())
		if ev.Kind == engine.Exited {
			break
		}
		if ev.Kind != engine.Unwound {
			t.Fatal(ev.Trap)
		}
		th.Clear()
		unwinds++
	}
	st, err := th.Save()
	if err != nil {
		t.Fatal(err)
	}
	if len(st.Exceptions) != 1 || unwinds < 50 || unwinds > 200 {
		t.Errorf("%d exceptions are kept, %d unwinds to look for them; want 1, about 100", len(st.Exceptions), unwinds)
	}
}

// TestHostileExceptions: a state with exceptions that cannot be is refused.
func TestHostileExceptions(t *testing.T) {
	m := compileFile(t, "trytable", wazero.Options{Pass: instrument.Options{Counted: true}})
	st := stateOf(t, m, "kept")
	if len(st.Exceptions) == 0 {
		t.Fatal("the state has no exceptions")
	}
	for name, change := range map[string]func(st *engine.State){
		"exception 0: no such number":   func(st *engine.State) { st.Exceptions[0].Number = 0 },
		"exception 4000000000: no such": func(st *engine.State) { st.Exceptions[0].Number = 4_000_000_000 },
		"is there twice":                func(st *engine.State) { st.Exceptions = append(st.Exceptions, st.Exceptions[0]) },
		"no tag 9":                      func(st *engine.State) { st.Exceptions[0].Tag = 9 },
		"has 1 values, not 0":           func(st *engine.State) { st.Exceptions[0].Values = nil },
		"there is no exception":         func(st *engine.State) { st.Exceptions = nil },
	} {
		bad := stateOf(t, m, "kept")
		change(bad)
		th, err := m.New(t.Context(), new(env), engine.Limits{}, bad)
		if err == nil {
			th.Close()
		}
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want %q", err, name)
		}
	}
}

// newThread makes a thread that is closed with the test.
func newThread(t *testing.T, m engine.Module, h engine.Host) engine.Thread {
	t.Helper()
	th, err := m.New(t.Context(), h, engine.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { th.Close() })
	return th
}

// TestPendingException: what a call that waits was given is kept.
func TestPendingException(t *testing.T) {
	m := compileFile(t, "trytable", wazero.Options{Pass: instrument.Options{Counted: true}})
	st := stateOf(t, m, "handed")
	if len(st.Exceptions) != 1 || st.Pending == nil || st.Pending.Args[0] != uint64(st.Exceptions[0].Number) {
		t.Errorf("pending %+v, exceptions %+v: want one, which is the argument", st.Pending, st.Exceptions)
	}
}

// stateOf is the state of a function of trytable.wat at its first call of an import.
func stateOf(t *testing.T, m engine.Module, name string) *engine.State {
	t.Helper()
	th := newThread(t, m, &env{unwind: true})
	fn, _, _ := m.Export(name)
	if err := th.Start(fn, []uint64{6}); err != nil {
		t.Fatal(err)
	}
	if ev := th.Run(t.Context()); ev.Kind != engine.Unwound {
		t.Fatalf("%+v", ev)
	}
	st, err := th.Save()
	if err != nil {
		t.Fatal(err)
	}
	return st
}
