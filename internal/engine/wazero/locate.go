package wazero

import (
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/instrument"
)

// Where in a function compiled code was when it trapped, nobody knows while it
// runs: a table of that would make code and compiling dearer for all who never
// trap. Code is a function of the module, though. So when a stack is to be
// printed, the functions on it, and only those, are compiled once more, with debug
// information and not to be run, and their places are looked up there.

// maxTraced bounds the code of functions that are compiled once more for one
// trap, in bytes of the original: about a second's worth.
const maxTraced = 512 << 10

// native is where a frame on the engine's stack is.
type native struct {
	nativeFrame
	fn   uint32            // of the original
	site instrument.SiteID // a continuation's
	cont bool              // it is a continuation
}

// A locator finds the positions of frames that were on the engine's stack. Their
// Marks are indices into frames plus one.
type locator struct {
	module *Module
	frames []native
	called bool // the innermost one called something of the engine's, too
}

// nativeTrace is the part of the stack that was the engine's when f failed.
func (t *Thread) nativeTrace(f api.Function) (engine.Trace, *locator, error) {
	var at engine.Trace
	addrs, err := nativeStack(f)
	if err != nil {
		return at, nil, err
	}
	hot, err := codeOf(t.hot.ExportedFunction(instrument.ExportTables))
	if err != nil {
		return at, nil, err
	}
	called, err := codeOf(f)
	if err != nil {
		return at, nil, err
	}
	l := &locator{module: t.module}
	known := make(map[uint64]engine.Location)
	for i, addr := range addrs {
		loc, ok := known[addr]
		if !ok {
			n, ok := t.native(addr, hot, called)
			if !ok {
				continue
			}
			l.called = l.called || len(l.frames) == 0 && i > 0
			l.frames = append(l.frames, n)
			loc = engine.Location{Func: n.fn, Mark: uint32(len(l.frames))}
			known[addr] = loc
		}
		at.Append(loc)
	}
	return at, l, nil
}

// native is the frame of an address, unless it is of code that is not the
// guest's: the engine's own, or that of helpers, which stand for an instruction
// of their caller.
func (t *Thread) native(addr uint64, hot, called *nativeCode) (n native, ok bool) {
	if n.nativeFrame, ok = hot.frame(addr); ok {
		n.fn, ok = t.module.program.OriginalFunc(uint32(hot.imports + n.index))
		return n, ok
	}
	if n.nativeFrame, ok = called.frame(addr); ok {
		n.fn, n.site, n.cont = t.current, t.currentSite, true
	}
	return n, ok
}

// locate fills in the positions of the marked frames, as far as they can be
// known.
func (l *locator) locate(at *engine.Trace) {
	pos := make([]uint32, len(l.frames))
	if err := l.positions(pos); err != nil {
		pos = make([]uint32, len(l.frames)) // then it is said that they are not known
	}
	for _, part := range [][]engine.Location{at.Frames, at.Outer} {
		for i := range part {
			if m := part[i].Mark; m != 0 {
				part[i].Pos, part[i].Mark = pos[m-1], 0
			}
		}
	}
}

// positions finds the position of each frame. The module is compiled with debug
// information in a runtime of its own, which goes at the end.
func (l *locator) positions(pos []uint32) error {
	var fns []uint32
	seen := make(map[uint32]bool)
	size := 0
	var errs []error
	for i, f := range l.frames {
		if f.cont {
			b, marks, err := l.module.program.TraceContinuation(f.site)
			if err == nil {
				err = l.look(b, func(c *nativeCode) error { return l.position(c, i, marks, pos) })
			}
			errs = append(errs, err)
			continue
		}
		if code := l.module.program.CodeSize(f.fn); !seen[f.fn] && size+code <= maxTraced {
			seen[f.fn] = true
			size += code
			fns = append(fns, f.fn)
		}
	}
	if len(fns) == 0 {
		return errors.Join(errs...)
	}
	b, marks, err := l.module.program.TraceHot(fns)
	if err == nil {
		err = l.look(b, func(c *nativeCode) error {
			for i, f := range l.frames {
				if m := marks[f.fn]; m != nil && !f.cont {
					if err := l.position(c, i, m, pos); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	return errors.Join(append(errs, err)...)
}

// look compiles a module to be looked at.
func (l *locator) look(b []byte, do func(*nativeCode) error) error {
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().
		WithCoreFeatures(features).WithMemoryLimitPages(maxPages).WithDebugInfoEnabled(true))
	defer r.Close(ctx)
	m, err := r.CompileModule(l.module.engine.compileContext(ctx), b)
	if err != nil {
		return fmt.Errorf("compile once more: %w", err)
	}
	c, err := codeOfCompiled(m)
	if err != nil {
		return err
	}
	return do(c)
}

// position finds the position of frame i in code that was compiled once more. If
// that is not as long as the code that ran, or what was found in a caller does not
// call, nothing is said.
func (l *locator) position(c *nativeCode, i int, marks *instrument.Marks, pos []uint32) error {
	f := l.frames[i]
	if c.length(f.index) != f.code.length(f.index) {
		return nil
	}
	offset, ok, err := c.source(f.index, f.at)
	if err == nil && ok {
		pos[i] = marks.Pos(offset, i > 0 || l.called)
	}
	return err
}
