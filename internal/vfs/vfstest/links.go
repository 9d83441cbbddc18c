package vfstest

import (
	"fmt"
	"strings"
	"sync"

	"github.com/stasis-run/stasis/internal/abi"
)

// An open file outlives its name.
func testUnlink(h *harness) {
	fd := h.create("file")
	h.write(fd, "before")
	h.unlink("file")
	h.wantStat(abi.ENOENT, "file")
	h.want(abi.ENOENT, h.ns.UnlinkAt(h.base(), "file"))
	h.put("file", "another")
	h.write(fd, " after")
	h.seek(fd, 0, abi.SeekSet)
	h.wantRead(fd, 20, "before after")
	if st := h.fstat(fd); st.Nlink != 0 || st.Size != 12 {
		h.Errorf("stat: %+v", st)
	}
	h.must(h.file(fd).SetSize(3))
	h.close(fd)
	h.wantContent("file", "another")
	h.symlink("nowhere", "link")
	h.unlink("link")
	h.wantStat(abi.ENOENT, "link")
}

func testLink(h *harness) {
	base := h.base()
	h.mkdir("dir")
	h.put("file", "x")
	h.must(h.ns.LinkAt(base, "file", 0, base, "dir/link"))
	if a, b := h.stat("file"), h.stat("dir/link"); a.Ino != b.Ino || a.Nlink != 2 || b.Nlink != 2 {
		h.Errorf("%+v, %+v", a, b)
	}
	h.put("file", "changed")
	h.wantContent("dir/link", "changed")
	h.unlink("file")
	h.wantContent("dir/link", "changed")
	if st := h.stat("dir/link"); st.Nlink != 1 {
		h.Errorf("%+v", st)
	}
	h.symlink("dir/link", "sym")
	h.symlink("nowhere", "dangling")
	h.must(h.ns.LinkAt(base, "sym", 0, base, "sym2"))
	if st := h.stat("sym2"); st.Filetype != abi.FiletypeSymbolicLink {
		h.Errorf("a link to a symbolic link is a %v", st.Filetype)
	}
	h.must(h.ns.LinkAt(base, "sym", abi.SymlinkFollow, base, "followed"))
	if st := h.stat("followed"); st.Filetype != abi.FiletypeRegularFile {
		h.Errorf("a link through a symbolic link is a %v", st.Filetype)
	}
	for _, c := range []struct {
		from string
		look abi.LookupFlags
		to   string
		want abi.Errno
	}{
		{"none", 0, "new", abi.ENOENT}, {"dir", 0, "new", abi.EPERM}, {"sym", 0, "dir", abi.EEXIST},
		{"sym", 0, "sym", abi.EEXIST}, {"sym", 0, "dangling", abi.EEXIST}, {"dangling", 0, "d2", abi.OK},
		{"dangling", abi.SymlinkFollow, "new", abi.ENOENT}, {"sym", 0, "none/x", abi.ENOENT},
	} {
		if got := h.ns.LinkAt(base, c.from, c.look, base, c.to); got != c.want {
			h.Errorf("link %s %s: %v, want %v", c.from, c.to, got, c.want)
		}
	}
}

func testRenameFiles(h *harness) {
	h.mkdir("dir", "full")
	h.put("full/x", "")
	h.put("a", "A")
	h.put("b", "B")
	old := h.open("b", 0, readOnly)
	moved := h.open("a", 0, readWrite)
	h.must(h.rename("a", "b"))
	h.wantStat(abi.ENOENT, "a")
	h.wantContent("b", "A")
	h.wantRead(old, 9, "B")
	h.write(moved, "moved")
	h.wantContent("b", "moved")
	h.must(h.rename("b", "dir/c"))
	h.must(h.rename("dir/c", "dir/c"))
	h.wantContent("dir/c", "moved")
	h.must(h.ns.LinkAt(h.base(), "dir/c", 0, h.base(), "c2"))
	h.must(h.rename("dir/c", "c2")) // names of one file: nothing happens
	h.wantContent("dir/c", "moved")
	h.wantContent("c2", "moved")
	h.symlink("dir", "link")
	for _, c := range []struct {
		from, to string
		want     abi.Errno
	}{
		{"none", "x", abi.ENOENT}, {"c2", "none/x", abi.ENOENT}, {"c2", "dir/c/x", abi.ENOTDIR},
		{"c2", "dir", abi.EISDIR}, {"c2", "full", abi.EISDIR}, {"dir", "c2", abi.ENOTDIR},
		{"link", "link2", abi.OK}, {"c2", "link2", abi.OK},
	} {
		if got := h.rename(c.from, c.to); got != c.want {
			h.Errorf("rename %s %s: %v, want %v", c.from, c.to, got, c.want)
		}
	}
	if st := h.stat("link2"); st.Filetype != abi.FiletypeRegularFile {
		h.Errorf("a file over a symbolic link is a %v", st.Filetype)
	}
	h.stat("dir")
}

