package sandbox

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/spec"
)

// CompileCommand is the first argument of a process that compiles a module.
const CompileCommand = "compile-child"

// A CompileSetup is what such a process is told. The module comes with it.
type CompileSetup struct {
	Out     string `pb:"1"` // an empty directory, to be filled with code
	Jail    string `pb:"2"`
	Counted bool   `pb:"3"` // for tests of guests
	Given   Given  `pb:"4"` // what of a jail the parent has made

	// With Places, not the module is compiled but what frames there go on in, for
	// Patience ns; Entry is the directory with the module's code, to be read.
	Places   []control.Place `pb:"5"`
	Entry    string          `pb:"6"`
	Patience int64           `pb:"7"`
}

// CompileMain is the process that compiles a module: hostile bytes in, code out,
// and nothing else of the host.
func CompileMain() {
	var setup CompileSetup
	conn, files := receiveSetup(CompileCommand, &setup)
	if len(files) != 1 {
		os.Exit(CodeFailed)
	}
	stage := func(what string) { _ = conn.Send(Report{Stage: what}) } // who does not listen has gone: the last one tells
	layers, err := compileJailed(&setup, files[0], stage)
	if conn.Send(Report{Fault: control.FaultOf(Advise(err)), Jail: layers}) != nil || err != nil {
		os.Exit(CodeFailed)
	}
}

func compileJailed(setup *CompileSetup, module *os.File, stage func(string)) (layers []Layer, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = bug(p)
		}
	}()
	if layers, err = shutCompiler(setup); err != nil {
		return layers, err
	}
	b, err := ReadModule(module)
	if err != nil {
		return layers, err
	}
	cache, err := wazero.OpenCache(setup.Out)
	if err != nil {
		return layers, err
	}
	s := spec.Spec{}
	if setup.Counted {
		s.StressUnwind = 1
	}
	ctx := context.Background()
	e, err := wazero.New(ctx, EngineOptions(cache, &s))
	if err != nil {
		return layers, err
	}
	e.Stage = stage
	if len(setup.Places) > 0 {
		err = compileAhead(ctx, e, b, setup, stage)
	} else {
		var m engine.Module
		if m, err = e.Compile(ctx, b); err == nil {
			err = m.Close()
		}
	}
	return layers, errors.Join(err, e.Close(), cache.Close())
}

// StageAll is what a process says that has compiled all that was wanted ahead of
// need, not what there was time and room for.
const StageAll = "all"

// compileAhead compiles what frames at places go on in.
func compileAhead(ctx context.Context, e *wazero.Engine, b []byte, setup *CompileSetup, stage func(string)) error {
	var at []engine.Location
	for _, p := range setup.Places {
		at = append(at, engine.Location{Func: p.Func, Pos: p.Pos})
	}
	end := time.Now().Add(time.Duration(setup.Patience))
	all, err := e.Ahead(ctx, b, setup.Entry, at, func() bool { return time.Now().Before(end) })
	if all {
		stage(StageAll)
	}
	return err
}

// EngineVersion is the version of the engine that code is compiled by, and for.
func EngineVersion() string { return wazero.Version() }

// HotForm reads the rewritten form of a module from a directory that a process
// which compiled it has filled.
func HotForm(dir string, module [32]byte) ([]byte, error) {
	return wazero.HotForm(dir, module, EngineOptions(nil, &spec.Spec{}).Pass)
}
