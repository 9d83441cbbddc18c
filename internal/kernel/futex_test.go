package kernel

import (
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stasis-run/stasis/internal/engine/enginetest"
)

// futexAddr is where the tasks of these tests wait.
const futexAddr = 8

// A futexWorld's guest waits once at futexAddr, by the call "value", which
// returns how that ended.
type futexWorld struct {
	*world
	timeout int64
	looks   int // how often the address was looked at
}

func newFutexWorld(t *testing.T, timeout int64) *futexWorld {
	f := &futexWorld{timeout: timeout}
	f.world = newWorldWith(t, func(o *Options) {
		var calls []Call
		for _, c := range o.Calls.All() {
			if c.Name == "value" {
				c.Fn = f.call
			}
			calls = append(calls, *c)
		}
		o.Calls = NewCallTable(calls)
	}, enginetest.Import{Fn: sysValue})
	f.mod.Shared = true
	return f
}

func (f *futexWorld) call(t *Task, stack []uint64) Outcome {
	res, outcome := t.FutexWait(futexAddr, f.timeout, func() bool { f.looks++; return true })
	stack[0] = uint64(res)
	return outcome
}

func (f *futexWorld) wake(n uint32) uint32 {
	return f.k.futexes.wake(futexKey{f.g.leader.thread.Memory(), futexAddr}, n)
}

// thread adds a task over the same memory, and has it wait.
func (f *futexWorld) thread() *Task {
	f.t.Helper()
	n := newTask(f.k, f.g, f.g.leader.calls)
	if err := f.k.tasks.reserve(n); err != nil {
		f.t.Fatal(err)
	}
	if err := n.create(f.g.leader.thread, 0, nil); err != nil {
		f.t.Fatal(err)
	}
	if err := f.k.tasks.launch(n); err != nil {
		f.t.Fatal(err)
	}
	settle()
	return n
}

func (f *futexWorld) wantResult(want FutexResult) {
	f.t.Helper()
	st, err := f.g.Wait(f.t.Context())
	if err != nil || len(st.Results) != 1 || st.Results[0] != uint64(want) {
		f.t.Errorf("status %+v, %v; want result %d", st, err, want)
	}
}

// Who came first is woken first, and no more than are asked for.
func TestFutexOrder(t *testing.T) {
	bubble(t, "order", func(t *testing.T) {
		f := newFutexWorld(t, -1)
		f.start()
		var tasks []*Task
		for range 5 {
			tasks = append(tasks, f.thread())
		}
		f.task().BeginStop() // the leader's end would be that of all
		settle()
		if n := f.wake(3); n != 3 {
			t.Errorf("%d were woken, want 3", n)
		}
		settle()
		var ended []bool
		for _, task := range tasks {
			_, there := f.k.tasks.Get(task.ID())
			ended = append(ended, !there)
		}
		if want := []bool{true, true, false, false, false}; !slices.Equal(ended, want) {
			t.Errorf("ended %v, want %v: the leader came first", ended, want)
		}
		if n := f.wake(^uint32(0)); n != 3 {
			t.Errorf("%d were woken, want the other 3", n)
		}
		if n := f.wake(1); n != 0 || len(f.k.futexes.lines) != 0 {
			t.Errorf("%d were woken of nobody, %d lines", n, len(f.k.futexes.lines))
		}
		f.task().EndStop()
		f.wantResult(FutexWoken)
	})
}

// A stop leaves a wait where it is: the address is not looked at again, the
// place is kept, and who is woken while stopped has been woken after it.
func TestFutexStopped(t *testing.T) {
	bubble(t, "woken while stopped", func(t *testing.T) {
		f := newFutexWorld(t, -1)
		f.start()
		second := f.thread()
		for range 3 {
			f.task().BeginStop()
			settle()
			f.task().EndStop()
			f.wantState(Blocked)
		}
		f.task().BeginStop()
		settle()
		if n := f.wake(1); n != 1 {
			t.Errorf("%d were woken", n)
		}
		settle()
		if s := second.State(); s != Blocked {
			t.Errorf("the second is %v; the first is to be woken", s)
		}
		f.task().EndStop()
		f.wantResult(FutexWoken)
		if f.looks != 2 {
			t.Errorf("two waits looked %d times", f.looks)
		}
	})
	bubble(t, "timeout", func(t *testing.T) {
		f := newFutexWorld(t, int64(10*time.Second))
		f.start()
		f.clock.Advance(4 * time.Second)
		s := f.stop()
		f.clock.Advance(time.Hour) // which the guest does not see
		s.End()
		f.wantState(Blocked)
		f.clock.Advance(6*time.Second - 1)
		f.wantState(Blocked)
		f.clock.Advance(1)
		f.wantResult(FutexTimedOut)
		if len(f.k.futexes.lines) != 0 {
			t.Error("who timed out still stands in line")
		}
	})
	bubble(t, "at once", func(t *testing.T) {
		f := newFutexWorld(t, 0)
		f.start()
		f.wantResult(FutexTimedOut)
	})
}

