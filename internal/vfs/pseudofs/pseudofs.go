// Package pseudofs is what file systems are made of that hold no data: trees of
// directories, links, devices, and files whose content is made when they are
// opened. Such are /dev and /proc.
//
// A tree is described by nodes that are found by name when they are asked for;
// a handle is a path and looks each time. So what comes and goes (a process)
// needs no bookkeeping, and a handle is saved as its path.
//
// Nothing can be made, renamed or removed in it: EPERM.
package pseudofs

import (
	"strings"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
)

// A Node is what is at a path. One of the functions says what it is.
type Node struct {
	Ino  uint64
	Type abi.Filetype // what stat tells; FiletypeSymbolicLink has Link

	// Dir is what a directory holds.
	Dir Dir

	// Link is the target of a symbolic link. Jump is where it leads if that is no
	// path, with a reference for the caller: nil for those that are followed by
	// Link.
	Link func() (string, abi.Errno)
	Jump func() (*vfs.OpenFile, abi.Errno)

	// Data makes the content of a regular file, each time that it is opened. It
	// can only be read. Size is what stat tells of it, 0 as on Linux if it is not
	// known.
	Data func() ([]byte, abi.Errno)
	Size uint64

	// Open opens a device. What it returns is a Seeker, or vfs.Unmounted and
	// saved by its own kind.
	Open func(vfs.OpenOptions) (vfs.File, abi.Errno)
}

// A Dir is a directory of a tree. Caller is the pid of who asks, or 0.
type Dir interface {
	// Lookup returns the node called name, or ENOENT.
	Lookup(caller uint32, name string) (*Node, abi.Errno)

	// List returns the entries in the order of their keys.
	List(caller uint32) []Entry
}

// An Entry is a name in a directory. Its key is its own, and stays so: it is
// what a listing goes on from.
type Entry struct {
	Name string
	Key  uint64
	Ino  uint64
	Type abi.Filetype
}

// Static is a Dir whose entries stay.
type Static []Named

// Named is an entry of a Static.
type Named struct {
	Name string
	Node *Node
}

// Lookup is Dir's.
func (s Static) Lookup(_ uint32, name string) (*Node, abi.Errno) {
	for _, e := range s {
		if e.Name == name {
			return e.Node, abi.OK
		}
	}
	return nil, abi.ENOENT
}

// List is Dir's.
func (s Static) List(uint32) []Entry {
	var out []Entry
	for i, e := range s {
		out = append(out, Entry{e.Name, uint64(i), e.Node.Ino, e.Node.Type})
	}
	return out
}

// An FS is a tree as a vfs.FileSystem.
type FS struct {
	typ  string
	dev  uint64
	time uint64 // of all that is in it, ns since 1970
	root *Node
}

var _ vfs.FileSystem = (*FS)(nil)

// Pseudo implements vfs.Pseudo.
func (f *FS) Pseudo() {}

// New returns the tree of root, which is a directory. Typ is what Type returns,
// dev the device number that stat tells, and time that of all nodes, in ns since
// 1970.
func New(typ string, dev uint64, time int64, root *Node) *FS {
	return &FS{typ: typ, dev: dev, time: uint64(max(time, 0)), root: root}
}

// Type names the tree.
func (fs *FS) Type() string { return fs.typ }

// Root returns a handle on the root directory.
func (fs *FS) Root() (vfs.Dir, abi.Errno) { return &dir{fs: fs}, abi.OK }

// MakeMountPoint is OK for a directory that is there: so that other file systems
// can be mounted on it.
func (fs *FS) MakeMountPoint(path string) abi.Errno {
	n, errno := fs.find(0, path)
	switch {
	case errno == abi.ENOENT:
		return abi.EPERM
	case errno != abi.OK:
		return errno
	case n.Dir == nil:
		return abi.ENOTDIR
	}
	return abi.OK
}

// find returns the node at path, "" for the root.
func (fs *FS) find(caller uint32, path string) (*Node, abi.Errno) {
	n := fs.root
	if path == "" {
		return n, abi.OK
	}
	for name := range strings.SplitSeq(path, "/") {
		if n.Dir == nil {
			return nil, abi.ENOTDIR
		}
		var errno abi.Errno
		if n, errno = n.Dir.Lookup(caller, name); errno != abi.OK {
			return nil, errno
		}
	}
	return n, abi.OK
}

// stat is what is told of n.
func (fs *FS) stat(n *Node) abi.Filestat {
	st := abi.Filestat{Dev: fs.dev, Ino: n.Ino, Filetype: n.Type, Nlink: 1, Size: n.Size, Atim: fs.time, Mtim: fs.time, Ctim: fs.time}
	if n.Dir != nil {
		st.Nlink = 2
	}
	return st
}

// join returns the path of name in the directory path.
func join(path, name string) string {
	switch {
	case name == ".":
		return path
	case path == "":
		return name
	}
	return path + "/" + name
}
