package hostfile

import (
	"context"
	"fmt"
	"net"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

// A Listener is a listening socket of the host.
type Listener struct {
	source
	name string // immutable
	addr net.Addr
}

// A Conn is a connected stream socket of the host.
type Conn struct {
	source
	name string // of a socket that was handed in; else empty; immutable
}

var (
	_ vfs.Listener = (*Listener)(nil)
	_ vfs.Socket   = (*Conn)(nil)
)

// Listen opens a listening socket as spec says, "tcp:HOST:PORT", as in
// --listen. Spec is also its name when it is saved.
func Listen(ctx context.Context, p *Poller, spec string) (*Listener, error) {
	network, addr, ok := strings.Cut(spec, ":")
	if !ok || network != "tcp" {
		return nil, fmt.Errorf("listen %q: want tcp:HOST:PORT", spec)
	}
	var lc net.ListenConfig
	nl, err := lc.Listen(ctx, network, addr)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", spec, err)
	}
	// The duplicate keeps Go's O_NONBLOCK, and leaves Go's own poller.
	defer nl.Close()
	fd, err := dupConn(nl.(syscall.Conn))
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", spec, err)
	}
	l := &Listener{name: spec, addr: nl.Addr()}
	l.init(p, desc{fd: fd, kind: Socket, nonblock: true})
	return l, nil
}

// dupConn duplicates the descriptor of one of package net's sockets.
func dupConn(c syscall.Conn) (int, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	dup, dupErr := -1, error(nil)
	err = raw.Control(func(fd uintptr) {
		dup, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3)
	})
	if err != nil {
		return -1, err
	}
	return dup, dupErr
}

// NewConn makes a connection of package net into a guest's socket. The
// descriptor is duplicated; close c after.
func NewConn(p *Poller, c syscall.Conn) (*Conn, error) {
	fd, err := dupConn(c)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	s := &Conn{}
	s.init(p, desc{fd: fd, kind: Socket, nonblock: true})
	return s, nil
}

// newSocket makes an inherited socket into a file. It takes d over.
func newSocket(p *Poller, d desc, name string) (vfs.File, error) {
	typ, err := unix.GetsockoptInt(d.fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err == nil && typ != unix.SOCK_STREAM {
		err = fmt.Errorf("socket type %d, want a stream", typ)
	}
	if err != nil {
		unix.Close(d.fd)
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	listening, err := unix.GetsockoptInt(d.fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err == nil && listening != 0 {
		l := &Listener{name: name}
		l.init(p, d)
		return l, nil
	}
	c := &Conn{name: name}
	c.init(p, d)
	return c, nil
}

// Addr is the address that is listened on, nil for an inherited socket.
func (l *Listener) Addr() net.Addr { return l.addr }

// Stat returns what the socket is.
func (l *Listener) Stat() (abi.Filestat, abi.Errno) { return l.stat() }

// Close closes the socket. Connections that nobody has accepted are reset.
func (l *Listener) Close() { l.close() }

// Accept takes a connection. An inherited socket may be a blocking one, so the
// host is asked first whether somebody is there; should he have gone again, or
// another process that shares the socket have been faster, the call blocks for
// the next one. Our own sockets do not.
func (l *Listener) Accept() (vfs.File, abi.Errno) {
	var c *Conn
	errno := l.call(waiter.In, func() abi.Errno {
		if !l.d.nonblock && l.d.ready(waiter.In) == 0 {
			return abi.EAGAIN
		}
		fd, err := l.accept()
		if err != nil {
			return Errno(err)
		}
		c = &Conn{}
		c.init(l.watch.p, desc{fd: fd, kind: Socket, nonblock: true})
		return abi.OK
	})
	if errno != abi.OK {
		return nil, errno
	}
	return c, abi.OK
}

// accept skips connections that have ended before they were accepted: a WASI
// guest expects no ECONNABORTED.
func (l *Listener) accept() (int, error) {
	for {
		fd, _, err := unix.Accept4(l.d.fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		if err != unix.EINTR && err != unix.ECONNABORTED {
			return fd, err
		}
		if !l.d.nonblock && l.d.ready(waiter.In) == 0 {
			return -1, unix.EAGAIN
		}
	}
}

// Read is Recv without flags.
func (c *Conn) Read(bufs [][]byte) (int, abi.Errno) { return c.read(bufs) }

// Write is Send.
func (c *Conn) Write(bufs [][]byte) (int, abi.Errno) { return c.write(bufs) }

// Recv reads what is there. RecvPeek leaves it there. RecvWaitall makes no
// difference here: to wait for the rest is up to whoever can wait, and partial
// progress of a call is part of what it saves. A stream truncates nothing.
func (c *Conn) Recv(bufs [][]byte, flags abi.RIFlags) (n int, truncated bool, errno abi.Errno) {
	if flags&^abi.RIFlagsAll != 0 {
		return 0, false, abi.EINVAL
	}
	if flags&abi.RecvPeek == 0 {
		n, errno = c.read(bufs)
		return n, false, errno
	}
	errno = c.call(waiter.In, func() abi.Errno {
		n, errno = c.peek(bufs)
		return errno
	})
	return n, false, errno
}

// peek reads and leaves what it read. All buffers must be filled by one call.
func (c *Conn) peek(bufs [][]byte) (int, abi.Errno) {
	n, err := retry(func() (int, error) {
		n, _, _, _, err := unix.RecvmsgBuffers(c.d.fd, bufs, nil, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return n, err
	})
	if err != nil {
		return 0, Errno(err)
	}
	return n, abi.OK
}

// Send writes what there is room for.
func (c *Conn) Send(bufs [][]byte) (int, abi.Errno) { return c.write(bufs) }

// Shutdown ends one direction or both.
func (c *Conn) Shutdown(how abi.SDFlags) abi.Errno {
	host, ok := map[abi.SDFlags]int{
		abi.ShutRd:              unix.SHUT_RD,
		abi.ShutWr:              unix.SHUT_WR,
		abi.ShutRd | abi.ShutWr: unix.SHUT_RDWR,
	}[how]
	if !ok {
		return abi.EINVAL
	}
	return c.call(0, func() abi.Errno { return Errno(unix.Shutdown(c.d.fd, host)) })
}

// Stat returns what the socket is.
func (c *Conn) Stat() (abi.Filestat, abi.Errno) { return c.stat() }

// Close closes the socket.
func (c *Conn) Close() { c.close() }