// The end of a process takes its waiters out of the lines.
func TestFutexKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFutexWorld(t, -1)
		f.start()
		for range 10 {
			f.thread()
		}
		f.g.Terminate()
		f.wantExit(ExitStatus{Signal: SIGKILL})
		if n := f.wake(1); n != 0 || len(f.k.futexes.lines) != 0 {
			t.Errorf("%d were woken, %d lines are left", n, len(f.k.futexes.lines))
		}
	})
}

// Saved waits keep their order, whatever the order of their tasks; one that was
// woken has been woken.
func TestFutexSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFutexWorld(t, -1)
		f.start()
		second, third := f.thread(), f.thread()
		stop := f.stop()
		defer stop.End()
		if n := f.wake(1); n != 1 {
			t.Errorf("%d were woken", n)
		}
		st := f.state()
		tasks := st.Processes[0].Tasks
		var got []FutexState
		for _, ts := range tasks {
			got = append(got, *ts.Futex)
		}
		want := []FutexState{{futexAddr, 1, true}, {futexAddr, 2, false}, {futexAddr, 3, false}}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("saved %+v, want %+v", got, want)
		}
		tasks[1].Futex.Order, tasks[2].Futex.Order = 3, 2
		tasks[0].Futex.Woken, tasks[0].Futex.Order = false, 9
		n, err := f.restored(t, st)
		if err != nil {
			t.Fatal(err)
		}
		r := &futexWorld{world: n}
		line := n.k.futexes.lines[futexKey{n.g.leader.thread.Memory(), futexAddr}]
		var order []TaskID
		for _, w := range line {
			for _, task := range n.k.tasks.All() {
				if task.waits == w {
					order = append(order, task.ID())
				}
			}
		}
		if want := []TaskID{third.ID(), second.ID(), n.g.leader.ID()}; !slices.Equal(order, want) {
			t.Errorf("the line is %d, want %d", order, want)
		}
		n.start()
		if k := r.wake(2); k != 2 {
			t.Errorf("%d were woken", k)
		}
		settle()
		if all := n.k.tasks.All(); len(all) != 1 || all[0] != n.g.leader {
			t.Errorf("%d tasks are left, want the leader", len(all))
		}
		r.wake(1)
		r.wantResult(FutexWoken)
	})
}

// With one slot, tasks that only compute take turns: each runs.
func TestSlotsRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldWith(t, func(o *Options) { o.Slots = 1 }, enginetest.Loop{})
		w.start()
		for range 3 {
			w.spawn()
		}
		w.pass(time.Second)
		for i, th := range w.mod.Threads() {
			if n := th.Runs(); n < 10 {
				t.Errorf("thread %d had %d turns in a second", i, n)
			}
		}
		for _, task := range w.k.tasks.All() {
			if s := task.State(); s != Running {
				t.Errorf("task %d is %v; to others it runs", task.ID(), s)
			}
		}
		total := w.g.CPUTime()
		if total < int64(950*time.Millisecond) || total > int64(time.Second) {
			t.Errorf("CPU time %v of a second with one slot", time.Duration(total))
		}
		stop := w.stop()
		settle() // the slot goes through the queue
		if n := w.k.tasks.free; n != 1 {
			t.Errorf("%d slots are free while all are stopped", n)
		}
		stop.End()
		w.pass(100 * time.Millisecond)
		if n := w.k.tasks.queue.Len(); n != 3 {
			t.Errorf("%d queue, want 3", n)
		}
	})
}

// A task that waits leaves its slot to others, and gets one when it goes on.
func TestSlotsWhileBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldWith(t, func(o *Options) { o.Slots = 1 }, enginetest.Import{Fn: sysWait}, enginetest.Loop{})
		w.start()
		w.wantState(Blocked)
		other := w.spawn()
		settle()
		if s := other.State(); s != Blocked {
			t.Fatalf("the other is %v: it had no slot", s)
		}
		w.ev.raise(true)
		w.pass(200 * time.Millisecond)
		for i, th := range w.mod.Threads() {
			if th.Runs() < 3 {
				t.Errorf("thread %d had %d turns", i, th.Runs())
			}
		}
	})
}
