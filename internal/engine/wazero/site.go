package wazero

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/tetratelabs/wazero"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/wasm"
)

// siteInfo is what a resume needs to know about a site. It is immutable, but
// for ran.
type siteInfo struct {
	id      instrument.SiteID
	fn      uint32
	pos     uint32
	entry   bool
	site    instrument.Site
	wire    []instrument.Wire
	params  int      // wire values that are parameters of the continuation
	results int      // 64-bit words of results that the continuation takes
	returns []uint64 // per 64-bit word of results that it gives: the bits that mean something
	size    int64    // of the frame, in the portable measure
	markers int
	ran     atomic.Int64 // instructions interpreted from here to the next loop's head
}

// Ids of entries of functions without sites follow those of all sites.

// entryID is the id of a function's entry.
func (m *Module) entryID(fn uint32) instrument.SiteID {
	if id, ok := m.program.EntrySite(fn); ok {
		return id
	}
	return instrument.SiteID(m.program.NumSites()) + instrument.SiteID(fn)
}

// site describes a site; m keeps what it tells.
func (m *Module) site(id instrument.SiteID) (*siteInfo, error) {
	m.mu.RLock()
	s := m.sites[id]
	m.mu.RUnlock()
	if s != nil {
		return s, nil
	}
	s, err := m.describe(id)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	m.sites[id] = s
	m.mu.Unlock()
	return s, nil
}

// knownSite is site for one that is in a record: those are checked when they come
// in, and others are of our own code's making.
func (m *Module) knownSite(id instrument.SiteID) *siteInfo {
	s, err := m.site(id)
	if err != nil {
		panic(fmt.Sprintf("engine: %v", err))
	}
	return s
}

// A siteName is what a site is called in records that leave the process.
type siteName struct{ fn, pos uint32 }

// siteAt describes the site of a name.
func (m *Module) siteAt(fn, pos uint32) (*siteInfo, error) {
	name := siteName{fn, pos}
	m.mu.RLock()
	s := m.named[name]
	m.mu.RUnlock()
	if s != nil {
		return s, nil
	}
	site, err := m.program.SiteAt(fn, pos)
	if err != nil {
		return nil, err
	}
	if s, err = m.site(site.ID); err != nil {
		return nil, err
	}
	m.mu.Lock()
	m.named[name] = s
	m.mu.Unlock()
	return s, nil
}

func (m *Module) describe(id instrument.SiteID) (*siteInfo, error) {
	s := &siteInfo{id: id}
	if n := m.program.NumSites(); int(id) >= n {
		fn := uint32(int(id) - n)
		t, ok := m.program.Module().FuncType(fn)
		if !ok {
			return nil, fmt.Errorf("site %d: no such site", id)
		}
		s.site = instrument.Site{ID: id, Func: fn}
		for i, p := range t.Params {
			s.site.Live = append(s.site.Live, instrument.Slot{Index: uint32(i), Type: p})
		}
	} else {
		var err error
		if s.site, err = m.program.Site(id); err != nil {
			return nil, err
		}
	}
	t, _ := m.program.Module().FuncType(s.site.Func)
	s.fn, s.pos, s.entry = s.site.Func, s.site.Pos, s.site.Kind == instrument.SiteEntry
	s.wire = s.site.WireOrder()
	s.params = instrument.ContParams(s.wire)
	s.results = words(s.site.Results)
	s.returns = masks(t.Results)
	s.markers = m.program.Markers(s.fn)
	s.size = int64(m.program.FrameSize(s.fn))
	return s, nil
}

// words is the number of 64-bit words that values travel in.
func words(ts []wasm.ValType) int {
	n := len(ts)
	for _, t := range ts {
		if t == wasm.V128 {
			n++
		}
	}
	return n
}

// masks has the bits that mean something of each word that values travel in:
// the engine leaves the upper half of others as it was.
func masks(ts []wasm.ValType) []uint64 {
	var out []uint64
	for _, t := range ts {
		switch instrument.Lowered(t) {
		case wasm.I32, wasm.F32:
			out = append(out, 0xffffffff)
		case wasm.V128:
			out = append(out, ^uint64(0), ^uint64(0))
		default:
			out = append(out, ^uint64(0))
		}
	}
	return out
}

