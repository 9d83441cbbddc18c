// Package control is how commands and running systems talk: frames over a unix
// socket, one call a connection.
//
// A frame is a message in protobuf's encoding, after its length in three bytes,
// little-endian, and the number of descriptors that go along as SCM_RIGHTS in a
// fourth: the kernel may hand over a frame with the descriptors of the next one.
//
// The first frame is a Call, which names the version of its sender; what follows
// depends on the operation. Messages only ever gain fields, and operations are
// only ever added: an older system answers a call that it does not know with the
// kind Unsupported and its own version.
package control

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/protostruct"
)

// Version is the protocol's version: the highest that this program speaks. It
// speaks all below.
const Version = 1

const (
	maxFrame = 1 << 20 // bytes of a message
	maxFDs   = 128     // descriptors with a message, fewer than SCM_MAX_FD

	filesShift = 24 // of their number in a frame's first four bytes
)

// A Conn is one end of a connection. Send and Receive may each be used by one
// goroutine at a time.
type Conn struct {
	c *net.UnixConn

	sending sync.Mutex

	receiving sync.Mutex
	in        []byte     // bytes that have come and are not decoded yet; protected by receiving
	files     []*os.File // descriptors that have come with them; protected by receiving
}

// NewConn takes over a connected socket.
func NewConn(c *net.UnixConn) *Conn { return &Conn{c: c} }

// FileConn takes over a descriptor of a connected unix socket.
func FileConn(f *os.File) (*Conn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, errors.New("not a unix socket")
	}
	return NewConn(u), nil
}

// FD is the connection's descriptor, which stays the connection's; -1 if it is
// closed.
func (c *Conn) FD() int {
	fd := -1
	if raw, err := c.c.SyscallConn(); err == nil {
		_ = raw.Control(func(n uintptr) { fd = int(n) }) // closed
	}
	return fd
}

// Pair makes two connected ends: one for this process, and one to be inherited.
func Pair() (*Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "control")
	ours, err := FileConn(os.NewFile(uintptr(fds[0]), "control"))
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}

// Listen makes a listening socket that only its owner may connect to. However
// long its path, it fits a socket's address.
func Listen(path string) (*os.File, error) {
	var f *os.File
	err := through(path, func(short string) error {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		f = os.NewFile(uintptr(fd), "control")
		return errors.Join(unix.Fchmod(fd, 0o600), unix.Bind(fd, &unix.SockaddrUnix{Name: short}), unix.Listen(fd, 64))
	})
	if err != nil && f != nil {
		f.Close()
	}
	return f, err
}

// Dial connects to a listening socket.
func Dial(ctx context.Context, path string) (*Conn, error) {
	var c net.Conn
	err := through(path, func(short string) (err error) {
		var d net.Dialer
		c, err = d.DialContext(ctx, "unix", short)
		return err
	})
	if err != nil {
		return nil, err
	}
	return NewConn(c.(*net.UnixConn)), nil
}

// through calls f with a name of path that is short enough for a socket's
// address: by a descriptor of its directory, if need be.
func through(path string, f func(short string) error) error {
	const most = 107 // unix(7)
	if len(path) <= most {
		return f(path)
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return f(fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), filepath.Base(path)))
}

// Close closes the connection, and descriptors that have come and were not taken.
func (c *Conn) Close() error {
	err := c.c.Close()
	c.receiving.Lock() // a Receive that waits has just been ended
	defer c.receiving.Unlock()
	c.dropFiles()
	return err
}

// Preconditions: receiving is locked.
func (c *Conn) dropFiles() {
	closeAll(c.files)
	c.files = nil
}

// Deadline bounds all sending and receiving; the zero time is none.
func (c *Conn) Deadline(t time.Time) { _ = c.c.SetDeadline(t) } // fails on closed connections only

// Patience bounds the sending that begins from now on.
func (c *Conn) Patience(d time.Duration) { _ = c.c.SetWriteDeadline(time.Now().Add(d)) } // the same

// Until closes the connection when ctx is done, and until the function it
// returns is called.
func (c *Conn) Until(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { c.c.Close() })
}

// Peer is the uid of the process at the other end (SO_PEERCRED, unix(7)).
func (c *Conn) Peer() (uid uint32, err error) {
	raw, err := c.c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var sockErr error
	err = raw.Control(func(fd uintptr) {
		cred, sockErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, sockErr); err != nil {
		return 0, fmt.Errorf("peer credentials: %w", err)
	}
	return cred.Uid, nil
}

// Send sends a message, and duplicates of files with it. Several goroutines may
// send.
func (c *Conn) Send(msg any, files ...*os.File) error {
	b, err := protostruct.Marshal(msg)
	if err != nil {
		return err
	}
	if len(b) > maxFrame || len(files) > maxFDs {
		return fmt.Errorf("message of %d bytes and %d files, at most %d and %d", len(b), len(files), maxFrame, maxFDs)
	}
	header := uint32(len(b)) | uint32(len(files))<<filesShift
	frame := append(binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(b)), header), b...)
	c.sending.Lock()
	defer c.sending.Unlock()
	if len(files) == 0 { // by write(2), which a jailed compile helper may call
		_, err := c.c.Write(frame)
		return err
	}
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	n, _, err := c.c.WriteMsgUnix(frame, unix.UnixRights(fds...), nil)
	if err == nil && n < len(frame) {
		_, err = c.c.Write(frame[n:])
	}
	return err
}

// Receive receives a message into msg. The files that came along are the
// caller's. io.EOF says that the other side has closed.
func (c *Conn) Receive(msg any) (files []*os.File, err error) {
	c.receiving.Lock()
	defer c.receiving.Unlock()
	defer func() {
		if err != nil {
			c.dropFiles()
		}
	}()
	for {
		if len(c.in) >= 4 {
			header := binary.LittleEndian.Uint32(c.in)
			n, with := header&(1<<filesShift-1), int(header>>filesShift)
			if n > maxFrame || with > maxFDs {
				return nil, fmt.Errorf("message of %d bytes and %d files, at most %d and %d", n, with, maxFrame, maxFDs)
			}
			if n := int(n); len(c.in) >= 4+n {
				b := c.in[4 : 4+n : 4+n]
				c.in = c.in[4+n:]
				if with > len(c.files) || with < len(c.files) && len(c.in) == 0 {
					return nil, fmt.Errorf("message with %d files, not %d", len(c.files), with)
				}
				files, c.files = c.files[:with:with], c.files[with:]
				if err := protostruct.Unmarshal(b, msg); err != nil {
					closeAll(files)
					return nil, err
				}
				return files, nil
			}
		}
		if err := c.more(); err != nil {
			return nil, err
		}
	}
}

// more reads what has come.
func (c *Conn) more() error {
	buf := make([]byte, 16<<10)
	oob := make([]byte, unix.CmsgSpace(4*maxFDs))
	n, oobn, flags, _, err := c.c.ReadMsgUnix(buf, oob)
	files, fdErr := parseRights(oob[:oobn])
	c.files = append(c.files, files...)
	switch {
	case errors.Is(err, io.EOF) && len(c.in) > 0:
		return io.ErrUnexpectedEOF
	case errors.Is(err, io.EOF):
		return io.EOF
	case err != nil:
		return err
	case fdErr != nil:
		return fdErr
	case flags&unix.MSG_CTRUNC != 0 || len(c.files) > maxFDs:
		return errors.New("too many descriptors with a message")
	}
	c.in = append(c.in, buf[:n]...)
	return nil
}

func parseRights(oob []byte) (files []*os.File, err error) {
	if len(oob) == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	for i := range msgs {
		fds, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			continue // another sort of message
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
