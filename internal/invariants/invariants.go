// Package invariants has checks of what the code relies on that are too dear to make
// always: they are on under -race and -tags invariants, and cost nothing otherwise.
// What breaks one is a bug, and panics.
package invariants

// A Class is the locks that have one place in a lock order. Its zero value says which.
type Class interface {
	// Order is the class's place: a lock is taken while only locks of lower ones are
	// held.
	Order() int
}

// A Nesting class is one of which several locks may be held at once. It says why they
// cannot be waited for in a ring.
type Nesting interface {
	Class
	NestsBecause() string
}
