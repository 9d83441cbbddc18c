package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

var (
	// ErrCorrupt is what every [CorruptError] is.
	ErrCorrupt = errors.New("corrupt image")

	// ErrVersion is what every [VersionError] is.
	ErrVersion = errors.New("unsupported image version")

	// ErrExists says that the name for a new image is taken.
	ErrExists = errors.New("already exists")

	// ErrUnfinished says that a directory is what an unfinished checkpoint
	// left; [Clean] removes it.
	ErrUnfinished = errors.New("unfinished checkpoint")
)

// A CorruptError tells which file of an image is not what it should be.
type CorruptError struct {
	File   string // its name in the image: "pages-0"
	Detail string // what is wrong with it, values included
}

func (e *CorruptError) Error() string { return e.File + ": " + e.Detail }

// Is reports whether target is [ErrCorrupt].
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// A VersionError refuses an image of a version that this package cannot read.
type VersionError struct {
	Got, Oldest, Newest int
}

func (e *VersionError) Error() string {
	if e.Oldest == e.Newest {
		return fmt.Sprintf("image version %d, this program reads version %d", e.Got, e.Newest)
	}
	return fmt.Sprintf("image version %d, this program reads versions %d to %d", e.Got, e.Oldest, e.Newest)
}

// Is reports whether target is [ErrVersion].
func (e *VersionError) Is(target error) bool { return target == ErrVersion }

func corruptf(file, format string, args ...any) error {
	return &CorruptError{File: file, Detail: fmt.Sprintf(format, args...)}
}

// wrongSum says that file has another digest than its image names.
func wrongSum(file string, got, want string) error {
	return corruptf(file, "sha256 %s, want %s", short(got), short(want))
}

// short is the start of a digest, enough to tell two apart.
func short(sum string) string { return sum[:min(8, len(sum))] + "…" }

// cause takes the operation and the path off an error of package os: our
// texts name the file as users know it, not where it lay before its rename.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.SyscallError](err); ok {
		return e.Err
	}
	return err
}
