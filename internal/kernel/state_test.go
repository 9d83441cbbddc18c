package kernel

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/enginetest"
	"github.com/stasis-run/stasis/internal/ktime"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/protostruct/prototest"
	"github.com/stasis-run/stasis/internal/vfs"
)

func TestSaveRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if _, err := New(Options{}).Save(); !errors.Is(err, ErrExiting) {
			t.Errorf("without a process: %v", err)
		}
		w := begun(t, enginetest.Loop{})
		if _, err := w.k.Save(); err == nil || err.Error() != "save: tasks are running" {
			t.Errorf("running: %v", err)
		}
		s := w.stop()
		defer s.End()
		if _, err := w.k.Save(); err != nil {
			t.Errorf("stopped: %v", err)
		}
		w.g.Terminate()
		if _, err := w.k.Save(); err == nil {
			t.Error("a process on its way out was saved")
		}
		w.wantExit(ExitStatus{Signal: SIGKILL})
		settle()
		if _, err := w.k.Save(); !errors.Is(err, ErrExiting) {
			t.Errorf("exited: %v", err)
		}
	})
}

// restored makes a world of a state.
func (w *world) restored(t *testing.T, st *State) (*world, error) {
	n := &world{t: t, clock: new(ktime.Manual), opts: w.opts, extra: w.extra, mod: &enginetest.Scripted{Calls: w.mod.Calls, Shared: w.mod.Shared, Steps: w.mod.Steps, Others: w.mod.Others, Sum: w.mod.Sum}}
	k, err := Restore(t.Context(), n.options(), st, Restoring{
		Module: n.mod,
		Files:  func(*ProcessState) (*vfs.FDTable, *vfs.FSContext, error) { return vfs.NewFDTable(4), nil, nil },
		Fill: func(_ uint32, b []byte) error {
			if len(b) > 0 {
				b[0] = 42
			}
			return nil
		},
	})
	if err != nil {
		if n.mod.Open() != 0 {
			t.Error("a failed restore leaves a thread")
		}
		return nil, err
	}
	n.k, n.g = k, k.Init()
	n.closeWith(t)
	return n, nil
}

// A round trip through bytes: all that was saved is there, and the next save of
// the restored kernel says the same.
func TestSaveRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begun(t, enginetest.Import{Fn: sysValue}, sleepFor(time.Minute), enginetest.Import{Fn: sysValue})
		w.clock.Advance(20 * time.Second)
		_ = w.g.Signal(SIGTSTP)
		settle()
		w.task().cpu.total = 123
		w.renumber(7)
		w.k.tasks.lastID = 9
		s := w.stop()
		st := w.state()
		s.End()
		b, err := protostruct.Marshal(st)
		if err != nil {
			t.Fatal(err)
		}
		back := new(State)
		if err := protostruct.Unmarshal(b, back); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(st, back) {
			t.Errorf("the encoding loses something: %x", b)
		}
		n, err := w.restored(t, back)
		if err != nil {
			t.Fatal(err)
		}
		again := n.state()
		again.Clocks.Wall, again.Clocks.Boot = st.Clocks.Wall, st.Clocks.Boot
		if !reflect.DeepEqual(st, again) {
			t.Errorf("saved %+v, restored %+v", st.Processes[0].Tasks[0], again.Processes[0].Tasks[0])
		}
		ts := st.Processes[0].Tasks[0]
		if ts.ID != 7 || st.LastID != 9 || ts.CPU != 123 || ts.GroupStop != SIGTSTP || !ts.Restart.Set ||
			ts.Restart.Deadline != int64(time.Minute) || st.Clocks.Monotonic != int64(20*time.Second) {
			t.Errorf("state %+v %+v", st, ts)
		}
		if m := n.g.Memory(); m[0] != 42 {
			t.Error("the memory was not filled")
		}
		n.clock.Advance(time.Hour) // takes no time from the guest before Start
		// It stands in its group stop, then sleeps for the time that was left.
		n.start()
		n.wantState(Stopped)
		_ = n.g.Signal(SIGCONT)
		n.wantState(Blocked)
		n.clock.Advance(40*time.Second - 1)
		n.wantState(Blocked)
		n.clock.Advance(1)
		n.wantExit(ExitStatus{})
		if got, _ := n.g.Wait(t.Context()); len(got.Results) != 2 {
			t.Errorf("results %v", got.Results)
		}
		if n.spawnID() <= 9 {
			t.Error("a number was given twice")
		}
	})
}

// spawnID is the number that the next task would get.
func (w *world) spawnID() TaskID { return w.k.tasks.lastID + 1 }

func TestRestoreErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begun(t, enginetest.Loop{})
		defer w.stop().End()
		for _, c := range []struct {
			want   string
			change func(*State)
		}{
			{"the first process is missing", func(st *State) { st.Processes = nil }},
			{"with a task at least", func(st *State) { st.Processes[0].Tasks = nil }},
			{"a task without number", func(st *State) { st.Processes[0].Tasks = append(st.Processes[0].Tasks, TaskState{}) }},
			{"two tasks of number 1", func(st *State) {
				st.Processes[0].Tasks = append(st.Processes[0].Tasks, st.Processes[0].Tasks[0])
			}},
			{"at most 4096 may be", func(st *State) { st.Processes[0].Tasks = make([]TaskState, 4097) }},
			{"without a call that waits", func(st *State) { st.Processes[0].Tasks[0].Futex = &FutexState{Addr: 8, Order: 1} }},
			{"a task without number", func(st *State) { st.Processes[0].ID, st.Processes[0].Tasks[0].ID = 0, 0 }},
			{"a task without number", func(st *State) { st.LastID = 0 }},
			{"a task without number or thread", func(st *State) { st.Processes[0].Tasks[0].Thread = nil }},
			{"module 02020300… is not there", func(st *State) { st.Processes[0].Module[0]++ }},
			{"task 1: state: frames", func(st *State) { st.Processes[0].Tasks[0].Thread.Frames = nil }},
			{"a clock at -1 ns", func(st *State) { st.Clocks.Monotonic = -1 }},
			{"a clock at", func(st *State) { st.Clocks.Boot = 1 << 62 }},
			{"a group stop by signal 9", func(st *State) { st.Processes[0].Tasks[0].GroupStop = SIGKILL }},
			{"is not there", func(st *State) { st.Processes[0].Parent = 5 }},
			{"its first task is 1", func(st *State) { st.Processes[0].ID = 2; st.LastID = 5 }},
			{"pending signals", func(st *State) { st.Processes[0].Queue = []SigInfo{{Signo: SIGTERM}} }},
			{"pending signals", func(st *State) { st.Processes[0].Tasks[0].Queue = []SigInfo{{Signo: 65}} }},
			{"cannot be caught so", func(st *State) { st.Processes[0].Actions = []ActionState{{Signo: SIGKILL}} }},
			{"signals are blocked that cannot be", func(st *State) { st.Processes[0].Tasks[0].Mask = sigSet(SIGSTOP) }},
			{"function on_signal cannot be called for signals", func(st *State) { st.Processes[0].Handler = "on_signal" }},
			{"a process has tasks or has ended", func(st *State) { st.Processes = append(st.Processes, ProcessState{ID: 1, Parent: 1}) }},
			{"cannot have its thread", func(st *State) { st.Processes[0].Tasks[0].VforkChild = 9 }},
			{"pending signals 0x100", func(st *State) {
				st.Processes[0].Tasks[0].GroupStop, st.Processes[0].Pending = SIGSTOP, sigSet(SIGKILL)
			}},
			{"a group stop by signal 65", func(st *State) { st.Processes[0].Tasks[0].GroupStop = 65 }},
			{"random generator: ", func(st *State) { st.Random = []byte("chacha8:") }},
			{"a wall clock -6 ns ahead", func(st *State) { st.Clocks.OwnWall, st.Clocks.Monotonic, st.Clocks.WallBase = true, 5, -6 }},
			{"a wall clock 4611686018427387904 ns", func(st *State) { st.Clocks.OwnWall, st.Clocks.WallBase = true, 1<<62 }},
			{"-1 bytes done", func(st *State) { st.Processes[0].Tasks[0].Restart.Done = -1 }},
		} {
			st := w.state()
			c.change(st)
			if _, err := w.restored(t, st); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one about %q", err, c.want)
			}
		}
	})
}

// hostileState is an encoded state that has everything in it.
func hostileState(t testing.TB) ([]byte, []enginetest.Step) {
	steps := []enginetest.Step{enginetest.Import{Fn: sysValue}, sleepFor(time.Minute), enginetest.Loop{}}
	random, err := rand.NewChaCha8([32]byte{}).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	st := &State{Clocks: ktime.State{Monotonic: 5, Boot: 6, Wall: 7, OwnWall: true, WallBase: 8}, LastID: 3, Random: random, Processes: []ProcessState{{
		Module: [32]byte{1, 2, 3}, Memories: []uint32{0}, Args: []string{"a"}, Env: []string{"B=c"}, Pending: sigSet(SIGTERM),
		Tasks: []TaskState{{ID: 2, CPU: 4, GroupStop: SIGSTOP, Restart: Restart{Set: true, Deadline: 100, Done: 1},
			Thread: &engine.State{MemorySize: 1024, Frames: []engine.Frame{{Pos: 2, Values: []engine.Slot{{Value: engine.Value{Lo: 7}}}}},
				Pending: &engine.Pending{Import: sysSleep, Args: []uint64{1}}}}},
	}}}
	b, err := protostruct.Marshal(st)
	if err != nil {
		t.Fatal(err)
	}
	return b, steps
}

// tryState restores from b, and if that is possible, runs it for a moment and
// saves it: never a panic, never a hang.
func tryState(t *testing.T, b []byte, steps []enginetest.Step) (ok bool) {
	st := new(State)
	if protostruct.Unmarshal(b, st) != nil {
		return false
	}
	w := &world{mod: &enginetest.Scripted{Calls: imports(), Steps: steps, Sum: [32]byte{1, 2, 3}}}
	n, err := w.restored(t, st)
	if err != nil {
		return false
	}
	n.start()
	n.clock.Advance(time.Hour)
	s := n.stop()
	if _, err := n.k.Save(); err != nil && !errors.Is(err, ErrExiting) {
		t.Error(err)
	}
	s.End()
	if err := n.k.Close(); err != nil {
		t.Error(err)
	}
	return true
}

func TestHostileStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, steps := hostileState(t)
		if !tryState(t, b, steps) {
			t.Fatal("the state is refused as it is")
		}
		n := 1000
		if testing.Short() {
			n = 200
		}
		r := rand.New(rand.NewPCG(3, 4))
		taken := 0
		for range n {
			st := new(State)
			if err := protostruct.Unmarshal(b, st); err != nil {
				t.Fatal(err)
			}
			for range 1 + r.IntN(3) {
				prototest.Mutate(r, st)
			}
			m, err := protostruct.Marshal(st)
			if err != nil {
				t.Fatal(err)
			}
			if tryState(t, m, steps) {
				taken++
			}
		}
		t.Logf("%d of %d mutations are still states", taken, n)
	})
}

func FuzzRestore(f *testing.F) {
	b, steps := hostileState(f)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		synctest.Test(t, func(t *testing.T) { tryState(t, b, steps) })
	})
}
