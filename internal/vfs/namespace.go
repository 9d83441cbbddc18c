package vfs

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/stasis-run/stasis/internal/abi"
)

// A Mount is a file system at a place in the guest's tree.
type Mount struct {
	Guest    string     // absolute and clean: "/", "/data"; immutable
	FS       FileSystem // immutable
	ReadOnly bool       // changes give EROFS; immutable
}

// A Namespace is a guest's tree of files: mounts, and the paths through them.
// Mounts are named by guest path. They are made before the guest runs and
// stay; a directory that one lies on, or below, can therefore not be renamed
// or removed (EBUSY), which keeps their paths true.
//
// Its own calls on paths are confined below the directory that is given with
// them, as WASI has it; an FSContext's are those of POSIX.
type Namespace struct {
	Resolver
	now func() int64 // wall time in ns; immutable

	locks Locks

	mu     sync.RWMutex
	mounts map[string]*Mount // by Guest; protected by mu
}

// NewNamespace returns a Namespace without mounts. Now tells the wall time in
// ns since 1970.
func NewNamespace(now func() int64) *Namespace {
	n := &Namespace{now: now, mounts: make(map[string]*Mount)}
	n.ns = n
	return n
}

// Mount puts a file system at m.Guest. If the file system below is the
// sandbox's own (it has a method MakeMountPoint), the directory is made there,
// so that listings show it, also if the guest may not write there; a host
// directory is left alone, and the mount can be reached by its name all the
// same. So mounts that lie in others are made after these: see MountAll.
func (n *Namespace) Mount(m Mount) error {
	if !path.IsAbs(m.Guest) || path.Clean(m.Guest) != m.Guest || len(m.Guest) > MaxPath ||
		strings.IndexByte(m.Guest, 0) >= 0 || !utf8.ValidString(m.Guest) {
		return fmt.Errorf("mount %q: guest path is not absolute and clean", m.Guest)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mounts[m.Guest] != nil {
		return fmt.Errorf("mount %s: something is mounted there already", m.Guest)
	}
	if below := n.belowLocked(m.Guest); below != nil {
		type mountPointer interface{ MakeMountPoint(path string) abi.Errno }
		if fs, ok := below.FS.(mountPointer); ok {
			rel := strings.TrimPrefix(strings.TrimPrefix(m.Guest, below.Guest), "/")
			if errno := fs.MakeMountPoint(rel); errno != abi.OK {
				return fmt.Errorf("mount %s: making the directory in %s: %w", m.Guest, below.Guest, errno)
			}
		}
	}
	n.mounts[m.Guest] = &m
	return nil
}

// MountAll makes mounts, in an order in which each finds what it lies in.
func (n *Namespace) MountAll(mounts []Mount) error {
	mounts = slices.Clone(mounts)
	slices.SortFunc(mounts, func(a, b Mount) int { return strings.Compare(a.Guest, b.Guest) })
	for _, m := range mounts {
		if err := n.Mount(m); err != nil {
			return err
		}
	}
	return nil
}

// Mounts lists the mounts in order of their guest paths.
func (n *Namespace) Mounts() []Mount {
	n.mu.RLock()
	defer n.mu.RUnlock()
	out := make([]Mount, 0, len(n.mounts))
	for _, m := range n.mounts {
		out = append(out, *m)
	}
	slices.SortFunc(out, func(a, b Mount) int { return strings.Compare(a.Guest, b.Guest) })
	return out
}

// belowLocked returns the mount that guest lies in, or nil.
//
// Preconditions: n.mu is locked.
func (n *Namespace) belowLocked(guest string) *Mount {
	for guest != "/" {
		guest = path.Dir(guest)
		if m := n.mounts[guest]; m != nil {
			return m
		}
	}
	return nil
}

// MountAt returns the mount at exactly this guest path, or nil.
func (n *Namespace) MountAt(guest string) *Mount {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.mounts[guest]
}

// holdsMount reports whether a mount lies at guest or below.
func (n *Namespace) holdsMount(guest string) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.mounts[guest] != nil {
		return true
	}
	for g := range n.mounts {
		if strings.HasPrefix(g, strings.TrimSuffix(guest, "/")+"/") {
			return true
		}
	}
	return false
}

// Now returns the wall time in ns since 1970.
func (n *Namespace) Now() int64 { return n.now() }

// OpenRoot opens the root directory of the mount at guest, to be preopened.
func (n *Namespace) OpenRoot(guest string) (*OpenFile, error) {
	m := n.MountAt(guest)
	if m == nil {
		return nil, &MissingError{Kind: "mount", Name: guest}
	}
	d, errno := m.FS.Root()
	if errno != abi.OK {
		return nil, fmt.Errorf("open %s: %w", guest, errno)
	}
	defer d.Close()
	f, errno := d.Open(".", OpenOptions{Read: true, Flags: abi.ODirectory})
	if errno != abi.OK {
		return nil, fmt.Errorf("open %s: %w", guest, errno)
	}
	of := NewOpenFile(f, true, false, 0)
	of.ns, of.mount, of.path = n, m, guest
	return of, nil
}

// joinGuest returns the guest path of name in the directory dir.
func joinGuest(dir, name string) string {
	if dir == "/" {
		return "/" + name
	}
	return dir + "/" + name
}
