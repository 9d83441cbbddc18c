package vfs

import (
	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/waiter"
)

// Limits of paths, in bytes. They are Linux's, so that guests see the same on
// every file system.
const (
	MaxPath = 4096 // a whole path, and the target of a symbolic link
	MaxName = 255  // one component
)

// Pseudo is a FileSystem that is the same in every system: its files are made up as
// they are read.
type Pseudo interface{ Pseudo() }

// A FileSystem is a tree of files that can be mounted. It may be used by many
// tasks at once.
type FileSystem interface {
	// Type names the implementation, such as "memfs". It is compared at
	// restore.
	Type() string

	// Root returns a new handle on the root directory.
	Root() (Dir, abi.Errno)

	// RestoreFile opens what a File of this file system has saved, from the
	// Data of its ObjectState. The bytes may be hostile.
	RestoreFile(r *Restorer, data []byte) (File, error)
}

// A Dir is a handle on a directory, such as an *at call of POSIX takes. It
// stays on that directory when the directory is renamed or removed.
//
// Each name is one component: not empty, not "..", without a slash or NUL, at
// most MaxName bytes of UTF-8. Only where a method says so may it be ".", for
// the directory itself. No method follows a symbolic link in name.
//
// A handle may be used by many goroutines, but for Close.
type Dir interface {
	// Stat returns what name is.  Name may be ".".
	Stat(name string) (abi.Filestat, abi.Errno)

	// OpenDir returns a new handle on the directory name. It fails with
	// ENOTDIR if name is anything else, a symbolic link too.
	OpenDir(name string) (Dir, abi.Errno)

	// Open opens a file or directory, and makes a regular file if opts say
	// so. Name may be ".". A symbolic link gives ELOOP, a directory that is
	// to be written EISDIR.
	Open(name string, opts OpenOptions) (File, abi.Errno)

	// Readlink returns the target of the symbolic link name, or EINVAL if it
	// is something else. Name may be ".", which is something else.
	Readlink(name string) (string, abi.Errno)

	// SetTimes sets the times of name, also of a symbolic link itself. Name
	// may be ".".
	SetTimes(name string, t Times) abi.Errno

	Mkdir(name string) abi.Errno
	Symlink(target, name string) abi.Errno

	// Link makes newName in newDir another name of name, which is not a
	// directory (EPERM). NewDir belongs to the same file system.
	Link(name string, newDir Dir, newName string) abi.Errno

	Unlink(name string) abi.Errno // EISDIR for a directory
	Rmdir(name string) abi.Errno  // ENOTDIR, ENOTEMPTY

	// Rename moves name to newName in newDir, over what is there if that is
	// allowed. NewDir belongs to the same file system.
	Rename(name string, newDir Dir, newName string) abi.Errno

	// Close ends the handle. Files opened through it stay open.
	Close()
}

// A Locator is a Dir that knows where it is, also after renames. One that is not
// is taken to stay where it was opened.
type Locator interface {
	// Where returns the path below the file system's root, "" for the root. It
	// fails with ENOENT if the directory has been removed.
	Where() (string, abi.Errno)
}

// Personal is a Dir that shows each process something else, such as
// /proc/self.
type Personal interface {
	Dir

	// For returns a handle for the process of c, which is closed besides the
	// original.
	For(c *FSContext) Dir
}

// Jumper is a Dir with symbolic links that lead to what is open already, such as
// /dev/fd/0, and have no path.
type Jumper interface {
	Dir

	// Jump returns the open file that name leads to, with a reference for the
	// caller, or nil if it is not such a link.
	Jump(name string) (*OpenFile, abi.Errno)
}

// Unmounted is a File that was opened by a path and does not belong to the mount
// there, such as a terminal: it is saved as a pipe is, by its own kind.
type Unmounted interface {
	File
	Unmounted()
}

// OpenOptions say how a file is opened.
type OpenOptions struct {
	Read  bool
	Write bool
	Flags abi.OFlags // ODirectory with OCreat never gets here
}

