//go:build linux

package unixsock_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/unixsock"
	"github.com/stasis-run/stasis/internal/waiter"
)

var errnos = map[error]abi.Errno{nil: abi.OK, unix.EAGAIN: abi.EAGAIN, unix.EPIPE: abi.EPIPE, unix.ECONNRESET: abi.ECONNRESET,
	unix.ECONNREFUSED: abi.ECONNREFUSED, unix.ENOTCONN: abi.ENOTCONN, unix.EBADF: abi.EBADF}

var types = map[unixsock.Type]int{unixsock.Stream: unix.SOCK_STREAM, unixsock.Dgram: unix.SOCK_DGRAM, unixsock.Seqpacket: unix.SOCK_SEQPACKET}

// Any calls on a pair give what they give on the host: results, bytes, and what
// poll says after each.
func TestOracle(t *testing.T) {
	runs := 600
	if testing.Short() {
		runs = 100
	}
	for typ, host := range types {
		for run := range runs {
			rnd := rand.New(rand.NewPCG(uint64(run), uint64(typ)))
			fds, err := unix.Socketpair(unix.AF_UNIX, host|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			a, b, errno := newSystem().Pair(typ, 0)
			if errno != abi.OK {
				t.Fatal(errno)
			}
			c := compared{t: t, typ: typ, our: [2]*vfs.OpenFile{a, b}, host: [2]int{fds[0], fds[1]}, log: []string{fmt.Sprint("type ", typ)}}
			for range 5 + 60*run/runs {
				c.step(rnd)
			}
			for i := range 2 {
				c.close(i)
			}
		}
	}
}

type compared struct {
	t      *testing.T
	typ    unixsock.Type
	our    [2]*vfs.OpenFile
	host   [2]int
	shutRd [2]bool
	log    []string
}

func (c *compared) step(rnd *rand.Rand) {
	i := rnd.IntN(2)
	if c.our[i] == nil {
		return
	}
	s, _ := c.our[i].Socket()
	switch rnd.IntN(12) {
	case 0:
		how := abi.SDFlags(1 + rnd.IntN(3))
		c.shutRd[i] = c.shutRd[i] || how&abi.ShutRd != 0
		errno := s.Shutdown(how)
		err := unix.Shutdown(c.host[i], int(how)-1)
		c.same(fmt.Sprintf("%d shutdown %d", i, how), errno, err)
	case 1:
		if rnd.IntN(3) == 0 {
			c.close(i)
			i = 1 - i
		}
	case 2, 3, 4, 5, 6:
		b := make([]byte, rnd.IntN(30))
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		n, errno := s.Send([][]byte{b[:len(b)/3], b[len(b)/3:]})
		m, err := unix.SendmsgN(c.host[i], b, nil, nil, unix.MSG_NOSIGNAL)
		c.same(fmt.Sprintf("%d send %d", i, len(b)), errno, err)
		if errno == abi.OK && n != m {
			c.t.Fatalf("%d bytes, the host says %d; after\n%s", n, m, strings.Join(c.log, "\n"))
		}
	default:
		size := rnd.IntN(40)
		var flags abi.RIFlags
		hostFlags := 0
		if rnd.IntN(4) == 0 {
			flags, hostFlags = abi.RecvPeek, unix.MSG_PEEK
		}
		our, host := make([]byte, size), make([]byte, size)
		n, truncated, errno := s.Recv([][]byte{our[:size/2], our[size/2:]}, flags)
		m, _, got, _, err := unix.Recvmsg(c.host[i], host, nil, hostFlags|unix.MSG_DONTWAIT)
		if c.typ == unixsock.Dgram && c.shutRd[i] && err == unix.EAGAIN {
			err, m = nil, 0 // a call that may block is not EAGAIN here
		}
		c.same(fmt.Sprintf("%d receive %d, flags %d", i, size, flags), errno, err)
		if err == nil && (n != m || truncated != (got&unix.MSG_TRUNC != 0) || !bytes.Equal(our[:n], host[:n])) {
			c.t.Fatalf("%q, truncated %v, the host says %q, %#x; after\n%s", our[:n], truncated, host[:m], got, strings.Join(c.log, "\n"))
		}
	}
	c.poll(i)
}

func (c *compared) close(i int) {
	if c.our[i] != nil {
		c.log = append(c.log, fmt.Sprintf("%d close", i))
		c.our[i].DecRef()
		unix.Close(c.host[i])
		c.our[i] = nil
	}
}

func (c *compared) poll(i int) {
	if c.our[i] == nil {
		return
	}
	p := []unix.PollFd{{Fd: int32(c.host[i]), Events: unix.POLLIN | unix.POLLOUT | unix.POLLRDHUP}}
	if _, err := unix.Poll(p, 0); err != nil {
		c.t.Fatal(err)
	}
	var want waiter.EventMask
	for host, m := range map[int16]waiter.EventMask{unix.POLLIN: waiter.In, unix.POLLOUT: waiter.Out, unix.POLLRDHUP: waiter.RdHup,
		unix.POLLHUP: waiter.Hup, unix.POLLERR: waiter.Err} {
		if p[0].Revents&host != 0 {
			want |= m
		}
	}
	if got := c.our[i].Readiness(waiter.In | waiter.Out | waiter.RdHup); got != want {
		c.t.Fatalf("%d is ready for %#x, on the host for %#x; after\n%s", i, got, want, strings.Join(c.log, "\n"))
	}
}

func (c *compared) same(what string, our abi.Errno, host error) {
	c.t.Helper()
	want, ok := errnos[host]
	c.log = append(c.log, fmt.Sprintf("%s: %v", what, our))
	if !ok || our != want {
		c.t.Fatalf("the host says %v; after\n%s", host, strings.Join(c.log, "\n"))
	}
}
