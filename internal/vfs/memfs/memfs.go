// Package memfs is a file system in memory. It is what a guest's root is made
// of, and it is saved whole: names, contents, times, and files that have no
// name any more but are open.
//
// Contents are kept in chunks, and only where something was written: a file
// may be much longer than what it takes. What it takes is counted against a
// quota, in blocks, as are the inodes.
//
// Saving does not copy contents. The State refers to the chunks as they are,
// and who writes to one afterwards writes to a copy; the same the other way
// round after a restore.
//
// An FS can lie over another file system and keep the changes to it: see origin
// for how. A tmpfs is an FS with a quota that is mounted somewhere.
//
// Lock order: FS.mu is the only lock. It is held for the time of a copy, and
// while names and times of what lies below are looked up.
package memfs

import (
	"sync"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
)

// Type is what FileSystem.Type returns.
const Type = "memfs"

// Limits that are not options.
const (
	// maxFileSize bounds a file's length, in bytes: beyond it is EFBIG.
	maxFileSize = 1 << 40

	// maxLinks is how many names an inode can have: EMLINK.
	maxLinks = 1 << 16
)

// Options set up an FS. But for Now, the zero value works.
type Options struct {
	Now    func() int64 // wall time, ns since 1970; needed
	Bytes  int64        // quota of contents; 0 is 1 GiB
	Inodes int64        // quota of inodes, and of names; 0 is 1 Mi
	Dev    uint64       // device number that stat tells

	// Budget is what contents take of besides, in bytes, together with others; nil is
	// no bound. What does not fit is ENOSPC, too.
	Budget *vfs.Budget

	// Lower is what the FS lies over, or nil: see origin. It is only read, and
	// stays the caller's to close.
	Lower vfs.FileSystem
}

func (o Options) withDefaults() Options {
	if o.Bytes == 0 {
		o.Bytes = 1 << 30
	}
	if o.Inodes == 0 {
		o.Inodes = 1 << 20
	}
	return o
}

// FS is a file system in memory.
type FS struct {
	opts Options // immutable

	mu      sync.Mutex
	root    *node            // protected by mu
	nodes   map[uint64]*node // all that have a name or are open, by ino; protected by mu
	lastIno uint64           // the highest that was given out; protected by mu
	blocks  int64            // of contents that are taken; protected by mu
	names   int64            // in all directories; protected by mu

	lowerNodes int64 // those of nodes that come from below, which no quota counts; protected by mu
}

var _ vfs.FileSystem = (*FS)(nil)

// New returns an FS with an empty root directory.
func New(opts Options) *FS {
	fs := &FS{opts: opts.withDefaults(), nodes: make(map[uint64]*node)}
	fs.root, _ = fs.newNodeLocked(abi.FiletypeDirectory)
	fs.root.nlink = 1
	fs.root.parent = fs.root
	if opts.Lower != nil {
		fs.root.lower = &origin{stub: true}
		fs.lowerNodes = 1
	}
	return fs
}

// Type returns "memfs".
func (fs *FS) Type() string { return Type }

// Root returns a handle on the root directory.
func (fs *FS) Root() (vfs.Dir, abi.Errno) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return &dir{fs, fs.root}, fs.knowLocked(fs.root)
}

// Lower returns what the FS lies over, or nil.
func (fs *FS) Lower() vfs.FileSystem { return fs.opts.Lower }

// Usage returns how much of the quotas is taken: bytes of contents, in whole
// blocks, and inodes.
func (fs *FS) Usage() (bytes, inodes int64) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.blocks * blockSize, int64(len(fs.nodes)) - fs.lowerNodes
}

// node is an inode. All fields but ino and kind are protected by FS.mu.
type node struct {
	ino  uint64       // immutable
	kind abi.Filetype // directory, regular file or symbolic link; immutable

	nlink            int // names; of a directory, its one name (the root's is itself)
	opens            int // open files; a node without names lives as long as there are some
	atim, mtim, ctim int64

	data   content // of a regular file
	target string  // of a symbolic link; immutable
	list   listing // of a directory
	parent *node   // of a directory; nil when it has been removed
	name   string  // of a directory: its one name; empty for the root

	lower   *origin       // where it comes from; nil is from here
	below   vfs.Regular   // the content of a file from below, while it is open
	copying chan struct{} // closed when the content is copied; nil when nobody does
}

