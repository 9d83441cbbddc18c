package vfs

import (
	"fmt"
	"path"
	"sync"
	"sync/atomic"

	"github.com/stasis-run/stasis/internal/abi"
)

// A Resolver does the calls that take a path. A Namespace is one whose walks
// are confined below the directory that is given with the path; an FSContext is
// one that does as POSIX has it.
type Resolver struct {
	ns  *Namespace // immutable
	ctx *FSContext // nil confines; immutable
	who *FSContext // whose walks they are, or nil; immutable
}

// An FSContext is where a process is in its tree of files: the working
// directory. Its calls on paths resolve them as POSIX does: a nil base is the
// working directory, an absolute path and an absolute symbolic link start at
// the root, and above the root there is the root. Linux calls it fs_struct.
//
// It may be used by many tasks. Each process has its own: see Clone.
//
// Lock order: FSContext.mu is a leaf.
type FSContext struct {
	Resolver

	caller   atomic.Uint32
	confined Resolver // immutable

	mu  sync.Mutex
	cwd *OpenFile // a directory, counted; protected by mu
}

// SetCaller says whose context it is, for files that show each process something
// else: a pid. It is called before the context is used, and not inherited by a
// Clone.
func (c *FSContext) SetCaller(pid uint32) { c.caller.Store(pid) }

// Caller returns whose context it is, 0 if nobody has said.
func (c *FSContext) Caller() uint32 { return c.caller.Load() }

// NewFSContext returns a context of n whose working directory is cwd, which is
// absolute.
func NewFSContext(n *Namespace, cwd string) (*FSContext, error) {
	root, err := n.OpenRoot("/")
	if err != nil {
		return nil, fmt.Errorf("working directory %s: %w", cwd, err)
	}
	c := newFSContext(n, root)
	if !path.IsAbs(cwd) {
		c.Close()
		return nil, fmt.Errorf("working directory %s: is not an absolute path", cwd)
	}
	if errno := c.Chdir(cwd); errno != abi.OK {
		c.Close()
		return nil, fmt.Errorf("working directory %s: %w", cwd, errno)
	}
	return c, nil
}

// newFSContext takes over the reference to cwd.
func newFSContext(n *Namespace, cwd *OpenFile) *FSContext {
	c := &FSContext{cwd: cwd}
	c.ns, c.ctx, c.who = n, c, c
	c.confined = Resolver{ns: n, who: c}
	return c
}

// Confined does calls for the process whose walks stay below the directories that
// are given with the paths, as WASI has it.
func (c *FSContext) Confined() *Resolver { return &c.confined }

// Clone returns a context of its own for the child of a fork.
func (c *FSContext) Clone() *FSContext { return newFSContext(c.ns, c.CWD()) }

// Close ends it: the process has ended. It is called once, and no other call
// afterwards.
func (c *FSContext) Close() { c.set(nil) }

// CWD returns the working directory, with a reference for the caller.
func (c *FSContext) CWD() *OpenFile {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cwd.IncRef()
	return c.cwd
}

// Chdir makes the directory p the working directory.
func (c *FSContext) Chdir(p string) abi.Errno {
	f, errno := c.OpenAt(nil, p, abi.SymlinkFollow, abi.ODirectory, false, false, 0)
	if errno == abi.OK {
		c.set(f)
	}
	return errno
}

// Fchdir makes the open directory f, whose reference stays the caller's, the
// working directory.
func (c *FSContext) Fchdir(f *OpenFile) abi.Errno {
	if _, ok := f.file.(Directory); !ok || f.mount == nil {
		return abi.ENOTDIR
	}
	f.IncRef()
	c.set(f)
	return abi.OK
}

// set takes over the reference to f.
func (c *FSContext) set(f *OpenFile) {
	c.mu.Lock()
	old := c.cwd
	c.cwd = f
	c.mu.Unlock()
	old.DecRef()
}

// Getcwd returns the path of the working directory as it is now: it follows
// when a directory above it is renamed. ENOENT if it has been removed.
func (c *FSContext) Getcwd() (string, abi.Errno) {
	f := c.CWD()
	defer f.DecRef()
	return f.PathNow()
}

// PathNow is Path, for a directory as it is now: it may have been renamed since
// it was opened, or removed (ENOENT).
func (f *OpenFile) PathNow() (string, abi.Errno) {
	d, ok := f.file.(Directory)
	if !ok {
		return f.path, abi.OK
	}
	return place{d.Dir(), f.mount, f.path}.guestNow()
}

// FSContextState is an FSContext.
type FSContextState struct {
	CWD FileID `pb:"1"` // the working directory, an open file
}

// Save returns the context's state, and puts its working directory into s.
func (c *FSContext) Save(s *Saver) (*FSContextState, error) {
	f := c.CWD()
	defer f.DecRef()
	id, err := s.File(f)
	if err != nil {
		return nil, fmt.Errorf("working directory: %w", err)
	}
	return &FSContextState{CWD: id}, nil
}

// RestoreFSContext makes the FSContext of st.
func RestoreFSContext(st *FSContextState, r *Restorer) (*FSContext, error) {
	f, err := r.File(st.CWD)
	if err != nil {
		return nil, fmt.Errorf("working directory: %w", err)
	}
	if _, ok := f.file.(Directory); !ok || f.mount == nil {
		f.DecRef()
		return nil, fmt.Errorf("working directory%s: is no directory: %w", of(f.path), errBadState)
	}
	return newFSContext(r.ns, f), nil
}
