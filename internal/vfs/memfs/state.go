package memfs

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/vfs"
)

// State is a whole file system. Extents refer to its memory: nobody may write
// to them.
type State struct {
	Bytes   int64  `pb:"1"` // quota
	Inodes  int64  `pb:"2"` // quota
	Dev     uint64 `pb:"3"`
	LastIno uint64 `pb:"4"`
	Root    uint64 `pb:"5"` // ino

	Nodes []NodeState `pb:"6"` // in order of ino
}

// NodeState is an inode. A regular file or symbolic link without names is one
// that is open, and is dropped if no restored file opens it.
type NodeState struct {
	Ino      uint64       `pb:"1"`
	Filetype abi.Filetype `pb:"2"` // as preview 1 numbers them
	Atim     int64        `pb:"3"` // ns since 1970
	Mtim     int64        `pb:"4"` // the same
	Ctim     int64        `pb:"5"` // the same

	Size    int64    `pb:"6"` // of a regular file
	Extents []Extent `pb:"7"` // in order; zeros between them

	Target string `pb:"8"` // of a symbolic link

	// Of a directory. LastSeq is the highest number that an entry ever had.
	Entries []EntryState `pb:"9"` // in order of Seq
	LastSeq uint64       `pb:"10"`
}

// Extent is a piece of a file's content.
type Extent struct {
	Off  int64  `pb:"1"` // a multiple of 64 KiB
	Data []byte `pb:"2"` // a multiple of 4 KiB, at most 64 KiB
}

// EntryState is a name in a directory. Seq is its readdir cookie.
type EntryState struct {
	Name string `pb:"1"`
	Ino  uint64 `pb:"2"`
	Seq  uint64 `pb:"3"`
}

// FileState is an open file or directory: the data of its vfs.ObjectState.
type FileState struct {
	Ino uint64 `pb:"1"`
	End uint64 `pb:"2"` // of a directory: the last entry of the listing in progress
}

// errBadState is the cause of errors about a state that nobody can have saved.
var errBadState = errors.New("bad state")

// Save returns the file system as it is. It is called while no task runs, but
// the State stays as it is when they run on.
func (fs *FS) Save() *State {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	s := &State{Bytes: fs.opts.Bytes, Inodes: fs.opts.Inodes, Dev: fs.opts.Dev, LastIno: fs.lastIno, Root: fs.root.ino}
	for _, n := range fs.nodes {
		s.Nodes = append(s.Nodes, n.saveLocked())
	}
	slices.SortFunc(s.Nodes, func(a, b NodeState) int { return compare(a.Ino, b.Ino) })
	return s
}

func compare[T int64 | uint64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// saveLocked returns n's state and marks its chunks as shared.
//
// Preconditions: FS.mu is locked.
func (n *node) saveLocked() NodeState {
	s := NodeState{
		Ino: n.ino, Filetype: n.kind, Atim: n.atim, Mtim: n.mtim, Ctim: n.ctim,
		Size: n.data.size, Target: n.target, LastSeq: n.list.lastSeq,
	}
	for i, k := range n.data.chunks {
		k.shared = true
		s.Extents = append(s.Extents, Extent{Off: i * chunkSize, Data: k.b})
	}
	slices.SortFunc(s.Extents, func(a, b Extent) int { return compare(a.Off, b.Off) })
	for _, e := range n.list.bySeq {
		if e.node != nil {
			s.Entries = append(s.Entries, EntryState{Name: e.name, Ino: e.node.ino, Seq: e.seq})
		}
	}
	return s
}

// Save is vfs.File's.
func (f *file) Save(*vfs.Saver) (vfs.ObjectState, error) {
	return vfs.NewObjectState(Type, FileState{Ino: f.node.ino})
}

// Save is vfs.File's.
func (f *directory) Save(*vfs.Saver) (vfs.ObjectState, error) {
	f.dir.fs.mu.Lock()
	defer f.dir.fs.mu.Unlock()
	return vfs.NewObjectState(Type, FileState{Ino: f.dir.node.ino, End: f.end})
}

// RestoreFile is vfs.FileSystem's.
func (fs *FS) RestoreFile(_ *vfs.Restorer, data []byte) (vfs.File, error) {
	var s FileState
	if err := protostruct.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("memfs: %w", err)
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n := fs.nodes[s.Ino]
	if n == nil {
		return nil, fmt.Errorf("memfs: inode %d is not there: %w", s.Ino, errBadState)
	}
	f, errno := fs.openLocked(n, vfs.OpenOptions{})
	if errno != abi.OK {
		return nil, fmt.Errorf("memfs: inode %d: %w", s.Ino, errno)
	}
	if d, ok := f.(*directory); ok {
		d.end = s.End
	}
	return f, nil
}

// FinishRestore drops what has no name and was opened by no restored file. It
// is called when all files are restored.
func (fs *FS) FinishRestore() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, n := range fs.nodes {
		fs.dropLocked(n)
	}
}

// checkName returns an error unless a directory can have an entry called name.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || len(name) > vfs.MaxName ||
		strings.ContainsAny(name, "/\x00") || !utf8.ValidString(name) {
		return fmt.Errorf("name %.300q: %w", name, errBadState)
	}
	return nil
}
