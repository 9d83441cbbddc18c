package wasmgen

import (
	"slices"

	"github.com/stasis-run/stasis/internal/wasm"
)

// Shrink makes a module smaller as long as stillFails says that it shows the
// same failure. It tries only modules that are valid, and leaves the burning
// of fuel alone, so that what it tries ends. If module itself can't be decoded
// or does not fail, it comes back as it is.
func Shrink(module []byte, stillFails func([]byte) bool) []byte {
	m, err := wasm.Decode(module)
	if err != nil || wasm.Validate(m) != nil || !stillFails(module) {
		return module
	}
	s := &shrinker{m: m, best: module, fails: stillFails}
	for {
		before := len(s.best)
		s.dropCustoms()
		s.stubBodies()
		s.dropExports()
		s.emptySegments()
		s.shrinkBodies()
		s.dropLocals()
		s.dropTails()
		if len(s.best) >= before {
			return s.best
		}
	}
}

// A shrinker holds the smallest module so far that fails.
type shrinker struct {
	m     *wasm.Module // as s.best, between attempts
	best  []byte
	fails func([]byte) bool
}

// keep encodes s.m as it was changed and reports whether it is valid, smaller
// and still fails. If not, the caller takes the change back.
func (s *shrinker) keep() bool {
	b := wasm.Encode(s.m)
	if len(b) >= len(s.best) || wasm.Validate(s.m) != nil || !s.fails(b) {
		return false
	}
	s.best = b
	return true
}

// try sets *p to v if what comes of it is worth keeping.
func try[T any](s *shrinker, p *T, v T) bool {
	old := *p
	*p = v
	if s.keep() {
		return true
	}
	*p = old
	return false
}

// tryWithout removes runs of xs, long ones first.
func tryWithout[T any](s *shrinker, p *[]T) {
	for n := len(*p); n > 0; n /= 2 {
		for i := 0; i+n <= len(*p); {
			if !try(s, p, slices.Concat((*p)[:i], (*p)[i+n:])) {
				i += n
			}
		}
	}
}

func (s *shrinker) dropCustoms() {
	try(s, &s.m.Customs, nil)
	try(s, &s.m.Start, nil)
}

func (s *shrinker) dropExports() { tryWithout(s, &s.m.Exports) }

// stubBodies replaces whole bodies, by a trap or by zeros.
func (s *shrinker) stubBodies() {
	for i := range s.m.Code {
		c := &s.m.Code[i]
		stub := wasm.Code{Body: []byte{opUnreachable, opEnd}}
		if try(s, c, stub) {
			continue
		}
		if zeros, ok := zeros(s.m.Types[s.m.Funcs[i]].Results); ok {
			try(s, c, wasm.Code{Body: append(zeros, opEnd)})
		}
	}
}

// emptySegments empties segments, and removes those at the end.
func (s *shrinker) emptySegments() {
	for i := range s.m.Elems {
		e := &s.m.Elems[i]
		tryWithout(s, &e.Funcs)
		tryWithout(s, &e.Exprs)
	}
	for i := range s.m.Data {
		tryWithout(s, &s.m.Data[i].Bytes)
	}
	for n := len(s.m.Elems); n > 0 && try(s, &s.m.Elems, s.m.Elems[:n-1]); n-- {
	}
}

// zeros returns code that pushes the simplest value of each type, if all of
// them have one.
func zeros(ts []wasm.ValType) ([]byte, bool) {
	var b buf
	for _, t := range ts {
		v := valType(t)
		switch {
		case !t.HasDefault():
			return nil, false
		case v.ref():
			b.op(opRefNull)
			b.heap(v)
		default:
			if _, ok := letters[v]; !ok {
				return nil, false
			}
			b.zero(v)
		}
	}
	return b, true
}

// dropLocals makes runs of locals shorter, from the end of the last: others
// would be renumbered.
func (s *shrinker) dropLocals() {
	for i := range s.m.Code {
		c := &s.m.Code[i]
		for len(c.Locals) > 0 {
			n := len(c.Locals) - 1
			last := c.Locals[n]
			if try(s, &c.Locals, c.Locals[:n:n]) {
				continue
			}
			last.N--
			if last.N == 0 || !try(s, &c.Locals, append(c.Locals[:n:n], last)) {
				break
			}
		}
	}
}

// dropTails removes what nothing refers to from the ends of the index spaces:
// elsewhere others would be renumbered.
func (s *shrinker) dropTails() {
	for n := len(s.m.Code); n > 0 && s.dropLastFunc(n-1); n-- {
	}
	for n := len(s.m.Globals); n > 0 && try(s, &s.m.Globals, s.m.Globals[:n-1]); n-- {
	}
	for n := len(s.m.Tables); n > 0 && try(s, &s.m.Tables, s.m.Tables[:n-1]); n-- {
	}
	for n := len(s.m.Types); n > 0 && try(s, &s.m.Types, s.m.Types[:n-1]); n-- {
	}
}

func (s *shrinker) dropLastFunc(n int) bool {
	funcs, code := s.m.Funcs, s.m.Code
	s.m.Funcs, s.m.Code = funcs[:n], code[:n]
	if s.keep() {
		return true
	}
	s.m.Funcs, s.m.Code = funcs, code
	return false
}
