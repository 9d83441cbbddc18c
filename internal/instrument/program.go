package instrument

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sort"
	"sync"

	"github.com/stasis-run/stasis/internal/wasm"
)

// Version is the version of the pass: of the code it makes and of the site ids
// in it. It is part of every cache key. Records do not depend on it.
const Version = 9

// LookRaised is the raised value of the look global; the lowered one is 0.
// It is above every depth, so that one comparison checks both.
const LookRaised = 0x7fffffff

// Limits that keep the work of the pass in proportion to the module.
const (
	maxNesting = 20_000 // open blocks of a function
	maxParams  = 900    // of a function; a continuation may have more
)

// MaxTableItems is how many elements the tables of a module have at most at the
// start, all together. None grows beyond its even share of as many, or beyond
// what it has at the start. An engine may have no limit of its own, and elements
// are not counted as memory.
const MaxTableItems = 10_000_000

// ErrUnsupported is in the chain of every error that says that a valid module
// uses something this version cannot make stoppable.
var ErrUnsupported = errors.New("unsupported")

// A Program is an original module, checked and ready to be rewritten. It is
// immutable but for caches of its own and safe for concurrent use.
type Program struct {
	mod    *wasm.Module
	digest [32]byte
	opts   Options

	imports   int              // imported functions
	traits    []funcTraits     // per defined function
	taken     []bool           // per function: its index may come from a table, a reference or an export
	firstSite []SiteID         // per defined function, and one more: the end
	needs     [numRuntime]bool // runtime functions that the hot form imports
	segments  bool             // some instruction reads a data segment
	funcTable bool             // some instruction turns a number into a function reference

	marked []bool   // per type: it needs markers (markerTypes)
	tagIDs []uint32 // per imported tag: the first of that name

	spaces *wasm.Spaces
	walker *wasm.Walker // only forked

	mu     sync.Mutex
	recent map[uint32]*body // bodies of functions asked for by Site or Continuation; protected by mu
}

// Options choose between forms of the same program. Sites and records do not
// depend on them.
type Options struct {
	// Counted makes every entry and loop head count a global down and unwind
	// when it reaches zero, instead of reading look: an unwind at every n-th
	// safepoint, exactly.
	Counted bool

	// PeelLimit is the largest loop, in bytes of its body, that a continuation
	// carries along whole. 0 is DefaultPeelLimit; below 0, none.
	PeelLimit int

	// Workers is how many goroutines rewrite functions; 0 is 1. The result does not
	// depend on it.
	Workers int
}

// DefaultPeelLimit is chosen by what `go run ./test/bench -only peel` measures;
// see RATIONALE.md.
const DefaultPeelLimit = 4096

// entrySite reports whether the entry is a site.
func (t *funcTraits) entrySite() bool { return t.checked && !t.headed }

// funcTraits is what callers of a defined function must know about it.
type funcTraits struct {
	quick   bool  // runs a bounded number of instructions and has no site: left alone
	checked bool  // looks at its entry, or (headed) at the loop that it begins with
	headed  bool  // nothing but a few plain instructions comes before its first loop
	frame   int32 // what a frame takes from the depth; 0 if not checked
}

// New decodes and validates an original module. Errors name the feature that is
// not supported (ErrUnsupported) or the offset of what is wrong.
func New(b []byte, opts Options) (*Program, error) { return NewNamed(b, sha256.Sum256(b), opts) }

// NewNamed is New for a module whose digest is known: to compute it takes a twentieth
// of the time of the pass, or more where most of a module is data.
func NewNamed(b []byte, digest [sha256.Size]byte, opts Options) (*Program, error) {
	m, err := wasm.Decode(b)
	if err != nil {
		return nil, err
	}
	if err := checkSupported(m); err != nil {
		return nil, err
	}
	walker, err := wasm.ValidateOutside(m)
	if err != nil {
		return nil, err
	}
	if err := checkTables(m); err != nil {
		return nil, err
	}
	p := newProgram(m, walker, digest, opts)
	p.findTaken()
	if err := p.survey(); err != nil {
		return nil, err
	}
	return p, nil
}

func newProgram(m *wasm.Module, walker *wasm.Walker, digest [sha256.Size]byte, opts Options) *Program {
	if opts.PeelLimit == 0 {
		opts.PeelLimit = DefaultPeelLimit
	}
	p := &Program{
		mod:     m,
		spaces:  m.Spaces(),
		walker:  walker,
		digest:  digest,
		opts:    opts,
		imports: m.NumImports(wasm.ExternFunc),
		recent:  make(map[uint32]*body),
	}
	p.findTags()
	p.marked = make([]bool, len(m.Types))
	for i := range m.Types {
		p.marked[i] = needsMarkers(&m.Types[i])
	}
	return p
}

// Module returns the decoded original. It must not be changed.
func (p *Program) Module() *wasm.Module { return p.mod }

// Digest is the SHA-256 of the original module.
func (p *Program) Digest() [32]byte { return p.digest }

// NumSites is the number of sites; ids are below it.
func (p *Program) NumSites() int { return int(p.firstSite[len(p.firstSite)-1]) }

