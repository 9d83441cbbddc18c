package vfstest

import (
	"math"
	"strings"

	"github.com/stasis-run/stasis/internal/abi"
)

func testOpen(h *harness) {
	h.mkdir("dir")
	h.put("file", "x")
	for _, c := range []struct {
		path   string
		flags  abi.OFlags
		rights abi.Rights
		want   abi.Errno
	}{
		{"none", 0, readOnly, abi.ENOENT},
		{"none/below", 0, readOnly, abi.ENOENT},
		{"none/below", abi.OCreat, readWrite, abi.ENOENT},
		{"file/below", abi.OCreat, readWrite, abi.ENOTDIR},
		{"file", abi.OCreat | abi.OExcl, readWrite, abi.EEXIST},
		{"dir", abi.OCreat | abi.OExcl, readWrite, abi.EEXIST},
		{"dir", abi.OCreat, readOnly, abi.EISDIR},
		{"dir", 0, readWrite, abi.EISDIR},
		{"dir", abi.ODirectory, abi.RightFDRead | abi.RightFDWrite, abi.EISDIR},
		{"dir", abi.OTrunc, readOnly, abi.EISDIR},
		{"file", abi.ODirectory, readOnly, abi.ENOTDIR},
		{"new", abi.ODirectory | abi.OCreat, readOnly, abi.EINVAL},
		{"file", 16, readOnly, abi.EINVAL},
	} {
		if _, errno := h.tryOpen(c.path, c.flags, c.rights); errno != c.want {
			h.Errorf("open %s, flags %#x: %v, want %v", c.path, c.flags, errno, c.want)
		}
	}
	h.close(h.open("dir", 0, readOnly), h.open("dir", abi.ODirectory, 0), h.open(".", 0, 0))
	h.close(h.open("file", abi.OCreat, 0), h.open("made", abi.OCreat|abi.OExcl, readOnly))
	h.wantContent("file", "x")
	h.close(h.open("file", abi.OTrunc, 0)) // needs no right on the file itself
	h.wantContent("file", "")
}

// An fd can do what it was opened for, and only less by and by.
func testRights(h *harness) {
	h.put("file", "x")
	for _, c := range []struct {
		rights            abi.Rights
		readErr, writeErr abi.Errno
	}{
		{readOnly, abi.OK, abi.EBADF},
		{writeOnly, abi.EBADF, abi.OK},
		{readWrite, abi.OK, abi.OK},
		{0, abi.EBADF, abi.EBADF},
	} {
		fd := h.open("file", 0, c.rights)
		_, errno := h.file(fd).Read([][]byte{make([]byte, 1)})
		h.want(c.readErr, errno, "read")
		_, errno = h.file(fd).Write([][]byte{{1}})
		h.want(c.writeErr, errno, "write")
		h.close(fd)
	}
	fd := h.open("file", 0, readWrite)
	h.must(h.files.SetRights(fd, abi.RightFDSeek, 0))
	h.want(abi.ENOTCAPABLE, h.files.SetRights(fd, abi.RightFDSeek|abi.RightFDRead, 0))
	_, errno := h.files.Get(fd, abi.RightFDRead)
	h.want(abi.EBADF, errno)
	_, errno = h.files.Get(fd, abi.RightFDFilestatGet)
	h.want(abi.ENOTCAPABLE, errno)
	_, errno = h.files.Get(fd, abi.RightPathOpen)
	h.want(abi.ENOTDIR, errno)
	h.close(fd)

	// A directory hands down what it may, and no directory can seek.
	h.mkdir("dir")
	dir := h.open("dir", abi.ODirectory, dirRights|abi.RightFDSeek)
	if st, errno := h.files.Fdstat(dir); errno != abi.OK || st.RightsBase&abi.RightFDSeek != 0 || st.Filetype != abi.FiletypeDirectory {
		h.Errorf("fdstat of a directory: %+v, %v", st, errno)
	}
	_, errno = h.files.Get(dir, abi.RightFDSeek)
	h.want(abi.EISDIR, errno)
	h.must(h.files.SetRights(dir, abi.RightPathOpen|abi.RightPathCreateFile, readOnly))
	fd, errno = h.files.PathOpen(h.ns, dir, 0, "new", abi.OCreat, readWrite, 0, 0)
	h.must(errno)
	_, errno = h.file(fd).Write([][]byte{{1}})
	h.want(abi.EBADF, errno, "write through a directory that does not hand it down")
	_, errno = h.files.PathOpen(h.ns, dir, 0, "new", abi.OTrunc, readWrite, 0, 0)
	h.want(abi.ENOTCAPABLE, errno, "truncate without PATH_FILESTAT_SET_SIZE")
}

