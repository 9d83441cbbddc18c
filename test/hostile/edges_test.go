package hostile

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/wasm"
)

// What toolchains emit at the edges of what the format allows.

// A waiter is a host whose calls block, and give 7 when they are completed.
type waiter struct{}

func (waiter) Call(uint32, []uint64) engine.Action { return engine.Unwind }

// An edge is a module that runs as systems do: it is saved, and woken by another
// engine.
type edge struct {
	*testing.T
	m    engine.Module
	host engine.Host
	wake int // how often it was woken
}

func newEdge(t *testing.T, m *wasm.Module, how wazero.Interpret) *edge {
	t.Helper()
	e, err := wazero.New(context.Background(), wazero.Options{Pass: instrument.Options{Counted: true}, Interpret: how})
	if err != nil {
		t.Fatal(err)
	}
	mod, err := e.Compile(context.Background(), wasm.Encode(m))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(mod.Close(), e.Close()); err != nil {
			t.Error(err)
		}
	})
	return &edge{T: t, m: mod, host: host{}}
}

// run calls main, which is stopped at its n-th safepoint, saved and woken, and again
// so many safepoints later if often is true; with n 0 it is left alone.
func (e *edge) run(n int32, often bool) uint64 {
	e.Helper()
	th, err := e.m.New(context.Background(), e.host, engine.Limits{}, nil)
	if err != nil {
		e.Fatal(err)
	}
	defer func() { th.Close() }()
	fn, _, _ := e.m.Export("main")
	if err := th.Start(fn, nil); err != nil {
		e.Fatal(err)
	}
	for every := n; ; {
		th.(*wazero.Thread).SetEvery(every)
		ev := th.Run(context.Background())
		switch ev.Kind {
		case engine.Exited:
			if len(ev.Results) != 1 {
				e.Fatalf("results %v", ev.Results)
			}
			return ev.Results[0]
		case engine.Trapped, engine.Threw:
			e.Fatalf("stopped each %d: %v\n%s", n, ev.Trap, ev.Trap.Stack())
		}
		th = e.woken(th)
		if _, _, pending := th.Pending(); pending {
			th.Complete([]uint64{7})
		} else if !often {
			every = 0
		}
	}
}

// woken is another thread, made of what this one saves.
func (e *edge) woken(th engine.Thread) engine.Thread {
	e.Helper()
	st, err := th.Save()
	if err != nil {
		e.Fatal(err)
	}
	next, err := e.m.New(context.Background(), e.host, engine.Limits{}, st)
	if err != nil {
		e.Fatal(err)
	}
	if from, to := th.Memory().Bytes(), next.Memory().Bytes(); len(from) == len(to) && len(from) < 1<<30 {
		copy(to, from)
	} else if len(from) != len(to) {
		e.Fatalf("memory of %d bytes, was %d", len(to), len(from))
	} else { // what is used of it, at both ends
		copy(to[:1<<16], from)
		copy(to[len(to)-1<<16:], from[len(from)-1<<16:])
	}
	if err := th.Close(); err != nil {
		e.Fatal(err)
	}
	e.wake++
	return next
}

// loop runs body n times, with a local counting down.
func loop(c code, counter uint64, n int, body func(code) code) code {
	c = c.op(wasm.OpI32Const, uint64(n)).op(wasm.OpLocalSet, counter).op(wasm.OpLoop)
	c = body(c).op(wasm.OpLocalGet, counter).op(wasm.OpI32Const, 1).op(wasm.OpI32Sub).op(wasm.OpLocalTee, counter)
	return c.op(wasm.OpBrIf, 0).op(wasm.OpEnd)
}

