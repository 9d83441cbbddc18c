package vfstest

import (
	"slices"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
)

func testRestoreOffsets(h *harness) {
	h.mkdir("dir")
	fd := h.create("dir/file")
	h.write(fd, "0123456789")
	h.seek(fd, 3, abi.SeekSet)
	dup, errno := h.files.Dup(fd, 10, true)
	h.must(errno)
	other, errno := h.files.PathOpen(h.ns, root, 0, "dir/file", 0, readWrite, 0, abi.FDAppend|abi.FDNonblock)
	h.must(errno)
	h.must(h.files.SetRights(other, abi.RightFDWrite|abi.RightFDTell, 0))
	dir := h.opendir("dir")
	h.close(0) // a hole in the table
	before := h.fstat(fd)

	h.restore()
	h.wantRead(fd, 2, "34")
	h.wantRead(dup, 2, "56")
	h.write(other, "+")
	h.wantContent("dir/file", "0123456789+")
	st, errno := h.files.Fdstat(other)
	h.must(errno)
	if want := (abi.Fdstat{Filetype: abi.FiletypeRegularFile, Flags: abi.FDAppend | abi.FDNonblock,
		RightsBase: abi.RightFDWrite | abi.RightFDTell}); st != want {
		h.Errorf("fdstat %+v, want %+v", st, want)
	}
	if on, errno := h.files.Cloexec(dup); !on || errno != abi.OK {
		h.Errorf("cloexec: %v, %v", on, errno)
	}
	if name, errno := h.files.PreopenName(root); name != "/" || errno != abi.OK {
		h.Errorf("preopen: %q, %v", name, errno)
	}
	_, errno = h.files.PreopenName(dir)
	h.want(abi.EBADF, errno)
	h.must(h.ns.MkdirAt(h.file(dir), "sub"))
	h.stat("dir/sub")
	if got := h.open("dir/file", 0, readOnly); got != 0 {
		h.Errorf("the lowest free fd is %d, want 0", got)
	}
	if after := h.fstat(fd); after.Ino != before.Ino || after.Dev != before.Dev {
		h.Errorf("inode %d on %d, was %d on %d", after.Ino, after.Dev, before.Ino, before.Dev)
	}
	h.close(fd)
	h.wantRead(dup, 2, "78")
}

func testRestoreUnlinked(h *harness) {
	fd := h.create("file")
	h.write(fd, "content .... no name")
	other := h.open("file", 0, readOnly)
	h.put("two", "linked")
	h.must(h.ns.LinkAt(h.base(), "two", 0, h.base(), "three"))
	three := h.open("three", 0, readWrite)
	h.unlink("file")
	h.put("file", "another file")
	ino := h.fstat(fd).Ino

	h.restore()
	h.seek(fd, 0, abi.SeekSet)
	h.wantRead(fd, 7, "content")
	h.write(fd, " with")
	h.wantRead(other, 40, "content with no name") // the same file still
	if st := h.fstat(fd); st.Nlink != 0 || h.c.Mode&StableInodes != 0 && st.Ino != ino {
		h.Errorf("stat: %+v, was inode %d", st, ino)
	}
	h.wantContent("file", "another file")
	h.write(three, "LINK")
	h.wantContent("two", "LINKed")
	if st := h.stat("two"); st.Nlink != 2 {
		h.Errorf("stat: %+v", st)
	}
	h.restore() // it can be saved again
	h.wantRead(fd, 40, " no name")
}

func testRestoreRemovedDir(h *harness) {
	if h.c.Mode&UnlinkedDirs == 0 {
		h.Skip("this file system cannot save a removed directory")
	}
	h.mkdir("dir")
	fd := h.opendir("dir")
	h.must(h.ns.RmdirAt(h.base(), "dir"))
	h.restore()
	h.want(abi.ENOENT, h.ns.MkdirAt(h.file(fd), "new"))
	h.want(abi.EPERM, h.ns.MkdirAt(h.file(fd), "../new"))
	if names, _ := h.list(fd, 0, -1); len(names) != 0 {
		h.Errorf("lists %q", names)
	}
}

// A listing goes on over a restore, after each number of entries.
func testRestoreReaddir(h *harness) {
	names := h.manyNames("dir", 12)
	fd := h.opendir("dir")
	for n := range 12 {
		var got []string
		first, cookie := h.list(fd, 0, n)
		h.restore()
		got = append(got, first...)
		rest, _ := h.list(fd, cookie, -1)
		got = append(got, rest...)
		slices.Sort(got)
		if !slices.Equal(got, names) {
			h.Fatalf("restored after %d entries: %q", n, got)
		}
	}
	// With changes before and after.
	first, cookie := h.list(fd, 0, 4)
	h.unlink("dir/" + first[0])
	h.restore()
	h.unlink("dir/" + first[1])
	h.put("dir/new", "")
	rest, _ := h.list(fd, cookie, -1)
	for _, name := range names {
		if slices.Contains(first, name) == slices.Contains(rest, name) {
			h.Errorf("%s is listed in both parts, or in none: %q, %q", name, first, rest)
		}
	}
}

// What was renamed while open is found.
func testRestoreRenamed(h *harness) {
	h.mkdir("a", "a/b")
	fd := h.create("a/b/file")
	h.write(fd, "x")
	dir := h.opendir("a/b")
	h.must(h.rename("a", "moved"))
	h.must(h.rename("moved/b/file", "moved/b/other"))
	h.restore()
	h.write(fd, "y")
	h.wantContent("moved/b/other", "xy")
	h.must(h.ns.MkdirAt(h.file(dir), "new"))
	h.stat("moved/b/new")
}

func testRestoreTwice(h *harness) {
	fd := h.create("file")
	for i := range 5 {
		h.write(fd, string(rune('a'+i)))
		h.restore()
	}
	h.wantContent("file", "abcde")
	h.mkdir("new")
	h.restore()
	h.stat("new")
}

// What an open did, it does not do again.
func testRestoreFlags(h *harness) {
	fds := []vfs.FD{
		h.open("made", abi.OCreat|abi.OExcl, readWrite),
		h.open("cut", abi.OCreat|abi.OTrunc, readWrite),
		h.open("cut", abi.OTrunc, writeOnly),
	}
	h.write(fds[0], "made")
	h.write(fds[1], "cut")
	h.restore()
	h.wantContent("made", "made")
	h.wantContent("cut", "cut")
	h.write(fds[2], "C")
	h.wantContent("cut", "Cut")
}
