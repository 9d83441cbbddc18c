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

	// ErrVersion is what every [VersionError] and every [FeatureError] is.
	ErrVersion = errors.New("unsupported image version")

	// ErrExists says that the name for a new image is taken.
	ErrExists = errors.New("already exists")

	// ErrUnfinished says that a directory is what an unfinished checkpoint
	// left; [Clean] removes it.
	ErrUnfinished = errors.New("unfinished checkpoint")

	// ErrNoModule says that an image does not hold a module that was asked
	// for: it is thin, or was never about that module.
	ErrNoModule = errors.New("not in the image")

	// ErrUnsafe is what every [UnsafeError] is.
	ErrUnsafe = errors.New("unsafe owner or mode")
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
	got := fmt.Sprintf("image version %d", e.Got)
	if e.Got == 0 {
		got = "image version 0 was a draft"
	}
	if e.Oldest == e.Newest {
		return fmt.Sprintf("%s, this program reads version %d", got, e.Newest)
	}
	return fmt.Sprintf("%s, this program reads versions %d to %d", got, e.Oldest, e.Newest)
}

// Is reports whether target is [ErrVersion].
func (e *VersionError) Is(target error) bool { return target == ErrVersion }

// A FeatureError refuses an image that a reader can only understand if it
// knows a feature, which this package does not.
type FeatureError struct {
	Name string // as in [Config.Requires]
}

func (e *FeatureError) Error() string {
	return fmt.Sprintf("image requires %.40q, which this program does not know", e.Name)
}

// Is reports whether target is [ErrVersion].
func (e *FeatureError) Is(target error) bool { return target == ErrVersion }

// An UnsafeError refuses an image that others than its user could have written
// to, or still can.
type UnsafeError struct {
	File   string // its name in the image; "." is the directory
	Detail string // what is wrong with it, and what to do about it
}

func (e *UnsafeError) Error() string { return e.File + ": " + e.Detail }

// Is reports whether target is [ErrUnsafe].
func (e *UnsafeError) Is(target error) bool { return target == ErrUnsafe }

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
