package wasm_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stasis-run/stasis/internal/wasm"
)

// benchModule is a large module that a compiler made.
func benchModule(b *testing.B) []byte {
	dir, err := wazeroDir()
	if err != nil {
		b.Skipf("the source of wazero is not in the module cache: %v", err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "imports", "wasi_snapshot_preview1", "testdata", "zig-cc", "wasi.wasm"))
	if err != nil {
		b.Fatal(err)
	}
	return data
}

// codeBytes is the size of all function bodies.
func codeBytes(m *wasm.Module) (n int64) {
	for i := range m.Code {
		n += int64(len(m.Code[i].Body))
	}
	return n
}

func BenchmarkDecode(b *testing.B) {
	data := benchModule(b)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wasm.Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	data := benchModule(b)
	m, err := wasm.Decode(data)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		wasm.Encode(m)
	}
}

func BenchmarkReader(b *testing.B) {
	m, err := wasm.Decode(benchModule(b))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(codeBytes(m))
	b.ReportAllocs()
	r := wasm.NewReader(nil)
	var in wasm.Instr
	for b.Loop() {
		for i := range m.Code {
			r.Reset(m.Code[i].Body)
			for r.Next(&in) == nil {
			}
		}
	}
}

func BenchmarkWalk(b *testing.B) {
	m, err := wasm.Decode(benchModule(b))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(codeBytes(m))
	b.ReportAllocs()
	depth := 0
	visit := func(in *wasm.Instr, s *wasm.State) error {
		depth = max(depth, len(s.Stack))
		return nil
	}
	w := wasm.NewWalker(m)
	for b.Loop() {
		for i := range m.Code {
			if err := w.Walk(i, visit); err != nil {
				b.Fatal(err)
			}
		}
	}
}
