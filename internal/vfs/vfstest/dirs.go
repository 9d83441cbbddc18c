package vfstest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
)

func testMkdirRmdir(h *harness) {
	base := h.base()
	h.mkdir("a", "a/b")
	h.put("a/file", "x")
	h.want(abi.EEXIST, h.ns.MkdirAt(base, "a"))
	h.want(abi.EEXIST, h.ns.MkdirAt(base, "a/file"))
	h.want(abi.ENOENT, h.ns.MkdirAt(base, "none/x"))
	h.want(abi.ENOTDIR, h.ns.MkdirAt(base, "a/file/x"))
	h.want(abi.ENOTEMPTY, h.ns.RmdirAt(base, "a"))
	h.want(abi.ENOENT, h.ns.RmdirAt(base, "none"))
	h.want(abi.ENOTDIR, h.ns.RmdirAt(base, "a/file"))
	h.unlink("a/file")
	h.must(h.ns.RmdirAt(base, "a/b"))
	h.must(h.ns.RmdirAt(base, "a"))
	h.wantStat(abi.ENOENT, "a")
}

// A directory that is removed while it is open is empty, and stays so.
func testRemovedDirectory(h *harness) {
	h.mkdir("dir")
	fd := h.opendir("dir")
	h.must(h.ns.RmdirAt(h.base(), "dir"))
	dir := h.file(fd)
	_, errno := h.files.PathOpen(h.ns, fd, 0, "new", abi.OCreat, readWrite, 0, 0)
	h.want(abi.ENOENT, errno, "create")
	h.want(abi.ENOENT, h.ns.MkdirAt(dir, "new"), "mkdir")
	h.want(abi.ENOENT, h.ns.SymlinkAt("x", dir, "new"), "symlink")
	_, errno = h.ns.StatAt(dir, "new", 0)
	h.want(abi.ENOENT, errno, "stat")
	if names, _ := h.list(fd, 0, -1); len(names) != 0 {
		h.Errorf("lists %q", names)
	}
	_, errno = dir.Stat()
	h.must(errno)
	h.mkdir("dir") // another one
	h.put("dir/file", "x")
	if names, _ := h.list(fd, 0, -1); len(names) != 0 {
		h.Errorf("lists %q of another directory", names)
	}
	h.put("outside", "x")
	h.want(abi.ENOENT, h.ns.RenameAt(h.base(), "outside", dir, "inside"), "rename into it")
}

func testReaddir(h *harness) {
	dir := h.opendir(".")
	var got []vfs.Dirent
	all := func(cookie uint64) []vfs.Dirent {
		got = nil
		h.must(h.file(dir).ReadDir(cookie, func(d vfs.Dirent) bool {
			got = append(got, d)
			return true
		}))
		return got
	}
	empty := all(0)
	if len(empty) != 2 || empty[0].Name != "." || empty[1].Name != ".." ||
		empty[0].Filetype != abi.FiletypeDirectory || empty[1].Filetype != abi.FiletypeDirectory {
		h.Fatalf("an empty directory lists %+v", empty)
	}
	if empty[0].Ino != h.fstat(dir).Ino {
		h.Errorf(". is inode %d, not %d", empty[0].Ino, h.fstat(dir).Ino)
	}
	h.mkdir("dir")
	h.put("file", "x")
	h.symlink("file", "link")
	want := map[string]abi.Filetype{".": abi.FiletypeDirectory, "..": abi.FiletypeDirectory, "dir": abi.FiletypeDirectory,
		"file": abi.FiletypeRegularFile, "link": abi.FiletypeSymbolicLink}
	full := slices.Clone(all(0))
	if len(full) != len(want) {
		h.Fatalf("lists %+v", full)
	}
	for _, d := range full {
		if want[d.Name] != d.Filetype {
			h.Errorf("%s is listed as a %v", d.Name, d.Filetype)
		}
		if d.Name[0] != '.' && d.Ino != h.stat(d.Name).Ino {
			h.Errorf("%s is listed as inode %d, stat tells %d", d.Name, d.Ino, h.stat(d.Name).Ino)
		}
	}
	// From each cookie, what follows is the same again, in any order of asking.
	for i := len(full) - 1; i >= 0; i-- {
		if rest := all(full[i].Next); !slices.Equal(rest, full[i+1:]) {
			h.Errorf("after %q: %+v, want %+v", full[i].Name, rest, full[i+1:])
		}
	}
	if rest := all(1 << 60); len(rest) != 0 {
		h.Errorf("after a cookie nobody gave: %+v", rest)
	}
}

// manyNames makes n files in a directory.
func (h *harness) manyNames(dir string, n int) []string {
	h.Helper()
	h.mkdir(dir)
	var names []string
	for i := range n {
		name := fmt.Sprintf("file%03d", i)
		h.put(dir+"/"+name, "")
		names = append(names, name)
	}
	return names
}

// What stays is listed once, whatever else comes and goes between the calls.
func testReaddirChanging(h *harness) {
	names := h.manyNames("dir", 100)
	fd := h.opendir("dir")
	other := h.opendir("dir")
	seen := map[string]int{}
	var cookie uint64
	for round := 0; ; round++ {
		var batch []string
		batch, cookie = h.list(fd, cookie, 7)
		if len(batch) == 0 {
			break
		}
		for _, name := range batch {
			seen[name]++
		}
		// Remove some that were seen, add new ones, and look elsewhere.
		h.unlink("dir/" + batch[0])
		h.put(fmt.Sprintf("dir/new%03d", round), "")
		h.list(other, 0, 3)
		if round > 200 {
			h.Fatal("the listing does not end")
		}
	}
	for _, name := range names {
		if seen[name] != 1 {
			h.Errorf("%s was listed %d times", name, seen[name])
		}
	}
	// A fresh start sees what is there now.
	now, _ := h.list(fd, 0, -1)
	for _, name := range now {
		h.stat("dir/" + name)
	}
	// Emptying a directory while reading it, as rm -r does.
	for {
		batch, _ := h.list(fd, 0, 10)
		if len(batch) == 0 {
			break
		}
		for _, name := range batch {
			h.unlink("dir/" + name)
		}
	}
	h.must(h.ns.RmdirAt(h.base(), "dir"))
}

