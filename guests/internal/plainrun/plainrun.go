// Package plainrun runs a WASI program on wazero as it comes, without anything
// of ours: what a guest prints there is what it must print everywhere.
package plainrun

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// Options say what to run.
type Options struct {
	Args  []string // with the program's name first
	Env   []string // NAME=value
	Stdin string
	Root  string // a directory of the host, as the guest's /
}

// A Result is what came of it.
type Result struct {
	Stdout, Stderr string
	Exit           uint32
	Compile, Run   time.Duration
	CPU            time.Duration // user and system, of the whole process while it ran
}

// A Module tells what a program is made of.
type Module struct {
	Functions int      // defined, without the imports
	Imports   []string // MODULE.NAME, sorted
}

var compiled = sync.OnceValue(wazero.NewCompilationCache)

// Run runs the program in a file to its end. A trap, or ctx's end, is an error.
func Run(ctx context.Context, path string, o Options) (Result, error) {
	var res Result
	r := runtime(ctx)
	defer r.Close(context.WithoutCancel(ctx))
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, r); err != nil {
		return res, err
	}
	m, err := compile(ctx, r, path, &res)
	if err != nil {
		return res, err
	}
	var stdout, stderr bytes.Buffer
	cfg := wazero.NewModuleConfig().WithName("").WithArgs(o.Args...).WithStdin(strings.NewReader(o.Stdin)).
		WithStdout(&stdout).WithStderr(&stderr).WithSysWalltime().WithSysNanotime().WithSysNanosleep().WithRandSource(rand.Reader).
		WithFSConfig(wazero.NewFSConfig().WithDirMount(o.Root, "/"))
	for _, e := range o.Env {
		k, v, _ := strings.Cut(e, "=")
		cfg = cfg.WithEnv(k, v)
	}
	begin, cpu := time.Now(), cpuTime()
	_, err = r.InstantiateModule(ctx, m, cfg)
	res.Run, res.CPU = time.Since(begin), cpuTime()-cpu
	res.Stdout, res.Stderr = stdout.String(), stderr.String()
	var exit *sys.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		res.Exit, err = exit.ExitCode(), nil
	}
	if err != nil {
		return res, fmt.Errorf("%s: %w", path, err)
	}
	return res, nil
}

// Inspect tells what a binary is made of.
func Inspect(ctx context.Context, module []byte) (Module, error) {
	var mod Module
	r := runtime(ctx)
	defer r.Close(ctx)
	m, err := r.CompileModule(ctx, module)
	if err != nil {
		return mod, err
	}
	for _, f := range m.ImportedFunctions() {
		from, name, _ := f.Import()
		mod.Imports = append(mod.Imports, from+"."+name)
	}
	slices.Sort(mod.Imports)
	mod.Functions, err = functions(module)
	return mod, err
}

// functions reads the count in the function section.
func functions(module []byte) (int, error) {
	for b := module[8:]; len(b) > 0; {
		size, n := binary.Uvarint(b[1:])
		if n <= 0 || int(size) > len(b)-1-n {
			return 0, errors.New("bad section")
		}
		if b[0] == 3 {
			count, _ := binary.Uvarint(b[1+n:])
			return int(count), nil
		}
		b = b[1+n+int(size):]
	}
	return 0, nil
}

// runtime refuses what the guests must not use for now: it has the features of
// WebAssembly 2.0 less SIMD, and so neither threads nor exceptions nor tail calls.
func runtime(ctx context.Context) wazero.Runtime {
	features := api.CoreFeaturesV2.SetEnabled(api.CoreFeatureSIMD, false)
	return wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().
		WithCoreFeatures(features).WithCompilationCache(compiled()).WithCloseOnContextDone(false))
}

func compile(ctx context.Context, r wazero.Runtime, path string, res *Result) (wazero.CompiledModule, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	m, err := r.CompileModule(ctx, b)
	res.Compile = time.Since(begin)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}
