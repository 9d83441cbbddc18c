package archive

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"path"
	"strings"
	"time"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
)

// guestError is an error of the guest's tree, which is also one of package fs
// where that has one.
type guestError struct{ abi.Errno }

func (e guestError) Unwrap() error { return e.Errno }

func (e guestError) Is(target error) bool {
	switch e.Errno {
	case abi.ENOENT:
		return target == fs.ErrNotExist
	case abi.EEXIST:
		return target == fs.ErrExist
	case abi.EACCES, abi.EPERM:
		return target == fs.ErrPermission
	}
	return false
}

// asError is errno as an error; OK is nil.
func asError(errno abi.Errno) error {
	if errno == abi.OK {
		return nil
	}
	return guestError{errno}
}

// below is a guest path as one below the root, from where all walks start.
func below(p string) string {
	if p = strings.TrimLeft(p, "/"); p == "" {
		return "."
	}
	return p
}

// kindOf is a file type as type bits.
func kindOf(t abi.Filetype) fs.FileMode {
	switch t {
	case abi.FiletypeRegularFile:
		return 0
	case abi.FiletypeDirectory:
		return fs.ModeDir
	case abi.FiletypeSymbolicLink:
		return fs.ModeSymlink
	case abi.FiletypeCharacterDevice:
		return fs.ModeDevice | fs.ModeCharDevice
	case abi.FiletypeBlockDevice:
		return fs.ModeDevice
	case abi.FiletypeSocketDgram, abi.FiletypeSocketStream:
		return fs.ModeSocket
	}
	return fs.ModeIrregular
}

// An Info is what a guest's file is.
type Info struct {
	Mode fs.FileMode // type bits; guests know no others
	Size int64
	Time time.Time // of its last modification
	Link string    // target of a symbolic link
}

// Stat tells what a guest's file is. A symbolic link in the last place is
// followed if a slash comes after it.
func Stat(ns *vfs.Namespace, p string) (Info, error) {
	root, err := ns.OpenRoot("/")
	if err != nil {
		return Info{}, err
	}
	defer root.DecRef()
	st, errno := ns.StatAt(root, below(p), 0)
	if errno != abi.OK {
		return Info{}, named(p, asError(errno))
	}
	i := Info{Mode: kindOf(st.Filetype), Size: int64(min(st.Size, math.MaxInt64)), Time: time.Unix(0, int64(st.Mtim))}
	if i.Mode == fs.ModeSymlink {
		if i.Link, errno = ns.ReadlinkAt(root, below(p)); errno != abi.OK {
			return Info{}, named(p, asError(errno))
		}
	}
	return i, nil
}

// Write writes a tar of what p is in the guest's tree. A symbolic link is
// written as one, unless a slash comes after it. The first entry is BaseName(p).
func Write(ctx context.Context, ns *vfs.Namespace, p string, w io.Writer) (Count, error) {
	root, err := ns.OpenRoot("/")
	if err != nil {
		return Count{}, err
	}
	defer root.DecRef()
	g := &guestTree{packer: newPacker(ctx, w), ns: ns, made: make(map[string]bool)}
	for _, m := range ns.Mounts() {
		if _, ok := m.FS.(vfs.Pseudo); ok {
			g.made[m.Guest] = true
		}
	}
	err = g.add(root, below(p), BaseName(p), 0)
	if err == nil {
		err = g.tw.Close()
	}
	return g.n, err
}

// A guestTree writes a tar of a guest's files.
type guestTree struct {
	*packer
	ns   *vfs.Namespace
	made map[string]bool // where mounts are whose files are made up as they are read: they are no part of a tree
}

// add adds what is called p in dir as name.
func (g *guestTree) add(dir *vfs.OpenFile, p, name string, depth int) error {
	if err := g.ctx.Err(); err != nil {
		return err
	}
	if depth > maxDepth || len(name) > vfs.MaxPath {
		return named(name, errDeep)
	}
	var err error
	for range 8 { // the guest may put something of another kind in its place meanwhile
		var errno abi.Errno
		errno, err = g.try(dir, p, name, depth)
		switch errno {
		case abi.OK:
			return err
		case abi.ELOOP, abi.ENOTDIR, abi.EISDIR, abi.EINVAL:
			err = named(name, asError(errno))
			continue
		case abi.ENOENT:
			if depth > 0 {
				return nil // the guest has removed it meanwhile
			}
		}
		return named(name, asError(errno))
	}
	return err
}

// try is add, and an errno if what is there could not be looked at or opened.
func (g *guestTree) try(dir *vfs.OpenFile, p, name string, depth int) (abi.Errno, error) {
	st, errno := g.ns.StatAt(dir, p, 0)
	if errno != abi.OK {
		return errno, nil
	}
	h := &tar.Header{Name: name, ModTime: time.Unix(0, int64(st.Mtim))}
	switch kindOf(st.Filetype) {
	case 0:
		f, errno := g.ns.OpenAt(dir, p, 0, 0, true, false, 0)
		if errno != abi.OK {
			return errno, nil
		}
		defer f.DecRef()
		return abi.OK, g.file(f, h)
	case fs.ModeDir:
		d, errno := g.ns.OpenAt(dir, p, 0, abi.ODirectory, true, false, 0)
		if errno != abi.OK {
			return errno, nil
		}
		defer d.DecRef()
		return abi.OK, g.dir(d, h, depth)
	case fs.ModeSymlink:
		if h.Linkname, errno = g.ns.ReadlinkAt(dir, p); errno != abi.OK {
			return errno, nil
		}
		return abi.OK, g.header(h, tar.TypeSymlink, 0o777)
	}
	return abi.OK, named(name, errNotCopied)
}

