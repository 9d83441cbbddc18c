package wasi

import (
	"strings"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
)

// A place is a directory and a path below it, or an absolute path.
type place struct {
	ns   *vfs.Resolver
	dir  *vfs.OpenFile // counted; nil if the path is absolute
	path string
}

// close gives the directory back.
func (p place) close() {
	if p.dir != nil {
		p.dir.DecRef()
	}
}

// rootFD is the descriptor under which WASIX's library knows the root. It gives it
// with every absolute path, also after the program has closed it or put something
// else there, as shells do whose scripts begin to count at 3.
const rootFD = 3

// posix returns where the process is, if its program is for WASIX: its paths are
// those of POSIX then. Nil: they stay below the directories that come with them.
func (c *call) posix() *vfs.FSContext {
	if g := c.t.Group(); g.Program().POSIX {
		return g.CWD()
	}
	return nil
}

// place returns the directory at the fd in argument fd and the path in
// arguments path and path+1. The caller closes it.
func (c *call) place(fd, path int, need abi.Rights) (place, abi.Errno) {
	p, errno := c.str(path)
	if errno != abi.OK {
		return place{}, errno
	}
	posix := c.posix()
	if posix != nil && strings.HasPrefix(p, "/") {
		return place{&posix.Resolver, nil, p}, abi.OK // openat(2): the directory is ignored
	}
	dir, errno := c.file(fd, need)
	if errno != abi.OK {
		return place{}, errno
	}
	ns := dir.Namespace()
	if ns == nil {
		dir.DecRef()
		return place{}, abi.ENOTDIR
	}
	if posix != nil {
		return place{&posix.Resolver, dir, p}, abi.OK
	}
	if cwd := c.t.Group().CWD(); cwd != nil { // files of /proc show each process its own
		return place{cwd.Confined(), dir, p}, abi.OK
	}
	return place{&ns.Resolver, dir, p}, abi.OK
}

// at calls do with the place of arguments fd and path.
func (c *call) at(fd, path int, need abi.Rights, do func(place) abi.Errno) abi.Errno {
	p, errno := c.place(fd, path, need)
	if errno != abi.OK {
		return errno
	}
	defer p.close()
	return do(p)
}

// lookup returns the lookup flags in argument i.
func (c *call) lookup(i int) abi.LookupFlags { return abi.LookupFlags(c.u32(i)) }

func pathCreateDirectory(c *call) abi.Errno {
	return c.at(0, 1, abi.RightPathCreateDirectory, func(p place) abi.Errno {
		return p.ns.MkdirAt(p.dir, p.path)
	})
}

func pathFilestatGet(c *call) abi.Errno {
	out, errno := c.out(4, c.statSize())
	if errno != abi.OK {
		return errno
	}
	return c.at(0, 2, abi.RightPathFilestatGet, func(p place) abi.Errno {
		st, errno := p.ns.StatAt(p.dir, p.path, c.lookup(1))
		if errno == abi.OK {
			c.putStat(out, &st)
		}
		return errno
	})
}

func pathFilestatSetTimes(c *call) abi.Errno {
	flags, errno := c.u16(6)
	if errno != abi.OK {
		return errno
	}
	return c.at(0, 2, abi.RightPathFilestatSetTimes, func(p place) abi.Errno {
		return p.ns.SetTimesAt(p.dir, p.path, c.lookup(1), c.u64(4), c.u64(5), abi.FstFlags(flags))
	})
}

func pathLink(c *call) abi.Errno {
	return c.at(0, 2, abi.RightPathLinkSource, func(from place) abi.Errno {
		return c.at(4, 5, abi.RightPathLinkTarget, func(to place) abi.Errno {
			return from.ns.LinkAt(from.dir, from.path, c.lookup(1), to.dir, to.path)
		})
	})
}

func pathOpen(c *call) abi.Errno { return c.pathOpen(0, 8) }

// pathOpen2 is pathOpen with what the new descriptor alone has.
func pathOpen2(c *call) abi.Errno {
	ext, errno := c.u16(8)
	if errno != abi.OK {
		return errno
	}
	return c.pathOpen(abi.FDFlagsExt(ext), 9)
}

func (c *call) pathOpen(ext abi.FDFlagsExt, ret int) abi.Errno {
	out, errno := c.out(ret, 4)
	if errno != abi.OK {
		return errno
	}
	oflags, errno := c.u16(4)
	if errno != abi.OK {
		return errno
	}
	flags, errno := c.u16(7)
	if errno != abi.OK {
		return errno
	}
	return c.at(0, 2, 0, func(p place) abi.Errno {
		base, inheriting := abi.Rights(c.u64(5)), abi.Rights(c.u64(6))
		var fd vfs.FD
		var errno abi.Errno
		if p.dir == nil {
			fd, errno = c.files().OpenExt(p.ns, c.lookup(1), p.path, abi.OFlags(oflags), base, inheriting, abi.FDFlags(flags), ext)
		} else {
			fd, errno = c.files().PathOpenExt(p.ns, c.fd(0), c.lookup(1), p.path, abi.OFlags(oflags), base, inheriting, abi.FDFlags(flags), ext)
		}
		if errno == abi.OK {
			le.PutUint32(out, uint32(fd))
		}
		return errno
	})
}

// pathReadlink cuts off what the buffer has no room for, as readlink(2) does.
func pathReadlink(c *call) abi.Errno {
	buf, errno := c.out(3, uint64(c.u32(4)))
	if errno != abi.OK {
		return errno
	}
	out, errno := c.out(5, 4)
	if errno != abi.OK {
		return errno
	}
	return c.at(0, 1, abi.RightPathReadlink, func(p place) abi.Errno {
		link, errno := p.ns.ReadlinkAt(p.dir, p.path)
		if errno == abi.OK {
			le.PutUint32(out, uint32(copy(buf, link)))
		}
		return errno
	})
}

func pathRemoveDirectory(c *call) abi.Errno {
	return c.at(0, 1, abi.RightPathRemoveDirectory, func(p place) abi.Errno {
		return p.ns.RmdirAt(p.dir, p.path)
	})
}

func pathRename(c *call) abi.Errno {
	return c.at(0, 1, abi.RightPathRenameSource, func(from place) abi.Errno {
		return c.at(3, 4, abi.RightPathRenameTarget, func(to place) abi.Errno {
			return from.ns.RenameAt(from.dir, from.path, to.dir, to.path)
		})
	})
}

func pathSymlink(c *call) abi.Errno {
	link, errno := c.str(0)
	if errno != abi.OK {
		return errno
	}
	return c.at(2, 3, abi.RightPathSymlink, func(p place) abi.Errno {
		return p.ns.SymlinkAt(link, p.dir, p.path)
	})
}

func pathUnlinkFile(c *call) abi.Errno {
	return c.at(0, 1, abi.RightPathUnlinkFile, func(p place) abi.Errno {
		return p.ns.UnlinkAt(p.dir, p.path)
	})
}
