package conformance

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// A value is an argument or an expected result.
type value struct {
	Type     string          `json:"type"`
	LaneType string          `json:"lane_type"` // of a v128
	Value    json.RawMessage `json:"value"`     // a string, or one a lane; absent in a reference: any that is not null
}

// A lane is one number, or one lane of a vector.
type lane struct {
	bits  uint64
	width int    // in bits
	nan   string // "canonical" or "arithmetic": bits means nothing
}

// laneWidth is the width of a number type in bits.
func laneWidth(typ string) (int, error) {
	switch typ {
	case "i8":
		return 8, nil
	case "i16":
		return 16, nil
	case "i32", "f32":
		return 32, nil
	case "i64", "f64":
		return 64, nil
	}
	return 0, fmt.Errorf("value type %q", typ)
}

// parseLane reads a number: its bits as a decimal, signed or not, or nan:kind.
func parseLane(typ, s string) (lane, error) {
	w, err := laneWidth(typ)
	if err != nil {
		return lane{}, err
	}
	if kind, ok := strings.CutPrefix(s, "nan:"); ok {
		return lane{width: w, nan: kind}, nil
	}
	if strings.HasPrefix(s, "-") {
		n, err := strconv.ParseInt(s, 10, w)
		return lane{bits: uint64(n) & mask(w), width: w}, err
	}
	n, err := strconv.ParseUint(s, 10, w)
	return lane{bits: n, width: w}, err
}

// mask has the low w bits set.
func mask(w int) uint64 { return ^uint64(0) >> (64 - w) }

// matches reports whether got, the bits of a result, is what l allows.
func (l lane) matches(got uint64) bool {
	got &= mask(l.width)
	if l.nan == "" {
		return got == l.bits
	}
	exp, quiet := uint64(0x7f800000), uint64(0x400000)
	if l.width == 64 {
		exp, quiet = 0x7ff0000000000000, 0x8000000000000
	}
	if l.nan == "canonical" { // the sign is free
		return got&^(1<<(l.width-1)) == exp|quiet
	}
	return got&(exp|quiet) == exp|quiet
}

// lanes splits v, a number or a vector, into its parts.
func (v value) lanes() ([]lane, error) {
	if v.Type != "v128" {
		l, err := parseLane(v.Type, v.text())
		return []lane{l}, err
	}
	var parts []string
	if err := json.Unmarshal(v.Value, &parts); err != nil {
		return nil, fmt.Errorf("v128 %s: %w", v.Value, err)
	}
	ls := make([]lane, len(parts))
	sum := 0
	for i, s := range parts {
		l, err := parseLane(v.LaneType, s)
		if err != nil {
			return nil, err
		}
		ls[i], sum = l, sum+l.width
	}
	if sum != 128 {
		return nil, fmt.Errorf("v128 of %d bits", sum)
	}
	return ls, nil
}

// text is the value as a string; "" is an absent one.
func (v value) text() string {
	var s string
	if json.Unmarshal(v.Value, &s) != nil {
		return string(v.Value)
	}
	return s
}

// isRef reports whether v is a reference of any kind.
func (v value) isRef() bool { return strings.HasSuffix(v.Type, "ref") || v.Type == "refnull" }

// words is how many 64-bit words v takes in a call.
func (v value) words() int {
	if v.Type == "v128" {
		return 2
	}
	return 1
}

// encode gives v as an argument.
func (v value) encode() ([]uint64, error) {
	if v.isRef() {
		return v.encodeRef()
	}
	ls, err := v.lanes()
	if err != nil {
		return nil, err
	}
	out := make([]uint64, v.words())
	at := 0
	for _, l := range ls {
		if l.nan != "" {
			return nil, fmt.Errorf("argument nan:%s has no bits", l.nan)
		}
		out[at/64] |= l.bits << (at % 64)
		at += l.width
	}
	return out, nil
}

// encodeRef gives a reference as an argument. The raw value of a host
// reference is its number plus one: 0 is null.
func (v value) encodeRef() ([]uint64, error) {
	switch s := v.text(); {
	case s == "null" || v.Type == "refnull":
		return []uint64{0}, nil
	case v.Type == "externref" && s != "":
		n, err := strconv.ParseUint(s, 10, 63)
		return []uint64{n + 1}, err
	}
	return nil, fmt.Errorf("argument %s %s: not expressible", v.Type, v.Value)
}

// matches reports whether the words of a result are what v allows.
func (v value) matches(got []uint64) (bool, error) {
	if v.isRef() {
		return v.matchesRef(got[0])
	}
	ls, err := v.lanes()
	if err != nil {
		return false, err
	}
	at := 0
	for _, l := range ls {
		if !l.matches(got[at/64] >> (at % 64)) {
			return false, nil
		}
		at += l.width
	}
	return true, nil
}

// matchesRef compares a reference. One of which the script gives no value may
// be any that is not null.
func (v value) matchesRef(got uint64) (bool, error) {
	if v.Value == nil && v.Type != "refnull" {
		return got != 0, nil
	}
	want, err := v.encodeRef()
	if err != nil {
		return false, err
	}
	return got == want[0], nil
}

// String is the value as a message shows it.
func (v value) String() string {
	t := v.Type
	if v.LaneType != "" {
		t += "/" + v.LaneType
	}
	if v.Value == nil {
		return t + ":any"
	}
	return t + ":" + string(v.Value)
}

// encodeAll gives the arguments of a call.
func encodeAll(vs []value) ([]uint64, error) {
	var out []uint64
	for _, v := range vs {
		w, err := v.encode()
		if err != nil {
			return nil, err
		}
		out = append(out, w...)
	}
	return out, nil
}

// matchAll compares the results of a call with what the script expects.
func matchAll(want []value, got []uint64) error {
	n := 0
	for _, v := range want {
		n += v.words()
	}
	if n != len(got) {
		return fmt.Errorf("got %d result words, want %d", len(got), n)
	}
	at := 0
	for i, v := range want {
		w := v.words()
		ok, err := v.matches(got[at : at+w])
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("result %d: got %#x, want %v", i, got[at:at+w], v)
		}
		at += w
	}
	return nil
}
