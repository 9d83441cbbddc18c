package wazero

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/wasm"
)

// grower is a module of min pages of memory, whose main grows it by a page
// until that fails, and returns how many it has then.
func grower(min uint64) []byte {
	var body []byte
	op := func(op wasm.Opcode, a uint64) {
		body = wasm.AppendInstr(body, &wasm.Instr{Op: op, Block: wasm.BlockType{Index: -1}, A: a})
	}
	op(wasm.OpLoop, 0)
	op(wasm.OpI32Const, 1)
	op(wasm.OpMemoryGrow, 0)
	op(wasm.OpI32Const, ^uint64(0))
	op(wasm.OpI32Ne, 0)
	op(wasm.OpBrIf, 0)
	op(wasm.OpEnd, 0)
	op(wasm.OpMemorySize, 0)
	op(wasm.OpEnd, 0)
	return wasm.Encode(&wasm.Module{
		Types:    []wasm.FuncType{{Results: []wasm.ValType{wasm.I32}}},
		Funcs:    []uint32{0},
		Memories: []wasm.Limits{{Min: min}},
		Exports:  []wasm.Export{{Name: "main", Kind: wasm.ExternFunc}},
		Code:     []wasm.Code{{Body: body}},
	})
}

func compiledGrower(t *testing.T, min uint64) engine.Module {
	t.Helper()
	e, err := New(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	m, err := e.Compile(t.Context(), grower(min))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// Memory grows to its limit and no further: beyond is -1, and the guest goes
// on. How long it is can be asked meanwhile.
func TestMemoryLimit(t *testing.T) {
	ctx := context.Background()
	m := compiledGrower(t, 2)
	for _, c := range []struct {
		limit int64
		pages uint64
	}{{2 << 16, 2}, {2<<16 + 5000, 2}, {3 << 16, 3}, {1000 << 16, 1000}} {
		th, err := m.New(ctx, silent{}, engine.Limits{Memory: c.limit}, nil)
		if err != nil {
			t.Fatal(err)
		}
		fn, _, _ := m.Export("main")
		if err := th.Start(fn, nil); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for last := 0; ; {
				n := len(th.Memory().Bytes())
				if n < last {
					t.Errorf("a memory shrinks from %d to %d", last, n)
				}
				last = n
				select {
				case <-done:
					return
				default:
				}
			}
		})
		ev := th.Run(ctx)
		close(done)
		wg.Wait()
		if ev.Kind != engine.Exited || ev.Results[0] != c.pages || uint64(len(th.Memory().Bytes())) != c.pages<<16 {
			t.Errorf("limit %d: %+v, %d bytes in the end", c.limit, ev, len(th.Memory().Bytes()))
		}
		th.Close()
	}
	var me *engine.MemoryError
	if _, err := m.New(ctx, silent{}, engine.Limits{Memory: 1 << 16}, nil); !errors.As(err, &me) || me.Need != 2<<16 {
		t.Errorf("a module that needs more than there is: %v", err)
	}
}

// Threads of one budget have no more memory than that together: growing beyond it is
// -1, making or restoring one ErrNoMemory, and what is closed is given back.
func TestMemoryBudget(t *testing.T) {
	ctx := context.Background()
	m := compiledGrower(t, 2)
	budget := &pagesLeft{5 << 16}
	limits := engine.Limits{Budget: budget}
	a, err := m.New(ctx, silent{}, limits, nil)
	if err != nil {
		t.Fatal(err)
	}
	fn, _, _ := m.Export("main")
	if err := a.Start(fn, nil); err != nil {
		t.Fatal(err)
	}
	b, err := m.New(ctx, silent{}, limits, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.New(ctx, silent{}, limits, nil); !errors.Is(err, engine.ErrNoMemory) || budget.left != 1<<16 {
		t.Errorf("one too many: %v, %d bytes are left", err, budget.left)
	}
	if ev := a.Run(ctx); ev.Kind != engine.Exited || ev.Results[0] != 3 {
		t.Errorf("grown to %+v", ev)
	}
	st, err := a.Save()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.New(ctx, silent{}, limits, st); !errors.Is(err, engine.ErrNoMemory) || budget.left != 0 {
		t.Errorf("restored with nothing left: %v, %d bytes are left", err, budget.left)
	}
	if err := b.Close(); err != nil || budget.left != 2<<16 {
		t.Errorf("closed: %v, %d bytes are left", err, budget.left)
	}
	if _, err := m.New(ctx, silent{}, limits, st); !errors.Is(err, engine.ErrNoMemory) || budget.left != 2<<16 { // two of three pages
		t.Errorf("restored with too little left: %v, %d bytes are left", err, budget.left)
	}
	budget.left += 1 << 16
	c, err := m.New(ctx, silent{}, limits, st)
	if err != nil || budget.left != 0 {
		t.Fatalf("restored: %v, %d bytes are left", err, budget.left)
	}
	for _, th := range []engine.Thread{a, c} {
		if err := th.Close(); err != nil {
			t.Error(err)
		}
	}
	if budget.left != 6<<16 {
		t.Errorf("%d bytes are left in the end", budget.left)
	}
}

type pagesLeft struct{ left int }

func (b *pagesLeft) Take(n int) bool {
	if n > b.left {
		return false
	}
	b.left -= n
	return true
}

func (b *pagesLeft) Give(n int) { b.left += n }
