package wazero

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/wasm"
)

// A process in a jail can read the cache and not write to it: a continuation that
// it has to compile is compiled again by the next one. So continuations are also
// made ahead of need, by whoever may write, for the places at which frames were
// saved.

// Bounds on what one Ahead makes, in modules, and in bytes of them: native code
// has about six times as many. The less likely ones have a bound of their own.
const (
	maxAhead       = 64
	maxAheadBytes  = 2 << 20
	maxAheadUnsure = 256 << 10
)

// An Ahead says what is to be compiled ahead of need. Its places may be anything:
// those where no frame can be are left out.
type Ahead struct {
	Dir    string            // of a cache that may have what the pass knows of the module
	Places []engine.Location // where frames are
	Made   []engine.Location // places of continuations that there are already
	More   func() bool       // asked before each whether to go on
}

// Ahead compiles into the engine's cache what frames at places of a module will go
// on in if they run long: the loops around them, innermost first, then others that
// they may come to. It tells which continuations it has made, and whether with
// those before they are all.
func (e *Engine) Ahead(ctx context.Context, b []byte, o Ahead) (made []engine.Location, all bool, err error) {
	p, err := e.known(b, o.Dir)
	if err != nil {
		return nil, false, err
	}
	a := aheadRun{Module: newModule(e, p), more: o.More, left: maxAhead, have: make(map[instrument.SiteID]bool)}
	defer func() { err = errors.Join(err, a.closeConts(ctx)) }()
	for _, at := range o.Made {
		if s, err := a.siteAt(at.Func, at.Pos); err == nil {
			a.have[s.id] = true
		}
	}
	likely, unsure := a.ahead(o.Places)
	if all, err = a.compile(ctx, likely, maxAheadBytes); err == nil && all {
		all, err = a.compile(ctx, unsure, maxAheadUnsure)
	}
	return a.made, all, err
}

// An aheadRun is one Ahead under way.
type aheadRun struct {
	*Module
	more func() bool
	left int // how many may still be made
	have map[instrument.SiteID]bool
	made []engine.Location
}

// compile makes continuations of so many bytes in all. It reports whether all that
// fit were made: those that do not will not fit the next time, either.
func (a *aheadRun) compile(ctx context.Context, sites []instrument.SiteID, bytes int) (all bool, err error) {
	for _, id := range sites {
		b, err := a.program.Continuation(id)
		if err != nil {
			return false, err
		}
		if bytes -= len(b); bytes < 0 {
			return true, nil
		}
		if a.have[id] {
			continue
		}
		if a.left == 0 || !a.more() {
			return false, nil
		}
		if _, err := a.compileCont(ctx, id, b); err != nil {
			return false, err
		}
		a.left--
		s := a.sites[id]
		a.made = append(a.made, engine.Location{Func: s.fn, Pos: s.pos})
	}
	return true, nil
}

// known is the program of a module, from the facts in the cache in dir if they are
// there.
func (e *Engine) known(b []byte, dir string) (*instrument.Program, error) {
	digest := sha256.Sum256(b)
	if facts, ok := (&Cache{dir: dir}).get(hotKey(digest, e.opts.Pass) + ".facts"); ok {
		if p, err := instrument.NewFrom(b, digest, e.opts.Pass, facts); err == nil {
			return p, nil
		}
	}
	return instrument.New(b, e.opts.Pass)
}

// ahead lists the continuations that frames at places are likely to need, and
// those that they may need.
func (m *Module) ahead(places []engine.Location) (likely, unsure []instrument.SiteID) {
	seen := make(map[instrument.SiteID]bool)
	add := func(to *[]instrument.SiteID, s *siteInfo) {
		if !seen[s.id] && !s.entry {
			seen[s.id] = true
			*to = append(*to, s.id)
		}
	}
	type rest struct {
		fn    uint32
		loops []loop
	}
	var later []rest
	for _, at := range places {
		s, err := m.siteAt(at.Func, at.Pos)
		if err != nil || s.entry { // none, or one that goes on in the hot form
			continue
		}
		if m.cold(s.fn) == nil {
			add(&likely, s)
		}
		around, others := loopsFrom(m.program.Module().Code[int(s.fn)-m.program.NumImports()].Body, s.pos)
		for _, l := range around {
			if s, err := m.siteAt(s.fn, l.pos); err == nil {
				add(&likely, s)
			}
		}
		later = append(later, rest{s.fn, others})
	}
	for _, r := range later {
		for _, l := range r.loops {
			if s, err := m.siteAt(r.fn, l.pos); err == nil { // a loop in code that is never reached is none
				add(&unsure, s)
			}
		}
	}
	return likely, unsure
}

// A loop is one of a body, from its position to that of its end.
type loop struct{ pos, end uint32 }

// loopsFrom lists the loops of a valid body around a position, innermost first,
// and the others that can be come to from there.
func loopsFrom(body []byte, pos uint32) (around, others []loop) {
	all := loopsOf(body)
	outermost := pos
	for i := len(all) - 1; i >= 0; i-- { // inner loops begin later
		if l := all[i]; l.pos <= pos && pos < l.end {
			around = append(around, l)
			outermost = l.pos
		}
	}
	for _, l := range all {
		if l.pos >= outermost && (l.pos > pos || l.end <= pos) {
			others = append(others, l)
		}
	}
	return around, others
}

// loopsOf lists the loops of a valid body in the order of their positions.
func loopsOf(body []byte) (out []loop) {
	r := wasm.NewReader(body)
	var in wasm.Instr
	var open []int // index in out, or -1 for other blocks
	for pos := uint32(1); r.Next(&in) == nil; pos++ {
		switch in.Op {
		case wasm.OpLoop:
			open = append(open, len(out))
			out = append(out, loop{pos: pos})
		case wasm.OpBlock, wasm.OpIf, wasm.OpTry, wasm.OpTryTable:
			open = append(open, -1)
		case wasm.OpEnd, wasm.OpDelegate:
			if len(open) == 0 {
				return out
			}
			if i := open[len(open)-1]; i >= 0 {
				out[i].end = pos
			}
			open = open[:len(open)-1]
		}
	}
	return out
}

// Continued lists the places of the continuations that were made so far, of at
// most n: where frames of this process ran long.
func (m *Module) Continued(n int) (out []engine.Location) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for id := range m.conts {
		if len(out) == n {
			break
		}
		out = append(out, engine.Location{Func: m.sites[id].fn, Pos: m.sites[id].pos})
	}
	return out
}

// compileCont compiles the continuation of a site.
func (m *Module) compileCont(ctx context.Context, id instrument.SiteID, b []byte) (wazero.CompiledModule, error) {
	c, err := m.engine.code(ctx, b)
	if err != nil {
		return nil, fmt.Errorf("compile continuation of function %d: %w", m.sites[id].fn, err)
	}
	m.conts[id] = c
	return c, nil
}

func (m *Module) closeConts(ctx context.Context) error {
	var errs []error
	for _, c := range m.conts {
		errs = append(errs, c.Close(ctx))
	}
	return errors.Join(errs...)
}
