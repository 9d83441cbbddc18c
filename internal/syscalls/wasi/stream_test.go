package wasi

import (
	"sync"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

// A stream is a file that the test reads and writes at its other end. It is a
// connected socket, too.
type stream struct {
	queue waiter.Queue

	mu       sync.Mutex
	in       []byte // what the guest reads; protected by mu
	eof      bool   // protected by mu
	out      []byte // what the guest has written; protected by mu
	room     int    // how much more the guest may write, if full; protected by mu
	full     bool   // protected by mu
	shutdown abi.SDFlags
}

var _ vfs.Socket = (*stream)(nil)

// give lets the guest read s.
func (s *stream) give(text string, eof bool) {
	s.mu.Lock()
	s.in = append(s.in, text...)
	s.eof = eof
	s.mu.Unlock()
	s.queue.Notify(waiter.In)
}

// setRoom bounds how much more the guest can write.
func (s *stream) setRoom(n int) {
	s.mu.Lock()
	s.full, s.room = true, n
	s.mu.Unlock()
	s.queue.Notify(waiter.Out)
}

func (s *stream) written() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.out)
}

func (s *stream) Read(bufs [][]byte) (int, abi.Errno) {
	n, _, errno := s.Recv(bufs, 0)
	return n, errno
}

func (s *stream) Recv(bufs [][]byte, flags abi.RIFlags) (int, bool, abi.Errno) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.in) == 0 && !s.eof {
		return 0, false, abi.EAGAIN
	}
	n := 0
	for _, b := range bufs {
		n += copy(b, s.in[n:])
	}
	if flags&abi.RecvPeek == 0 {
		s.in = s.in[n:]
	}
	return n, false, abi.OK
}

func (s *stream) Write(bufs [][]byte) (int, abi.Errno) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, b := range bufs {
		if s.full {
			b = b[:min(len(b), s.room)]
			s.room -= len(b)
		}
		s.out = append(s.out, b...)
		n += len(b)
	}
	if n == 0 && size(bufs) > 0 {
		return 0, abi.EAGAIN
	}
	return n, abi.OK
}

func (s *stream) Send(bufs [][]byte) (int, abi.Errno) { return s.Write(bufs) }

func (s *stream) Shutdown(how abi.SDFlags) abi.Errno {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shutdown |= how
	return abi.OK
}

func (s *stream) Readiness(mask waiter.EventMask) waiter.EventMask {
	s.mu.Lock()
	defer s.mu.Unlock()
	var got waiter.EventMask
	if len(s.in) > 0 || s.eof {
		got |= waiter.In
	}
	if s.eof {
		got |= waiter.Hup
	}
	if !s.full || s.room > 0 {
		got |= waiter.Out
	}
	return got & (mask | waiter.Always)
}

func (s *stream) Register(e *waiter.Entry)   { s.queue.Register(e) }
func (s *stream) Unregister(e *waiter.Entry) { s.queue.Unregister(e) }

func (s *stream) Stat() (abi.Filestat, abi.Errno) {
	return abi.Filestat{Filetype: abi.FiletypeSocketStream, Nlink: 1}, abi.OK
}

func (s *stream) Save(*vfs.Saver) (vfs.ObjectState, error) {
	return vfs.NewObjectState("test", nil)
}

func (s *stream) Close() {}

// A listener gives one connection after the other.
type listener struct {
	queue waiter.Queue

	mu    sync.Mutex
	conns []*stream // protected by mu
}

var _ vfs.Listener = (*listener)(nil)

func (l *listener) add(s *stream) {
	l.mu.Lock()
	l.conns = append(l.conns, s)
	l.mu.Unlock()
	l.queue.Notify(waiter.In)
}

func (l *listener) Accept() (vfs.File, abi.Errno) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.conns) == 0 {
		return nil, abi.EAGAIN
	}
	s := l.conns[0]
	l.conns = l.conns[1:]
	return s, abi.OK
}

func (l *listener) Readiness(mask waiter.EventMask) waiter.EventMask {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.conns) == 0 {
		return 0
	}
	return mask & waiter.In
}

func (l *listener) Register(e *waiter.Entry)   { l.queue.Register(e) }
func (l *listener) Unregister(e *waiter.Entry) { l.queue.Unregister(e) }

func (l *listener) Stat() (abi.Filestat, abi.Errno) {
	return abi.Filestat{Filetype: abi.FiletypeSocketStream, Nlink: 1}, abi.OK
}

func (l *listener) Save(*vfs.Saver) (vfs.ObjectState, error) {
	return vfs.NewObjectState("test", nil)
}

func (l *listener) Close() {}
