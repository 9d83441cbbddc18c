package wasmgen

import (
	"math"
	"math/bits"
)

// A HostFunc is a function that modules import from "env".
type HostFunc struct {
	Name            string
	Params, Results string // letters of types
	// Call takes the parameters from stack and leaves the results there. It
	// is long enough for either. Values are as in Instance.
	Call func(h *Host, stack []uint64)
}

// hostFuncs are the imports, in the order of their indices.
var hostFuncs = []HostFunc{
	{"log", "i", "", func(h *Host, s []uint64) { h.log('i', uint64(uint32(s[0]))) }},
	{"log64", "j", "", func(h *Host, s []uint64) { h.log('j', s[0]) }},
	{"logf32", "f", "", func(h *Host, s []uint64) { h.log('f', canonical32(s[0])) }},
	{"logf64", "d", "", func(h *Host, s []uint64) { h.log('d', canonical64(s[0])) }},
	{"logref", "x", "", func(h *Host, s []uint64) { h.log('x', s[0]) }},
	{"next", "", "i", func(h *Host, s []uint64) { s[0] = uint64(uint32(h.next() >> 40)) }},
	{"mix", "ijd", "j", func(h *Host, s []uint64) {
		h.log('m', uint64(uint32(s[0]))^s[1]^canonical64(s[2]))
		s[0] = h.next()
	}},
	{"ref", "i", "x", func(h *Host, s []uint64) { s[0] &= 15 }}, // 0 is null
	{"two", "f", "ji", func(h *Host, s []uint64) {
		h.log('t', canonical32(s[0]))
		s[0], s[1] = h.next(), h.next()>>58
	}},
	{"sub", "dd", "d", func(h *Host, s []uint64) {
		d := math.Float64frombits(s[0]) - math.Float64frombits(s[1])
		s[0] = canonical64(math.Float64bits(d))
	}},
	{"uncaught", "i", "", func(h *Host, s []uint64) { h.log('u', uint64(uint32(s[0]))) }}, // not for random code
	{"mark", "i", "", func(h *Host, s []uint64) { h.marks[uint32(s[0])]++ }},              // with Config.mark only
}

// markIndex is the import of mark, where it is there.
var markIndex = uint64(len(hostFuncs) - 1)

// hostIndex is the function index of an import.
func hostIndex(name string) int {
	for i, h := range hostFuncs {
		if h.Name == name {
			return i
		}
	}
	panic("wasmgen: no host function " + name)
}

// HostFuncs lists what an engine has to offer a module under "env". A module
// may import all of them.
func HostFuncs() []HostFunc { return hostFuncs }

// maxLog is how much of the log is kept word for word.
const maxLog = 4096

// A Host is the world of one module: it takes in the log and answers with
// numbers that depend on nothing but how often it was asked.
type Host struct {
	Log  []LogEntry // the first of them
	Len  int        // of the whole log
	Hash uint64     // of the whole log

	asked uint64
	marks map[uint32]int
}

// A LogEntry is one call of a logging function.
type LogEntry struct {
	Kind byte
	Bits uint64
}

// NewHost returns the world of a module that has not run yet.
func NewHost() *Host { return &Host{marks: map[uint32]int{}} }

func (h *Host) log(kind byte, bits uint64) {
	if len(h.Log) < maxLog {
		h.Log = append(h.Log, LogEntry{kind, bits})
	}
	h.Len++
	h.Hash = (h.Hash ^ bits ^ uint64(kind)<<56) * 0x9e3779b97f4a7c15
	h.Hash ^= h.Hash >> 29
}

// next returns the next number.
func (h *Host) next() uint64 {
	h.asked++
	x := h.asked * 0x9e3779b97f4a7c15
	x ^= x >> 32
	return x * 0xd6e8feb86659fd93
}

// canonical32 and canonical64 give all NaNs one pattern.
func canonical32(bits uint64) uint64 {
	bits = uint64(uint32(bits))
	if bits&0x7fffffff > 0x7f800000 {
		return 0x7fc00000
	}
	return bits
}

func canonical64(bits uint64) uint64 {
	if bits&(1<<63-1) > 0x7ff0000000000000 {
		return 0x7ff8000000000000
	}
	return bits
}

// Uncaught takes down an exception that left an export as modules in the
// encoding Reference do themselves. kinds has a letter for each value; n is a
// reference that does not cross to the host, whose word is 0 if it is null.
func (h *Host) Uncaught(tag uint32, kinds string, words []uint64) {
	h.log('u', uint64(tag))
	for _, k := range kinds {
		w := words[0]
		words = words[1:]
		switch k {
		case 'i':
			h.log('i', uint64(uint32(w)))
		case 'j', 'x':
			h.log(byte(k), w)
		case 'f':
			h.log('f', canonical32(w))
		case 'd':
			h.log('d', canonical64(w))
		case 'v':
			h.log('j', w^bits.RotateLeft64(words[0], 13))
			words = words[1:]
		default:
			null := uint64(0)
			if w == 0 {
				null = 1
			}
			h.log('j', null)
		}
	}
}
