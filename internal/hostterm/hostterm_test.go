package hostterm

import (
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openPty returns the ends of a new pty.
func openPty(t *testing.T) (master, slave int) {
	t.Helper()
	open := func(path string) int {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Skipf("no pty here: %v", err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	master = open("/dev/ptmx")
	n, err := unix.IoctlGetUint32(master, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Skipf("no pty here: %v", err)
	}
	return master, open("/dev/pts/" + strconv.Itoa(int(n)))
}

func termios(t *testing.T, fd int) unix.Termios {
	t.Helper()
	o, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *o
}

func TestRaw(t *testing.T) {
	master, slave := openPty(t)
	before := termios(t, slave)
	r, err := MakeRaw(slave)
	if err != nil {
		t.Fatal(err)
	}
	const typed = "\x03\r\x04\x13\x1a"
	if _, err := unix.Write(master, []byte(typed)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 0, 10)
	for len(got) < len(typed) {
		n, err := unix.Read(slave, got[len(got):cap(got)])
		if err != nil {
			t.Fatal(err)
		}
		got = got[:len(got)+n]
	}
	if string(got) != typed {
		t.Errorf("read %q, want %q", got, typed)
	}
	// What it writes is what is shown, and it follows no echo.
	if _, err := unix.Write(slave, []byte("\nx")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	if n, err := unix.Read(master, b); err != nil || string(b[:n]) != "\nx" {
		t.Errorf("showed %q, %v", b[:max(n, 0)], err)
	}
	for range 2 {
		if err := r.Restore(); err != nil {
			t.Fatal(err)
		}
	}
	if after := termios(t, slave); after != before {
		t.Errorf("restored to %+v, was %+v", after, before)
	}
}

func TestNoTerminal(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd := int(f.Fd())
	if _, err := MakeRaw(fd); err == nil {
		t.Error("raw mode of a file")
	}
	if _, err := Size(fd); err == nil {
		t.Error("size of a file")
	}
	if IsTerminal(fd) {
		t.Error("a file is a terminal")
	}
}

func TestWatchSize(t *testing.T) {
	master, slave := openPty(t)
	if !IsTerminal(slave) {
		t.Error("a pty is no terminal")
	}
	resize := func(rows, cols uint16) {
		if err := unix.IoctlSetWinsize(master, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols}); err != nil {
			t.Fatal(err)
		}
		// The pty is not the test's terminal, whose size did not change.
		if err := unix.Kill(os.Getpid(), unix.SIGWINCH); err != nil {
			t.Fatal(err)
		}
	}
	sizes := make(chan Winsize)
	expect := func(want Winsize) {
		t.Helper()
		select {
		case got := <-sizes:
			if got != want {
				t.Errorf("size %v, want %v", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("size %v was not told", want)
		}
	}
	resize(24, 80)
	stop := WatchSize(slave, func(ws Winsize) { sizes <- ws })
	expect(Winsize{24, 80})
	resize(24, 80) // no change
	resize(50, 132)
	expect(Winsize{50, 132})
	stop()
	stop()
	resize(1, 1)
	if ws, err := Size(slave); err != nil || ws != (Winsize{1, 1}) {
		t.Errorf("size %v, %v", ws, err)
	}
}
