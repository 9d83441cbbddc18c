package wazero

import (
	"context"
	"os"
	"testing"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/enginetest"
)

// counting answers testdata/instance.wat's calls, and notes what is logged.
type counting struct {
	t   *testing.T
	log []uint32
}

func (c *counting) Call(n uint32, stack []uint64) engine.Action {
	switch n {
	case 0:
		c.log = append(c.log, uint32(stack[0]))
	default:
		stack[0] *= 3
	}
	return engine.Return
}

// A purse is a memory.Budget.
type purse struct{ left int }

func (p *purse) Take(n int) bool {
	if n > p.left {
		return false
	}
	p.left -= n
	return true
}

func (p *purse) Give(n int) { p.left += n }

func newInstance(t *testing.T) *Module {
	t.Helper()
	b, err := os.ReadFile("testdata/instance.wasm")
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return enginetest.Compile(t, e, b).(*Module)
}

// ran makes a thread, runs an export of it to its end, whatever that is, and returns
// it and what it has logged.
func ran(t *testing.T, m *Module, export string, limits engine.Limits, st *engine.State) (*Thread, []uint32) {
	t.Helper()
	host := &counting{t: t}
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

// A thread that begins with a state in an instance that another one has left, which had
// changed all that it could, goes on as in a new one.
func TestSpare(t *testing.T) {
	m := newInstance(t)
	first, _ := ran(t, m, "kept", engine.Limits{}, nil)
	st := save(t, first)
	small := len(first.Memory().Bytes())
	other, _ := ran(t, m, "elem", engine.Limits{}, nil) // grows, drops, and traps
	grown := save(t, other)
	grown.Frames, grown.Pending, grown.Returned = nil, nil, nil

	again := func(st *engine.State, want []uint32) {
		t.Helper()
		th, got := ran(t, m, "kept", engine.Limits{}, st)
		defer th.Close()
		if len(got) != len(want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("got %v, want %v", got, want)
			}
		}
	}
	fresh, want := ran(t, m, "kept", engine.Limits{}, st)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	fresh.Memory().Bytes()[small-1] = 1
	if err := fresh.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(m.spares.list); n != 2 {
		t.Fatalf("%d spares", n)
	}
	again(st, want)
	if n := len(m.spares.list); n != 2 {
		t.Errorf("%d spares after one was used", n)
	}
	for _, sp := range m.spares.list {
		for i, b := range sp.mem.Bytes() {
			if b != 0 {
				t.Fatalf("byte %d of a spare is %d", i, b)
			}
		}
	}

	// One that has dropped segments is not kept, and what is larger is not given.
	m.spares.list = nil
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(m.spares.list); n != 0 {
		t.Errorf("%d spares of a thread that has dropped a segment", n)
	}
	grown.Dropped = nil
	larger, err := m.New(t.Context(), &counting{t: t}, engine.Limits{}, grown)
	if err != nil {
		t.Fatal(err)
	}
	if err := larger.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(m.spares.list); n != 1 {
		t.Fatalf("%d spares", n)
	}
	again(st, want)
	if n := len(m.spares.list); n != 2 {
		t.Errorf("%d spares: a state was put into a larger one", n)
	}
}

// A spare counts against no budget, and against that of whoever gets it; what is held is
// none.
func TestSpareBudget(t *testing.T) {
	m := newInstance(t)
	p := &purse{left: 4 * pageSize}
	th, _ := ran(t, m, "kept", engine.Limits{Budget: p}, nil)
	st := save(t, th)
	if p.left != 3*pageSize {
		t.Fatalf("%d bytes are left", p.left)
	}
	release := th.Memory().Hold()
	th.Memory().Bytes()[9] = 9
	held := th.Memory().Bytes()
	if err := th.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(m.spares.list); n != 0 || held[9] != 9 {
		t.Errorf("%d spares of what is held, byte %d", n, held[9])
	}
	release()
	th, _ = ran(t, m, "kept", engine.Limits{Budget: p}, st)
	if err := th.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(m.spares.list); n != 1 || p.left != 4*pageSize {
		t.Fatalf("%d spares, %d bytes left", n, p.left)
	}
	if th, err := m.New(t.Context(), &counting{t: t}, engine.Limits{Budget: &purse{}}, st); err == nil {
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
