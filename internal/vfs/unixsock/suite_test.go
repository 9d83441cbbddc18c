package unixsock_test

import (
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/unixsock"
	"github.com/stasis-run/stasis/internal/vfs/vfstest"
)

// The suite of what bytes pass through.
func TestSuite(t *testing.T) {
	now := func() int64 { return 1 }
	for _, back := range []bool{false, true} {
		t.Run(map[bool]string{false: "one way", true: "the other"}[back], func(t *testing.T) {
			vfstest.TestStream(t, vfstest.Stream{
				New: func(t *testing.T) (r, w *vfs.OpenFile) {
					a, b, errno := unixsock.NewSystem(now, nil).Pair(unixsock.Stream, 0)
					if errno != abi.OK {
						t.Fatal(errno)
					}
					if back {
						return b, a
					}
					return a, b
				},
				Kinds: func() map[string]vfs.RestoreFunc {
					return map[string]vfs.RestoreFunc{unixsock.Kind: unixsock.NewSystem(now, nil).Restore}
				},
				Gone: abi.EPIPE,
			})
		})
	}
}
