package sandbox

import (
	"fmt"
	"math"
	"strings"

	"github.com/stasis-run/stasis/internal/wasm"
)

func f32bits(v float64) uint64 { return uint64(math.Float32bits(float32(v))) }
func f64bits(v float64) uint64 { return math.Float64bits(v) }

// Results formats what an invoked function returned, a line each.
func (s *System) Results(words []uint64) string {
	name := s.config.Invoke
	if name == "" {
		return ""
	}
	_, t, ok := s.code.Export(name)
	if !ok {
		return ""
	}
	var b strings.Builder
	for _, r := range t.Results {
		if len(words) == 0 {
			break
		}
		w := words[0]
		words = words[1:]
		switch r {
		case wasm.I32:
			fmt.Fprintln(&b, int32(w))
		case wasm.I64:
			fmt.Fprintln(&b, int64(w))
		case wasm.F32:
			fmt.Fprintln(&b, math.Float32frombits(uint32(w)))
		case wasm.F64:
			fmt.Fprintln(&b, math.Float64frombits(w))
		case wasm.V128:
			fmt.Fprintf(&b, "%#016x%016x\n", words[0], w)
			words = words[1:]
		default:
			fmt.Fprintf(&b, "%v %#x\n", r, w)
		}
	}
	return b.String()
}