// Ten thousand locals, all of which live through a loop, and are summed up.
func TestManyLocals(t *testing.T) {
	const locals, rounds = 10_000, 5
	var body code
	for i := range locals {
		body = body.op(wasm.OpI32Const, uint64(i)).op(wasm.OpLocalSet, uint64(i))
	}
	body = loop(body, locals, rounds, func(c code) code {
		for i := 0; i < locals; i += 1000 {
			c = c.op(wasm.OpLocalGet, uint64(i)).op(wasm.OpI32Const, 1).op(wasm.OpI32Add).op(wasm.OpLocalSet, uint64(i))
		}
		return c
	})
	body = body.op(wasm.OpI32Const, 0)
	for i := range locals {
		body = body.op(wasm.OpLocalGet, uint64(i)).op(wasm.OpI32Add)
	}
	m := program(body, func(m *wasm.Module) { m.Code[0].Locals = []wasm.LocalRun{{N: locals + 1, Type: wasm.I32}} })
	want := uint64(locals*(locals-1)/2 + rounds*locals/1000)
	for how, stops := range map[wazero.Interpret][]int32{ // continuations of this function take seconds to compile
		wazero.InterpretCold: {0, 1, 2, 3}, wazero.InterpretNone: {2},
	} {
		e := newEdge(t, m, how)
		for _, n := range stops {
			if got := e.run(n, true); got != want {
				t.Errorf("interpret %d, stopped each %d safepoints: %d, want %d", how, n, got, want)
			}
		}
		if e.wake == 0 {
			t.Error("it was never woken")
		}
	}
}

// A function of 650 calls, woken at each of them.
func TestManySites(t *testing.T) {
	const sites = 650
	var body code
	body = body.op(wasm.OpI32Const, 0)
	want := uint64(0)
	for i := range sites { // what is live at a call differs from call to call
		body = body.op(wasm.OpI32Const, uint64(i)).op(wasm.OpCall, 1).op(wasm.OpI32Add)
		if i%3 == 0 {
			body = body.op(wasm.OpLocalTee, uint64(i%7)).op(wasm.OpLocalGet, uint64((i+3)%7)).op(wasm.OpI32Xor)
		}
	}
	m := program(body, func(m *wasm.Module) {
		m.Types = append(m.Types, wasm.FuncType{Params: []wasm.ValType{wasm.I32}, Results: []wasm.ValType{wasm.I32}})
		m.Funcs = append(m.Funcs, 1)
		twice := loop(nil, 1, 1, func(c code) code {
			return c.op(wasm.OpLocalGet, 0).op(wasm.OpLocalGet, 0).op(wasm.OpI32Add).op(wasm.OpLocalSet, 0)
		})
		m.Code[0].Locals = []wasm.LocalRun{{N: 7, Type: wasm.I32}}
		m.Code = append(m.Code, wasm.Code{Locals: []wasm.LocalRun{{N: 1, Type: wasm.I32}}, Body: twice.op(wasm.OpLocalGet, 0).op(wasm.OpEnd)})
	})
	at := make([]int, sites)
	for i := range at {
		at[i] = i + 1
	}
	if testing.Short() {
		rand.Shuffle(sites, func(i, j int) { at[i], at[j] = at[j], at[i] })
		at = at[:100]
	}
	e := newEdge(t, m, wazero.InterpretCold)
	want = e.run(0, false)
	if compiled := newEdge(t, m, wazero.InterpretNone); compiled.run(0, false) != want {
		t.Error("two engines differ")
	} else {
		for _, n := range at[:min(len(at), 20)] { // each compiles the rest of the function
			if got := compiled.run(int32(n), false); got != want {
				t.Errorf("compiled, saved at safepoint %d: %d, want %d", n, got, want)
			}
		}
	}
	for _, n := range at {
		if got := e.run(int32(n), false); got != want {
			t.Errorf("saved at safepoint %d: %d, want %d", n, got, want)
		}
	}
	if e.wake != len(at) {
		t.Errorf("woken %d times, want %d", e.wake, len(at))
	}
}

