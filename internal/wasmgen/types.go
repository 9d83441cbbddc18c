package wasmgen

// A valType is a value type: the code of the binary format in the low byte
// and, for typed references, the index of the function type above it.
type valType uint32

const (
	i32       valType = 0x7f
	i64       valType = 0x7e
	f32       valType = 0x7d
	f64       valType = 0x7c
	v128      valType = 0x7b
	funcref   valType = 0x70
	externref valType = 0x6f
	exnref    valType = 0x69

	refNull valType = 0x63 // (ref null $t)
	refTo   valType = 0x64 // (ref $t)
)

// letters spells types in signatures.
var letters = map[valType]byte{
	i32: 'i', i64: 'j', f32: 'f', f64: 'd', v128: 'v', funcref: 'r', externref: 'x',
}

// typesOf is the inverse of letters.
var typesOf = func() map[byte]valType {
	m := map[byte]valType{}
	for t, l := range letters {
		m[l] = t
	}
	return m
}()

// parseTypes reads the letters of a signature's half.
func parseTypes(s string) []valType {
	ts := make([]valType, len(s))
	for i := range s {
		ts[i] = typesOf[s[i]]
	}
	return ts
}

func (t valType) kind() valType  { return t & 0xff }
func (t valType) target() uint32 { return uint32(t >> 8) }
func (t valType) typedRef() bool { return t.kind() == refNull || t.kind() == refTo }
func (t valType) ref() bool      { return t == funcref || t == externref || t == exnref || t.typedRef() }

// private reports whether values of t do not cross to the host.
func (t valType) private() bool  { return t.typedRef() || t == exnref }
func (t valType) nullable() bool { return t.kind() != refTo }
func nullRefTo(n uint32) valType { return refNull | valType(n)<<8 }
func ref(n uint32) valType       { return refTo | valType(n)<<8 }

// A funcType is a signature.
type funcType struct{ in, out []valType }

// key identifies a signature.
func (t funcType) key() string {
	b := make([]byte, 0, 16)
	for _, v := range t.in {
		b = append(b, byte(v), byte(v>>8), byte(v>>16))
	}
	b = append(b, 0xff)
	for _, v := range t.out {
		b = append(b, byte(v), byte(v>>8), byte(v>>16))
	}
	return string(b)
}

// sameTypes reports whether a and b are equal.
func sameTypes(a, b []valType) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