func testReadWrite(h *harness) {
	fd := h.create("file")
	f := h.file(fd)
	n, errno := f.Write([][]byte{[]byte("hel"), nil, []byte("lo, "), []byte("world")})
	h.must(errno)
	if n != 12 || h.seek(fd, 0, abi.SeekCur) != 12 {
		h.Fatalf("wrote %d, at %d", n, h.seek(fd, 0, abi.SeekCur))
	}
	h.seek(fd, 0, abi.SeekSet)
	a, b := make([]byte, 5), make([]byte, 20)
	n, errno = f.Read([][]byte{a, b})
	h.must(errno)
	if n != 12 || string(a) != "hello" || string(b[:7]) != ", world" {
		h.Fatalf("read %d: %q, %q", n, a, b)
	}
	h.wantRead(fd, 5, "")
	h.seek(fd, 3, abi.SeekSet)
	h.write(fd, "ter")
	h.wantContent("file", "helter world")

	// Two fds of one open file share the offset; two open files do not.
	dup, errno := h.files.Dup(fd, 0, false)
	h.must(errno)
	other := h.open("file", 0, readOnly)
	h.seek(dup, 0, abi.SeekSet)
	h.wantRead(fd, 4, "helt")
	h.wantRead(dup, 4, "er w")
	h.wantRead(other, 4, "helt")
	h.close(fd)
	h.wantRead(dup, 9, "orld")

	// Large enough for many blocks.
	big := strings.Repeat("0123456789abcdef", 20_000)
	h.put("big", big)
	fd = h.open("big", 0, readOnly)
	h.seek(fd, 65_530, abi.SeekSet)
	h.wantRead(fd, 32, big[65_530:65_562])
	if st := h.stat("big"); st.Size != 320_000 || st.Filetype != abi.FiletypeRegularFile || st.Nlink != 1 {
		h.Errorf("stat: %+v", st)
	}
}

func testAppend(h *harness) {
	fd, errno := h.files.PathOpen(h.ns, root, 0, "log", abi.OCreat, readWrite, 0, abi.FDAppend)
	h.must(errno)
	other := h.open("log", 0, readWrite)
	h.write(fd, "one ")
	h.write(other, "ONE ")
	h.write(other, "two ")
	h.seek(fd, 0, abi.SeekSet)
	h.write(fd, "three")
	h.wantContent("log", "ONE two three")
	if at := h.seek(fd, 0, abi.SeekCur); at != 13 {
		h.Errorf("offset %d after an append, want 13", at)
	}
	n, errno := h.file(fd).WriteAt([][]byte{[]byte("X")}, 0)
	if n != 1 || errno != abi.OK {
		h.Errorf("pwrite: %d, %v", n, errno)
	}
	h.wantContent("log", "XNE two three")
	if st, _ := h.files.Fdstat(fd); st.Flags != abi.FDAppend {
		h.Errorf("flags %#x", st.Flags)
	}
	h.must(h.file(fd).SetFlags(0))
	h.seek(fd, 1, abi.SeekSet)
	h.write(fd, "n")
	h.wantContent("log", "XnE two three")
	h.want(abi.EINVAL, h.file(fd).SetFlags(1<<9))
}