// Fifty thousand functions, in a chain of calls through all of them.
func TestManyFunctions(t *testing.T) {
	n := 50_000
	if testing.Short() {
		n = 5000
	}
	m := program(code(nil).op(wasm.OpI32Const, uint64(n-1)).op(wasm.OpCall, 1), func(m *wasm.Module) {
		m.Types = append(m.Types, wasm.FuncType{Params: []wasm.ValType{wasm.I32}, Results: []wasm.ValType{wasm.I32}})
		for i := range n {
			next := code(nil).op(wasm.OpLocalGet, 0).op(wasm.OpI32Const, uint64(i)).op(wasm.OpI32Add)
			if i+1 < n {
				next = next.op(wasm.OpCall, uint64(i+2))
			} else { // the last one can be stopped, so all can
				next = loop(next.op(wasm.OpLocalSet, 0), 1, 3, func(c code) code { return c }).op(wasm.OpLocalGet, 0)
			}
			m.Funcs = append(m.Funcs, 1)
			m.Code = append(m.Code, wasm.Code{Locals: []wasm.LocalRun{{N: 1, Type: wasm.I32}}, Body: next.op(wasm.OpEnd)})
		}
	})
	e := newEdge(t, m, wazero.InterpretCold)
	want := uint64(uint32(n - 1 + n*(n-1)/2))
	for _, stop := range []int32{0, 1} {
		if got := e.run(stop, false); got != want {
			t.Errorf("stopped at safepoint %d: %d, want %d", stop, got, want)
		}
	}
	if e.wake != 1 {
		t.Errorf("woken %d times", e.wake)
	}
}

// A memory of as many pages as the engine can have, written at both ends.
func TestLargestMemory(t *testing.T) {
	const pages = 65_535
	last := uint64(pages<<16 - 4)
	body := code(nil).op(wasm.OpI32Const, uint64(int64(int32(uint32(last))))).op(wasm.OpI32Const, 30).op(wasm.OpI32Store, 2, 0)
	body = body.op(wasm.OpI32Const, 0).op(wasm.OpI32Const, 12).op(wasm.OpI32Store, 2, 0)
	body = loop(body, 0, 40, func(c code) code { return c }) // small ones look at each fourth iteration
	body = body.op(wasm.OpI32Const, uint64(int64(int32(uint32(last))))).op(wasm.OpI32Load, 2, 0)
	body = body.op(wasm.OpI32Const, 0).op(wasm.OpI32Load, 2, 0).op(wasm.OpI32Add)
	body = body.op(wasm.OpI32Const, 1).op(wasm.OpMemoryGrow).op(wasm.OpI32Add) // by one more: -1
	for _, limits := range []wasm.Limits{{Min: pages}, {Min: pages, HasMax: true, Max: 65_536}} {
		m := program(body, func(m *wasm.Module) {
			m.Memories = []wasm.Limits{limits}
			m.Code[0].Locals = []wasm.LocalRun{{N: 1, Type: wasm.I32}}
		})
		e := newEdge(t, m, wazero.InterpretCold)
		for n := range int32(3) {
			if got := e.run(n, true); got != 41 {
				t.Errorf("%+v, stopped each %d safepoints: %d, want 41", limits, n, got)
			}
		}
		if e.wake < 3 {
			t.Errorf("woken %d times", e.wake)
		}
	}
}

