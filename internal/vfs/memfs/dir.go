package memfs

import (
	"slices"
	"strings"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
)

// dir is a handle on a directory. It keeps a removed directory's node alive,
// but not in the file system: nothing can be made in it any more.
type dir struct {
	fs   *FS
	node *node
}

func (d *dir) Close() {}

// lookupLocked returns the node called name, of which all is known.
//
// Preconditions: d.fs.mu is locked.
func (d *dir) lookupLocked(name string) (*node, abi.Errno) {
	n, errno := d.findLocked(name)
	if errno != abi.OK {
		return nil, errno
	}
	return n, d.fs.knowLocked(n)
}

// findLocked returns the node called name.
//
// Preconditions: d.fs.mu is locked.
func (d *dir) findLocked(name string) (*node, abi.Errno) {
	if name == "." {
		return d.node, abi.OK
	}
	if errno := d.fs.seesLocked(d.node, name); errno != abi.OK {
		return nil, errno
	}
	if n := d.node.list.get(name); n != nil {
		return n, abi.OK
	}
	return nil, abi.ENOENT
}

// freshLocked makes a node called name, which must be free.
//
// Preconditions: d.fs.mu is locked.
func (d *dir) freshLocked(name string, kind abi.Filetype) (*node, abi.Errno) {
	if errno := d.freeLocked(name); errno != abi.OK {
		return nil, errno
	}
	n, errno := d.fs.newNodeLocked(kind)
	if errno != abi.OK {
		return nil, errno
	}
	n.nlink = 1
	if kind == abi.FiletypeDirectory {
		n.parent = d.node
	}
	d.node.list.add(name, n)
	d.fs.names++
	d.fs.touchLocked(d.node)
	return n, abi.OK
}

// freeLocked checks that an entry called name can be made.
//
// Preconditions: d.fs.mu is locked.
func (d *dir) freeLocked(name string) abi.Errno {
	if errno := d.fs.seesLocked(d.node, name); errno != abi.OK {
		return errno
	}
	switch {
	case d.node.list.get(name) != nil:
		return abi.EEXIST
	case d.node.nlink == 0:
		return abi.ENOENT // the directory itself has been removed
	case d.fs.names-d.fs.lowerNodes >= d.fs.opts.Inodes:
		return abi.ENOSPC
	}
	return abi.OK
}

// Stat is vfs.Dir's.
func (d *dir) Stat(name string) (abi.Filestat, abi.Errno) {
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	n, errno := d.lookupLocked(name)
	if errno != abi.OK {
		return abi.Filestat{}, errno
	}
	return d.fs.statLocked(n), abi.OK
}

// OpenDir is vfs.Dir's.
func (d *dir) OpenDir(name string) (vfs.Dir, abi.Errno) {
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	n, errno := d.lookupLocked(name)
	switch {
	case errno != abi.OK:
		return nil, errno
	case n.kind != abi.FiletypeDirectory:
		return nil, abi.ENOTDIR
	}
	return &dir{d.fs, n}, abi.OK
}

// Open is vfs.Dir's. A file from below that is to be written is copied up.
func (d *dir) Open(name string, opts vfs.OpenOptions) (vfs.File, abi.Errno) {
	f, errno := d.open(name, opts)
	if file, ok := f.(*file); ok && opts.Write {
		if errno := d.fs.copyUp(file.node); errno != abi.OK {
			f.Close()
			return nil, errno
		}
	}
	return f, errno
}

func (d *dir) open(name string, opts vfs.OpenOptions) (vfs.File, abi.Errno) {
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	n, errno := d.lookupLocked(name)
	create := opts.Flags&abi.OCreat != 0
	switch {
	case errno == abi.OK && create && opts.Flags&abi.OExcl != 0:
		return nil, abi.EEXIST
	case errno == abi.ENOENT && create:
		if n, errno = d.freshLocked(name, abi.FiletypeRegularFile); errno != abi.OK {
			return nil, errno
		}
	case errno != abi.OK:
		return nil, errno
	}
	return d.fs.openLocked(n, opts)
}