// Times are the times that a set_times call sets, in ns since 1970.
type Times struct {
	SetAtim, SetMtim bool
	Atim, Mtim       int64
	Now              int64 // the present, for the change time
}

// A File is something open. It is shared by the fds that were duplicated from
// one, and may be used by many tasks at once. What it can do besides is told
// by the interfaces below.
type File interface {
	waiter.Source

	Stat() (abi.Filestat, abi.Errno)

	// Save returns what it takes to open the file again. It is called while
	// no task runs. An error says what cannot be saved and why.
	Save(s *Saver) (ObjectState, error)

	// Close ends it. No other method is called afterwards.
	Close()
}

// Regular is a File with positions. Offsets are not negative, and offset plus
// length does not overflow.
type Regular interface {
	File

	// ReadAt reads into bufs in turn, and returns how many bytes it got. Less
	// than was asked for means the end, or that the rest is not there yet; 0
	// without an error is the end.
	ReadAt(bufs [][]byte, off int64) (int, abi.Errno)

	// WriteAt writes bufs in turn. It may write less, but not nothing, if
	// there is something to write.
	WriteAt(bufs [][]byte, off int64) (int, abi.Errno)

	// Append writes at the end, in one step with respect to other writes, and
	// returns the offset after what it wrote.
	Append(bufs [][]byte) (n int, end int64, errno abi.Errno)

	SetSize(size int64) abi.Errno

	// Allocate makes sure that the n bytes at off can be written later, and
	// that the file reaches that far. NOTSUP if it cannot promise that.
	Allocate(off, n int64) abi.Errno
}

// Stream is a File without positions, such as a pipe or a terminal. Both
// return EAGAIN in place of blocking; a read of 0 bytes is the end.
type Stream interface {
	File
	Read(bufs [][]byte) (int, abi.Errno)
	Write(bufs [][]byte) (int, abi.Errno)
}

// Buffered is a Stream that knows how many bytes wait to be read (FIONREAD).
type Buffered interface {
	Buffered() int
}

// Described is a File that has no path, and says what it is as /proc/self/fd
// does: "pipe:[7]".
type Described interface {
	Describe() string
}

// Seeker is a Stream that has a position of its own, which it shares with
// others: a host file that was handed in as stdin or stdout.
type Seeker interface {
	Stream
	Lseek(off int64, whence abi.Whence) (int64, abi.Errno)
}

// Directory is an open directory.
type Directory interface {
	File

	// Dir returns a handle that is good while the File is open. The caller
	// does not close it.
	Dir() Dir

	// ReadDir calls emit for the entries from cookie on, until emit returns
	// false. "." and ".." come first. A cookie of 0 starts anew; others are
	// the Next of an entry, and stay good while the directory changes: what
	// is neither made nor removed meanwhile is listed once.
	ReadDir(cookie uint64, emit func(Dirent) bool) abi.Errno
}

// Dirent is an entry of a directory.
type Dirent struct {
	Name     string
	Ino      uint64 // 0 if it is not told
	Filetype abi.Filetype
	Next     uint64 // cookie of what comes after
}

// Listener is a listening socket.
type Listener interface {
	File
	Accept() (File, abi.Errno) // EAGAIN if nobody is there
}

// Socket is a connected socket; Read and Write are Recv and Send without
// flags.
type Socket interface {
	Stream
	Recv(bufs [][]byte, flags abi.RIFlags) (n int, truncated bool, errno abi.Errno)
	Send(bufs [][]byte) (int, abi.Errno)
	Shutdown(how abi.SDFlags) abi.Errno
}

// TimeSetter is a File whose times can be set.
type TimeSetter interface {
	SetTimes(t Times) abi.Errno
}

// Syncer is a File that can be made durable. One that is not a Syncer has
// nothing to wait for.
type Syncer interface {
	Sync(dataOnly bool) abi.Errno
}

// Adviser is a File that makes use of advice.
type Adviser interface {
	Advise(off, n int64, a abi.Advice) abi.Errno
}
