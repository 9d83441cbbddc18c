package pipefs_test

import (
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/pipefs"
	"github.com/stasis-run/stasis/internal/vfs/vfstest"
)

// The suite of what bytes pass through.
func TestSuite(t *testing.T) {
	now := func() int64 { return 1 }
	vfstest.TestStream(t, vfstest.Stream{
		New: func(t *testing.T) (r, w *vfs.OpenFile) {
			r, w, errno := pipefs.NewSystem(now, nil).New()
			if errno != abi.OK {
				t.Fatal(errno)
			}
			return r, w
		},
		Kinds: func() map[string]vfs.RestoreFunc {
			return map[string]vfs.RestoreFunc{pipefs.Kind: pipefs.NewSystem(now, nil).Restore}
		},
		Gone: abi.EPIPE,
	})
}
