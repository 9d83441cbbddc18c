// Package guest stops small guests at every single safepoint. Each guest in
// testdata (the .wat is the source of the .wasm beside it) is one idea; its
// export "run" logs as it goes. Wherever it is stopped, saved and woken, it has
// to log, return, trap and leave behind what it does when left alone.
package guest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/enginetest"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/protostruct"
)

// maxStops is how many safepoints of a guest are tried one by one, and how
// many there are in its chain at most.
const maxStops = 2000

// shortStops is that with -short.
const shortStops = 60

// budgets are stacks that a guest's frames fit into, where that matters.
var budgets = map[string]int64{"overflow": 64 << 10}

// A world answers a guest's imports and keeps its log. What it answers depends
// on nothing but the arguments and how much was logged, so it can go on where
// another one was.
type world struct {
	names  []string
	memory func() []byte // the guest's
	log    []uint32
	calls  int
	unwind int // the call that is unwound before it is made; 0 none, -1 each
}

func newWorld(m engine.Module) *world {
	w := &world{}
	for _, im := range m.Imports() {
		w.names = append(w.names, im.Name)
	}
	return w
}

func (w *world) Call(fn uint32, stack []uint64) engine.Action {
	w.calls++
	if w.unwind == -1 || w.unwind == w.calls {
		return engine.Unwind
	}
	w.answer(fn, stack)
	return engine.Return
}

func (w *world) answer(fn uint32, stack []uint64) {
	note := func(v uint32) { w.log = append(w.log, v) }
	switch w.names[fn] {
	case "log", "num":
		note(uint32(stack[0]))
	case "get":
		note(uint32(stack[0]) | 1<<31)
		stack[0] = uint64(uint32(stack[0])*5+uint32(len(w.log))) % 11
	case "pair":
		j := stack[0]
		stack[0], stack[1] = j>>61|uint64(len(w.log))&1, j*0x9e3779b97f4a7c15
	case "ref":
		stack[0] = uint64(uint32(stack[0])) + 1000
	case "fd_write":
		stack[0] = uint64(w.write(uint32(stack[0]), uint32(stack[1]), uint32(stack[2]), uint32(stack[3])))
	case "fd_close", "fd_seek", "proc_exit":
		panic("nothing here calls " + w.names[fn])
	}
}

// write is WASI's fd_write: what is written is logged, a byte an entry, with the
// number of the file.
func (w *world) write(fd, iovs, n, done uint32) (errno uint32) {
	mem, total := w.memory(), uint32(0)
	for i := range n {
		at, size := binary.LittleEndian.Uint32(mem[iovs+8*i:]), binary.LittleEndian.Uint32(mem[iovs+8*i+4:])
		for _, c := range mem[at : at+size] {
			w.log = append(w.log, fd<<8|uint32(c))
		}
		total += size
	}
	binary.LittleEndian.PutUint32(mem[done:], total)
	return 0
}

// A machine runs one guest of a module.
type machine struct {
	t      *testing.T
	module engine.Module
	limits engine.Limits
	world  *world
	thread engine.Thread
	coded  bool // states go through JSON
}

type counter interface {
	SetEvery(int32)
	Left() int
}

func newMachine(t *testing.T, m engine.Module, limits engine.Limits) *machine {
	x := &machine{t: t, module: m, limits: limits, world: newWorld(m)}
	x.world.memory = func() []byte { return x.thread.Memory().Bytes() }
	var err error
	if x.thread, err = m.New(context.Background(), x.world, limits, nil); err != nil {
		t.Fatal(err)
	}
	fn, _, ok := m.Export("run")
	if !ok {
		if fn, _, ok = m.Export("_start"); !ok {
			t.Fatal("no export run, and no _start")
		}
	}
	var before []uint32
	if initialize, _, ok := m.Export("_initialize"); ok {
		before = append(before, initialize)
	}
	if err := x.thread.Start(fn, nil, before...); err != nil {
		t.Fatal(err)
	}
	return x
}

// wake goes on with a new thread made of the old one's state, in another world
// where the log goes on.
func (x *machine) wake() {
	x.t.Helper()
	st, err := x.thread.Save()
	if err != nil {
		x.t.Fatalf("save: %v", err)
	}
	if x.coded {
		st = recode(x.t, st)
	}
	memory := bytes.Clone(x.thread.Memory().Bytes())
	if err := x.thread.Close(); err != nil {
		x.t.Fatal(err)
	}
	w := *x.world
	w.log = slices.Clone(w.log)
	x.world = &w
	if x.thread, err = x.module.New(context.Background(), x.world, x.limits, st); err != nil {
		x.t.Fatalf("restore: %v", err)
	}
	copy(x.thread.Memory().Bytes(), memory)
}

