package memfs

import (
	"slices"
	"sort"
	"strings"

	"github.com/stasis-run/stasis/internal/abi"
)

// firstSeq is the number of a directory's first entry. Its cookie is one that
// "." and ".." do not use.
const firstSeq = 3

// entry is a name in a directory.
type entry struct {
	name string
	node *node // nil when it has been removed
	seq  uint64
}

// listing is what a directory holds. Each entry gets a number when it is made,
// higher than all before it, and never another: the number is the entry's
// cookie. So a directory is listed in the order in which it was filled, and a
// place in it stays right whatever else comes and goes, also over a restore.
//
// All of it is protected by FS.mu.
type listing struct {
	byName  map[string]*entry
	bySeq   []*entry // in order of seq; removed ones stay until there are many
	removed int      // of those in bySeq
	lastSeq uint64   // that was given out, 0 if none
	dirs    int      // how many entries are directories
}

// get returns what name is, or nil.
func (l *listing) get(name string) *node {
	if e := l.byName[name]; e != nil {
		return e.node
	}
	return nil
}

func (l *listing) len() int { return len(l.byName) }

// add gives n a name that is free.
func (l *listing) add(name string, n *node) {
	l.lastSeq = max(l.lastSeq+1, firstSeq)
	// The name is mostly a piece of a longer path.
	e := &entry{name: strings.Clone(name), node: n, seq: l.lastSeq}
	if l.byName == nil {
		l.byName = make(map[string]*entry)
	}
	l.byName[e.name] = e
	l.bySeq = append(l.bySeq, e)
	l.count(n, 1)
	n.named(e.name)
}

// replace makes an existing name that of n, in its place in the list.
func (l *listing) replace(name string, n *node) {
	e := l.byName[name]
	l.count(e.node, -1)
	e.node = n
	l.count(n, 1)
	n.named(e.name)
}

// named notes the name of a directory, which has one.
func (n *node) named(name string) {
	if n.kind == abi.FiletypeDirectory {
		n.name = name
	}
}

// remove takes an existing name away.
func (l *listing) remove(name string) {
	e := l.byName[name]
	delete(l.byName, name)
	l.count(e.node, -1)
	e.node = nil
	if l.removed++; l.removed > len(l.bySeq)/2 {
		l.bySeq = slices.DeleteFunc(l.bySeq, func(e *entry) bool { return e.node == nil })
		l.removed = 0
	}
}

func (l *listing) count(n *node, by int) {
	if n.kind == abi.FiletypeDirectory {
		l.dirs += by
	}
}

// after returns the entries with numbers above seq; some may be removed ones.
func (l *listing) after(seq uint64) []*entry {
	i := sort.Search(len(l.bySeq), func(i int) bool { return l.bySeq[i].seq > seq })
	return l.bySeq[i:]
}
