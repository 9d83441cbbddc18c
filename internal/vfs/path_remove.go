package vfs

import "github.com/stasis-run/stasis/internal/abi"

// UnlinkAt removes the name p, which is not a directory. What is open stays
// usable.
func (r *Resolver) UnlinkAt(base *OpenFile, p string) abi.Errno {
	t, errno := r.walk(base, p, false)
	if errno != abi.OK {
		return errno
	}
	defer t.close()
	if t.name == "." {
		return abi.EISDIR
	}
	if r.ns.MountAt(t.guest()) != nil {
		return abi.EISDIR
	}
	if t.slash || t.mount.ReadOnly {
		st, errno := t.dir.Stat(t.name)
		switch {
		case errno != abi.OK:
			return errno
		case st.Filetype == abi.FiletypeDirectory:
			return abi.EISDIR
		case t.slash:
			return abi.ENOTDIR
		}
		return abi.EROFS
	}
	return t.dir.Unlink(t.name)
}

// RmdirAt removes the empty directory p.
func (r *Resolver) RmdirAt(base *OpenFile, p string) abi.Errno {
	t, errno := r.walk(base, p, false)
	if errno != abi.OK {
		return errno
	}
	defer t.close()
	switch {
	case t.up:
		return abi.ENOTEMPTY
	case t.name == ".":
		return abi.EINVAL
	case r.ns.holdsMount(t.guest()):
		return abi.EBUSY
	case t.mount.ReadOnly:
		st, errno := t.dir.Stat(t.name)
		switch {
		case errno != abi.OK:
			return errno
		case st.Filetype != abi.FiletypeDirectory:
			return abi.ENOTDIR
		}
		return abi.EROFS
	}
	return t.dir.Rmdir(t.name)
}

// RenameAt moves oldPath to newPath, over what is there if the kinds allow it.
func (r *Resolver) RenameAt(oldBase *OpenFile, oldPath string, newBase *OpenFile, newPath string) abi.Errno {
	from, errno := r.walk(oldBase, oldPath, false)
	if errno != abi.OK {
		return errno
	}
	defer from.close()
	to, errno := r.walk(newBase, newPath, false)
	if errno != abi.OK {
		return errno
	}
	defer to.close()
	switch {
	case from.name == "." || to.name == ".":
		return abi.EBUSY
	case r.ns.MountAt(from.guest()) != nil || r.ns.MountAt(to.guest()) != nil:
		return abi.EBUSY
	case from.mount != to.mount:
		return abi.EXDEV
	}
	st, errno := from.dir.Stat(from.name)
	if errno != abi.OK {
		return errno
	}
	isDir := st.Filetype == abi.FiletypeDirectory
	switch {
	case !isDir && (from.slash || to.slash):
		return abi.ENOTDIR
	case from.mount.ReadOnly:
		return abi.EROFS
	case isDir && r.ns.holdsMount(from.guest()):
		return abi.EBUSY
	}
	return from.dir.Rename(from.name, to.dir, to.name)
}