// recode has a state written and read as in an image.
func recode(t *testing.T, st *engine.State) *engine.State {
	t.Helper()
	b, err := protostruct.Marshal(st)
	if err != nil {
		t.Fatal(err)
	}
	out := new(engine.State)
	if err := protostruct.Unmarshal(b, out); err != nil {
		t.Fatal(err)
	}
	if again, err := protostruct.Marshal(out); err != nil || !bytes.Equal(again, b) {
		t.Fatalf("a state does not survive its encoding: %+v, %+v, %v", st, out, err)
	}
	return out
}

// run runs until the guest ends, with stopped called at each unwind.
func (x *machine) run(stopped func()) string {
	x.t.Helper()
	for {
		ev := x.thread.Run(context.Background())
		if ev.Kind != engine.Unwound {
			return x.outcome(ev)
		}
		stopped()
		x.complete()
	}
}

// complete answers the call that the guest waits for, if it does.
func (x *machine) complete() {
	fn, args, ok := x.thread.Pending()
	if !ok {
		return
	}
	n := len(x.module.Imports()[fn].Type.Results)
	stack := append(slices.Clone(args), make([]uint64, n)...)
	x.world.answer(fn, stack)
	x.thread.Complete(stack[:n])
}

// outcome is all that can be seen of a guest that ended.
func (x *machine) outcome(ev engine.Event) string {
	var b strings.Builder
	if ev.Kind == engine.Trapped {
		// wazero tells 30 frames of a native stack, so how many there are in all
		// depends on how much of it was in records.
		top := strings.SplitAfterN(ev.Trap.Stack(), "\n", 21)
		fmt.Fprintf(&b, "trap: %s\n%s", ev.Trap.Message, strings.Join(top[:min(20, len(top))], ""))
	} else {
		fmt.Fprintf(&b, "results: %x\n", ev.Results)
	}
	fmt.Fprintf(&b, "log: %d\n", x.world.log)
	st, err := x.thread.Save()
	if err != nil {
		x.t.Fatal(err)
	}
	fmt.Fprintf(&b, "globals: %+v\ntables: %+v\ndropped: %+v\n", st.Globals, st.Tables, st.Dropped)
	mem := x.thread.Memory().Bytes()
	fmt.Fprintf(&b, "memory: %d bytes, hash %x\n", len(mem), hash(mem))
	if err := x.thread.Close(); err != nil {
		x.t.Fatal(err)
	}
	return b.String()
}

// hash is quick: memories are large and there are many.
func hash(b []byte) (h uint64) {
	for ; len(b) >= 8; b = b[8:] {
		w := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		h = (h ^ w) * 0x9e3779b97f4a7c15
		h ^= h >> 29
	}
	return h
}

func compile(t *testing.T, b []byte, o wazero.Options) engine.Module {
	t.Helper()
	e, err := wazero.New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return enginetest.Compile(t, e, b)
}

// stepsOf spreads at most limit stops over n: each, if there are no more.
func stepsOf(n, limit int) []int {
	if n <= limit {
		limit = n
	}
	var out []int
	for i := 1; i <= limit; i++ {
		out = append(out, i)
	}
	for i := 1; i <= 8 && n > limit; i++ { // and a few in the rest
		out = append(out, limit+(n-limit)*i/8)
	}
	return out
}

// forms are the ways in which frames go on.
var forms = []wazero.Options{
	{Pass: instrument.Options{Counted: true, PeelLimit: -1}, Interpret: wazero.InterpretNone},
	{Pass: instrument.Options{Counted: true}, Interpret: wazero.InterpretBriefly},
	{Pass: instrument.Options{Counted: true}, Interpret: wazero.InterpretAlways},
}

// A guest that is stopped, saved and woken anywhere does what it does when
// left alone.
func TestGuests(t *testing.T) {
	files, err := filepath.Glob("testdata/*.wasm")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d guests: %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".wasm")
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			everyForm(t, name, b, func(*world) {})
		})
	}
}

