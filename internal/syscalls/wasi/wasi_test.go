package wasi

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/kernel"
)

// All 46 calls of preview 1 are there, 45 of them in wasi_unstable, and all 91 of
// WASIX and four newer ones, by either's module name.
func TestTable(t *testing.T) {
	n := make(map[string]int)
	for _, c := range Calls(Options{}) {
		n[c.Module]++
	}
	if n[Module] != 46+91+4 || n[ModuleWASIX] != 46+91+4 || n[ModuleUnstable] != 45 {
		t.Errorf("calls: %v", n)
	}
}

func TestArgs(t *testing.T) {
	run(t, func(g *guest) {
		g.want(abi.OK, "args_sizes_get", 0, 4)
		if argc, n := g.u32(0), g.u32(4); argc != 3 || n != 9 {
			t.Errorf("args_sizes_get: %d, %d", argc, n)
		}
		g.want(abi.OK, "args_get", 16, 100)
		if got := string(g.mem[100:109]); got != "prog\x00\x00-x\x00" || g.u32(16) != 100 || g.u32(20) != 105 || g.u32(24) != 106 {
			t.Errorf("args_get: %q %v", got, g.mem[16:28])
		}
		g.want(abi.OK, "environ_sizes_get", 0, 4)
		g.want(abi.OK, "environ_get", 16, 100)
		if got := string(g.mem[100 : 100+g.u32(4)]); got != "A=1\x00LONG=täxt\x00" {
			t.Errorf("environ_get: %q", got)
		}
		g.want(abi.EFAULT, "args_get", 16, len(g.mem)-8)
		g.want(abi.EFAULT, "args_get", len(g.mem)-8, 16)
	})
}

func TestExit(t *testing.T) {
	st := run(t, func(g *guest) {
		g.sys("proc_exit", 42)
		t.Error("proc_exit has returned")
	})
	if st.Code != 42 || st.Signal != 0 {
		t.Errorf("status %+v", st)
	}
}

func TestRaise(t *testing.T) {
	st := run(t, func(g *guest) {
		g.want(abi.EINVAL, "proc_raise", 31)
		g.want(abi.OK, "proc_raise", int(abi.SIGCHLD)) // is ignored
		g.sys("proc_raise", int(abi.SIGSYS))
	})
	if st.Signal != kernelSIGSYS {
		t.Errorf("status %+v, want signal %d", st, kernelSIGSYS)
	}
}

const kernelSIGSYS = 31 // Linux's

func TestRandomAndClocks(t *testing.T) {
	w := newWorld(t, func(g *guest) {
		g.want(abi.OK, "random_get", 0, 32)
		if strings.Count(string(g.mem[:32]), "\x00") > 16 {
			t.Error("random_get wrote mostly zeros")
		}
		g.want(abi.EFAULT, "random_get", len(g.mem), 1)
		for id := range 4 {
			g.want(abi.OK, "clock_time_get", id, 0, 0)
			g.want(abi.OK, "clock_res_get", id, 8)
			if g.u64(8) == 0 {
				t.Errorf("clock %d has resolution 0", id)
			}
		}
		g.want(abi.OK, "clock_time_get", 0, 0, 0)
		if g.u64(0) < 1e18 {
			t.Errorf("wall clock is %d", g.u64(0))
		}
		g.want(abi.EINVAL, "clock_time_get", 4, 0, 0)
		g.want(abi.EINVAL, "clock_res_get", 4, 0)
		g.want(abi.OK, "sched_yield")
	})
	w.start(t)
	w.wait(t)
}

// path_open's arguments, with all rights that the directory gives.
func (g *guest) open(path string, oflags, fdflags int) (uint32, abi.Errno) {
	n := g.put(4000, path)
	errno := g.sys("path_open", 3, 1, 4000, n, oflags, abi.RightsAll, abi.RightsAll, fdflags, 3996)
	return g.u32(3996), errno
}

