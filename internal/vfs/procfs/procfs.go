// Package procfs is /proc, in the formats of proc(5): what programs read of it.
// What it tells comes from a Source, which the kernel is; contents are made when
// a file is opened.
//
// There is self for whoever looks, and for each process stat, statm, status,
// comm, cmdline, environ, limits, maps, mounts, cwd, exe, root, fd and task. The
// links in fd lead to a file's path, or to what is open if that has none; task has
// a directory for each thread, with stat, status and comm.
package procfs

import (
	"strconv"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/pseudofs"
)

// Type is what FileSystem.Type returns.
const Type = "procfs"

// A Source knows the processes. It is called without locks of the vfs, by tasks
// that open files here, and must not block.
type Source interface {
	// Pids lists all processes, zombies too, rising.
	Pids() []uint32

	// Process tells what is known of one; false if there is none.
	Process(pid uint32) (Process, bool)

	// Tasks lists the threads of a process, its first one too, rising; none if there is
	// no such process.
	Tasks(pid uint32) []uint32

	// Task tells what is known of one; false if the process has none of this number.
	Task(pid, tid uint32) (Task, bool)

	// Files returns a process's fd table, or nil if it has none any more.
	Files(pid uint32) *vfs.FDTable

	// System tells what is known of the whole.
	System() System
}

// Process is what is told of a process. Times are in ns.
type Process struct {
	PID, PPID, PGID, SID uint32
	TID                  uint32 // of the thread that is shown, 0 is the first

	TTY        uint32 // device number of the controlling terminal, 0 is none
	Foreground int32  // process group of that terminal, -1 is none
	Name       string // of the program, what ps shows; cut to 15 bytes
	State      byte   // R, S, D, T, Z
	Args, Env  []string
	Exe        string // path of the program; empty is not known
	CWD        string // path of the working directory; empty is not known
	Threads    int

	UserTime, SystemTime                 int64 // of its own
	ChildrenUserTime, ChildrenSystemTime int64 // of children that were waited for
	Start                                int64 // since boot

	Size, Resident, Peak uint64 // bytes of memory; peak of the resident

	// Signals: bit N-1 is signal N.
	Pending, GroupPending, Blocked, Ignored, Caught uint64

	Maps []Map // rising

	Limits [NLimits]Limit // by Linux's numbers of resources
}

// A Task is what is told of a thread, beside what it has of its process.
type Task struct {
	TID              uint32
	State            byte  // as a Process's
	UserTime         int64 // ns
	Pending, Blocked uint64
}

// of is a process as the files of one of its threads show it.
func (t *Task) of(p Process) Process {
	p.TID, p.State, p.UserTime, p.SystemTime = t.TID, t.State, t.UserTime, 0
	p.Pending, p.Blocked = t.Pending, t.Blocked
	return p
}

// A Limit is one of setrlimit(2); Unlimited is none.
type Limit struct{ Soft, Hard uint64 }

// Unlimited is RLIM_INFINITY, and NLimits how many resources there are.
const (
	Unlimited = ^uint64(0)
	NLimits   = 16
)

// Map is a piece of a process's memory.
type Map struct {
	Start, End uint64
	Perm       string // "rw-p"
	Offset     uint64
	Name       string // "[heap]", a path, or empty
}

// System is what is told of the whole. Times are in ns.
type System struct {
	Boot   int64 // wall time, since 1970
	Uptime int64
	Idle   int64 // of all CPUs together

	UserTime, SystemTime int64 // of all tasks
	CPUs                 int
	CPUModel             string
	Load                 [3]float64 // over 1, 5 and 15 minutes
	Running, Tasks       int
	LastPID              uint32
	Forks                uint64 // processes and threads made since boot
	Switches             uint64 // from task to task

	MemTotal, MemFree, MemAvailable, Cached uint64 // bytes

	Version string // the line of /proc/version
}

// Options set up the tree.
type Options struct {
	Time   int64  // of all that is in it, ns since 1970
	Dev    uint64 // device number that stat tells
	Source Source // needed
	Mounts func() []vfs.Mount
}

// Inode numbers: of what is static, and a process's, from its pid on.
const (
	inoRoot  = 1
	inoFirst = 2
	pidShift = 24 // below are a process's own files, its fds, and those of the thread of its number
	fdFirst  = 64
	taskSelf = 1 << 23 // above the fds
)

// New returns the tree.
func New(o Options) *pseudofs.FS {
	return pseudofs.New(Type, o.Dev, o.Time, &pseudofs.Node{Ino: inoRoot, Type: abi.FiletypeDirectory, Dir: &root{o, systemFiles(o)}})
}

// root is /proc.
type root struct {
	opts   Options
	static pseudofs.Static
}

// file returns the node of a file whose content is made by data.
func file(ino uint64, data func() ([]byte, abi.Errno)) *pseudofs.Node {
	return &pseudofs.Node{Ino: ino, Type: abi.FiletypeRegularFile, Data: data}
}

// link returns the node of a symbolic link.
func link(ino uint64, to string) *pseudofs.Node {
	return &pseudofs.Node{Ino: ino, Type: abi.FiletypeSymbolicLink, Link: func() (string, abi.Errno) {
		if to == "" {
			return "", abi.ENOENT
		}
		return to, abi.OK
	}}
}

// systemFiles are the files that are about the whole.
func systemFiles(o Options) (s pseudofs.Static) {
	for i, f := range []struct {
		name   string
		format func(*System) []byte
	}{
		{"cpuinfo", cpuinfo}, {"loadavg", loadavg}, {"meminfo", meminfo}, {"stat", stat}, {"uptime", uptime}, {"version", version},
	} {
		s = append(s, pseudofs.Named{Name: f.name, Node: file(inoFirst+uint64(i), func() ([]byte, abi.Errno) {
			sys := o.Source.System()
			return f.format(&sys), abi.OK
		})})
	}
	return append(s, pseudofs.Named{Name: "mounts", Node: link(inoFirst+uint64(len(s)), "self/mounts")})
}

// Lookup is pseudofs.Dir's.
func (r *root) Lookup(caller uint32, name string) (*pseudofs.Node, abi.Errno) {
	if name == "self" && caller != 0 {
		return r.self(caller), abi.OK
	}
	pid, err := strconv.ParseUint(name, 10, 32)
	if err != nil || pid == 0 || strconv.FormatUint(pid, 10) != name {
		return r.static.Lookup(caller, name)
	}
	if _, ok := r.opts.Source.Process(uint32(pid)); !ok {
		return nil, abi.ENOENT
	}
	return &pseudofs.Node{Ino: pid << pidShift, Type: abi.FiletypeDirectory, Dir: process{r.opts, uint32(pid)}}, abi.OK
}

// self is the link of who looks.
func (r *root) self(caller uint32) *pseudofs.Node {
	return link(inoFirst+uint64(len(r.static)), strconv.FormatUint(uint64(caller), 10))
}

// List is pseudofs.Dir's.
func (r *root) List(caller uint32) []pseudofs.Entry {
	out := r.static.List(caller)
	if caller != 0 {
		n := r.self(caller)
		out = append(out, pseudofs.Entry{Name: "self", Key: uint64(len(out)), Ino: n.Ino, Type: n.Type})
	}
	for _, pid := range r.opts.Source.Pids() {
		out = append(out, pseudofs.Entry{Name: strconv.FormatUint(uint64(pid), 10), Key: 1<<32 + uint64(pid),
			Ino: uint64(pid) << pidShift, Type: abi.FiletypeDirectory})
	}
	return out
}
