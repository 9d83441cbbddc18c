package instrument

import (
	"fmt"

	"github.com/stasis-run/stasis/internal/wasm"
)

// A SiteKind says what a frame was doing when it was taken apart.
type SiteKind byte

// Kinds of sites.
const (
	// SiteEntry is the entry of a function: nothing of it has run.
	SiteEntry SiteKind = iota
	// SiteLoop is the head of a loop, before an iteration.
	SiteLoop
	// SiteCall is a call in progress. The frame goes on with its results.
	SiteCall
)

func (k SiteKind) String() string {
	switch k {
	case SiteEntry:
		return "entry"
	case SiteLoop:
		return "loop"
	case SiteCall:
		return "call"
	}
	return fmt.Sprintf("SiteKind(%d)", byte(k))
}

// A SiteID numbers the sites of a program, densely, functions and positions
// ascending. It is private to one version of the pass: images hold Func and
// Pos instead.
type SiteID uint32

// A Slot is one live value of a frame: a local (parameters first), or an
// operand stack slot counted from the bottom.
//
// Caught marks the exception that a catch around the site has caught, where a
// rethrow may throw it again: Index is then the position of the catch.
type Slot struct {
	Operand bool
	Caught  bool
	Index   uint32
	Type    wasm.ValType // of the original module
}

// A Site is a place where a frame can be taken apart and continued.
type Site struct {
	ID   SiteID
	Kind SiteKind
	Func uint32 // index in the original module's function index space

	// Pos is 0 for the entry and n+1 for the instruction with ordinal n.
	// Ordinals count every instruction of the original body from 0, block
	// ends, elses and unreachable ones included.
	Pos uint32

	// Live is what a record of this site holds, in the order of the record:
	// locals ascending, then operands ascending, then caught exceptions
	// ascending. All operands are live.
	Live []Slot

	// Results are the types of the values that the continuation of a SiteCall
	// takes from the call.
	Results []wasm.ValType

	// Guarded says that the function may catch what a SiteCall's callee throws:
	// its continuation may be called with mode ModeThrowing, too.
	Guarded bool
}
