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

	Lower string `pb:"7,text"` // type of the file system that it lies over; empty is none
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

	Origin *OriginState `pb:"11"` // of what comes from the lower; not there for what does not
}

// OriginState is a node's tie to the lower.
type OriginState struct {
	Path   string `pb:"1"` // below its root; empty for the root
	Stub   bool   `pb:"2"` // was listed and not looked at: times, size and target are not known
	Loaded bool   `pb:"3"` // of a directory: all names are among Entries
	Times  bool   `pb:"4"` // the times were set here
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

	Below []byte `pb:"3"` // of a file whose content is the lower's: its own saved file there
}

// errBadState is the cause of errors about a state that nobody can have saved.
var errBadState = errors.New("bad state")

// Save returns the file system as it is. It is called while no task runs, but
// the State stays as it is when they run on.
func (fs *FS) Save() *State {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	s := &State{Bytes: fs.opts.Bytes, Inodes: fs.opts.Inodes, Dev: fs.opts.Dev, LastIno: fs.lastIno, Root: fs.root.ino}
	if fs.opts.Lower != nil {
		s.Lower = fs.opts.Lower.Type()
	}
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
	if o := n.lower; o != nil {
		s.Origin = &OriginState{Path: o.path, Stub: o.stub, Loaded: o.loaded, Times: o.times}
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
func (f *file) Save(to *vfs.Saver) (vfs.ObjectState, error) {
	f.fs.mu.Lock()
	below := f.node.below
	if f.node.lower == nil {
		below = nil // it was copied up
	}
	f.fs.mu.Unlock()
	s := FileState{Ino: f.node.ino}
	if below != nil {
		o, err := below.Save(to)
		if err != nil {
			return o, fmt.Errorf("in the lower: %w", err)
		}
		s.Below = o.Data
	}
	return vfs.NewObjectState(Type, s)
}

// Save is vfs.File's.
func (f *directory) Save(*vfs.Saver) (vfs.ObjectState, error) {
	f.dir.fs.mu.Lock()
	defer f.dir.fs.mu.Unlock()
	return vfs.NewObjectState(Type, FileState{Ino: f.dir.node.ino, End: f.end})
}

// RestoreFile is vfs.FileSystem's.
func (fs *FS) RestoreFile(r *vfs.Restorer, data []byte) (vfs.File, error) {
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
	if err := fs.restoreBelowLocked(n, &s, r); err != nil {
		return nil, fmt.Errorf("memfs: inode %d: in the lower: %w", s.Ino, err)
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

// restoreBelowLocked opens the content of n below as it was open, by the rules
// that the lower has for that.
//
// Preconditions: fs.mu is locked.
func (fs *FS) restoreBelowLocked(n *node, s *FileState, r *vfs.Restorer) error {
	if n.kind != abi.FiletypeRegularFile || n.lower == nil || n.below != nil {
		return nil
	}
	f, err := fs.opts.Lower.RestoreFile(r, s.Below)
	if err != nil {
		return err
	}
	regular, ok := f.(vfs.Regular)
	if !ok {
		f.Close()
		return fmt.Errorf("is no regular file: %w", errBadState)
	}
	n.below = regular
	return nil
}

// FinishRestore drops what has no name and was opened by no restored file. It
// is called when all files are restored.
func (fs *FS) FinishRestore() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, n := range fs.nodes {
		fs.dropLocked(n)
	}
	if lower, ok := fs.opts.Lower.(interface{ FinishRestore() }); ok {
		lower.FinishRestore()
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
