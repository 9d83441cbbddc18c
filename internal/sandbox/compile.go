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
	// Patience ns, without what was Made before; Entry is the directory with the
	// module's code, to be read.
	Places   []control.Place `pb:"5"`
	Entry    string          `pb:"6"`
	Patience int64           `pb:"7"`
	Made     []control.Place `pb:"8"`
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
	var r Report
	err := compileJailed(&setup, files[0], stage, &r)
	r.Fault = control.FaultOf(Advise(err))
	if conn.Send(r) != nil || err != nil {
		os.Exit(CodeFailed)
	}
}

func compileJailed(setup *CompileSetup, module *os.File, stage func(string), r *Report) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = bug(p)
		}
	}()
	if r.Jail, err = shutCompiler(setup); err != nil {
		return err
	}
	b, err := ReadModule(module)
	if err != nil {
		return err
	}
	cache, err := wazero.OpenCache(setup.Out)
	if err != nil {
		return err
	}
	s := spec.Spec{}
	if setup.Counted {
		s.StressUnwind = 1
	}
	ctx := context.Background()
	e, err := wazero.New(ctx, EngineOptions(cache, &s))
	if err != nil {
		return err
	}
	e.Stage = stage
	if len(setup.Places) > 0 {
		err = compileAhead(ctx, e, b, setup, r)
	} else {
		var m engine.Module
		if m, err = e.Compile(ctx, b); err == nil {
			err = m.Close()
		}
	}
	return errors.Join(err, e.Close(), cache.Close())
}

// compileAhead compiles what frames at places go on in.
func compileAhead(ctx context.Context, e *wazero.Engine, b []byte, setup *CompileSetup, r *Report) error {
	end := time.Now().Add(time.Duration(setup.Patience))
	made, all, err := e.Ahead(ctx, b, wazero.Ahead{
		Dir: setup.Entry, Places: locations(setup.Places), Made: locations(setup.Made),
		More: func() bool { return time.Now().Before(end) },
	})
	r.Made, r.All = placesAt(made), all
	return err
}

func locations(places []control.Place) (out []engine.Location) {
	for _, p := range places {
		out = append(out, engine.Location{Func: p.Func, Pos: p.Pos})
	}
	return out
}

func placesAt(at []engine.Location) (out []control.Place) {
	for _, l := range at {
		out = append(out, control.Place{Func: l.Func, Pos: l.Pos})
	}
	return out
}

// EngineVersion is the version of the engine that code is compiled by, and for.
func EngineVersion() string { return wazero.Version() }

// HotForm reads the rewritten form of a module from a directory that a process
// which compiled it has filled.
func HotForm(dir string, module [32]byte) ([]byte, error) {
	return wazero.HotForm(dir, module, EngineOptions(nil, &spec.Spec{}).Pass)
}
