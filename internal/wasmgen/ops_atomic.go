package wasmgen

import "slices"

const (
	atomic  = 0xfe << 16
	opFence = atomic | 3
)

// atomicRows are the instructions of threads but atomic.fence and the waits,
// which only mean something with a second thread. A notify wakes nobody.
var atomicRows = func() []row {
	rows := []row{
		{atomic, atomic, "ii:i", immAtomic, 2, 0},
	}
	// The codes of loads, stores, six operations and compare-and-exchange each
	// are in one order of widths.
	for code, sig := range map[uint32][2]string{
		0x10: {"i:i", "i:j"}, 0x17: {"ii:", "ij:"}, 0x48: {"iii:i", "ijj:j"},
		0x1e: {"ii:i", "ij:j"}, 0x25: {"ii:i", "ij:j"}, 0x2c: {"ii:i", "ij:j"},
		0x33: {"ii:i", "ij:j"}, 0x3a: {"ii:i", "ij:j"}, 0x41: {"ii:i", "ij:j"},
	} {
		for k, w := range []struct {
			wide int
			log2 byte
		}{{0, 2}, {1, 3}, {0, 0}, {0, 1}, {1, 0}, {1, 1}, {1, 2}} {
			c := atomic | code + uint32(k)
			rows = append(rows, row{c, c, sig[w.wide], immAtomic, w.log2, 0})
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return int(a.from) - int(b.from) })
	return rows
}()
