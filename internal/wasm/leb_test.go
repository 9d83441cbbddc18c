package wasm

import (
	"bytes"
	"math"
	"testing"
)

func TestReadUnsigned(t *testing.T) {
	for _, tt := range []struct {
		name    string
		in      []byte
		bits    uint
		want    uint64
		n       int
		problem string
	}{
		{"zero", []byte{0}, 32, 0, 1, ""},
		{"one byte", []byte{0x7f}, 32, 127, 1, ""},
		{"two bytes", []byte{0x80, 1}, 32, 128, 2, ""},
		{"padded", []byte{0x83, 0x80, 0x80, 0x80, 0}, 32, 3, 5, ""},
		{"largest", []byte{0xff, 0xff, 0xff, 0xff, 0x0f}, 32, math.MaxUint32, 5, ""},
		{"bit 32", []byte{0xff, 0xff, 0xff, 0xff, 0x1f}, 32, 0, 5, msgTooLarge},
		{"unused bits", []byte{0x82, 0x80, 0x80, 0x80, 0x70}, 32, 0, 5, msgTooLarge},
		{"six bytes", []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0}, 32, 0, 5, msgTooLong},
		{"cut", []byte{0x80, 0x80}, 32, 0, 2, msgEnd},
		{"empty", nil, 32, 0, 0, msgEnd},
		{"64 largest", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, 64, math.MaxUint64, 10, ""},
		{"64 bit 64", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2}, 64, 0, 10, msgTooLarge},
		{"64 eleven bytes", bytes.Repeat([]byte{0x80}, 11), 64, 0, 10, msgTooLong},
	} {
		v, n, problem := readUnsigned(tt.in, tt.bits)
		if v != tt.want || n != tt.n || problem != tt.problem {
			t.Errorf("%s: got %d, %d, %q, want %d, %d, %q", tt.name, v, n, problem, tt.want, tt.n, tt.problem)
		}
	}
}

func TestReadSigned(t *testing.T) {
	for _, tt := range []struct {
		name    string
		in      []byte
		bits    uint
		want    int64
		n       int
		problem string
	}{
		{"zero", []byte{0}, 32, 0, 1, ""},
		{"minus one", []byte{0x7f}, 32, -1, 1, ""},
		{"63", []byte{0x3f}, 32, 63, 1, ""},
		{"64", []byte{0xc0, 0}, 32, 64, 2, ""},
		{"-65", []byte{0xbf, 0x7f}, 32, -65, 2, ""},
		{"padded minus one", []byte{0xff, 0xff, 0xff, 0xff, 0x7f}, 32, -1, 5, ""},
		{"smallest", []byte{0x80, 0x80, 0x80, 0x80, 0x78}, 32, math.MinInt32, 5, ""},
		{"largest", []byte{0xff, 0xff, 0xff, 0xff, 0x07}, 32, math.MaxInt32, 5, ""},
		{"too large", []byte{0xff, 0xff, 0xff, 0xff, 0x0f}, 32, 0, 5, msgTooLarge},
		{"too small", []byte{0x80, 0x80, 0x80, 0x80, 0x70}, 32, 0, 5, msgTooLarge},
		{"too long", []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0}, 32, 0, 5, msgTooLong},
		{"cut", []byte{0xff}, 32, 0, 1, msgEnd},
		{"33 largest", []byte{0xff, 0xff, 0xff, 0xff, 0x0f}, 33, math.MaxUint32, 5, ""},
		{"33 smallest", []byte{0x80, 0x80, 0x80, 0x80, 0x70}, 33, math.MinInt32 * 2, 5, ""},
		{"33 too large", []byte{0xff, 0xff, 0xff, 0xff, 0x1f}, 33, 0, 5, msgTooLarge},
		{"64 smallest", []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f}, 64, math.MinInt64, 10, ""},
		{"64 largest", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0}, 64, math.MaxInt64, 10, ""},
		{"64 too large", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, 64, 0, 10, msgTooLarge},
		{"64 nine bytes", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, 64, -1, 9, ""},
	} {
		v, n, problem := readSigned(tt.in, tt.bits)
		if v != tt.want || n != tt.n || problem != tt.problem {
			t.Errorf("%s: got %d, %d, %q, want %d, %d, %q", tt.name, v, n, problem, tt.want, tt.n, tt.problem)
		}
	}
}

// Numbers on both sides of every change of length come back, and in no more
// bytes than they need.
func TestAppendLEB(t *testing.T) {
	for shift := range 64 {
		for _, d := range []uint64{0, 1, math.MaxUint64} {
			v := uint64(1)<<shift + d
			if got, n, problem := readUnsigned(AppendU64(nil, v), 64); got != v || problem != "" || n > 1 && v>>(7*(n-1)) == 0 {
				t.Errorf("AppendU64(%d): got %d in %d bytes, %q", v, got, n, problem)
			}
			for _, s := range []int64{int64(v), -int64(v)} {
				b := AppendS64(nil, s)
				got, n, problem := readSigned(b, 64)
				if got != s || problem != "" || n != len(b) {
					t.Errorf("AppendS64(%d): got %d in %d of %d bytes, %q", s, got, n, len(b), problem)
				}
				if short := b[:n-1]; n > 1 {
					short[n-2] &= 0x7f
					if got, _, problem := readSigned(short, 64); got == s && problem == "" {
						t.Errorf("AppendS64(%d): %d bytes, %d would do", s, n, n-1)
					}
				}
			}
		}
	}
}

// The cursor's short cuts for numbers of one byte agree with the long way.
func TestCursorNumbers(t *testing.T) {
	for b := range 0x80 {
		in := []byte{byte(b)}
		c := cursor{b: in}
		if got, want := c.u32(), uint32(b); got != want || c.pos != 1 {
			t.Errorf("u32 of %#02x: got %d, want %d", b, got, want)
		}
		c = cursor{b: in}
		if want, _, _ := readSigned(in, 33); c.signed(33) != want || c.pos != 1 {
			t.Errorf("signed of %#02x: want %d", b, want)
		}
	}
}
