package control_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/protostruct"
)

// pair is a connection to a raw socket.
func pair(t testing.TB) (*control.Conn, *net.UnixConn) {
	t.Helper()
	c, f, err := control.Pair()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := net.FileConn(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		raw.Close()
	})
	c.Deadline(time.Now().Add(time.Minute))
	return c, raw.(*net.UnixConn)
}

func ends(t testing.TB) (a, b *control.Conn) {
	a, raw := pair(t)
	return a, control.NewConn(raw)
}

func frame(b []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...)
}

func encoded(t testing.TB, v any) []byte {
	t.Helper()
	b, err := protostruct.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return frame(b)
}

// with has a frame announce descriptors.
func with(b []byte, files byte) []byte {
	b = bytes.Clone(b)
	b[3] = files
	return b
}

// openFDs counts this process's descriptors.
func openFDs(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("descriptors cannot be counted here: %v", err)
	}
	return len(entries)
}

func TestRoundTrip(t *testing.T) {
	a, b := ends(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	large := bytes.Repeat([]byte("x"), 900<<10) // more than a socket takes at once
	done := make(chan error, 1)
	go func() {
		done <- errors.Join(a.Send(control.Stream{Stdin: []byte("one")}), a.Send(control.Stream{Stdin: []byte("two")}, w, r), a.Send(control.Stream{Stdin: large}), w.Close())
	}()
	for i, want := range [][]byte{[]byte("one"), []byte("two"), large} {
		var m control.Stream
		files, err := b.Receive(&m)
		if err != nil || !bytes.Equal(m.Stdin, want) || len(files) != map[int]int{1: 2}[i] {
			t.Fatalf("%d: %d bytes, %d files, %v", i, len(m.Stdin), len(files), err)
		}
		for j, f := range files {
			if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("a descriptor is inherited: %v", err)
			}
			if j == 0 {
				if _, err := f.WriteString("through"); err != nil {
					t.Error(err)
				}
			}
			f.Close()
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "through" {
		t.Errorf("%q, %v", got, err)
	}
	a.Close()
	if _, err := b.Receive(new(control.Stream)); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
}

func TestTooMuch(t *testing.T) {
	a, _ := ends(t)
	if err := a.Send(control.Stream{Stdin: make([]byte, 2<<20)}); err == nil {
		t.Error("a message of 2 MiB is sent")
	}
	if err := a.Send(control.Stream{}, slices.Repeat([]*os.File{os.Stdin}, 129)...); err == nil {
		t.Error("129 descriptors are sent")
	}
}

// Whatever comes, Receive ends, and no descriptor is left.
func TestHostile(t *testing.T) {
	rights := func(n int) []byte { return unix.UnixRights(slices.Repeat([]int{0}, n)...) }
	ok := encoded(t, control.Stream{Stdin: []byte("a")})
	type part struct{ b, oob []byte }
	before := openFDs(t)
	for _, c := range []struct {
		name  string
		parts []part
		want  string // in the error
	}{
		{"nothing", nil, "EOF"},
		{"half a length", []part{{ok[:2], nil}}, "unexpected EOF"},
		{"half a frame", []part{{ok[:6], nil}}, "unexpected EOF"},
		{"half a frame with files", []part{{ok[:6], rights(3)}}, "unexpected EOF"},
		{"too large", []part{{[]byte{1, 0, 16, 0, 1}, rights(1)}}, "at most"},
		{"much too large", []part{{[]byte{255, 255, 255, 255, 1}, nil}}, "at most"},
		{"no protobuf", []part{{with(frame([]byte{0xff, 0xff}), 2), rights(2)}}, ""},
		{"another type", []part{{with(frame([]byte{0x08, 1}), 2), rights(2)}}, ""},
		{"files that were not announced", []part{{ok, rights(2)}}, "2 files, not 0"},
		{"files that are missing", []part{{with(ok, 3), rights(2)}}, "2 files, not 3"},
		{"many files announced", []part{{with(ok, 129), rights(2)}}, "at most"},
		{"too many files", []part{{ok[:5], rights(200)}}, "too many"},
		{"too many files in parts", []part{{ok[:1], rights(100)}, {ok[1:2], rights(100)}}, "too many"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, raw := pair(t)
			for _, p := range c.parts {
				if _, _, err := raw.WriteMsgUnix(p.b, p.oob, nil); err != nil {
					t.Fatal(err)
				}
			}
			raw.CloseWrite()
			files, err := a.Receive(new(control.Stream))
			if err == nil || len(files) > 0 || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, %v", files, err)
			}
		})
	}
	if after := openFDs(t); after > before+1 { // the poller's own
		t.Errorf("%d descriptors are left", after-before)
	}
}

