package wasmgen_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stasis-run/stasis/internal/wasm"
	"github.com/stasis-run/stasis/internal/wasmgen"
)

// From one seed every encoding makes the same program: the choices are the
// same, and what comes of them is valid.
func TestEncodingsAreOneProgram(t *testing.T) {
	for _, seed := range seeds(2) {
		cfg := configOf(seed)
		want := wasmgen.NoteSeed(seed, cfg)
		for enc := wasmgen.Reference; enc <= wasmgen.Mixed; enc++ {
			cfg.Encoding = enc
			if got := wasmgen.NoteSeed(seed, cfg); !slices.Equal(got, want) {
				t.Fatalf("seed %d, encoding %d: other choices", seed, enc)
			}
			b := wasmgen.GenerateSeed(seed, cfg)
			if !bytes.Equal(b, wasmgen.GenerateChoices(want, cfg)) {
				t.Errorf("seed %d, encoding %d: its choices make another module", seed, enc)
			}
			m, err := wasm.Decode(b)
			if err == nil {
				err = wasm.Validate(m)
			}
			if err != nil {
				t.Errorf("seed %d, encoding %d: %v", seed, enc, err)
			}
		}
	}
}
