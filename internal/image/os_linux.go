package image

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return renameChecked(from, to) // a file system that cannot, NFS for one
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

func (f osFile) NextData(off int64) (start, end int64, err error) {
	fd := int(f.Fd())
	start, err = unix.Seek(fd, off, unix.SEEK_DATA)
	if err == nil {
		end, err = unix.Seek(fd, start, unix.SEEK_HOLE)
	}
	switch {
	case err == nil && end > start:
		return start, end, nil
	case errors.Is(err, unix.ENXIO):
		return 0, 0, io.EOF
	case err == nil, errors.Is(err, unix.EINVAL): // a file system without holes
		return off, math.MaxInt64, nil
	}
	return 0, 0, &fs.PathError{Op: "seek", Path: f.Name(), Err: err}
}