func testReadOnly(h *harness) {
	h.mkdir("dir", "empty")
	h.put("dir/file", "x")
	h.symlink("dir/file", "link")
	h.ns = h.namespace(h.fs, true)
	h.close(root)
	h.preopen(h.ns, "/", "/")
	base := h.base()
	h.wantContent("link", "x")
	h.close(h.open("dir/file", abi.OCreat, readOnly)) // is there already
	open := func(path string, flags abi.OFlags, rights abi.Rights) abi.Errno {
		_, errno := h.tryOpen(path, flags, rights)
		return errno
	}
	for _, c := range []struct {
		what      string
		got, want abi.Errno
	}{
		{"write", open("dir/file", 0, readWrite), abi.EROFS},
		{"truncate", open("dir/file", abi.OTrunc, readOnly), abi.EROFS},
		{"create", open("new", abi.OCreat, readOnly), abi.EROFS},
		{"create exclusively", open("dir/file", abi.OCreat|abi.OExcl, readOnly), abi.EEXIST},
		{"write what is not there", open("new", 0, readWrite), abi.ENOENT},
		{"write a directory", open("dir", 0, readWrite), abi.EISDIR},
		{"mkdir", h.ns.MkdirAt(base, "new"), abi.EROFS},
		{"mkdir what is there", h.ns.MkdirAt(base, "dir"), abi.EEXIST},
		{"rmdir", h.ns.RmdirAt(base, "empty"), abi.EROFS},
		{"unlink", h.ns.UnlinkAt(base, "dir/file"), abi.EROFS},
		{"unlink nothing", h.ns.UnlinkAt(base, "new"), abi.ENOENT},
		{"rename", h.ns.RenameAt(base, "dir/file", base, "new"), abi.EROFS},
		{"symlink", h.ns.SymlinkAt("x", base, "new"), abi.EROFS},
		{"link", h.ns.LinkAt(base, "dir/file", 0, base, "new"), abi.EROFS},
		{"times", h.ns.SetTimesAt(base, "dir/file", 0, 1, 1, abi.FstMtim), abi.EROFS},
		{"times of an fd", h.file(h.open("dir/file", 0, readOnly)).SetTimes(1, 1, abi.FstMtim), abi.EROFS},
		{"out of it", h.ns.MkdirAt(base, "../x"), abi.EPERM},
	} {
		if c.got != c.want {
			h.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}
	h.wantContent("dir/file", "x")
}

// Two file systems in one tree.
func testMounts(h *harness) {
	second := h.c.New(h.T)
	h.mkdir("mnt")
	if err := h.ns.Mount(vfs.Mount{Guest: "/mnt/data", FS: second}); err != nil {
		h.Fatal(err)
	}
	for _, bad := range []string{"", "x", "/x/", "/a/../b", "/mnt/data", "//", "/a\x00"} {
		if err := h.ns.Mount(vfs.Mount{Guest: bad, FS: second}); err == nil {
			h.Errorf("mount at %q: no error", bad)
		}
	}
	data := h.preopen(h.ns, "/mnt/data", "/mnt/data")
	h.put("mnt/data/file", "second")
	h.symlink("data/file", "mnt/link")
	h.wantContent("mnt/link", "second")
	h.wantContent("mnt/data/../data/file", "second")
	fd, errno := h.files.PathOpen(h.ns, data, 0, "file", 0, readOnly, 0, 0)
	h.must(errno)
	h.wantRead(fd, 10, "second")
	_, errno = h.ns.StatAt(h.file(data), "../data", 0)
	h.want(abi.EPERM, errno, "above the mount from its own fd")
	h.close(h.opendir("mnt/data"), h.opendir("mnt/data/"))
	h.put("file", "first")
	base := h.base()
	for _, c := range []struct {
		what      string
		got, want abi.Errno
	}{
		{"rename across", h.rename("file", "mnt/data/moved"), abi.EXDEV},
		{"link across", h.ns.LinkAt(base, "file", 0, base, "mnt/data/moved"), abi.EXDEV},
		{"rmdir mount", h.ns.RmdirAt(base, "mnt/data"), abi.EBUSY},
		{"rename mount", h.rename("mnt/data", "x"), abi.EBUSY},
		{"rename onto mount", h.rename("file", "mnt/data"), abi.EBUSY},
		{"rename above mount", h.rename("mnt", "x"), abi.EBUSY},
		{"mkdir mount", h.ns.MkdirAt(base, "mnt/data"), abi.EEXIST},
		{"unlink mount", h.ns.UnlinkAt(base, "mnt/data"), abi.EISDIR},
		{"symlink onto mount", h.ns.SymlinkAt("x", base, "mnt/data"), abi.EEXIST},
	} {
		if c.got != c.want {
			h.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}
	// A restore needs both.
	saver := vfs.NewSaver(h.ns)
	if _, err := h.files.Save(saver); err != nil {
		h.Fatal(err)
	}
	_, err := vfs.NewRestorer(saver.State(), h.namespace(h.fs, false), nil)
	if err == nil || !strings.Contains(err.Error(), "/mnt/data") {
		h.Errorf("restore without the mount: %v", err)
	}
}
