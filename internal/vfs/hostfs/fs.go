// Package hostfs is a directory of the host as a file system for guests.
//
// # Confinement
//
// The directory is opened once. From there on each component of a path is
// opened from its parent's descriptor with O_NOFOLLOW, one name at a time, as
// the vfs walks; ".." and symbolic links are the vfs's to resolve and never
// the host's. So neither a symlink nor a rename in the middle of a walk leads
// out, whoever makes it. Go's os.Root does the same, but resolves symlinks
// itself and so would leave a guest's mounts out of account. Other file systems
// that the host has mounted below the directory are part of it.
//
// Devices, fifos and sockets can be seen and removed, but opening one gives
// EPERM: through them a guest could reach out of its directory, or block where
// it cannot be stopped. Regular files and directories of the host are waited
// for, as everybody does.
//
// # Other users
//
// The host directory is live: what others do to it is seen at once. Names that
// are not UTF-8 are not listed.
//
// # Saving
//
// The directory's content is not saved. An open file is saved as its path and
// what it is recognized by; see Policy for what a restore does when it has
// changed. What has no name any more is saved with its content, up to
// MaxUnlinked.
//
// Lock order: directory.mu, regular.appendMu, regular.mu, FS.mu; none of the last
// two is held over a call of the host that takes time.
package hostfs

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/hostfile"
)

// Options say how a host directory is offered.
type Options struct {
	// ReadOnly makes every change fail with EROFS.
	ReadOnly bool

	// Policy is for files that a restore opens again. The zero value is Reopen.
	Policy Policy
}

// An FS is a host directory as a vfs.FileSystem.
type FS struct {
	host     string // the directory, for messages; immutable
	readOnly bool   // immutable
	policy   Policy // immutable
	root     *handle

	mu      sync.Mutex
	handles map[inode]*handle  // all; protected by mu
	files   map[*file]struct{} // open regular files; protected by mu
	orphans map[inode]*orphan  // by the saved inode; protected by mu
	changes []string           // see Changes; protected by mu
}

var _ vfs.FileSystem = (*FS)(nil)

// Open offers the directory dir of the host. Symlinks in dir are followed, as
// its name is not the guest's. The FS must be closed.
func Open(dir string, o Options) (*FS, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("host directory %s: %w", dir, err)
	}
	fd, err := retry(func() (int, error) {
		return unix.Open(abs, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, fmt.Errorf("host directory %s: %w", abs, err)
	}
	return fromFD(fd, abs, o)
}

// OpenFD is Open for a directory that is open already, as one is that another
// process opened; fd stays the caller's. Host is its path, for messages.
func OpenFD(fd int, host string, o Options) (*FS, error) {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("host directory %s: %w", host, err)
	}
	return fromFD(own, host, o)
}

// fromFD takes fd over.
func fromFD(fd int, abs string, o Options) (_ *FS, err error) {
	fs := &FS{
		host: abs, readOnly: o.ReadOnly, policy: o.Policy,
		handles: make(map[inode]*handle),
		files:   make(map[*file]struct{}),
		orphans: make(map[inode]*orphan),
	}
	if fs.root, err = fs.handleOf(fd, nil, ""); err != nil {
		return nil, fmt.Errorf("host directory %s: %w", abs, err)
	}
	return fs, nil
}

// Type is "hostfs".
func (fs *FS) Type() string { return typeName }

const typeName = "hostfs"

// Root returns a new handle on the directory.
func (fs *FS) Root() (vfs.Dir, abi.Errno) { return &dir{h: fs.root.hold()}, abi.OK }

// Close gives up the directory. What is still open in it stays usable until it
// is closed.
func (fs *FS) Close() {
	fs.mu.Lock()
	for id, o := range fs.orphans {
		unix.Close(o.fd)
		delete(fs.orphans, id)
	}
	fs.mu.Unlock()
	fs.root.release()
}

// handleOf returns the one handle of the directory behind fd, which it takes
// over. The caller owns the reference.
func (fs *FS) handleOf(fd int, parent *handle, name string) (*handle, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return nil, err
	}
	id := inodeOf(&st)
	fs.mu.Lock()
	defer fs.mu.Unlock()
	h := fs.handles[id]
	if h == nil {
		h = &handle{fs: fs, fd: fd, id: id, refs: 1}
		fs.handles[id] = h
	} else {
		unix.Close(fd)
		h.refs++
	}
	h.moveLocked(parent, name)
	return h, nil
}

// moveLocked notes where h is now. A directory that is reached through itself,
// which mounts of the host make possible, stays where it was.
//
// Preconditions: h.fs.mu is locked.
func (h *handle) moveLocked(parent *handle, name string) {
	if parent == nil || h == h.fs.root || h.parent == parent && h.name == name {
		return
	}
	for p := parent; p != nil; p = p.parent {
		if p == h {
			return
		}
	}
	parent.refs++
	old := h.parent
	h.parent, h.name = parent, name
	if old != nil {
		old.releaseLocked()
	}
}

// hold takes a reference, for a caller that has one already.
func (h *handle) hold() *handle {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	h.refs++
	return h
}

// release drops a reference.
func (h *handle) release() {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	h.releaseLocked()
}

func (h *handle) releaseLocked() {
	for h != nil {
		h.refs--
		if h.refs < 0 {
			panic("hostfs: directory handle released too often")
		}
		if h.refs > 0 {
			return
		}
		delete(h.fs.handles, h.id)
		unix.Close(h.fd)
		h = h.parent
	}
}

// pathLocked is where h is below the root, "." for the root itself.
//
// Preconditions: h.fs.mu is locked.
func (h *handle) pathLocked() string {
	var names []string
	for ; h.parent != nil; h = h.parent {
		names = append(names, h.name)
	}
	if len(names) == 0 {
		return "."
	}
	for i, j := 0, len(names)-1; i < j; i, j = i+1, j-1 {
		names[i], names[j] = names[j], names[i]
	}
	return strings.Join(names, "/")
}

// renamed notes that the guest has moved what it has open.
func (fs *FS) renamed(from *handle, name string, to *handle, newName string) {
	st, err := to.stat(newName)
	if err != nil {
		return
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if h := fs.handles[inodeOf(&st)]; h != nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
		h.moveLocked(to, newName)
	}
	for f := range fs.files {
		if f.parent == from && f.name == name && f.id == inodeOf(&st) {
			to.refs++
			f.parent.releaseLocked()
			f.parent, f.name = to, newName
		}
	}
}

// errno is the guest's number for an error of the host.
func errno(err error) abi.Errno { return hostfile.Errno(err) }
