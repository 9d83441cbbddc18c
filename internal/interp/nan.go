package interp

// What operators give where the result is a NaN. The specification leaves the
// bits open; these are the machine's, and wazero's compiler hands them through,
// so that a guest sees the same from compiled and from interpreted code:
//
//   - An operand that is a NaN is the result, made quiet. Of two it is the left
//     one; on arm64, one that signals wins over one that does not.
//   - Without one (0/0, inf-inf, the root of -1), it is the default NaN, whose
//     sign is set on amd64 and clear on arm64.
//
// They are computed here from the operands' bits, as Go may swap the operands of
// + and *. A guest that is saved on one machine and woken on the other may see
// both, as the specification allows; what it has in memory stays as it is.
const (
	quietBit32 = 1 << 22
	quietBit64 = 1 << 51

	signBit32 = 1 << 31
	signBit64 = 1 << 63
)

func isNaN32(x uint64) bool { return x&0x7fffffff > 0x7f800000 }
func isNaN64(x uint64) bool { return x&0x7fffffffffffffff > 0x7ff0000000000000 }

// nan32 and nan64 return the NaN that comes of operands x and y. An operator
// with one operand gives it twice.
func nan32(x, y uint64) uint64 {
	switch {
	case signalsFirst && isNaN32(y) && y&quietBit32 == 0 && !(isNaN32(x) && x&quietBit32 == 0):
		return uint64(uint32(y)) | quietBit32
	case isNaN32(x):
		return uint64(uint32(x)) | quietBit32
	case isNaN32(y):
		return uint64(uint32(y)) | quietBit32
	}
	return defaultNaN32
}

func nan64(x, y uint64) uint64 {
	switch {
	case signalsFirst && isNaN64(y) && y&quietBit64 == 0 && !(isNaN64(x) && x&quietBit64 == 0):
		return y | quietBit64
	case isNaN64(x):
		return x | quietBit64
	case isNaN64(y):
		return y | quietBit64
	}
	return defaultNaN64
}

// promoteNaN and demoteNaN change the width of a NaN. Sign and the leading bits
// of the payload stay; demoteNaN loses the others, and the quiet bit keeps the
// rest from being infinity.
func promoteNaN(x uint64) uint64 {
	return x&signBit32<<32 | 0x7ff0000000000000 | quietBit64 | x&0x7fffff<<29
}

func demoteNaN(x uint64) uint64 {
	return x&signBit64>>32 | 0x7f800000 | quietBit32 | x>>29&0x7fffff
}
