//go:build unix

package image

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// An FS is the part of a host file system that images need. [OS] is the real
// one; tests put package faultfs before it.
type FS interface {
	// Mkdir makes a directory that only its owner may enter. It fails if the
	// name is taken.
	Mkdir(name string) error

	// Create makes a new file that only its owner may read and write, and
	// opens it. It fails if the name is taken.
	Create(name string) (File, error)

	// Open opens a file for reading. It does not follow a symbolic link in
	// the last element, and does not wait for the other end of a pipe.
	Open(name string) (File, error)

	// OpenDir opens a directory, to lock or sync it.
	OpenDir(name string) (File, error)

	// RenameNew renames from to to, and fails with fs.ErrExist where to
	// exists, be it an empty directory.
	RenameNew(from, to string) error

	// RemoveAll removes name and all that is in it. A name that does not
	// exist is no error.
	RemoveAll(name string) error

	// ReadDir returns the entries of a directory in no special order, but no
	// more than limit of them; 0 is no limit.
	ReadDir(name string, limit int) ([]fs.DirEntry, error)

	// Lstat tells what name is, without following a symbolic link.
	Lstat(name string) (fs.FileInfo, error)
}

// A File is an open file or directory of an [FS].
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Stat() (fs.FileInfo, error)

	// Truncate sets the size in bytes; what it adds is a hole.
	Truncate(size int64) error

	// NextData returns the first stretch at or after off that is not a hole,
	// and io.EOF where there is none. The stretch may be longer than what
	// holds data, and may end beyond the file.
	NextData(off int64) (start, end int64, err error)

	// Sync returns when the file's bytes, or the directory's names, would
	// survive a power cut.
	Sync() error

	// TryLock takes an exclusive lock that lasts until Close or the end of
	// the process, and reports false if another open file has it.
	TryLock() (bool, error)
}

// OS is the host's file system.
var OS FS = osFS{}

// NewFile makes a File of a descriptor that another process opened. Closing
// it closes f.
func NewFile(f *os.File) File { return osFile{f} }

type osFS struct{}

type osFile struct{ *os.File }

// file keeps a nil *os.File from becoming a File that is not nil.
func file(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// OSFile returns what is behind a File of [OS] or [NewFile], for its
// descriptor to be passed to another process; nil for other files.
func OSFile(f File) *os.File {
	if o, ok := f.(osFile); ok {
		return o.File
	}
	return nil
}

func (osFS) Mkdir(name string) error { return os.Mkdir(name, dirMode) }

func (osFS) Create(name string) (File, error) {
	return file(os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, fileMode))
}

func (osFS) Open(name string) (File, error) {
	return file(os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0))
}

func (osFS) OpenDir(name string) (File, error) {
	return file(os.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY, 0))
}

func (osFS) RenameNew(from, to string) error { return renameNew(from, to) }

func (osFS) RemoveAll(name string) error { return os.RemoveAll(name) }

func (osFS) Lstat(name string) (fs.FileInfo, error) { return os.Lstat(name) }

func (osFS) ReadDir(name string, limit int) ([]fs.DirEntry, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if limit <= 0 {
		return f.ReadDir(-1)
	}
	var all []fs.DirEntry
	for len(all) < limit {
		some, err := f.ReadDir(limit - len(all))
		all = append(all, some...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (f osFile) TryLock() (bool, error) {
	for {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, unix.EINTR):
			return false, &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
		}
	}
}

// renameChecked is RenameNew where the kernel cannot do it in one step: what
// appears between the look and the rename is replaced if it is an empty
// directory, and refused otherwise.
func renameChecked(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: fs.ErrExist}
	}
	return os.Rename(from, to)
}
