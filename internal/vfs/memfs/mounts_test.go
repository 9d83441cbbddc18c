package memfs_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
)

// A guest has a namespace and the preopened root.
type guest struct {
	*testing.T
	ns   *vfs.Namespace
	root *vfs.OpenFile
}

func newGuest(t *testing.T, mounts ...vfs.Mount) guest {
	t.Helper()
	g := guest{T: t, ns: vfs.NewNamespace(clock())}
	if err := g.ns.MountAll(mounts); err != nil {
		t.Fatal(err)
	}
	var err error
	if g.root, err = g.ns.OpenRoot("/"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.root.DecRef)
	return g
}

// write makes a file of n bytes.
func (g guest) write(path string, n int) abi.Errno {
	g.Helper()
	f, errno := g.ns.OpenAt(g.root, path, 0, abi.OCreat, true, true, 0)
	if errno != abi.OK {
		return errno
	}
	defer f.DecRef()
	for n > 0 {
		m, errno := f.Write([][]byte{make([]byte, n)})
		if errno != abi.OK {
			return errno
		}
		n -= m
	}
	return abi.OK
}

func (g guest) want(want, got abi.Errno, what string) {
	g.Helper()
	if got != want {
		g.Errorf("%s: %v, want %v", what, got, want)
	}
}

// names lists a directory.
func (g guest) names(path string) string {
	g.Helper()
	f, errno := g.ns.OpenAt(g.root, path, 0, abi.ODirectory, true, false, 0)
	if errno != abi.OK {
		g.Fatalf("open %s: %v", path, errno)
	}
	defer f.DecRef()
	var names []string
	g.want(abi.OK, f.ReadDir(0, func(e vfs.Dirent) bool {
		if e.Name != "." && e.Name != ".." {
			names = append(names, e.Name)
		}
		return true
	}), "readdir")
	return strings.Join(names, " ")
}

func newFS(bytes, inodes int64, dev uint64) *memfs.FS {
	return memfs.New(memfs.Options{Now: clock(), Bytes: bytes, Inodes: inodes, Dev: dev})
}

// A root that only the host may write to, with file systems below that the
// guest may write to, up to their quotas; all of them saved and restored.
func TestMountsInReadOnlyRoot(t *testing.T) {
	base := newFS(1<<20, 100, 1)
	if errno := (guest{}).prepare(t, base); errno != abi.OK {
		t.Fatal(errno)
	}
	g := newGuest(t,
		vfs.Mount{Guest: "/var/lib/data", FS: newFS(2*block, 3, 3)}, // in no order
		vfs.Mount{Guest: "/tmp", FS: newFS(4*block, 100, 2)},
		vfs.Mount{Guest: "/tmp/deep/er", FS: newFS(block, 100, 4)},
		vfs.Mount{Guest: "/", FS: base, ReadOnly: true},
	)
	check := func(g guest) {
		t.Helper()
		if got := g.names("."); got != "etc file tmp var" {
			t.Errorf("the root has %s", got)
		}
		g.want(abi.EROFS, g.write("new", 1), "create in the root")
		g.want(abi.EROFS, g.write("file", 1), "write to a file in the root")
		g.want(abi.EROFS, g.write("var/new", 1), "create beside a mount")
		g.want(abi.EROFS, g.ns.MkdirAt(g.root, "var/lib/new"), "mkdir above a mount")
		g.want(abi.EROFS, g.ns.SymlinkAt("x", g.root, "etc/link"), "symlink")
		g.want(abi.EROFS, g.ns.LinkAt(g.root, "file", 0, g.root, "etc/file"), "link")
		g.want(abi.EROFS, g.ns.UnlinkAt(g.root, "file"), "unlink")
		g.want(abi.EROFS, g.ns.RmdirAt(g.root, "etc"), "rmdir")
		g.want(abi.EBUSY, g.ns.RmdirAt(g.root, "tmp"), "rmdir of a mount")
		g.want(abi.EROFS, g.ns.RenameAt(g.root, "file", g.root, "file2"), "rename")
		g.want(abi.EXDEV, g.ns.RenameAt(g.root, "tmp/a", g.root, "a"), "rename into the root")
		g.want(abi.EROFS, g.ns.SetTimesAt(g.root, "file", 0, 1, 1, abi.FstMtim), "times")
		g.want(abi.EROFS, g.root.SetTimes(1, 1, abi.FstMtim), "times of the root's fd")
		g.want(abi.OK, g.ns.SetTimesAt(g.root, "tmp", 0, 1, 1, abi.FstMtim), "times of a mount below")

		g.want(abi.OK, g.write("tmp/a", 4*block), "fill a mount")
		g.want(abi.ENOSPC, g.write("tmp/b", 1), "one more byte")
		g.want(abi.OK, g.write("tmp/deep/er/c", block), "a mount in a mount has room of its own")
		g.want(abi.ENOSPC, g.write("tmp/deep/er/d", 1), "and no more")
		g.want(abi.OK, g.write("var/lib/data/1", 1), "an inode")
		g.want(abi.OK, g.ns.MkdirAt(g.root, "var/lib/data/2"), "the last inode")
		g.want(abi.ENOSPC, g.write("var/lib/data/3", 0), "one more inode")
		g.want(abi.OK, g.ns.RmdirAt(g.root, "var/lib/data/2"), "make room")
		g.want(abi.OK, g.ns.UnlinkAt(g.root, "tmp/b"), "make room")
	}
	check(g)

	b, err := json.Marshal(memfs.SaveMounts(g.ns))
	if err != nil {
		t.Fatal(err)
	}
	var list []memfs.MountState
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 4 || list[0].Guest != "/" || !list[0].ReadOnly || list[2].Guest != "/tmp/deep/er" || list[2].ReadOnly {
		t.Errorf("%d mounts: %.300s", len(list), b)
	}
	mounts, err := memfs.RestoreMounts(list, memfs.Options{Now: clock()})
	if err != nil {
		t.Fatal(err)
	}
	n := newGuest(t, mounts...)
	st, errno := n.ns.StatAt(n.root, "tmp/deep/er/c", 0)
	if errno != abi.OK || st.Dev != 4 || st.Size != block {
		t.Errorf("%+v, %v", st, errno)
	}
	check(n)
}

