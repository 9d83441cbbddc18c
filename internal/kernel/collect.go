package kernel

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// Compiled guest code does not let Go's garbage collector stop the world: a
// collection that begins while a guest loops never ends, and no Go code runs
// any more that could ask the guest for a safepoint. So in a process whose main
// business is to run guests, the collector is ours: OwnCollector turns Go's own
// triggers off, and Collect unwinds all tasks first.

// collectPeriod is how often the heap's size is looked at.
const collectPeriod = 100 * time.Millisecond

// collectFloor is the least heap, in bytes, that is worth a collection, and
// collectIdle how far it has to have grown if no task of the system runs.
const (
	collectFloor = 64 << 20
	collectIdle  = 16 << 20
)

// ownCollector is set by OwnCollector; collectAt is the heap size in bytes at
// which the next collection is due, and idleAt that for a system that does nothing.
var (
	ownCollector      atomic.Bool
	collectAt, idleAt atomic.Uint64
)

// OwnCollector makes collections the kernels' alone in this process. It also
// sets GOMAXPROCS: explicitly, since Go's periodic update of it stops the
// world, and with room for the goroutines that control the guests.
func OwnCollector() {
	debug.SetGCPercent(-1)
	runtime.GOMAXPROCS(runtime.NumCPU() + 2)
	collectAt.Store(collectFloor)
	idleAt.Store(collectIdle)
	ownCollector.Store(true)
}

// started are the kernels of this process whose tasks may run: a collection
// concerns them all, since there is one heap. A kernel that is about to start
// waits for a collection that is under way.
var started = kernels{lock: make(chan struct{}, 1), set: make(map[*Kernel]struct{})}

type kernels struct {
	lock chan struct{}        // holds something while locked; a mutex that can be waited for with a context
	set  map[*Kernel]struct{} // protected by lock
}

// add notes a kernel that starts. While none runs, a collection costs nobody a stop:
// where systems are made and ended in quick succession, no ticker comes to it.
func (s *kernels) add(k *Kernel) {
	s.lock <- struct{}{}
	if len(s.set) == 0 && ownCollector.Load() && heapSize() >= collectAt.Load() {
		collect()
	}
	s.set[k] = struct{}{}
	<-s.lock
}

func (s *kernels) remove(k *Kernel) {
	s.lock <- struct{}{}
	delete(s.set, k)
	<-s.lock
}

// Collect unwinds all tasks, those of other kernels in this process too, and
// collects Go's heap. The tasks go on on every path.
func (k *Kernel) Collect(ctx context.Context) error {
	select {
	case started.lock <- struct{}{}:
		defer func() { <-started.lock }()
	case <-ctx.Done():
		return fmt.Errorf("wait for another collection: %w", ctx.Err())
	}
	var stops []*ExternalStop
	for k := range started.set {
		stop := k.tasks.BeginExternalStop()
		defer stop.End()
		stops = append(stops, stop)
	}
	for _, stop := range stops {
		if err := stop.Wait(ctx); err != nil {
			return err
		}
	}
	collect()
	return nil
}

// collect collects the heap.
//
// Preconditions: started is locked, and no task of its kernels runs.
func collect() {
	runtime.GC()
	live := heapSize()
	if heapBytes("free") > max(collectFloor/2, live) { // nobody else gives it back: Go does so only if it collects by itself
		debug.FreeOSMemory()
	}
	collectAt.Store(max(collectFloor, 2*live))
	idleAt.Store(live + collectIdle)
}

// heapSize is the size of live and dead objects in bytes. Reading it does not
// stop the world.
func heapSize() uint64 { return heapBytes("objects") }

// heapBytes is a class of runtime/metrics' "/memory/classes/heap", in bytes.
func heapBytes(class string) uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/" + class + ":bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// collectIfWorth is called by the ticker; idle says that no task runs.
func (k *Kernel) collectIfWorth(idle bool) {
	at := collectAt.Load()
	if idle {
		at = min(at, idleAt.Load())
	}
	if !ownCollector.Load() || heapSize() < at || k.tasks.isEnding() { // what is garbage then goes with the end
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := k.Collect(ctx); err != nil {
		k.log.Warn("collection put off", "err", err)
	}
}
