package pipefs

import (
	"bytes"
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
		return vfs.NewObjectState(Kind, State{Ino: p.ino, Mtim: p.mtim, Data: p.buf})
	})
	if err != nil {
		return vfs.ObjectState{}, err
	}
	return vfs.NewObjectState(Kind, EndState{Pipe: id, Writer: e.writer})
}

// Restore returns the vfs.RestoreFunc of pipes, whose times come from now. A
// side that nobody restores is closed, as it was when it was saved.
func Restore(now func() int64) vfs.RestoreFunc {
	return func(r *vfs.Restorer, data []byte) (vfs.File, error) {
		var s EndState
		if err := protostruct.Unmarshal(data, &s); err != nil {
			return nil, fmt.Errorf("pipe: %w", err)
		}
		p, err := r.Object(s.Pipe, Kind, func(data []byte) (any, error) { return restorePipe(now, data) })
		if err != nil {
			return nil, err
		}
		return p.(*pipe).open(s.Writer), nil
	}
}

func restorePipe(now func() int64, data []byte) (*pipe, error) {
	var s State
	if err := protostruct.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	if len(s.Data) > Capacity || s.Mtim < 0 {
		return nil, fmt.Errorf("pipe: %d bytes in it, time %d: %w", len(s.Data), s.Mtim, errBadState)
	}
	return &pipe{now: now, ino: s.Ino, mtim: s.Mtim, buf: bytes.Clone(s.Data)}, nil
}
