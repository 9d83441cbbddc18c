package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/wasm"
)

// Advise adds to an error its kind and what the user can do about it, where that
// is known.
func Advise(err error) error {
	if err == nil || fault.Advised(err) {
		return err
	}
	return &fault.Error{Kind: kindOf(err), Err: err, Remedy: remedy(err)}
}

func advise(err error, format string, args ...any) error {
	return fault.Advise(kindOf(err), err, format, args...)
}

// isAny reports whether err is one of targets.
func isAny(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(t error) bool { return errors.Is(err, t) })
}

// kindOf is the kind of an error: said by somebody, or known by its cause.
func kindOf(err error) fault.Kind {
	if k := fault.KindOf(err); k != fault.Internal {
		return k
	}
	var missing *vfs.MissingError
	var memory *engine.MemoryError
	var imported *kernel.ImportError
	var module *wasm.Error
	switch {
	case errors.As(err, &missing):
		return fault.Refused
	case errors.As(err, &memory):
		return fault.Exhausted
	case isAny(err, image.ErrCorrupt, image.ErrUnfinished, image.ErrUnsafe):
		return fault.Corrupt
	case isAny(err, image.ErrVersion):
		return fault.Unsupported
	case errors.As(err, &imported), errors.As(err, &module),
		isAny(err, engine.ErrUnsupported, wasm.ErrUnsupported, instrument.ErrUnsupported):
		return fault.NotRunnable
	case isAny(err, kernel.ErrExiting, errEnded):
		return fault.AlreadyStopped
	case isAny(err, image.ErrExists):
		return fault.Exists
	case isAny(err, kernel.ErrTooManyTasks, unix.ENOSPC, unix.EDQUOT, unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EFBIG,
		engine.ErrNoMemory, vfs.ErrNoMemory):
		return fault.Exhausted
	case isAny(err, fs.ErrNotExist):
		return fault.NotFound
	}
	return fault.Internal
}

// remedy is what the user can do about err, or "". What is most special comes
// first.
func remedy(err error) string {
	var missing *vfs.MissingError
	var memory *engine.MemoryError
	var imported *kernel.ImportError
	var module *wasm.Error
	var net *net.OpError
	is := func(targets ...error) bool { return isAny(err, targets...) }
	switch {
	case errors.As(err, &missing):
		return "grant it with " + grantFlag(missing)
	case errors.As(err, &memory):
		return fmt.Sprintf("allow it with -m %d", memory.Need)
	case is(engine.ErrNoMemory, vfs.ErrNoMemory):
		return "allow more with -m"
	case is(kernel.ErrTooManyTasks):
		return "allow it with --pids-limit"
	case errors.As(err, &imported):
		return importRemedy(imported)
	case is(engine.ErrUnsupported, wasm.ErrUnsupported, instrument.ErrUnsupported):
		return featureRemedy(err)
	case errors.As(err, &module):
		return "the file is damaged or incomplete: build or fetch it again"
	case is(image.ErrUnfinished):
		return "its checkpoint never ended: use another image, remove this one"
	case is(image.ErrVersion):
		return "restore it with the stasis that wrote it"
	case is(image.ErrCorrupt):
		return "it is no image, or damaged or incomplete: use an intact copy"
	case is(image.ErrUnsafe):
		return "" // it says so itself
	case is(image.ErrExists):
		return "choose another --image-path, or remove that one"
	case is(unix.ENOSPC, unix.EDQUOT):
		return "free some space, or choose another place"
	case is(unix.EFBIG):
		return "raise the limit with ulimit -f, or choose another place"
	case is(unix.EMFILE, unix.ENFILE):
		return "raise the limit with ulimit -n"
	case is(unix.EADDRINUSE):
		return "end who listens there, or choose another port"
	case errors.As(err, &net):
		return "choose an address of this machine"
	case is(fs.ErrNotExist, unix.ENOTDIR):
		return "name a directory that exists"
	case is(unix.EROFS, fs.ErrPermission):
		return "choose a place where you have the permission"
	case is(kernel.ErrExiting, errEnded):
		return "see how with: stasis wait"
	}
	return ""
}

// cause strips what package os and net say around an error of the system:
// operation and object are named by the caller.
func cause(err error) error {
	var errno unix.Errno
	var op *net.OpError
	switch {
	case errors.As(err, &op) && op.Op == "listen":
		return &bareOpError{op}
	case errors.As(err, &errno):
		return errno
	}
	return err
}

// bareOpError is a net.OpError that says its cause only.
type bareOpError struct{ op *net.OpError }

func (e *bareOpError) Error() string {
	var errno unix.Errno
	if errors.As(e.op.Err, &errno) {
		return errno.Error()
	}
	return e.op.Err.Error()
}
func (e *bareOpError) Unwrap() error { return e.op }
