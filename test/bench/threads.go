package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	plain "github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/syscalls/wasi"
	"github.com/stasis-run/stasis/internal/vfs"
)

//go:embed testdata/threads.wasm
var threadModule []byte

// threading compares what threads do to plain wazero's, by turns. That has no
// wasi-threads: two goroutines play against each other there, in one instance. Times
// of those that wait are of the wall.
func threading(s microSpec) error {
	debug.SetGCPercent(-1)
	theirs, err := newPlainThreads()
	if err != nil {
		return err
	}
	e, err := newMicroEngine()
	if err != nil {
		return err
	}
	m, err := e.Compile(context.Background(), threadModule)
	if err != nil {
		return err
	}
	ours := func(export string, n int) error { return kernelCall(m, export, n) }
	fmt.Println("| what | plain, ns | ours, ns | ours to plain |")
	fmt.Println("|---|---|---|---|")
	for _, row := range []struct {
		export, what string
		n            int
		both         bool
		theirs       func(string, int) error
	}{
		{"plain", "a load, an addition and a store in a shared memory, in a loop", 10_000_000, true, theirs.call},
		{"add", "an atomic addition, in a loop", 10_000_000, true, theirs.call},
	} {
		if err := compareRow(s, row.what, row.both, row.export, row.n, row.n, ours, row.theirs); err != nil {
			return err
		}
	}
	for _, row := range []struct {
		export, what string
		n            int
		theirs       func(n int) error
	}{
		{"pingpong", "there and back between two threads that wait for each other (wall)", 20_000, theirs.pingpong},
		{"spawns", "a thread made, ended and waited for (wall)", 2_000, nil},
	} {
		if err := compareWall(s, row.export, row.what, row.n, ours, row.theirs); err != nil {
			return err
		}
	}
	return nil
}

// compareWall is compareRow for what waits.
func compareWall(s microSpec, export, what string, n int, ours func(string, int) error, theirs func(int) error) error {
	if s.Quick {
		n /= 10
	}
	var a, o []time.Duration
	var ratios []float64
	for i := range 1 + s.Runs {
		var d time.Duration
		if theirs != nil {
			begin := time.Now()
			if err := theirs(n); err != nil {
				return fmt.Errorf("%s, plain: %w", export, err)
			}
			d = time.Since(begin)
		}
		begin := time.Now()
		if err := ours(export, n); err != nil {
			return fmt.Errorf("%s: %w", export, err)
		}
		if e := time.Since(begin); i > 0 {
			a, o, ratios = append(a, d), append(o, e), append(ratios, ratio(e, max(d, 1)))
		}
	}
	bare, to := "", "it has none"
	if theirs != nil {
		bare, to = fmt.Sprintf("%.0f", float64(median(a))/float64(n)), medianOf(ratios).percent()
	}
	fmt.Printf("| %s | %s | %.0f | %s |\n", what, bare, float64(median(o))/float64(n), to)
	return nil
}

// newMicroEngine is an engine without a cache.
func newMicroEngine() (*wazero.Engine, error) {
	return wazero.New(context.Background(), wazero.Options{})
}

// kernelCall runs an export as a process, with its threads.
func kernelCall(m engine.Module, export string, n int) error {
	k := kernel.New(kernel.Options{Calls: kernel.NewCallTable(wasi.Calls(wasi.Options{}))})
	defer k.Close()
	_, err := k.CreateProcess(context.Background(), m, kernel.ProcessOptions{
		Args: []string{"bench"}, Files: vfs.NewFDTable(3), Entry: export, EntryArgs: []uint64{uint64(n)},
	})
	if err != nil {
		return err
	}
	if err := k.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	st, err := k.Init().Wait(ctx)
	if err == nil && st.Trap != nil {
		err = st.Trap
	}
	return err
}

// plainThreads is the module on plain wazero.
type plainThreads struct {
	m    api.Module
	side [2]api.Function
}

func newPlainThreads() (*plainThreads, error) {
	ctx := context.Background()
	rt := plain.NewRuntimeWithConfig(ctx, plain.NewRuntimeConfigCompiler().WithCoreFeatures(features|experimental.CoreFeaturesThreads))
	spawn := func(context.Context, int32) int32 { return -1 }
	if _, err := rt.NewHostModuleBuilder("wasi").NewFunctionBuilder().WithFunc(spawn).Export("thread-spawn").Instantiate(ctx); err != nil {
		return nil, err
	}
	m, err := rt.InstantiateWithConfig(ctx, threadModule, plain.NewModuleConfig().WithStartFunctions())
	if err != nil {
		return nil, err
	}
	return &plainThreads{m, [2]api.Function{m.ExportedFunction("side"), m.ExportedFunction("side")}}, nil
}

func (p *plainThreads) call(export string, n int) error {
	_, err := p.m.ExportedFunction(export).Call(context.Background(), uint64(n))
	return err
}

// pingpong has two goroutines play.
func (p *plainThreads) pingpong(n int) error {
	var errs [2]error
	var wg sync.WaitGroup
	for me := range p.side {
		wg.Go(func() { _, errs[me] = p.side[me].Call(context.Background(), uint64(me), uint64(n)) })
	}
	wg.Wait()
	return errors.Join(errs[0], errs[1])
}
