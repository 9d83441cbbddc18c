package pipefs

import (
	"errors"
	"fmt"

	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/vfs"
)

// Kind is the kind of a pipe and of its ends in a vfs.State. Restore is its
// vfs.RestoreFunc.
const Kind = "pipe"

// State is a pipe: an object of vfs.State.
type State struct {
	Ino  uint64 `pb:"1"`
	Mtim int64  `pb:"2"` // ns
	Data []byte `pb:"3"` // what has not been read

	Capacity int `pb:"4"` // bytes; 0 is Capacity
}

// EndState is one end: a file of vfs.State.
type EndState struct {
	Pipe   vfs.ObjectID `pb:"1"`
	Writer bool         `pb:"2"`
}

var errBadState = errors.New("bad state")

// Save is vfs.File's.
func (e *end) Save(s *vfs.Saver) (vfs.ObjectState, error) {
	id, err := s.Object(e.pipe, func() (vfs.ObjectState, error) {
		p := e.pipe
		p.mu.Lock()
		defer p.mu.Unlock()
		return vfs.NewObjectState(Kind, State{Ino: p.ino, Mtim: p.mtim, Data: p.data.Bytes(), Capacity: p.capacity})
	})
	if err != nil {
		return vfs.ObjectState{}, err
	}
	return vfs.NewObjectState(Kind, EndState{Pipe: id, Writer: e.writer})
}

// Restore is the vfs.RestoreFunc of pipes. A side that nobody restores is
// closed, as it was when it was saved.
func (s *System) Restore(r *vfs.Restorer, data []byte) (vfs.File, error) {
	var st EndState
	if err := protostruct.Unmarshal(data, &st); err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	p, err := r.Object(st.Pipe, Kind, func(data []byte) (any, error) { return s.restorePipe(data) })
	if err != nil {
		return nil, err
	}
	return p.(*pipe).open(st.Writer), nil
}

func (s *System) restorePipe(data []byte) (*pipe, error) {
	var st State
	if err := protostruct.Unmarshal(data, &st); err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	if st.Capacity == 0 {
		st.Capacity = Capacity
	}
	if st.Capacity != Capacity && st.Capacity != SmallCapacity || len(st.Data) > st.Capacity || st.Mtim < 0 || st.Ino > maxIno {
		return nil, fmt.Errorf("pipe %d: %d bytes of %d in it, time %d: %w", st.Ino, len(st.Data), st.Capacity, st.Mtim, errBadState)
	}
	if !s.budget.Take(st.Capacity) {
		return nil, fmt.Errorf("pipe %d: pipes take more than %d bytes together: raise the limit of pipe bytes", st.Ino, s.budget.Max())
	}
	p := &pipe{system: s, ino: st.Ino, capacity: st.Capacity, mtim: st.Mtim}
	p.data.Write(st.Data)
	s.noteIno(st.Ino)
	return p, nil
}

// maxIno bounds inode numbers, which only ever grow, far away from where they
// would wrap.
const maxIno = 1 << 62

// noteIno makes new pipes get numbers above ino.
func (s *System) noteIno(ino uint64) {
	for last := s.lastIno.Load(); ino > last && !s.lastIno.CompareAndSwap(last, ino); {
		last = s.lastIno.Load()
	}
}