// openLocked opens n, which is there.
//
// Preconditions: fs.mu is locked.
func (fs *FS) openLocked(n *node, opts vfs.OpenOptions) (vfs.File, abi.Errno) {
	if fs.nodes[n.ino] != n {
		return nil, abi.ENOENT // a directory that was removed in the middle of a walk
	}
	switch n.kind {
	case abi.FiletypeSymbolicLink:
		return nil, abi.ELOOP
	case abi.FiletypeDirectory:
		if opts.Write || opts.Flags&(abi.OCreat|abi.OTrunc) != 0 {
			return nil, abi.EISDIR
		}
		n.opens++
		return &directory{dir: dir{fs, n}}, abi.OK
	}
	if opts.Flags&abi.ODirectory != 0 {
		return nil, abi.ENOTDIR
	}
	if opts.Flags&abi.OTrunc != 0 {
		fs.ownLocked(n)
		n.data.resize(fs, 0)
		fs.touchLocked(n)
	}
	if errno := fs.openLowerLocked(n); errno != abi.OK {
		return nil, errno
	}
	n.opens++
	return &file{fs: fs, node: n}, abi.OK
}

// Where is vfs.Locator's.
func (d *dir) Where() (string, abi.Errno) {
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	var names []string
	for n := d.node; n != d.fs.root; n = n.parent {
		if n.parent == nil {
			return "", abi.ENOENT
		}
		names = append(names, n.name)
	}
	slices.Reverse(names)
	return strings.Join(names, "/"), abi.OK
}

// Readlink is vfs.Dir's.
func (d *dir) Readlink(name string) (string, abi.Errno) {
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	n, errno := d.lookupLocked(name)
	switch {
	case errno != abi.OK:
		return "", errno
	case n.kind != abi.FiletypeSymbolicLink:
		return "", abi.EINVAL
	}
	d.fs.readLocked(n)
	return n.target, abi.OK
}

// SetTimes is vfs.Dir's.
func (d *dir) SetTimes(name string, t vfs.Times) abi.Errno {
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	n, errno := d.lookupLocked(name)
	if errno == abi.OK {
		n.setTimesLocked(t)
	}
	return errno
}

// Mkdir is vfs.Dir's.
func (d *dir) Mkdir(name string) abi.Errno {
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	_, errno := d.freshLocked(name, abi.FiletypeDirectory)
	return errno
}

// Symlink is vfs.Dir's. A long target counts as one block.
func (d *dir) Symlink(target, name string) abi.Errno {
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	blocks := linkBlocks(target)
	if !d.fs.takeLocked(blocks) {
		return abi.ENOSPC
	}
	n, errno := d.freshLocked(name, abi.FiletypeSymbolicLink)
	if errno != abi.OK {
		d.fs.giveLocked(blocks)
		return errno
	}
	n.target = strings.Clone(target)
	return abi.OK
}

// Link is vfs.Dir's.
func (d *dir) Link(name string, newDir vfs.Dir, newName string) abi.Errno {
	to, ok := newDir.(*dir)
	if !ok || to.fs != d.fs {
		return abi.EXDEV
	}
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	n, errno := d.lookupLocked(name)
	switch {
	case errno != abi.OK:
		return errno
	case n.kind == abi.FiletypeDirectory:
		return abi.EPERM
	case n.nlink >= maxLinks:
		return abi.EMLINK
	}
	if errno := to.freeLocked(newName); errno != abi.OK {
		return errno
	}
	to.node.list.add(newName, n)
	d.fs.names++
	n.nlink++
	n.ctim = d.fs.opts.Now()
	n.changed()
	d.fs.touchLocked(to.node)
	return abi.OK
}

// MakeMountPoint makes the directory path, which is relative to the root, and
// those above it, as far as they are not there.
func (fs *FS) MakeMountPoint(path string) abi.Errno {
	var at vfs.Dir = &dir{fs, fs.root}
	for name := range strings.SplitSeq(path, "/") {
		if len(name) > vfs.MaxName {
			return abi.ENAMETOOLONG
		}
		if errno := at.Mkdir(name); errno != abi.OK && errno != abi.EEXIST {
			return errno
		}
		next, errno := at.OpenDir(name)
		if errno != abi.OK {
			return errno
		}
		at = next
	}
	return abi.OK
}
