package wazero

import (
	"context"
	"os"
	"testing"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/enginetest"
	"github.com/stasis-run/stasis/internal/instrument"
)

// silent answers no call: those of testdata/basic.wat that are used make none.
type silent struct{}

func (silent) Call(uint32, []uint64) engine.Action { panic("a call of an import") }

// testModule is a module of testdata.
func testModule(t *testing.T, name string, o Options) *Module {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".wasm")
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return enginetest.Compile(t, e, b).(*Module)
}

// runCold runs an export of testdata/basic.wasm, unwound at every n-th
// safepoint, and returns its result and how many continuations were compiled.
func runCold(t *testing.T, how Interpret, every int32, export string, arg uint64) (result uint64, compiled int) {
	t.Helper()
	ctx := context.Background()
	m := testModule(t, "basic", Options{Pass: instrument.Options{Counted: true}, Interpret: how})
	th, err := m.New(ctx, silent{}, engine.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer th.Close()
	fn, _, _ := m.Export(export)
	th.(*Thread).SetEvery(every)
	if err := th.Start(fn, []uint64{arg}); err != nil {
		t.Fatal(err)
	}
	for {
		switch ev := th.Run(ctx); ev.Kind {
		case engine.Exited:
			return ev.Results[0], len(m.conts)
		case engine.Trapped:
			t.Fatalf("%s: %v", export, ev.Trap)
		}
		th.(*Thread).SetEvery(0) // once is enough
	}
}

// A frame that only returns is interpreted; a loop that stays is compiled once
// it has run long, and not before. Vectors are never interpreted.
func TestColdFrames(t *testing.T) {
	for _, c := range []struct {
		how      Interpret
		export   string
		arg      uint64
		compiled int
	}{
		{InterpretCold, "fib", 15, 0},
		{InterpretNone, "fib", 15, 1}, // the call below the entry at which it stops
		{InterpretCold, "spin", 300, 0},
		{InterpretCold, "spin", 1_000_000, 1},
		{InterpretAlways, "spin", 1_000_000, 0},
		{InterpretBriefly, "spin", 1000, 1},
		{InterpretAlways, "sum", 50, 1},
	} {
		want, _ := runCold(t, InterpretNone, 0, c.export, c.arg)
		got, compiled := runCold(t, c.how, 3, c.export, c.arg)
		if got != want || compiled != c.compiled {
			t.Errorf("interpret %d, %s(%d): %d with %d continuations compiled, want %d with %d",
				c.how, c.export, c.arg, got, compiled, want, c.compiled)
		}
	}
}
