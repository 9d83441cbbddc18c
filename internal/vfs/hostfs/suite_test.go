package hostfs

import (
	"testing"

	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/vfstest"
)

func TestSuite(t *testing.T) {
	open := func(t *testing.T, host string) vfs.FileSystem {
		fs, err := Open(host, Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(fs.Close)
		return fs
	}
	vfstest.TestFileSystem(t, vfstest.Config{
		New: func(t *testing.T) vfs.FileSystem { return open(t, t.TempDir()) },
		Save: func(t *testing.T, fs vfs.FileSystem) func() vfs.FileSystem {
			host := fs.(*FS).host
			return func() vfs.FileSystem { return open(t, host) }
		},
	})
}
