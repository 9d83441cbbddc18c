package vfs

import "github.com/stasis-run/stasis/internal/abi"

// Fdstat returns what fd_fdstat_get tells.
func (t *FDTable) Fdstat(fd FD) (abi.Fdstat, abi.Errno) {
	t.mu.Lock()
	d, errno := t.lookupLocked(fd)
	if errno != abi.OK {
		t.mu.Unlock()
		return abi.Fdstat{}, errno
	}
	f := d.file
	f.IncRef()
	fs := abi.Fdstat{RightsBase: d.base, RightsInheriting: d.inheriting}
	t.mu.Unlock()
	defer f.DecRef()
	st, errno := f.Stat()
	fs.Filetype, fs.Flags = st.Filetype, f.Flags()
	return fs, errno
}

// SetRights takes rights from fd. More than it has is ENOTCAPABLE.
func (t *FDTable) SetRights(fd FD, base, inheriting abi.Rights) abi.Errno {
	t.mu.Lock()
	defer t.mu.Unlock()
	d, errno := t.lookupLocked(fd)
	switch {
	case errno != abi.OK:
		return errno
	case !d.base.Has(base) || !d.inheriting.Has(inheriting):
		return abi.ENOTCAPABLE
	}
	d.base, d.inheriting = base, inheriting
	return abi.OK
}

// PreopenName returns the name of the preopened directory fd, or EBADF if it
// is none.
func (t *FDTable) PreopenName(fd FD) (string, abi.Errno) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d, errno := t.lookupLocked(fd)
	switch {
	case errno != abi.OK:
		return "", errno
	case d.preopen == "":
		return "", abi.EBADF
	}
	return d.preopen, abi.OK
}

// Cloexec reports whether an exec closes fd.
func (t *FDTable) Cloexec(fd FD) (bool, abi.Errno) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d, errno := t.lookupLocked(fd)
	if errno != abi.OK {
		return false, errno
	}
	return d.cloexec, abi.OK
}

// SetCloexec says whether an exec closes fd.
func (t *FDTable) SetCloexec(fd FD, on bool) abi.Errno {
	t.mu.Lock()
	defer t.mu.Unlock()
	d, errno := t.lookupLocked(fd)
	if errno == abi.OK {
		d.cloexec = on
	}
	return errno
}

// PathOpen does path_open: PathOpenExt without flags of the fd.
func (t *FDTable) PathOpen(n Opener, fd FD, lookup abi.LookupFlags, p string, oflags abi.OFlags,
	base, inheriting abi.Rights, flags abi.FDFlags) (FD, abi.Errno) {
	return t.PathOpenExt(n, fd, lookup, p, oflags, base, inheriting, flags, 0)
}

// An Opener opens paths: a Namespace below the directory that is given with
// them, an FSContext as a process of POSIX does.
type Opener interface {
	OpenAt(base *OpenFile, p string, lookup abi.LookupFlags, oflags abi.OFlags,
		read, write bool, flags abi.FDFlags) (*OpenFile, abi.Errno)
}

// PathOpenExt does path_open2: it opens p below the directory fd, and gives it
// the lowest free fd, whose own flags are ext.
//
// Rights that the directory cannot pass on are left out rather than refused,
// since programs ask for more than they need. Whether the file is opened for
// reading and writing follows from the rights that are left: FD_READ or
// FD_READDIR, and FD_WRITE.
func (t *FDTable) PathOpenExt(n Opener, fd FD, lookup abi.LookupFlags, p string, oflags abi.OFlags,
	base, inheriting abi.Rights, flags abi.FDFlags, ext abi.FDFlagsExt) (FD, abi.Errno) {
	if ext&^abi.FDCloexec != 0 {
		return 0, abi.EINVAL
	}
	need := abi.RightPathOpen
	if oflags&abi.OCreat != 0 {
		need |= abi.RightPathCreateFile
	}
	if oflags&abi.OTrunc != 0 {
		need |= abi.RightPathFilestatSetSize
	}
	dir, most, errno := t.getInheriting(fd, need)
	if errno != abi.OK {
		return 0, errno
	}
	defer dir.DecRef()
	return t.open(n, dir, lookup, p, oflags, base&most, inheriting&most, flags, ext)
}

// OpenExt is PathOpenExt of a path that needs no directory, since it is absolute and n
// an FSContext.
func (t *FDTable) OpenExt(n Opener, lookup abi.LookupFlags, p string, oflags abi.OFlags,
	base, inheriting abi.Rights, flags abi.FDFlags, ext abi.FDFlagsExt) (FD, abi.Errno) {
	if ext&^abi.FDCloexec != 0 {
		return 0, abi.EINVAL
	}
	return t.open(n, nil, lookup, p, oflags, base, inheriting, flags, ext)
}

// open opens a file with these rights.
func (t *FDTable) open(n Opener, dir *OpenFile, lookup abi.LookupFlags, p string, oflags abi.OFlags,
	base, inheriting abi.Rights, flags abi.FDFlags, ext abi.FDFlagsExt) (FD, abi.Errno) {
	read := base&(abi.RightFDRead|abi.RightFDReaddir) != 0
	write := base&abi.RightFDWrite != 0
	f, errno := n.OpenAt(dir, p, lookup, oflags, read, write, flags)
	if errno != abi.OK {
		return 0, errno
	}
	return t.InstallFrom(0, f, base, inheriting, ext&abi.FDCloexec != 0)
}
