package wasmgen

import "encoding/binary"

// A source gives the choices that make a module: from bytes, from a seed
// without end, or from choices that were noted before.
type source struct {
	data    []byte
	endless bool
	state   uint64 // of the generator, with endless

	replayed bool
	choices  []uint32 // left, with replayed
	note     bool     // keep the choices that are made in noted
	noted    []uint32
}

// u64 returns the next 64 bits, from fewer bytes where fewer are left.
func (s *source) u64() uint64 {
	if s.replayed {
		hi := s.replay()
		return uint64(hi)<<32 | uint64(s.replay())
	}
	x := s.draw()
	if s.note {
		s.noted = append(s.noted, uint32(x>>32), uint32(x))
	}
	return x
}

// replay returns the next choice, or 0 when there is none.
func (s *source) replay() uint32 {
	if len(s.choices) == 0 {
		return 0
	}
	c := s.choices[0]
	s.choices = s.choices[1:]
	return c
}

// draw returns the next 64 bits of what has not been noted before.
func (s *source) draw() uint64 {
	if s.endless { // splitmix64
		s.state += 0x9e3779b97f4a7c15
		z := s.state
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return z ^ z>>31
	}
	var b [8]byte
	s.data = s.data[copy(b[:], s.data):]
	return binary.LittleEndian.Uint64(b[:])
}

// n returns a number below k; 0 when the entropy is used up.
func (s *source) n(k int) int {
	if s.replayed {
		return int(s.replay() % uint32(k))
	}
	x := s.below(k)
	if s.note {
		s.noted = append(s.noted, uint32(x))
	}
	return x
}

// below draws a number below k.
func (s *source) below(k int) int {
	if s.endless {
		return int(s.draw() % uint64(k))
	}
	v := 0
	for m := 1; m < k && len(s.data) > 0; m <<= 8 {
		v = v<<8 | int(s.data[0])
		s.data = s.data[1:]
	}
	return v % k
}

// chance is true in pct of 100 cases, and false when the entropy is used up.
func (s *source) chance(pct int) bool { return s.n(100) >= 100-pct }

// pick returns an index of weights, each as often as its weight says; 0 when
// the entropy is used up.
func (s *source) pick(weights ...int) int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	r := s.n(sum)
	for i, w := range weights {
		if r < w {
			return i
		}
		r -= w
	}
	return 0
}

// one returns an element of xs.
func one[T any](s *source, xs []T) T { return xs[s.n(len(xs))] }
