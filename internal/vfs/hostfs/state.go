package hostfs

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/vfs"
)

// MaxUnlinked is how large a file without a name may be to be saved with its
// content.
const MaxUnlinked = 1 << 20

// State is an open file or directory. Its offset and flags are the open file's
// (vfs.FileState).
type State struct {
	Type  abi.Filetype `pb:"1"` // regular file or directory
	Path  string       `pb:"2"` // below the root; "." is the root
	Read  bool         `pb:"3"` // opened for reading
	Write bool         `pb:"4"` // opened for writing

	// Of a regular file: what it is recognized by.
	Size  int64  `pb:"5"` // bytes
	Mtime int64  `pb:"6"` // ns since 1970
	Dev   uint64 `pb:"7"`
	Ino   uint64 `pb:"8"`

	// Seen is the furthest position of a regular file that the guest has read
	// or written.
	Seen int64 `pb:"9"`

	// Unlinked is a file without a name; Content is all of it.
	Unlinked bool   `pb:"10"`
	Content  []byte `pb:"11"`

	// Stale is a file that an earlier restore did not open.
	Stale bool `pb:"12"`

	// Cookies are those of a directory that is being listed, rising.
	Cookies    []CookieState `pb:"13"`
	LastCookie uint64        `pb:"14"`
}

// CookieState is the number that a listing gave to a name.
type CookieState struct {
	Name string `pb:"1"`
	Num  uint64 `pb:"2"`
}

// Save returns what it takes to open the file again.
func (f *file) Save(*vfs.Saver) (vfs.ObjectState, error) {
	st, err := f.state()
	if err != nil {
		return vfs.ObjectState{}, err
	}
	return vfs.NewObjectState(typeName, st)
}

func (f *file) state() (*State, error) {
	f.fs.mu.Lock()
	parent, name := f.parent, f.name
	f.fs.mu.Unlock()
	s := &State{Type: abi.FiletypeRegularFile, Path: f.path(), Read: f.read, Write: f.write, Dev: f.id.dev, Ino: f.id.ino}
	if f.fd < 0 {
		s.Stale = true
		return s, nil
	}
	st, err := f.stat()
	if err != nil {
		return nil, fmt.Errorf("host file %s: %w", f.fs.hostPath(s.Path), err)
	}
	s.Size, s.Mtime = st.Size, st.Mtim.Nano()
	f.regular.mu.Lock()
	s.Seen = min(f.seen, st.Size)
	f.regular.mu.Unlock()
	if st.Nlink == 0 {
		s.Unlinked = true
		s.Content, err = f.content(st.Size)
		return s, err
	}
	return s, f.checkPath(parent, name, s.Path)
}

// checkPath makes sure that a restore will find the file where we think it is,
// from the root down.
func (f *file) checkPath(parent *handle, name, path string) error {
	if parent == nil {
		return fmt.Errorf("host file %s: has a name again that is not known: close it before the save", f.fs.hostPath(path))
	}
	dir, base, err := f.fs.walk(path)
	if err == nil {
		var st unix.Stat_t
		st, err = dir.stat(base)
		dir.release()
		if err == nil && inodeOf(&st) == f.id {
			return nil
		}
	}
	return fmt.Errorf("host file %s: was moved, replaced or removed on the host while open: put it back, or close it before the save",
		f.fs.hostPath(path))
}

// content is all of a file without a name, if it is small enough.
func (f *file) content(size int64) ([]byte, error) {
	path := f.fs.hostPath(f.path())
	if size > MaxUnlinked {
		return nil, fmt.Errorf("host file %s: was removed while open and has %d bytes, more than the %d that are saved: close it before the save, or keep it on the guest's own root instead of a host directory",
			path, size, MaxUnlinked)
	}
	fd := f.fd
	if !f.read {
		// Not opened for reading: the descriptor cannot. /proc has another way.
		own, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", f.fd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("host file %s: was removed while open for writing only: %w: close it before the save", path, err)
		}
		defer unix.Close(own)
		fd = own
	}
	buf := make([]byte, size)
	n, err := transfer([][]byte{buf}, func(bufs [][]byte, done int) (int, error) {
		return unix.Preadv(fd, bufs, int64(done))
	})
	if err == nil && n < len(buf) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("host file %s: was removed while open: %w", path, err)
	}
	return buf, nil
}

// path is where f is below the root, when last seen.
func (f *file) path() string {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.parent == nil {
		return f.name
	}
	if p := f.parent.pathLocked(); p != "." {
		return p + "/" + f.name
	}
	return f.name
}

// Save returns what it takes to open the directory again.
func (d *directory) Save(*vfs.Saver) (vfs.ObjectState, error) {
	fs := d.dir.h.fs
	fs.mu.Lock()
	path := d.dir.h.pathLocked()
	fs.mu.Unlock()
	if path != "." {
		parent, name, err := fs.walk(path)
		if err == nil {
			var st unix.Stat_t
			st, err = parent.stat(name)
			parent.release()
			if err == nil && inodeOf(&st) != d.dir.h.id {
				err = errors.New("something else is there now")
			}
		}
		if err != nil {
			return vfs.ObjectState{}, fmt.Errorf("host directory %s: was moved or removed while open: %w: close it before the save",
				fs.hostPath(path), err)
		}
	}
	s := &State{Type: abi.FiletypeDirectory, Path: path}
	d.mu.Lock()
	defer d.mu.Unlock()
	s.Cookies, s.LastCookie = d.list.cookies(), d.list.last
	return vfs.NewObjectState(typeName, s)
}

// unmarshal reads and checks a State, which may come from anywhere.
func unmarshal(data []byte) (*State, error) {
	var s State
	if err := protostruct.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("state of a host file: %w", err)
	}
	return &s, s.check()
}
