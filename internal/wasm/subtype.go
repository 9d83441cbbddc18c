package wasm

import "sync"

// A matcher compares types by the rules of the specification, where types are
// equal that are built alike, whatever their index.
type matcher struct {
	types []FuncType

	once  sync.Once
	canon []uint32 // type's index to the lowest index of an equal one; set by once
}

// matches reports whether a value of type have may stand where want is asked for.
func (x *matcher) matches(have, want ValType) bool {
	switch {
	case have == want, have == Unknown, want == Unknown:
		return true
	case !have.IsRef() || !want.IsRef():
		return false
	case have.Nullable() && !want.Nullable():
		return false
	}
	return x.heapMatches(have.Heap(), want.Heap())
}

func (x *matcher) heapMatches(have, want HeapType) bool {
	switch {
	case have == want, have == heapNone:
		return true
	case !have.IsIndex():
		return false
	case want == HeapFunc:
		return true
	}
	return want.IsIndex() && x.same(uint32(have), uint32(want))
}

// allMatch is matches for lists.
func (x *matcher) allMatch(have, want []ValType) bool {
	if len(have) != len(want) {
		return false
	}
	for i := range have {
		if !x.matches(have[i], want[i]) {
			return false
		}
	}
	return true
}

// same reports whether types a and b are equal.
func (x *matcher) same(a, b uint32) bool {
	if a == b {
		return true
	}
	if uint64(max(a, b)) >= uint64(len(x.types)) {
		return false
	}
	x.once.Do(x.canonicalize)
	return x.canon[a] == x.canon[b]
}

// canonicalize fills canon. Groups are equal if they have the same text when
// references into a group are written as places in it, and all others as the
// canonical index of what they point to, which is known by then.
func (x *matcher) canonicalize() {
	x.canon = make([]uint32, len(x.types))
	seen := make(map[string]uint32)
	var key []byte
	for start := 0; start < len(x.types); {
		size := min(max(1, int(x.types[start].rec.size)), len(x.types)-start)
		key = x.appendGroup(key[:0], start, size)
		first, ok := seen[string(key)]
		if !ok {
			first = uint32(start)
			seen[string(key)] = first
		}
		for i := range size {
			x.canon[start+i] = first + uint32(i)
		}
		start += size
	}
}

func (x *matcher) appendGroup(key []byte, start, size int) []byte {
	for i := start; i < start+size; i++ {
		key = x.appendTypes(key, x.types[i].Params, start)
		key = x.appendTypes(key, x.types[i].Results, start)
	}
	return key
}

func (x *matcher) appendTypes(key []byte, list []ValType, start int) []byte {
	key = AppendU32(key, uint32(len(list)))
	for _, t := range list {
		key = append(key, byte(t))
		if !t.hasHeap() {
			continue
		}
		switch ht := t.Heap(); {
		case !ht.IsIndex():
			key = AppendS64(key, -1-int64(ht&0xf))
		case int(ht) < start:
			key = AppendS64(append(key, 0), int64(x.canon[ht]))
		default:
			key = AppendS64(append(key, 1), int64(ht)-int64(start))
		}
	}
	return key
}
