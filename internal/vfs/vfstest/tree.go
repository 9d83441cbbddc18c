package vfstest

import (
	"slices"
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/vfs"
)

// Tree says how to test a file system that cannot be written to: /dev, /proc.
type Tree struct {
	// FS has something in it already. A directory below its root is enough to
	// make the test look at it.
	FS vfs.FileSystem

	// Again returns it as it is after a restore.
	Again func() vfs.FileSystem

	// Caller is the pid of the process that looks.
	Caller uint32

	// Kinds restore what lies in it and belongs to no mount.
	Kinds map[string]vfs.RestoreFunc

	// Changing are files whose content differs between two opens.
	Changing []string
}

// TestTree runs the part of the suite that needs nothing made: listings agree
// with what is there, nothing can be changed, and what is open is so after a
// restore.
func TestTree(t *testing.T, c Tree) {
	w := &treeWalk{T: t, c: c}
	w.ns, w.ctx = w.mount(c.FS)
	defer w.ctx.Close()
	w.look("/")
	if len(w.files) < 3 {
		t.Errorf("there are only %q", w.files)
	}
	w.changes()
	w.restore()
}

type treeWalk struct {
	*testing.T
	c     Tree
	ns    *vfs.Namespace
	ctx   *vfs.FSContext
	dirs  []string
	files []string // that can be read
}

func (w *treeWalk) mount(fs vfs.FileSystem) (*vfs.Namespace, *vfs.FSContext) {
	w.Helper()
	ns := vfs.NewNamespace(func() int64 { return 1_700_000_000e9 })
	if err := ns.Mount(vfs.Mount{Guest: "/", FS: fs}); err != nil {
		w.Fatal(err)
	}
	ctx, err := vfs.NewFSContext(ns, "/")
	if err != nil {
		w.Fatal(err)
	}
	ctx.SetCaller(w.c.Caller)
	return ns, ctx
}

// look checks a directory and all below.
func (w *treeWalk) look(p string) {
	w.dirs = append(w.dirs, p)
	f, errno := w.ctx.OpenAt(nil, p, 0, abi.ODirectory, true, false, 0)
	if errno != abi.OK {
		w.Errorf("open %s: %v", p, errno)
		return
	}
	defer f.DecRef()
	list := func(cookie uint64) (out []vfs.Dirent) {
		f.ReadDir(cookie, func(e vfs.Dirent) bool { out = append(out, e); return true })
		return out
	}
	all := list(0)
	if len(all) < 2 || all[0].Name != "." || all[1].Name != ".." {
		w.Errorf("%s lists %+v", p, all)
		return
	}
	for i, e := range all {
		if rest := list(e.Next); !slices.Equal(rest, all[i+1:]) {
			w.Errorf("%s after %q: %+v, want %+v", p, e.Name, rest, all[i+1:])
		}
		if i < 2 {
			continue
		}
		at := strings.TrimSuffix(p, "/") + "/" + e.Name
		st, errno := w.ctx.StatAt(nil, at, 0)
		if errno != abi.OK || st.Ino != e.Ino || st.Filetype != e.Filetype {
			w.Errorf("%s is listed as a %v, inode %d; stat tells %+v, %v", at, e.Filetype, e.Ino, st, errno)
		}
		switch e.Filetype {
		case abi.FiletypeDirectory:
			w.look(at)
		case abi.FiletypeSymbolicLink:
			if to, errno := w.ctx.ReadlinkAt(nil, at); errno != abi.ENOENT && (errno != abi.OK || to == "") { // ENOENT: it leads nowhere, as exe of a zombie
				w.Errorf("readlink %s: %q, %v", at, to, errno)
			}
			if _, errno := w.ctx.OpenAt(nil, at, 0, 0, true, false, 0); errno != abi.ELOOP {
				w.Errorf("open %s without following: %v", at, errno)
			}
		default:
			w.files = append(w.files, at)
		}
	}
	if _, errno := w.ctx.StatAt(nil, p+"/none", 0); errno != abi.ENOENT {
		w.Errorf("stat %s/none: %v", p, errno)
	}
}

