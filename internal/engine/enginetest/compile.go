package enginetest

import (
	"testing"

	"github.com/stasis-run/stasis/internal/engine"
)

// Compile compiles a module on an engine that is the module's alone: both are
// closed with the test.
func Compile(t testing.TB, e engine.Engine, b []byte) engine.Module {
	t.Helper()
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	m, err := e.Compile(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // before the engine is
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}