func TestFile(t *testing.T) {
	run(t, func(g *guest) {
		fd, errno := g.open("f", int(abi.OCreat), 0)
		if errno != abi.OK || fd != 4 {
			t.Fatalf("open: fd %d, %v", fd, errno)
		}
		g.put(100, "hello world")
		g.iov(0, 100, 6)
		g.iov(8, 106, 5)
		g.want(abi.OK, "fd_write", fd, 0, 2, 16)
		if g.u32(16) != 11 {
			t.Errorf("wrote %d", g.u32(16))
		}
		g.want(abi.OK, "fd_tell", fd, 16)
		if g.u64(16) != 11 {
			t.Errorf("offset %d", g.u64(16))
		}
		minus5, minus11, minus3 := -5, -11, -3
		g.want(abi.OK, "fd_seek", fd, minus5, int(abi.SeekEnd), 16)
		g.iov(0, 200, 3)
		g.iov(8, 300, 10)
		g.want(abi.OK, "fd_read", fd, 0, 2, 16)
		if n := g.u32(16); n != 5 || string(g.mem[200:203]) != "wor" || string(g.mem[300:302]) != "ld" {
			t.Errorf("read %d: %q %q", n, g.mem[200:203], g.mem[300:302])
		}
		g.want(abi.OK, "unstable.fd_seek", fd, minus11, 0, 16) // 0 is cur
		if g.u64(16) != 0 {
			t.Errorf("offset %d", g.u64(16))
		}
		g.want(abi.EINVAL, "fd_seek", fd, minus3, int(abi.SeekCur), 16)
		g.want(abi.EINVAL, "fd_seek", fd, 0, 3, 16)
		g.want(abi.OK, "fd_pread", fd, 8, 1, 6, 16)
		if string(g.mem[300:305]) != "world" {
			t.Errorf("pread %q", g.mem[300:305])
		}
		g.want(abi.OK, "fd_filestat_get", fd, 400)
		if g.u64(400+32) != 11 || g.mem[416] != byte(abi.FiletypeRegularFile) {
			t.Errorf("filestat %x", g.mem[400:464])
		}
		g.want(abi.OK, "unstable.fd_filestat_get", fd, 400)
		if g.u64(400+24) != 11 || g.u32(400+20) != 1 {
			t.Errorf("filestat of wasi_unstable %x", g.mem[400:456])
		}
		g.want(abi.OK, "fd_filestat_set_size", fd, 3)
		g.want(abi.OK, "fd_allocate", fd, 0, 20)
		g.want(abi.OK, "fd_advise", fd, 0, 0, 3)
		g.want(abi.EINVAL, "fd_advise", fd, 0, 0, 6)
		g.want(abi.OK, "fd_sync", fd)
		g.want(abi.OK, "fd_datasync", fd)
		g.want(abi.OK, "fd_filestat_set_times", fd, 5, 6, int(abi.FstAtim|abi.FstMtim))
		g.want(abi.EINVAL, "fd_filestat_set_times", fd, 5, 6, 1<<16)
		g.want(abi.OK, "fd_fdstat_set_flags", fd, int(abi.FDAppend))
		g.want(abi.EINVAL, "fd_fdstat_set_flags", fd, 1<<16)
		g.want(abi.OK, "fd_fdstat_get", fd, 400)
		if g.mem[402] != byte(abi.FDAppend) {
			t.Errorf("fdstat %x", g.mem[400:424])
		}
		g.want(abi.OK, "fd_fdstat_set_rights", fd, abi.RightFDRead, 0)
		g.want(abi.EBADF, "fd_write", fd, 0, 1, 16)
		g.want(abi.OK, "fd_renumber", fd, 1)
		g.want(abi.EBADF, "fd_close", fd)
		g.want(abi.OK, "fd_close", 1)
	})
}

// A wrong pointer loses no data.
func TestFault(t *testing.T) {
	w := newWorld(t, func(g *guest) {
		g.iov(0, 100, 4)
		g.want(abi.EFAULT, "fd_read", 0, 0, 1, len(g.mem)-3)
		g.iov(8, len(g.mem)-1, 2)
		g.want(abi.EFAULT, "fd_read", 0, 0, 2, 16)
		g.want(abi.EFAULT, "fd_read", 0, len(g.mem)-4, 1, 16)
		g.want(abi.EINVAL, "fd_read", 0, 0, maxIovs+1, 16)
		g.want(abi.OK, "fd_read", 0, 0, 1, 16)
		if string(g.mem[100:104]) != "text" {
			t.Errorf("read %q", g.mem[100:104])
		}
	})
	w.stdin.give("text", true)
	w.start(t)
	w.wait(t)
}

func TestPaths(t *testing.T) {
	run(t, func(g *guest) {
		str := func(ptr int, s string) (int, int) { return ptr, g.put(ptr, s) }
		p, n := str(0, "d")
		g.want(abi.OK, "path_create_directory", 3, p, n)
		g.want(abi.EEXIST, "path_create_directory", 3, p, n)
		q, m := str(100, "d/f")
		if fd, errno := g.open("d/f", int(abi.OCreat|abi.OExcl), 0); errno != abi.OK {
			t.Errorf("open: %v", errno)
		} else {
			g.want(abi.OK, "fd_close", fd)
		}
		r, l := str(200, "d/link")
		g.want(abi.OK, "path_symlink", q+2, 1, 3, r, l) // "f"
		g.want(abi.OK, "path_readlink", 3, r, l, 300, 10, 320)
		if g.u32(320) != 1 || g.mem[300] != 'f' {
			t.Errorf("readlink %q", g.mem[300:301])
		}
		g.want(abi.OK, "path_filestat_get", 3, 0, r, l, 400)
		if g.mem[416] != byte(abi.FiletypeSymbolicLink) {
			t.Errorf("filestat %x", g.mem[400:464])
		}
		g.want(abi.OK, "path_filestat_get", 3, 1, r, l, 400)
		if g.mem[416] != byte(abi.FiletypeRegularFile) {
			t.Errorf("filestat %x", g.mem[400:464])
		}
		g.want(abi.OK, "path_filestat_set_times", 3, 0, q, m, 7, 8, int(abi.FstMtim))
		s, k := str(500, "g")
		g.want(abi.OK, "path_link", 3, 0, q, m, 3, s, k)
		u, j := str(600, "h")
		g.want(abi.OK, "path_rename", 3, s, k, 3, u, j)
		g.want(abi.ENOENT, "path_unlink_file", 3, s, k)
		g.want(abi.OK, "path_unlink_file", 3, u, j)
		g.want(abi.ENOTEMPTY, "path_remove_directory", 3, p, n)
		g.want(abi.OK, "path_unlink_file", 3, r, l)
		g.want(abi.OK, "path_unlink_file", 3, q, m)
		g.want(abi.OK, "path_remove_directory", 3, p, n)
		g.want(abi.ENOTDIR, "path_create_directory", 0, p, n)
		g.want(abi.EBADF, "path_create_directory", 77, p, n)
		if _, errno := g.open("../x", 0, 0); errno != abi.EPERM {
			t.Errorf("open ../x: %v", errno)
		}
		if _, errno := g.open(strings.Repeat("x", 5000), 0, 0); errno != abi.ENAMETOOLONG {
			t.Errorf("open of a long path: %v", errno)
		}
	})
}

