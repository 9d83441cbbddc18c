package wasm

import (
	"slices"
	"sort"
	"strings"
	"sync"
)

// A nameCache holds the function names of a module's name section, read on
// first use. It is shared by copies of the Module struct.
type nameCache struct {
	mu      sync.Mutex
	section []byte      // that entries are from; protected by mu
	entries []nameEntry // by index; protected by mu
}

// A nameEntry says that the name of function idx is section[start:end].
type nameEntry struct {
	idx, start, end uint32
}

const (
	nameSection   = "name" // of the custom section
	nameFunctions = 1      // id of the subsection
	nameGlobals   = 7
)

// FuncName returns the name of function idx for people to read: the one in
// the name section, or one that it is imported or exported under, or "". It
// is not unique. A name section that is damaged counts as far as it can be
// read.
func (m *Module) FuncName(idx uint32) string {
	if name := m.debugName(idx); name != "" {
		return name
	}
	if imp, _ := m.imported(ExternFunc, idx); imp != nil {
		return imp.Module + "." + imp.Name
	}
	for i := range m.Exports {
		if e := &m.Exports[i]; e.Kind == ExternFunc && e.Index == idx {
			return e.Name
		}
	}
	return ""
}

func (m *Module) debugName(idx uint32) string {
	section := m.nameSection()
	if section == nil {
		return ""
	}
	cache := m.names
	if cache == nil {
		cache = new(nameCache)
	}
	return cache.name(section, idx)
}

func (m *Module) nameSection() []byte {
	for i := range m.Customs {
		if m.Customs[i].Name == nameSection {
			return m.Customs[i].Bytes
		}
	}
	return nil
}

func (n *nameCache) name(section []byte, idx uint32) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !sameBytes(n.section, section) {
		n.section, n.entries = section, readNames(section, nameFunctions)
	}
	i := sort.Search(len(n.entries), func(i int) bool { return n.entries[i].idx >= idx })
	if i == len(n.entries) || n.entries[i].idx != idx {
		return ""
	}
	return strings.ToValidUTF8(string(section[n.entries[i].start:n.entries[i].end]), "\ufffd")
}

// sameBytes reports whether a and b are the same memory.
func sameBytes(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// GlobalNamed finds a global that the name section has a name for. Of several the
// first counts.
func (m *Module) GlobalNamed(name string) (idx uint32, ok bool) {
	section := m.nameSection()
	for _, e := range readNames(section, nameGlobals) {
		if string(section[e.start:e.end]) == name {
			return e.idx, true
		}
	}
	return 0, false
}

// readNames finds the names of a kind of thing in a name section.
func readNames(section []byte, kind byte) []nameEntry {
	c := cursor{b: section}
	for c.left() > 0 {
		id := c.byte()
		size := c.u32()
		if c.err != nil {
			return nil
		}
		if id == kind {
			c.b = c.b[:c.pos+min(c.left(), int(size))]
			return c.nameMap()
		}
		c.bytes(size)
	}
	return nil
}

// nameMap reads names as far as they can be read.
func (c *cursor) nameMap() []nameEntry {
	n := min(int(c.u32()), c.left()/2)
	entries := make([]nameEntry, 0, reserve(n, c.left()))
	for range n {
		idx := c.u32()
		name := c.bytes(c.u32())
		if c.err != nil {
			break
		}
		entries = append(entries, nameEntry{idx, uint32(c.pos - len(name)), uint32(c.pos)})
	}
	// The format wants them in order, but that is no reason to do without.
	slices.SortStableFunc(entries, func(a, b nameEntry) int { return int(int64(a.idx) - int64(b.idx)) })
	return entries
}
