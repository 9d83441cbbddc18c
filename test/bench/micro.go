package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	plain "github.com/tetratelabs/wazero"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/vfs"
)

// The small measurements run in processes of their own as well, and print
// their tables themselves.

const microVar = "STASIS_BENCH_MICRO"

type microSpec struct {
	Name  string
	Quick bool
	Runs  int
}

func microChild(spec string) {
	var s microSpec
	if err := json.Unmarshal([]byte(spec), &s); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	err := map[string]func(microSpec) error{
		"frames": frames, "loops": loops, "latency": latency, "idle": idle, "hog": hog,
		"exceptions": exceptions, "threads": threading,
	}[s.Name](s)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	fmt.Fprintln(os.NewFile(resultFD, "result"), "{}")
}

func (b *bench) micro(name string) error {
	spec, err := json.Marshal(microSpec{name, b.quick, b.runs})
	if err != nil {
		return err
	}
	_, out, err := runSelf[struct{}](microVar, string(spec), nil)
	os.Stdout.Write(out)
	return err
}

func (b *bench) runFrames() error     { return b.micro("frames") }
func (b *bench) runLoops() error      { return b.micro("loops") }
func (b *bench) runExceptions() error { return b.micro("exceptions") }
func (b *bench) runThreads() error    { return b.micro("threads") }
func (b *bench) runLatency() error    { return b.micro("latency") }
func (b *bench) runIdle() error       { return b.micro("idle") }

// cpu is the CPU time that f takes, user and system.
func cpu(f func()) time.Duration {
	b := used()
	f()
	e := used()
	return e.user - b.user + e.sys - b.sys
}

// A ticks answers the import tick.
type ticks struct{ unwind bool }

func (h *ticks) Call(uint32, []uint64) engine.Action {
	if h.unwind {
		return engine.Unwind
	}
	return engine.Return
}

func compileMicro(withTick bool) (engine.Module, error) {
	ctx := context.Background()
	e, err := wazero.New(ctx, wazero.Options{})
	if err != nil {
		return nil, err
	}
	return e.Compile(ctx, microModule(withTick))
}

func microThread(h engine.Host) (engine.Module, engine.Thread, error) {
	m, err := compileMicro(true)
	if err != nil {
		return nil, nil, err
	}
	t, err := m.New(context.Background(), h, engine.Limits{Stack: 1 << 30}, nil)
	return m, t, err
}

func start(m engine.Module, t engine.Thread, name string, args ...uint64) {
	fn, _, _ := m.Export(name)
	if err := t.Start(fn, args); err != nil {
		panic(err)
	}
}

// runUntil runs a thread until it exits, or waits at an import.
func runUntil(t engine.Thread) (exited bool) {
	for {
		switch ev := t.Run(context.Background()); ev.Kind {
		case engine.Exited:
			return true
		case engine.Trapped:
			panic(ev.Trap)
		}
		if _, _, ok := t.Pending(); ok {
			return false
		}
	}
}

// frames measures unwinds and resumes of stacks of several depths.
func frames(s microSpec) error {
	h := &ticks{}
	m, t, err := microThread(h)
	if err != nil {
		return err
	}
	debug.SetGCPercent(-1)
	fmt.Println("| depth | call and return, ns a frame | unwind, µs a frame | resume, µs a frame | both beyond call and return | stop and go on at the top, µs |")
	fmt.Println("|---|---|---|---|---|---|")
	total := 1_000_000
	if s.Quick {
		total = 100_000
	}
	for _, depth := range []int{10, 100, 1_000, 10_000, 100_000} {
		var base, unwind, resume, top []time.Duration
		n := max(3, total/depth)
		for range s.Runs {
			h.unwind = false
			base = append(base, cpu(func() {
				for range n {
					start(m, t, "deep", uint64(depth), 1)
					runUntil(t)
				}
			}))
			h.unwind = true
			var u, r time.Duration
			if depth >= 1000 {
				for range n {
					start(m, t, "deep", uint64(depth), 1)
					u += cpu(func() { runUntil(t) })
					r += cpu(func() { t.Complete(nil); runUntil(t) })
				}
			} else { // too short to be timed one by one
				b := cpu(func() {
					for range n {
						start(m, t, "deep", uint64(depth), 1)
						runUntil(t)
						t.Complete(nil)
						runUntil(t)
					}
				})
				r = b
			}
			unwind, resume = append(unwind, u), append(resume, r)
			k := total / 100
			start(m, t, "deep", uint64(depth), uint64(k))
			runUntil(t)
			top = append(top, cpu(func() {
				for range k - 1 {
					t.Complete(nil)
					runUntil(t)
				}
			})/time.Duration(k-1))
			h.unwind = false
			t.Complete(nil)
			runUntil(t)
		}
		per := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / float64(n*depth) }
		b, u, r := per(median(base)), per(median(unwind)), per(median(resume))
		us, rs := fmt.Sprintf("%.3f", u/1000), fmt.Sprintf("%.3f", r/1000)
		if u == 0 {
			us = "together"
		}
		fmt.Printf("| %d | %.1f | %s | %s | %.3f | %.2f |\n", depth, b, us, rs, (u+r-b)/1000, float64(median(top).Nanoseconds())/1000)
	}
	cold, err := coldResume()
	fmt.Printf("\na small function goes on at a site for the first time: %.0f µs\n", float64(cold.Nanoseconds())/1000)
	return err
}

