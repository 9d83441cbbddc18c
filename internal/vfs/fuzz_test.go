package vfs_test

import (
	"strings"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
)

// FuzzPaths runs calls with any paths below a directory fd, and looks whether
// they did anything outside of that directory. Script is lines of a call's
// letter and a path, with a second path after a tab.
func FuzzPaths(f *testing.F) {
	for _, s := range []string{
		"m a\nm a/b\nc a/b/../x\ns a/b/l\t../..\nt a/b/l/../../secret\no a/b/l",
		"s l\t../secret\nc l\nu l\nr secret\t../secret\nl ../secret\tx",
		"s a\ta\nt a\nt a/\nm a/\nr a\tb/\nd b\ns x\t/\nt x/secret",
		"m d\nr d\td/e\nr d\t..\nr ..\td\nr ../in\tx\nd .\nd ..\nd d/..",
		"c \x00\nc \xff\nt ./././.\nt //\nm x//\ns y\tx/..\nt y/../..\nt y/./in",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, script string) {
		_, ns, table := newTree(t)
		root, _ := table.Get(0, 0)
		defer root.DecRef()
		if errno := ns.MkdirAt(root, "in"); errno != abi.OK {
			t.Fatal(errno)
		}
		fd, errno := table.PathOpen(ns, 0, 0, "secret", abi.OCreat, abi.RightsFile, 0, 0)
		if errno != abi.OK {
			t.Fatal(errno)
		}
		secret, _ := table.Get(fd, 0)
		defer secret.DecRef()
		secret.Write([][]byte{[]byte("secret")})
		before, _ := secret.Stat()
		in, errno := table.PathOpen(ns, 0, 0, "in", abi.ODirectory, abi.RightsDir, abi.RightsDirInheriting, 0)
		if errno != abi.OK {
			t.Fatal(errno)
		}
		dir, _ := table.Get(in, 0)
		defer dir.DecRef()
		for i, line := range strings.Split(script, "\n") {
			if i == 100 {
				break
			}
			call, paths, _ := strings.Cut(line, " ")
			step(ns, table, in, dir, call, paths, t, before.Ino)
		}
		table.CloseAll()

		after, _ := secret.Stat()
		if after != before {
			t.Errorf("outside: %+v, was %+v", after, before)
		}
		var names []string
		root.ReadDir(0, func(d vfs.Dirent) bool { names = append(names, d.Name); return true })
		if s := strings.Join(names, " "); s != ". .. in secret" {
			t.Errorf("outside there are %s", s)
		}
	})
}

func step(ns *vfs.Namespace, table *vfs.FDTable, in vfs.FD, dir *vfs.OpenFile, call, paths string, t *testing.T, secret uint64) {
	a, b, _ := strings.Cut(paths, "\t")
	switch call {
	case "m":
		ns.MkdirAt(dir, a)
	case "d":
		ns.RmdirAt(dir, a)
	case "u":
		ns.UnlinkAt(dir, a)
	case "r":
		ns.RenameAt(dir, a, dir, b)
	case "l":
		ns.LinkAt(dir, a, abi.SymlinkFollow, dir, b)
	case "s":
		ns.SymlinkAt(b, dir, a)
	case "t":
		if st, errno := ns.StatAt(dir, a, abi.SymlinkFollow); errno == abi.OK && st.Ino == secret {
			t.Errorf("stat %q is outside", a)
		}
		ns.SetTimesAt(dir, a, abi.SymlinkFollow, 1, 1, abi.FstMtim)
	case "c", "o":
		flags := abi.OTrunc
		if call == "c" {
			flags |= abi.OCreat
		}
		fd, errno := table.PathOpen(ns, in, abi.SymlinkFollow, a, flags, abi.RightsFile, 0, 0)
		if errno != abi.OK {
			return
		}
		f, _ := table.Get(fd, 0)
		f.Write([][]byte{[]byte(b)})
		f.DecRef()
		table.Close(fd)
	}
}

// image is what a restore reads.
type image struct {
	VFS   vfs.State        `pb:"1"`
	Table vfs.FDTableState `pb:"2"`
	Mem   memfs.State      `pb:"3"`
}