func TestPrestat(t *testing.T) {
	run(t, func(g *guest) {
		g.want(abi.OK, "fd_prestat_get", 3, 0)
		if g.u64(0) != 1<<32 {
			t.Errorf("prestat %x", g.mem[:8])
		}
		g.want(abi.OK, "fd_prestat_dir_name", 3, 0, 1)
		if g.mem[0] != '/' {
			t.Errorf("name %q", g.mem[0])
		}
		g.want(abi.ENAMETOOLONG, "fd_prestat_dir_name", 3, 0, 0)
		g.want(abi.EBADF, "fd_prestat_get", 0, 0)
	})
}

// Listing with a buffer of any size gives the same entries.
func TestReaddir(t *testing.T) {
	run(t, func(g *guest) {
		want := []string{".", ".."}
		for _, name := range []string{"a", "bb", "a-long-name"} {
			fd, _ := g.open(name, int(abi.OCreat), 0)
			g.want(abi.OK, "fd_close", fd)
			want = append(want, name)
		}
		for _, size := range []int{abi.DirentSize + 11, 50, 70, 500} {
			if got := g.list(size); strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("buffer of %d: %q, want %q", size, got, want)
			}
		}
		g.want(abi.ENOTDIR, "fd_readdir", 0, 0, 100, 0, 200)
	})
}

// list lists the root as wasi-libc does, with a buffer of size bytes.
func (g *guest) list(size int) (names []string) {
	var cookie uint64
	for {
		g.want(abi.OK, "fd_readdir", 3, 1000, size, cookie, 0)
		used := int(g.u32(0))
		for at := 1000; at+abi.DirentSize <= 1000+used; {
			n := int(g.u32(at + 16))
			if at+abi.DirentSize+n > 1000+used {
				break
			}
			cookie = g.u64(at)
			names = append(names, string(g.mem[at+abi.DirentSize:at+abi.DirentSize+n]))
			at += abi.DirentSize + n
		}
		if used < size {
			return names
		}
	}
}

// stopAndGo stops the blocked task, waits until it stands, and lets it go on.
func (w *world) stopAndGo(t *testing.T, meanwhile time.Duration) {
	t.Helper()
	w.blocked()
	stop := w.k.Tasks().BeginExternalStop()
	defer stop.End()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := stop.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(meanwhile)
	if th := w.k.Tasks().All()[0]; th.State() != kernel.Stopped {
		t.Errorf("state %v", th.State())
	}
}

// A blocked read is stopped at once, and goes on afterwards.
func TestReadBlocks(t *testing.T) {
	w := newWorld(t, func(g *guest) {
		g.iov(0, 100, 4)
		g.want(abi.OK, "fd_read", 0, 0, 1, 16)
		if n := g.u32(16); n != 2 || string(g.mem[100:102]) != "hi" {
			t.Errorf("read %d", n)
		}
		g.want(abi.OK, "fd_fdstat_set_flags", 0, int(abi.FDNonblock))
		g.want(abi.EAGAIN, "fd_read", 0, 0, 1, 16)
		g.want(abi.OK, "fd_write", 1, 0, 1, 16)
		if n := g.u32(16); n != 4 { // all, though there was room for three first
			t.Errorf("wrote %d", n)
		}
	})
	w.stdout.setRoom(0)
	w.start(t)
	w.stopAndGo(t, time.Hour)
	w.blocked()
	w.stdin.give("hi", false)
	w.blocked()
	w.stopAndGo(t, 0)
	w.stdout.setRoom(3)
	w.blocked()
	w.stopAndGo(t, 0) // what is written is not written again
	w.stdout.setRoom(3)
	w.wait(t)
	if got := w.stdout.written(); !strings.HasPrefix(got, "hi") {
		t.Errorf("written %q", got)
	}
}