// changes tries to change everything.
func (w *treeWalk) changes() {
	c := w.ctx
	refused := func(what string, errno abi.Errno) {
		w.Helper()
		if errno == abi.OK || errno == abi.ENOENT {
			w.Errorf("%s: %v", what, errno)
		}
	}
	for _, d := range w.dirs {
		refused("mkdir in "+d, c.MkdirAt(nil, d+"/new"))
		refused("symlink in "+d, c.SymlinkAt("x", nil, d+"/new"))
		_, errno := c.OpenAt(nil, d+"/new", 0, abi.OCreat, false, true, 0)
		refused("create in "+d, errno)
		refused("rmdir "+d, c.RmdirAt(nil, d))
	}
	for _, f := range w.files {
		refused("unlink "+f, c.UnlinkAt(nil, f))
		refused("rename "+f, c.RenameAt(nil, f, nil, f+"x"))
		refused("link "+f, c.LinkAt(nil, f, 0, nil, f+"x"))
		refused("mkdir "+f, c.MkdirAt(nil, f))
		_, errno := c.OpenAt(nil, f+"/x", 0, 0, true, false, 0)
		refused("open below "+f, errno)
		_, errno = c.OpenAt(nil, f, 0, abi.OCreat|abi.OExcl, true, false, 0)
		refused("create "+f, errno)
	}
	for _, d := range w.dirs {
		if _, errno := c.StatAt(nil, d, 0); errno != abi.OK {
			w.Errorf("%s is not there any more: %v", d, errno)
		}
	}
}

// restore has everything open over a restore.
func (w *treeWalk) restore() {
	table := vfs.NewFDTable(1 << 12)
	contents := make(map[vfs.FD]string)
	for _, p := range append(slices.Clone(w.files), w.dirs...) {
		f, errno := w.ctx.OpenAt(nil, p, 0, 0, true, false, 0)
		if errno != abi.OK {
			continue // a terminal that the caller does not have
		}
		fd, errno := table.InstallAll(f)
		if errno != abi.OK {
			w.Fatal(errno)
		}
		contents[fd] = w.rest(f, 3)
		if !slices.Contains(w.c.Changing, p) {
			g, errno := w.ctx.OpenAt(nil, p, 0, 0, true, false, 0)
			if errno == abi.OK {
				if again := w.rest(g, 3); again != contents[fd] {
					w.Errorf("%s: %q, and then %q", p, contents[fd], again)
				}
				g.DecRef()
			}
		}
	}
	s := vfs.NewSaver(w.ns)
	st, err := table.Save(s)
	if err != nil {
		w.Fatal(err)
	}
	before := make(map[vfs.FD]abi.Filestat)
	for fd := range contents {
		before[fd], _ = w.get(table, fd).Stat()
	}
	var state vfs.State
	if b, err := protostruct.Marshal(s.State()); err != nil {
		w.Fatal(err)
	} else if err := protostruct.Unmarshal(b, &state); err != nil {
		w.Fatal(err)
	}
	table.CloseAll()
	ns, ctx := w.mount(w.c.Again())
	defer ctx.Close()
	r, err := vfs.NewRestorer(&state, ns, w.c.Kinds)
	if err != nil {
		w.Fatal(err)
	}
	defer r.Close()
	if table, err = vfs.RestoreFDTable(st, r); err != nil {
		w.Fatal(err)
	}
	defer table.CloseAll()
	for fd, want := range contents {
		f := w.get(table, fd)
		if after, _ := f.Stat(); after.Filetype != before[fd].Filetype || after.Ino != before[fd].Ino {
			w.Errorf("%s: %+v, was %+v", f.Path(), after, before[fd])
		}
		if _, ok := f.File().(vfs.Regular); ok {
			if got := w.rest(f, 3); got != want {
				w.Errorf("%s goes on with %q, want %q", f.Path(), got, want)
			}
		}
	}
}

// rest returns what is in f from an offset on, if it has offsets.
func (w *treeWalk) rest(f *vfs.OpenFile, off uint64) string {
	if _, ok := f.File().(vfs.Regular); !ok {
		return ""
	}
	b := make([]byte, 1<<16)
	n, errno := f.ReadAt([][]byte{b}, off)
	if errno != abi.OK {
		w.Errorf("read %s: %v", f.Path(), errno)
	}
	return string(b[:n])
}

// get returns what is at fd, which the table keeps.
func (w *treeWalk) get(table *vfs.FDTable, fd vfs.FD) *vfs.OpenFile {
	f, errno := table.Get(fd, 0)
	if errno != abi.OK {
		w.Fatal(errno)
	}
	f.DecRef()
	return f
}
