package hostfile

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/abi"
)

// Errno is the guest's number for an error of the host. Numbers that WASI has
// no name for become EIO: the guest learns that it went wrong, no more. A nil
// error is abi.OK.
func Errno(err error) abi.Errno {
	if err == nil {
		return abi.OK
	}
	var guest abi.Errno
	if errors.As(err, &guest) {
		return guest
	}
	var host unix.Errno
	if errors.As(err, &host) {
		if e, ok := errnos[host]; ok {
			return e
		}
		return abi.EIO
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return abi.ENOENT
	case errors.Is(err, os.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return abi.EBADF
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return abi.ETIMEDOUT
	}
	return abi.EIO
}

// errnos maps Linux's numbers; they differ between its architectures, so this
// is a map of names.
var errnos = map[unix.Errno]abi.Errno{
	unix.E2BIG:           abi.E2BIG,
	unix.EACCES:          abi.EACCES,
	unix.EADDRINUSE:      abi.EADDRINUSE,
	unix.EADDRNOTAVAIL:   abi.EADDRNOTAVAIL,
	unix.EAFNOSUPPORT:    abi.EAFNOSUPPORT,
	unix.EAGAIN:          abi.EAGAIN,
	unix.EALREADY:        abi.EALREADY,
	unix.EBADF:           abi.EBADF,
	unix.EBADMSG:         abi.EBADMSG,
	unix.EBUSY:           abi.EBUSY,
	unix.ECANCELED:       abi.ECANCELED,
	unix.ECONNABORTED:    abi.ECONNABORTED,
	unix.ECONNREFUSED:    abi.ECONNREFUSED,
	unix.ECONNRESET:      abi.ECONNRESET,
	unix.EDESTADDRREQ:    abi.EDESTADDRREQ,
	unix.EDQUOT:          abi.EDQUOT,
	unix.EEXIST:          abi.EEXIST,
	unix.EFBIG:           abi.EFBIG,
	unix.EHOSTUNREACH:    abi.EHOSTUNREACH,
	unix.EILSEQ:          abi.EILSEQ,
	unix.EINPROGRESS:     abi.EINPROGRESS,
	unix.EINTR:           abi.EINTR,
	unix.EINVAL:          abi.EINVAL,
	unix.EIO:             abi.EIO,
	unix.EISCONN:         abi.EISCONN,
	unix.EISDIR:          abi.EISDIR,
	unix.ELOOP:           abi.ELOOP,
	unix.EMFILE:          abi.EMFILE,
	unix.EMLINK:          abi.EMLINK,
	unix.EMSGSIZE:        abi.EMSGSIZE,
	unix.ENAMETOOLONG:    abi.ENAMETOOLONG,
	unix.ENETDOWN:        abi.ENETDOWN,
	unix.ENETRESET:       abi.ENETRESET,
	unix.ENETUNREACH:     abi.ENETUNREACH,
	unix.ENFILE:          abi.ENFILE,
	unix.ENOBUFS:         abi.ENOBUFS,
	unix.ENODEV:          abi.ENODEV,
	unix.ENOENT:          abi.ENOENT,
	unix.ENOLCK:          abi.ENOLCK,
	unix.ENOMEM:          abi.ENOMEM,
	unix.ENOPROTOOPT:     abi.ENOPROTOOPT,
	unix.ENOSPC:          abi.ENOSPC,
	unix.ENOSYS:          abi.ENOSYS,
	unix.ENOTCONN:        abi.ENOTCONN,
	unix.ENOTDIR:         abi.ENOTDIR,
	unix.ENOTEMPTY:       abi.ENOTEMPTY,
	unix.ENOTSOCK:        abi.ENOTSOCK,
	unix.EOPNOTSUPP:      abi.ENOTSUP,
	unix.ENOTTY:          abi.ENOTTY,
	unix.ENXIO:           abi.ENXIO,
	unix.EOVERFLOW:       abi.EOVERFLOW,
	unix.EPERM:           abi.EPERM,
	unix.EPIPE:           abi.EPIPE,
	unix.EPROTO:          abi.EPROTO,
	unix.EPROTONOSUPPORT: abi.EPROTONOSUPPORT,
	unix.EPROTOTYPE:      abi.EPROTOTYPE,
	unix.ERANGE:          abi.ERANGE,
	unix.EROFS:           abi.EROFS,
	unix.ESPIPE:          abi.ESPIPE,
	unix.ESTALE:          abi.ESTALE,
	unix.ETIMEDOUT:       abi.ETIMEDOUT,
	unix.ETXTBSY:         abi.ETXTBSY,
	unix.EXDEV:           abi.EXDEV,
}

// retry repeats a host call that a signal interrupted.
func retry[T any](call func() (T, error)) (T, error) {
	for {
		v, err := call()
		if err != unix.EINTR {
			return v, err
		}
	}
}
