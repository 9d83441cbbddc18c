package vfs

import (
	"fmt"
	"strings"

	"github.com/stasis-run/stasis/internal/abi"
)

// A RestoreFunc makes a File of a kind that belongs to no mount, from the Data
// of its ObjectState. The bytes may be hostile.
type RestoreFunc func(r *Restorer, data []byte) (File, error)

// A Restorer opens the files of a State again. It is used by one goroutine,
// before any task runs.
type Restorer struct {
	state   *State
	ns      *Namespace
	kinds   map[string]RestoreFunc
	files   []*OpenFile     // by FileID; nil until asked for
	objects []any           // by ObjectID; nil until asked for
	opening map[FileID]bool // files that are being opened
	budget  *Budget         // of the tables to come
}

// NewRestorer returns a Restorer for s over n, where the caller has mounted
// what s names. Kinds are the files that belong to no mount. It fails with a
// *MissingError if a mount is not there.
func NewRestorer(s *State, n *Namespace, kinds map[string]RestoreFunc) (*Restorer, error) {
	for _, m := range s.Mounts {
		have := n.MountAt(m.Guest)
		switch {
		case have == nil:
			return nil, &MissingError{Kind: "mount", Name: m.Guest}
		case have.FS.Type() != m.Type:
			return nil, fmt.Errorf("mount %s: is of type %s, was %s", m.Guest, have.FS.Type(), m.Type)
		}
	}
	return &Restorer{
		state: s, ns: n, kinds: kinds,
		files:   make([]*OpenFile, len(s.Files)),
		objects: make([]any, len(s.Objects)),
		opening: make(map[FileID]bool),
		budget:  NewBudget(restoredFDs),
	}, nil
}

// restoredFDs bounds what the fd tables of one system take, if the caller
// brings no budget: a table that is a few bytes long in a state can have an fd
// with a high number.
const restoredFDs = 4 << 20

// maxOpening is how deep files may need each other: sets of epoll do, and are
// nested five deep at most.
const maxOpening = 8

// SetBudget makes the tables to come count against b.
func (r *Restorer) SetBudget(b *Budget) { r.budget = b }

// File returns the open file with this id, with a reference for the caller.
func (r *Restorer) File(id FileID) (*OpenFile, error) {
	if id < 0 || int(id) >= len(r.files) {
		return nil, fmt.Errorf("open file %d: there are %d: %w", id, len(r.files), errBadState)
	}
	if r.files[id] == nil {
		if r.opening[id] || len(r.opening) == maxOpening {
			return nil, fmt.Errorf("open file %d: it takes itself, or too many others, to open it: %w", id, errBadState)
		}
		r.opening[id] = true
		f, err := r.open(&r.state.Files[id])
		delete(r.opening, id)
		if err != nil {
			return nil, fmt.Errorf("open file %d%s: %w", id, of(r.state.Files[id].Path), err)
		}
		r.files[id] = f // this reference is given back by Close
	}
	r.files[id].IncRef()
	return r.files[id], nil
}

// of puts a path, if there is one, into an error's text.
func of(path string) string {
	if path == "" {
		return ""
	}
	return " " + path
}

// open makes the OpenFile of st.
func (r *Restorer) open(st *FileState) (*OpenFile, error) {
	if st.Offset < 0 || st.Flags&^abi.FDFlagsAll != 0 {
		return nil, fmt.Errorf("offset %d, flags %#x: %w", st.Offset, st.Flags, errBadState)
	}
	m, err := r.mountOf(st)
	if err != nil {
		return nil, err
	}
	var file File
	if m != nil {
		file, err = m.FS.RestoreFile(r, st.Object.Data)
	} else if restore := r.kinds[st.Object.Kind]; restore != nil {
		file, err = restore(r, st.Object.Data)
	} else {
		return nil, fmt.Errorf("kind %q is not known: %w", st.Object.Kind, errBadState)
	}
	if err != nil {
		return nil, err
	}
	if _, ok := file.(Regular); !ok && st.Offset != 0 {
		file.Close()
		return nil, fmt.Errorf("offset %d of a file without positions: %w", st.Offset, errBadState)
	}
	f := NewOpenFile(file, st.Read, st.Write, st.Flags)
	f.offset = st.Offset
	if m != nil {
		f.ns, f.mount = r.ns, m
	}
	if len(st.Path) <= MaxPath {
		f.path = st.Path
	}
	if st.Flock != Unlock {
		if errno := f.Flock(st.Flock); errno != abi.OK {
			f.DecRef()
			return nil, fmt.Errorf("lock of type %d: %w: %w", st.Flock, errno, errBadState)
		}
	}
	return f, nil
}

