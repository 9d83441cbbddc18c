package threads

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/ktime"
	"github.com/stasis-run/stasis/internal/vfs"
)

// A state of several tasks that nobody can have saved is refused.
func TestHostileStates(t *testing.T) {
	g := load(t, "waits", wazero.Options{})
	clock := new(ktime.Manual)
	s := g.boot(t, clocked(clock), kernel.Stress{}, waiters).start(t)
	defer func() { s.close(t) }()
	s.settled(t, clock)
	dir := filepath.Join(t.TempDir(), "image")
	n, _, ok := s.elsewhere(t, dir)
	if !ok {
		t.Fatal("the guest has ended")
	}
	s = n
	waiting := func(st *kernel.State) *kernel.TaskState { // thread 0, by wait32
		return &st.Processes[0].Tasks[1]
	}
	for _, tt := range []struct {
		name, want string
		change     func(*kernel.State)
	}{
		{"no place", "without its place", func(st *kernel.State) { waiting(st).Futex = nil }},
		{"no call", "without a call that waits", func(st *kernel.State) { waiting(st).Restart.Set = false }},
		{"address", "a wait at address", func(st *kernel.State) { waiting(st).Futex.Addr = 1 << 40 }},
		{"instruction", "pending atomic instruction 4", func(st *kernel.State) { waiting(st).Thread.Pending.Atomic = 4 }},
		{"huge instruction", "pending atomic instruction 4294967295", func(st *kernel.State) { waiting(st).Thread.Pending.Atomic = ^uint32(0) }},
		{"misaligned", "not at address", func(st *kernel.State) { waiting(st).Thread.Pending.Args[0]++ }},
		{"outside", "not at address", func(st *kernel.State) { waiting(st).Thread.Pending.Args[0] = ^uint64(3) }},
		{"operand", "is no i32", func(st *kernel.State) { waiting(st).Thread.Pending.Args[1] = 1 << 32 }},
		{"operands", "does not fit", func(st *kernel.State) { waiting(st).Thread.Pending.Args = nil }},
		{"no frames", "does not fit", func(st *kernel.State) { waiting(st).Thread.Frames = nil }},
		{"number", "two tasks of number", func(st *kernel.State) { waiting(st).ID = 1 }},
		{"large number", "without number", func(st *kernel.State) { waiting(st).ID = 1 << 29 }},
		{"memory", "does not fit the module", func(st *kernel.State) { waiting(st).Thread.MemorySize -= 65536 }},
		{"stopped alone", "a group stop", func(st *kernel.State) { waiting(st).GroupStop = kernel.SIGSTOP }},
		{"time", "a clock at", func(st *kernel.State) { st.Processes[0].GoneCPU = -1 }},
	} {
		st, err := s.k.Save()
		if err != nil {
			t.Fatal(err)
		}
		tt.change(&st.State)
		k, err := kernel.Restore(context.Background(), s.options(), &st.State, kernel.Restoring{
			Module: g.module,
			Files:  func(*kernel.ProcessState) (*vfs.FDTable, *vfs.FSContext, error) { return vfs.NewFDTable(3), nil, nil },
			Fill:   func(uint32, []byte) error { return nil },
		})
		if err == nil {
			t.Errorf("%s: restored", tt.name)
			_ = k
			continue
		}
		if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
