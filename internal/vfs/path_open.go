package vfs

import "github.com/stasis-run/stasis/internal/abi"

// OpenAt opens p below the directory base. Read and write say what the open
// file can be used for; neither is allowed, such a file can only be asked
// about. OCreat makes a regular file. The caller owns the result.
func (r *Resolver) OpenAt(base *OpenFile, p string, lookup abi.LookupFlags, oflags abi.OFlags,
	read, write bool, flags abi.FDFlags) (*OpenFile, abi.Errno) {
	if oflags&^abi.OFlagsAll != 0 || flags&^abi.FDFlagsAll != 0 ||
		oflags&abi.OCreat != 0 && oflags&abi.ODirectory != 0 {
		return nil, abi.EINVAL
	}
	exclusive := oflags&abi.OCreat != 0 && oflags&abi.OExcl != 0
	t, errno := r.walk(base, p, lookup&abi.SymlinkFollow != 0 && !exclusive)
	if errno != abi.OK {
		return nil, errno
	}
	defer func() { t.close() }() // t may be replaced
	if t.jumped != nil {
		return t.reopen(oflags, read, write)
	}
	for {
		opts := OpenOptions{Read: read, Write: write, Flags: oflags}
		f, errno := t.open(opts)
		if errno == abi.ELOOP && lookup&abi.SymlinkFollow != 0 && !exclusive {
			// It has become a symbolic link since the walk saw it.
			next, errno := t.again()
			if errno != abi.OK {
				return nil, errno
			}
			if t = next; t.jumped != nil {
				return t.reopen(oflags, read, write)
			}
			continue
		}
		if errno != abi.OK {
			return nil, errno
		}
		of := NewOpenFile(f, read, write, flags)
		if _, ok := f.(Unmounted); ok {
			of.path = t.guest()
			return of, abi.OK
		}
		of.ns, of.mount, of.path = r.ns, t.mount, t.guest()
		return of, abi.OK
	}
}

// reopen opens what a link has jumped to: it is the same open file again, as a
// dup makes it, and must allow what is asked for.
func (t *target) reopen(oflags abi.OFlags, read, write bool) (*OpenFile, abi.Errno) {
	_, dir := t.jumped.file.(Directory)
	switch {
	case oflags&abi.ODirectory != 0 && !dir:
		return nil, abi.ENOTDIR
	case read && !t.jumped.read || write && !t.jumped.write:
		return nil, abi.EACCES
	}
	t.jumped.IncRef()
	return t.jumped, abi.OK
}

// open opens the target.
func (t *target) open(opts OpenOptions) (File, abi.Errno) {
	if opts.Flags&abi.OCreat != 0 {
		return t.create(opts)
	}
	if errno := t.crossMount(); errno != abi.OK {
		return nil, errno
	}
	if t.slash {
		opts.Flags |= abi.ODirectory
	}
	if t.mount.ReadOnly && (opts.Write || opts.Flags&abi.OTrunc != 0) {
		return nil, t.readOnlyErrno(opts)
	}
	return t.dir.Open(t.name, opts)
}

// create opens the target with OCreat.
func (t *target) create(opts OpenOptions) (File, abi.Errno) {
	excl := opts.Flags&abi.OExcl != 0
	switch {
	case t.name == "." || t.w.ns.MountAt(t.guest()) != nil:
		if excl {
			return nil, abi.EEXIST
		}
		return nil, abi.EISDIR
	case t.slash:
		return nil, abi.EISDIR
	case !t.mount.ReadOnly:
		return t.dir.Open(t.name, opts)
	}
	// What is there can be opened, but nothing can be made.
	_, errno := t.dir.Stat(t.name)
	switch {
	case errno == abi.ENOENT:
		return nil, abi.EROFS
	case errno != abi.OK:
		return nil, errno
	case excl:
		return nil, abi.EEXIST
	}
	opts.Flags &^= abi.OCreat
	return t.open(opts)
}

// readOnlyErrno returns why the target, on a read-only mount, cannot be opened
// for writing: it may not be there, or not be what was asked for.
func (t *target) readOnlyErrno(opts OpenOptions) abi.Errno {
	st, errno := t.dir.Stat(t.name)
	switch {
	case errno != abi.OK:
		return errno
	case st.Filetype == abi.FiletypeSymbolicLink:
		return abi.ELOOP
	case st.Filetype == abi.FiletypeDirectory:
		return abi.EISDIR
	case opts.Flags&abi.ODirectory != 0:
		return abi.ENOTDIR
	}
	return abi.EROFS
}

// crossMount goes to the root of the mount that lies at the target, if any.
func (t *target) crossMount() abi.Errno {
	if t.name == "." || t.w.ns.MountAt(t.guest()) == nil {
		return abi.OK
	}
	if errno := t.w.enter(t.name); errno != abi.OK {
		return errno
	}
	t.place, t.name = t.w.top(), "."
	return abi.OK
}
