package wasm_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	. "github.com/stasis-run/stasis/internal/wasm"
)

// transcript walks body 0 of m and writes down what it sees.
func transcript(t *testing.T, m *Module) string {
	t.Helper()
	var b strings.Builder
	err := Walk(m, 0, func(in *Instr, s *State) error {
		fmt.Fprintf(&b, "%v %v", in.Op, s.Stack)
		for _, c := range s.Ctrls[1:] {
			fmt.Fprintf(&b, " %v@%d", c.Op, c.Height)
		}
		if s.Unreachable() {
			b.WriteString(" unreachable")
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWalkState(t *testing.T) {
	for _, tt := range []struct {
		name string
		m    *Module
		want string
	}{
		{"straight", funcModule(body(OpLocalGet, 0, OpLocalGet, 1, OpI32WrapI64, OpI32Add), sig(I32, I64, to, I32)), `
local.get []
local.get [i32]
i32.wrap_i64 [i32 i64]
i32.add [i32 i32]
end [i32]
`},
		{"block with params", funcModule(body(OpI64Const, 1, OpLocalGet, 0, OpBlock, 1, OpI32Eqz, OpF32Const, 0, 0, 0, 0, OpEnd, OpDrop, OpDrop, OpDrop), sig(I32), sig(I32, to, I32, F32)), `
i64.const []
local.get [i64]
block [i64 i32]
i32.eqz [i64 i32] block@1
f32.const [i64 i32] block@1
end [i64 i32 f32] block@1
drop [i64 i32 f32]
drop [i64 i32]
drop [i64]
end []
`},
		{"loop and if", funcModule(body(OpLoop, noType, OpLocalGet, 0, OpIf, I32, OpI32Const, 1, OpElse, OpI32Const, 2, OpEnd, OpBrIf, 0, OpEnd), sig(I32)), `
loop []
local.get [] loop@0
if [i32] loop@0
i32.const [] loop@0 if@0
else [i32] loop@0 if@0
i32.const [] loop@0 else@0
end [i32] loop@0 else@0
br_if [i32] loop@0
end [] loop@0
end []
`},
		{"unreachable", funcModule(body(OpI32Const, 1, OpBlock, noType, OpI32Const, 0, OpReturn, OpI32Add, OpDrop, OpEnd), sig(to, I32)), `
i32.const []
block [i32]
i32.const [i32] block@1
return [i32 i32] block@1
i32.add [i32] block@1 unreachable
drop [i32 i32] block@1 unreachable
end [i32] block@1 unreachable
end [i32]
`},
		{"unknown operands", funcModule(body(OpUnreachable, OpSelect, OpRefAsNonNull, OpDrop), sig()), `
unreachable []
select [] unreachable
ref.as_non_null [unknown] unreachable
drop [(ref none)] unreachable
end [] unreachable
`},
	} {
		if got := transcript(t, tt.m); got != tt.want[1:] {
			t.Errorf("%s: got\n%swant%s", tt.name, got, tt.want)
		}
	}
}

// A local without a default is set from the first store to the end of the
// block that has it.
func TestWalkUnsetLocals(t *testing.T) {
	m := funcModule(body(
		OpBlock, noType, OpLocalGet, 0, OpLocalSet, 1, OpLocalGet, 1, OpDrop, OpEnd,
		OpLocalGet, 0, OpLocalSet, 1,
	), sig(RefTo(HeapFunc)))
	m.Code[0].Locals = []LocalRun{{1, RefTo(HeapFunc)}, {1, I32}}
	var got []string
	err := Walk(m, 0, func(in *Instr, s *State) error {
		got = append(got, fmt.Sprint(s.LocalIsSet(0), s.LocalIsSet(1), s.LocalIsSet(2)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	unset, set := "true false true", "true true true"
	want := []string{unset, unset, unset, set, set, set, unset, unset, set}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	m.Code[0].Body = body(OpLocalGet, 1, OpDrop)
	if err := Walk(m, 0, nil); !matchError(err, "uninitialized local 1") {
		t.Errorf("read before store: got error %v", err)
	}
}

func TestWalkVisitError(t *testing.T) {
	stop := errors.New("stop")
	n := 0
	err := Walk(funcModule(body(OpNop, OpNop), sig()), 0, func(*Instr, *State) error {
		if n++; n == 2 {
			return stop
		}
		return nil
	})
	if err != stop || n != 2 {
		t.Errorf("got %v after %d visits", err, n)
	}
}

// A Walker can be used again after an error, and remembers nothing of it.
func TestWalkerAfterError(t *testing.T) {
	m := funcModule(body(OpI32Const, 1, OpBlock, noType, OpI32Add), sig())
	m.Funcs = append(m.Funcs, 0)
	m.Code = append(m.Code, Code{Body: body(OpNop)})
	w := NewWalker(m)
	if err := w.Walk(0, nil); err == nil {
		t.Error("body 0 is accepted")
	}
	if err := w.Walk(1, nil); err != nil {
		t.Error(err)
	}
}

// Walkers of one module work next to each other. The race detector watches.
func TestWalkerFork(t *testing.T) {
	m := funcModule(body(OpRefFunc, 0, OpCallRef, 1), sig(), sig())
	m.Exports = []Export{{Name: "f"}}
	w := NewWalker(m)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			w := w.Fork()
			for range 100 {
				if err := w.Walk(0, nil); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestWalkAllocatesNothing(t *testing.T) {
	m := funcModule(body(
		OpBlock, RefNull(1), OpRefFunc, 0, OpEnd, OpDrop,
		OpLoop, noType, OpI32Const, 0, OpBrTable, 2, 0, 1, 0, OpEnd,
		OpRefNull, 0x70, OpRefNull, 0x70, OpI32Const, 0, OpSelectT, 1, 0x70, OpDrop,
	), sig(), sig())
	m.Exports = []Export{{Name: "f"}}
	w := NewWalker(m)
	visits := 0
	visit := func(*Instr, *State) error { visits++; return nil }
	got := testing.AllocsPerRun(100, func() {
		if err := w.Walk(0, visit); err != nil {
			t.Fatal(err)
		}
	})
	if got != 0 || visits == 0 {
		t.Errorf("%v allocations", got)
	}
}

// TestWalkDead has a block in code that is not reached: it counts as reachable to
// validation, and is dead all the same.
func TestWalkDead(t *testing.T) {
	m := funcModule(body(OpBlock, noType, OpBr, 0, OpBlock, noType, OpNop, OpEnd, OpEnd, OpNop), sig())
	var have []string
	err := Walk(m, 0, func(in *Instr, s *State) error {
		have = append(have, fmt.Sprintf("%v %v %v", in.Op, s.Unreachable(), s.Dead()))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"block false false", "br false false", "block true true", "nop false true", "end false true",
		"end true true", "nop false false", "end false false",
	}
	if !slices.Equal(have, want) {
		t.Errorf("have %q, want %q", have, want)
	}
}
