package wasi

import (
	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
)

// with calls do with the open file at the fd in argument 0.
func (c *call) with(need abi.Rights, do func(*vfs.OpenFile) abi.Errno) abi.Errno {
	f, errno := c.file(0, need)
	if errno != abi.OK {
		return errno
	}
	defer f.DecRef()
	return do(f)
}

func fdAdvise(c *call) abi.Errno {
	if c.u32(3) > 0xff {
		return abi.EINVAL
	}
	return c.with(abi.RightFDAdvise, func(f *vfs.OpenFile) abi.Errno {
		return f.Advise(c.u64(1), c.u64(2), abi.Advice(c.u32(3)))
	})
}

func fdAllocate(c *call) abi.Errno {
	return c.with(abi.RightFDAllocate, func(f *vfs.OpenFile) abi.Errno {
		if sum := c.u64(1) + c.u64(2); sum >= c.u64(1) {
			if errno := c.mayGrow(f, sum); errno != abi.OK {
				return errno
			}
		}
		return f.Allocate(c.u64(1), c.u64(2))
	})
}

func fdClose(c *call) abi.Errno { return c.files().Close(c.fd(0)) }

func fdDatasync(c *call) abi.Errno {
	return c.with(abi.RightFDDatasync, func(f *vfs.OpenFile) abi.Errno { return f.Sync(true) })
}

func fdSync(c *call) abi.Errno {
	return c.with(abi.RightFDSync, func(f *vfs.OpenFile) abi.Errno { return f.Sync(false) })
}

func fdFdstatGet(c *call) abi.Errno {
	out, errno := c.out(1, abi.FdstatSize)
	if errno != abi.OK {
		return errno
	}
	st, errno := c.files().Fdstat(c.fd(0))
	if c.fd(0) == rootFD && c.posix() != nil {
		// WASIX's library asks what it may open below the root.
		if errno == abi.EBADF {
			st, errno = abi.Fdstat{Filetype: abi.FiletypeDirectory, RightsBase: abi.RightsDir}, abi.OK
		}
		st.RightsInheriting = abi.RightsDirInheriting
	}
	if errno == abi.OK {
		st.Put(out)
	}
	return errno
}

func fdFdstatSetFlags(c *call) abi.Errno {
	flags, errno := c.u16(1)
	if errno != abi.OK {
		return errno
	}
	return c.with(abi.RightFDFdstatSetFlags, func(f *vfs.OpenFile) abi.Errno {
		return f.SetFlags(abi.FDFlags(flags))
	})
}

func fdFdstatSetRights(c *call) abi.Errno {
	return c.files().SetRights(c.fd(0), abi.Rights(c.u64(1)), abi.Rights(c.u64(2)))
}

// putStat writes st in the layout of the call's module.
func (c *call) putStat(out []byte, st *abi.Filestat) {
	if c.unstable {
		st.PutUnstable(out)
	} else {
		st.Put(out)
	}
}

// statSize is how many bytes putStat writes.
func (c *call) statSize() uint64 {
	if c.unstable {
		return abi.FilestatUnstableSize
	}
	return abi.FilestatSize
}

func fdFilestatGet(c *call) abi.Errno {
	out, errno := c.out(1, c.statSize())
	if errno != abi.OK {
		return errno
	}
	return c.with(abi.RightFDFilestatGet, func(f *vfs.OpenFile) abi.Errno {
		st, errno := f.Stat()
		if errno == abi.OK {
			c.putStat(out, &st)
		}
		return errno
	})
}

func fdFilestatSetSize(c *call) abi.Errno {
	return c.with(abi.RightFDFilestatSetSize, func(f *vfs.OpenFile) abi.Errno {
		if errno := c.mayGrow(f, c.u64(1)); errno != abi.OK {
			return errno
		}
		return f.SetSize(c.u64(1))
	})
}

func fdFilestatSetTimes(c *call) abi.Errno {
	flags, errno := c.u16(3)
	if errno != abi.OK {
		return errno
	}
	return c.with(abi.RightFDFilestatSetTimes, func(f *vfs.OpenFile) abi.Errno {
		return f.SetTimes(c.u64(1), c.u64(2), abi.FstFlags(flags))
	})
}

// preopen returns the name of a preopened directory. To programs for WASIX the root is
// one, whatever its descriptor is: after exec(2) it may be another file. Their library
// needs only the name.
func (c *call) preopen(fd vfs.FD) (string, abi.Errno) {
	name, errno := c.files().PreopenName(fd)
	if errno != abi.OK && fd == rootFD && c.posix() != nil {
		return "/", abi.OK
	}
	return name, errno
}

func fdPrestatGet(c *call) abi.Errno {
	out, errno := c.out(1, abi.PrestatSize)
	if errno != abi.OK {
		return errno
	}
	name, errno := c.preopen(c.fd(0))
	if errno == abi.OK {
		p := abi.Prestat{NameLen: uint32(len(name))}
		p.Put(out)
	}
	return errno
}

func fdPrestatDirName(c *call) abi.Errno {
	out, errno := c.out(1, uint64(c.u32(2)))
	if errno != abi.OK {
		return errno
	}
	name, errno := c.preopen(c.fd(0))
	switch {
	case errno != abi.OK:
		return errno
	case len(out) < len(name):
		return abi.ENAMETOOLONG
	}
	copy(out, name)
	return abi.OK
}

// fdRenumber moves a descriptor over another one, which must be open. To programs for
// WASIX it is dup2(2): their library's is made of it.
func fdRenumber(c *call) abi.Errno {
	if c.t.Group().Program().POSIX {
		return c.files().Dup2(c.fd(0), c.fd(1), false)
	}
	return c.files().Renumber(c.fd(0), c.fd(1))
}
