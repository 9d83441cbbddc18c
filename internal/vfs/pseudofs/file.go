package pseudofs

import (
	"errors"
	"fmt"
	"strings"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

// directory is an open directory.
type directory struct {
	waiter.AlwaysReady
	dir dir
}

// firstKey is what cookies are above the keys of entries.
const firstKey = 3

// Dir is vfs.Directory's.
func (f *directory) Dir() vfs.Dir { return &f.dir }

// ReadDir is vfs.Directory's. One that is not there any more lists nothing.
func (f *directory) ReadDir(cookie uint64, emit func(vfs.Dirent) bool) abi.Errno {
	n, errno := f.dir.node(".")
	if errno != abi.OK {
		return abi.OK
	}
	dots := []vfs.Dirent{{Name: ".", Ino: n.Ino, Next: 1}, {Name: "..", Ino: n.Ino, Next: 2}}
	if i := strings.LastIndexByte(f.dir.path, '/'); f.dir.path != "" {
		if up, errno := f.dir.fs.find(f.dir.caller, f.dir.path[:max(i, 0)]); errno == abi.OK {
			dots[1].Ino = up.Ino
		}
	}
	for _, e := range dots {
		e.Filetype = abi.FiletypeDirectory
		if cookie < e.Next && !emit(e) {
			return abi.OK
		}
	}
	for _, e := range n.Dir.List(f.dir.caller) {
		next := e.Key + firstKey
		if next > cookie && !emit(vfs.Dirent{Name: e.Name, Ino: e.Ino, Filetype: e.Type, Next: next}) {
			return abi.OK
		}
	}
	return abi.OK
}

// Stat is vfs.File's.
func (f *directory) Stat() (abi.Filestat, abi.Errno) { return f.dir.Stat(".") }

// SetTimes is vfs.TimeSetter's.
func (f *directory) SetTimes(vfs.Times) abi.Errno { return abi.OK }

// Close is vfs.File's.
func (f *directory) Close() {}

// regular is an open file with the content that it had then.
type regular struct {
	waiter.AlwaysReady
	fs   *FS
	node Node
	path string
	data []byte // immutable
}

var (
	_ vfs.Directory = (*directory)(nil)
	_ vfs.Regular   = (*regular)(nil)
)

// ReadAt is vfs.Regular's.
func (f *regular) ReadAt(bufs [][]byte, off int64) (n int, errno abi.Errno) {
	rest := f.data[min(off, int64(len(f.data))):]
	for _, b := range bufs {
		k := copy(b, rest)
		n, rest = n+k, rest[k:]
	}
	return n, abi.OK
}

// WriteAt, Append, SetSize and Allocate are vfs.Regular's. No file is open for
// writing but by a made-up state.

func (f *regular) WriteAt([][]byte, int64) (int, abi.Errno) { return 0, abi.EACCES }
func (f *regular) Append([][]byte) (int, int64, abi.Errno)  { return 0, 0, abi.EACCES }
func (f *regular) SetSize(int64) abi.Errno                  { return abi.EACCES }
func (f *regular) Allocate(int64, int64) abi.Errno          { return abi.EACCES }

// Stat is vfs.File's.
func (f *regular) Stat() (abi.Filestat, abi.Errno) { return f.fs.stat(&f.node), abi.OK }

// SetTimes is vfs.TimeSetter's.
func (f *regular) SetTimes(vfs.Times) abi.Errno { return abi.OK }

// Close is vfs.File's.
func (f *regular) Close() {}

// device is an open device: what the node has opened, with the node's stat.
type device struct {
	vfs.Seeker
	fs   *FS
	node *Node
	path string
}

// device opens the device n.
func (fs *FS) device(n *Node, path string, opts vfs.OpenOptions) (vfs.File, abi.Errno) {
	f, errno := n.Open(opts)
	if errno != abi.OK {
		return nil, errno
	}
	if _, ok := f.(vfs.Unmounted); ok {
		return f, abi.OK
	}
	return &device{f.(vfs.Seeker), fs, n, path}, abi.OK
}

// Stat is vfs.File's.
func (f *device) Stat() (abi.Filestat, abi.Errno) { return f.fs.stat(f.node), abi.OK }

// SetTimes is vfs.TimeSetter's.
func (f *device) SetTimes(vfs.Times) abi.Errno { return abi.OK }

// State is an open file or directory: the data of its vfs.ObjectState.
type State struct {
	Path    string       `pb:"1"` // below the root
	Type    abi.Filetype `pb:"2"` // as preview 1 numbers them
	Content []byte       `pb:"3"` // of a regular file
	Ino     uint64       `pb:"4"` // the same
	Caller  uint32       `pb:"5"` // of a directory: the pid for which it was opened
}

var errBadState = errors.New("bad state")

// Save is vfs.File's.
func (f *directory) Save(*vfs.Saver) (vfs.ObjectState, error) {
	return vfs.NewObjectState(f.dir.fs.typ, State{Path: f.dir.path, Type: abi.FiletypeDirectory, Caller: f.dir.caller})
}

// Save is vfs.File's.
func (f *regular) Save(*vfs.Saver) (vfs.ObjectState, error) {
	return vfs.NewObjectState(f.fs.typ, State{Path: f.path, Type: abi.FiletypeRegularFile, Content: f.data, Ino: f.node.Ino})
}

// Save is vfs.File's.
func (f *device) Save(*vfs.Saver) (vfs.ObjectState, error) {
	return vfs.NewObjectState(f.fs.typ, State{Path: f.path, Type: abi.FiletypeCharacterDevice})
}

// RestoreFile is vfs.FileSystem's. The processes that a directory is about may
// be restored later.
func (fs *FS) RestoreFile(_ *vfs.Restorer, data []byte) (vfs.File, error) {
	var s State
	if err := protostruct.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", fs.typ, err)
	}
	if len(s.Path) > vfs.MaxPath || strings.HasPrefix(s.Path, "/") || strings.HasSuffix(s.Path, "/") {
		return nil, fmt.Errorf("%s: path %.300q: %w", fs.typ, s.Path, errBadState)
	}
	switch s.Type {
	case abi.FiletypeDirectory:
		return &directory{dir: dir{fs, s.Path, s.Caller}}, nil
	case abi.FiletypeRegularFile:
		n := Node{Ino: s.Ino, Type: abi.FiletypeRegularFile}
		return &regular{fs: fs, node: n, path: s.Path, data: append([]byte(nil), s.Content...)}, nil
	case abi.FiletypeCharacterDevice:
		n, errno := fs.find(0, s.Path)
		if errno != abi.OK || n.Open == nil {
			return nil, fmt.Errorf("%s: %s: is no device: %w", fs.typ, s.Path, errBadState)
		}
		f, errno := fs.device(n, s.Path, vfs.OpenOptions{})
		if errno != abi.OK {
			return nil, fmt.Errorf("%s: %s: %w", fs.typ, s.Path, errno)
		}
		if _, ok := f.(*device); !ok {
			f.Close()
			return nil, fmt.Errorf("%s: %s: is not saved this way: %w", fs.typ, s.Path, errBadState)
		}
		return f, nil
	}
	return nil, fmt.Errorf("%s: %s is a %v: %w", fs.typ, s.Path, s.Type, errBadState)
}
