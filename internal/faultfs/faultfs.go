// Package faultfs is a host file system for tests, which fails or crashes on
// request. It counts the operations that go through it, those on open files
// too, so that a test can run something once to learn how many there are, and
// then once more with a fault at each of them.
package faultfs

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/stasis-run/stasis/internal/image"
)

// A Kind is what a fault does.
type Kind int

const (
	// Fail makes one operation fail and have no effect.
	Fail Kind = iota
	// Short makes one operation fail; a write has by then written half.
	Short
	// Full is a full disk: from here on, whatever needs room fails with
	// ENOSPC, after half of it if it is a write. Removing works.
	Full
	// Kill is the end of the process: this and all later operations fail, a
	// write after half of it. Open files are closed, locks released, and what
	// was done is kept.
	Kill
	// PowerCut is Kill of the machine: besides, bytes that no Sync of their
	// file followed are lost, and so are files whose names no Sync of their
	// directory followed. Renames are kept, which is the worst for those who
	// rename what they did not sync.
	PowerCut
)

// String returns the name of the kind.
func (k Kind) String() string {
	return [...]string{"fail", "short", "full", "kill", "power cut"}[k]
}

// A Fault is what happens at one operation.
type Fault struct {
	At   int // how many operations go before it
	Kind Kind
	Err  error // what Fail and Short return; nil is EIO
}

// ErrCrashed is what every operation after [Kill] and [PowerCut] returns.
var ErrCrashed = errors.New("crashed")

// An FS passes on what is asked of it to another one, but for one fault.
type FS struct {
	inner image.FS
	fault *Fault // nil is none; immutable

	mu      sync.Mutex
	ops     []string         // what was asked for; protected by mu
	full    bool             // protected by mu
	crashed bool             // protected by mu
	files   map[*file]bool   // not closed; protected by mu
	nodes   map[string]*node // what was written to, by path; protected by mu
	names   map[string]bool  // paths of files whose names are unsynced; protected by mu
}

// New returns an FS before inner. A nil fault makes it count only.
func New(inner image.FS, fault *Fault) *FS {
	return &FS{inner: inner, fault: fault, files: make(map[*file]bool), nodes: make(map[string]*node), names: make(map[string]bool)}
}

// Ops returns what was asked for so far, one text per operation.
func (f *FS) Ops() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.ops)
}

// OpenFiles returns the paths of the files that nobody closed.
func (f *FS) OpenFiles() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var paths []string
	for h := range f.files {
		if !h.closed {
			paths = append(paths, h.path)
		}
	}
	return paths
}

// begin counts an operation and says whether it is to fail, and if so,
// whether a write still does its half.
func (f *FS) begin(needsRoom bool, format string, args ...any) (half bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.ops)
	f.ops = append(f.ops, fmt.Sprintf(format, args...))
	if f.crashed {
		return false, ErrCrashed
	}
	if f.full && needsRoom {
		return false, syscall.ENOSPC
	}
	if f.fault == nil || n != f.fault.At {
		return false, nil
	}
	switch f.fault.Kind {
	case Full:
		f.full = true
		if needsRoom {
			return true, syscall.ENOSPC
		}
		return false, nil
	case Kill, PowerCut:
		return true, ErrCrashed // crash follows, once the half is done
	}
	err = f.fault.Err
	if err == nil {
		err = syscall.EIO
	}
	return f.fault.Kind == Short, err
}