// Descriptors that came with what nobody has received go with the connection.
func TestCloseDropsFiles(t *testing.T) {
	before := openFDs(t)
	for range 20 {
		a, raw := pair(t)
		ok := encoded(t, control.Stream{Stdin: []byte("a")})
		if _, _, err := raw.WriteMsgUnix(ok[:5], unix.UnixRights(0, 0), nil); err != nil {
			t.Fatal(err)
		}
		waiting := make(chan struct{})
		go func() {
			defer close(waiting)
			_, _ = a.Receive(new(control.Stream)) // it is ended by Close
		}()
		time.Sleep(time.Millisecond)
		a.Close()
		<-waiting
		raw.Close()
	}
	if after := openFDs(t); after > before+2 {
		t.Errorf("%d descriptors, then %d", before, after)
	}
}

func TestListen(t *testing.T) {
	for _, n := range []int{0, 60, 200} {
		path := filepath.Join(t.TempDir(), strings.Repeat("d", n+1), "a.sock")
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := control.Dial(t.Context(), path); !errors.Is(err, unix.ENOENT) {
			t.Errorf("nobody there: %v", err)
		}
		f, err := control.Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(path); err != nil || st.Mode().Perm()&0o077 != 0 {
			t.Errorf("mode %v, %v", st.Mode(), err)
		}
		l, err := net.FileListener(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		c, err := control.Dial(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		peer := control.NewConn(s.(*net.UnixConn))
		if uid, err := peer.Peer(); err != nil || uid != uint32(os.Getuid()) {
			t.Errorf("peer %d, %v", uid, err)
		}
		peer.Close()
		c.Close()
		l.Close()
		if _, err := control.Dial(t.Context(), path); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("nobody there any more: %v", err)
		}
	}
}

func TestUntil(t *testing.T) {
	a, b := ends(t)
	ctx, cancel := context.WithCancel(t.Context())
	stop := b.Until(ctx)
	if err := a.Send(control.Stream{EOF: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Receive(new(control.Stream)); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(time.Millisecond, cancel)
	if _, err := b.Receive(new(control.Stream)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("canceled: %v", err)
	}
	if stop() {
		t.Error("it was not closed by the context")
	}
	if _, err := control.FileConn(os.NewFile(uintptr(must(unix.Dup(0))), "stdin")); err == nil {
		t.Error("stdin is a connection")
	}
}

func must(fd int, err error) int {
	if err != nil {
		panic(err)
	}
	return fd
}

func TestFault(t *testing.T) {
	for _, err := range []error{
		nil, errors.New("a"), fault.New(fault.Refused, "no"), fault.Advise(fault.NotFound, errors.New("none"), "make one"), context.Canceled,
	} {
		got := control.FaultOf(err).Err()
		if (got == nil) != (err == nil) || err != nil && (got.Error() != err.Error() || fault.KindOf(got) != fault.KindOf(err) || fault.Advised(got) != fault.Advised(err)) {
			t.Errorf("%v became %v", err, got)
		}
	}
	if err := (&control.Fault{Text: "\x1b[2J"}).Err(); err.Error() != "?[2J" {
		t.Errorf("error %q", err)
	}
}

// FuzzReceive: whatever comes, in whatever pieces, Receive ends, and what it
// takes is what Send makes of it.
func FuzzReceive(f *testing.F) {
	f.Add([]byte{}, uint8(0), uint8(0))
	f.Add(encoded(f, control.Stream{Stdin: []byte("abc"), Size: &control.Size{Rows: 1}}), uint8(3), uint8(2))
	f.Add(with(encoded(f, control.Stream{}), 3), uint8(4), uint8(2))
	f.Add(encoded(f, control.Call{Op: "status", Checkpoint: &control.Checkpoint{DropEnv: []string{"A"}}}), uint8(5), uint8(17))
	f.Fuzz(func(t *testing.T, b []byte, cut, fds uint8) {
		c, raw := pair(t)
		n := min(int(cut), len(b))
		for _, p := range [][]byte{b[:n], b[n:]} {
			var oob []byte
			if fds > 0 && len(p) > 0 {
				oob = unix.UnixRights(slices.Repeat([]int{0}, int(fds%64)+1)...)
			}
			if len(p) > 32<<10 {
				return // it does not fit a socket at once
			}
			if _, _, err := raw.WriteMsgUnix(p, oob, nil); err != nil {
				t.Skipf("the kernel does not send this: %v", err)
			}
		}
		raw.CloseWrite()
		for {
			var m control.Call
			files, err := c.Receive(&m)
			for _, f := range files {
				f.Close()
			}
			if err != nil {
				return
			}
			if _, err := protostruct.Marshal(m); err != nil {
				t.Errorf("%+v: %v", m, err)
			}
		}
	})
}