// cont finds the continuation of a site, or makes it, in a module of its own:
// its code is then the same whatever else was on the stack, and is found in the
// cache by the next process that stops there.
func (m *Module) cont(ctx context.Context, id instrument.SiteID) (wazero.CompiledModule, error) {
	m.mu.RLock()
	c, ok := m.conts[id]
	m.mu.RUnlock()
	if ok {
		return c, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if c, ok := m.conts[id]; ok {
		return c, nil
	}
	b, err := m.program.Continuation(id)
	if err != nil {
		return nil, err
	}
	return m.compileCont(ctx, id, b)
}

// frame describes a record in terms of the original module.
func (s *siteInfo) frame(vals []uint64) engine.Frame {
	f := engine.Frame{Func: s.fn, Pos: s.pos, Values: make([]engine.Slot, len(s.site.Live))}
	for i, l := range s.site.Live {
		f.Values[i] = engine.Slot{Operand: l.Operand, Index: l.Index, Caught: l.Caught, Value: engine.Value{Type: l.Type}}
	}
	for i, w := range s.wire {
		v := &f.Values[w.Live].Value
		if w.High {
			v.Hi = vals[i]
		} else {
			v.Lo = vals[i]
		}
	}
	return f
}

// values is the inverse of frame: a record's values in wire order. A frame may
// hold more than the site needs, in any order, but nothing of another type.
func (t *Thread) values(s *siteInfo, f *engine.Frame) ([]uint64, error) {
	type key struct {
		operand, caught bool
		index           uint32
	}
	have := make(map[key]engine.Value, len(f.Values))
	for _, v := range f.Values {
		have[key{v.Operand, v.Caught, v.Index}] = v.Value
	}
	if len(have) < len(f.Values) {
		return nil, errors.New("a value is there twice")
	}
	out := make([]uint64, len(s.wire))
	for i, w := range s.wire {
		l := s.site.Live[w.Live]
		v, ok := have[key{l.Operand, l.Caught, l.Index}]
		if !ok {
			return nil, fmt.Errorf("%v is missing", slotName(l))
		}
		if v.Type != l.Type {
			return nil, fmt.Errorf("%v: type %v, want %v", slotName(l), v.Type, l.Type)
		}
		if err := t.checkValue(v); err != nil {
			return nil, fmt.Errorf("%v: %w", slotName(l), err)
		}
		out[i] = v.Lo
		if w.High {
			out[i] = v.Hi
		}
	}
	return out, nil
}

func slotName(l instrument.Slot) string {
	if l.Caught {
		return fmt.Sprintf("what the catch at position %d has caught", l.Index)
	}
	if l.Operand {
		return fmt.Sprintf("operand %d", l.Index)
	}
	return fmt.Sprintf("local %d", l.Index)
}

// checkValue refuses bits that no value of the type has.
func (t *Thread) checkValue(v engine.Value) error {
	if instrument.IsException(v.Type) {
		return t.checkException(v)
	}
	switch instrument.Lowered(v.Type) {
	case wasm.I32, wasm.F32:
		if v.Lo>>32 != 0 {
			return fmt.Errorf("%#x is no value of type %v", v.Lo, v.Type)
		}
		if v.Type.IsRef() {
			return checkFunc(v.Lo, v.Type, t.module.program)
		}
	}
	return nil
}

// checkException checks the number of an exception.
func (t *Thread) checkException(v engine.Value) error {
	if v.Lo == 0 && v.Type.Nullable() {
		return nil
	}
	if t.byName(v.Lo) == nil {
		return fmt.Errorf("there is no exception %d", v.Lo)
	}
	return nil
}

// checkFunc checks the number of a function reference.
func checkFunc(n uint64, t wasm.ValType, p *instrument.Program) error {
	if n == 0 {
		if !t.Nullable() {
			return fmt.Errorf("null is no value of type %v", t)
		}
		return nil
	}
	if n > uint64(p.NumFuncs()) {
		return fmt.Errorf("function %d does not exist", n-1)
	}
	if !p.FuncMatches(uint32(n-1), t) {
		return fmt.Errorf("function %d is not of type %v", n-1, t)
	}
	return nil
}