// fail ends an operation that begin let fail.
func (f *FS) fail(op, path string, err error) error {
	if errors.Is(err, ErrCrashed) {
		f.crash()
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// crash closes the files as the kernel does for a process that ends, and for
// PowerCut drops what did not reach the disk.
func (f *FS) crash() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.crashed {
		return
	}
	f.crashed = true
	cut := f.fault.Kind == PowerCut
	for _, n := range f.nodes {
		if cut && n.dirty {
			n.writer.Truncate(n.kept)
		}
	}
	for h := range f.files {
		h.inner.Close()
		h.closed = true
	}
	f.dropNodes()
	clear(f.files)
	if cut {
		for path := range f.names {
			f.inner.RemoveAll(path)
		}
	}
}

// do runs an operation on a path that is done whole or not at all.
func (f *FS) do(needsRoom bool, op, path string, run func() error) error {
	if _, err := f.begin(needsRoom, "%s %s", op, path); err != nil {
		return f.fail(op, path, err)
	}
	return run()
}

// Mkdir implements [image.FS].
func (f *FS) Mkdir(name string) error {
	return f.do(true, "mkdir", name, func() error { return f.inner.Mkdir(name) })
}

// Create implements [image.FS].
func (f *FS) Create(name string) (image.File, error) {
	h, err := f.open(true, "create", name, f.inner.Create)
	if err == nil {
		f.mu.Lock()
		f.names[filepath.Clean(name)] = true
		f.mu.Unlock()
	}
	return h, err
}

// Open implements [image.FS].
func (f *FS) Open(name string) (image.File, error) {
	return f.open(false, "open", name, f.inner.Open)
}

// OpenDir implements [image.FS].
func (f *FS) OpenDir(name string) (image.File, error) {
	return f.open(false, "opendir", name, f.inner.OpenDir)
}

func (f *FS) open(needsRoom bool, op, name string, open func(string) (image.File, error)) (image.File, error) {
	var h *file
	err := f.do(needsRoom, op, name, func() error {
		inner, err := open(name)
		if err != nil {
			return err
		}
		h = &file{fs: f, inner: inner, path: filepath.Clean(name)}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.files[h] = true
		return nil
	})
	if err != nil {
		return nil, err // not h: a nil *file is not a nil image.File
	}
	return h, nil
}

// RenameNew implements [image.FS].
func (f *FS) RenameNew(from, to string) error {
	return f.do(false, "rename", from+" "+to, func() error {
		err := f.inner.RenameNew(from, to)
		if err == nil {
			f.moved(filepath.Clean(from), filepath.Clean(to))
		}
		return err
	})
}

// moved notes the new paths of open and unsynced files below from.
func (f *FS) moved(from, to string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for h := range f.files {
		if rest, ok := strings.CutPrefix(h.path, from); ok && (rest == "" || rest[0] == '/') {
			h.path = to + rest
		}
	}
	f.names = renamed(f.names, from, to)
	f.nodes = renamed(f.nodes, from, to)
}

// renamed returns m, whose keys are paths, as it is after a rename.
func renamed[V any](m map[string]V, from, to string) map[string]V {
	out := make(map[string]V)
	for path, v := range m {
		if rest, ok := strings.CutPrefix(path, from+"/"); ok {
			path = filepath.Join(to, rest)
		}
		out[path] = v
	}
	return out
}

// RemoveAll implements [image.FS].
func (f *FS) RemoveAll(name string) error {
	return f.do(false, "remove", name, func() error {
		err := f.inner.RemoveAll(name)
		if err == nil {
			f.removed(filepath.Clean(name))
		}
		return err
	})
}

// removed forgets what was at name and below.
func (f *FS) removed(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	gone := func(path string) bool { return path == name || strings.HasPrefix(path, name+"/") }
	for path, n := range f.nodes {
		if gone(path) {
			n.drop()
			delete(f.nodes, path)
		}
	}
	maps.DeleteFunc(f.names, func(path string, _ bool) bool { return gone(path) })
}

// ReadDir implements [image.FS].
func (f *FS) ReadDir(name string, limit int) (entries []fs.DirEntry, err error) {
	err = f.do(false, "readdir", name, func() error {
		entries, err = f.inner.ReadDir(name, limit)
		return err
	})
	return entries, err
}

// Lstat implements [image.FS].
func (f *FS) Lstat(name string) (info fs.FileInfo, err error) {
	err = f.do(false, "lstat", name, func() error {
		info, err = f.inner.Lstat(name)
		return err
	})
	return info, err
}
