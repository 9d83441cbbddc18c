package processes

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/memory"
)

// plainCopies is how long it takes to copy so much memory into a fresh one of the same
// kind, and to unmap that again, in ns.
func plainCopies(b *testing.B, mib int) float64 {
	const n = 20
	size := uint64(mib) << 20
	from, err := memory.New(size)
	if err != nil {
		b.Fatal(err)
	}
	bytes, err := from.Resize(size)
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; i < len(bytes); i += 512 {
		bytes[i] = byte(i>>9 | 1)
	}
	begin := time.Now()
	for range n {
		to, err := memory.New(size)
		if err != nil {
			b.Fatal(err)
		}
		copied, err := to.Resize(size)
		if err != nil {
			b.Fatal(err)
		}
		copy(copied, bytes)
		if err := to.Close(); err != nil {
			b.Fatal(err)
		}
	}
	took := time.Since(begin)
	if err := from.Close(); err != nil {
		b.Fatal(err)
	}
	return float64(took) / n
}

// A process of 32 MiB forks, its child ends and is waited for, by turns with plain
// copies of as much. The median of their ratios is the metric "x".
func BenchmarkForkOfMemory(b *testing.B) {
	const mib = 32
	p := compile(b, []byte(read(b, "testdata/bench.wasm")), wazero.Options{})
	var ratios []float64
	for range b.N {
		plain := plainCopies(b, mib)
		out := p.run(b, errand{args: []string{"memory", strconv.Itoa(mib)}}, kernel.Stress{})
		ours, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(out, "rc 0\n")))
		if err != nil {
			b.Fatalf("%v: %q", err, out)
		}
		ratios = append(ratios, float64(ours)/plain)
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "x")
}
