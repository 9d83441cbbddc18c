package wasi

import (
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
)

// A server accepts, receives all of a message that comes in two parts with a
// stop between them, answers and shuts down.
func TestSocket(t *testing.T) {
	w := newWorld(t, func(g *guest) {
		g.want(abi.EINVAL, "sock_accept", 4, 1<<16, 0)
		g.want(abi.ENOTSOCK, "sock_accept", 3, 0, 0)
		g.want(abi.OK, "sock_accept", 4, 0, 0)
		fd := g.u32(0)
		if fd != 5 {
			t.Errorf("accepted as fd %d", fd)
		}
		g.iov(0, 100, 3)
		g.iov(8, 200, 5)
		g.want(abi.EINVAL, "sock_recv", fd, 0, 2, 4, 16, 20)
		g.want(abi.OK, "sock_recv", fd, 0, 1, int(abi.RecvPeek), 16, 20)
		if n := g.u32(16); n != 3 || string(g.mem[100:103]) != "one" {
			t.Errorf("peeked %d: %q", n, g.mem[100:103])
		}
		g.want(abi.OK, "sock_recv", fd, 0, 2, int(abi.RecvWaitall), 16, 20)
		if n := g.u32(16); n != 8 || string(g.mem[100:103]) != "one" || string(g.mem[200:205]) != "two.." {
			t.Errorf("received %d: %q %q", n, g.mem[100:103], g.mem[200:205])
		}
		g.want(abi.OK, "sock_recv", fd, 0, 2, int(abi.RecvWaitall), 16, 20)
		if n := g.u32(16); n != 1 {
			t.Errorf("received %d before the end", n)
		}
		g.want(abi.EINVAL, "sock_send", fd, 0, 2, 1, 16)
		g.want(abi.OK, "sock_send", fd, 0, 2, 0, 16)
		g.want(abi.EINVAL, "sock_shutdown", fd, 0)
		g.want(abi.EINVAL, "sock_shutdown", fd, 4)
		g.want(abi.OK, "sock_shutdown", fd, int(abi.ShutWr))
		g.want(abi.ENOTCONN, "sock_send", 4, 0, 2, 0, 16)
	})
	l, conn := new(listener), new(stream)
	if fd, errno := w.files.InstallAll(vfs.NewOpenFile(l, true, true, 0)); errno != abi.OK || fd != 4 {
		t.Fatal(fd, errno)
	}
	conn.give("onetw", false)
	w.start(t)
	w.stopAndGo(t, 0)
	w.blocked()
	l.add(conn)
	w.stopAndGo(t, 0)
	conn.give("o..x", true)
	w.wait(t)
	if got := conn.written(); got != "xnetwo.." || conn.shutdown != abi.ShutWr {
		t.Errorf("sent %q, shutdown %d", got, conn.shutdown)
	}
}