// everyForm runs a guest left alone, has that looked at, and compares with it
// what the guest does when it is stopped, in each form.
func everyForm(t *testing.T, name string, b []byte, look func(*world)) {
	limits := engine.Limits{Stack: budgets[name]}
	plain := newMachine(t, compile(t, b, wazero.Options{}), limits)
	want := plain.run(func() { // only where the engine's own stack ends
		if name != "deep" && name != "overflow" {
			t.Error("stopped without having been asked to")
		}
	})
	look(plain.world)
	for _, f := range forms {
		if f.Pass.PeelLimit != 0 && (name == "deep" || name == "overflow") {
			continue // they have no loops
		}
		g := &guest{t, compile(t, b, f), limits, want, name}
		t.Run(fmt.Sprintf("peel %d, interpret %d", f.Pass.PeelLimit, f.Interpret), g.test)
	}
}

// A guest is one module in one form of the pass.
type guest struct {
	t      *testing.T
	module engine.Module
	limits engine.Limits
	want   string
	name   string
}

func (g *guest) test(t *testing.T) {
	limit := maxStops
	if strings.HasPrefix(g.name, "cxx-") {
		limit = 6000 // each of them
	}
	if testing.Short() {
		limit = shortStops
	}
	if g.name == "deep" && testing.Short() {
		limit = 5
	}
	stops := g.everywhere(t)
	if g.name != "deep" && g.name != "overflow" { // whose stacks are taken apart anyway
		stops = min(stops, g.alone(t))
	}
	x := newMachine(t, g.module, g.limits)
	g.check(t, "calls counted", x.run(func() {}))
	calls := x.world.calls

	for _, k := range stepsOf(stops, limit) {
		g.at(t, k, 0)
	}
	for _, k := range stepsOf(calls, limit) {
		g.at(t, 0, k)
	}
	if g.name == "deep" {
		limit = min(limit, 20) // a state is megabytes
	}
	g.chain(t, max(1, stops/limit))
	t.Logf("%d safepoints, %d calls", stops, calls)
}

func (g *guest) check(t *testing.T, how, got string) {
	t.Helper()
	if got != g.want {
		t.Fatalf("%s:\n%s\nleft alone:\n%s", how, clip(got), clip(g.want))
	}
}

// clip leaves out the middle of what is long.
func clip(s string) string {
	if len(s) > 4000 {
		return s[:2000] + "…" + s[len(s)-2000:]
	}
	return s
}

// alone counts the safepoints of compiled code: the interpreter looks at every
// iteration of loops that compiled code looks at less often.
func (g *guest) alone(t *testing.T) (stops int) {
	x := newMachine(t, g.module, g.limits)
	const never = 1 << 30
	x.thread.(counter).SetEvery(never)
	x.run(func() {})
	return never - x.thread.(counter).Left()
}

// everywhere unwinds at every safepoint and call, and counts the safepoints.
func (g *guest) everywhere(t *testing.T) (stops int) {
	x := newMachine(t, g.module, g.limits)
	x.thread.(counter).SetEvery(1)
	x.world.unwind = -1
	g.check(t, "stopped everywhere", x.run(func() {
		if _, _, ok := x.thread.Pending(); !ok {
			stops++
		}
	}))
	return stops
}

// at saves and wakes the guest once: at safepoint k, or before call c.
func (g *guest) at(t *testing.T, k, c int) {
	t.Helper()
	x := newMachine(t, g.module, g.limits)
	x.coded = g.name != "deep" // its states are megabytes
	x.thread.(counter).SetEvery(int32(k))
	x.world.unwind = c
	n := 0
	got := x.run(func() {
		if n++; n == 1 {
			x.wake() // the new thread counts nothing
			x.world.unwind = 0
		}
	})
	if n == 0 {
		t.Fatalf("safepoint %d, call %d: not stopped", k, c)
	}
	g.check(t, fmt.Sprintf("woken at safepoint %d, call %d", k, c), got)
}

// chain saves and wakes the guest at every n-th safepoint, one after the other.
func (g *guest) chain(t *testing.T, n int) {
	x := newMachine(t, g.module, g.limits)
	if n == 1 {
		x.world.unwind = -1
	}
	x.thread.(counter).SetEvery(int32(n))
	g.check(t, "chain", x.run(func() {
		x.wake()
		x.thread.(counter).SetEvery(int32(n))
	}))
}
