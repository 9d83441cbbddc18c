package interp

const (
	defaultNaN32 = 0x7fc00000
	defaultNaN64 = 0x7ff8000000000000

	// signalsFirst: of two operands, a NaN that signals goes before one that
	// does not.
	signalsFirst = true
)
