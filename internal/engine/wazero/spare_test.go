package wazero

import (
	"context"
	"slices"
	"testing"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/memory"
)

// counting answers testdata/instance.wat's calls, and notes what is logged.
type counting struct{ log []uint32 }

func (c *counting) Call(n uint32, stack []uint64) engine.Action {
	switch n {
	case 0:
		c.log = append(c.log, uint32(stack[0]))
	default:
		stack[0] *= 3
	}
	return engine.Return
}

// ran makes a thread, runs an export of it to its end, whatever that is, and returns
// it and what it has logged.
func ran(t *testing.T, m *Module, export string, limits engine.Limits, st *engine.State) (*Thread, []uint32) {
	t.Helper()
	host := new(counting)
	th, err := m.New(t.Context(), host, limits, st)
	if err != nil {
		t.Fatal(err)
	}
	fn, _, ok := m.Export(export)
	if !ok {
		t.Fatalf("no export %s", export)
	}
	if err := th.Start(fn, nil); err != nil {
		t.Fatal(err)
	}
	th.Run(context.Background())
	return th.(*Thread), host.log
}

func save(t *testing.T, th engine.Thread) *engine.State {
	t.Helper()
	st, err := th.Save()
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func closed(t *testing.T, threads ...engine.Thread) {
	t.Helper()
	for _, th := range threads {
		if err := th.Close(); err != nil {
			t.Error(err)
		}
	}
}

func wantSpares(t *testing.T, m *Module, want int) {
	t.Helper()
	if n := len(m.spares.list); n != want {
		t.Fatalf("%d spares, want %d", n, want)
	}
	for _, sp := range m.spares.list {
		if !memory.IsZero(sp.mem.Bytes()) {
			t.Error("the memory of a spare is not zero")
		}
	}
}

// A thread that begins with a state in an instance that another one has left, where
// globals and tables are different, goes on as in a new one.
func TestSpare(t *testing.T) {
	m := testModule(t, "instance", Options{})
	first, _ := ran(t, m, "kept", engine.Limits{}, nil)
	st, other := save(t, first), save(t, first)
	if st.Globals[0].Value.Lo == 5 || st.Tables[0].Items[0] == 0 {
		t.Fatalf("the state is %+v", st)
	}
	other.Globals[0].Value.Lo, other.Tables[0].Items[1] = 5, 0
	second, want := ran(t, m, "kept", engine.Limits{}, st) // in a new one
	third, wantOther := ran(t, m, "kept", engine.Limits{}, other)
	for _, th := range []*Thread{first, second, third} {
		b := th.Memory().Bytes()
		b[0], b[len(b)-1] = 1, 1
	}
	if slices.Equal(want, wantOther) {
		t.Fatalf("both states tell %v", want)
	}
	closed(t, first, second, third)
	wantSpares(t, m, maxSpares)
	for range 2 {
		for _, c := range []struct {
			st   *engine.State
			want []uint32
		}{{st, want}, {other, wantOther}} {
			th, got := ran(t, m, "kept", engine.Limits{}, c.st)
			wantSpares(t, m, maxSpares-1)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if now := save(t, th); !slices.Equal(now.Tables[0].Items[1:], c.st.Tables[0].Items[1:]) {
				t.Errorf("table %v, want %v", now.Tables[0].Items, c.st.Tables[0].Items)
			}
			closed(t, th)
			wantSpares(t, m, maxSpares)
		}
	}
}

// What an instance can have become that no state brings back keeps it from being used:
// segments that were dropped, and sizes.
func TestSpareIsLarger(t *testing.T) {
	m := testModule(t, "instance", Options{})
	small, _ := ran(t, m, "kept", engine.Limits{}, nil)
	st := save(t, small)
	other, _ := ran(t, m, "elem", engine.Limits{}, nil) // grows, drops, and traps
	grown := save(t, other)
	grown.Frames, grown.Pending, grown.Returned = nil, nil, nil
	closed(t, other)
	wantSpares(t, m, 0)
	grown.Dropped = nil
	larger, _ := ran(t, m, "kept", engine.Limits{}, grown)
	closed(t, larger)
	wantSpares(t, m, 1)
	th, _ := ran(t, m, "kept", engine.Limits{}, st)
	wantSpares(t, m, 1)
	if n := len(th.Memory().Bytes()); uint64(n) != st.MemorySize {
		t.Errorf("%d bytes of memory, want %d", n, st.MemorySize)
	}
	again, _ := ran(t, m, "kept", engine.Limits{}, grown)
	wantSpares(t, m, 0)
	if n := len(again.Memory().Bytes()); uint64(n) != grown.MemorySize {
		t.Errorf("%d bytes of memory, want %d", n, grown.MemorySize)
	}
	closed(t, th, again, small)
}

// A spare counts against no budget, and against that of whoever gets it; what is held is
// none.
func TestSpareBudget(t *testing.T) {
	m := testModule(t, "instance", Options{})
	p := &pagesLeft{left: 4 * pageSize}
	th, _ := ran(t, m, "kept", engine.Limits{Budget: p}, nil)
	st := save(t, th)
	if p.left != 3*pageSize {
		t.Fatalf("%d bytes are left", p.left)
	}
	release := th.Memory().Hold()
	th.Memory().Bytes()[9] = 9
	held := th.Memory().Bytes()
	closed(t, th)
	wantSpares(t, m, 0)
	if held[9] != 9 {
		t.Errorf("a byte of what is held is %d", held[9])
	}
	release()
	th, _ = ran(t, m, "kept", engine.Limits{Budget: p}, st)
	closed(t, th)
	wantSpares(t, m, 1)
	if p.left != 4*pageSize {
		t.Errorf("%d bytes are left", p.left)
	}
	if th, err := m.New(t.Context(), new(counting), engine.Limits{Budget: &pagesLeft{}}, st); err == nil {
		t.Error("a spare was given to one whose budget is spent")
		th.Close()
	}
	if err := m.spares.close(); err != nil {
		t.Fatal(err)
	}
	if len(m.spares.list) != 0 || m.spares.room() {
		t.Error("a closed module keeps spares")
	}
}