// coldResume is what the first resume of a small function takes, whose
// continuation has to be made, compiled and instantiated.
func coldResume() (time.Duration, error) {
	var ds []time.Duration
	for range 31 {
		h := &ticks{unwind: true}
		m, t, err := microThread(h)
		if err != nil {
			return 0, err
		}
		start(m, t, "deep", 0, 1)
		runUntil(t)
		t.Complete(nil)
		ds = append(ds, cpu(func() { runUntil(t) }))
		if err := t.Close(); err != nil {
			return 0, err
		}
	}
	return median(ds), nil
}

// loops compares worst cases to plain wazero.
func loops(s microSpec) error {
	ctx := context.Background()
	m, t, err := microThread(&ticks{})
	if err != nil {
		return err
	}
	rt := plain.NewRuntimeWithConfig(ctx, plain.NewRuntimeConfigCompiler().WithCoreFeatures(features))
	if _, err := rt.NewHostModuleBuilder("env").NewFunctionBuilder().WithFunc(func() {}).Export("tick").Instantiate(ctx); err != nil {
		return err
	}
	p, err := rt.InstantiateWithConfig(ctx, microModule(true), plain.NewModuleConfig().WithStartFunctions()) // _start never ends
	if err != nil {
		return err
	}
	debug.SetGCPercent(-1)
	fmt.Println("| function | plain, ns | ours, ns | ours to plain |")
	fmt.Println("|---|---|---|---|")
	for _, f := range []struct {
		name, what string
		arg, count uint64
	}{
		{"fib", "fib(27), a call", 27, 832_040}, {"deep", "recursion 10,000 deep, a call", 10_000, 10_000},
		{"count", "the shortest loop, an iteration", 20_000_000, 20_000_000},
		{"sum", "load, add, store, an iteration", 10_000_000, 10_000_000},
	} {
		args := []uint64{f.arg}
		call := p.ExportedFunction(f.name) // once: its stack grows, and is kept
		repeat := 1
		if f.name == "fib" {
			repeat = 3
		}
		if f.name == "deep" {
			args, repeat = append(args, 1), 100
		}
		var a, o []time.Duration
		var ratios []float64
		for i := range 1 + 3*s.Runs {
			d := cpu(func() {
				for range repeat {
					if _, err := call.Call(ctx, args...); err != nil {
						panic(err)
					}
				}
			})
			e := cpu(func() {
				for range repeat {
					start(m, t, f.name, args...)
					runUntil(t)
				}
			})
			if i > 0 {
				a, o, ratios = append(a, d), append(o, e), append(ratios, ratio(e, d))
			}
		}
		per := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / float64(f.count) / float64(repeat) }
		fmt.Printf("| %s | %.3f | %.3f | %s |\n", f.what, per(median(a)), per(median(o)), medianOf(ratios).percent())
	}
	return nil
}

// boot starts a kernel with a guest that loops for ever.
func boot() (*kernel.Kernel, *watched, error) {
	m, err := compileMicro(false)
	if err != nil {
		return nil, nil, err
	}
	w := &watched{Module: m}
	k := kernel.New(kernel.Options{Calls: kernel.NewCallTable(nil)})
	if _, err := k.CreateProcess(context.Background(), w, kernel.ProcessOptions{Args: []string{"loop"}, Files: vfs.NewFDTable(3), Entry: "_start"}); err != nil {
		return nil, nil, err
	}
	kernel.OwnCollector()
	return k, w, k.Start()
}

