package vfs_test

import (
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
)

// newContext returns a context over two file systems: "/" and "/mnt/data".
func newContext(t *testing.T) (*vfs.Namespace, *vfs.FSContext) {
	t.Helper()
	ns := vfs.NewNamespace(now)
	for _, guest := range []string{"/", "/mnt/data"} {
		if err := ns.Mount(vfs.Mount{Guest: guest, FS: memfs.New(memfs.Options{Now: now})}); err != nil {
			t.Fatal(err)
		}
	}
	c, err := vfs.NewFSContext(ns, "/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	for _, d := range []string{"/a", "/a/b", "a/b/c", "/mnt/data/d", "mnt/data/d/e"} {
		want(t, "mkdir "+d, c.MkdirAt(nil, d), abi.OK)
	}
	return ns, c
}

func makeFile(t *testing.T, c *vfs.FSContext, p string) {
	t.Helper()
	f, errno := c.OpenAt(nil, p, 0, abi.OCreat|abi.OExcl, false, true, 0)
	want(t, "make "+p, errno, abi.OK)
	if errno == abi.OK {
		f.DecRef()
	}
}

// chdir changes to p and checks where that is.
func chdir(t *testing.T, c *vfs.FSContext, p, at string) {
	t.Helper()
	want(t, "chdir "+p, c.Chdir(p), abi.OK)
	got, errno := c.Getcwd()
	want(t, "getcwd", errno, abi.OK)
	want(t, "after chdir "+p, got, at)
}

func TestChdir(t *testing.T) {
	_, c := newContext(t)
	makeFile(t, c, "/a/file")
	for _, s := range [][2]string{{"/mnt/data/d", "/l"}, {"../../..", "/a/b/up"}, {"/l/e", "/a/l2"}, {"/self", "/self"}} {
		want(t, "symlink", c.SymlinkAt(s[0], nil, s[1]), abi.OK)
	}
	for _, step := range [][2]string{
		{"a", "/a"}, {"b/c", "/a/b/c"}, {"..", "/a/b"}, {".", "/a/b"}, {"../..", "/"}, {"..", "/"}, {"../../a", "/a"},
		{"/mnt/data", "/mnt/data"}, {"d/e", "/mnt/data/d/e"}, {"../..", "/mnt/data"}, {"..", "/mnt"}, {"data", "/mnt/data"},
		{"../../a/b/c", "/a/b/c"}, {"/l", "/mnt/data/d"}, {"e/../..", "/mnt/data"}, {"/a/l2", "/mnt/data/d/e"},
		{"/a/b/up", "/"}, {"/..//./a//", "/a"}, {"/", "/"},
	} {
		chdir(t, c, step[0], step[1])
	}
	for p, errno := range map[string]abi.Errno{
		"": abi.ENOENT, "/a/file": abi.ENOTDIR, "none": abi.ENOENT, "/a/file/..": abi.ENOTDIR, "/self": abi.ELOOP,
		strings.Repeat("x", 300): abi.ENAMETOOLONG, strings.Repeat("a/../", 1000): abi.ENAMETOOLONG, "a\x00": abi.EINVAL,
	} {
		want(t, "chdir "+p, c.Chdir(p), errno)
	}
	at, _ := c.Getcwd()
	want(t, "after failures", at, "/")
}

// The working directory moves with what it is in.
func TestCwdRenamed(t *testing.T) {
	_, c := newContext(t)
	chdir(t, c, "/a/b/c", "/a/b/c")
	want(t, "rename", c.RenameAt(nil, "/a/b", nil, "/mnt/b2"), abi.OK)
	at, _ := c.Getcwd()
	want(t, "getcwd", at, "/mnt/b2/c")
	makeFile(t, c, "../../here")
	_, errno := c.StatAt(nil, "/mnt/here", 0)
	want(t, "made above", errno, abi.OK)
	other := c.Clone()
	want(t, "rmdir", c.RmdirAt(nil, "../c"), abi.OK)
	_, errno = c.Getcwd()
	want(t, "removed", errno, abi.ENOENT)
	_, errno = other.Getcwd()
	want(t, "removed", errno, abi.ENOENT)
	want(t, "mkdir in it", c.MkdirAt(nil, "x"), abi.ENOENT)
	chdir(t, other, "/a", "/a")
	_, errno = c.Getcwd()
	want(t, "of its own", errno, abi.ENOENT)
	other.Close()
}

// An fd of a directory is a base, too, and not a fence.
func TestContextBase(t *testing.T) {
	ns, c := newContext(t)
	makeFile(t, c, "/a/b/file")
	dir, errno := c.OpenAt(nil, "/a/b/c", 0, abi.ODirectory, true, false, 0)
	want(t, "open", errno, abi.OK)
	defer dir.DecRef()
	_, errno = c.StatAt(dir, "../file", 0)
	want(t, "above an fd", errno, abi.OK)
	_, errno = ns.StatAt(dir, "../file", 0)
	want(t, "above an fd, confined", errno, abi.EPERM)
	_, errno = c.StatAt(dir, "/a/b/file", 0)
	want(t, "absolute", errno, abi.OK)
	want(t, "fchdir", c.Fchdir(dir), abi.OK)
	at, _ := c.Getcwd()
	want(t, "fchdir", at, "/a/b/c")
	file, errno := c.OpenAt(nil, "../file", 0, 0, true, false, 0)
	want(t, "open", errno, abi.OK)
	defer file.DecRef()
	want(t, "fchdir to a file", c.Fchdir(file), abi.ENOTDIR)
	_, errno = c.StatAt(file, "x", 0)
	want(t, "below a file", errno, abi.ENOTDIR)
	_, errno = c.StatAt(file, "/a", 0)
	want(t, "an absolute path needs no base", errno, abi.OK)
	want(t, "path", file.Path(), "/a/b/file")

	table := vfs.NewFDTable(8)
	dir.IncRef()
	fd, _ := table.InstallAll(dir)
	got, errno := table.PathOpenExt(c, fd, 0, "../file", 0, abi.RightsFile, 0, 0, abi.FDCloexec)
	want(t, "path_open2", errno, abi.OK)
	on, _ := table.Cloexec(got)
	want(t, "cloexec", on, true)
	_, errno = table.PathOpenExt(c, fd, 0, "../file", 0, abi.RightsFile, 0, 0, 2)
	want(t, "unknown flag", errno, abi.EINVAL)
	table.CloseAll()
}

func TestNewFSContext(t *testing.T) {
	ns, _ := newContext(t)
	for _, cwd := range []string{"", "a", "/none", "."} {
		if c, err := vfs.NewFSContext(ns, cwd); err == nil || !strings.Contains(err.Error(), "working directory "+cwd) {
			t.Errorf("%q: %v, %v", cwd, c, err)
		}
	}
	if _, err := vfs.NewFSContext(vfs.NewNamespace(now), "/"); err == nil {
		t.Error("without a root: no error")
	}
}

func TestRestoreFSContextHostile(t *testing.T) {
	ns, c := newContext(t)
	makeFile(t, c, "/file")
	f, _ := c.OpenAt(nil, "/file", 0, 0, true, false, 0)
	defer f.DecRef()
	s := vfs.NewSaver(ns)
	if _, err := s.File(f); err != nil {
		t.Fatal(err)
	}
	r, err := vfs.NewRestorer(s.State(), ns, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for id, text := range map[vfs.FileID]string{0: "is no directory", 1: "there are 1", -1: "open file -1"} {
		if _, err := vfs.RestoreFSContext(&vfs.FSContextState{CWD: id}, r); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%d: %v, want %q in it", id, err, text)
		}
	}
}