func testPositions(h *harness) {
	fd := h.create("file")
	f := h.file(fd)
	h.write(fd, "0123456789")
	h.seek(fd, 2, abi.SeekSet)
	b := make([]byte, 4)
	n, errno := f.ReadAt([][]byte{b[:1], b[1:]}, 8)
	if n != 2 || errno != abi.OK || string(b[:2]) != "89" {
		h.Errorf("pread: %d, %v, %q", n, errno, b[:2])
	}
	n, errno = f.ReadAt([][]byte{b}, 1<<40)
	if n != 0 || errno != abi.OK {
		h.Errorf("pread far beyond the end: %d, %v", n, errno)
	}
	_, errno = f.ReadAt([][]byte{b}, 1<<63)
	h.want(abi.EINVAL, errno, "pread at 1<<63")
	_, errno = f.WriteAt([][]byte{b}, math.MaxInt64)
	h.want(abi.EFBIG, errno, "pwrite at the largest offset")
	if at := h.seek(fd, 0, abi.SeekCur); at != 2 {
		h.Errorf("offset %d, want 2", at)
	}
	for _, c := range []struct {
		off    int64
		whence abi.Whence
		to     int64
		errno  abi.Errno
	}{
		{-1, abi.SeekCur, 1, abi.OK}, {0, abi.SeekEnd, 10, abi.OK}, {-10, abi.SeekEnd, 0, abi.OK},
		{-11, abi.SeekEnd, 0, abi.EINVAL}, {-1, abi.SeekSet, 0, abi.EINVAL}, {1000, abi.SeekEnd, 1010, abi.OK},
		{math.MaxInt64, abi.SeekCur, 0, abi.EOVERFLOW}, {math.MinInt64, abi.SeekCur, 0, abi.EINVAL},
		{0, 3, 0, abi.EINVAL}, {math.MaxInt64, abi.SeekSet, math.MaxInt64, abi.OK},
	} {
		to, errno := f.Lseek(c.off, c.whence)
		if errno != c.errno || errno == abi.OK && to != c.to {
			h.Errorf("seek %d, %d: %d, %v, want %d, %v", c.off, c.whence, to, errno, c.to, c.errno)
		}
	}
	_, errno = f.Write([][]byte{b})
	h.want(abi.EFBIG, errno, "write at the largest offset")
	h.wantRead(fd, 4, "")

	dir := h.file(h.opendir("."))
	_, errno = dir.Read([][]byte{b})
	h.want(abi.EISDIR, errno)
	_, errno = dir.WriteAt([][]byte{b}, 0)
	h.want(abi.EISDIR, errno)
	_, errno = dir.Lseek(0, abi.SeekCur)
	h.want(abi.EISDIR, errno)
	h.want(abi.EISDIR, dir.SetSize(0))
	h.want(abi.EISDIR, dir.Allocate(0, 1))
	h.want(abi.ENOTDIR, f.ReadDir(0, nil))
}

func testSize(h *harness) {
	fd := h.create("file")
	f := h.file(fd)
	h.write(fd, "0123456789")
	h.must(f.SetSize(4))
	h.must(f.SetSize(8))
	h.wantContent("file", "0123\x00\x00\x00\x00")
	h.want(abi.EFBIG, f.SetSize(1<<63))
	h.want(abi.EINVAL, f.Allocate(0, 0))
	h.want(abi.EFBIG, f.Allocate(1<<62, 1<<63))
	switch errno := f.Allocate(0, 100); errno {
	case abi.OK:
		h.must(f.Allocate(10, 10))
		h.must(f.Allocate(90, 20))
		if st := h.fstat(fd); st.Size != 110 {
			h.Errorf("size %d after allocate, want 110", st.Size)
		}
	case abi.ENOTSUP:
	default:
		h.Errorf("allocate: %v", errno)
	}
	h.must(f.Advise(0, 50, abi.AdviceWillneed))
	h.want(abi.EINVAL, f.Advise(0, 50, 9))
	h.want(abi.EINVAL, f.Advise(1<<63, 50, abi.AdviceNormal))
	h.must(f.Sync(false))
	h.must(f.Sync(true))
	h.want(abi.EINVAL, h.file(h.open("file", 0, readOnly)).SetSize(0))
	h.want(abi.EBADF, h.file(h.open("file", 0, readOnly)).Allocate(0, 1))
	h.must(h.file(h.opendir(".")).Sync(false))

	synced, errno := h.files.PathOpen(h.ns, root, 0, "file", abi.OTrunc, readWrite, 0, abi.FDSync)
	h.must(errno)
	h.write(synced, "durable")
	h.wantContent("file", "durable")
}

