package memfs

import (
	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

// file is an open regular file.
type file struct {
	waiter.AlwaysReady
	fs   *FS
	node *node
}

var (
	_ vfs.Regular    = (*file)(nil)
	_ vfs.TimeSetter = (*file)(nil)
	_ vfs.Directory  = (*directory)(nil)
	_ vfs.TimeSetter = (*directory)(nil)
)

// close gives up an open file's hold on n.
func (fs *FS) close(n *node) {
	fs.mu.Lock()
	n.opens--
	var below vfs.Regular
	if n.opens == 0 {
		below, n.below = n.below, nil
	}
	fs.dropLocked(n)
	fs.mu.Unlock()
	if below != nil {
		below.Close()
	}
}

func (fs *FS) stat(n *node) (abi.Filestat, abi.Errno) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.statLocked(n), abi.OK
}

func (fs *FS) setTimes(n *node, t vfs.Times) abi.Errno {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n.setTimesLocked(t)
	return abi.OK
}

// Stat is vfs.File's.
func (f *file) Stat() (abi.Filestat, abi.Errno) { return f.fs.stat(f.node) }

// SetTimes is vfs.TimeSetter's.
func (f *file) SetTimes(t vfs.Times) abi.Errno { return f.fs.setTimes(f.node, t) }

// Close is vfs.File's.
func (f *file) Close() { f.fs.close(f.node) }

// own makes sure that the content is not what is below. An open for writing has
// done so already; a made-up state has not.
func (f *file) own() abi.Errno {
	if f.fs.opts.Lower == nil {
		return abi.OK
	}
	return f.fs.copyUp(f.node)
}

// ReadAt is vfs.Regular's.
func (f *file) ReadAt(bufs [][]byte, off int64) (int, abi.Errno) {
	f.fs.mu.Lock()
	if f.node.lower != nil {
		f.fs.readLocked(f.node)
		below := f.node.below // stays open as long as f
		f.fs.mu.Unlock()
		return below.ReadAt(bufs, off)
	}
	defer f.fs.mu.Unlock()
	done := 0
	for _, b := range bufs {
		n := f.node.data.readAt(b, off+int64(done))
		if done += n; n < len(b) {
			break
		}
	}
	f.fs.readLocked(f.node)
	return done, abi.OK
}

// WriteAt is vfs.Regular's.
func (f *file) WriteAt(bufs [][]byte, off int64) (int, abi.Errno) {
	if errno := f.own(); errno != abi.OK {
		return 0, errno
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.writeLocked(bufs, off)
}

// Append is vfs.Regular's.
func (f *file) Append(bufs [][]byte) (n int, end int64, errno abi.Errno) {
	if errno := f.own(); errno != abi.OK {
		return 0, 0, errno
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	off := f.node.data.size
	n, errno = f.writeLocked(bufs, off)
	return n, off + int64(n), errno
}

// writeLocked writes bufs at off. What did fit counts: the next write will
// tell why no more did.
//
// Preconditions: f.fs.mu is locked.
func (f *file) writeLocked(bufs [][]byte, off int64) (int, abi.Errno) {
	done := 0
	var errno abi.Errno
	for _, b := range bufs {
		var n int
		n, errno = f.node.data.writeAt(f.fs, b, off+int64(done))
		if done += n; errno != abi.OK {
			break
		}
	}
	if done > 0 {
		f.fs.touchLocked(f.node)
		errno = abi.OK
	}
	return done, errno
}

// SetSize is vfs.Regular's.
func (f *file) SetSize(size int64) abi.Errno {
	if errno := f.own(); errno != abi.OK {
		return errno
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if size > maxFileSize {
		return abi.EFBIG
	}
	f.node.data.resize(f.fs, size)
	f.fs.touchLocked(f.node)
	return abi.OK
}

// Allocate is vfs.Regular's.
func (f *file) Allocate(off, n int64) abi.Errno {
	if errno := f.own(); errno != abi.OK {
		return errno
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	before := f.node.data.size
	errno := f.node.data.allocate(f.fs, off, n)
	if f.node.data.size != before {
		f.fs.touchLocked(f.node)
	}
	return errno
}

// directory is an open directory.
type directory struct {
	waiter.AlwaysReady
	dir dir

	// end is the highest entry number there was when the listing was started.
	// Later entries are not listed, so that who renames or makes files while
	// listing comes to an end. 0 is not started. Protected by FS.mu.
	end uint64
}

// Stat is vfs.File's.
func (f *directory) Stat() (abi.Filestat, abi.Errno) { return f.dir.fs.stat(f.dir.node) }

// SetTimes is vfs.TimeSetter's.
func (f *directory) SetTimes(t vfs.Times) abi.Errno { return f.dir.fs.setTimes(f.dir.node, t) }

// Close is vfs.File's.
func (f *directory) Close() { f.dir.fs.close(f.dir.node) }

// Dir is vfs.Directory's.
func (f *directory) Dir() vfs.Dir { return &f.dir }

// ReadDir is vfs.Directory's. Emit is called with the file system locked.
func (f *directory) ReadDir(cookie uint64, emit func(vfs.Dirent) bool) abi.Errno {
	fs, n := f.dir.fs, f.dir.node
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if errno := fs.loadLocked(n); errno != abi.OK {
		return errno
	}
	fs.readLocked(n)
	if cookie == 0 || f.end == 0 {
		f.end = n.list.lastSeq
	}
	if cookie < 1 && !emit(vfs.Dirent{Name: ".", Ino: n.ino, Filetype: n.kind, Next: 1}) {
		return abi.OK
	}
	if cookie < 2 {
		up := vfs.Dirent{Name: "..", Filetype: n.kind, Next: firstSeq - 1}
		if n.parent != nil {
			up.Ino = n.parent.ino
		}
		if !emit(up) {
			return abi.OK
		}
	}
	for _, e := range n.list.after(cookie) {
		if e.seq > f.end {
			break
		}
		if e.node != nil && !emit(vfs.Dirent{Name: e.name, Ino: e.node.ino, Filetype: e.node.kind, Next: e.seq}) {
			break
		}
	}
	return abi.OK
}
