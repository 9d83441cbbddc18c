package wasi

import (
	"strings"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
)

// Parameters of proc_spawn: name, chroot, arguments, preopens, a mode for each of the
// standard streams, working directory, and where the handles go.
const (
	oldSpawnChroot   = 2
	oldSpawnArgs     = 3
	oldSpawnPreopens = 5
	oldSpawnStdio    = 7
	oldSpawnDir      = 10
	oldSpawnHandles  = 12
)

// What becomes of a standard stream of a child: a pipe to the parent, the parent's
// own, /dev/null, or what shows up in the system's log, which is the parent's own.
const (
	stdioPiped = iota
	stdioInherit
	stdioNull
	stdioLog
)

// allRights are cut to those that a file can have.
const allRights = ^abi.Rights(0)

// handlesSize is the size of process_handles_t: a pid, and an option_fd_t for each of
// the three streams from offset 4.
const handlesSize = 4 + 3*optionSize

// procSpawn is the oldest of the calls that make a child which runs a program. The
// program is looked for where the own PATH says, the environment is the own one.
func procSpawn(c *call) abi.Errno {
	r, errno := c.execution(func(c *call) (cmd command, errno abi.Errno) {
		cmd.env = c.t.Group().Env()
		cmd.args, errno = c.lines(oldSpawnArgs)
		return cmd, errno
	}, 0)
	if errno != abi.OK {
		return errno
	}
	r.search, r.dirs = true, variable(r.env, "PATH")
	chroot, errno := c.flag(oldSpawnChroot)
	if errno != abi.OK {
		return errno
	}
	if chroot {
		return abi.ENOTSUP
	}
	handles, errno := c.out(oldSpawnHandles, handlesSize)
	if errno != abi.OK {
		return errno
	}
	var pipes [3]*vfs.FD
	id, errno := c.spawn(&r, func(s *spawning) abi.Errno {
		for i := range pipes {
			var errno abi.Errno
			if pipes[i], errno = c.spawnStream(s, vfs.FD(i), c.u32(oldSpawnStdio+i)); errno != abi.OK {
				return errno
			}
		}
		return c.spawnDirs(s)
	})
	if errno != abi.OK {
		for _, fd := range pipes {
			if fd != nil {
				c.files().Close(*fd)
			}
		}
		return errno
	}
	putHandles(handles, uint32(id), pipes)
	return abi.OK
}

// variable is the value of an environment's variable, or "".
func variable(env []string, name string) string {
	for _, v := range env {
		if n, value, ok := strings.Cut(v, "="); ok && n == name {
			return value
		}
	}
	return ""
}

// spawnDirs gives a child its working directory and, if some are named, other preopens
// than its parent's.
func (c *call) spawnDirs(s *spawning) abi.Errno {
	if c.u32(oldSpawnDir+1) > 0 {
		dir, errno := c.str(oldSpawnDir)
		if errno != abi.OK {
			return errno
		}
		if errno := s.cwd.Chdir(dir); errno != abi.OK {
			return errno
		}
	}
	dirs, errno := c.lines(oldSpawnPreopens)
	if errno != abi.OK || len(dirs) == 0 {
		return errno
	}
	for _, d := range s.files.List() {
		if _, errno := s.files.PreopenName(d.FD); errno == abi.OK {
			s.files.Close(d.FD)
		}
	}
	for _, dir := range dirs {
		f, errno := s.cwd.OpenAt(nil, dir, abi.SymlinkFollow, abi.ODirectory, true, false, 0)
		if errno != abi.OK {
			return errno
		}
		if _, errno := s.files.Preopen(f, dir); errno != abi.OK {
			return errno
		}
	}
	return abi.OK
}

// spawnStream gives a child the standard stream fd. Of a pipe the result is the
// parent's end, which other programs that the parent executes do not get.
func (c *call) spawnStream(s *spawning, fd vfs.FD, mode uint32) (*vfs.FD, abi.Errno) {
	switch mode {
	case stdioInherit, stdioLog:
		return nil, abi.OK
	case stdioNull:
		f, errno := s.cwd.OpenAt(nil, "/dev/null", abi.SymlinkFollow, 0, true, true, 0)
		if errno != abi.OK {
			return nil, errno
		}
		return nil, s.put(f, fd, allRights, allRights)
	case stdioPiped:
	default:
		return nil, abi.EINVAL
	}
	if c.env.Pipes == nil {
		return nil, abi.ENOTSUP
	}
	child, parent, errno := c.env.Pipes.New()
	if errno != abi.OK {
		return nil, errno
	}
	if fd != 0 {
		child, parent = parent, child
	}
	if errno := s.put(child, fd, allRights, allRights); errno != abi.OK {
		parent.DecRef()
		return nil, errno
	}
	own, errno := c.files().InstallFrom(0, parent, allRights, allRights, true)
	if errno != abi.OK {
		return nil, errno
	}
	return &own, abi.OK
}

// put puts an open file, whose reference it takes over, at a descriptor of the child's.
func (s *spawning) put(f *vfs.OpenFile, fd vfs.FD, base, inheriting abi.Rights) abi.Errno {
	at, errno := s.files.Install(f, base, inheriting)
	if errno != abi.OK || at == fd {
		return errno
	}
	errno = s.files.Dup2(at, fd, false)
	s.files.Close(at)
	return errno
}

// putHandles writes a process_handles_t.
func putHandles(out []byte, pid uint32, pipes [3]*vfs.FD) {
	clear(out)
	le.PutUint32(out, pid)
	for i, fd := range pipes {
		if fd != nil {
			option := out[4+i*optionSize:]
			option[0] = 1
			le.PutUint32(option[4:], uint32(*fd))
		}
	}
}