// A start function that blocks is saved in its call, goes on, and main comes after.
func TestStartBlocks(t *testing.T) {
	start := code(nil).op(wasm.OpCall, 0).op(wasm.OpGlobalSet, 0)
	m := &wasm.Module{
		Types:   []wasm.FuncType{{Results: []wasm.ValType{wasm.I32}}, {}},
		Imports: []wasm.Import{{Module: "env", Name: "wait", Kind: wasm.ExternFunc}},
		Funcs:   []uint32{1, 0},
		Start:   new(uint32),
		Exports: []wasm.Export{{Name: "main", Kind: wasm.ExternFunc, Index: 2}},
		Globals: []wasm.Global{{Type: wasm.GlobalType{Type: wasm.I32, Mutable: true}, Init: code(nil).op(wasm.OpI32Const, 1).op(wasm.OpEnd)}},
		Code: []wasm.Code{
			{Body: start.op(wasm.OpEnd)},
			{Body: code(nil).op(wasm.OpGlobalGet, 0).op(wasm.OpCall, 0).op(wasm.OpI32Add).op(wasm.OpEnd)},
		},
	}
	*m.Start = 1
	e := newEdge(t, m, wazero.InterpretCold)
	e.host = waiter{}
	for n := range int32(4) {
		if got := e.run(n, true); got != 14 {
			t.Errorf("stopped each %d safepoints: %d, want 14", n, got)
		}
	}
	if e.wake < 8 { // twice a run, at the calls
		t.Errorf("woken %d times", e.wake)
	}
}

// A name section tells people something; one that is broken keeps nothing from
// running, and a name that is not there is a number.
func TestBrokenNames(t *testing.T) {
	one := code(nil).op(wasm.OpUnreachable)
	name := func(s string) string { return string(wasm.AppendU32(nil, uint32(len(s)))) + s }
	functions := func(s string) string { return "\x01" + name(s) }
	for what, c := range map[string]struct{ section, want string }{
		"absent":                       {"", "main"}, // as it is exported
		"there":                        {functions("\x01\x00" + name("crash")), "crash"},
		"empty":                        {"\x01", ""},
		"cut short":                    {functions("\x01\x00" + name("crash"))[:6], ""},
		"longer than the section":      {"\x01\xff\xff\xff\x7f\x01\x00\x05crash", ""},
		"2^32 - 1 names":               {functions("\xff\xff\xff\xff\x0f\x00" + name("crash")), ""},
		"of a function that is not":    {functions("\x01\xff\x01" + name("crash")), "main"},
		"twice for a function":         {functions("\x02\x00" + name("crash") + "\x00" + name("other")), ""},
		"no UTF-8":                     {functions("\x01\x00" + name("\xff\xfe")), ""},
		"control characters":           {functions("\x01\x00" + name("a\x1b[2Jb")), ""},
		"locals before functions":      {"\x02" + name("\x00") + functions("\x01\x00"+name("crash")), ""},
		"a kind that nobody knows":     {"\x7f" + name("abc") + functions("\x01\x00"+name("crash")), ""},
		"no bytes at all in a section": {functions(""), ""},
	} {
		m := program(one, func(m *wasm.Module) { m.Exports[0].Name = "main" })
		b := wasm.Encode(m)
		if what != "absent" {
			content := name("name") + c.section
			b = append(append(b, 0), name(content)...)
		}
		mod, err := newMachine(t).compile(b)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		th, err := mod.New(context.Background(), host{}, engine.Limits{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := th.Start(0, nil); err != nil {
			t.Fatal(err)
		}
		ev := th.Run(context.Background())
		if ev.Kind != engine.Trapped || !strings.Contains(ev.Trap.Stack(), c.want) {
			t.Errorf("%s: %+v, want a trap in %q", what, ev, c.want)
		}
		if err := errors.Join(th.Close(), mod.Close()); err != nil {
			t.Error(err)
		}
	}
}

// Two exports of one name are no module.
func TestDuplicateExports(t *testing.T) {
	for _, kind := range []wasm.ExternKind{wasm.ExternFunc, wasm.ExternMemory} {
		m := program(code(nil).op(wasm.OpI32Const, 1), func(m *wasm.Module) {
			m.Memories = []wasm.Limits{{Min: 1}}
			m.Exports = append(m.Exports, wasm.Export{Name: "main", Kind: kind})
		})
		_, err := newMachine(t).compile(wasm.Encode(m))
		if err == nil || !strings.Contains(err.Error(), "duplicate") || !strings.Contains(err.Error(), "main") {
			t.Errorf("%v: error %v, want one that says that main is there twice", kind, err)
		}
	}
}
