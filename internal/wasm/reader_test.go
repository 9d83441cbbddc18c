package wasm

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestReaderShort compares what is read at once with what is read piece by piece:
// instructions, errors and how far they went, whatever the bytes.
func TestReaderShort(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	tail := []byte{0, 1, 0x1f, 0x20, 0x3f, 0x40, 0x41, 0x7f, 0x80, 0x81, 0xc0, 0xff}
	for op := range 256 {
		for range 200 {
			b := []byte{byte(op)}
			for range rnd.IntN(7) {
				b = append(b, tail[rnd.IntN(len(tail))])
			}
			read := func(next func(*Reader, *Instr) bool) string {
				r := NewReader(b)
				var in Instr
				ok := next(r, &in)
				if !ok {
					return fmt.Sprint(r.c.err, r.c.pos)
				}
				in.info = nil // it has no text
				return fmt.Sprintf("%+v %d", in, r.c.pos)
			}
			have, want := read((*Reader).next), read((*Reader).long)
			if have != want {
				t.Fatalf("% x: have %s, want %s", b, have, want)
			}
		}
	}
}
