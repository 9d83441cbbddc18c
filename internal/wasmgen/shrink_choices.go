package wasmgen

import "slices"

// ShrinkChoices makes choices fewer and smaller as long as stillFails says
// that what comes of them fails: so a program shrinks in all encodings at once.
func ShrinkChoices(c Choices, stillFails func(Choices) bool) Choices {
	if !stillFails(c) {
		return c
	}
	for {
		before := slices.Clone(c)
		c = withoutChoices(c, stillFails)
		c = zeroChoices(c, stillFails)
		if slices.Equal(before, c) {
			return c
		}
	}
}

// withoutChoices removes runs of choices, long ones first.
func withoutChoices(c Choices, fails func(Choices) bool) Choices {
	for n := len(c) / 2; n > 0; n /= 2 {
		for i := 0; i+n <= len(c); {
			if less := slices.Concat(c[:i], c[i+n:]); fails(less) {
				c = less
			} else {
				i += n
			}
		}
	}
	return c
}

// zeroChoices makes runs of choices zero: the simplest there is.
func zeroChoices(c Choices, fails func(Choices) bool) Choices {
	for n := min(64, len(c)/2); n > 0; n /= 2 {
		for i := 0; i+n <= len(c); i += n {
			if !slices.ContainsFunc(c[i:i+n], func(x uint32) bool { return x != 0 }) {
				continue
			}
			zero := slices.Concat(c[:i], make(Choices, n), c[i+n:])
			if fails(zero) {
				c = zero
			}
		}
	}
	return c
}