func testRenameDirs(h *harness) {
	h.mkdir("a", "a/b", "a/b/c", "empty", "full", "full/x")
	h.put("a/b/file", "x")
	inside := h.opendir("a/b")
	for _, c := range []struct {
		from, to string
		want     abi.Errno
	}{
		{"a", "a/b/c/d", abi.EINVAL}, {"a", "a/d", abi.EINVAL}, {"a", "a/b", abi.EINVAL},
		{"a/b", "a", abi.ENOTEMPTY}, {"a", "full", abi.ENOTEMPTY}, {"a", "a", abi.OK},
		{"a", "empty", abi.OK}, {"empty/b", "moved", abi.OK},
	} {
		if got := h.rename(c.from, c.to); got != c.want {
			h.Errorf("rename %s %s: %v, want %v", c.from, c.to, got, c.want)
		}
	}
	h.wantContent("moved/file", "x")
	// The fd is still on the directory.
	fd, errno := h.files.PathOpen(h.ns, inside, 0, "file", 0, readOnly, 0, 0)
	h.must(errno)
	h.wantRead(fd, 9, "x")
	h.must(h.ns.MkdirAt(h.file(inside), "new"))
	h.stat("moved/new")
	h.wantStat(abi.ENOENT, "a")
	if st := h.stat("moved/.."); st.Ino != h.stat(".").Ino {
		h.Errorf(".. of a moved directory is inode %d", st.Ino)
	}
}

// Many tasks in one tree: each step gives what it gives, and the tree is whole
// in the end. It is for the race detector, too.
func testConcurrent(h *harness) {
	h.mkdir("a", "b")
	base := h.base()
	const workers, rounds = 8, 40
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			own := fmt.Sprintf("a/own%d", w)
			for i := range rounds {
				fd, errno := h.files.PathOpen(h.ns, root, 0, own, abi.OCreat, readWrite, 0, abi.FDAppend)
				if errno != abi.OK {
					h.Errorf("create: %v", errno)
					return
				}
				f, errno := h.files.Get(fd, abi.RightFDWrite)
				if errno != abi.OK {
					h.Errorf("get: %v", errno)
					return
				}
				h.files.Close(fd) // the write is still in progress
				f.Write([][]byte{{byte(i)}})
				f.DecRef()
				h.ns.MkdirAt(base, "b/shared")
				h.ns.RenameAt(base, "b/shared", base, "a/shared")
				h.ns.RenameAt(base, "a/shared", base, "b/shared")
				h.ns.LinkAt(base, own, 0, base, "b/name")
				h.ns.StatAt(base, "b/../a/shared/../../b/name", 0)
				h.ns.UnlinkAt(base, "b/name")
				h.ns.RmdirAt(base, "b/shared")
			}
		})
	}
	wg.Wait()
	for w := range workers {
		if st := h.stat(fmt.Sprintf("a/own%d", w)); st.Size != rounds || st.Nlink != 1 {
			h.Errorf("file %d: %+v", w, st)
		}
	}
	left, _ := h.list(h.opendir("b"), 0, -1)
	if s := strings.Join(left, " "); s != "" && s != "shared" {
		h.Errorf("left over: %s", s)
	}
}
