package instrument_test

import (
	"crypto/sha256"
	"os"
	"runtime"
	"testing"

	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/wasm"
)

// BenchmarkPass is the pass on the module that STASIS_BENCH_MODULE names; -cpu says
// how many workers. ×file is all memory that is asked for, to the size of the file:
// at no moment is there more beside it.
func BenchmarkPass(b *testing.B) {
	path := os.Getenv("STASIS_BENCH_MODULE")
	if path == "" {
		b.Skip("set STASIS_BENCH_MODULE to a .wasm file")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	m, err := wasm.Decode(data)
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for i := range m.Code {
		n += len(m.Code[i].Body)
	}
	b.SetBytes(int64(n))
	b.ReportAllocs()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	digest := sha256.Sum256(data) // who compiles a module has it before
	for b.Loop() {
		p, err := instrument.NewNamed(data, digest, instrument.Options{Workers: runtime.GOMAXPROCS(0)})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Hot(); err != nil {
			b.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/float64(len(data)), "×file")
}
