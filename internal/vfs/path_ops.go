package vfs

import (
	"strings"
	"unicode/utf8"

	"github.com/stasis-run/stasis/internal/abi"
)

// follow reports whether lookup asks for the last symbolic link to be
// followed. A slash at the end of the path asks for it, too.
func follow(lookup abi.LookupFlags, p string) bool {
	return lookup&abi.SymlinkFollow != 0 || strings.HasSuffix(p, "/")
}

// existing walks to something that has to be there, over a mount that lies on
// it.
func (r *Resolver) existing(base *OpenFile, p string, lookup abi.LookupFlags) (*target, abi.Errno) {
	t, errno := r.walk(base, p, follow(lookup, p))
	if errno != abi.OK {
		return nil, errno
	}
	if t.jumped != nil {
		return t, abi.OK
	}
	if errno := t.crossMount(); errno != abi.OK {
		t.close()
		return nil, errno
	}
	if t.slash && t.name != "." {
		st, errno := t.dir.Stat(t.name)
		if errno == abi.OK && st.Filetype != abi.FiletypeDirectory {
			errno = abi.ENOTDIR
		}
		if errno != abi.OK {
			t.close()
			return nil, errno
		}
	}
	return t, abi.OK
}

// StatAt returns what p is.
func (r *Resolver) StatAt(base *OpenFile, p string, lookup abi.LookupFlags) (abi.Filestat, abi.Errno) {
	t, errno := r.existing(base, p, lookup)
	if errno != abi.OK {
		return abi.Filestat{}, errno
	}
	defer t.close()
	if t.jumped != nil {
		return t.jumped.Stat()
	}
	return t.dir.Stat(t.name)
}

// SetTimesAt sets the times of p. Atim and mtim are in ns since 1970; flags
// say which of them count.
func (r *Resolver) SetTimesAt(base *OpenFile, p string, lookup abi.LookupFlags,
	atim, mtim uint64, flags abi.FstFlags) abi.Errno {
	times, errno := resolveTimes(r.ns.now(), atim, mtim, flags)
	if errno != abi.OK {
		return errno
	}
	t, errno := r.existing(base, p, lookup)
	if errno != abi.OK {
		return errno
	}
	defer t.close()
	if t.jumped != nil {
		return t.jumped.SetTimes(atim, mtim, flags)
	}
	if t.mount.ReadOnly {
		if _, errno := t.dir.Stat(t.name); errno != abi.OK {
			return errno
		}
		return abi.EROFS
	}
	return t.dir.SetTimes(t.name, times)
}

// resolveTimes makes Times out of what a set_times call was given.
func resolveTimes(now int64, atim, mtim uint64, flags abi.FstFlags) (Times, abi.Errno) {
	const atims, mtims = abi.FstAtim | abi.FstAtimNow, abi.FstMtim | abi.FstMtimNow
	if flags&^abi.FstFlagsAll != 0 || flags&atims == atims || flags&mtims == mtims {
		return Times{}, abi.EINVAL
	}
	const maxTime = 1<<63 - 1
	if flags&abi.FstAtim != 0 && atim > maxTime || flags&abi.FstMtim != 0 && mtim > maxTime {
		return Times{}, abi.EINVAL
	}
	t := Times{
		SetAtim: flags&atims != 0, Atim: int64(atim),
		SetMtim: flags&mtims != 0, Mtim: int64(mtim),
		Now: now,
	}
	if flags&abi.FstAtimNow != 0 {
		t.Atim = now
	}
	if flags&abi.FstMtimNow != 0 {
		t.Mtim = now
	}
	return t, abi.OK
}

// ReadlinkAt returns the target of the symbolic link p, or EINVAL.
func (r *Resolver) ReadlinkAt(base *OpenFile, p string) (string, abi.Errno) {
	t, errno := r.existing(base, p, 0)
	if errno != abi.OK {
		return "", errno
	}
	defer t.close()
	return t.dir.Readlink(t.name)
}

// fresh walks to a name that is to be made. It fails with EEXIST if something
// is there, and with EROFS if nothing can be made.
func (r *Resolver) fresh(base *OpenFile, p string) (*target, abi.Errno) {
	t, errno := r.walk(base, p, false)
	if errno != abi.OK {
		return nil, errno
	}
	if t.name == "." || r.ns.MountAt(t.guest()) != nil {
		errno = abi.EEXIST
	} else if t.mount.ReadOnly {
		if _, errno = t.dir.Stat(t.name); errno == abi.OK {
			errno = abi.EEXIST
		} else if errno == abi.ENOENT {
			errno = abi.EROFS
		}
	}
	if errno != abi.OK {
		t.close()
		return nil, errno
	}
	return t, abi.OK
}

// freshFile is fresh for what is not a directory: a slash after the name is
// wrong whether something is there (EEXIST) or not (ENOENT).
func (r *Resolver) freshFile(base *OpenFile, p string) (*target, abi.Errno) {
	t, errno := r.fresh(base, p)
	if errno != abi.OK || !t.slash {
		return t, errno
	}
	defer t.close()
	if _, errno := t.dir.Stat(t.name); errno != abi.OK {
		return nil, errno
	}
	return nil, abi.EEXIST
}

// MkdirAt makes the directory p.
func (r *Resolver) MkdirAt(base *OpenFile, p string) abi.Errno {
	t, errno := r.fresh(base, p)
	if errno != abi.OK {
		return errno
	}
	defer t.close()
	return t.dir.Mkdir(t.name)
}

// SymlinkAt makes p a symbolic link to link. Below a directory that confines, an
// absolute link could never be followed, and gives EPERM.
func (r *Resolver) SymlinkAt(link string, base *OpenFile, p string) abi.Errno {
	switch {
	case link == "":
		return abi.ENOENT
	case len(link) >= MaxPath:
		return abi.ENAMETOOLONG
	case strings.IndexByte(link, 0) >= 0:
		return abi.EINVAL
	case !utf8.ValidString(link):
		return abi.EILSEQ
	case link[0] == '/' && r.ctx == nil:
		return abi.EPERM
	}
	t, errno := r.freshFile(base, p)
	if errno != abi.OK {
		return errno
	}
	defer t.close()
	return t.dir.Symlink(link, t.name)
}

// LinkAt makes newPath another name of oldPath. Lookup is about oldPath.
func (r *Resolver) LinkAt(oldBase *OpenFile, oldPath string, lookup abi.LookupFlags,
	newBase *OpenFile, newPath string) abi.Errno {
	from, errno := r.existing(oldBase, oldPath, lookup)
	if errno != abi.OK {
		return errno
	}
	defer from.close()
	if from.name != "." {
		if _, errno := from.dir.Stat(from.name); errno != abi.OK {
			return errno
		}
	}
	to, errno := r.freshFile(newBase, newPath)
	if errno != abi.OK {
		return errno
	}
	defer to.close()
	switch {
	case from.jumped != nil:
		return abi.EXDEV
	case from.name == ".":
		return abi.EPERM // a directory
	case from.mount != to.mount:
		return abi.EXDEV
	}
	return from.dir.Link(from.name, to.dir, to.name)
}
