package abi

import "strconv"

// Errno is the error number a guest sees, in the numbering of WASI, which is
// not Linux's. 0 is success. As an error it is returned to guest code and never
// wrapped.
type Errno uint16

// The error numbers of WASI preview 1; wasi_unstable uses the same.
const (
	OK              Errno = 0  // success
	E2BIG           Errno = 1  // argument list too long
	EACCES          Errno = 2  // permission denied
	EADDRINUSE      Errno = 3  // address in use
	EADDRNOTAVAIL   Errno = 4  // address not available
	EAFNOSUPPORT    Errno = 5  // address family not supported
	EAGAIN          Errno = 6  // resource temporarily unavailable
	EALREADY        Errno = 7  // operation already in progress
	EBADF           Errno = 8  // bad file descriptor
	EBADMSG         Errno = 9  // bad message
	EBUSY           Errno = 10 // device or resource busy
	ECANCELED       Errno = 11 // operation canceled
	ECHILD          Errno = 12 // no child processes
	ECONNABORTED    Errno = 13 // connection aborted
	ECONNREFUSED    Errno = 14 // connection refused
	ECONNRESET      Errno = 15 // connection reset
	EDEADLK         Errno = 16 // resource deadlock avoided
	EDESTADDRREQ    Errno = 17 // destination address required
	EDOM            Errno = 18 // argument out of domain
	EDQUOT          Errno = 19 // quota exceeded
	EEXIST          Errno = 20 // file exists
	EFAULT          Errno = 21 // bad address
	EFBIG           Errno = 22 // file too large
	EHOSTUNREACH    Errno = 23 // host is unreachable
	EIDRM           Errno = 24 // identifier removed
	EILSEQ          Errno = 25 // illegal byte sequence
	EINPROGRESS     Errno = 26 // operation in progress
	EINTR           Errno = 27 // interrupted
	EINVAL          Errno = 28 // invalid argument
	EIO             Errno = 29 // input/output error
	EISCONN         Errno = 30 // socket is connected
	EISDIR          Errno = 31 // is a directory
	ELOOP           Errno = 32 // too many levels of symbolic links
	EMFILE          Errno = 33 // too many open files
	EMLINK          Errno = 34 // too many links
	EMSGSIZE        Errno = 35 // message too large
	EMULTIHOP       Errno = 36 // multihop attempted
	ENAMETOOLONG    Errno = 37 // file name too long
	ENETDOWN        Errno = 38 // network is down
	ENETRESET       Errno = 39 // connection aborted by network
	ENETUNREACH     Errno = 40 // network is unreachable
	ENFILE          Errno = 41 // too many open files in system
	ENOBUFS         Errno = 42 // no buffer space available
	ENODEV          Errno = 43 // no such device
	ENOENT          Errno = 44 // no such file or directory
	ENOEXEC         Errno = 45 // executable format error
	ENOLCK          Errno = 46 // no locks available
	ENOLINK         Errno = 47 // link has been severed
	ENOMEM          Errno = 48 // not enough memory
	ENOMSG          Errno = 49 // no message of the desired type
	ENOPROTOOPT     Errno = 50 // protocol not available
	ENOSPC          Errno = 51 // no space left on device
	ENOSYS          Errno = 52 // function not implemented
	ENOTCONN        Errno = 53 // socket is not connected
	ENOTDIR         Errno = 54 // not a directory
	ENOTEMPTY       Errno = 55 // directory not empty
	ENOTRECOVERABLE Errno = 56 // state not recoverable
	ENOTSOCK        Errno = 57 // not a socket
	ENOTSUP         Errno = 58 // not supported
	ENOTTY          Errno = 59 // not a terminal
	ENXIO           Errno = 60 // no such device or address
	EOVERFLOW       Errno = 61 // value too large
	EOWNERDEAD      Errno = 62 // previous owner died
	EPERM           Errno = 63 // operation not permitted
	EPIPE           Errno = 64 // broken pipe
	EPROTO          Errno = 65 // protocol error
	EPROTONOSUPPORT Errno = 66 // protocol not supported
	EPROTOTYPE      Errno = 67 // wrong protocol type for socket
	ERANGE          Errno = 68 // result too large
	EROFS           Errno = 69 // read-only file system
	ESPIPE          Errno = 70 // illegal seek
	ESRCH           Errno = 71 // no such process
	ESTALE          Errno = 72 // stale file handle
	ETIMEDOUT       Errno = 73 // timed out
	ETXTBSY         Errno = 74 // text file busy
	EXDEV           Errno = 75 // cross-device link
	ENOTCAPABLE     Errno = 76 // capabilities insufficient

	// WASIX adds these.
	ESHUTDOWN     Errno = 77 // transport endpoint is shut down
	EMEMVIOLATION Errno = 78 // memory access violation
	EUNKNOWN      Errno = 79 // unknown error
)

