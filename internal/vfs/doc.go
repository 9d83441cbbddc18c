// Package vfs is the kernel's view of files: paths, mounts, open files and fd
// tables, and what a file system implements to take part.
//
// The pieces, from the outside in:
//
//   - An [FDTable] maps a process's fds to open files, with WASI's rights.
//   - An [OpenFile] is what open(2) calls an open file description: offset and
//     status flags, shared by all fds that were duplicated from one.
//   - A [File] is what a file system, a pipe or the host puts behind it. Small
//     interfaces next to it ([Regular], [Stream], [Directory], [Listener],
//     [Socket] …) say what it can do.
//   - A [Namespace] holds the mounts and resolves paths. It is the only place
//     that does: file systems see a directory handle and one plain name.
//   - An [FSContext] is where a process is: its working directory, and paths as
//     POSIX has them.
//   - A [FileSystem] gives directory handles ([Dir]).
//
// # Confinement
//
// A path is resolved below the directory fd that the guest gives with it. An
// absolute path, an absolute symbolic link and a ".." above that directory
// give EPERM. Since the walk goes one component at a time from handle to
// handle, and never through the host's own path resolution, neither a symbolic
// link nor a rename in the middle of a walk can lead out. That WASI forbids
// what a POSIX program may do here is WASI's choice, not ours: a program for WASIX
// resolves its paths through an FSContext, for which the root is the only fence.
// The walk is the same.
//
// # Processes
//
// Fork clones the fd table and the context: both are the child's own, while the
// open files behind them are shared. Exec closes what is to be closed. Locks are
// of an open file (flock) or of a process, which is its fd table (fcntl).
//
// # Blocking
//
// Nothing here blocks for a peer. What would block returns EAGAIN, whether the
// fd is nonblocking or not; each File is a [waiter.Source], and the kernel's
// one blocking place waits on it and calls again.
//
// # Saving
//
// A [Saver] and a [Restorer] carry open files with their sharing; see State.
// The content of file systems is saved by each of them, next to it.
//
// Lock order: FDTable.mu, OpenFile.offsetMu, then the locks of a File or a
// FileSystem, then waiter.Queue. Namespace.mu, FSContext.mu and
// Locks.mu are leaves.
package vfs
