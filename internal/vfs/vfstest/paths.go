package vfstest

import (
	"strings"

	"github.com/stasis-run/stasis/internal/abi"
)

// Any name that is not a path works, however odd.
func testPlainNames(h *harness) {
	names := []string{"a", "A", "...", "..a", " ", "a b", "-", "\\", "*", "\t\n", "ümlaut", "日本語", ":", "$(x)",
		strings.Repeat("n", 255), "CON", "~"}
	for _, name := range names {
		h.put(name, name)
	}
	for _, name := range names {
		h.wantContent(name, name)
	}
	got, _ := h.list(h.opendir("."), 0, -1)
	if len(got) != len(names) {
		h.Errorf("%d names listed, want %d: %q", len(got), len(names), got)
	}
}

// What a file system must never be asked is refused alike by every call.
func testHostilePaths(h *harness) {
	h.mkdir("a", "a/b")
	h.put("a/b/file", "x")
	for _, c := range []struct {
		path string
		want abi.Errno
	}{
		{"", abi.ENOENT},
		{"/", abi.EPERM}, {"/a", abi.EPERM}, {"//a/b", abi.EPERM},
		{"..", abi.EPERM}, {"../a", abi.EPERM}, {"a/../..", abi.EPERM}, {"a/../../a", abi.EPERM},
		{"a/b/../../../a/b/file", abi.EPERM}, {"./../.", abi.EPERM}, {"a/./b/.././../..", abi.EPERM},
		{"a\x00b", abi.EINVAL}, {"a/b/file\x00", abi.EINVAL}, {"\x00", abi.EINVAL},
		{"a/\xff", abi.EILSEQ}, {"\xed\xa0\x80", abi.EILSEQ},
		{strings.Repeat("n", 256), abi.ENAMETOOLONG}, {strings.Repeat("n", 256) + "/x", abi.ENAMETOOLONG},
		{strings.Repeat("a/", 2049), abi.ENAMETOOLONG},
		{"a/b/file/..", abi.ENOTDIR}, {"a/b/file/../file", abi.ENOTDIR}, {"a/none/../b", abi.ENOENT},
	} {
		base := h.base()
		_, open := h.tryOpen(c.path, 0, readOnly)
		_, create := h.tryOpen(c.path, abi.OCreat, readWrite)
		_, stat := h.ns.StatAt(base, c.path, abi.SymlinkFollow)
		_, readlink := h.ns.ReadlinkAt(base, c.path)
		for _, got := range []struct {
			call  string
			errno abi.Errno
		}{
			{"open", open}, {"create", create}, {"stat", stat}, {"readlink", readlink},
			{"mkdir", h.ns.MkdirAt(base, c.path)}, {"rmdir", h.ns.RmdirAt(base, c.path)},
			{"unlink", h.ns.UnlinkAt(base, c.path)}, {"symlink", h.ns.SymlinkAt("x", base, c.path)},
			{"times", h.ns.SetTimesAt(base, c.path, 0, 1, 1, abi.FstMtim)},
			{"rename from", h.ns.RenameAt(base, c.path, base, "to")},
			{"rename to", h.ns.RenameAt(base, "a/b/file", base, c.path)},
			{"link from", h.ns.LinkAt(base, c.path, 0, base, "to")},
			{"link to", h.ns.LinkAt(base, "a/b/file", 0, base, c.path)},
		} {
			if got.errno != c.want {
				h.Errorf("%s %.40q: %v, want %v", got.call, c.path, got.errno, c.want)
			}
		}
	}
	h.wantContent("a/b/file", "x")
}

func testDots(h *harness) {
	h.mkdir("a", "a/b")
	h.put("a/b/file", "x")
	for _, p := range []string{"a/b/file", "./a/./b/./file", "a/../a/b/file", "a/b/../b/../../a/b/file", "a//b///file"} {
		h.wantContent(p, "x")
	}
	base := h.base()
	if root, dots := h.stat("."), h.stat("a/b/../.."); root.Ino != dots.Ino || root.Filetype != abi.FiletypeDirectory {
		h.Errorf("root is %+v, by dots %+v", root, dots)
	}
	// A directory fd is the top for what starts there.
	b := h.file(h.opendir("a/b"))
	if _, errno := h.ns.StatAt(b, "../b", 0); errno != abi.EPERM {
		h.Errorf("above a directory fd: %v", errno)
	}
	if _, errno := h.ns.StatAt(b, "file", 0); errno != abi.OK {
		h.Errorf("below a directory fd: %v", errno)
	}
	if _, errno := h.ns.StatAt(h.file(h.open("a/b/file", 0, readOnly)), "x", 0); errno != abi.ENOTDIR {
		h.Errorf("below a file: %v", errno)
	}
	for _, c := range []struct {
		what      string
		got, want abi.Errno
	}{
		{"mkdir .", h.ns.MkdirAt(base, "a/."), abi.EEXIST},
		{"mkdir ..", h.ns.MkdirAt(base, "a/b/.."), abi.EEXIST},
		{"rmdir .", h.ns.RmdirAt(base, "a/b/."), abi.EINVAL},
		{"rmdir ..", h.ns.RmdirAt(base, "a/b/.."), abi.ENOTEMPTY},
		{"unlink .", h.ns.UnlinkAt(base, "."), abi.EISDIR},
		{"rename .", h.rename("a/.", "c"), abi.EBUSY},
		{"rename to ..", h.rename("a", "a/b/.."), abi.EBUSY},
		{"symlink .", h.ns.SymlinkAt("x", base, "a/."), abi.EEXIST},
		{"link .", h.ns.LinkAt(base, "a/.", 0, base, "c"), abi.EPERM},
	} {
		h.want(c.want, c.got, c.what)
	}
	_, errno := h.tryOpen("a/.", abi.OCreat, readOnly)
	h.want(abi.EISDIR, errno, "create .")
	_, errno = h.tryOpen("a/.", abi.OCreat|abi.OExcl, readOnly)
	h.want(abi.EEXIST, errno, "create . exclusively")
}

