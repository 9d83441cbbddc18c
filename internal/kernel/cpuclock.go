package kernel

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stasis-run/stasis/internal/invariants"
	"github.com/stasis-run/stasis/internal/ktime"
)

// How often the CPU clocks of running tasks advance: those of more tasks than
// there are CPUs, whose shares only a tick tells, and others, which advance by
// themselves. Shorter costs more: a tick wakes a thread, some 70 µs of CPU.
const (
	tickPeriod  = 10 * time.Millisecond
	slackPeriod = 50 * time.Millisecond
)

// A cpuClock is the CPU time of a task: the time for which it ran, by the
// host's clock, and by no more in total than the CPUs that the kernel has.
type cpuClock struct {
	mu      invariants.Mutex[cpuClockLock]
	total   int64 // ns; protected by mu
	since   int64 // host time from which on the task's time is not in total yet; protected by mu
	running bool  // protected by mu
	seen    int64 // the highest reading so far; protected by mu
	charged int64 // what the quota knows of; protected by mu
}

func (c *cpuClock) begin(src ktime.Source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.since, c.running = src.Mono(), true
}

func (c *cpuClock) end(src ktime.Source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running {
		c.total += src.Mono() - c.since
		c.running = false
	}
}

// read is the clock's value at host time now. It never goes back: a share that
// turns out to be smaller at the next tick has the clock stand still until then.
func (c *cpuClock) read(now int64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.total
	if c.running {
		at += now - c.since
	}
	c.seen = max(c.seen, at)
	return c.seen
}

// advance adds the time up to now, scaled by num/den.
func (c *cpuClock) advance(now, num, den int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running {
		c.total += (now - c.since) * num / den
		c.since = now
	}
}

// charge is how far the clock has come since the last charge.
func (c *cpuClock) charge() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.total - c.charged
	c.charged = c.total
	return d
}

// restore sets the clock of a task that does not run yet.
func (c *cpuClock) restore(total int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total, c.charged = total, total
}

// isRunning reports whether the clock advances by itself.
func (c *cpuClock) isRunning() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running
}

// CPUTime is the task's CPU time in ns.
func (t *Task) CPUTime() int64 { return t.cpu.read(t.k.clocks.Source().Mono()) }

// CPUTime is the CPU time of the process in ns.
func (g *ThreadGroup) CPUTime() int64 {
	now := g.k.clocks.Source().Mono()
	s := g.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	return g.cpuLocked(now)
}

// Preconditions: TaskSet.mu is locked.
func (g *ThreadGroup) cpuLocked(now int64) int64 {
	total := g.goneCPU
	for _, t := range g.tasks {
		total += t.cpu.read(now)
	}
	return total
}

// A ticker advances the CPU clocks of running tasks. It runs on timers of the
// kernel's time source, without a goroutine of its own, and needs nothing of
// the guests: a task that is asked for nothing is not disturbed. While no task runs
// it rests, until one begins to.
type ticker struct {
	k       *Kernel
	resting atomic.Bool // no timer is pending

	mu     invariants.Mutex[tickerLock]
	stop   func() bool   // of the pending timer; protected by mu
	closed bool          // protected by mu
	ticks  uint64        // protected by mu
	idle   time.Duration // since the heap was looked at; protected by mu
	firing sync.WaitGroup
}

func newTicker(k *Kernel) *ticker { return &ticker{k: k} }

func (x *ticker) start() {
	first := x.k.firstTick() // takes TaskSet.mu
	x.mu.Lock()
	defer x.mu.Unlock()
	x.armLocked(first)
}

func (x *ticker) armLocked(d time.Duration) {
	if x.closed {
		return
	}
	x.firing.Add(1)
	stop := x.k.clocks.Source().AfterFunc(d, func() { x.tick(d) })
	x.stop = func() bool {
		if stop() {
			x.firing.Done()
			return true
		}
		return false
	}
}

// wake has the ticker look again, if it rests.
func (x *ticker) wake() {
	if !x.resting.CompareAndSwap(true, false) {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.armLocked(x.k.tickBase())
}

func (x *ticker) tick(passed time.Duration) {
	defer x.firing.Done()
	next, idle := x.k.account()
	if idle {
		x.resting.Store(true)
		if x.k.anyRunning() { // one has begun before it could see that we rest
			idle = !x.resting.CompareAndSwap(true, false)
		}
	}
	x.mu.Lock()
	x.ticks++
	x.idle += passed
	collect := x.idle >= collectPeriod || idle
	if collect {
		x.idle = 0
	}
	if !idle {
		x.armLocked(next)
	}
	x.mu.Unlock()
	if collect {
		x.k.collectIfWorth(idle)
	}
}

// close ends the ticker and waits until no tick is under way.
func (x *ticker) close() {
	x.mu.Lock()
	x.closed = true
	if x.stop != nil {
		x.stop()
	}
	x.mu.Unlock()
	x.firing.Wait()
}

// anyRunning reports whether the clock of a task advances.
func (k *Kernel) anyRunning() bool {
	return slices.ContainsFunc(k.tasks.unordered(), func(t *Task) bool { return t.cpu.isRunning() })
}

// Tick has the kernel look at its clocks and its heap soon, though no task runs:
// whoever works for it from outside, and so makes garbage, says so.
func (k *Kernel) Tick() { k.ticker.wake() }

// advanceClocks brings the CPU clocks up to date, and counts the tasks that
// run. When they are more than there are CPUs, each gets its share.
func (k *Kernel) advanceClocks(now int64, tasks []*Task) (running int64) {
	for _, t := range tasks {
		if t.cpu.isRunning() {
			running++
		}
	}
	num, den := int64(1), int64(1)
	if cpus := int64(k.cpus); running > cpus {
		num, den = cpus, running
	}
	for _, t := range tasks {
		t.cpu.advance(now, num, den)
	}
	return running
}
