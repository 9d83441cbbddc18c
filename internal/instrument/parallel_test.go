package instrument_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/wasm"
	"github.com/stasis-run/stasis/internal/wasmgen"
)

// What the pass makes does not depend on how many goroutines make it.
func TestWorkers(t *testing.T) {
	for seed := range uint64(200) {
		b := wasmgen.GenerateSeed(seed, wasmgen.Config{})
		var want, facts []byte
		for _, workers := range []int{1, 2, 7} {
			p, err := instrument.New(b, instrument.Options{Workers: workers})
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			got, err := p.Hot()
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if want == nil {
				want, facts = got, p.Facts()
			}
			if !bytes.Equal(got, want) || !bytes.Equal(p.Facts(), facts) {
				t.Errorf("seed %d: %d workers make another module", seed, workers)
			}
		}
	}
}

// Of several functions that are refused, the first is named, always.
func TestFirstError(t *testing.T) {
	valid, invalid := "\x02\x00\x0b", "\x03\x00\x1a\x0b" // drop
	const n = 100
	code := []byte{n}
	funcs := []byte{n}
	for i := range n {
		f := valid
		if i >= 40 {
			f = invalid
		}
		code, funcs = append(code, f...), append(funcs, 0)
	}
	b := []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00")
	b = wasm.AppendU32(append(b, 3), uint32(len(funcs)))
	b = append(b, funcs...)
	b = wasm.AppendU32(append(b, 10), uint32(len(code)))
	b = append(b, code...)
	for _, workers := range []int{1, 2, 8} {
		for range 20 {
			_, err := instrument.New(b, instrument.Options{Workers: workers})
			if err == nil || !strings.Contains(err.Error(), "function 40:") {
				t.Fatalf("%d workers: %v, want the error of function 40", workers, err)
			}
		}
	}
}
