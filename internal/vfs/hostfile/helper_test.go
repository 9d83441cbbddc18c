package hostfile

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

// deadline is how long a test waits for what should happen at once.
const deadline = 20 * time.Second

// newPoller returns a Poller that the test closes.
func newPoller(t *testing.T) *Poller {
	t.Helper()
	p, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close poller: %v", err)
		}
	})
	return p
}

// inherit makes fd into a file, and gives the descriptor itself back at the
// end.
func inherit[F vfs.File](t *testing.T, p *Poller, fd int, name string) F {
	t.Helper()
	f, err := Inherit(p, fd, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	typed, ok := f.(F)
	if !ok {
		t.Fatalf("%s is a %T", name, f)
	}
	return typed
}

// pipe makes a pipe whose ends are blocking, as a shell's are.
func pipe(t *testing.T) (r, w int) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	return fds[0], fds[1]
}

// closeAll closes descriptors at the end of the test.
func closeAll(t *testing.T, fds ...int) {
	t.Cleanup(func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	})
}

// wait waits, as the kernel does, until one of the events in mask is there.
func wait(t *testing.T, s waiter.Source, mask waiter.EventMask) waiter.EventMask {
	t.Helper()
	e, c := waiter.NewChannelEntry(mask)
	s.Register(e)
	defer s.Unregister(e)
	timeout := time.After(deadline)
	for {
		if got := s.Readiness(mask); got != 0 {
			return got
		}
		select {
		case <-c:
		case <-timeout:
			t.Fatalf("waiting for %v: nothing came", mask)
		}
	}
}

// read reads once, waiting for input.
func read(t *testing.T, s vfs.Stream, n int) string {
	t.Helper()
	buf := make([]byte, n)
	for {
		n, errno := s.Read([][]byte{buf})
		if errno == abi.EAGAIN {
			wait(t, s, waiter.In)
			continue
		}
		if errno != abi.OK {
			t.Fatalf("read: %v", errno)
		}
		return string(buf[:n])
	}
}

// flags are the status flags of a descriptor.
func flags(t *testing.T, fd int) int {
	t.Helper()
	fl, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fl
}

// openPty makes a pseudo terminal in raw mode.
func openPty(t *testing.T) (master, slave int) {
	t.Helper()
	m, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no pty: %v", err)
	}
	if err := unix.IoctlSetPointerInt(m, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	s, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(m), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if e != 0 {
		t.Fatal(e)
	}
	slave = int(s)
	tio, err := unix.IoctlGetTermios(slave, unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	tio.Lflag &^= unix.ICANON | unix.ECHO
	tio.Oflag &^= unix.OPOST
	if err := unix.IoctlSetTermios(slave, unix.TCSETS, tio); err != nil {
		t.Fatal(err)
	}
	return m, slave
}

// regular makes a regular file.
func regular(t *testing.T, content string) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "file")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.WriteAt([]byte(content), 0); err != nil {
		t.Fatal(err)
	}
	return f
}
