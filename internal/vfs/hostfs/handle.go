package hostfs

import (
	"golang.org/x/sys/unix"
)

// A handle is an O_PATH descriptor of a host directory. It stays on its
// directory whatever that is renamed to, which a path would not. Its methods
// take one plain name and never follow a symlink, so nothing that a name is
// swapped for meanwhile can lead elsewhere.
//
// There is one handle to a directory, shared by all that refer to it: walks,
// open directories, the files opened in it, the handles of directories in it.
// So there are as many as directories in use and above them, whatever is done
// in them, and none that nobody uses.
type handle struct {
	fs *FS
	fd int   // immutable until the last reference goes
	id inode // immutable

	refs   int     // protected by fs.mu
	parent *handle // nil for the root; a reference; protected by fs.mu
	name   string  // in parent, when last seen by us; protected by fs.mu
}

// stat is lstat of name.
func (h *handle) stat(name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := again(func() error { return unix.Fstatat(h.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return st, err
}

// self is the directory's own stat.
func (h *handle) self() (unix.Stat_t, error) {
	var st unix.Stat_t
	err := again(func() error { return unix.Fstat(h.fd, &st) })
	return st, err
}

// openDir opens the directory name. The caller owns the reference.
func (h *handle) openDir(name string) (*handle, error) {
	if name == "." {
		return h.hold(), nil
	}
	fd, err := retry(func() (int, error) {
		return unix.Openat(h.fd, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err == unix.ELOOP {
		err = unix.ENOTDIR
	}
	if err != nil {
		return nil, err
	}
	return h.fs.handleOf(fd, h, name)
}

// fileMode is what new files get, less the umask.
const (
	fileMode = 0o666
	dirMode  = 0o777
)

// openRegular opens the regular file name. Flags are O_RDONLY, O_WRONLY or
// O_RDWR, with O_CREAT and O_EXCL.
//
// A device, a fifo or a socket is refused without being opened, as opening one
// can block or do something. Should the name be swapped for one between the
// look and the open, then O_NONBLOCK keeps the open from blocking, O_NOCTTY
// from getting us a terminal, and what was opened is looked at again. On a
// regular file O_NONBLOCK does nothing.
func (h *handle) openRegular(name string, flags int) (int, unix.Stat_t, error) {
	st, err := h.stat(name)
	switch {
	case err == unix.ENOENT && flags&unix.O_CREAT != 0:
	case err != nil:
		return -1, st, err
	case flags&unix.O_EXCL != 0:
		return -1, st, unix.EEXIST
	default:
		if err := checkRegular(&st); err != nil {
			return -1, st, err
		}
	}
	flags |= unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	fd, err := retry(func() (int, error) { return unix.Openat(h.fd, name, flags, fileMode) })
	if err != nil {
		return -1, st, err
	}
	if err = unix.Fstat(fd, &st); err == nil {
		err = checkRegular(&st)
	}
	if err != nil {
		unix.Close(fd)
		return -1, st, err
	}
	return fd, st, nil
}

// checkRegular tells why what st describes cannot be opened as a regular file.
func checkRegular(st *unix.Stat_t) error {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return nil
	case unix.S_IFDIR:
		return unix.EISDIR
	case unix.S_IFLNK:
		return unix.ELOOP
	}
	return unix.EPERM // a device, a fifo or a socket of the host
}

// readlink is the target of the symlink name.
func (h *handle) readlink(name string) (string, error) {
	buf := make([]byte, unix.PathMax+1)
	n, err := retry(func() (int, error) { return unix.Readlinkat(h.fd, name, buf) })
	if err != nil {
		return "", err
	}
	if n == len(buf) {
		return "", unix.ENAMETOOLONG
	}
	return string(buf[:n]), nil
}

// mkdir, symlink, link, remove and rename are the calls of these names.

func (h *handle) mkdir(name string) error {
	return again(func() error { return unix.Mkdirat(h.fd, name, dirMode) })
}

func (h *handle) symlink(name, target string) error {
	return again(func() error { return unix.Symlinkat(target, h.fd, name) })
}

// link makes to's entry newName another name of what name is, itself if that is
// a symlink. Both handles are of one root, so what the guest cannot reach it
// cannot link to.
func (h *handle) link(name string, to *handle, newName string) error {
	return again(func() error { return unix.Linkat(h.fd, name, to.fd, newName, 0) })
}

func (h *handle) unlink(name string) error {
	return again(func() error { return unix.Unlinkat(h.fd, name, 0) })
}

func (h *handle) rmdir(name string) error {
	err := again(func() error { return unix.Unlinkat(h.fd, name, unix.AT_REMOVEDIR) })
	if err == unix.EEXIST {
		err = unix.ENOTEMPTY // POSIX lets a file system choose; WASI does not
	}
	return err
}

func (h *handle) rename(name string, to *handle, newName string) error {
	err := again(func() error { return unix.Renameat(h.fd, name, to.fd, newName) })
	if err == unix.EEXIST {
		err = unix.ENOTEMPTY
	}
	return err
}

// setTimes sets the times of name, itself if that is a symlink.
func (h *handle) setTimes(name string, ts []unix.Timespec) error {
	return again(func() error { return unix.UtimesNanoAt(h.fd, name, ts, unix.AT_SYMLINK_NOFOLLOW) })
}

// again repeats a host call that a signal interrupted.
func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// An inode identifies a file of the host while it exists.
type inode struct {
	dev, ino uint64
}

func inodeOf(st *unix.Stat_t) inode { return inode{uint64(st.Dev), st.Ino} }

// retry is again for a call with a result.
func retry[T any](call func() (T, error)) (T, error) {
	for {
		if v, err := call(); err != unix.EINTR {
			return v, err
		}
	}
}
