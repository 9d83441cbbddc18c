package memfs

import (
	"fmt"
	"path"
	"strings"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
)

// An FS can lie over another file system, its lower: what is there is seen until
// it is changed, and changes stay in memory. This is what others call an overlay
// with one lower and one upper layer.
//
// A node that comes from below remembers its place there, its origin, which
// stays as it is when the node is renamed. What it takes to know of a node is
// read when it is asked for:
//
//   - a directory's names one by one as they are looked up, or all (loaded) to
//     list it or to take a name away. So there are no whiteouts: a loaded
//     directory has what it has, and one that is made anew has no origin.
//   - a file's content from below until somebody opens the file to write, who
//     copies it up. A change of names or times copies nothing.
//
// The lower is read only, and should not change meanwhile: what changes there is
// seen in names that were not looked up yet and files that are not open, and
// nothing else is promised. Its hard links are files of their own here. Devices,
// fifos and sockets of the host are not seen.
type origin struct {
	path string // below the lower's root, "" for the root; immutable

	// A stub was listed and not looked at: its times, size and target are not
	// known yet. Protected by FS.mu.
	stub bool

	// Of a directory: all of its names are in the listing. Protected by FS.mu.
	loaded bool

	// times are the node's own: they were set here. Protected by FS.mu.
	times bool
}

// maxLowerNodes bounds how many nodes are made of what is below, which no quota
// counts: beyond it looking at more gives ENOMEM.
const maxLowerNodes = 8 << 20

// below opens the directory at path of the lower. The caller closes it.
func (fs *FS) below(path string) (vfs.Dir, abi.Errno) {
	d, errno := fs.opts.Lower.Root()
	if errno != abi.OK || path == "" {
		return d, errno
	}
	for name := range strings.SplitSeq(path, "/") {
		next, errno := d.OpenDir(name)
		d.Close()
		if errno != abi.OK {
			return nil, errno
		}
		d = next
	}
	return d, abi.OK
}

// originOf returns the directory below that has n, and its name there, which is
// "." for the root.
func (fs *FS) originOf(o *origin) (vfs.Dir, string, abi.Errno) {
	if o.path == "" {
		d, errno := fs.below("")
		return d, ".", errno
	}
	parent, name := path.Split(o.path)
	d, errno := fs.below(strings.TrimSuffix(parent, "/"))
	return d, name, errno
}

// child returns the origin of name in a directory.
func (o *origin) child(name string) *origin {
	if o.path == "" {
		return &origin{path: name}
	}
	return &origin{path: o.path + "/" + name}
}

// seesLocked makes name known in n, if it is below and not known yet.
//
// Preconditions: fs.mu is locked.
func (fs *FS) seesLocked(n *node, name string) abi.Errno {
	if n.lower == nil || n.lower.loaded || n.kind != abi.FiletypeDirectory || n.list.get(name) != nil {
		return abi.OK
	}
	d, errno := fs.below(n.lower.path)
	if errno == abi.OK {
		defer d.Close()
		var st abi.Filestat
		if st, errno = d.Stat(name); errno == abi.OK {
			child, made := fs.lowerNodeLocked(n, name, st.Filetype)
			if made == abi.OK && child != nil {
				return fs.fillLocked(child, d, name, st)
			}
			return made
		}
	}
	if errno == abi.ENOENT || errno == abi.ENOTDIR {
		return abi.OK // not below
	}
	return errno
}

// lowerNodeLocked makes a node of what is below n under name, and gives it the
// name. It returns nil for what is not seen.
//
// Preconditions: fs.mu is locked.
func (fs *FS) lowerNodeLocked(n *node, name string, kind abi.Filetype) (*node, abi.Errno) {
	switch {
	case kind != abi.FiletypeDirectory && kind != abi.FiletypeRegularFile && kind != abi.FiletypeSymbolicLink:
		return nil, abi.OK
	case fs.lowerNodes >= maxLowerNodes:
		return nil, abi.ENOMEM
	}
	fs.lastIno++
	child := &node{ino: fs.lastIno, kind: kind, nlink: 1, lower: n.lower.child(name)}
	child.lower.stub = true
	if kind == abi.FiletypeDirectory {
		child.parent = n
	}
	fs.nodes[child.ino] = child
	fs.lowerNodes++
	n.list.add(name, child)
	fs.names++
	return child, abi.OK
}

// knowLocked looks at what n is a stub of.
//
// Preconditions: fs.mu is locked.
func (fs *FS) knowLocked(n *node) abi.Errno {
	if n.lower == nil || !n.lower.stub {
		return abi.OK
	}
	d, name, errno := fs.originOf(n.lower)
	if errno != abi.OK {
		return errno
	}
	defer d.Close()
	st, errno := d.Stat(name)
	if errno != abi.OK {
		return errno
	}
	return fs.fillLocked(n, d, name, st)
}

