package enginetest

import (
	"errors"

	"github.com/stasis-run/stasis/internal/engine"
)

// OneStack is embedded in threads for tests that never have but one stack and have
// no globals: what engine.Thread has for others panics or refuses.
type OneStack struct{}

// Detach implements engine.Thread.
func (OneStack) Detach() engine.Stack { panic("enginetest: Detach of a thread with one stack") }

// Attach implements engine.Thread.
func (OneStack) Attach(engine.Stack) { panic("enginetest: Attach to a thread with one stack") }

// RestoreStack implements engine.Thread.
func (OneStack) RestoreStack(*engine.Calls) (engine.Stack, error) {
	return nil, errors.New("a thread with one stack")
}

// Globals implements engine.Thread: there are none.
func (OneStack) Globals() []engine.Global { return nil }

// SetGlobals implements engine.Thread.
func (OneStack) SetGlobals(g []engine.Global) error {
	if len(g) > 0 {
		return errors.New("a thread without globals")
	}
	return nil
}

// StackPointer implements engine.Thread: it is not known.
func (OneStack) StackPointer() (uint64, bool) { return 0, false }

// SetStackPointer implements engine.Thread.
func (OneStack) SetStackPointer(uint64) {}

// TableFunc implements engine.Thread: there is no table.
func (OneStack) TableFunc(uint32) (uint32, bool) { return 0, false }

// SetHost implements engine.Thread.
func (OneStack) SetHost(engine.Host) { panic("enginetest: SetHost of a thread with one stack") }

// Park implements engine.Thread: there is nothing to free.
func (OneStack) Park() error { return nil }