func testSymlinks(h *harness) {
	h.mkdir("dir", "dir/sub")
	h.put("dir/file", "x")
	h.symlink("dir/file", "link")
	h.symlink("../dir/./sub/../file", "dir/up")
	h.symlink("dir", "dirlink")
	h.symlink("nowhere", "dangling")
	h.symlink("../outside", "escape")
	h.symlink("dir/../../outside", "escape2")
	for _, p := range []string{"link", "dir/up", "dirlink/file", "dirlink/up", "dirlink/../link"} {
		h.wantContent(p, "x")
	}
	base := h.base()
	if link, errno := h.ns.ReadlinkAt(base, "dir/up"); link != "../dir/./sub/../file" || errno != abi.OK {
		h.Errorf("readlink: %q, %v", link, errno)
	}
	_, errno := h.ns.ReadlinkAt(base, "dir/file")
	h.want(abi.EINVAL, errno, "readlink of a file")
	_, errno = h.ns.ReadlinkAt(base, "dirlink/")
	h.want(abi.EINVAL, errno, "readlink of a link with a slash")
	if st := h.stat("link"); st.Filetype != abi.FiletypeSymbolicLink || st.Size != 8 {
		h.Errorf("lstat: %+v", st)
	}
	if st, errno := h.ns.StatAt(base, "link", abi.SymlinkFollow); errno != abi.OK || st.Filetype != abi.FiletypeRegularFile {
		h.Errorf("stat: %+v, %v", st, errno)
	}
	for _, p := range []string{"escape", "escape2", "escape/x", "dir/up/../../../x"} {
		_, errno := h.ns.StatAt(base, p, abi.SymlinkFollow)
		if errno != abi.EPERM && (p != "dir/up/../../../x" || errno != abi.ENOTDIR) {
			h.Errorf("stat %s: %v", p, errno)
		}
	}
	// Not followed in the last place, if not asked for.
	open := func(path string, oflags abi.OFlags) abi.Errno {
		_, errno := h.files.PathOpen(h.ns, root, 0, path, oflags, readOnly, 0, 0)
		return errno
	}
	h.want(abi.ELOOP, open("link", 0))
	h.want(abi.ELOOP, open("link", abi.OTrunc))
	h.want(abi.ELOOP, open("dangling", abi.OCreat))
	if errno := open("dirlink", abi.ODirectory); errno != abi.ELOOP && errno != abi.ENOTDIR {
		h.Errorf("open a link as a directory: %v", errno)
	}
	h.must(open("dirlink/file", 0))
	_, errno = h.tryOpen("link", abi.ODirectory, readOnly)
	h.want(abi.ENOTDIR, errno)
	h.close(h.open("dirlink", abi.ODirectory, dirRights))
	// A dangling link can be created through, but not exclusively.
	_, errno = h.tryOpen("dangling", 0, readOnly)
	h.want(abi.ENOENT, errno)
	_, errno = h.tryOpen("dangling", abi.OCreat|abi.OExcl, readWrite)
	h.want(abi.EEXIST, errno)
	h.put("dangling", "made")
	h.wantContent("nowhere", "made")
	// What cannot be a link.
	for target, want := range map[string]abi.Errno{"/": abi.EPERM, "/etc": abi.EPERM, "": abi.ENOENT,
		"a\x00": abi.EINVAL, "\xff": abi.EILSEQ, strings.Repeat("x", 4096): abi.ENAMETOOLONG} {
		if got := h.ns.SymlinkAt(target, base, "new"); got != want {
			h.Errorf("symlink to %.20q: %v, want %v", target, got, want)
		}
	}
	h.want(abi.EEXIST, h.ns.SymlinkAt("x", base, "link"))
	h.want(abi.EEXIST, h.ns.MkdirAt(base, "dangling"))
	long := strings.Repeat("y/", 2000) + "y"
	h.symlink(long, "long")
	if got, errno := h.ns.ReadlinkAt(base, "long"); got != long || errno != abi.OK {
		h.Errorf("a long link came back with %d bytes, %v", len(got), errno)
	}
}

