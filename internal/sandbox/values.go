package sandbox

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/wasm"
)

func f32bits(v float64) uint64 { return uint64(math.Float32bits(float32(v))) }
func f64bits(v float64) uint64 { return math.Float64bits(v) }

// parseValue reads an argument of --invoke.
func parseValue(s string, t wasm.ValType) (uint64, error) {
	var v uint64
	var err error
	switch t {
	case wasm.I32:
		v, err = parseInt(s, 32)
		v = uint64(uint32(v))
	case wasm.I64:
		v, err = parseInt(s, 64)
	case wasm.F32:
		var f float64
		f, err = strconv.ParseFloat(s, 32)
		v = f32bits(f)
	case wasm.F64:
		var f float64
		f, err = strconv.ParseFloat(s, 64)
		v = f64bits(f)
	default:
		return 0, fmt.Errorf("values of type %v cannot be given", t)
	}
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("%.40q is out of the range of an %v", s, t)
	case err != nil:
		return 0, fmt.Errorf("%.40q is no %v", s, t)
	}
	return v, nil
}

// resultTypes are the types of what the invoked function returns. An image does
// not say which function that was; but what the outermost frame returns is that,
// whatever has called it.
func (s *System) resultTypes() []wasm.ValType {
	if name := s.opts.Spec.Invoke; name != "" {
		_, t, _ := s.code.Export(name)
		return t.Results
	}
	m, err := wasm.Decode(s.module)
	if err != nil || s.first < 0 {
		return nil
	}
	t, _ := m.FuncType(uint32(s.first))
	return t.Results
}

// outermost is the function of a stack's outermost frame, or -1.
func outermost(st *engine.State) int64 {
	switch {
	case len(st.Frames) > 0:
		return int64(st.Frames[0].Func)
	case st.Pending != nil:
		return int64(st.Pending.Import)
	}
	return -1
}

// parseInt reads an integer that may be meant as signed or unsigned.
func parseInt(s string, bits int) (uint64, error) {
	v, err := strconv.ParseInt(s, 0, bits)
	if err == nil || strings.HasPrefix(s, "-") {
		return uint64(v), err
	}
	return strconv.ParseUint(s, 0, bits)
}

// Results formats what an invoked function returned, a line each.
func (s *System) Results(words []uint64) string {
	if len(words) == 0 {
		return ""
	}
	var b strings.Builder
	for _, r := range s.resultTypes() {
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
