package procfs_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/devfs"
	"github.com/stasis-run/stasis/internal/vfs/eventfd"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
	"github.com/stasis-run/stasis/internal/vfs/pipefs"
	"github.com/stasis-run/stasis/internal/vfs/procfs"
	"github.com/stasis-run/stasis/internal/vfs/pseudofs"
	"github.com/stasis-run/stasis/internal/vfs/vfstest"
)

func now() int64 { return 1_700_000_000e9 }

// source is a made-up kernel.
type source struct {
	processes map[uint32]procfs.Process
	files     map[uint32]*vfs.FDTable
}

func (s *source) Pids() (out []uint32) {
	for pid := range s.processes {
		out = append(out, pid)
	}
	slices.Sort(out)
	return out
}

func (s *source) Process(pid uint32) (procfs.Process, bool) {
	p, ok := s.processes[pid]
	return p, ok
}

// Each process has the threads that it says it has; only the second does something.
func (s *source) Tasks(pid uint32) (out []uint32) {
	p, ok := s.processes[pid]
	if !ok {
		return nil
	}
	for i := range max(p.Threads, 1) {
		out = append(out, pid+uint32(i)*100)
	}
	return out
}

func (s *source) Task(pid, tid uint32) (procfs.Task, bool) {
	if !slices.Contains(s.Tasks(pid), tid) {
		return procfs.Task{}, false
	}
	if tid == pid+100 {
		return procfs.Task{TID: tid, State: 'R', UserTime: 70_000_000, Pending: 0x10, Blocked: 0x20}, true
	}
	return procfs.Task{TID: tid, State: 'S'}, true
}

func (s *source) Files(pid uint32) *vfs.FDTable { return s.files[pid] }

func (s *source) System() procfs.System {
	return procfs.System{
		Boot: now(), Uptime: 12_340_000_000, Idle: 5_600_000_000, UserTime: 2e9, SystemTime: 1e9, CPUs: 2, CPUModel: "WebAssembly",
		Load: [3]float64{0.5, 0.25, 1}, Running: 1, Tasks: 3, LastPID: 9, Forks: 4, Switches: 77,
		MemTotal: 1 << 30, MemFree: 1 << 29, MemAvailable: 1 << 29, Version: "Linux version 0 (stasis)",
	}
}

type world struct {
	t      *testing.T
	source *source
	proc   *pseudofs.FS
	ns     *vfs.Namespace
	ctx    *vfs.FSContext
	table  *vfs.FDTable
}

// newWorld is a system with three processes; 7 looks.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, table: vfs.NewFDTable(32), source: &source{processes: map[uint32]procfs.Process{
		1: {PID: 1, Name: "init", State: 'S', Args: []string{"/sbin/init"}, Threads: 1, Foreground: -1, CWD: "/"},
		7: {PID: 7, PPID: 1, PGID: 7, SID: 1, TTY: 34816, Foreground: 7, Name: "a rather) long name", State: 'R',
			Args: []string{"prog", "-x", "a b"}, Env: []string{"A=1", "B="}, Exe: "/bin/prog", CWD: "/dir", Threads: 3,
			UserTime: 1_230_000_000, SystemTime: 40_000_000, ChildrenUserTime: 1e9, Start: 5e9,
			Size: 10 << 20, Resident: 5 << 20, Peak: 6 << 20, Pending: 1 << 1, GroupPending: 2, Blocked: 1 << 16, Ignored: 4, Caught: 8,
			Limits: [procfs.NLimits]procfs.Limit{1: {Soft: 4096, Hard: procfs.Unlimited}, 7: {Soft: 1024, Hard: 1 << 20}},
			Maps:   []procfs.Map{{Start: 0, End: 0x10000, Perm: "rw-p", Name: "[data]"}, {Start: 0x10000, End: 0xa0000, Perm: "rw-p"}}},
		8: {PID: 8, PPID: 7, Name: "gone", State: 'Z', Args: []string{"gone"}, Exe: "/bin/gone", Foreground: -1},
	}}}
	w.source.files = map[uint32]*vfs.FDTable{1: vfs.NewFDTable(4), 7: w.table}
	w.proc = w.newProc()
	w.ns = vfs.NewNamespace(now)
	err := w.ns.MountAll([]vfs.Mount{
		{Guest: "/", FS: memfs.New(memfs.Options{Now: now})}, {Guest: "/proc", FS: w.proc, ReadOnly: false},
		{Guest: "/a b", FS: memfs.New(memfs.Options{Now: now}), ReadOnly: true},
		{Guest: "/dev", FS: devfs.New(devfs.Options{Random: func([]byte) {}})},
	})
	if err != nil {
		t.Fatal(err)
	}
	if w.ctx, err = vfs.NewFSContext(w.ns, "/"); err != nil {
		t.Fatal(err)
	}
	w.ctx.SetCaller(7)
	w.ctx.MkdirAt(nil, "/dir")
	t.Cleanup(func() { w.ctx.Close(); w.table.CloseAll() })
	return w
}

