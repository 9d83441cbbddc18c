package hostfs

import (
	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
)

// A dir is a vfs.Dir: one reference to a handle.
type dir struct {
	h *handle
}

var _ vfs.Dir = (*dir)(nil)

// Stat returns what name is.
func (d *dir) Stat(name string) (abi.Filestat, abi.Errno) {
	var st unix.Stat_t
	var err error
	if name == "." {
		st, err = d.h.self()
	} else {
		st, err = d.h.stat(name)
	}
	if err != nil {
		return abi.Filestat{}, errno(err)
	}
	return filestat(&st), abi.OK
}

// Where tells where the directory is, as far as we have seen.
func (d *dir) Where() (string, abi.Errno) {
	st, err := d.h.self()
	if err != nil {
		return "", errno(err)
	}
	if st.Nlink == 0 {
		return "", abi.ENOENT
	}
	d.h.fs.mu.Lock()
	defer d.h.fs.mu.Unlock()
	if p := d.h.pathLocked(); p != "." {
		return p, abi.OK
	}
	return "", abi.OK
}

// OpenDir returns a new handle on the directory name.
func (d *dir) OpenDir(name string) (vfs.Dir, abi.Errno) {
	h, err := d.h.openDir(name)
	if err != nil {
		return nil, errno(err)
	}
	return &dir{h}, abi.OK
}

// Open opens a file or directory, and makes a regular file if opts say so.
func (d *dir) Open(name string, opts vfs.OpenOptions) (vfs.File, abi.Errno) {
	isDir := opts.Flags&abi.ODirectory != 0 || name == "."
	if !isDir {
		st, err := d.h.stat(name)
		isDir = err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
	}
	if !isDir {
		return d.openFile(name, opts)
	}
	switch {
	case opts.Flags&(abi.OCreat|abi.OExcl) == abi.OCreat|abi.OExcl:
		return nil, abi.EEXIST
	case opts.Write || opts.Flags&(abi.OTrunc|abi.OCreat) != 0:
		if e := d.notDirectory(name); e != abi.OK {
			return nil, e
		}
		return nil, abi.EISDIR
	}
	if st, err := d.h.stat(name); err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return nil, abi.ELOOP
	}
	h, err := d.h.openDir(name)
	if err != nil {
		return nil, errno(err)
	}
	return &directory{dir: dir{h}}, abi.OK
}

// notDirectory tells why name is no directory, or OK if it is one.
func (d *dir) notDirectory(name string) abi.Errno {
	st, e := d.Stat(name)
	switch {
	case e != abi.OK:
		return e
	case st.Filetype == abi.FiletypeSymbolicLink:
		return abi.ELOOP
	case st.Filetype != abi.FiletypeDirectory:
		return abi.ENOTDIR
	}
	return abi.OK
}

// openFile opens a regular file. It is cut only after it has turned out to be
// one. OTrunc without Write opens for writing all the same: cutting needs it.
func (d *dir) openFile(name string, opts vfs.OpenOptions) (vfs.File, abi.Errno) {
	trunc := opts.Flags&abi.OTrunc != 0
	flags := unix.O_RDONLY
	switch {
	case opts.Read && (opts.Write || trunc), trunc && !opts.Write:
		flags = unix.O_RDWR
	case opts.Write:
		flags = unix.O_WRONLY
	}
	if opts.Flags&abi.OCreat != 0 && !d.h.fs.readOnly {
		flags |= unix.O_CREAT
		if opts.Flags&abi.OExcl != 0 {
			flags |= unix.O_EXCL
		}
	}
	if d.h.fs.readOnly {
		if e := d.readOnlyOpen(name, opts); e != abi.OK {
			return nil, e
		}
	}
	fd, st, err := d.h.openRegular(name, flags)
	if err == nil && trunc {
		if err = again(func() error { return unix.Ftruncate(fd, 0) }); err != nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		return nil, errno(err)
	}
	return d.h.fs.newFile(d.h, name, fd, inodeOf(&st), opts.Read, opts.Write), abi.OK
}

// readOnlyOpen tells why name cannot be opened as opts say on a read-only
// file system: what is wrong with name comes first, as on Linux.
func (d *dir) readOnlyOpen(name string, opts vfs.OpenOptions) abi.Errno {
	st, err := d.h.stat(name)
	exclusive := abi.OCreat | abi.OExcl
	switch {
	case err == unix.ENOENT && opts.Flags&abi.OCreat != 0:
		return abi.EROFS
	case err != nil:
		return errno(err)
	case opts.Flags&exclusive == exclusive:
		return abi.EEXIST
	}
	if err := checkRegular(&st); err != nil {
		return errno(err)
	}
	if opts.Write || opts.Flags&abi.OTrunc != 0 {
		return abi.EROFS
	}
	return abi.OK
}

// Readlink returns the target of the symbolic link name.
func (d *dir) Readlink(name string) (string, abi.Errno) {
	if name == "." {
		return "", abi.EINVAL
	}
	s, err := d.h.readlink(name)
	return s, errno(err)
}

// change runs a change, unless the file system is read-only.
func (d *dir) change(f func() error) abi.Errno {
	if d.h.fs.readOnly {
		return abi.EROFS
	}
	return errno(f())
}

// SetTimes sets the times of name, also of a symbolic link itself.
func (d *dir) SetTimes(name string, t vfs.Times) abi.Errno {
	return d.change(func() error { return d.h.setTimes(name, timespecs(t)) })
}

// Mkdir makes the directory name.
func (d *dir) Mkdir(name string) abi.Errno {
	return d.change(func() error { return d.h.mkdir(name) })
}

// Symlink makes name a symbolic link. Where it leads is no danger to the guest
// that makes it, which resolves it within its tree; other programs of the host
// that follow links in a directory that a guest may write to take their risk.
func (d *dir) Symlink(target, name string) abi.Errno {
	return d.change(func() error { return d.h.symlink(name, target) })
}

// Link makes newName in newDir another name of name.
func (d *dir) Link(name string, newDir vfs.Dir, newName string) abi.Errno {
	to, e := d.sibling(newDir)
	if e != abi.OK {
		return e
	}
	return d.change(func() error { return d.h.link(name, to.h, newName) })
}

// Unlink removes the name of something that is no directory.
func (d *dir) Unlink(name string) abi.Errno {
	return d.change(func() error { return d.h.unlink(name) })
}

// Rmdir removes an empty directory.
func (d *dir) Rmdir(name string) abi.Errno {
	return d.change(func() error { return d.h.rmdir(name) })
}

// Rename moves name to newName in newDir.
func (d *dir) Rename(name string, newDir vfs.Dir, newName string) abi.Errno {
	to, e := d.sibling(newDir)
	if e != abi.OK {
		return e
	}
	return d.change(func() error {
		err := d.h.rename(name, to.h, newName)
		if err == nil {
			d.h.fs.renamed(d.h, name, to.h, newName)
		}
		return err
	})
}

// sibling is other as a directory of the same file system.
func (d *dir) sibling(other vfs.Dir) (*dir, abi.Errno) {
	to, ok := other.(*dir)
	if !ok || to.h.fs != d.h.fs {
		return nil, abi.EXDEV
	}
	return to, abi.OK
}

// Close ends the handle.
func (d *dir) Close() { d.h.release() }
