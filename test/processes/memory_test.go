package processes

import (
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/vfs"
)

// What processes take of the system's memory they give back when they end: trees of
// them, those that execute programs, and threads leave nothing taken.
func TestMemoryIsGivenBack(t *testing.T) {
	for _, s := range subjects(t) {
		if s.name != "forktree" && s.name != "threads" && s.name != "spawn" && s.name != "exec" {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			p := compile(t, s.code, wazero.Options{})
			p.memory = vfs.NewBudget(1 << 30)
			w := p.boot(t, s.errand, kernel.Stress{})
			one := p.memory.Used()
			if one == 0 {
				t.Fatal("the first process takes nothing")
			}
			if got := w.start().ends(); got != s.want {
				t.Errorf("got %s\nwant %s", got, s.want)
			}
			w.close()
			if got := p.memory.Used(); got != 0 {
				t.Errorf("%d bytes are taken in the end; the first process took %d", got, one)
			}
		})
	}
}

// Where there is room for one process alone, it can neither fork nor execute a program,
// and is told so; nothing is left of what was tried.
func TestMemoryIsFull(t *testing.T) {
	want := map[string]string{"forktree": "rc 91\n", "spawn": "rc 48\n"} // its fork failed, ENOMEM
	for _, s := range subjects(t) {
		if want[s.name] == "" {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			p := compile(t, s.code, wazero.Options{})
			p.memory = vfs.NewBudget(1 << 30)
			w := p.boot(t, s.errand, kernel.Stress{})
			one := p.memory.Used()
			w.close()
			p.memory = vfs.NewBudget(2*one - 1)
			w = p.boot(t, s.errand, kernel.Stress{})
			defer w.close()
			if got := w.start().ends(); !strings.HasPrefix(got, want[s.name]) {
				t.Errorf("got %s", got)
			}
			if got := p.memory.Used(); got != one {
				t.Errorf("%d bytes are taken, want %d", got, one)
			}
		})
	}
}
