package vfs

import (
	"errors"
	"fmt"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/protostruct"
)

// State is all open files and what they share, with the mounts that they need.
// FD tables are saved apart (FDTableState), since each process has its own;
// they refer to files by id. So is the content of file systems, each in its
// own package's State.
type State struct {
	Mounts  []MountState  `pb:"1"`
	Objects []ObjectState `pb:"2"` // index is the ObjectID
	Files   []FileState   `pb:"3"` // index is the FileID
}

// MountState names a mount. It is the caller's to make it again; Restore
// checks that it did.
type MountState struct {
	Guest    string `pb:"1"`      // path
	Type     string `pb:"2,text"` // FileSystem.Type
	ReadOnly bool   `pb:"3"`
}

// FileID is an open file's index in State.Files.
type FileID int

// ObjectID is an object's index in State.Objects.
type ObjectID int

// FileState is an OpenFile.
type FileState struct {
	Object ObjectState `pb:"1"` // the File behind it
	Mount  string      `pb:"2"` // its guest path; empty for what lies in none
	Path   string      `pb:"3"` // by which it was opened, absolute
	Read   bool        `pb:"4"` // opened for reading
	Write  bool        `pb:"5"` // opened for writing
	Flags  abi.FDFlags `pb:"6"` // preview 1's fdflags
	Offset int64       `pb:"7"` // bytes
	Flock  LockType    `pb:"8"` // the lock of flock(2) that it has: 1 is shared, 2 exclusive
}

// ObjectState is a File, or something that several Files share, such as the
// pipe between two ends. Kind says who reads Data: for a file of a mount the
// mount's file system, for others the RestoreFunc of that kind.
type ObjectState struct {
	Kind string `pb:"1,text"`
	Data []byte `pb:"2"` // the package's own state struct
}

// FDTableState is an FDTable.
type FDTableState struct {
	Limit int       `pb:"1"` // new fds get numbers below it
	FDs   []FDState `pb:"2"` // in order of FD

	Locks []LockState `pb:"3"` // record locks of the process
}

// FDState is one fd.
type FDState struct {
	FD         FD         `pb:"1"`
	File       FileID     `pb:"2"`
	Base       abi.Rights `pb:"3"` // preview 1's rights
	Inheriting abi.Rights `pb:"4"`
	Preopen    string     `pb:"5"` // the name that it has as a preopened directory
	Cloexec    bool       `pb:"6"`
}

// MissingError says that a restore needs something of the host that the caller
// has not granted.
type MissingError struct {
	Kind string // "mount", "stdio", "listener", …
	Name string // the mount's guest path, "stdin", the listener's name
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s %s is needed and was not granted", e.Kind, e.Name)
}

// NewObjectState returns the ObjectState of kind with v as its data.
func NewObjectState(kind string, v any) (ObjectState, error) {
	data, err := protostruct.Marshal(v)
	if err != nil {
		return ObjectState{}, fmt.Errorf("%s: %w", kind, err)
	}
	return ObjectState{Kind: kind, Data: data}, nil
}

// A Saver collects open files, so that what is shared is saved once. It is
// used while no task runs, by one goroutine.
type Saver struct {
	state   State
	files   map[*OpenFile]FileID
	objects map[any]ObjectID
}

// NewSaver returns a Saver for the files of n.
func NewSaver(n *Namespace) *Saver {
	s := &Saver{files: make(map[*OpenFile]FileID), objects: make(map[any]ObjectID)}
	s.state.Mounts = n.mountStates()
	return s
}

// State returns what has been saved.
func (s *Saver) State() *State { return &s.state }

// File saves f, unless it is already, and returns its id.
func (s *Saver) File(f *OpenFile) (FileID, error) {
	if id, ok := s.files[f]; ok {
		return id, nil
	}
	object, err := f.file.Save(s)
	if err != nil {
		if f.path != "" {
			return 0, fmt.Errorf("open file %s: %w", f.path, err)
		}
		return 0, fmt.Errorf("open file: %w", err)
	}
	f.offsetMu.Lock()
	defer f.offsetMu.Unlock()
	st := FileState{Object: object, Path: f.path, Read: f.read, Write: f.write, Flags: f.Flags(), Offset: f.offset, Flock: f.flock()}
	if f.mount != nil {
		st.Mount = f.mount.Guest
	}
	id := FileID(len(s.state.Files))
	s.state.Files = append(s.state.Files, st)
	s.files[f] = id
	return id, nil
}

// Object saves what several Files share. Key is its identity; save is called
// the first time.
func (s *Saver) Object(key any, save func() (ObjectState, error)) (ObjectID, error) {
	if id, ok := s.objects[key]; ok {
		return id, nil
	}
	object, err := save()
	if err != nil {
		return 0, err
	}
	id := ObjectID(len(s.state.Objects))
	s.state.Objects = append(s.state.Objects, object)
	s.objects[key] = id
	return id, nil
}

// Save returns the table's state, and puts its files into s.
func (t *FDTable) Save(s *Saver) (*FDTableState, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	st := &FDTableState{Limit: t.limit}
	for i, d := range t.fds {
		if d.file == nil {
			continue
		}
		id, err := s.File(d.file)
		if err != nil {
			return nil, fmt.Errorf("fd %d: %w", i, err)
		}
		st.FDs = append(st.FDs, FDState{FD(i), id, d.base, d.inheriting, d.preopen, d.cloexec})
	}
	st.Locks = t.saveLocks(s)
	return st, nil
}

// errBadState is the cause of errors about a state that nobody can have saved.
var errBadState = errors.New("bad state")
