package memfs_test

import (
	"testing"

	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
	"github.com/stasis-run/stasis/internal/vfs/vfstest"
)

// clock returns a clock that moves whenever it is read.
func clock() func() int64 {
	now := int64(1_700_000_000e9)
	return func() int64 { now += 1000; return now }
}

func TestFileSystem(t *testing.T) {
	var now func() int64 // guarded by the file system's lock
	vfstest.TestFileSystem(t, vfstest.Config{
		Mode: vfstest.UnlinkedDirs | vfstest.StableInodes,
		New: func(*testing.T) vfs.FileSystem {
			now = clock()
			return memfs.New(memfs.Options{Now: now, Dev: 7})
		},
		Save: func(t *testing.T, fs vfs.FileSystem) func() vfs.FileSystem {
			b, err := protostruct.Marshal(fs.(*memfs.FS).Save())
			if err != nil {
				t.Fatal(err)
			}
			return func() vfs.FileSystem {
				var s memfs.State
				if err := protostruct.Unmarshal(b, &s); err != nil {
					t.Fatal(err)
				}
				fs, err := memfs.Restore(&s, memfs.Options{Now: now})
				if err != nil {
					t.Fatal(err)
				}
				return fs
			}
		},
	})
}
