package pseudofs

import (
	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
)

// dir is a handle on a directory: its path.
type dir struct {
	fs     *FS
	path   string // "" is the root
	caller uint32 // whose handle it is, or 0
}

var (
	_ vfs.Personal = (*dir)(nil)
	_ vfs.Jumper   = (*dir)(nil)
	_ vfs.Locator  = (*dir)(nil)
)

// For is vfs.Personal's.
func (d *dir) For(c *vfs.FSContext) vfs.Dir { return &dir{d.fs, d.path, c.Caller()} }

// Where is vfs.Locator's.
func (d *dir) Where() (string, abi.Errno) {
	_, errno := d.node(".")
	return d.path, errno
}

// node returns what name is.
func (d *dir) node(name string) (*Node, abi.Errno) { return d.fs.find(d.caller, join(d.path, name)) }

// Stat is vfs.Dir's.
func (d *dir) Stat(name string) (abi.Filestat, abi.Errno) {
	n, errno := d.node(name)
	if errno != abi.OK {
		return abi.Filestat{}, errno
	}
	return d.fs.stat(n), abi.OK
}

// OpenDir is vfs.Dir's.
func (d *dir) OpenDir(name string) (vfs.Dir, abi.Errno) {
	n, errno := d.node(name)
	switch {
	case errno != abi.OK:
		return nil, errno
	case n.Dir == nil:
		return nil, abi.ENOTDIR
	}
	return &dir{d.fs, join(d.path, name), d.caller}, abi.OK
}

// Open is vfs.Dir's.
func (d *dir) Open(name string, opts vfs.OpenOptions) (vfs.File, abi.Errno) {
	n, errno := d.node(name)
	create := opts.Flags&abi.OCreat != 0
	switch {
	case errno == abi.ENOENT && create:
		return nil, abi.EPERM
	case errno != abi.OK:
		return nil, errno
	case create && opts.Flags&abi.OExcl != 0:
		return nil, abi.EEXIST
	case n.Link != nil:
		return nil, abi.ELOOP
	case n.Dir != nil && (opts.Write || opts.Flags&(abi.OCreat|abi.OTrunc) != 0):
		return nil, abi.EISDIR
	case n.Dir != nil:
		return &directory{dir: dir{d.fs, join(d.path, name), d.caller}}, abi.OK
	case opts.Flags&abi.ODirectory != 0:
		return nil, abi.ENOTDIR
	case n.Open != nil:
		return d.fs.device(n, join(d.path, name), opts)
	case opts.Write || opts.Flags&abi.OTrunc != 0:
		return nil, abi.EACCES
	}
	data, errno := n.Data()
	if errno != abi.OK {
		return nil, errno
	}
	return &regular{fs: d.fs, node: *n, path: join(d.path, name), data: data}, abi.OK
}

// Readlink is vfs.Dir's.
func (d *dir) Readlink(name string) (string, abi.Errno) {
	n, errno := d.node(name)
	switch {
	case errno != abi.OK:
		return "", errno
	case n.Link == nil:
		return "", abi.EINVAL
	}
	return n.Link()
}

// Jump is vfs.Jumper's.
func (d *dir) Jump(name string) (*vfs.OpenFile, abi.Errno) {
	n, errno := d.node(name)
	if errno != abi.OK || n.Jump == nil {
		return nil, abi.OK // the caller will see
	}
	return n.Jump()
}

// SetTimes is vfs.Dir's. It does nothing, as times mean nothing here.
func (d *dir) SetTimes(name string, _ vfs.Times) abi.Errno {
	_, errno := d.node(name)
	return errno
}

// fresh is what comes of making name.
func (d *dir) fresh(name string) abi.Errno {
	if _, errno := d.node(name); errno != abi.ENOENT {
		if errno == abi.OK {
			errno = abi.EEXIST
		}
		return errno
	}
	return abi.EPERM
}

// gone is what comes of taking name away.
func (d *dir) gone(name string) abi.Errno {
	if _, errno := d.node(name); errno != abi.OK {
		return errno
	}
	return abi.EPERM
}

// Mkdir and the others of vfs.Dir that change something do not.

func (d *dir) Mkdir(name string) abi.Errno                       { return d.fresh(name) }
func (d *dir) Symlink(_, name string) abi.Errno                  { return d.fresh(name) }
func (d *dir) Link(name string, _ vfs.Dir, _ string) abi.Errno   { return d.gone(name) }
func (d *dir) Rename(name string, _ vfs.Dir, _ string) abi.Errno { return d.gone(name) }

// Unlink is vfs.Dir's.
func (d *dir) Unlink(name string) abi.Errno {
	n, errno := d.node(name)
	if errno == abi.OK && n.Dir != nil {
		return abi.EISDIR
	}
	return d.gone(name)
}

// Rmdir is vfs.Dir's.
func (d *dir) Rmdir(name string) abi.Errno {
	n, errno := d.node(name)
	if errno == abi.OK && n.Dir == nil {
		return abi.ENOTDIR
	}
	return d.gone(name)
}

// Close is vfs.Dir's.
func (d *dir) Close() {}
