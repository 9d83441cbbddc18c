package wazero_test

import (
	"context"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/stasis-run/stasis/internal/memory"
)

// roomy is a memory of ours whose whole room wazero sees.
type roomy struct {
	*memory.Linear
	calls int
}

func (r *roomy) Reallocate(n uint64) []byte {
	r.calls++
	if b := r.Room(); uint64(len(b)) == n {
		return b
	}
	return nil
}

func (r *roomy) Free() {}

// A sharedFact has a memory of 1 to 16 pages, which threads import.
type sharedFact struct {
	*fact
	mem    *roomy
	holder api.Module
}

func newSharedFact(t *testing.T) *sharedFact {
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithCoreFeatures(api.CoreFeaturesV2|experimental.CoreFeaturesThreads))
	f := &sharedFact{fact: &fact{t, ctx, r}}
	l, err := memory.New(16 << 16)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Resize(1 << 16); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	f.mem = &roomy{Linear: l}
	f.holder = f.instance(experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(
		func(_, _ uint64) experimental.LinearMemory { return f.mem })), "holder")
	return f
}

func (f *sharedFact) thread() api.Module {
	return f.instance(experimental.WithImportResolver(f.ctx, func(string) api.Module { return f.holder }), "sharer")
}

// grow is what the adapter does: make it accessible, then say so.
func (f *sharedFact) grow(pages uint32) (old uint32, ok bool) {
	f.t.Helper()
	if _, err := f.mem.Resize(uint64(len(f.mem.Bytes())) + uint64(pages)<<16); err != nil {
		f.t.Fatal(err)
	}
	return f.holder.ExportedMemory("mem").Grow(pages)
}

// Atomic accesses of several instances to one mapping of ours are atomic.
func TestFactAtomicsOnMapping(t *testing.T) {
	f := newSharedFact(t)
	const threads, each = 4, 200_000
	var wg sync.WaitGroup
	for range threads {
		m := f.thread()
		wg.Go(func() {
			if _, err := m.ExportedFunction("add").Call(f.ctx, each); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n, _ := f.holder.ExportedMemory("mem").ReadUint64Le(8); n != threads*each {
		t.Errorf("%d additions of %d", n, threads*each)
	}
}

// A shared memory does not move when it grows, and a loop in another instance
// sees its length at once.
func TestFactSharedGrowthSeenByLoop(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	runtime.GC()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4)) // the loop keeps one
	f := newSharedFact(t)
	m := f.thread()
	at := &f.mem.Bytes()[0]
	got := make(chan uint64, 1)
	go func() {
		r, err := m.ExportedFunction("waitlen").Call(f.ctx)
		if err != nil {
			t.Error(err)
			r = []uint64{0}
		}
		got <- r[0]
	}()
	mem := f.holder.ExportedMemory("mem")
	for end := time.Now().Add(time.Minute); ; runtime.Gosched() {
		if n, _ := mem.ReadUint32Le(16); n == 1 {
			break
		} else if time.Now().After(end) {
			t.Fatal("the loop was not seen to run")
		}
	}
	if _, err := f.mem.Resize(5 << 16); err != nil {
		t.Fatal(err)
	}
	f.mem.Bytes()[5<<16-4] = 77
	if old, ok := mem.Grow(4); old != 1 || !ok {
		t.Errorf("grow: %d, %v; want 1", old, ok)
	}
	select {
	case r := <-got:
		if uint32(r) != 77 {
			t.Errorf("the loop read %d from the end of what was added; want 77", r)
		}
	case <-time.After(time.Minute):
		m.ExportedGlobal("look").(api.MutableGlobal).Set(1)
		t.Errorf("the loop has not seen that the memory grew: %d", <-got)
	}
	if at != &f.mem.Bytes()[0] {
		t.Error("the memory has moved")
	}
}

// Closing an instance takes the allocator from a memory that it imports. A
// memory that was given with the capacity of all its room grows without one;
// where it was not, growing panics.
func TestFactCloseTakesAllocator(t *testing.T) {
	f := newSharedFact(t)
	a, b := f.thread(), f.thread()
	calls := f.mem.calls
	if err := a.Close(f.ctx); err != nil {
		t.Fatal(err)
	}
	if old, ok := f.grow(3); old != 1 || !ok {
		t.Errorf("grow: %d, %v; want 1", old, ok)
	}
	if f.mem.calls != calls {
		t.Error("the allocator was asked after an importer was closed; sharedMemory could be simpler now")
	}
	if r := f.call(b, "size"); r[0] != 4 {
		t.Errorf("another instance sees %d pages; want 4", r[0])
	}
	if r := f.call(f.thread(), "load", 4<<16-4); r[0] != 0 {
		t.Errorf("a new instance reads %d from what was added", r[0])
	}
	if _, ok := f.holder.ExportedMemory("mem").Grow(13); ok {
		t.Error("the memory has grown beyond its limit")
	}
}

// Accesses that are not aligned or lie outside trap, by these names.
func TestFactAtomicTraps(t *testing.T) {
	f := newSharedFact(t)
	m := f.thread()
	for _, tt := range []struct {
		addr uint64
		want string
	}{{2, "unaligned atomic"}, {1 << 16, "out of bounds memory access"}, {1<<16 - 2, "out of bounds memory access"}} {
		_, err := m.ExportedFunction("load").Call(f.ctx, tt.addr)
		if err == nil || !strings.Contains(err.Error(), "wasm error: "+tt.want) {
			t.Errorf("load at %#x: %v; want %q", tt.addr, err, tt.want)
		}
	}
}
