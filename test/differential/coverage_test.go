package differential

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/wasm"
	"github.com/stasis-run/stasis/internal/wasmgen"
)

// A coverage counts what modules had in them and what happened to them, so
// that a fast run is not an empty one. Sites and instructions are looked at in
// one module of each sampled; the rest is counted in all.
type coverage struct {
	modules, stopped3 int // all; those stopped three times or more in their own functions
	stops, saves      int
	calls             int // of exported functions of random code
	outcome           map[string]int
	ways              map[string]int

	looked  int            // modules that were sampled
	written map[uint32]int // instructions, by code
	ran     map[uint32]int
	sites   map[string]int // innermost frames, by kind of site
	within  map[string]int // all frames, by the constructs around their site
	depth   int            // frames of all stops
}

// sampled is one in how many modules is looked at closely: that takes longer
// than to compare it.
const sampled = 32

func newCoverage() *coverage {
	return &coverage{
		outcome: map[string]int{}, ways: map[string]int{}, written: map[uint32]int{},
		ran: map[uint32]int{}, sites: map[string]int{}, within: map[string]int{},
	}
}

// run takes in a run through the pass and the reference's trace.
func (v *coverage) run(way string, want *wasmgen.Trace, s *Stops) {
	v.modules++
	v.ways[way]++
	v.stops += s.All
	v.saves += s.Saves
	if s.Own >= 3 {
		v.stopped3++
		v.ways[way+", stopped three times or more"]++
	}
	if want.Start != "" {
		v.calls++
		v.outcome[want.Start]++
	}
	for _, c := range want.Calls {
		if strings.HasPrefix(c.Func, "f") {
			v.calls++
			v.outcome[c.Trap]++
		}
	}
}

// A siteMap names the places of one module.
type siteMap struct {
	kind   map[[2]uint32]string // function and position
	within map[[2]uint32][]wasm.Opcode
	around map[uint32]bool // exported functions, which only call others
}