// latency measures from the request of a stop until all stand.
func latency(s microSpec) error {
	k, _, err := boot()
	if err != nil {
		return err
	}
	defer k.Close()
	n := 10_000
	if s.Quick {
		n = 1_000
	}
	fmt.Println("| beside | stops | p50 | p90 | p99 | p99.9 | max |")
	fmt.Println("|---|---|---|---|---|---|---|")
	for hogs := range runtime.NumCPU() + 1 {
		stop, err := startHogs(s, hogs)
		if err != nil {
			return err
		}
		var ds []time.Duration
		deadline := time.Now().Add(time.Minute)
		for len(ds) < n && time.Now().Before(deadline) {
			time.Sleep(50*time.Microsecond + rand.N(200*time.Microsecond))
			begin := time.Now()
			st := k.Tasks().BeginExternalStop()
			err := st.Wait(context.Background())
			ds = append(ds, time.Since(begin))
			st.End()
			if err != nil {
				return err
			}
		}
		stop()
		what := "nothing of ours"
		if hogs > 0 {
			what = fmt.Sprintf("%d busy processes", hogs)
		}
		r := func(d time.Duration) time.Duration { return d.Round(time.Microsecond) }
		fmt.Printf("| %s%s | %d | %v | %v | %v | %v | %v |\n", what, load(), len(ds), r(quantile(ds, 0.5)), r(quantile(ds, 0.9)),
			r(quantile(ds, 0.99)), r(quantile(ds, 0.999)), r(slices.Max(ds)))
	}
	return nil
}

// startHogs starts processes that use a CPU each.
func startHogs(s microSpec, n int) (stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s.Name = "hog"
	spec, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	var stops []func()
	for range n {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), microVar+"="+string(spec))
		in, err := cmd.StdinPipe() // the hog ends when this is closed, whoever closes it
		if err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		stops = append(stops, func() { in.Close(); _ = cmd.Wait() })
	}
	return func() {
		for _, f := range stops {
			f()
		}
	}, nil
}

func hog(microSpec) error {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	//lint:ignore SA5002 it is there to keep a core busy
	for {
	}
}

// idle counts unwinds of a lone loop of which nothing is asked, and what the
// process uses beside it.
func idle(s microSpec) error {
	d := time.Minute
	if s.Quick {
		d = 5 * time.Second
	}
	k, w, err := boot()
	if err != nil {
		return err
	}
	time.Sleep(100 * time.Millisecond)
	before := threads()
	unwinds, begin := w.unwinds(), time.Now()
	time.Sleep(d)
	guest, rest := beside(before, threads())
	wall := time.Since(begin)
	n := w.unwinds() - unwinds
	fmt.Printf("a loop for %.0f s: %d unwinds; the loop's thread used %.1f %% of a CPU, all others of the process %.2f %%\n",
		wall.Seconds(), n, share(guest, wall), share(rest, wall))
	if err := k.Close(); err != nil {
		return err
	}
	return idlePlain(d / 2)
}

// idlePlain is the same on plain wazero, where nothing ticks but Go's runtime.
// Its loop ends with the process.
func idlePlain(d time.Duration) error {
	ctx := context.Background()
	rt := plain.NewRuntimeWithConfig(ctx, plain.NewRuntimeConfigCompiler().WithCoreFeatures(features))
	p, err := rt.InstantiateWithConfig(ctx, microModule(false), plain.NewModuleConfig().WithStartFunctions())
	if err != nil {
		return err
	}
	loop := p.ExportedFunction("_start")
	go func() { _, _ = loop.Call(ctx) }()
	time.Sleep(100 * time.Millisecond)
	before, begin := threads(), time.Now()
	time.Sleep(d)
	guest, rest := beside(before, threads())
	wall := time.Since(begin)
	fmt.Printf("the same loop on plain wazero: its thread used %.1f %% of a CPU, all others of the process %.2f %%\n", share(guest, wall), share(rest, wall))
	return nil
}

func share(d, of time.Duration) float64 { return float64(d) / float64(of) * 100 }

// threads is the CPU time of each thread of the process.
func threads() map[string]time.Duration {
	out := make(map[string]time.Duration)
	names, _ := filepath.Glob("/proc/self/task/*/schedstat")
	for _, f := range names {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseInt(strings.Fields(string(b))[0], 10, 64); err == nil {
			out[f] = time.Duration(n)
		}
	}
	return out
}

// beside is what the busiest thread used between two looks, and all others.
func beside(a, b map[string]time.Duration) (busiest, rest time.Duration) {
	for f, d := range b {
		d -= a[f]
		rest += d
		busiest = max(busiest, d)
	}
	return busiest, rest - busiest
}
