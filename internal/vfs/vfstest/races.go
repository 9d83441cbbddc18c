package vfstest

import (
	"sync"

	"github.com/stasis-run/stasis/internal/abi"
)

// One name is a file and a symbolic link by turns, another a directory and a
// link that leads out. Each step of the swap is a rename, so that something is
// always there: an open in the middle of it finds a file, or is refused, and
// never sees what is outside.
func testSwapped(h *harness) {
	h.mkdir("in", "in/dir", "in/spare")
	h.put("secret", "s")
	h.put("in/dir/secret", "d")
	h.put("in/real", "r")
	in := h.opendir("in")
	dir := h.file(in)
	secret := h.stat("secret").Ino

	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for round := 0; ; round++ {
			select {
			case <-stop:
				return
			default:
			}
			h.ns.SymlinkAt("real", dir, "tmp")
			h.ns.RenameAt(dir, "tmp", dir, "swap")
			h.ns.LinkAt(dir, "real", 0, dir, "tmp")
			h.ns.RenameAt(dir, "tmp", dir, "swap")

			h.ns.RenameAt(dir, "dir", dir, "spare")
			h.ns.SymlinkAt("..", dir, "dir")
			h.ns.UnlinkAt(dir, "dir")
			h.ns.RenameAt(dir, "spare", dir, "dir")
			h.ns.MkdirAt(dir, "spare")
		}
	})
	h.must(h.ns.LinkAt(dir, "real", 0, dir, "tmp0"))
	h.ns.RenameAt(dir, "tmp0", dir, "swap")
	for range 2000 {
		fd, errno := h.files.PathOpen(h.ns, in, abi.SymlinkFollow, "swap", 0, readOnly, 0, 0)
		if errno != abi.OK {
			h.Errorf("open what is always there: %v", errno)
			break
		}
		h.files.Close(fd)
		st, errno := h.ns.StatAt(dir, "dir/secret", abi.SymlinkFollow)
		switch {
		case errno == abi.OK && st.Ino == secret:
			h.Error("a walk has come out of its directory")
		case errno != abi.OK && errno != abi.ENOENT && errno != abi.EPERM && errno != abi.ENOTDIR:
			h.Errorf("stat: %v", errno)
		}
	}
	close(stop)
	wg.Wait()
}
