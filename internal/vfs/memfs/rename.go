package memfs

import (
	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
)

// Unlink is vfs.Dir's.
func (d *dir) Unlink(name string) abi.Errno {
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	n, errno := d.findLocked(name)
	switch {
	case errno != abi.OK:
		return errno
	case n.kind == abi.FiletypeDirectory:
		return abi.EISDIR
	}
	if errno := d.fs.loadLocked(d.node); errno != abi.OK {
		return errno
	}
	d.node.list.remove(name)
	d.fs.touchLocked(d.node)
	d.fs.unlinkedLocked(n)
	return abi.OK
}

// Rmdir is vfs.Dir's.
func (d *dir) Rmdir(name string) abi.Errno {
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	n, errno := d.lookupLocked(name)
	switch {
	case errno != abi.OK:
		return errno
	case n.kind != abi.FiletypeDirectory:
		return abi.ENOTDIR
	}
	if errno := d.fs.loadLocked(n); errno != abi.OK {
		return errno
	}
	if n.list.len() > 0 {
		return abi.ENOTEMPTY
	}
	if errno := d.fs.loadLocked(d.node); errno != abi.OK {
		return errno
	}
	d.node.list.remove(name)
	d.fs.touchLocked(d.node)
	d.fs.unlinkedLocked(n)
	return abi.OK
}

// unlinkedLocked notes that n has lost a name.
//
// Preconditions: fs.mu is locked.
func (fs *FS) unlinkedLocked(n *node) {
	fs.names--
	n.nlink--
	n.ctim = fs.opts.Now()
	n.changed()
	if n.kind == abi.FiletypeDirectory {
		n.parent = nil
	}
	fs.dropLocked(n)
}

// Rename is vfs.Dir's.
func (d *dir) Rename(name string, newDir vfs.Dir, newName string) abi.Errno {
	to, ok := newDir.(*dir)
	if !ok || to.fs != d.fs {
		return abi.EXDEV
	}
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	n, errno := d.lookupLocked(name)
	if errno != abi.OK {
		return errno
	}
	old, errno := to.findLocked(newName)
	switch {
	case errno != abi.OK && errno != abi.ENOENT:
		return errno
	case old == n:
		return abi.OK // two names of one file: POSIX wants nothing done
	}
	if errno := to.mayTakeLocked(n, old); errno != abi.OK {
		return errno
	}
	if errno := d.fs.loadLocked(d.node); errno != abi.OK {
		return errno
	}
	d.node.list.remove(name)
	if old != nil {
		to.node.list.replace(newName, n)
		d.fs.unlinkedLocked(old)
	} else {
		to.node.list.add(newName, n)
	}
	if n.kind == abi.FiletypeDirectory {
		n.parent = to.node
	}
	n.ctim = d.fs.opts.Now()
	n.changed()
	d.fs.touchLocked(d.node)
	d.fs.touchLocked(to.node)
	return abi.OK
}

// mayTakeLocked checks that n can be moved into d, over old if that is not
// nil.
//
// Preconditions: d.fs.mu is locked.
func (d *dir) mayTakeLocked(n, old *node) abi.Errno {
	isDir := n.kind == abi.FiletypeDirectory
	if isDir && n.holdsLocked(d.node) {
		return abi.EINVAL // a directory into itself
	}
	if old == nil {
		if d.node.nlink == 0 {
			return abi.ENOENT
		}
		return abi.OK
	}
	oldIsDir := old.kind == abi.FiletypeDirectory
	if isDir && oldIsDir {
		if errno := d.fs.loadLocked(old); errno != abi.OK {
			return errno
		}
	}
	switch {
	case isDir && !oldIsDir:
		return abi.ENOTDIR
	case !isDir && oldIsDir:
		return abi.EISDIR
	case oldIsDir && old.list.len() > 0:
		return abi.ENOTEMPTY
	}
	return abi.OK
}

// holdsLocked reports whether m is the directory n or lies below it.
//
// Preconditions: FS.mu is locked.
func (n *node) holdsLocked(m *node) bool {
	for ; m != nil; m = m.parent {
		if m == n {
			return true
		}
		if m.parent == m {
			return false // the root
		}
	}
	return false
}