func (w *world) newProc() *pseudofs.FS {
	return procfs.New(procfs.Options{Time: now(), Source: w.source, Mounts: func() []vfs.Mount { return w.ns.Mounts() }})
}

// read returns a whole file.
func (w *world) read(p string) string {
	w.t.Helper()
	f, errno := w.ctx.OpenAt(nil, p, abi.SymlinkFollow, 0, true, false, 0)
	if errno != abi.OK {
		w.t.Fatalf("open %s: %v", p, errno)
	}
	defer f.DecRef()
	b := make([]byte, 1<<16)
	n, errno := f.Read([][]byte{b})
	if errno != abi.OK {
		w.t.Fatalf("read %s: %v", p, errno)
	}
	return string(b[:n])
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestTree(t *testing.T) {
	w := newWorld(t)
	w.table.InstallAll(eventfd.New(0, false, 0))
	root, err := w.ns.OpenRoot("/")
	if err != nil {
		t.Fatal(err)
	}
	w.table.InstallAll(root)
	vfstest.TestTree(t, vfstest.Tree{
		FS: w.proc, Again: func() vfs.FileSystem { return w.newProc() }, Caller: 7,
	})
}

func TestContents(t *testing.T) {
	w := newWorld(t)
	for p, text := range map[string]string{
		"/proc/self/cmdline": "prog\x00-x\x00a b\x00",
		"/proc/self/environ": "A=1\x00B=\x00",
		"/proc/self/comm":    "a rather) long \n",
		"/proc/7/stat": "7 (a rather) long ) R 1 7 1 34816 7 0 0 0 0 0 123 4 100 0 20 0 3 0 500 10485760 80 18446744073709551615 " +
			"0 0 0 0 0 2 65536 4 8 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
		"/proc/7/statm": "160 80 0 0 0 160 0\n",
		"/proc/7/maps": "00000000-00010000 rw-p 00000000 00:00 0                                  [data]\n" +
			"00010000-000a0000 rw-p 00000000 00:00 0\n",
		"/proc/uptime":  "12.34 5.60\n",
		"/proc/loadavg": "0.50 0.25 1.00 1/3 9\n",
		"/proc/version": "Linux version 0 (stasis)\n",
		"/proc/mounts":  "memfs / memfs rw 0 0\nmemfs /a\\040b memfs ro 0 0\ndevfs /dev devfs rw 0 0\nprocfs /proc procfs rw 0 0\n",
		"/proc/stat": "cpu  200 0 100 560 0 0 0 0 0 0\ncpu0 100 0 50 280 0 0 0 0 0 0\ncpu1 100 0 50 280 0 0 0 0 0 0\n" +
			"intr 0\nctxt 77\nbtime 1700000000\nprocesses 4\nprocs_running 1\nprocs_blocked 0\n",
		"/proc/8/cmdline": "",
		"/proc/8/limits":  "",
		"/proc/7/task/107/stat": "107 (a rather) long ) R 1 7 1 34816 7 0 0 0 0 0 7 0 100 0 20 0 3 0 500 10485760 80 18446744073709551615 " +
			"0 0 0 0 0 16 32 4 8 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
		"/proc/7/task/207/comm": "a rather) long \n",
		"/proc/8/maps":          "",
	} {
		if got := w.read(p); got != text {
			t.Errorf("%s:\n%q, want\n%q", p, got, text)
		}
	}
	for p, lines := range map[string][]string{
		"/proc/self/status": {"Name:\ta rather) long \n", "State:\tR (running)\n", "Pid:\t7\n", "PPid:\t1\n", "VmRSS:\t    5120 kB\n",
			"Threads:\t3\n", "SigPnd:\t0000000000000002\n", "SigBlk:\t0000000000010000\n"},
		"/proc/7/task/107/status": {"Name:\ta rather) long \n", "State:\tR (running)\n", "Tgid:\t7\n", "Pid:\t107\n", "PPid:\t1\n",
			"Threads:\t3\n", "SigPnd:\t0000000000000010\n", "ShdPnd:\t0000000000000002\n", "SigBlk:\t0000000000000020\n"},
		"/proc/7/task/7/status": {"State:\tS (sleeping)\n", "Tgid:\t7\n", "Pid:\t7\n"},
		"/proc/8/task/8/status": {"Pid:\t8\n"},
		"/proc/self/limits": {"Limit                     Soft Limit           Hard Limit           Units     \n",
			"Max file size             4096                 unlimited            bytes     \n",
			"Max open files            1024                 1048576              files     \n",
			"Max nice priority         0                    0                    \n"},
		"/proc/8/status": {"State:\tZ (zombie)\n"},
		"/proc/meminfo":  {"MemTotal:        1048576 kB\n", "SwapFree:              0 kB\n"},
		"/proc/cpuinfo":  {"processor\t: 0\n", "processor\t: 1\n", "model name\t: WebAssembly\n"},
	} {
		got := w.read(p)
		for _, l := range lines {
			if !strings.Contains(got, l) {
				t.Errorf("%s lacks %q:\n%s", p, l, got)
			}
		}
	}
	for p, to := range map[string]string{"/proc/self": "7", "/proc/self/exe": "/bin/prog", "/proc/self/cwd": "/dir", "/proc/1/root": "/"} {
		got, errno := w.ctx.ReadlinkAt(nil, p)
		want(t, p, got, to)
		want(t, p, errno, abi.OK)
	}
	for _, p := range []string{"/proc/8/exe", "/proc/1/exe"} {
		_, errno := w.ctx.ReadlinkAt(nil, p)
		want(t, p, errno, abi.ENOENT)
	}
	for _, p := range []string{"/proc/9", "/proc/07", "/proc/0", "/proc/-1", "/proc/4294967303", "/proc/7/fd/00", "/proc/7/fd/3", "/proc/8/fd/0",
		"/proc/7/task/1", "/proc/7/task/0107", "/proc/7/task/307", "/proc/7/task/x", "/proc/7/task/107/fd", "/proc/1/task/7"} {
		_, errno := w.ctx.StatAt(nil, p, 0)
		want(t, p, errno, abi.ENOENT)
	}
}

// Our files have what those of the host have, as far as we have it.
func TestLikeHost(t *testing.T) {
	w := newWorld(t)
	host := func(p string) string {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Skip(err)
		}
		return string(b)
	}
	ours, theirs := w.read("/proc/7/stat"), host("/proc/self/stat")
	fields := func(s string) int { return len(strings.Fields(s[strings.LastIndex(s, ")"):])) }
	want(t, "fields of stat", fields(ours), fields(theirs))
	ours, theirs = w.read("/proc/self/maps"), host("/proc/self/maps")
	column := func(s string) int {
		return strings.Index(strings.SplitAfter(s[:strings.Index(s, "[")+1], "\n")[strings.Count(s[:strings.Index(s, "[")], "\n")], "[")
	}
	want(t, "column of names in maps", column(ours), column(theirs))
	name := regexp.MustCompile(`(?m)^(.{25}) .{20} .{20} (.*)$`) // and units; the numbers are the host's own
	ours, theirs = w.read("/proc/7/limits"), host("/proc/self/limits")
	want(t, "limits", name.ReplaceAllString(ours, "$1|$2"), name.ReplaceAllString(theirs, "$1|$2"))
	for _, f := range []string{"self/status", "meminfo"} {
		key := regexp.MustCompile(`(?m)^[^:]+:`)
		known := key.FindAllString(host("/proc/"+f), -1)
		for _, k := range key.FindAllString(w.read("/proc/"+f), -1) {
			if !slices.Contains(known, k) && !strings.HasPrefix(k, "NS") {
				t.Errorf("%s: the host has no %s", f, k)
			}
		}
	}
}