func testSymlinkLoops(h *harness) {
	base := h.base()
	h.symlink("self", "self")
	h.symlink("b", "a")
	h.symlink("a", "b")
	h.symlink("growing/x", "growing")
	for _, p := range []string{"self", "a", "self/x", "a/../b", "growing"} {
		_, errno := h.ns.StatAt(base, p, abi.SymlinkFollow)
		h.want(abi.ELOOP, errno, "stat ", p)
		_, errno = h.tryOpen(p, abi.OCreat, readWrite)
		h.want(abi.ELOOP, errno, "open ", p)
	}
	// Forty are followed, one more is not.
	h.put("end", "x")
	for i := range 41 {
		target := "end"
		if i > 0 {
			target = "l" + strings.Repeat("i", i-1)
		}
		h.symlink(target, "l"+strings.Repeat("i", i))
	}
	h.wantContent("l"+strings.Repeat("i", 39), "x")
	_, errno := h.tryOpen("l"+strings.Repeat("i", 40), 0, readOnly)
	h.want(abi.ELOOP, errno)
	h.must(h.ns.LinkAt(base, "self", 0, base, "self2"))
	h.unlink("self")
}

func testTrailingSlashes(h *harness) {
	base := h.base()
	h.mkdir("dir/", "dir2///")
	h.put("file", "x")
	h.symlink("dir", "link")
	h.symlink("gone", "dangling")
	h.close(h.open("dir/", 0, readOnly), h.open("dir///", abi.ODirectory, 0), h.open("link/", 0, readOnly))
	fd, errno := h.files.PathOpen(h.ns, root, 0, "link/", 0, readOnly, 0, 0)
	if errno == abi.OK {
		h.close(fd)
	} else if errno != abi.ENOTDIR && errno != abi.ELOOP {
		h.Errorf("open link/ without following: %v", errno)
	}
	open := func(p string, flags abi.OFlags) abi.Errno {
		_, errno := h.tryOpen(p, flags, readOnly)
		return errno
	}
	_, statFile := h.ns.StatAt(base, "file/", 0)
	for _, c := range []struct {
		what      string
		got, want abi.Errno
	}{
		{"open file/", open("file/", 0), abi.ENOTDIR},
		{"open file///", open("file///", 0), abi.ENOTDIR},
		{"open none/", open("none/", 0), abi.ENOENT},
		{"create none/", open("none/", abi.OCreat), abi.EISDIR},
		{"stat file/", statFile, abi.ENOTDIR},
		{"unlink file/", h.ns.UnlinkAt(base, "file/"), abi.ENOTDIR},
		{"unlink dir", h.ns.UnlinkAt(base, "dir"), abi.EISDIR},
		{"unlink dir/", h.ns.UnlinkAt(base, "dir/"), abi.EISDIR},
		{"unlink link/", h.ns.UnlinkAt(base, "link/"), abi.ENOTDIR},
		{"rmdir file", h.ns.RmdirAt(base, "file"), abi.ENOTDIR},
		{"rmdir file/", h.ns.RmdirAt(base, "file/"), abi.ENOTDIR},
		{"rmdir link/", h.ns.RmdirAt(base, "link/"), abi.ENOTDIR},
		{"mkdir dangling/", h.ns.MkdirAt(base, "dangling/"), abi.EEXIST},
		{"symlink new/", h.ns.SymlinkAt("x", base, "new/"), abi.ENOENT},
		{"symlink dir/", h.ns.SymlinkAt("x", base, "dir/"), abi.EEXIST},
		{"symlink file/", h.ns.SymlinkAt("x", base, "file/"), abi.EEXIST},
		{"link to new/", h.ns.LinkAt(base, "file", 0, base, "new/"), abi.ENOENT},
		{"link from file/", h.ns.LinkAt(base, "file/", 0, base, "new"), abi.ENOTDIR},
		{"rename file/", h.rename("file/", "new"), abi.ENOTDIR},
		{"rename file to new/", h.rename("file", "new/"), abi.ENOTDIR},
		{"rename dir/", h.rename("dir/", "new"), abi.OK},
		{"rename to dir/", h.rename("new", "dir/"), abi.OK},
		{"rename dir2/ dir/", h.rename("dir2/", "dir/"), abi.OK},
		{"rmdir dir/", h.ns.RmdirAt(base, "dir/"), abi.OK},
	} {
		if c.got != c.want {
			h.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}
}
