package kernel

import (
	"testing"
	"testing/synctest"

	"github.com/stasis-run/stasis/internal/engine/enginetest"
)

// signal(7)'s table, by Linux's numbers on x86.
func TestDefaultActions(t *testing.T) {
	actions := map[int32]string{
		3: "core", 4: "core", 5: "core", 6: "core", 7: "core", 8: "core", 11: "core", 24: "core", 25: "core", 31: "core",
		17: "none", 23: "none", 28: "none", 18: "none",
		19: "stop", 20: "stop", 21: "stop", 22: "stop",
	}
	for sig := int32(1); sig <= maxSignal; sig++ {
		synctest.Test(t, func(t *testing.T) {
			w := begun(t, enginetest.Loop{})
			if err := w.g.Signal(sig); err != nil {
				t.Error(err)
			}
			switch actions[sig] {
			case "none":
				w.wantState(Running)
			case "stop":
				w.wantState(Stopped)
			default:
				w.wantExit(ExitStatus{Signal: sig})
				if st, _ := w.g.Wait(t.Context()); st.Core != (actions[sig] == "core") || st.Limit != "" {
					t.Errorf("signal %d: status %+v", sig, st)
				}
			}
		})
	}
}

// While a process is stopped, what would end it waits.
func TestSignalsWhileStopped(t *testing.T) {
	for _, c := range []struct {
		name   string
		send   []int32
		state  RunState
		signal int32 // that ends it at last
	}{
		{"it waits", []int32{SIGSTOP, SIGTERM}, Stopped, 0},
		{"until SIGCONT", []int32{SIGSTOP, SIGTERM, SIGCONT}, Dead, SIGTERM},
		{"SIGKILL does not wait", []int32{SIGTSTP, SIGKILL}, Dead, SIGKILL},
		{"nor beside others", []int32{SIGSTOP, SIGTERM, SIGKILL}, Dead, SIGKILL},
		{"the lowest first", []int32{SIGSTOP, SIGTERM, SIGINT, SIGTERM, SIGCONT}, Dead, SIGINT},
		{"SIGCONT discards stops", []int32{SIGSTOP, SIGTSTP, SIGSTOP, SIGCONT}, Running, 0},
		{"also beside others", []int32{SIGSTOP, SIGTSTP, SIGUSR1, SIGCONT}, Dead, SIGUSR1},
		{"ignored ones do not wait", []int32{SIGSTOP, SIGCHLD, SIGWINCH, SIGURG, SIGCONT}, Running, 0},
		{"SIGCONT is not kept", []int32{SIGCONT, SIGSTOP}, Stopped, 0},
		{"again and again", []int32{SIGSTOP, SIGCONT, SIGTTIN, SIGTERM}, Stopped, 0},
	} {
		bubble(t, c.name, func(t *testing.T) {
			w := begun(t, enginetest.Loop{})
			for _, sig := range c.send {
				_ = w.g.Signal(sig)
				settle()
			}
			if c.signal != 0 {
				w.wantExit(ExitStatus{Signal: c.signal})
				if n := w.thread().Runs(); n != 1 {
					t.Errorf("guest code ran %d times: it was let go before its end", n)
				}
			}
			w.wantState(c.state)
		})
	}
}

// A pending signal is saved, and acts when the restored process goes on.
func TestPendingIsSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begun(t, enginetest.Loop{})
		_ = w.g.Signal(SIGTSTP)
		_ = w.g.Signal(SIGHUP)
		_ = w.g.Signal(SIGSTOP)
		st := w.saved()
		if got := st.Processes[0].Pending; got != sigSet(SIGHUP, SIGSTOP) {
			t.Errorf("pending %#x", uint64(got))
		}
		n, err := w.restored(t, st)
		if err != nil {
			t.Fatal(err)
		}
		n.start()
		n.wantState(Stopped)
		_ = n.g.Signal(SIGTERM)
		n.wantState(Stopped)
		_ = n.g.Signal(SIGCONT)
		n.wantExit(ExitStatus{Signal: SIGHUP})
		if got := n.thread().Runs(); got != 0 {
			t.Errorf("guest code ran %d times", got)
		}
		_ = w.g.Signal(SIGKILL)
		w.wantExit(ExitStatus{Signal: SIGKILL})
	})
}

// A fatal signal ends a paused system at once, as it does a frozen cgroup's.
func TestSignalWhilePaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begun(t, enginetest.Loop{})
		defer w.stop().End()
		_ = w.g.Signal(SIGTERM)
		w.wantExit(ExitStatus{Signal: SIGTERM})
	})
}

// A task that is made while its process is stopped is stopped as well.
func TestGroupStopCoversLaterTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begun(t, enginetest.Loop{})
		_ = w.g.Signal(SIGSTOP)
		later := w.spawn()
		settle()
		if later.State() != Stopped || w.inGuest() {
			t.Errorf("it is %v", later.State())
		}
		_ = w.g.Signal(SIGCONT)
		settle()
		if later.State() != Running || !w.inGuest() {
			t.Errorf("afterwards it is %v", later.State())
		}
	})
}
