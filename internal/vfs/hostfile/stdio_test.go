package hostfile

import (
	"bytes"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

func TestPipeReads(t *testing.T) {
	r, w := pipe(t)
	closeAll(t, r)
	f := inherit[*Stream](t, newPoller(t), r, "stdin")
	if f.Kind() != Pipe {
		t.Errorf("kind is %v", f.Kind())
	}
	buf := make([]byte, 10)
	if n, errno := f.Read([][]byte{buf}); n != 0 || errno != abi.EAGAIN {
		t.Errorf("read of an empty pipe: %d, %v", n, errno)
	}
	if got := f.Readiness(waiter.In); got != 0 {
		t.Errorf("readiness of an empty pipe: %v", got)
	}
	go unix.Write(w, []byte("hello"))
	if got := read(t, f, 3); got != "hel" {
		t.Errorf("read %q", got)
	}
	if n, errno := f.Read([][]byte{buf[:1], nil, buf[1:]}); string(buf[:n]) != "lo" || errno != abi.OK {
		t.Errorf("read %q, %v", buf[:n], errno)
	}
	go unix.Close(w)
	if got := read(t, f, 3); got != "" {
		t.Errorf("read %q at the end", got)
	}
	if got := f.Readiness(waiter.In); got&waiter.In == 0 {
		t.Errorf("readiness at the end: %v", got)
	}
	if flags(t, r)&unix.O_NONBLOCK != 0 {
		t.Error("the pipe was left non-blocking")
	}
}

// A full pipe gives EAGAIN, and a wake-up when somebody reads.
func TestPipeBackPressure(t *testing.T) {
	r, w := pipe(t)
	closeAll(t, r, w)
	f := inherit[*Stream](t, newPoller(t), w, "stdout")
	chunk := bytes.Repeat([]byte("x"), 10_000)
	total := 0
	for {
		n, errno := f.Write([][]byte{chunk})
		total += n
		if errno == abi.EAGAIN {
			break
		}
		if errno != abi.OK || n == 0 {
			t.Fatalf("write: %d, %v", n, errno)
		}
	}
	if total < 60_000 {
		t.Errorf("pipe took %d bytes", total)
	}
	drained := make(chan int)
	go func() {
		got, buf := 0, make([]byte, 4096)
		for got < total+len(chunk) {
			n, err := unix.Read(r, buf)
			if n <= 0 || err != nil {
				break
			}
			got += n
		}
		drained <- got
	}()
	for rest := chunk; len(rest) > 0; {
		n, errno := f.Write([][]byte{rest})
		if errno == abi.EAGAIN {
			wait(t, f, waiter.Out)
		} else if errno != abi.OK {
			t.Fatalf("write: %v", errno)
		}
		rest = rest[n:]
	}
	if got := <-drained; got != total+len(chunk) {
		t.Errorf("reader got %d bytes, want %d", got, total+len(chunk))
	}
	if flags(t, w)&unix.O_NONBLOCK != 0 {
		t.Error("the pipe was left non-blocking")
	}
}

// A pipe of a kernel without RWF_NOWAIT for pipes is read and written after
// poll(2). A Device goes that way, too.
func TestPollFirst(t *testing.T) {
	r, w := pipe(t)
	closeAll(t, r, w)
	in, out := desc{fd: r, kind: Device}, desc{fd: w, kind: Device}
	buf := make([]byte, 1<<20)
	if _, errno := in.read(buf); errno != abi.EAGAIN {
		t.Errorf("read of an empty pipe: %v", errno)
	}
	n, errno := out.write(buf)
	if errno != abi.OK || n < 60_000 || n == len(buf) {
		t.Errorf("wrote %d, %v", n, errno)
	}
	if _, errno := out.write(buf); errno != abi.EAGAIN {
		t.Errorf("write to a full pipe: %v", errno)
	}
	if got, errno := in.read(buf); got != n || errno != abi.OK {
		t.Errorf("read %d, %v, want %d", got, errno, n)
	}
}

func TestBrokenPipe(t *testing.T) {
	r, w := pipe(t)
	closeAll(t, w)
	f := inherit[*Stream](t, newPoller(t), w, "stdout")
	unix.Close(r)
	if got := wait(t, f, waiter.Out); got&waiter.Out == 0 || got&waiter.Err == 0 {
		t.Errorf("readiness %v, want Out and Err", got)
	}
	if _, errno := f.Write([][]byte{[]byte("x")}); errno != abi.EPIPE {
		t.Errorf("write: %v, want EPIPE", errno)
	}
}

func TestDevNull(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	f := inherit[*Stream](t, newPoller(t), int(null.Fd()), "stdin")
	if st, _ := f.Stat(); st.Filetype != abi.FiletypeUnknown {
		t.Errorf("type %v: a guest would take it for a terminal", st.Filetype)
	}
	if got := wait(t, f, waiter.In|waiter.Out); got != waiter.In|waiter.Out {
		t.Errorf("readiness %v", got)
	}
	if got := read(t, f, 5); got != "" {
		t.Errorf("read %q", got)
	}
	if n, errno := f.Write([][]byte{[]byte("abc")}); n != 3 || errno != abi.OK {
		t.Errorf("write: %d, %v", n, errno)
	}
}

// A regular file has a position, which is that of whoever handed it in.
func TestRegularStdin(t *testing.T) {
	host := regular(t, "0123456789")
	p := newPoller(t)
	f := inherit[*SeekableStream](t, p, int(host.Fd()), "stdin")
	if got := wait(t, f, waiter.In); got != waiter.In {
		t.Errorf("readiness %v", got)
	}
	if got := read(t, f, 4); got != "0123" {
		t.Errorf("read %q", got)
	}
	if pos, err := host.Seek(0, 1); pos != 4 || err != nil {
		t.Errorf("host is at %d, %v", pos, err)
	}
	if pos, errno := f.Lseek(-1, abi.SeekEnd); pos != 9 || errno != abi.OK {
		t.Errorf("seek: %d, %v", pos, errno)
	}

	// A restore goes on there, in a file that was opened anew.
	st, err := f.Save(nil)
	if err != nil {
		t.Fatal(err)
	}
	restore := func(content string) (vfs.File, error) {
		again := regular(t, content)
		rs := Restorers(func(name string) (vfs.File, error) { return Inherit(p, int(again.Fd()), name) }, nil)
		return rs[st.Kind](nil, st.Data)
	}
	g, err := restore("abcdefghijk")
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, g.(vfs.Stream), 4); got != "jk" {
		t.Errorf("read %q after the restore", got)
	}
	g.Close()
	if _, err := restore("abc"); err == nil {
		t.Error("a shorter stdin was accepted")
	}
}

