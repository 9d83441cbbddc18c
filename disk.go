package stasis

import (
	"io/fs"
	"syscall"
)

// allocated is what a file takes on disk, in bytes.
func allocated(st fs.FileInfo) int64 {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return s.Blocks * 512
	}
	return st.Size()
}
