package hostfile

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/waiter"
)

// A Kind is what a host descriptor refers to.
type Kind int

// The kinds of host descriptors. A Device is a character device that is no
// terminal, such as /dev/null.
const (
	Regular Kind = iota + 1
	Directory
	Pipe
	Terminal
	Device
	Socket
	Other
)

// String is the kind for people.
func (k Kind) String() string {
	switch k {
	case Regular:
		return "regular file"
	case Directory:
		return "directory"
	case Pipe:
		return "pipe"
	case Terminal:
		return "terminal"
	case Device:
		return "device"
	case Socket:
		return "socket"
	case Other:
		return "other"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// kindOf finds out what fd refers to.
func kindOf(fd int) (Kind, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return Regular, nil
	case unix.S_IFDIR:
		return Directory, nil
	case unix.S_IFIFO:
		return Pipe, nil
	case unix.S_IFSOCK:
		return Socket, nil
	case unix.S_IFCHR:
		if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil {
			return Terminal, nil
		}
		return Device, nil
	}
	return Other, nil
}

// writeChunk is how much is written at once where poll(2) is all that tells
// that a write will not block: PIPE_BUF, which a pipe that polls as writable
// has room for.
const writeChunk = 4096

// ttyChunk is the same for a terminal, which polls as writable with any room
// at all; 256 is what the line discipline itself takes as "has room".
const ttyChunk = 256

// A desc is a host descriptor that is read and written without blocking and,
// unless it is our own, without O_NONBLOCK: that flag belongs to the open file
// description, which an inherited descriptor shares with the shell that
// started us and with whatever the shell starts next; these break when they
// find their terminal non-blocking. So there are four ways not to block:
//
//   - sockets: MSG_DONTWAIT;
//   - pipes: preadv2 and pwritev2 with RWF_NOWAIT, which asks the same of one
//     call only. Kernels that cannot (EOPNOTSUPP) fall to the last way;
//   - terminals: opened anew through /proc/self/fd, which gives a description
//     of our own that may be non-blocking. Where that is not possible, the
//     last way;
//   - poll(2) with a timeout of zero, then read(2), or write(2) of no more
//     than what then fits. Somebody else who reads or writes the same pipe
//     between the two calls can make us block; this is why it comes last.
//
// Regular files never block, as far as poll(2) and we are concerned.
type desc struct {
	fd       int  // immutable until close
	kind     Kind // immutable
	nonblock bool // the description is ours and has O_NONBLOCK; immutable
}

// dup gives the desc for a descriptor that stays the caller's.
func dup(fd int) (desc, error) {
	kind, err := kindOf(fd)
	if err != nil {
		return desc{}, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	if kind == Terminal {
		if own, ok := reopenTerminal(fd); ok {
			return desc{fd: own, kind: kind, nonblock: true}, nil
		}
	}
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return desc{}, fmt.Errorf("descriptor %d: duplicate: %w", fd, err)
	}
	return desc{fd: own, kind: kind}, nil
}

// reopenTerminal opens the terminal behind fd anew, non-blocking. The master
// side of a pty is not one that this can be done with: opening it again makes
// another pty.
func reopenTerminal(fd int) (int, bool) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return -1, false
	}
	var was, is unix.Stat_t
	if unix.Fstat(fd, &was) != nil {
		return -1, false
	}
	if _, err := unix.IoctlGetInt(fd, unix.TIOCGPTN); err == nil {
		return -1, false
	}
	path := fmt.Sprintf("/proc/self/fd/%d", fd)
	own, err := unix.Open(path, flags&unix.O_ACCMODE|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, false
	}
	if unix.Fstat(own, &is) != nil || is.Rdev != was.Rdev || is.Mode&unix.S_IFMT != unix.S_IFCHR {
		unix.Close(own)
		return -1, false
	}
	return own, true
}

// ready asks poll(2), without waiting, which conditions in mask hold. Hup and
// Err are told whether asked for or not.
func (d *desc) ready(mask waiter.EventMask) waiter.EventMask {
	if d.kind == Regular || d.kind == Directory {
		return mask & (waiter.In | waiter.Out)
	}
	fds := []unix.PollFd{{Fd: int32(d.fd), Events: toPoll(mask)}}
	n, err := retry(func() (int, error) { return unix.Poll(fds, 0) })
	if err != nil || n == 0 {
		return 0
	}
	got := fromPoll(fds[0].Revents)
	if got&(waiter.Hup|waiter.Err) != 0 {
		// A read or a write will not block: it tells what is wrong.
		got |= mask & (waiter.In | waiter.Out)
	}
	return got
}

// read reads without blocking; 0 and no error is the end.
func (d *desc) read(p []byte) (int, abi.Errno) {
	if len(p) == 0 {
		return 0, abi.OK
	}
	n, err := retry(func() (int, error) { return d.readOnce(p) })
	if err == unix.EIO && d.kind == Terminal && d.ready(waiter.In)&waiter.Hup != 0 {
		return 0, abi.OK // the other side has hung up: Linux says EIO to one side of a pty
	}
	if err != nil {
		return 0, Errno(err)
	}
	return n, abi.OK
}

func (d *desc) readOnce(p []byte) (int, error) {
	switch {
	case d.kind == Socket:
		n, _, err := unix.Recvfrom(d.fd, p, unix.MSG_DONTWAIT)
		return n, err
	case d.kind == Regular || d.kind == Directory || d.nonblock:
		return unix.Read(d.fd, p)
	case d.kind == Pipe:
		n, err := unix.Preadv2(d.fd, [][]byte{p}, -1, unix.RWF_NOWAIT)
		if err != unix.EOPNOTSUPP && err != unix.ENOSYS {
			return n, err
		}
	}
	if d.ready(waiter.In) == 0 {
		return 0, unix.EAGAIN
	}
	return unix.Read(d.fd, p)
}

// write writes what fits without blocking, at least one byte or EAGAIN.
func (d *desc) write(p []byte) (int, abi.Errno) {
	done := 0
	for done < len(p) {
		n, err := retry(func() (int, error) { return d.writeOnce(p[done:]) })
		done += max(n, 0)
		if err != nil && done == 0 {
			return 0, Errno(err)
		}
		if err != nil || n <= 0 {
			break // what was written counts; the next call tells the error
		}
	}
	return done, abi.OK
}

func (d *desc) writeOnce(p []byte) (int, error) {
	switch {
	case d.kind == Socket:
		return unix.SendmsgN(d.fd, p, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	case d.kind == Regular || d.nonblock:
		return unix.Write(d.fd, p)
	case d.kind == Pipe:
		n, err := unix.Pwritev2(d.fd, [][]byte{p}, -1, unix.RWF_NOWAIT)
		if err != unix.EOPNOTSUPP && err != unix.ENOSYS {
			return n, err
		}
	}
	if d.ready(waiter.Out) == 0 {
		return 0, unix.EAGAIN
	}
	chunk := writeChunk
	if d.kind == Terminal {
		chunk = ttyChunk
	}
	return unix.Write(d.fd, p[:min(len(p), chunk)])
}

// WindowSize is the size of a terminal in characters.
type WindowSize struct {
	Rows, Cols uint16
}

// windowSize asks the terminal for its size.
func (d *desc) windowSize() (WindowSize, abi.Errno) {
	if d.kind != Terminal {
		return WindowSize{}, abi.ENOTTY
	}
	ws, err := unix.IoctlGetWinsize(d.fd, unix.TIOCGWINSZ)
	if err != nil {
		return WindowSize{}, Errno(err)
	}
	return WindowSize{Rows: ws.Row, Cols: ws.Col}, abi.OK
}
