//go:build !race && !invariants

package invariants

import "sync"

// Enabled says whether the checks are made.
const Enabled = false

// A Mutex is a sync.Mutex of a class.
type Mutex[C Class] struct{ sync.Mutex }
