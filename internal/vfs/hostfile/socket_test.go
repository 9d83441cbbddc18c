package hostfile

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

// listen listens on a free port of the loopback device.
func listen(t *testing.T, p *Poller) *Listener {
	t.Helper()
	l, err := Listen(context.Background(), p, "tcp:127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// connect connects to l, and returns both sides.
func connect(t *testing.T, l *Listener) (*Conn, *net.TCPConn) {
	t.Helper()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	peer.SetDeadline(time.Now().Add(deadline))
	wait(t, l, waiter.In)
	f, errno := l.Accept()
	if errno != abi.OK {
		t.Fatalf("accept: %v", errno)
	}
	t.Cleanup(f.Close)
	return f.(*Conn), peer.(*net.TCPConn)
}

func TestAccept(t *testing.T) {
	l := listen(t, newPoller(t))
	if _, errno := l.Accept(); errno != abi.EAGAIN {
		t.Errorf("accept: %v, want EAGAIN", errno)
	}
	c, peer := connect(t, l)
	if st, errno := c.Stat(); st.Filetype != abi.FiletypeSocketStream || errno != abi.OK {
		t.Errorf("stat: %v, %v", st.Filetype, errno)
	}
	buf := make([]byte, 10)
	if _, _, errno := c.Recv([][]byte{buf}, 0); errno != abi.EAGAIN {
		t.Errorf("recv: %v, want EAGAIN", errno)
	}
	go peer.Write([]byte("ping"))
	wait(t, c, waiter.In)
	for _, flags := range []abi.RIFlags{abi.RecvPeek, abi.RecvPeek, 0} {
		n, _, errno := c.Recv([][]byte{buf[:2], buf[2:]}, flags)
		if string(buf[:n]) != "ping" || errno != abi.OK {
			t.Errorf("recv with flags %d: %q, %v", flags, buf[:n], errno)
		}
	}
	if n, errno := c.Send([][]byte{[]byte("po"), []byte("ng")}); n != 4 || errno != abi.OK {
		t.Errorf("send: %d, %v", n, errno)
	}
	if errno := c.Shutdown(abi.ShutWr); errno != abi.OK {
		t.Errorf("shutdown: %v", errno)
	}
	if got, err := io.ReadAll(peer); string(got) != "pong" || err != nil {
		t.Errorf("peer read %q, %v", got, err)
	}
	if _, errno := c.Send([][]byte{buf}); errno != abi.EPIPE {
		t.Errorf("send after shutdown: %v, want EPIPE", errno)
	}
	peer.CloseWrite()
	if got := read(t, c, 10); got != "" {
		t.Errorf("read %q at the end", got)
	}
	if errno := c.Shutdown(0); errno != abi.EINVAL {
		t.Errorf("shutdown of nothing: %v", errno)
	}
}

func TestSocketBackPressure(t *testing.T) {
	c, peer := connect(t, listen(t, newPoller(t)))
	chunk := bytes.Repeat([]byte("x"), 1<<20)
	total := 0
	for {
		n, errno := c.Send([][]byte{chunk})
		total += n
		if errno == abi.EAGAIN {
			break
		}
		if errno != abi.OK || total > 1<<30 {
			t.Fatalf("send: %d, %v", total, errno)
		}
	}
	go io.CopyN(io.Discard, peer, int64(total))
	wait(t, c, waiter.Out)
}

func TestPeerReset(t *testing.T) {
	c, peer := connect(t, listen(t, newPoller(t)))
	peer.SetLinger(0)
	peer.Close()
	wait(t, c, waiter.In)
	if _, errno := c.Read([][]byte{make([]byte, 1)}); errno != abi.ECONNRESET {
		t.Errorf("read: %v, want ECONNRESET", errno)
	}
}

// A listening socket that the process was started with may be blocking, and
// stays so.
func TestInheritedListener(t *testing.T) {
	p := newPoller(t)
	own := listen(t, p)
	if err := unix.SetNonblock(own.d.fd, false); err != nil {
		t.Fatal(err)
	}
	l := inherit[*Listener](t, p, own.d.fd, "web")
	l.addr = own.addr
	if _, errno := l.Accept(); errno != abi.EAGAIN {
		t.Errorf("accept: %v, want EAGAIN", errno)
	}
	connect(t, l)
	if flags(t, own.d.fd)&unix.O_NONBLOCK != 0 {
		t.Error("the socket was made non-blocking")
	}
}

func TestRestoredSockets(t *testing.T) {
	p := newPoller(t)
	l := listen(t, p)
	c, _ := connect(t, l)
	rs := Restorers(nil, func(name string) (vfs.File, error) { return Listen(context.Background(), p, name) })

	st, err := l.Save(nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := rs[st.Kind](nil, st.Data)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	connect(t, again.(*Listener))

	if st, err = c.Save(nil); err != nil {
		t.Fatal(err)
	}
	lost, err := rs[st.Kind](nil, st.Data)
	if err != nil {
		t.Fatal(err)
	}
	if got := wait(t, lost, waiter.In); got&waiter.In == 0 {
		t.Errorf("readiness %v", got)
	}
	if _, errno := lost.(vfs.Socket).Read(nil); errno != abi.ECONNRESET {
		t.Errorf("read: %v, want ECONNRESET", errno)
	}
}

func TestListenRefuses(t *testing.T) {
	p := newPoller(t)
	taken := listen(t, p)
	for _, spec := range []string{"", "udp:127.0.0.1:0", "tcp:nowhere", "tcp:" + taken.Addr().String()} {
		_, err := Listen(context.Background(), p, spec)
		if err == nil || !strings.Contains(err.Error(), "listen") {
			t.Errorf("listen %q: %v", spec, err)
		}
	}
}

func TestNewConn(t *testing.T) {
	p := newPoller(t)
	_, peer := connect(t, listen(t, p))
	c, err := NewConn(p, peer)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, errno := c.Read([][]byte{make([]byte, 1)}); errno != abi.EAGAIN {
		t.Errorf("read: %v", errno)
	}
}