// prepare puts something into a root.
func (guest) prepare(t *testing.T, fs *memfs.FS) abi.Errno {
	g := newGuest(t, vfs.Mount{Guest: "/", FS: fs})
	if errno := g.ns.MkdirAt(g.root, "etc"); errno != abi.OK {
		return errno
	}
	return g.write("file", 10)
}

// One file system in memory and one that is not, each in the other: they are
// made in the order of their places, so no directory is made in the wrong one.
func TestMountAllOrder(t *testing.T) {
	root, foreign := newFS(0, 0, 1), foreignFS{newFS(0, 0, 2)}
	g := newGuest(t,
		vfs.Mount{Guest: "/host/tmp", FS: newFS(0, 0, 3)},
		vfs.Mount{Guest: "/host", FS: foreign},
		vfs.Mount{Guest: "/", FS: root},
	)
	g.want(abi.OK, g.write("host/tmp/file", 1), "write")
	if got := memfs.SaveMounts(g.ns); len(got) != 2 || got[1].Guest != "/host/tmp" {
		t.Errorf("%d mounts are saved", len(got))
	}
	h := newGuest(t, vfs.Mount{Guest: "/", FS: root})
	if got := h.names("host"); got != "" {
		t.Errorf("below the foreign mount the root has %s", got)
	}
	if err := g.ns.MountAll([]vfs.Mount{{Guest: "/host", FS: root}}); err == nil {
		t.Error("two mounts at one place")
	}
}

// foreignFS is a file system that is not saved here and makes no mount points.
type foreignFS struct{ fs *memfs.FS }

func (f foreignFS) Type() string               { return "foreign" }
func (f foreignFS) Root() (vfs.Dir, abi.Errno) { return f.fs.Root() }
func (f foreignFS) RestoreFile(r *vfs.Restorer, data []byte) (vfs.File, error) {
	return f.fs.RestoreFile(r, data)
}

func TestRestoreMountsHostile(t *testing.T) {
	good := newFS(0, 0, 0).Save()
	for _, c := range []struct {
		list []memfs.MountState
		text string
	}{
		{[]memfs.MountState{{Guest: "/"}}, `mount "/" has no content`},
		{[]memfs.MountState{{Guest: "/", FS: good}, {Guest: "/a", FS: new(memfs.State)}}, `mount "/a": memfs: quota`},
	} {
		if _, err := memfs.RestoreMounts(c.list, memfs.Options{Now: clock()}); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("error %v, want one about %q", err, c.text)
		}
	}
}
