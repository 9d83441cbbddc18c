package wasi

import (
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
)

// statOf is path_filestat_get below fd.
func (g *guest) statOf(fd int, path string) abi.Errno {
	n := g.put(4000, path)
	return g.sys("path_filestat_get", fd, 1, 4000, n, 5000)
}

// Programs for WASIX get POSIX's paths: their library gives the root's descriptor and
// an absolute path, or a path above a directory.
func TestPathsOfPOSIX(t *testing.T) {
	w := newPOSIXWorld(t, func(g *guest) {
		n := g.put(4000, "/dir")
		g.want(abi.OK, "path_create_directory", rootFD, 4000, n)
		if fd, errno := g.open("/dir/f", int(abi.OCreat), 0); errno != abi.OK || fd != 4 {
			t.Errorf("open: fd %d, %v", fd, errno)
		}
		for path, want := range map[string]abi.Errno{"/": abi.OK, "/dir/f": abi.OK, "/none": abi.ENOENT, "../dir": abi.OK, "": abi.ENOENT} {
			if errno := g.statOf(rootFD, path); errno != want {
				t.Errorf("stat %q: %v, want %v", path, errno, want)
			}
		}
		n = g.put(4000, "/dir")
		at := g.put(4100, "/link")
		g.want(abi.OK, "path_symlink", 4000, n, rootFD, 4100, at)
		if errno := g.statOf(rootFD, "/link/f"); errno != abi.OK {
			t.Errorf("stat through an absolute link: %v", errno)
		}
	})
	w.start(t)
	w.wait(t)
}

// A shell's script may close descriptor 3, or put a file there: the root stays
// where it is for paths, and for the library of a program that begins then.
func TestRootWithoutDescriptor(t *testing.T) {
	w := newPOSIXWorld(t, func(g *guest) {
		look := func(when string, filetype abi.Filetype) {
			t.Helper()
			if errno := g.statOf(rootFD, "/"); errno != abi.OK {
				t.Errorf("%s: stat: %v", when, errno)
			}
			if fd, errno := g.open("/f", int(abi.OCreat), 0); errno != abi.OK {
				t.Errorf("%s: open: %v", when, errno)
			} else {
				g.want(abi.OK, "fd_close", int(fd))
			}
			g.want(abi.OK, "fd_prestat_get", rootFD, 100)
			g.want(abi.OK, "fd_prestat_dir_name", rootFD, 200, 1)
			g.want(abi.EBADF, "fd_prestat_get", rootFD+1, 100)
			if g.mem[100] != 0 || g.u32(104) != 1 || g.mem[200] != '/' {
				t.Errorf("%s: prestat: tag %d, %d bytes, %q", when, g.mem[100], g.u32(104), g.mem[200])
			}
			g.want(abi.OK, "fd_fdstat_get", rootFD, 300)
			if got := abi.Filetype(g.mem[300]); got != filetype {
				t.Errorf("%s: file type %v, want %v", when, got, filetype)
			}
			if got := abi.Rights(g.u64(316)); !got.Has(abi.RightFDRead | abi.RightFDWrite) {
				t.Errorf("%s: rights that files get: %#x", when, got)
			}
		}
		look("at the start", abi.FiletypeDirectory)
		g.want(abi.OK, "fd_renumber", 1, rootFD)
		if errno := g.statOf(rootFD, "f"); errno != abi.ENOTDIR {
			t.Errorf("below a stream: %v", errno)
		}
		look("with a stream", abi.FiletypeSocketStream)
		g.want(abi.OK, "fd_close", rootFD)
		look("closed", abi.FiletypeDirectory)
		g.want(abi.EBADF, "fd_filestat_get", rootFD, 300)
	})
	w.start(t)
	w.wait(t)
}

// Plain programs of preview 1 stay below the directories that they were given.
func TestPathsOfPreview1(t *testing.T) {
	run(t, func(g *guest) {
		for _, path := range []string{"/", "/dir", "..", "../dir"} {
			if errno := g.statOf(rootFD, path); errno != abi.EPERM {
				t.Errorf("stat %q: %v, want EPERM", path, errno)
			}
		}
		g.want(abi.OK, "fd_close", rootFD)
		g.want(abi.EBADF, "fd_prestat_get", rootFD, 100)
		g.want(abi.EBADF, "fd_fdstat_get", rootFD, 300)
	})
}

// WASIX's library has defaults for signals only if it is told of one.
func TestSignalsTold(t *testing.T) {
	w := newPOSIXWorld(t, func(g *guest) {
		g.want(abi.OK, "proc_signals_sizes_get", 100)
		g.want(abi.OK, "proc_signals_get", 200)
		if n := g.u32(100); n != 1 || g.mem[200] != kernelSIGTERM || g.mem[201] != 0 {
			t.Errorf("%d signals: %v", n, g.mem[200:204])
		}
	})
	w.start(t)
	w.wait(t)
}

const kernelSIGTERM = 15 // Linux's

// A process that ends itself by a signal does not go on behind the call.
func TestKillOfOneself(t *testing.T) {
	for _, call := range []string{"proc_signal", "thread_signal", "proc_raise"} {
		w := newPOSIXWorld(t, func(g *guest) {
			switch call {
			case "proc_raise":
				g.sys(call, kernelSIGTERM)
			case "proc_signal":
				g.sys(call, 1, kernelSIGTERM)
			default:
				g.sys(call, mainThread, kernelSIGTERM)
			}
			t.Errorf("%s: it goes on", call)
		})
		w.start(t)
		if st := w.wait(t); st.Signal != kernelSIGTERM {
			t.Errorf("%s: status %+v", call, st)
		}
	}
}
