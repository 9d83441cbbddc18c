package kernel

import (
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/engine/enginetest"
)

// Where the host's process ends with the system, the end of the first process has the
// others stand for good, what they wait for included, and nothing waits for them.
func TestLeaves(t *testing.T) {
	p := newProcs(t, func(o *Options) { o.Leaves = true }, nil, nil, do(0), do(0), do(1), enginetest.Loop{})
	p.calls = []guestCall{p.forks, func(t *Task) Outcome {
		if t.Group() != t.Kernel().Init() {
			return Done // and loop
		}
		for len(t.Kernel().Tasks().All()) < 4 {
			t.YieldSlot()
		}
		t.Group().Exit(7)
		return Gone
	}}
	if err := p.k.Start(); err != nil {
		t.Fatal(err)
	}
	st, err := p.g.Wait(t.Context())
	if err != nil || st.Code != 7 {
		t.Fatalf("%+v, %v", st, err)
	}
	left := 0
	for _, task := range p.k.tasks.All() {
		if st := task.State(); st == Stopped {
			left++
		} else if st != Dead && st != Created { // its goroutine may not have come to run
			t.Errorf("task %d is %v", task.ID(), st)
		}
	}
	if left == 0 {
		t.Error("no task stands: the others have ended, one by one")
	}
	ended := make(chan error, 1)
	go func() { ended <- p.k.Close() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("Close waits for tasks that stand for good")
	}
	p.comeBack()
}

// comeBack ends what stands for good, so that nothing of a test is left.
func (p *procs) comeBack() {
	s := p.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left, p.g.gone = false, make(chan struct{})
	s.resumeLocked()
	for _, g := range s.groups {
		g.Terminate()
	}
	for s.live > 0 {
		s.changed.Wait()
	}
}
