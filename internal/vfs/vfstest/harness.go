package vfstest

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/vfs"
)

// Rights that tests open files with.
const (
	readOnly  = abi.RightsFile &^ (abi.RightFDWrite | abi.RightFDAllocate | abi.RightFDFilestatSetSize)
	writeOnly = abi.RightsFile &^ abi.RightFDRead
	readWrite = abi.RightsFile
	dirRights = abi.RightsDir
)

// root is the fd of the preopened root, as in a guest: 0 to 2 are stdio.
const root vfs.FD = 3

// harness is what a guest has: a namespace and fds. Its methods end the test
// on what they do not expect.
type harness struct {
	*testing.T
	c     Config
	fs    vfs.FileSystem
	ns    *vfs.Namespace
	files *vfs.FDTable
	clock *atomic.Int64
}

func newHarness(t *testing.T, c Config) *harness {
	h := &harness{T: t, c: c, fs: c.New(t), files: vfs.NewFDTable(64), clock: new(atomic.Int64)}
	h.clock.Store(1_700_000_000e9)
	h.ns = h.namespace(h.fs, false)
	for range root {
		h.must(h.stdio())
	}
	h.preopen(h.ns, "/", "/")
	return h
}

// now is a clock that moves by a millisecond whenever it is read.
func (h *harness) now() int64 { return h.clock.Add(1e6) }

// namespace returns a Namespace with fs at "/".
func (h *harness) namespace(fs vfs.FileSystem, readOnly bool) *vfs.Namespace {
	h.Helper()
	ns := vfs.NewNamespace(h.now)
	if err := ns.Mount(vfs.Mount{Guest: "/", FS: fs, ReadOnly: readOnly}); err != nil {
		h.Fatal(err)
	}
	return ns
}

// stdio takes an fd, so that the root gets the number it has in a guest.
func (h *harness) stdio() abi.Errno {
	f, err := h.ns.OpenRoot("/")
	if err != nil {
		h.Fatal(err)
	}
	_, errno := h.files.InstallAll(f)
	return errno
}

// preopen opens the mount at guest as name.
func (h *harness) preopen(ns *vfs.Namespace, guest, name string) vfs.FD {
	h.Helper()
	f, err := ns.OpenRoot(guest)
	if err != nil {
		h.Fatal(err)
	}
	fd, errno := h.files.Preopen(f, name)
	h.must(errno)
	return fd
}

func (h *harness) must(errno abi.Errno) {
	h.Helper()
	h.want(abi.OK, errno)
}

// want checks an errno. What says on what it came, if that is not plain.
func (h *harness) want(want, got abi.Errno, what ...any) {
	h.Helper()
	if got != want {
		h.Fatalf("%sgot %v, want %v", describe(what), got, want)
	}
}

func describe(what []any) string {
	if len(what) == 0 {
		return ""
	}
	return fmt.Sprint(what...) + ": "
}

// file returns the open file at fd, which the table keeps for the test.
func (h *harness) file(fd vfs.FD) *vfs.OpenFile {
	h.Helper()
	f, errno := h.files.Get(fd, 0)
	h.must(errno)
	f.DecRef()
	return f
}

// tryOpen is path_open below the root, following symbolic links.
func (h *harness) tryOpen(path string, oflags abi.OFlags, rights abi.Rights) (vfs.FD, abi.Errno) {
	return h.files.PathOpen(h.ns, root, abi.SymlinkFollow, path, oflags, rights, abi.RightsDirInheriting, 0)
}

func (h *harness) open(path string, oflags abi.OFlags, rights abi.Rights) vfs.FD {
	h.Helper()
	fd, errno := h.tryOpen(path, oflags, rights)
	h.want(abi.OK, errno, "open ", path)
	return fd
}

// create makes or opens a file for reading and writing.
func (h *harness) create(path string) vfs.FD {
	h.Helper()
	return h.open(path, abi.OCreat, readWrite)
}

// opendir opens a directory.
func (h *harness) opendir(path string) vfs.FD {
	h.Helper()
	return h.open(path, abi.ODirectory, dirRights)
}

func (h *harness) close(fds ...vfs.FD) {
	h.Helper()
	for _, fd := range fds {
		h.want(abi.OK, h.files.Close(fd), "close ", fd)
	}
}

func (h *harness) write(fd vfs.FD, s string) {
	h.Helper()
	n, errno := h.file(fd).Write([][]byte{[]byte(s)})
	h.want(abi.OK, errno, "write")
	if n != len(s) {
		h.Fatalf("wrote %d bytes of %d", n, len(s))
	}
}

