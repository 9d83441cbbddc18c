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
