package kernel

import (
	"testing"

	"github.com/stasis-run/stasis/internal/engine/enginetest"
)

// What others in the system send to the first process does nothing unless it catches
// it; what it sends to itself, and what comes from outside, does.
func TestFirstProcessIsSpared(t *testing.T) {
	self, child := TaskID(1), TaskID(2)
	for _, c := range []struct {
		name string
		by   TaskID // 0: from outside
		sig  int32
		want RunState
		ends ExitStatus
	}{
		{"SIGKILL of a child", child, SIGKILL, Running, ExitStatus{}},
		{"SIGSTOP of a child", child, SIGSTOP, Running, ExitStatus{}},
		{"SIGTERM of a child", child, SIGTERM, Running, ExitStatus{}},
		{"SIGTSTP of a child", child, SIGTSTP, Running, ExitStatus{}},
		{"a real-time signal of a child", child, 40, Running, ExitStatus{}},
		{"its own SIGKILL", self, SIGKILL, Dead, ExitStatus{Signal: SIGKILL}},
		{"its own SIGABRT", self, SIGABRT, Dead, ExitStatus{Signal: SIGABRT}},
		{"its own SIGSTOP", self, SIGSTOP, Stopped, ExitStatus{}},
		{"SIGKILL from outside", 0, SIGKILL, Dead, ExitStatus{Signal: SIGKILL}},
		{"SIGTERM from outside", 0, SIGTERM, Dead, ExitStatus{Signal: SIGTERM}},
		{"SIGSTOP from outside", 0, SIGSTOP, Stopped, ExitStatus{}},
	} {
		bubble(t, c.name, func(t *testing.T) {
			p := children(t, 1)
			info := SigInfo{Signo: c.sig, Code: SIUser, PID: c.by}
			err := p.g.SendInfo(info)
			if c.by != 0 {
				err = p.child(c.by).Kill(1, info)
			}
			if err != nil {
				t.Error(err)
			}
			if c.ends.Signal != 0 {
				p.wantExit(c.ends)
			}
			p.wantState(c.want)
		})
	}
	bubble(t, "its group", func(t *testing.T) { // the others of it are not spared
		p := children(t, 2)
		_ = p.child(3).Kill(0, SigInfo{Signo: SIGTERM, PID: 3})
		settle()
		if p.g.Exiting() || !p.child(2).Exiting() || !p.child(3).Exiting() {
			t.Errorf("the first one ends: %v, the others: %v, %v", p.g.Exiting(), p.child(2).Exiting(), p.child(3).Exiting())
		}
	})
}

// What was blocked, or came while the process was stopped, is spared when it is taken,
// and SIGCONT lets it go on whoever sends it.
func TestFirstProcessIsSparedLater(t *testing.T) {
	bubble(t, "blocked", func(t *testing.T) {
		p := newProcs(t, nil, nil, nil, do(0), do(1), enginetest.Loop{})
		p.calls = []guestCall{func(t *Task) Outcome {
			t.SetSigMask(sigSet(SIGTERM))
			_ = p.g.SendInfo(SigInfo{Signo: SIGTERM, PID: 9})
			return Done
		}, func(t *Task) Outcome {
			p.note("pending %v", t.PendingSignals() == sigSet(SIGTERM))
			t.SetSigMask(0)
			return Done
		}}
		p.start()
		p.wantLog("pending true")
		p.wantState(Running)
	})
	bubble(t, "stopped", func(t *testing.T) {
		p := children(t, 1)
		_ = p.g.Signal(SIGSTOP)
		settle()
		for _, sig := range []int32{SIGTERM, SIGKILL, SIGCONT} {
			_ = p.child(2).Kill(1, SigInfo{Signo: sig, PID: 2})
		}
		p.wantState(Running)
	})
	bubble(t, "caught", func(t *testing.T) {
		p := newProcs(t, nil, nil, []enginetest.Script{handlerScript(do(1))}, do(0), enginetest.Loop{})
		p.calls = []guestCall{withHandler, p.caught}
		p.start()
		_ = p.g.SendInfo(SigInfo{Signo: SIGTERM, PID: 9})
		p.wantLog("signal 15")
	})
}