// The links of fds lead to what is open, also without a path; /dev goes through
// them.
func TestFDs(t *testing.T) {
	w := newWorld(t)
	file, errno := w.ctx.OpenAt(nil, "/dir/file", 0, abi.OCreat, true, true, 0)
	want(t, "open", errno, abi.OK)
	file.Write([][]byte{[]byte("content")})
	gone, _ := w.ctx.OpenAt(nil, "/gone", 0, abi.OCreat, true, true, 0)
	gone.Write([][]byte{[]byte("no name")})
	w.ctx.UnlinkAt(nil, "/gone")
	dir, _ := w.ctx.OpenAt(nil, "/dir", 0, abi.ODirectory, true, false, 0)
	w.ctx.RenameAt(nil, "/dir", nil, "/moved")
	r, wr, _ := pipefs.NewSystem(now, nil).New()
	ev := eventfd.New(0, false, 0)
	for _, f := range []*vfs.OpenFile{r, wr, ev, file, gone, dir} {
		w.table.InstallAll(f)
	}
	for fd, to := range []string{"pipe:[1]", "pipe:[1]", "anon_inode:[eventfd]", "/dir/file", "/gone (deleted)", "/moved"} {
		got, errno := w.ctx.ReadlinkAt(nil, "/proc/self/fd/"+string(rune('0'+fd)))
		want(t, "readlink", errno, abi.OK)
		want(t, "readlink", got, to)
	}
	open := func(p string, read, write bool) (*vfs.OpenFile, abi.Errno) {
		return w.ctx.OpenAt(nil, p, abi.SymlinkFollow, 0, read, write, 0)
	}
	in, errno := open("/dev/stdin", true, false)
	want(t, "open stdin", errno, abi.OK)
	out, errno := open("/dev/fd/1", false, true)
	want(t, "open stdout", errno, abi.OK)
	out.Write([][]byte{[]byte("piped")})
	b := make([]byte, 9)
	n, _ := in.Read([][]byte{b})
	want(t, "through it", string(b[:n]), "piped")
	in.DecRef()
	out.DecRef()
	_, errno = open("/dev/stdin", false, true)
	want(t, "write to stdin", errno, abi.EACCES)
	_, errno = w.ctx.OpenAt(nil, "/dev/fd/0", abi.SymlinkFollow, abi.ODirectory, true, false, 0)
	want(t, "as a directory", errno, abi.ENOTDIR)
	st, errno := w.ctx.StatAt(nil, "/dev/stdin", abi.SymlinkFollow)
	pipe, _ := r.Stat()
	want(t, "stat", st.Ino, pipe.Ino)
	want(t, "stat", errno, abi.OK)
	st, _ = w.ctx.StatAt(nil, "/proc/self/fd/0", 0)
	want(t, "lstat", st.Filetype, abi.FiletypeSymbolicLink)
	f, errno := open("/proc/self/fd/4", true, false)
	want(t, "without a name", errno, abi.OK)
	f.Lseek(0, abi.SeekSet)
	n, _ = f.Read([][]byte{b})
	want(t, "without a name", string(b[:n]), "no name")
	f.DecRef()
	f, errno = open("/proc/self/fd/5/file", true, false)
	want(t, "below a directory", errno, abi.OK)
	n, _ = f.Read([][]byte{b})
	want(t, "opened anew", string(b[:n]), "content")
	f.DecRef()
	want(t, "link", w.ctx.LinkAt(nil, "/proc/self/fd/4", abi.SymlinkFollow, nil, "/back"), abi.EXDEV)
	w.ctx.SetCaller(1)
	_, errno = open("/dev/stdin", true, false)
	want(t, "of another process", errno, abi.ENOENT)
	_, errno = w.ns.StatAt(dir, "../proc", 0)
	want(t, "confined", errno, abi.EPERM)
}

