package kernel

import (
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/engine/enginetest"
)

// A backtrace tells in which call a task waits, and changes nothing: the call ends
// when it would have.
func TestBacktraces(t *testing.T) {
	bubble(t, "asleep", func(t *testing.T) {
		w := begun(t, enginetest.Import{Fn: sysSleep, Args: []uint64{uint64(time.Second)}}, enginetest.Exit{})
		other := w.spawn()
		settle()
		w.pass(400 * time.Millisecond)
		s := w.stop()
		all := w.k.Backtraces()
		s.End()
		if len(all) != 2 || all[0].Task != w.task().ID() || all[1].Task != other.ID() {
			t.Fatalf("backtraces %+v", all)
		}
		for _, b := range all {
			if b.Waits != "t.sleep(1000000000)" || b.Trace.Len() != 1 {
				t.Errorf("backtrace %+v", b)
			}
		}
		w.pass(599 * time.Millisecond)
		w.wantState(Blocked)
		w.pass(time.Millisecond)
		w.wantExit(ExitStatus{})
	})
	bubble(t, "computing", func(t *testing.T) {
		w := begun(t, enginetest.Loop{})
		s := w.stop()
		all := w.k.Backtraces()
		s.End()
		if len(all) != 1 || all[0].Waits != "" {
			t.Errorf("backtraces %+v", all)
		}
		w.wantState(Running)
	})
}

// What a process did when a signal ended it, and what trapped.
func TestDump(t *testing.T) {
	bubble(t, "signal", func(t *testing.T) {
		w := begun(t, enginetest.Import{Fn: sysWait})
		if _, err := w.k.Dump(nil); err == nil {
			t.Error("a dump of what runs")
		}
		if err := w.g.Signal(SIGQUIT); err != nil {
			t.Fatal(err)
		}
		w.wantExit(ExitStatus{Signal: SIGQUIT})
		settle()
		d, err := w.k.Dump(nil)
		if err != nil || len(d.Tasks) != 1 || d.Tasks[0].Waits != "t.wait()" || d.Tasks[0].Trace.Len() != 1 || len(d.Memory) == 0 {
			t.Errorf("dump %+v, %v", d, err)
		}
		if got := d.Tasks[0].Slots(5); got != nil {
			t.Errorf("values of a frame that there is not: %v", got)
		}
	})
	bubble(t, "trap", func(t *testing.T) {
		w := begun(t, enginetest.Fault{Message: "unreachable"})
		st, err := w.g.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		settle()
		d, err := w.k.Dump(st.Trap)
		if err != nil || len(d.Tasks) != 1 || d.Tasks[0].Trace.Len() != 1 {
			t.Errorf("dump %+v, %v", d, err)
		}
	})
}