// mountOf returns the mount that st lies in, or nil for one that has none.
func (r *Restorer) mountOf(st *FileState) (*Mount, error) {
	if st.Mount == "" {
		return nil, nil
	}
	m := r.ns.MountAt(st.Mount)
	if m == nil {
		return nil, &MissingError{Kind: "mount", Name: st.Mount}
	}
	inside := st.Path == m.Guest || strings.HasPrefix(st.Path, strings.TrimSuffix(m.Guest, "/")+"/")
	switch {
	case st.Object.Kind != m.FS.Type():
		return nil, fmt.Errorf("kind %q in the %s at %s: %w", st.Object.Kind, m.FS.Type(), m.Guest, errBadState)
	case !inside:
		return nil, fmt.Errorf("lies outside of mount %s: %w", m.Guest, errBadState)
	case st.Write && m.ReadOnly:
		return nil, fmt.Errorf("was opened for writing, but mount %s is read-only now", m.Guest)
	}
	return m, nil
}

// Object returns the shared object with this id. Restore is called the first
// time, with its state, and must not ask for the same id again.
func (r *Restorer) Object(id ObjectID, kind string, restore func(data []byte) (any, error)) (any, error) {
	if id < 0 || int(id) >= len(r.objects) {
		return nil, fmt.Errorf("object %d: there are %d: %w", id, len(r.objects), errBadState)
	}
	st := &r.state.Objects[id]
	if st.Kind != kind {
		return nil, fmt.Errorf("object %d is of kind %q, not %q: %w", id, st.Kind, kind, errBadState)
	}
	if r.objects[id] == nil {
		o, err := restore(st.Data)
		if err != nil {
			return nil, fmt.Errorf("object %d: %w", id, err)
		}
		r.objects[id] = o
	}
	return r.objects[id], nil
}

// Close gives back the Restorer's own references: files that nobody asked for
// are closed. It is called when all fd tables are restored, or have failed. A
// file system that keeps something for files to come (it has a method
// FinishRestore) is told that none does any more.
func (r *Restorer) Close() {
	for i, f := range r.files {
		if f != nil {
			f.DecRef()
			r.files[i] = nil
		}
	}
	// Of all mounts, not of those that the state names: it may be hostile.
	r.ns.mu.RLock()
	defer r.ns.mu.RUnlock()
	for _, m := range r.ns.mounts {
		if fs, ok := m.FS.(interface{ FinishRestore() }); ok {
			fs.FinishRestore()
		}
	}
}

// RestoreFDTable makes the FDTable of st. On failure nothing stays open.
func RestoreFDTable(st *FDTableState, r *Restorer) (*FDTable, error) {
	if st.Limit < 0 || st.Limit > MaxFDs {
		return nil, fmt.Errorf("fd table: limit %d: %w", st.Limit, errBadState)
	}
	t := NewFDTableIn(r.budget, st.Limit)
	next := 0
	for i := range st.FDs {
		d := &st.FDs[i]
		if int64(d.FD) < int64(next) || int64(d.FD) >= MaxFDs { // the limit may have been lowered since
			t.CloseAll()
			return nil, fmt.Errorf("fd %d: out of order, or beyond the limit of %d fds: %w", d.FD, MaxFDs, errBadState)
		}
		if err := t.restoreFD(d, r); err != nil {
			t.CloseAll()
			return nil, fmt.Errorf("fd %d: %w", d.FD, err)
		}
		next = int(d.FD) + 1
	}
	for i := range st.Locks {
		if err := t.restoreLock(&st.Locks[i], r); err != nil {
			t.CloseAll()
			return nil, fmt.Errorf("fd table: %w", err)
		}
	}
	return t, nil
}

// restoreFD puts d into the table, which nobody else uses yet.
func (t *FDTable) restoreFD(d *FDState, r *Restorer) error {
	f, err := r.File(d.File)
	if err != nil {
		return err
	}
	_, dir := f.file.(Directory)
	maxBase, maxInheriting := f.Rights()
	if f.mount == nil { // granted anew, and maybe another sort of file: what was a log is a terminal
		narrowed := *d
		narrowed.Base, narrowed.Inheriting = d.Base&maxBase, d.Inheriting&maxInheriting
		d = &narrowed
	}
	if len(d.Preopen) > MaxPath || d.Preopen != "" && !dir || !maxBase.Has(d.Base) || !maxInheriting.Has(d.Inheriting) {
		f.DecRef()
		return fmt.Errorf("rights %#x and %#x, preopen %q: not for such a file: %w", d.Base, d.Inheriting, d.Preopen, errBadState)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if errno := t.growLocked(int(d.FD)); errno != abi.OK {
		f.DecRef()
		return errno
	}
	t.fds[d.FD] = descriptor{f, d.Base, d.Inheriting, d.Preopen, d.Cloexec}
	return nil
}

// mountStates returns the mounts in order of their guest paths.
func (n *Namespace) mountStates() []MountState {
	var out []MountState
	for _, m := range n.Mounts() {
		out = append(out, MountState{Guest: m.Guest, Type: m.FS.Type(), ReadOnly: m.ReadOnly})
	}
	return out
}