// fillLocked takes over what a stub of name in d is.
//
// Preconditions: fs.mu is locked.
func (fs *FS) fillLocked(n *node, d vfs.Dir, name string, st abi.Filestat) abi.Errno {
	if st.Filetype != n.kind {
		return abi.ESTALE // it was replaced since it was listed
	}
	if n.kind == abi.FiletypeSymbolicLink {
		target, errno := d.Readlink(name)
		if errno != abi.OK {
			return errno
		}
		if target == "" || len(target) >= vfs.MaxPath || strings.IndexByte(target, 0) >= 0 {
			return abi.EIO
		}
		n.target = target
	}
	n.lower.stub = false
	fs.lowerStatLocked(n, st)
	return abi.OK
}

// lowerStatLocked takes over times and size.
//
// Preconditions: fs.mu is locked.
func (fs *FS) lowerStatLocked(n *node, st abi.Filestat) {
	if !n.lower.times {
		n.atim, n.mtim, n.ctim = clampTime(st.Atim), clampTime(st.Mtim), clampTime(st.Ctim)
	}
	if n.kind == abi.FiletypeRegularFile {
		n.data.size = int64(min(st.Size, maxFileSize))
	}
}

// clampTime makes sure of a time that can be saved.
func clampTime(t uint64) int64 { return int64(min(t, 1<<63-1)) }

// loadLocked makes all names of a directory known.
//
// Preconditions: fs.mu is locked.
func (fs *FS) loadLocked(n *node) abi.Errno {
	if n.lower == nil || n.lower.loaded || n.kind != abi.FiletypeDirectory {
		return abi.OK
	}
	d, errno := fs.below(n.lower.path)
	if errno != abi.OK {
		return errno
	}
	defer d.Close()
	f, errno := d.Open(".", vfs.OpenOptions{Read: true, Flags: abi.ODirectory})
	if errno != abi.OK {
		return errno
	}
	defer f.Close()
	var failed abi.Errno
	errno = f.(vfs.Directory).ReadDir(0, func(e vfs.Dirent) bool {
		if e.Name == "." || e.Name == ".." || n.list.get(e.Name) != nil {
			return true
		}
		_, failed = fs.lowerNodeLocked(n, e.Name, e.Filetype)
		return failed == abi.OK
	})
	if failed != abi.OK {
		errno = failed
	}
	n.lower.loaded = errno == abi.OK
	return errno
}

// ownLocked cuts the tie of a file's content to what is below.
//
// Preconditions: fs.mu is locked.
func (fs *FS) ownLocked(n *node) {
	if n.lower != nil {
		n.lower = nil
		fs.lowerNodes--
	}
}

// openLowerLocked opens the content of n below, if that is where it is.
//
// Preconditions: fs.mu is locked.
func (fs *FS) openLowerLocked(n *node) abi.Errno {
	if n.lower == nil || n.below != nil {
		return abi.OK
	}
	d, name, errno := fs.originOf(n.lower)
	if errno != abi.OK {
		return errno
	}
	defer d.Close()
	f, errno := d.Open(name, vfs.OpenOptions{Read: true})
	if errno != abi.OK {
		return errno
	}
	r, ok := f.(vfs.Regular)
	if !ok {
		f.Close()
		return abi.ESTALE
	}
	n.below = r
	if st, errno := f.Stat(); errno == abi.OK {
		fs.lowerStatLocked(n, st)
	}
	return abi.OK
}

// copyUp makes the content of n, which is open, its own. It reads without the
// lock, so that others can work; who comes meanwhile for the same waits.
func (fs *FS) copyUp(n *node) abi.Errno {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for n.copying != nil {
		done := n.copying
		fs.mu.Unlock()
		<-done
		fs.mu.Lock()
	}
	if n.lower == nil {
		return abi.OK
	}
	if errno := fs.openLowerLocked(n); errno != abi.OK {
		return errno
	}
	n.copying = make(chan struct{})
	var c content
	fs.mu.Unlock()
	errno := fs.copyContent(&c, n.below)
	fs.mu.Lock()
	close(n.copying)
	n.copying = nil
	if errno != abi.OK || n.lower == nil { // or somebody has cut it off meanwhile
		c.resize(fs, 0)
		return errno
	}
	n.data = c
	fs.ownLocked(n)
	return abi.OK
}

// copyContent reads all of f into c. It takes the lock for each piece.
func (fs *FS) copyContent(c *content, f vfs.Regular) abi.Errno {
	buf := make([]byte, chunkSize)
	for off := int64(0); ; {
		n, errno := f.ReadAt([][]byte{buf}, off)
		if errno != abi.OK || n == 0 {
			return errno
		}
		fs.mu.Lock()
		_, errno = c.writeAt(fs, buf[:n], off)
		fs.mu.Unlock()
		if errno != abi.OK {
			return errno
		}
		off += int64(n)
	}
}

// checkOrigin returns an error unless a saved path can be one below the root.
func checkOrigin(path string) error {
	if len(path) > vfs.MaxPath*8 {
		return fmt.Errorf("place below of %d bytes: %w", len(path), errBadState)
	}
	for name := range strings.SplitSeq(path, "/") {
		if err := checkName(name); err != nil {
			return fmt.Errorf("place below: %w", err)
		}
	}
	return nil
}
