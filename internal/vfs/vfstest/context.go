package vfstest

import (
	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
)

// A process of POSIX with its working directory: it knows where it is, also
// after renames, and cannot leave the root.
func testWorkingDirectory(h *harness) {
	h.mkdir("a", "a/b", "a/b/c", "other")
	h.put("other/file", "x")
	c, err := vfs.NewFSContext(h.ns, "/a/b/c")
	if err != nil {
		h.Fatal(err)
	}
	defer c.Close()
	cwd := func(want string) {
		h.Helper()
		if got, errno := c.Getcwd(); errno != abi.OK || got != want {
			h.Errorf("getcwd: %q, %v, want %q", got, errno, want)
		}
	}
	exists := func(p string) {
		h.Helper()
		_, errno := c.StatAt(nil, p, abi.SymlinkFollow)
		h.want(abi.OK, errno, "stat ", p)
	}
	cwd("/a/b/c")
	h.must(c.SymlinkAt("/other", nil, "absolute"))
	h.must(c.SymlinkAt("../../../../../../../etc", nil, "up"))
	exists("absolute/file")
	exists("../../../../../other/file")
	_, errno := c.StatAt(nil, "up/passwd", abi.SymlinkFollow)
	h.want(abi.ENOENT, errno, "above the root")
	_, errno = h.ns.StatAt(h.base(), "a/b/c/absolute", abi.SymlinkFollow)
	h.want(abi.EPERM, errno, "an absolute link, confined")
	h.must(c.RenameAt(nil, "/a/b", nil, "/other/b"))
	cwd("/other/b/c")
	exists("../../file")
	h.must(c.Chdir(".."))
	cwd("/other/b")
	h.must(c.Chdir("c"))
	h.must(c.UnlinkAt(nil, "absolute"))
	h.must(c.UnlinkAt(nil, "up"))
	h.must(c.RmdirAt(nil, "/other/b/c"))
	_, errno = c.Getcwd()
	h.want(abi.ENOENT, errno, "getcwd of a removed directory")
	h.must(c.Chdir("/other"))
	cwd("/other")
}

// A child of a fork shares open files, what it does to names is seen by all, and
// locks are on the file, whatever it is called.
func testFork(h *harness) {
	fd := h.create("file")
	h.write(fd, "0123456789")
	h.seek(fd, 2, abi.SeekSet)
	child, errno := h.files.Clone()
	h.must(errno)
	theirs, errno := child.Get(fd, 0)
	h.must(errno)
	h.must(h.rename("file", "moved"))
	other := h.file(h.open("moved", 0, readWrite))
	h.must(other.Flock(vfs.WriteLock))
	h.want(abi.EAGAIN, theirs.Flock(vfs.ReadLock), "a lock by another name")
	h.must(h.files.SetLock(other, vfs.Lock{Type: vfs.WriteLock, End: 9}))
	h.want(abi.EAGAIN, child.SetLock(theirs, vfs.Lock{Type: vfs.ReadLock}), "a lock of the child")
	h.unlink("moved")
	h.want(abi.EAGAIN, theirs.Flock(vfs.ReadLock), "a lock of a file without a name")
	b := make([]byte, 3)
	n, errno := theirs.Read([][]byte{b})
	h.must(errno)
	if string(b[:n]) != "234" {
		h.Errorf("the child reads %q", b[:n])
	}
	h.wantRead(fd, 3, "567")
	theirs.DecRef()
	child.CloseAll()
}

// Locks are there after a restore, also of files that were renamed.
func testRestoreLocks(h *harness) {
	one := h.create("file")
	two := h.open("file", 0, readWrite)
	h.must(h.file(one).Flock(vfs.ReadLock))
	h.must(h.file(two).Flock(vfs.ReadLock))
	h.must(h.files.SetLock(h.file(one), vfs.Lock{Type: vfs.WriteLock, Start: 5, End: 9, PID: 3}))
	h.must(h.rename("file", "moved"))
	h.restore()
	child, errno := h.files.Clone()
	h.must(errno)
	l, errno := child.GetLock(h.file(one), vfs.Lock{Type: vfs.ReadLock, End: 100})
	h.must(errno)
	if want := (vfs.Lock{Type: vfs.WriteLock, Start: 5, End: 9, PID: 3}); l != want {
		h.Errorf("locked is %+v, want %+v", l, want)
	}
	h.want(abi.EAGAIN, h.file(h.open("moved", 0, readWrite)).Flock(vfs.WriteLock), "a lock of another")
	h.want(abi.EAGAIN, h.file(one).Flock(vfs.WriteLock), "an upgrade")
	h.close(one)
	h.must(child.SetLock(h.file(two), vfs.Lock{Type: vfs.WriteLock, End: 100}))
	child.CloseAll()
	h.must(h.file(two).Flock(vfs.WriteLock))
}
