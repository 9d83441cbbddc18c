package wasi

import (
	"bytes"
	"cmp"
	"path"
	"strings"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/vfs"
)

// Limits on what is executed.
const (
	maxProgram = 256 << 20 // bytes of a module's file
	maxStrings = 2 << 20   // bytes of arguments and environment together, as Linux has it
	maxScripts = 4         // scripts whose interpreters are scripts
	maxShebang = 256       // bytes of a script's first line
)

// defaultPath is where programs are looked for without a PATH.
const defaultPath = "/usr/local/bin:/bin:/usr/bin"

// A command is a program and what it is run with.
type command struct {
	source    []byte
	args, env []string
}

// text is a string of n bytes at ptr, which may be long.
func (c *call) text(i int) (string, abi.Errno) {
	n := c.u32(i + 1)
	if n > maxStrings {
		return "", abi.E2BIG
	}
	b, errno := c.out(i, uint64(n))
	return string(b), errno
}

// lines are strings that are separated by line feeds; an empty text is none.
func (c *call) lines(i int) ([]string, abi.Errno) {
	s, errno := c.text(i)
	if errno != abi.OK || s == "" {
		return nil, errno
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n"), abi.OK
}

// environment is lines, or the own one if there is none.
func (c *call) environment(i int) ([]string, abi.Errno) {
	env, errno := c.lines(i)
	if errno != abi.OK || env != nil {
		return env, errno
	}
	return c.t.Group().Env(), abi.OK
}

// vector is n strings with NULs at their ends, to which an array of pointers points.
func (c *call) vector(ptr, n uint32) ([]string, abi.Errno) {
	if uint64(n)*4 > maxStrings {
		return nil, abi.E2BIG
	}
	array, errno := c.bytes(ptr, uint64(n)*4)
	if errno != abi.OK {
		return nil, errno
	}
	out := make([]string, 0, n)
	room := maxStrings
	for ; len(array) > 0; array = array[4:] {
		s, errno := c.cstring(le.Uint32(array), room)
		if errno != abi.OK {
			return nil, errno
		}
		room -= len(s) + 1
		out = append(out, s)
	}
	return out, abi.OK
}

// cstring is a string with a NUL at its end, of at most room bytes.
func (c *call) cstring(ptr uint32, room int) (string, abi.Errno) {
	if uint64(ptr) >= uint64(len(c.mem)) {
		return "", abi.EFAULT
	}
	b := c.mem[ptr:]
	if len(b) > room {
		b = b[:max(room, 0)]
	}
	n := bytes.IndexByte(b, 0)
	switch {
	case n >= 0:
		s, _, _ := strings.Cut(string(b[:n]), "\x00") // another thread may have written one since
		return s, abi.OK
	case uint64(ptr)+uint64(len(b)) == uint64(len(c.mem)):
		return "", abi.EFAULT
	}
	return "", abi.E2BIG
}

// find reads the program that a name means.
func find(cwd *vfs.FSContext, r *execution) abi.Errno {
	if cwd == nil {
		return abi.ENOTSUP
	}
	if len(r.name) > vfs.MaxPath {
		return abi.ENAMETOOLONG
	}
	if r.name == "" {
		return abi.ENOENT
	}
	if !r.search || strings.Contains(r.name, "/") {
		return load(cwd, r.name, &r.command, 0)
	}
	dirs := cmp.Or(r.dirs, defaultPath)
	worst := abi.ENOENT
	for dir := range strings.SplitSeq(dirs, ":") {
		if dir == "" {
			dir = "."
		}
		switch errno := load(cwd, path.Join(dir, r.name), &r.command, 0); errno {
		case abi.ENOENT, abi.ENOTDIR:
		case abi.EACCES, abi.EISDIR:
			worst = abi.EACCES
		default:
			return errno
		}
	}
	return worst
}

// FindProgram reads the program that a name means to a process in working directory
// cwd, as execvp(3) does: without a slash in it, it is looked for in dirs, a list as
// PATH is. args are what the program is run with: those given, after a script's
// interpreter if it is one.
func FindProgram(cwd *vfs.FSContext, name, dirs string, args []string) (source []byte, argv []string, errno abi.Errno) {
	r := execution{name: name, command: command{args: args}, search: true, dirs: dirs}
	errno = find(cwd, &r)
	return r.source, r.args, errno
}

// load reads a program, or the one that a script names in its first line.
func load(cwd *vfs.FSContext, name string, cmd *command, depth int) abi.Errno {
	b, errno := readProgram(cwd, name)
	if errno != abi.OK {
		return errno
	}
	switch {
	case bytes.HasPrefix(b, []byte("\x00asm")):
		cmd.source = b
		return abi.OK
	case !bytes.HasPrefix(b, []byte("#!")):
		return abi.ENOEXEC
	case depth >= maxScripts:
		return abi.ELOOP
	}
	interpreter, arg := shebang(b)
	if interpreter == "" {
		return abi.ENOEXEC
	}
	args := []string{interpreter}
	if arg != "" {
		args = append(args, arg)
	}
	args = append(args, name)
	if len(cmd.args) > 1 {
		args = append(args, cmd.args[1:]...)
	}
	cmd.args = args
	return load(cwd, interpreter, cmd, depth+1)
}

// shebang is the interpreter of a script, and its argument (execve(2),
// "Interpreter scripts").
func shebang(b []byte) (interpreter, arg string) {
	line, _, _ := bytes.Cut(b[2:min(len(b), maxShebang)], []byte("\n"))
	interpreter, arg, _ = strings.Cut(strings.Trim(string(line), " \t"), " ")
	return interpreter, strings.Trim(arg, " \t")
}

// readProgram reads a file that is to be executed.
func readProgram(cwd *vfs.FSContext, name string) ([]byte, abi.Errno) {
	f, errno := cwd.OpenAt(nil, name, abi.SymlinkFollow, 0, true, false, 0)
	if errno != abi.OK {
		return nil, errno
	}
	defer f.DecRef()
	st, errno := f.Stat()
	switch {
	case errno != abi.OK:
		return nil, errno
	case st.Filetype != abi.FiletypeRegularFile:
		return nil, abi.EACCES
	case st.Size > maxProgram:
		return nil, abi.ENOMEM
	}
	b := make([]byte, st.Size)
	for at := 0; at < len(b); {
		n, errno := f.ReadAt([][]byte{b[at:]}, uint64(at))
		if errno != abi.OK {
			return nil, errno
		}
		if n == 0 {
			return b[:at], abi.OK
		}
		at += n
	}
	return b, abi.OK
}

// exec has the process run a program.
func (c *call) exec(r *execution) abi.Errno {
	if errno := c.rest(); errno != abi.OK {
		return errno
	}
	if errno := find(c.t.Group().CWD(), r); errno != abi.OK {
		return errno
	}
	out, err := c.t.Exec(r.source, r.args, r.env)
	switch {
	case err != nil:
		return c.kernelErrno("exec of "+r.name, err)
	case out == kernel.Again:
		return errRestart
	}
	return errGone
}

// orExit is what the oldest calls do, which cannot return: without the program, the
// process ends as a shell's would.
func (c *call) orExit(errno abi.Errno) abi.Errno {
	switch errno {
	case errRestart, errGone:
		return errno
	case abi.ENOENT, abi.ENOTDIR:
		c.t.Group().Exit(127)
	default:
		c.t.Group().Exit(126)
	}
	return errGone
}

// An execution is a program that is to be executed, as a call names it.
type execution struct {
	name string
	command
	search bool   // look for it
	dirs   string // there
}

// execution reads the name, arguments and environment that are a call's first
// parameters, the latter two in the way of read. Whether to look for the program is
// parameter search; 0: the call does not say, and it is not looked for.
func (c *call) execution(read func(*call) (command, abi.Errno), search int) (r execution, errno abi.Errno) {
	if r.name, errno = c.text(0); errno != abi.OK {
		return r, errno
	}
	if r.command, errno = read(c); errno != abi.OK || search == 0 {
		return r, errno
	}
	r.search, r.dirs, errno = c.searchPath(search)
	return r, errno
}

// oldLines are arguments that are separated by line feeds; the environment is the own
// one.
func (c *call) oldLines() (cmd command, errno abi.Errno) {
	cmd.env = c.t.Group().Env()
	cmd.args, errno = c.lines(2)
	return cmd, errno
}

// bothLines are arguments and environment that are separated by line feeds.
func (c *call) bothLines() (cmd command, errno abi.Errno) {
	if cmd.args, errno = c.lines(2); errno != abi.OK {
		return cmd, errno
	}
	cmd.env, errno = c.environment(4)
	return cmd, errno
}

// vectors are arguments and environment as arrays of pointers; no environment is the
// own one.
func (c *call) vectors() (cmd command, errno abi.Errno) {
	if cmd.args, errno = c.vector(c.u32(2), c.u32(3)); errno != abi.OK {
		return cmd, errno
	}
	if c.u32(4) == 0 {
		cmd.env = c.t.Group().Env()
		return cmd, abi.OK
	}
	cmd.env, errno = c.vector(c.u32(4), c.u32(5))
	return cmd, errno
}

func procExec(c *call) abi.Errno  { return c.orExit(c.execAs((*call).oldLines, 0)) }
func procExec2(c *call) abi.Errno { return c.orExit(c.execAs((*call).bothLines, 0)) }
func procExec3(c *call) abi.Errno { return c.execAs((*call).bothLines, 6) }
func procExec4(c *call) abi.Errno { return c.execAs((*call).vectors, 6) }

func (c *call) execAs(read func(*call) (command, abi.Errno), search int) abi.Errno {
	r, errno := c.execution(read, search)
	if errno != abi.OK {
		return errno
	}
	return c.exec(&r)
}

// searchPath reads whether to look for a program, and where.
func (c *call) searchPath(i int) (search bool, dirs string, errno abi.Errno) {
	if search, errno = c.flag(i); errno != abi.OK || !search {
		return search, "", errno
	}
	dirs, errno = c.text(i + 1)
	return search, dirs, errno
}

// A spawning is a child that is being made.
type spawning struct {
	files    *vfs.FDTable
	cwd      *vfs.FSContext
	ignored  []int32
	defaults []int32
}

// close gives up what the child would have had.
func (s *spawning) close() {
	s.files.CloseAll()
	s.cwd.Close()
}

func procSpawn2(c *call) abi.Errno { return c.spawnAs((*call).bothLines) }
func procSpawn3(c *call) abi.Errno { return c.spawnAs((*call).vectors) }

// Parameters that calls which make a child have in common: operations on descriptors
// and dispositions, an array and its length each, whether to look for the program, and
// where the pid goes.
const (
	spawnOps    = 6
	spawnSigs   = 8
	spawnSearch = 10
	spawnPID    = 13
)

// spawnAs makes a child that runs a program.
func (c *call) spawnAs(read func(*call) (command, abi.Errno)) abi.Errno {
	r, errno := c.execution(read, spawnSearch)
	if errno != abi.OK {
		return errno
	}
	out, errno := c.out(spawnPID, 4)
	if errno != abi.OK {
		return errno
	}
	id, errno := c.spawn(&r, func(s *spawning) abi.Errno {
		if errno := c.spawnOps(s, spawnOps); errno != abi.OK {
			return errno
		}
		return c.dispositions(s, spawnSigs)
	})
	if errno != abi.OK {
		return errno
	}
	le.PutUint32(out, uint32(id))
	return abi.OK
}

// spawn makes a child of what prepare makes of a copy of the process's descriptors and
// working directory.
func (c *call) spawn(r *execution, prepare func(*spawning) abi.Errno) (kernel.TaskID, abi.Errno) {
	g := c.t.Group()
	if g.CWD() == nil {
		return 0, abi.ENOTSUP
	}
	files, errno := g.Files().Clone()
	if errno != abi.OK {
		return 0, errno
	}
	s := &spawning{files: files, cwd: g.CWD().Clone()}
	var id kernel.TaskID
	if errno = prepare(s); errno == abi.OK {
		id, errno = c.launch(s, r)
	}
	if errno != abi.OK {
		s.close()
	}
	return id, errno
}

func (c *call) launch(s *spawning, r *execution) (kernel.TaskID, abi.Errno) {
	if errno := find(s.cwd, r); errno != abi.OK {
		return 0, errno
	}
	s.files.CloseOnExec()
	id, err := c.t.SpawnProcess(r.source, kernel.ProcessOptions{
		Args: r.args, Env: r.env, Files: s.files, CWD: s.cwd,
	}, s.ignored, s.defaults)
	if err != nil {
		return 0, c.kernelErrno("spawn of "+r.name, err)
	}
	return id, abi.OK
}

// spawnOpSize is the size of proc_spawn_fd_op_t, and maxSpawnOps how many there may
// be.
const (
	spawnOpSize = 56
	maxSpawnOps = 4096
)

// Operations on the descriptors of a child, posix_spawn_file_actions_addclose(3)
// and so on.
const (
	spawnClose = iota
	spawnDup2
	spawnOpen
	spawnChdir
	spawnFchdir
)

func (c *call) spawnOps(s *spawning, i int) abi.Errno {
	n := c.u32(i + 1)
	if n > maxSpawnOps {
		return abi.E2BIG
	}
	array, errno := c.out(i, uint64(n)*spawnOpSize)
	if errno != abi.OK {
		return errno
	}
	for ; len(array) > 0; array = array[spawnOpSize:] {
		if errno := c.spawnOp(s, array[:spawnOpSize]); errno != abi.OK {
			return errno
		}
	}
	return abi.OK
}

func (c *call) spawnOp(s *spawning, op []byte) abi.Errno {
	fd, from := vfs.FD(le.Uint32(op[4:])), vfs.FD(le.Uint32(op[8:]))
	name := func() (string, abi.Errno) {
		n := le.Uint32(op[16:])
		if n > vfs.MaxPath {
			return "", abi.ENAMETOOLONG
		}
		b, errno := c.bytes(le.Uint32(op[12:]), uint64(n))
		return string(b), errno
	}
	switch op[0] {
	case spawnClose:
		s.files.Close(fd) // closed already is as good
		return abi.OK
	case spawnDup2:
		if from == fd { // POSIX: it is to stay open
			return s.files.SetCloexec(fd, false)
		}
		return s.files.Dup2(from, fd, false)
	case spawnOpen:
		p, errno := name()
		if errno != abi.OK {
			return errno
		}
		return spawnOpenAt(s, fd, p, op)
	case spawnChdir:
		p, errno := name()
		if errno != abi.OK {
			return errno
		}
		return s.cwd.Chdir(p)
	case spawnFchdir:
		f, errno := s.files.Get(fd, 0)
		if errno != abi.OK {
			return errno
		}
		defer f.DecRef()
		return s.cwd.Fchdir(f)
	}
	return abi.EINVAL
}

// spawnOpenAt opens a file at a descriptor of the child's.
func spawnOpenAt(s *spawning, fd vfs.FD, name string, op []byte) abi.Errno {
	oflags, fdflags := abi.OFlags(le.Uint16(op[24:])), abi.FDFlags(le.Uint16(op[48:]))
	lookup, ext := abi.LookupFlags(le.Uint32(op[20:])), abi.FDFlagsExt(le.Uint16(op[50:]))
	if oflags&^abi.OFlagsAll != 0 || fdflags&^abi.FDFlagsAll != 0 || lookup&^abi.SymlinkFollow != 0 || ext&^abi.FDCloexec != 0 {
		return abi.EINVAL
	}
	base, inheriting := abi.Rights(le.Uint64(op[32:])), abi.Rights(le.Uint64(op[40:]))
	f, errno := s.cwd.OpenAt(nil, name, lookup, oflags, base.Has(abi.RightFDRead), base.Has(abi.RightFDWrite), fdflags)
	if errno != abi.OK {
		return errno
	}
	errno = s.put(f, fd, base, inheriting)
	if errno == abi.OK && ext != 0 {
		errno = s.files.SetCloexec(fd, true)
	}
	return errno
}

// dispositions reads the signals that a child ignores, or does not.
func (c *call) dispositions(s *spawning, i int) abi.Errno {
	n := c.u32(i + 1)
	if n > maxSignals {
		return abi.EINVAL
	}
	array, errno := c.out(i, uint64(n)*2)
	if errno != abi.OK {
		return errno
	}
	for ; len(array) > 0; array = array[2:] {
		switch array[1] {
		case 0:
			s.defaults = append(s.defaults, int32(array[0]))
		case 1:
			s.ignored = append(s.ignored, int32(array[0]))
		default:
			return abi.EINVAL
		}
	}
	return abi.OK
}

// maxSignals is the highest signal.
const maxSignals = 64
