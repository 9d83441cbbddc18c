package wasi

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
)

// Arguments of any kind give an errno that there is, and never a panic. Calls
// that end the guest or may wait for ever are left out.
func TestHostileArguments(t *testing.T) {
	var calls []entry
	for _, e := range entries {
		if !strings.HasPrefix(e.name, "proc_") && e.name != "poll_oneoff" {
			calls = append(calls, e)
		}
	}
	for seed := range uint64(50) {
		w := newWorld(t, func(g *guest) { g.hostile(calls, seed) })
		w.stdin.give("", true)
		w.start(t)
		w.wait(t)
	}
}

// hostile makes random calls. They may close the root directory, so it does
// not go on for long.
func (g *guest) hostile(calls []entry, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 400 {
		for range 8 { // pointers and names for what comes
			g.mem[rnd.IntN(4096)] = "a./\x00\xff0"[rnd.IntN(6)]
		}
		e := &calls[rnd.IntN(len(calls))]
		args := make([]any, len(e.params))
		for i, p := range e.params {
			args[i] = hostileValue(rnd, p == 'I')
		}
		name := e.name
		if rnd.IntN(4) == 0 && name != "sock_accept" {
			name = "unstable." + name
		}
		if errno := g.sys(name, args...); errno > abi.ENOTCAPABLE {
			g.t.Errorf("seed %d: %s%v = %d", seed, name, args, errno)
		}
	}
}

// hostileValue returns small numbers mostly, which are fds, lengths and
// pointers that work, and sometimes limits.
func hostileValue(rnd *rand.Rand, wide bool) uint64 {
	var v uint64
	switch rnd.IntN(8) {
	case 0:
		v = rnd.Uint64()
	case 1:
		v = ^uint64(0) - uint64(rnd.IntN(3))
	case 2:
		v = 1<<uint(rnd.IntN(64)) - uint64(rnd.IntN(2))
	case 3, 4:
		v = uint64(rnd.IntN(5000))
	default:
		v = uint64(rnd.IntN(8))
	}
	if !wide {
		v = uint64(uint32(v))
	}
	return v
}