func (g *guestTree) file(f *vfs.OpenFile, h *tar.Header) error {
	st, errno := f.Stat()
	if errno != abi.OK {
		return named(h.Name, asError(errno))
	}
	if _, ok := f.File().(vfs.Regular); !ok {
		return named(h.Name, errNotCopied)
	}
	h.Size = int64(min(st.Size, math.MaxInt64))
	return g.contents(h, filePerm, &guestFile{f: f})
}

func (g *guestTree) dir(d *vfs.OpenFile, h *tar.Header, depth int) error {
	prefix := h.Name + "/"
	h.Name = prefix
	if err := g.header(h, tar.TypeDir, dirPerm); err != nil {
		return err
	}
	if depth > 0 && g.made[d.Path()] {
		return nil
	}
	// Some names at a time: emit may be called with the file system locked, and
	// the list may be long.
	const batch = 64
	names := make([]string, 0, batch)
	var cookie uint64
	for {
		names = names[:0]
		errno := d.ReadDir(cookie, func(e vfs.Dirent) bool {
			cookie = e.Next
			if e.Name != "." && e.Name != ".." {
				names = append(names, e.Name)
			}
			return len(names) < batch
		})
		if errno != abi.OK {
			return named(prefix, asError(errno))
		}
		for _, n := range names {
			if err := g.add(d, n, prefix+n, depth+1); err != nil {
				return err
			}
		}
		if len(names) < batch {
			return nil
		}
	}
}

// Read unpacks a tar into a directory of the guest's tree. Symbolic links are
// made, never followed.
func Read(ctx context.Context, ns *vfs.Namespace, dir string, r io.Reader, o Options) (Count, error) {
	root, err := ns.OpenRoot("/")
	if err != nil {
		return Count{}, err
	}
	defer root.DecRef()
	base, errno := ns.OpenAt(root, below(dir), abi.SymlinkFollow, abi.ODirectory, true, false, 0)
	if errno != abi.OK {
		return Count{}, named(dir, asError(errno))
	}
	defer base.DecRef()
	return extract(ctx, r, &guestDestination{ns, base}, o)
}

// A guestDestination is a directory of a guest's tree.
type guestDestination struct {
	ns   *vfs.Namespace
	base *vfs.OpenFile
}

func (d *guestDestination) accept(*tar.Header) error { return nil }

func (d *guestDestination) kind(name string) (fs.FileMode, error) {
	st, errno := d.ns.StatAt(d.base, name, 0)
	return kindOf(st.Filetype), asError(errno)
}

func (d *guestDestination) mkdir(name string, _ fs.FileMode) error {
	return asError(d.ns.MkdirAt(d.base, name))
}

func (d *guestDestination) create(name string, _ fs.FileMode) (io.WriteCloser, error) {
	f, errno := d.ns.OpenAt(d.base, name, 0, abi.OCreat|abi.OExcl, false, true, 0)
	if errno != abi.OK {
		return nil, asError(errno)
	}
	return &guestFile{f: f}, nil
}

// errAbsolute says why a link is not made: package vfs refuses to follow it.
var errAbsolute = errors.New("a link to an absolute path leads nowhere in a guest (make it a relative one)")

func (d *guestDestination) symlink(target, name string) error {
	if path.IsAbs(target) {
		return errAbsolute
	}
	return asError(d.ns.SymlinkAt(target, d.base, name))
}

func (d *guestDestination) link(old, name string) error {
	return asError(d.ns.LinkAt(d.base, old, 0, d.base, name))
}

func (d *guestDestination) remove(name string) error {
	return asError(d.ns.UnlinkAt(d.base, name))
}

func (d *guestDestination) setTime(name string, t time.Time) error {
	ns := since1970(t)
	return asError(d.ns.SetTimesAt(d.base, name, 0, ns, ns, abi.FstAtim|abi.FstMtim))
}

// A guestFile reads or writes an open file from its start. Nobody else has its
// offset.
type guestFile struct{ f *vfs.OpenFile }

func (g *guestFile) Read(p []byte) (int, error) {
	n, errno := g.f.Read([][]byte{p})
	if n == 0 && errno == abi.OK {
		return 0, io.EOF
	}
	return n, asError(errno)
}

func (g *guestFile) Write(p []byte) (n int, err error) {
	for n < len(p) {
		k, errno := g.f.Write([][]byte{p[n:]})
		n += k
		switch {
		case errno != abi.OK:
			return n, asError(errno)
		case k == 0:
			return n, io.ErrShortWrite
		}
	}
	return n, nil
}

func (g *guestFile) Close() error {
	g.f.DecRef()
	return nil
}