// A directory of a process stays a handle when the process goes.
func TestGone(t *testing.T) {
	w := newWorld(t)
	dir, errno := w.ctx.OpenAt(nil, "/proc/7", 0, abi.ODirectory, true, false, 0)
	want(t, "open", errno, abi.OK)
	defer dir.DecRef()
	f, _ := w.ctx.OpenAt(nil, "/proc/7/comm", 0, 0, true, false, 0)
	defer f.DecRef()
	delete(w.source.processes, 7)
	_, errno = w.ctx.OpenAt(dir, "comm", 0, 0, true, false, 0)
	want(t, "open", errno, abi.ENOENT)
	n := 0
	want(t, "list", dir.ReadDir(0, func(vfs.Dirent) bool { n++; return true }), abi.OK)
	want(t, "entries", n, 0)
	b := make([]byte, 99)
	n, errno = f.Read([][]byte{b})
	want(t, "what was open", string(b[:n]), "a rather) long \n")
	want(t, "what was open", errno, abi.OK)
}

// The files of a thread go with it.
func TestThreadGone(t *testing.T) {
	w := newWorld(t)
	dir, errno := w.ctx.OpenAt(nil, "/proc/7/task", 0, abi.ODirectory, true, false, 0)
	want(t, "open", errno, abi.OK)
	defer dir.DecRef()
	names := func() (out []string) {
		dir.ReadDir(0, func(d vfs.Dirent) bool {
			if d.Name != "." && d.Name != ".." {
				out = append(out, string(d.Name))
			}
			return true
		})
		return out
	}
	want(t, "threads", strings.Join(names(), " "), "7 107 207")
	p := w.source.processes[7]
	p.Threads = 2
	w.source.processes[7] = p
	want(t, "threads", strings.Join(names(), " "), "7 107")
	_, errno = w.ctx.OpenAt(dir, "207/stat", 0, 0, true, false, 0)
	want(t, "open", errno, abi.ENOENT)
}
