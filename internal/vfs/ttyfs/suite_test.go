package ttyfs_test

import (
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/ttyfs"
	"github.com/stasis-run/stasis/internal/vfs/vfstest"
)

// The suite of what bytes pass through, from the master to a terminal that changes
// nothing.
func TestSuite(t *testing.T) {
	vfstest.TestStream(t, vfstest.Stream{
		New: func(t *testing.T) (r, w *vfs.OpenFile) {
			master, term, errno := ttyfs.NewPtys(ttyfs.PtyOptions{}).New()
			if errno != abi.OK {
				t.Fatal(errno)
			}
			tio := term.Termios()
			tio.Iflag, tio.Oflag, tio.Lflag = 0, 0, 0
			if errno := term.SetTermios(tio, ttyfs.TCSANow); errno != abi.OK {
				t.Fatal(errno)
			}
			return vfs.NewOpenFile(term.Open(), true, true, 0), vfs.NewOpenFile(master, true, true, 0)
		},
		Kinds: func() map[string]vfs.RestoreFunc {
			ptys := ttyfs.NewPtys(ttyfs.PtyOptions{})
			return map[string]vfs.RestoreFunc{
				ttyfs.MasterKind: ptys.Restore,
				ttyfs.Kind:       ttyfs.Restore(func(name string) (*ttyfs.Terminal, error) { return ptys.Provide(name), nil }),
			}
		},
		HangsUp: true,
	})
}