// fullImage has a file of each sort, named and not, and fds that share one.
func fullImage(t testing.TB) []byte {
	fs, ns, table := newTree(t)
	root, _ := table.Get(0, 0)
	ns.MkdirAt(root, "dir")
	ns.SymlinkAt("dir/file", root, "link")
	for _, name := range []string{"dir/file", "gone"} {
		fd, _ := table.PathOpen(ns, 0, 0, name, abi.OCreat, abi.RightsFile, 0, abi.FDAppend)
		file, _ := table.Get(fd, 0)
		file.Write([][]byte{[]byte("content")})
		file.DecRef()
	}
	ns.LinkAt(root, "dir/file", 0, root, "name")
	ns.UnlinkAt(root, "gone")
	table.Dup(1, 0, true)
	root.DecRef()
	return saveImage(t, fs, ns, table)
}

// FuzzRestore restores any image. What is taken can be used, and saved and
// restored again, with the same result.
func FuzzRestore(f *testing.F) {
	full := fullImage(f)
	f.Add(full)
	var img image
	if err := protostruct.Unmarshal(full, &img); err != nil {
		f.Fatal(err)
	}
	// Contents that are holes only, and nothing open.
	for i := range img.Mem.Nodes {
		img.Mem.Nodes[i].Extents = nil
	}
	b, err := protostruct.Marshal(image{Mem: img.Mem})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)

	f.Fuzz(func(t *testing.T, b []byte) {
		fs, ns, table := restoreImage(b)
		if table == nil {
			return
		}
		use(ns, table)
		first := saveImage(t, fs, ns, table)
		fs, ns, table = restoreImage(first)
		if table == nil {
			t.Fatalf("what was saved is refused: %x", first)
		}
		if second := saveImage(t, fs, ns, table); string(second) != string(first) {
			t.Errorf("saved again:\n%x\nwas\n%x", second, first)
		}
	})
}

func saveImage(t testing.TB, fs *memfs.FS, ns *vfs.Namespace, table *vfs.FDTable) []byte {
	t.Helper()
	s := vfs.NewSaver(ns)
	fds, err := table.Save(s)
	if err != nil {
		t.Fatal(err)
	}
	b, err := protostruct.Marshal(image{*s.State(), *fds, *fs.Save()})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// restoreImage returns nil if b is refused.
func restoreImage(b []byte) (*memfs.FS, *vfs.Namespace, *vfs.FDTable) {
	var img image
	if protostruct.Unmarshal(b, &img) != nil {
		return nil, nil, nil
	}
	fs, err := memfs.Restore(&img.Mem, memfs.Options{Now: now})
	if err != nil {
		return nil, nil, nil
	}
	ns := vfs.NewNamespace(now)
	if ns.Mount(vfs.Mount{Guest: "/", FS: fs}) != nil {
		return nil, nil, nil
	}
	r, err := vfs.NewRestorer(&img.VFS, ns, nil)
	if err != nil {
		return nil, nil, nil
	}
	defer r.Close()
	table, err := vfs.RestoreFDTable(&img.Table, r)
	if err != nil {
		return nil, nil, nil
	}
	return fs, ns, table
}

// use does a bit of everything with the first fds.
func use(ns *vfs.Namespace, table *vfs.FDTable) {
	for fd := range vfs.FD(8) {
		f, errno := table.Get(fd, 0)
		if errno != abi.OK {
			continue
		}
		b := [][]byte{make([]byte, 100)}
		f.Write(b)
		f.Read(b)
		f.ReadAt(b, 1<<39)
		f.SetSize(70_000)
		f.Lseek(-10, abi.SeekEnd)
		var names []string
		f.ReadDir(0, func(d vfs.Dirent) bool { names = append(names, d.Name); return len(names) < 50 })
		for _, name := range names {
			ns.StatAt(f, name, abi.SymlinkFollow)
		}
		ns.MkdirAt(f, "made")
		ns.RenameAt(f, "made", f, "dir/moved")
		ns.UnlinkAt(f, "name")
		f.DecRef()
	}
}