// EntrySite is the site at the entry of a function of the original module, or
// false if it has none.
func (p *Program) EntrySite(fn uint32) (SiteID, bool) {
	i := int(fn) - p.imports
	if i < 0 || i >= len(p.traits) || !p.traits[i].entrySite() {
		return 0, false
	}
	return p.firstSite[i], true
}

// Site describes a site.
func (p *Program) Site(id SiteID) (Site, error) {
	if int(id) >= p.NumSites() {
		return Site{}, fmt.Errorf("site %d: the program has %d", id, p.NumSites())
	}
	i := sort.Search(len(p.traits), func(i int) bool { return p.firstSite[i+1] > id })
	b, err := p.body(uint32(i))
	if err != nil {
		return Site{}, err
	}
	return b.site(p, int(id-p.firstSite[i])), nil
}

// SiteAt finds a site by its normative name: function index and position in
// the original module. It is how records come back from an image, so both may
// be anything.
func (p *Program) SiteAt(fn, pos uint32) (Site, error) {
	i := int64(fn) - int64(p.imports)
	if i < 0 || i >= int64(len(p.traits)) {
		return Site{}, fmt.Errorf("function %d is not defined by the module", fn)
	}
	b, err := p.body(uint32(i))
	if err != nil {
		return Site{}, err
	}
	k := sort.Search(len(b.sites), func(k int) bool { return b.sites[k].pos >= pos })
	if k == len(b.sites) || b.sites[k].pos != pos {
		return Site{}, fmt.Errorf("function %d has no site at position %d", fn, pos)
	}
	return b.site(p, k), nil
}

// body returns the analysed body of a defined function, from a small cache.
func (p *Program) body(defined uint32) (*body, error) {
	p.mu.Lock()
	b := p.recent[defined]
	p.mu.Unlock()
	if b != nil {
		return b, nil
	}
	if err := p.walker.Fork().Walk(int(defined), nil); err != nil { // NewFrom has not looked at it
		return nil, err
	}
	b = new(body)
	if err := (&reader{p: p}).analyse(defined, b); err != nil {
		return nil, err
	}
	p.mu.Lock()
	if len(p.recent) >= 256 {
		clear(p.recent)
	}
	p.recent[defined] = b
	p.mu.Unlock()
	return b, nil
}

// checkSupported refuses by name what a later version will take. It runs
// before validation, so it must trust nothing.
func checkSupported(m *wasm.Module) error {
	for _, im := range m.Imports {
		if im.Module == RuntimeModule || im.Module == MemoryModule {
			return fmt.Errorf("import %s.%s: the name is the runtime's own: %w", im.Module, im.Name, ErrUnsupported)
		}
	}
	for i, t := range m.Types {
		if len(t.Params) > maxParams || len(t.Results) > maxParams {
			return fmt.Errorf("type %d: more than %d parameters or results: %w", i, maxParams, ErrUnsupported)
		}
	}
	return nil
}

// checkTables refuses tables that are larger than there can be.
func checkTables(m *wasm.Module) error {
	items := uint64(0)
	for _, t := range m.Tables {
		items += t.Type.Limits.Min // each is below 1 << 32, and there are few
	}
	if items > MaxTableItems {
		return fmt.Errorf("tables of %d elements, the limit is %d: %w", items, MaxTableItems, ErrUnsupported)
	}
	return nil
}

// findTaken marks the functions that can be reached other than by a direct
// call: they carry the hidden parameter even when they are quick.
func (p *Program) findTaken() {
	m := p.mod
	p.taken = make([]bool, p.imports+len(m.Funcs))
	for _, e := range m.Exports {
		if e.Kind == wasm.ExternFunc {
			p.taken[e.Index] = true
		}
	}
	if m.Start != nil {
		p.taken[*m.Start] = true
	}
	for i := range m.Elems {
		for k := range m.Elems[i].Len() {
			if f, ok := elemFunc(&m.Elems[i], k); ok {
				p.taken[f] = true
			}
		}
	}
	for _, g := range m.Globals {
		if f, ok := refFunc(g.Init); ok {
			p.taken[f] = true
		}
	}
	for _, t := range m.Tables {
		if f, ok := refFunc(t.Init); ok {
			p.taken[f] = true
		}
	}
}

// funcType is the original signature of a function of the whole index space.
func (p *Program) funcType(fn uint32) wasm.FuncType {
	t, _ := p.spaces.FuncType(fn)
	return t
}

// typeOf is the index of the original type of a function.
func (p *Program) typeOf(fn uint32) uint32 { return p.spaces.Funcs[fn] }

// FrameSize is how much of its depth a frame of a function uses up, in bytes:
// a measure of what engines need for it and for functions that do not count
// themselves, which is the same everywhere.
func (p *Program) FrameSize(fn uint32) int32 { return p.traits[int(fn)-p.imports].frame }

// Startable reports whether a call of a defined function from outside can be
// put on a stack: it is exported, started or referred to somewhere.
func (p *Program) Startable(fn uint32) bool { return p.taken[fn] }

// quick reports whether a function (of the whole index space) has no site.
func (p *Program) quick(fn uint32) bool {
	return int(fn) >= p.imports && p.traits[int(fn)-p.imports].quick
}

// hasDepth reports whether the rewritten function takes the hidden parameter.
func (p *Program) hasDepth(fn uint32) bool {
	return int(fn) >= p.imports && (!p.quick(fn) || p.taken[fn])
}
