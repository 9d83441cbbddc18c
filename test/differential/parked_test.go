package differential

import (
	"context"
	"testing"

	"github.com/stasis-run/stasis/internal/engine/enginetest"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/wasmgen"
)

// parkedWays are those in which a thread is parked at each stop: it gives its instance
// up (park), or keeps it, as one does whose memory is its own.
var parkedWays = []way{
	{name: "parked, continuations compiled", pass: hops, interp: wazero.InterpretNone, plan: enginetest.Plan{Every: 1, Calls: true, Park: true, Save: 5, Saves: 4}, park: true},
	{name: "parked, frames interpreted", pass: counted, interp: wazero.InterpretAlways, plan: enginetest.Plan{Every: 1, Calls: true, Park: true}, park: true},
	{name: "parked now and then", pass: counted, interp: wazero.InterpretBriefly, plan: enginetest.Plan{Every: 2, Park: true, Save: 3, Saves: 4}, rand: true, park: true},
	{name: "parked with its instance, continuations compiled", pass: hops, interp: wazero.InterpretNone, plan: enginetest.Plan{Every: 1, Calls: true, Park: true}},
	{name: "parked with its instance now and then", pass: counted, interp: wazero.InterpretBriefly, plan: enginetest.Plan{Every: 2, Park: true, Save: 5, Saves: 4}, rand: true},
}

// A thread that is parked at each stop, and saved while it is, goes on as if it had
// not been.
func TestParkedModules(t *testing.T) {
	n := 3000
	if testing.Short() {
		n = 150
	}
	ctx := context.Background()
	c := newComparer(ctx, t)
	for seed := range uint64(n) {
		r := runOf(seed)
		r.way = parkedWays[seed%uint64(len(parkedWays))]
		r.encoding = wasmgen.TryTable + wasmgen.Encoding(seed/uint64(len(parkedWays))%3)
		if d := c.compare(ctx, c.seeded(seed), r); d != "" {
			if theirs, why := c.blame(ctx, c.seeded(seed), r); theirs {
				t.Logf("seed %d: %s: %s", seed, why, d)
				continue
			}
			t.Errorf("seed %d: %s", seed, d)
		}
	}
}