// read reads up to n bytes at the offset.
func (h *harness) read(fd vfs.FD, n int) string {
	h.Helper()
	b := make([]byte, n)
	n, errno := h.file(fd).Read([][]byte{b})
	h.want(abi.OK, errno, "read")
	return string(b[:n])
}

// wantRead checks what a read of n bytes at the offset gives.
func (h *harness) wantRead(fd vfs.FD, n int, want string) {
	h.Helper()
	if got := h.read(fd, n); got != want {
		h.Fatalf("read %q, want %q", got, want)
	}
}

func (h *harness) seek(fd vfs.FD, off int64, whence abi.Whence) int64 {
	h.Helper()
	to, errno := h.file(fd).Lseek(off, whence)
	h.want(abi.OK, errno, "seek")
	return to
}

// put makes a file with this content.
func (h *harness) put(path, content string) {
	h.Helper()
	fd := h.open(path, abi.OCreat|abi.OTrunc, readWrite)
	h.write(fd, content)
	h.close(fd)
}

// content returns a whole file.
func (h *harness) content(path string) string {
	h.Helper()
	fd := h.open(path, 0, readOnly)
	defer h.close(fd)
	return h.read(fd, 1<<16)
}

func (h *harness) wantContent(path, want string) {
	h.Helper()
	if got := h.content(path); got != want {
		h.Fatalf("%s holds %q, want %q", path, got, want)
	}
}

func (h *harness) base() *vfs.OpenFile {
	h.Helper()
	return h.file(root)
}

func (h *harness) mkdir(paths ...string) {
	h.Helper()
	for _, p := range paths {
		h.want(abi.OK, h.ns.MkdirAt(h.base(), p), "mkdir ", p)
	}
}

func (h *harness) symlink(target, path string) {
	h.Helper()
	h.want(abi.OK, h.ns.SymlinkAt(target, h.base(), path), "symlink ", path)
}

func (h *harness) unlink(path string) {
	h.Helper()
	h.want(abi.OK, h.ns.UnlinkAt(h.base(), path), "unlink ", path)
}

func (h *harness) rename(from, to string) abi.Errno {
	return h.ns.RenameAt(h.base(), from, h.base(), to)
}

// stat is path_filestat_get without following.
func (h *harness) stat(path string) abi.Filestat {
	h.Helper()
	st, errno := h.ns.StatAt(h.base(), path, 0)
	h.want(abi.OK, errno, "stat ", path)
	return st
}

// wantStat checks the errno of a stat that does not follow.
func (h *harness) wantStat(want abi.Errno, path string) {
	h.Helper()
	_, errno := h.ns.StatAt(h.base(), path, 0)
	h.want(want, errno, "stat ", path)
}

func (h *harness) fstat(fd vfs.FD) abi.Filestat {
	h.Helper()
	st, errno := h.file(fd).Stat()
	h.want(abi.OK, errno, "fstat")
	return st
}

// list returns the entries of a directory from cookie on, at most n, without
// "." and "..".
func (h *harness) list(fd vfs.FD, cookie uint64, n int) (names []string, next uint64) {
	h.Helper()
	next = cookie
	h.must(h.file(fd).ReadDir(cookie, func(d vfs.Dirent) bool {
		if n == 0 {
			return false
		}
		next = d.Next
		if d.Name != "." && d.Name != ".." {
			names = append(names, d.Name)
			n--
		}
		return true
	}))
	return names, next
}

// restore saves everything, throws it away, and makes it again from the bytes.
func (h *harness) restore() {
	h.Helper()
	if err := h.tryRestore(); err != nil {
		h.Fatal(err)
	}
}

func (h *harness) tryRestore() error {
	h.Helper()
	saver := vfs.NewSaver(h.ns)
	table, err := h.files.Save(saver)
	if err != nil {
		return err
	}
	var state vfs.State
	var fds vfs.FDTableState
	h.throughBytes(saver.State(), &state)
	h.throughBytes(table, &fds)
	makeFS := h.c.Save(h.T, h.fs)
	h.files.CloseAll()

	h.fs = makeFS()
	h.ns = h.namespace(h.fs, false)
	r, err := vfs.NewRestorer(&state, h.ns, nil)
	if err != nil {
		return err
	}
	defer r.Close()
	files, err := vfs.RestoreFDTable(&fds, r)
	if err != nil {
		return err
	}
	h.files = files
	return nil
}

// throughBytes copies in to out as an image would.
func (h *harness) throughBytes(in, out any) {
	h.Helper()
	b, err := protostruct.Marshal(in)
	if err == nil {
		err = protostruct.Unmarshal(b, out)
	}
	if err != nil {
		h.Fatal(err)
	}
}
