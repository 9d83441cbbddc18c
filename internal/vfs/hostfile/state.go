package hostfile

import (
	"fmt"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

// The kinds of vfs.ObjectState that this package saves.
const (
	KindStdio      = "stdio"
	KindListener   = "listener"
	KindConnection = "connection"
)

// State is a file that was handed in, by its name.
type State struct {
	Name string `pb:"1"`

	// Offset is the position of a regular file, nil for anything else.
	Offset *int64 `pb:"2"`

	// Unread is what a Reader has read and the guest has not.
	Unread []byte `pb:"3"`
}

// A Provider returns what goes by a name now, for a restored file to own, or
// nil if it was not granted. It is asked once for each file.
type Provider func(name string) (vfs.File, error)

// Restorers are the functions that restore this package's kinds, for
// vfs.NewRestorer. Stdio is asked for streams, listeners for listening sockets.
// What is not granted makes the restore fail with a *vfs.MissingError.
func Restorers(stdio, listeners Provider) map[string]vfs.RestoreFunc {
	return map[string]vfs.RestoreFunc{
		KindStdio:      func(_ *vfs.Restorer, data []byte) (vfs.File, error) { return restore(KindStdio, stdio, data) },
		KindListener:   func(_ *vfs.Restorer, data []byte) (vfs.File, error) { return restore(KindListener, listeners, data) },
		KindConnection: func(*vfs.Restorer, []byte) (vfs.File, error) { return Reset{}, nil },
	}
}

func restore(kind string, p Provider, data []byte) (vfs.File, error) {
	var s State
	if err := protostruct.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("state of a %s: %w", kind, err)
	}
	f, err := p(s.Name)
	if err != nil {
		return nil, err
	}
	if f == nil {
		return nil, &vfs.MissingError{Kind: kind, Name: s.Name}
	}
	if err := s.apply(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s %s: %w", kind, s.Name, err)
	}
	return f, nil
}

// apply makes f go on where the saved file was, as far as that is its own: a
// stdin that was a regular file is read on from the same position if it is one
// again. Output goes where the caller's redirection says: a seek there would
// leave a hole.
func (s *State) apply(f vfs.File) error {
	switch f := f.(type) {
	case *Reader:
		if len(s.Unread) > streamSize {
			return fmt.Errorf("%d unread bytes, more than the %d that there can be", len(s.Unread), streamSize)
		}
		f.unread(s.Unread)
	case *SeekableStream:
		if s.Offset == nil || s.Name != "stdin" {
			return nil
		}
		st, errno := f.Stat()
		if errno != abi.OK {
			return errno
		}
		if *s.Offset < 0 || uint64(*s.Offset) > st.Size {
			return fmt.Errorf("has %d bytes, was at %d before the save", st.Size, *s.Offset)
		}
		if _, errno := f.Lseek(*s.Offset, abi.SeekSet); errno != abi.OK {
			return errno
		}
	}
	return nil
}

// Save saves the stream by its name.
func (f *Stream) Save(*vfs.Saver) (vfs.ObjectState, error) {
	return vfs.NewObjectState(KindStdio, State{Name: f.name})
}

// Save saves the stream by its name, with its position.
func (f *SeekableStream) Save(*vfs.Saver) (vfs.ObjectState, error) {
	pos, errno := f.Lseek(0, abi.SeekCur)
	if errno != abi.OK {
		return vfs.ObjectState{}, fmt.Errorf("%s: position: %w", f.name, errno)
	}
	return vfs.NewObjectState(KindStdio, State{Name: f.name, Offset: &pos})
}

// Save saves the socket by its name. Connections that nobody has accepted are
// lost.
func (l *Listener) Save(*vfs.Saver) (vfs.ObjectState, error) {
	return vfs.NewObjectState(KindListener, State{Name: l.name})
}

// Save saves the socket: by its name if it was handed in, otherwise as a
// connection that will be reset.
func (c *Conn) Save(*vfs.Saver) (vfs.ObjectState, error) {
	if c.name != "" {
		return vfs.NewObjectState(KindStdio, State{Name: c.name})
	}
	return vfs.NewObjectState(KindConnection, State{})
}

// Reset is a connection that was lost in a restore.
type Reset struct{}

var _ vfs.Socket = Reset{}

// Readiness tells that reads and writes would fail at once.
func (Reset) Readiness(mask waiter.EventMask) waiter.EventMask {
	return waiter.Err | waiter.Hup | mask
}

// Register does nothing: it is ready.
func (Reset) Register(*waiter.Entry) {}

// Unregister does nothing.
func (Reset) Unregister(*waiter.Entry) {}

// Stat tells that it is a socket.
func (Reset) Stat() (abi.Filestat, abi.Errno) {
	return abi.Filestat{Filetype: abi.FiletypeSocketStream, Nlink: 1}, abi.OK
}

// Read gives ECONNRESET.
func (Reset) Read([][]byte) (int, abi.Errno) { return 0, abi.ECONNRESET }

// Write gives EPIPE, as after a reset that was told.
func (Reset) Write([][]byte) (int, abi.Errno) { return 0, abi.EPIPE }

// Recv gives ECONNRESET.
func (Reset) Recv([][]byte, abi.RIFlags) (int, bool, abi.Errno) { return 0, false, abi.ECONNRESET }

// Send gives EPIPE.
func (Reset) Send([][]byte) (int, abi.Errno) { return 0, abi.EPIPE }

// Shutdown gives ENOTCONN.
func (Reset) Shutdown(abi.SDFlags) abi.Errno { return abi.ENOTCONN }

// Save saves it as what it is.
func (Reset) Save(*vfs.Saver) (vfs.ObjectState, error) {
	return vfs.NewObjectState(KindConnection, State{})
}

// Close does nothing.
func (Reset) Close() {}
