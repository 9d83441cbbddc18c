package processes

import (
	"testing"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/vfs"
)

// What processes take of the system's memory they give back when they end: trees of
// them, those that execute programs, and threads leave nothing taken.
func TestMemoryIsGivenBack(t *testing.T) {
	for _, name := range []string{"forktree", "threads", "spawn"} {
		t.Run(name, func(t *testing.T) {
			p := compile(t, []byte(read(t, "testdata/"+name+".wasm")), wazero.Options{})
			budget := vfs.NewBudget(1 << 30)
			w := p.bootWithFiles(t, kernel.Stress{}, func(o *kernel.Options) { o.Limits.Budget = budget })
			one := budget.Used()
			if one == 0 {
				t.Fatal("the first process takes nothing")
			}
			w.start().ends()
			w.close()
			if got := budget.Used(); got != 0 {
				t.Errorf("%d bytes are taken in the end; the first process took %d", got, one)
			}
		})
	}
}

// Where there is room for one process alone, it can neither fork nor spawn, and is told
// so; nothing is left of what was tried.
func TestMemoryIsFull(t *testing.T) {
	p := compile(t, []byte(read(t, "testdata/spawn.wasm")), wazero.Options{})
	budget := vfs.NewBudget(1 << 30)
	w := p.bootWithFiles(t, kernel.Stress{}, func(o *kernel.Options) { o.Limits.Budget = budget })
	one := budget.Used()
	w.close()
	budget = vfs.NewBudget(2*one - 1)
	w = p.bootWithFiles(t, kernel.Stress{}, func(o *kernel.Options) { o.Limits.Budget = budget })
	defer w.close()
	got := w.start().ends()
	const want = "inherited 48: "
	if len(got) < len(want) || got[:len(want)] != want {
		t.Errorf("got %s, want %s…", got, want)
	}
	if got := budget.Used(); got != one {
		t.Errorf("%d bytes are taken, want %d", got, one)
	}
}

var _ engine.Budget = (*vfs.Budget)(nil)