// A file may be far longer than what it holds.
func testSparse(h *harness) {
	fd := h.create("file")
	f := h.file(fd)
	const far = 3 << 30
	n, errno := f.WriteAt([][]byte{[]byte("end")}, far)
	if n != 3 || errno != abi.OK {
		h.Fatalf("pwrite: %d, %v", n, errno)
	}
	b := make([]byte, 100_000)
	b[0], b[99_999] = 1, 1
	n, errno = f.ReadAt([][]byte{b}, far-200_000)
	if n != len(b) || errno != abi.OK || strings.Trim(string(b), "\x00") != "" {
		h.Fatalf("a hole reads as %d bytes, %v", n, errno)
	}
	if st := h.fstat(fd); st.Size != far+3 {
		h.Errorf("size %d", st.Size)
	}
	h.must(f.SetSize(far + 1))
	h.must(f.SetSize(far + 3))
	n, errno = f.ReadAt([][]byte{b[:3]}, far)
	if n != 3 || errno != abi.OK || string(b[:3]) != "e\x00\x00" {
		h.Fatalf("read %q, %v", b[:n], errno)
	}
}

func testTimes(h *harness) {
	h.put("file", "x")
	h.symlink("file", "link")
	const at, mt = 1_000_000_000_000_000_123, 1_000_000_001_000_000_456
	base := h.base()
	h.must(h.ns.SetTimesAt(base, "link", abi.SymlinkFollow, at, mt, abi.FstAtim|abi.FstMtim))
	if st := h.stat("file"); st.Atim != at || st.Mtim != mt {
		h.Errorf("times %d, %d", st.Atim, st.Mtim)
	}
	h.must(h.ns.SetTimesAt(base, "link", 0, 0, mt+1, abi.FstMtim))
	if st := h.stat("link"); st.Mtim != mt+1 || st.Filetype != abi.FiletypeSymbolicLink {
		h.Errorf("link: %+v", st)
	}
	fd := h.open("file", 0, readOnly)
	h.must(h.file(fd).SetTimes(0, mt+2, abi.FstMtim))
	if st := h.fstat(fd); st.Atim != at || st.Mtim != mt+2 {
		h.Errorf("times %d, %d", st.Atim, st.Mtim)
	}
	before := h.now()
	h.must(h.file(fd).SetTimes(0, 0, abi.FstMtimNow|abi.FstAtimNow))
	if st := h.fstat(fd); st.Mtim <= uint64(before) || st.Mtim != st.Atim || st.Mtim > uint64(h.now()) {
		h.Errorf("now is %d, times %d, %d", before, st.Atim, st.Mtim)
	}
	h.must(h.file(fd).SetTimes(7, 7, 0)) // none asked for
	for _, flags := range []abi.FstFlags{abi.FstAtim | abi.FstAtimNow, abi.FstMtim | abi.FstMtimNow, 16} {
		h.want(abi.EINVAL, h.file(fd).SetTimes(1, 1, flags))
		h.want(abi.EINVAL, h.ns.SetTimesAt(base, "file", 0, 1, 1, flags))
	}
	h.want(abi.EINVAL, h.file(fd).SetTimes(1<<63, 0, abi.FstAtim))
	h.want(abi.ENOENT, h.ns.SetTimesAt(base, "none", 0, 1, 1, abi.FstMtim))
	h.mkdir("dir")
	h.must(h.ns.SetTimesAt(base, "dir", 0, at, mt, abi.FstAtim|abi.FstMtim))
	if st := h.stat("dir"); st.Mtim != mt {
		h.Errorf("directory: %+v", st)
	}
	h.must(h.file(h.opendir("dir")).SetTimes(at, mt+5, abi.FstMtim))
	if st := h.stat("dir"); st.Mtim != mt+5 {
		h.Errorf("directory: %+v", st)
	}
}
