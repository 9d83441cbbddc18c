package instrument

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/stasis-run/stasis/internal/wasm"
)

// What New finds out about a module, by walking through all of it twice, can be
// kept beside the hot form: Facts writes it, NewFrom makes a Program of it
// without looking into a function. Facts are trusted as the hot form is: both
// decide what code runs.

// errFacts says that facts are not of this module, or damaged.
var errFacts = errors.New("facts do not fit the module")

// Facts are what NewFrom needs besides the module.
func (p *Program) Facts() []byte {
	b := binary.AppendUvarint(nil, uint64(len(p.traits)))
	for i := range p.traits {
		t := &p.traits[i]
		b = append(b, flagBits(t.quick, t.checked, t.headed))
		b = binary.AppendUvarint(b, uint64(t.frame))
		b = binary.AppendUvarint(b, uint64(p.firstSite[i+1]-p.firstSite[i]))
	}
	b = binary.AppendUvarint(b, uint64(len(p.taken)))
	for _, t := range p.taken {
		b = append(b, flagBits(t))
	}
	for _, n := range p.needs {
		b = append(b, flagBits(n))
	}
	return append(b, flagBits(p.segments, p.funcTable))
}

func flagBits(flags ...bool) byte {
	var b byte
	for i, f := range flags {
		if f {
			b |= 1 << i
		}
	}
	return b
}

// NewFrom is New for a module that New has taken before, whose digest is known, and
// the facts of that program.
func NewFrom(b []byte, digest [sha256.Size]byte, opts Options, facts []byte) (*Program, error) {
	m, err := wasm.Decode(b)
	if err != nil {
		return nil, err
	}
	p := newProgram(m, wasm.NewWalker(m), digest, opts)
	r := factReader{b: facts}
	if r.uint() != uint64(len(m.Code)) {
		return nil, errFacts
	}
	p.traits = make([]funcTraits, len(m.Code))
	p.firstSite = make([]SiteID, len(m.Code)+1)
	for i := range p.traits {
		flags := r.byte()
		p.traits[i] = funcTraits{quick: flags&1 != 0, checked: flags&2 != 0, headed: flags&4 != 0, frame: int32(r.uint())}
		p.firstSite[i+1] = p.firstSite[i] + SiteID(r.uint())
	}
	if n := r.uint(); n != uint64(p.imports+len(m.Funcs)) {
		return nil, errFacts
	}
	p.taken = make([]bool, p.imports+len(m.Funcs))
	for i := range p.taken {
		p.taken[i] = r.byte() == 1
	}
	for i := range p.needs {
		p.needs[i] = r.byte() == 1
	}
	flags := r.byte()
	p.segments, p.funcTable = flags&1 != 0, flags&2 != 0
	if r.bad || len(r.b) != 0 {
		return nil, fmt.Errorf("%w: %d bytes left", errFacts, len(r.b))
	}
	return p, nil
}

type factReader struct {
	b   []byte
	bad bool
}

func (r *factReader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *factReader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}
