package hostfs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/vfs"
)

// A guest is a namespace with one host directory as its root.
type guest struct {
	t    *testing.T
	host string // the directory
	fs   *FS
	ns   *vfs.Namespace
	root *vfs.OpenFile
}

// newGuest offers the host directory.
func newGuest(t *testing.T, host string, o Options) *guest {
	t.Helper()
	fs, err := Open(host, o)
	if err != nil {
		t.Fatal(err)
	}
	ns := vfs.NewNamespace(func() int64 { return 1_700_000_000e9 })
	if err := ns.Mount(vfs.Mount{Guest: "/", FS: fs, ReadOnly: o.ReadOnly}); err != nil {
		t.Fatal(err)
	}
	root, err := ns.OpenRoot("/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		root.DecRef()
		fs.Close()
		if n := len(fs.handles); n != 0 {
			t.Errorf("%d handles are left", n)
		}
		if n := len(fs.files); n != 0 {
			t.Errorf("%d files are left", n)
		}
	})
	return &guest{t: t, host: host, fs: fs, ns: ns, root: root}
}

// tryOpen opens p, following links.
func (g *guest) tryOpen(p string, oflags abi.OFlags, write bool) (*vfs.OpenFile, abi.Errno) {
	return g.ns.OpenAt(g.root, p, abi.SymlinkFollow, oflags, true, write, 0)
}

// open opens p, which must work, until the end of the test.
func (g *guest) open(p string, oflags abi.OFlags, write bool) *vfs.OpenFile {
	g.t.Helper()
	f, errno := g.tryOpen(p, oflags, write)
	if errno != abi.OK {
		g.t.Fatalf("open %s: %v", p, errno)
	}
	g.t.Cleanup(f.DecRef)
	return f
}

// read reads up to n bytes.
func read(t *testing.T, f *vfs.OpenFile, n int) string {
	t.Helper()
	buf := make([]byte, n)
	n, errno := f.Read([][]byte{buf})
	if errno != abi.OK {
		t.Fatalf("read %s: %v", f.Path(), errno)
	}
	return string(buf[:n])
}

// write writes all of s.
func write(t *testing.T, f *vfs.OpenFile, s string) {
	t.Helper()
	if n, errno := f.Write([][]byte{[]byte(s)}); n != len(s) || errno != abi.OK {
		t.Fatalf("write %s: %d, %v", f.Path(), n, errno)
	}
}

// put makes a file of the host.
func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
}

// must fails the test on an error of the host.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// save saves files, through the bytes of an image.
func save(t *testing.T, g *guest, files ...*vfs.OpenFile) (*vfs.State, error) {
	t.Helper()
	s := vfs.NewSaver(g.ns)
	for _, f := range files {
		if _, err := s.File(f); err != nil {
			return nil, err
		}
	}
	text, err := protostruct.Marshal(s.State())
	must(t, err)
	var st vfs.State
	must(t, protostruct.Unmarshal(text, &st))
	return &st, nil
}

// restore opens the files of st in g.
func restore(t *testing.T, g *guest, st *vfs.State) ([]*vfs.OpenFile, error) {
	t.Helper()
	r, err := vfs.NewRestorer(st, g.ns, nil)
	must(t, err)
	defer r.Close()
	var files []*vfs.OpenFile
	for i := range st.Files {
		f, err := r.File(vfs.FileID(i))
		if err != nil {
			return nil, err
		}
		t.Cleanup(f.DecRef)
		files = append(files, f)
	}
	return files, nil
}
