package kernel

import "time"

// yielding has a task leave guest code by itself every now and then. Where the
// collector is Go's own (see OwnCollector), nobody else can make it: once a
// collection waits for the guest, no Go code runs that could ask for a
// safepoint. Only on the task goroutine.
type yielding struct {
	counter counter
	every   int32 // safepoints from one leave to the next
	since   int64 // host time when the guest went on
}

// Bounds of yielding.every. A safepoint takes from a nanosecond to some tens,
// where it stands for several rounds of a short loop.
const (
	firstYield = 1 << 14
	mostYield  = 1 << 22
)

// begin has the task leave about every Options.Yield.
func (y *yielding) begin(t *Task) {
	c, ok := t.thread.(counter)
	if !ok || t.k.opts.Yield <= 0 || ownCollector.Load() || t.stress.Every > 0 {
		return
	}
	y.counter, y.every = c, firstYield
	c.SetEvery(y.every)
}

// resumed is called before guest code runs.
func (y *yielding) resumed(t *Task) {
	if y.counter != nil {
		y.since = t.k.clocks.Source().Mono()
	}
}

// unwound is called after an unwind: it fits the count to the time that it took.
func (y *yielding) unwound(t *Task) {
	if y.counter == nil || t.isAsked() { // if it was asked to leave, it has not counted to the end
		return
	}
	if _, _, calls := t.thread.Pending(); calls { // nor if it waits
		return
	}
	took := time.Duration(t.k.clocks.Source().Mono() - y.since)
	want := 2 * int64(y.every)
	if took > t.k.opts.Yield/2 {
		want = int64(float64(y.every) * float64(t.k.opts.Yield) / float64(took))
	}
	if want = min(max(want, 1), mostYield); int32(want) != y.every {
		y.every = int32(want)
		y.counter.SetEvery(y.every)
	}
}

// isAsked reports whether the task has been asked for something.
func (t *Task) isAsked() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.asked
}
