//go:build !arm64

package interp

const (
	defaultNaN32 = 0xffc00000
	defaultNaN64 = 0xfff8000000000000

	// signalsFirst: of two operands, a NaN that signals goes before one that
	// does not.
	signalsFirst = false
)