// errnoNames is indexed by Errno.
var errnoNames = [...]struct{ name, text string }{
	{"OK", "success"},
	{"E2BIG", "argument list too long"},
	{"EACCES", "permission denied"},
	{"EADDRINUSE", "address in use"},
	{"EADDRNOTAVAIL", "address not available"},
	{"EAFNOSUPPORT", "address family not supported"},
	{"EAGAIN", "resource temporarily unavailable"},
	{"EALREADY", "operation already in progress"},
	{"EBADF", "bad file descriptor"},
	{"EBADMSG", "bad message"},
	{"EBUSY", "device or resource busy"},
	{"ECANCELED", "operation canceled"},
	{"ECHILD", "no child processes"},
	{"ECONNABORTED", "connection aborted"},
	{"ECONNREFUSED", "connection refused"},
	{"ECONNRESET", "connection reset"},
	{"EDEADLK", "resource deadlock avoided"},
	{"EDESTADDRREQ", "destination address required"},
	{"EDOM", "argument out of domain"},
	{"EDQUOT", "quota exceeded"},
	{"EEXIST", "file exists"},
	{"EFAULT", "bad address"},
	{"EFBIG", "file too large"},
	{"EHOSTUNREACH", "host is unreachable"},
	{"EIDRM", "identifier removed"},
	{"EILSEQ", "illegal byte sequence"},
	{"EINPROGRESS", "operation in progress"},
	{"EINTR", "interrupted"},
	{"EINVAL", "invalid argument"},
	{"EIO", "input/output error"},
	{"EISCONN", "socket is connected"},
	{"EISDIR", "is a directory"},
	{"ELOOP", "too many levels of symbolic links"},
	{"EMFILE", "too many open files"},
	{"EMLINK", "too many links"},
	{"EMSGSIZE", "message too large"},
	{"EMULTIHOP", "multihop attempted"},
	{"ENAMETOOLONG", "file name too long"},
	{"ENETDOWN", "network is down"},
	{"ENETRESET", "connection aborted by network"},
	{"ENETUNREACH", "network is unreachable"},
	{"ENFILE", "too many open files in system"},
	{"ENOBUFS", "no buffer space available"},
	{"ENODEV", "no such device"},
	{"ENOENT", "no such file or directory"},
	{"ENOEXEC", "executable format error"},
	{"ENOLCK", "no locks available"},
	{"ENOLINK", "link has been severed"},
	{"ENOMEM", "not enough memory"},
	{"ENOMSG", "no message of the desired type"},
	{"ENOPROTOOPT", "protocol not available"},
	{"ENOSPC", "no space left on device"},
	{"ENOSYS", "function not implemented"},
	{"ENOTCONN", "socket is not connected"},
	{"ENOTDIR", "not a directory"},
	{"ENOTEMPTY", "directory not empty"},
	{"ENOTRECOVERABLE", "state not recoverable"},
	{"ENOTSOCK", "not a socket"},
	{"ENOTSUP", "not supported"},
	{"ENOTTY", "not a terminal"},
	{"ENXIO", "no such device or address"},
	{"EOVERFLOW", "value too large"},
	{"EOWNERDEAD", "previous owner died"},
	{"EPERM", "operation not permitted"},
	{"EPIPE", "broken pipe"},
	{"EPROTO", "protocol error"},
	{"EPROTONOSUPPORT", "protocol not supported"},
	{"EPROTOTYPE", "wrong protocol type for socket"},
	{"ERANGE", "result too large"},
	{"EROFS", "read-only file system"},
	{"ESPIPE", "illegal seek"},
	{"ESRCH", "no such process"},
	{"ESTALE", "stale file handle"},
	{"ETIMEDOUT", "timed out"},
	{"ETXTBSY", "text file busy"},
	{"EXDEV", "cross-device link"},
	{"ENOTCAPABLE", "capabilities insufficient"},
	{"ESHUTDOWN", "transport endpoint is shut down"},
	{"EMEMVIOLATION", "memory access violation"},
	{"EUNKNOWN", "unknown error"},
}

// String returns the name of e, "ENOENT".
func (e Errno) String() string {
	if int(e) < len(errnoNames) {
		return errnoNames[e].name
	}
	return "errno(" + strconv.Itoa(int(e)) + ")"
}

// Error implements error: what e means in words. Take care not to make an
// error of OK; Err does not.
func (e Errno) Error() string {
	if int(e) < len(errnoNames) {
		return errnoNames[e].text
	}
	return e.String()
}

// Err returns e as an error, nil for OK.
func (e Errno) Err() error {
	if e == OK {
		return nil
	}
	return e
}