// mapSites walks through a module's functions.
func mapSites(b []byte) (*siteMap, error) {
	m, err := wasm.Decode(b)
	if err != nil {
		return nil, err
	}
	sm := &siteMap{map[[2]uint32]string{}, map[[2]uint32][]wasm.Opcode{}, map[uint32]bool{}}
	imports := uint32(m.NumImports(wasm.ExternFunc))
	for _, x := range m.Exports {
		if x.Kind == wasm.ExternFunc {
			sm.around[x.Index] = true
		}
	}
	for i := range m.Code {
		fn, pos := imports+uint32(i), uint32(0)
		sm.kind[[2]uint32{fn, 0}] = "entry"
		err := wasm.Walk(m, i, func(in *wasm.Instr, s *wasm.State) error {
			pos++
			sm.kind[[2]uint32{fn, pos}] = in.Op.String()
			for _, c := range s.Ctrls[1:] {
				sm.within[[2]uint32{fn, pos}] = append(sm.within[[2]uint32{fn, pos}], c.Op)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return sm, nil
}

// stop takes in the stack of a thread that was stopped.
func (v *coverage) stop(t testing.TB, sm *siteMap, th engine.Thread) {
	st, err := th.Save()
	if err != nil {
		t.Error(err)
		return
	}
	for i, f := range st.Frames {
		if sm.around[f.Func] {
			continue
		}
		v.depth++
		at := [2]uint32{f.Func, f.Pos}
		if i == len(st.Frames)-1 {
			v.sites[sm.kind[at]]++
		}
		seen := map[wasm.Opcode]bool{}
		for _, op := range sm.within[at] {
			if !seen[op] {
				v.within[op.String()]++
			}
			seen[op] = true
		}
		if len(sm.within[at]) == 0 {
			v.within["none"]++
		}
	}
}

// String is the report.
func (v *coverage) String() string {
	var b strings.Builder
	pct := func(n, of int) string { return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(max(1, of))) }
	fmt.Fprintf(&b, "%d modules, %d stops, %d saved and woken; %s stopped three times or more in random code\n",
		v.modules, v.stops, v.saves, pct(v.stopped3, v.modules))
	fmt.Fprintf(&b, "%d calls of random functions, by how they ended:\n%s", v.calls, table(v.outcome, v.calls))
	fmt.Fprintf(&b, "modules by way:\n%s", table(v.ways, v.modules))
	if v.looked == 0 {
		return b.String()
	}
	n := 0
	for _, k := range v.sites {
		n += k
	}
	fmt.Fprintf(&b, "in %d sampled modules:\n%d stops, %.1f frames each, by the innermost frame's site:\n%s",
		v.looked, n, float64(v.depth)/float64(max(1, n)), table(v.sites, n))
	fmt.Fprintf(&b, "their frames, by a construct around the site:\n%s", table(v.within, v.depth))
	written, ran := 0, 0
	var never []string
	for _, op := range wasmgen.AllOps() {
		if v.written[op] > 0 {
			written++
		}
		if v.ran[op] > 0 {
			ran++
		} else {
			never = append(never, wasm.Opcode(op).String())
		}
	}
	fmt.Fprintf(&b, "%d instructions written, %d executed, of %d", written, ran, len(wasmgen.AllOps()))
	if len(never) > 0 {
		fmt.Fprintf(&b, "; never executed: %s", strings.Join(never, " "))
	}
	fmt.Fprintf(&b, "\nexecuted, by instruction:\n")
	for _, op := range slices.Sorted(maps.Keys(v.ran)) {
		fmt.Fprintf(&b, " %v %d", wasm.Opcode(op), v.ran[op])
	}
	return b.String()
}

// table lists counts, the largest first.
func table(m map[string]int, of int) string {
	var b strings.Builder
	keys := slices.SortedFunc(maps.Keys(m), func(x, y string) int { return m[y] - m[x] })
	for _, k := range keys {
		name := k
		if k == "" {
			name = "returned"
		}
		fmt.Fprintf(&b, "  %8d  %5.1f %%  %s\n", m[k], 100*float64(m[k])/float64(max(1, of)), name)
	}
	return b.String()
}

// look takes in the instructions of one module, written and run.
func (c *comparer) look(ctx context.Context, seed uint64) {
	r := runOf(seed)
	cfg := c.shape(seed)
	cfg.Encoding = r.encoding
	v := c.cover
	v.looked++
	wasmgen.GenerateSeed(seed, wasmgen.CountOps(cfg, v.written, false))
	b := wasmgen.GenerateSeed(seed, wasmgen.CountOps(cfg, nil, true))
	e := &Engine{Limits: limits, Shared: c.engine(ctx, ways[0], true)}
	for op, n := range wasmgen.Marks(wasmgen.Execute(ctx, e, b, seed).Host) {
		v.ran[op] += n
	}
}

// check holds the whole run to what makes it worth something.
func (v *coverage) check(t *testing.T) {
	trapped := v.calls - v.outcome[""] - v.outcome[wasmgen.Uncaught]
	want := 94            // the others have too few safepoints, or trap first
	if v.modules < 1000 { // chance has its share
		want = 92
	}
	if v.stopped3*100 < v.modules*want {
		t.Errorf("%d of %d modules were stopped three times or more; want %d %%", v.stopped3, v.modules, want)
	}
	if trapped*5 > v.calls {
		t.Errorf("%d of %d calls trapped; want a fifth at most", trapped, v.calls)
	}
}

// unsupported finds out what the pass does not take yet, and says so.
func (c *comparer) unsupported(ctx context.Context) (without wasmgen.Feature) {
	e := c.engine(ctx, ways[0], true)
	for _, x := range []struct {
		name    string
		feature wasmgen.Feature
		m       *wasm.Module
	}{
		{"exceptions, try_table", wasmgen.Exceptions, throwing(0x1f, 0x40, 0, 0x08, 0, 0x0b, 0x0b)},
		{"exceptions, legacy", wasmgen.Exceptions, throwing(0x06, 0x40, 0x08, 0, 0x0b, 0x0b)},
		{"atomics", wasmgen.Atomics, func() *wasm.Module {
			m := throwing(0x41, 0, 0xfe, 0x10, 2, 0, 0x1a, 0x0b)
			m.Memories = []wasm.Limits{{Min: 1, Max: 1, HasMax: true, Shared: true}}
			return m
		}()},
	} {
		m, err := e.Compile(ctx, wasm.Encode(x.m))
		switch {
		case err == nil:
			closed(c.t, m.Close())
		case errors.Is(err, engine.ErrUnsupported):
			c.t.Logf("left out: %s: %v", x.name, err)
			without |= x.feature
		default:
			c.t.Fatalf("%s: %v", x.name, err)
		}
	}
	return without
}

// throwing is a module of one function and one tag.
func throwing(body ...byte) *wasm.Module {
	return &wasm.Module{
		Types: []wasm.FuncType{{}}, Funcs: []uint32{0}, Tags: []uint32{0}, Code: []wasm.Code{{Body: body}},
	}
}
