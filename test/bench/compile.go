package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	plain "github.com/tetratelabs/wazero"

	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/wasm"
)

// runCompile measures the time and the code that the pass adds.
func (b *bench) runCompile() error {
	fmt.Println("| module | code, KB | hot form | native, KB | hot form | pass, MB/s of code | plain compile, s | pass and compile |")
	fmt.Println("|---|---|---|---|---|---|---|---|")
	seen := make(map[string]bool)
	var wasmSizes, nativeSizes, times [][]float64
	for i := range b.programs {
		p := &b.programs[i]
		if seen[p.Program()] {
			continue
		}
		seen[p.Program()] = true
		wasmSize, hotSize, native, hotNative, err := b.codeSizes(p)
		if err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		var passes, plains []time.Duration
		var ratios []float64
		for range max(1, b.runs/2) {
			a, o, err := compileBoth(p.path)
			if err != nil {
				return err
			}
			plains, passes = append(plains, a.User), append(passes, o.Pass)
			ratios = append(ratios, ratio(o.User, a.User))
		}
		wr, nr := float64(hotSize)/float64(wasmSize), float64(hotNative)/float64(native)
		wasmSizes, nativeSizes, times = append(wasmSizes, []float64{wr}), append(nativeSizes, []float64{nr}), append(times, ratios)
		t := medianOf(ratios)
		fmt.Printf("| %s | %.0f | %s | %.0f | %s | %.1f | %.2f | ×%.2f (%.2f…%.2f) |\n", p.Program(), float64(wasmSize)/1e3, percent(wr),
			float64(native)/1e3, percent(nr), float64(wasmSize)/1e6/median(passes).Seconds(), median(plains).Seconds(), t.mid, t.lo, t.hi)
	}
	fmt.Printf("| geometric mean | | %s | | %s | | | ×%.2f |\n", percent(geomeanOf(wasmSizes).mid), percent(geomeanOf(nativeSizes).mid), geomeanOf(times).mid)
	return nil
}

// compileBoth compiles a module plain and through the pass, at the same time on
// one CPU.
func compileBoth(file string) (plain, ours childResult, err error) {
	g := newGate(2)
	var wg sync.WaitGroup
	var errs [2]error
	wg.Go(func() { plain, _, errs[0] = (&childSpec{File: file, Compile: true, Gated: true, gate: g}).run() })
	wg.Go(func() {
		ours, _, errs[1] = (&childSpec{File: file, Compile: true, Ours: true, Gated: true, gate: g}).run()
	})
	wg.Wait()
	return plain, ours, errors.Join(errs[:]...)
}

// codeSizes are the sizes of the code sections' bodies and of the native code
// made of them. The native sizes are those of the engine's cache entries, which
// hold little else.
func (b *bench) codeSizes(p *program) (code, hot int, native, hotNative int64, err error) {
	orig, err := os.ReadFile(p.path)
	if err != nil {
		return 0, 0, 0, 0, err
	}
	prog, err := instrument.New(orig, instrument.Options{})
	if err != nil {
		return 0, 0, 0, 0, err
	}
	h, err := prog.Hot()
	if err != nil {
		return 0, 0, 0, 0, err
	}
	hm, err := wasm.Decode(h)
	if err != nil {
		return 0, 0, 0, 0, err
	}
	bare := *prog.Module()
	bare.Customs = nil // wazero keeps tables for debug information
	if native, err = b.nativeSize(wasm.Encode(&bare)); err == nil {
		hotNative, err = b.nativeSize(h)
	}
	return bodies(prog.Module()), bodies(hm), native, hotNative, err
}

func bodies(m *wasm.Module) (n int) {
	for i := range m.Code {
		n += len(m.Code[i].Body)
	}
	return n
}

func (b *bench) nativeSize(module []byte) (int64, error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp(b.tmp, "native-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	c, err := plain.NewCompilationCacheWithDir(dir)
	if err != nil {
		return 0, err
	}
	defer c.Close(ctx)
	rt := plain.NewRuntimeWithConfig(ctx, plain.NewRuntimeConfigCompiler().WithCoreFeatures(features).WithCompilationCache(c))
	defer rt.Close(ctx)
	if _, err := rt.CompileModule(ctx, module); err != nil {
		return 0, err
	}
	names, err := filepath.Glob(filepath.Join(dir, "wazero-*", "*"))
	if err != nil {
		return 0, err
	}
	n := int64(0)
	for _, f := range names {
		st, err := os.Stat(f)
		if err != nil {
			return 0, err
		}
		n += st.Size()
	}
	return n, nil
}
