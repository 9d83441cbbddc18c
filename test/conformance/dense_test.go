package conformance

import (
	"errors"
	"fmt"
	"io"

	"github.com/stasis-run/stasis/internal/wasm"
)

// onceRound is a loop that never goes round: its head is a safepoint wherever
// it stands. (loop, i32.const 0, br_if 0, end)
var onceRound = []byte{0x03, 0x40, 0x41, 0, 0x0d, 0, 0x0b}

// addLoops puts a safepoint before each instruction of a module: the tests of
// exceptions have few of their own.
func addLoops(m *wasm.Module) error {
	for i := range m.Code {
		c := &m.Code[i]
		var out []byte
		var in wasm.Instr
		r := wasm.NewReader(c.Body)
		for err := r.Next(&in); !errors.Is(err, io.EOF); err = r.Next(&in) {
			if err != nil {
				return fmt.Errorf("function %d: %w", i, err)
			}
			out = append(append(out, onceRound...), c.Body[in.Pos:in.End]...)
		}
		c.Body = out
	}
	return nil
}
