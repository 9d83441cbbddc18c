package realmodules

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	wz "github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/wasm"
)

// Describe notes what the module itself says.
func (r *Result) Describe(module []byte) error {
	m, err := wasm.Decode(module)
	if err != nil {
		return err
	}
	r.Size, r.Functions = int64(len(module)), len(m.Code)
	add := func(name string, has bool) {
		if has {
			r.Features = append(r.Features, name)
		}
	}
	add("exceptions", len(m.Tags) > 0)
	add("Asyncify", slices.ContainsFunc(m.Exports, func(e wasm.Export) bool { return e.Name == "asyncify_start_unwind" }))
	add("wasi_unstable", slices.ContainsFunc(m.Imports, func(i wasm.Import) bool { return i.Module == "wasi_unstable" }))
	return nil
}

// Measure compiles a module as Stasis does, and as plain wazero does, with
// nothing cached and in a directory of its own each, and notes how much CPU time
// that takes (the machine may be busy with other things) and how much native
// code comes of it.
func (r *Result) Measure(ctx context.Context, module []byte, dir string) (err error) {
	if r.Compile, r.Native, err = compile(ctx, module, filepath.Join(dir, "ours")); err != nil {
		return err
	}
	r.Plain, r.Bare, err = compilePlain(ctx, module, filepath.Join(dir, "plain"))
	r.Machine, r.Date = runtime.GOARCH, time.Now().Format(time.DateOnly)
	return err
}

func compile(ctx context.Context, module []byte, dir string) (time.Duration, int64, error) {
	cache, err := wazero.OpenCache(dir)
	if err != nil {
		return 0, 0, err
	}
	defer cache.Close()
	e, err := wazero.New(ctx, wazero.Options{Cache: cache})
	if err != nil {
		return 0, 0, err
	}
	defer e.Close()
	start := cpu()
	m, err := e.Compile(ctx, module)
	if err != nil {
		return 0, 0, err
	}
	took := cpu() - start
	defer m.Close()
	n, err := largest(dir)
	return took, n, err
}

// cpu is the CPU time of this process so far.
func cpu() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err) // the arguments are right
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// compilePlain reports 0 of a module that plain wazero refuses. Debug information is
// left out, as the pass leaves it out: wazero would keep tables for it.
func compilePlain(ctx context.Context, module []byte, dir string) (time.Duration, int64, error) {
	m, err := wasm.Decode(module)
	if err != nil {
		return 0, 0, err
	}
	m.Customs = nil
	module = wasm.Encode(m)
	cache, err := wz.NewCompilationCacheWithDir(dir)
	if err != nil {
		return 0, 0, err
	}
	defer cache.Close(ctx)
	features := api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall | experimental.CoreFeaturesExtendedConst
	r := wz.NewRuntimeWithConfig(ctx, wz.NewRuntimeConfigCompiler().WithCoreFeatures(features).WithCompilationCache(cache))
	defer r.Close(ctx)
	start := cpu()
	code, err := r.CompileModule(ctx, module)
	if err != nil {
		return 0, 0, nil
	}
	took := cpu() - start
	defer code.Close(ctx)
	n, err := largest(dir)
	return took, n, err
}

// largest is the size of the largest file of native code: the module's. Those of
// the functions that a host gives are small.
func largest(dir string) (size int64, err error) {
	dirs, err := filepath.Glob(filepath.Join(dir, "wazero-*"))
	if err != nil {
		return 0, err
	}
	for _, d := range dirs {
		err := fs.WalkDir(os.DirFS(d), ".", func(_ string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			info, err := e.Info()
			if err == nil {
				size = max(size, info.Size())
			}
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	return size, nil
}
