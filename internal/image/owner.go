//go:build unix

package image

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// checkOwner refuses a file of an image, or its directory, that somebody else
// than its user or root can have written to.
func checkOwner(st fs.FileInfo, name, path string) error {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return nil // not a file of the host
	}
	if uid := os.Geteuid(); sys.Uid != 0 && int(sys.Uid) != uid {
		return &UnsafeError{name, fmt.Sprintf("belongs to user %d, not to you (%d) or root; if you trust it, copy the image: cp -R", sys.Uid, uid)}
	}
	if mode := st.Mode().Perm(); mode&0o022 != 0 {
		return &UnsafeError{name, fmt.Sprintf("mode %#o lets others write to it; if you trust it: chmod go-w %s", mode, path)}
	}
	return nil
}
