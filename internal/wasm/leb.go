package wasm

// AppendU32 appends v as an unsigned LEB128.
func AppendU32(b []byte, v uint32) []byte { return AppendU64(b, uint64(v)) }

// AppendU64 appends v as an unsigned LEB128.
func AppendU64(b []byte, v uint64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// AppendS32 appends v as a signed LEB128.
func AppendS32(b []byte, v int32) []byte { return AppendS64(b, int64(v)) }

// AppendS64 appends v as a signed LEB128.
func AppendS64(b []byte, v int64) []byte {
	for v < -0x40 || v >= 0x40 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v)&0x7f)
}

// readUnsigned reads an unsigned LEB128 of at most bits bits at the start of
// b. It returns the number of bytes, or why there is no such number.
func readUnsigned(b []byte, bits uint) (v uint64, n int, problem string) {
	for shift := uint(0); shift < bits; shift += 7 {
		if n == len(b) {
			return 0, n, msgEnd
		}
		c := b[n]
		n++
		v |= uint64(c&0x7f) << shift
		if left := bits - shift; left < 7 && c&0x7f>>left != 0 {
			return 0, n, msgTooLarge
		}
		if c < 0x80 {
			return v, n, ""
		}
	}
	return 0, n, msgTooLong
}

// readSigned is readUnsigned for signed numbers.
func readSigned(b []byte, bits uint) (v int64, n int, problem string) {
	for shift := uint(0); shift < bits; shift += 7 {
		if n == len(b) {
			return 0, n, msgEnd
		}
		c := b[n]
		n++
		v |= int64(c&0x7f) << shift
		if left := bits - shift; left < 7 && !signBits(c, left) {
			return 0, n, msgTooLarge
		}
		if c < 0x80 {
			if shift < 64-7 {
				v = v << (64 - 7 - shift) >> (64 - 7 - shift)
			}
			return v, n, ""
		}
	}
	return 0, n, msgTooLong
}

// signBits reports whether the bits of c from the sign bit, the last of left,
// up to bit 6 are all alike.
func signBits(c byte, left uint) bool {
	high := int8(c<<1) >> left
	return high == 0 || high == -1
}

// What can be wrong with a number.
const (
	msgEnd      = "unexpected end"
	msgTooLarge = "integer too large"
	msgTooLong  = "integer representation too long"
)