// newNodeLocked makes a node without a name, or returns ENOSPC.
//
// Preconditions: fs.mu is locked, but by New.
func (fs *FS) newNodeLocked(kind abi.Filetype) (*node, abi.Errno) {
	if int64(len(fs.nodes))-fs.lowerNodes >= fs.opts.Inodes && fs.root != nil {
		return nil, abi.ENOSPC
	}
	now := fs.opts.Now()
	fs.lastIno++
	n := &node{ino: fs.lastIno, kind: kind, atim: now, mtim: now, ctim: now}
	fs.nodes[n.ino] = n
	return n, abi.OK
}

// takeLocked takes blocks of the quota and the budget, if both have as many left.
//
// Preconditions: fs.mu is locked.
func (fs *FS) takeLocked(blocks int64) bool {
	if blocks > 0 && (fs.blocks+blocks > fs.opts.Bytes/blockSize || !fs.opts.Budget.Take(int(blocks*blockSize))) {
		return false
	}
	fs.blocks += max(blocks, 0)
	return true
}

// giveLocked gives blocks back.
//
// Preconditions: fs.mu is locked.
func (fs *FS) giveLocked(blocks int64) {
	fs.blocks -= blocks
	fs.opts.Budget.Give(int(blocks * blockSize))
}

// linkBlocks returns how many blocks the target of a symbolic link counts as:
// a short one fits into the inode.
func linkBlocks(target string) int64 {
	if len(target) <= 64 {
		return 0
	}
	return 1
}

// dropLocked forgets n if nothing holds it any more.
//
// Preconditions: fs.mu is locked.
func (fs *FS) dropLocked(n *node) {
	if n.nlink > 0 || n.opens > 0 {
		return
	}
	if n.lower == nil {
		fs.giveLocked(linkBlocks(n.target))
	}
	fs.ownLocked(n)
	n.data.resize(fs, 0)
	delete(fs.nodes, n.ino)
}

// statLocked returns what stat tells about n.
//
// Preconditions: fs.mu is locked.
func (fs *FS) statLocked(n *node) abi.Filestat {
	st := abi.Filestat{
		Dev: fs.opts.Dev, Ino: n.ino, Filetype: n.kind, Nlink: uint64(n.nlink),
		Atim: uint64(n.atim), Mtim: uint64(n.mtim), Ctim: uint64(n.ctim),
	}
	switch n.kind {
	case abi.FiletypeRegularFile:
		st.Size = uint64(n.data.size)
	case abi.FiletypeSymbolicLink:
		st.Size = uint64(len(n.target))
	case abi.FiletypeDirectory:
		switch {
		case n.lower != nil && !n.lower.loaded:
			st.Nlink = 1 // not known, as overlays have it
		case n.nlink > 0:
			st.Nlink = 2 + uint64(n.list.dirs) // "." and each child's ".."
		}
	}
	return st
}

// setTimesLocked is set_times.
//
// Preconditions: fs.mu is locked.
func (n *node) setTimesLocked(t vfs.Times) {
	if t.SetAtim {
		n.atim = t.Atim
	}
	if t.SetMtim {
		n.mtim = t.Mtim
	}
	n.ctim = t.Now
	n.changed()
}

// changed notes that the times of a node are its own.
func (n *node) changed() {
	if n.lower != nil {
		n.lower.times = true
	}
}

// touchLocked notes a change of n's content.
//
// Preconditions: fs.mu is locked.
func (fs *FS) touchLocked(n *node) {
	now := fs.opts.Now()
	n.mtim, n.ctim = now, now
	n.changed()
}

// readLocked notes that n was read. Like Linux's relatime, it moves the time
// only if it would tell something new: that n was read since it changed.
//
// Preconditions: fs.mu is locked.
func (fs *FS) readLocked(n *node) {
	if n.atim <= n.mtim {
		n.atim = max(fs.opts.Now(), n.atim)
	}
}