func TestNotGranted(t *testing.T) {
	rs := Restorers(func(string) (vfs.File, error) { return nil, nil }, nil)
	st, err := vfs.NewObjectState(KindStdio, State{Name: "stdin"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = rs[KindStdio](nil, st.Data)
	if want := "stdio stdin is needed and was not granted"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if _, err := rs[KindStdio](nil, []byte{0x0a}); err == nil {
		t.Error("bad state was accepted")
	}
}

func TestTerminal(t *testing.T) {
	master, slave := openPty(t)
	closeAll(t, slave)
	p := newPoller(t)
	f := inherit[*Stream](t, p, slave, "stdin")
	if st, errno := f.Stat(); st.Filetype != abi.FiletypeCharacterDevice || errno != abi.OK {
		t.Errorf("stat: %v, %v", st.Filetype, errno)
	}
	if err := unix.IoctlSetWinsize(master, unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 132}); err != nil {
		t.Fatal(err)
	}
	if ws, errno := f.WindowSize(); ws != (WindowSize{50, 132}) || errno != abi.OK {
		t.Errorf("window size %v, %v", ws, errno)
	}
	buf := make([]byte, 100)
	if _, errno := f.Read([][]byte{buf}); errno != abi.EAGAIN {
		t.Errorf("read: %v", errno)
	}
	go unix.Write(master, []byte("keys"))
	if got := read(t, f, 100); got != "keys" {
		t.Errorf("read %q", got)
	}
	if flags(t, slave)&unix.O_NONBLOCK != 0 {
		t.Error("the terminal was left non-blocking")
	}

	// Nobody reads the other side: the terminal gets full, and nothing blocks.
	// A wake-up comes when all of it has been read: Linux tells a writer no
	// earlier.
	chunk := bytes.Repeat([]byte("y"), 1<<16)
	total := 0
	for {
		n, errno := f.Write([][]byte{chunk})
		total += n
		if errno == abi.EAGAIN {
			break
		}
		if errno != abi.OK {
			t.Fatalf("write: %v", errno)
		}
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for buf := make([]byte, 4096); total > 0; {
			n, err := unix.Read(master, buf)
			if err != nil {
				t.Errorf("master: %v", err)
				return
			}
			total -= n
		}
	}()
	wait(t, f, waiter.Out)
	<-drained

	unix.Close(master)
	wait(t, f, waiter.In)
	if n, errno := f.Read([][]byte{buf}); n != 0 || errno != abi.OK {
		t.Errorf("read after hang-up: %d, %v", n, errno)
	}
}

// The master side cannot be opened again; poll(2) tells.
func TestTerminalMaster(t *testing.T) {
	master, slave := openPty(t)
	closeAll(t, master, slave)
	f := inherit[*Stream](t, newPoller(t), master, "stdin")
	if f.d.nonblock {
		t.Fatal("the master side was opened again")
	}
	go unix.Write(slave, []byte("out"))
	if got := read(t, f, 100); got != "out" {
		t.Errorf("read %q", got)
	}
}

func TestWindowSizeOfPipe(t *testing.T) {
	r, w := pipe(t)
	closeAll(t, r, w)
	f := inherit[*Stream](t, newPoller(t), r, "stdin")
	if _, errno := f.WindowSize(); errno != abi.ENOTTY {
		t.Errorf("window size: %v", errno)
	}
}

func TestInheritRefuses(t *testing.T) {
	p := newPoller(t)
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if _, err := Inherit(p, int(dir.Fd()), "stdin"); err == nil {
		t.Error("a directory was accepted")
	}
	if _, err := Inherit(p, 9999, "stdin"); err == nil {
		t.Error("a descriptor that is not open was accepted")
	}
}
