package threads

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/kernel"
)

// Whatever ends a process with threads ends all of them at once: main's return,
// an exit in any thread, a trap in any thread, whose report is the process's.
func TestEnds(t *testing.T) {
	g := load(t, "ends", wazero.Options{})
	for _, tt := range []struct {
		how  int
		want string
	}{
		{0, "code 0, signal 0\n"},
		{1, "code 7, signal 0\n"},
		{10, "code 5, signal 0\n"},
		{2, "trap: unreachable\n"},
		{3, "trap: unaligned atomic\n"},
		{4, "trap: out of bounds memory access\n"},
		{5, "trap: unaligned atomic\n"},
		{6, "trap: out of bounds memory access\n"},
		{7, "trap: unaligned atomic\n"},
		{8, "trap: out of bounds memory access\n"},
		{9, "trap: unaligned atomic\n"},
	} {
		t.Run(fmt.Sprint(tt.how), func(t *testing.T) {
			got := g.run(t, tt.how, 12)
			if !strings.Contains(got, tt.want) || strings.Contains(tt.want, "trap") && !strings.Contains(got, "wasi_thread_start") {
				t.Errorf("got %s, want %s and the thread's stack", got, tt.want)
			}
		})
	}
}

// A process all of whose threads wait for what nobody does can be killed, and a
// stop finds all of them.
func TestNobodyWakes(t *testing.T) {
	g := load(t, "ends", wazero.Options{})
	s := g.boot(t, nil, kernel.Stress{}, 11, 10).start(t)
	defer s.close(t)
	s.until(t, "11 tasks", func(st kernel.Stats) bool { return st.Living() == 11 && st.Tasks[kernel.Blocked] == 6 })
	stop, _ := s.stop(t)
	if n := s.k.Stats().Tasks[kernel.Stopped]; n != 11 {
		t.Errorf("%d tasks are stopped, want 11", n)
	}
	stop.End()
	_ = s.k.Init().Signal(kernel.SIGKILL)
	if got := s.wait(t); !strings.HasPrefix(got, "code 0, signal 9\n") {
		t.Errorf("got %s", got)
	}
	if n := s.k.Stats().Living(); n != 0 {
		t.Errorf("%d tasks live", n)
	}
}

// until waits until the system's numbers are as they should be.
func (s *system) until(t testing.TB, what string, ok func(kernel.Stats) bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(s.k.Stats()); {
		if time.Now().After(end) {
			t.Fatalf("never %s: %+v", what, s.k.Stats())
		}
		runtime.Gosched()
	}
}

// Who spawns beyond the limit is told so, and can go on when others have ended:
// nothing of those is left.
func TestBomb(t *testing.T) {
	g := load(t, "bomb", wazero.Options{})
	const limit, more = 100, 2000
	s := g.boot(t, func(o *kernel.Options) { o.MaxTasks = limit }, kernel.Stress{}, more).start(t)
	defer s.close(t)
	want := fmt.Sprintf("code 0, signal 0\nthreads %d\nerrno 6\nran %d\n", limit-1, more)
	if got := s.wait(t); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if n := len(s.k.Tasks().All()); n > 3 { // main, and who was on the way out when it returned
		t.Errorf("%d tasks are left", n)
	}
}

// So is who spawns when the tasks there are have used up what they may have of
// the host's memory.
func TestBombOfMemory(t *testing.T) {
	s := load(t, "bomb", wazero.Options{}).boot(t, func(o *kernel.Options) { o.TaskHeap = 1 }, kernel.Stress{}, 0).start(t)
	defer s.close(t)
	if got, want := s.wait(t), "code 0, signal 0\nthreads 0\nerrno 6\nran 0\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Threads that grow the memory, while others use what was added, and others
// begin and end, get each page once.
func TestGrow(t *testing.T) {
	for _, o := range []wazero.Options{{}, {Interpret: wazero.InterpretAlways}} {
		g := load(t, "grow", o)
		const first, last = 39, 256
		want := fmt.Sprintf("code 0, signal 0\npages %d\ntotal %d\n", last, (first+last-1)*(last-first)/2)
		if got := g.run(t, 4); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		s := g.boot(t, nil, kernel.Stress{}, 4).start(t)
		for s.moves() {
			stop, _ := s.stop(t)
			stop.End()
		}
		if got := s.wait(t); got != want {
			t.Errorf("with stops: got %s, want %s", got, want)
		}
		s.close(t)
	}
}

// A module that cannot have threads is told which of their parts it lacks.
func TestRefused(t *testing.T) {
	for _, tt := range []struct{ file, want string }{
		{"refused_start", "import wasi.thread-spawn: the module exports no function wasi_thread_start"},
		{"refused_type", "import wasi.thread-spawn: the module's function wasi_thread_start does not take two i32"},
		{"refused_memory", "import wasi.thread-spawn: the module's memory is not shared"},
	} {
		g := load(t, tt.file, wazero.Options{})
		k := kernel.New((&system{}).options())
		_, err := k.CreateProcess(context.Background(), g.module, kernel.ProcessOptions{Entry: "_start"})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.file, err, tt.want)
		}
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	}
}
