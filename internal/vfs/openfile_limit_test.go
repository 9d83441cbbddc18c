package vfs_test

import (
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
)

// What is written ends below the limit; what begins there is refused.
func TestWriteBelow(t *testing.T) {
	wall := func() int64 { return 0 }
	ns := vfs.NewNamespace(wall)
	if err := ns.MountAll([]vfs.Mount{{Guest: "/", FS: memfs.New(memfs.Options{Now: wall})}}); err != nil {
		t.Fatal(err)
	}
	root, err := ns.OpenRoot("/")
	if err != nil {
		t.Fatal(err)
	}
	defer root.DecRef()
	const limit = 10
	for _, c := range []struct {
		name  string
		flags abi.FDFlags
		write func(f *vfs.OpenFile, at uint64, b []byte) (int, abi.Errno)
	}{
		{"write", 0, func(f *vfs.OpenFile, _ uint64, b []byte) (int, abi.Errno) {
			return f.WriteBelow(limit, [][]byte{b[:1], b[1:]})
		}},
		{"append", abi.FDAppend, func(f *vfs.OpenFile, _ uint64, b []byte) (int, abi.Errno) {
			return f.WriteBelow(limit, [][]byte{b})
		}},
		{"pwrite", 0, func(f *vfs.OpenFile, at uint64, b []byte) (int, abi.Errno) {
			return f.WriteAtBelow(limit, [][]byte{b}, at)
		}},
	} {
		f, errno := ns.OpenAt(root, c.name, 0, abi.OCreat, true, true, c.flags)
		if errno != abi.OK {
			t.Fatal(errno)
		}
		for at, want := range []int{4, 4, 2} {
			if n, errno := c.write(f, uint64(4*at), []byte("abcd")); n != want || errno != abi.OK {
				t.Errorf("%s at %d: %d, %v, want %d", c.name, 4*at, n, errno, want)
			}
		}
		if n, errno := c.write(f, limit, []byte("a")); n != 0 || errno != abi.EFBIG {
			t.Errorf("%s at the limit: %d, %v", c.name, n, errno)
		}
		if n, errno := f.WriteBelow(limit, nil); n != 0 || errno != abi.OK {
			t.Errorf("%s of nothing: %d, %v", c.name, n, errno)
		}
		if st, _ := f.Stat(); st.Size != limit {
			t.Errorf("%s: %d bytes", c.name, st.Size)
		}
		f.DecRef()
	}
}
