package hostfile

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

func TestRing(t *testing.T) {
	r := newRing(5)
	var model []byte
	next := byte(0)
	for step := range 1000 {
		if step%3 != 2 {
			p := make([]byte, step*7%4)
			for i := range p {
				p[i] = next + byte(i)
			}
			n := r.put(p)
			next += byte(n)
			model = append(model, p[:n]...)
			if n < len(p) && len(model) != 5 {
				t.Fatalf("step %d: put took %d of %d with %d held", step, n, len(p), len(model))
			}
			continue
		}
		p := make([]byte, step*5%6)
		n := r.get(p)
		if !bytes.Equal(p[:n], model[:n]) || n < min(len(p), len(model)) {
			t.Fatalf("step %d: got %v, want %v", step, p[:n], model)
		}
		model = model[n:]
		if !bytes.Equal(r.bytes(), model) {
			t.Fatalf("step %d: holds %v, want %v", step, r.bytes(), model)
		}
	}
}

func TestReader(t *testing.T) {
	text := strings.Repeat("0123456789", 20_000)
	f := NewReader("stdin", iotest.HalfReader(strings.NewReader(text)))
	defer f.Close()
	var got strings.Builder
	for {
		s := read(t, f, 777)
		if s == "" {
			break
		}
		got.WriteString(s)
	}
	if got.String() != text {
		t.Errorf("read %d bytes, want %d", got.Len(), len(text))
	}
	if got := f.Readiness(waiter.In); got != waiter.In|waiter.Hup {
		t.Errorf("readiness %v at the end", got)
	}
	f.Wait()
}

// Nothing is read that the guest has not asked for.
func TestReaderIsLazy(t *testing.T) {
	f := NewReader("stdin", iotest.ErrReader(errors.New("must not be read")))
	f.Wait()
	if f.err != nil {
		t.Error(f.err)
	}
	wait(t, f, waiter.In)
	if _, errno := f.Read([][]byte{make([]byte, 1)}); errno != abi.EIO {
		t.Errorf("read: %v, want EIO", errno)
	}
}

// What was read ahead is saved.
func TestReaderSave(t *testing.T) {
	f := NewReader("stdin", strings.NewReader("hello world"))
	if got := read(t, f, 6); got != "hello " {
		t.Errorf("read %q", got)
	}
	st, err := f.Save(nil)
	if err != nil {
		t.Fatal(err)
	}
	again := NewReader("stdin", strings.NewReader("!"))
	g, err := Restorers(func(string) (vfs.File, error) { return again, nil }, nil)[st.Kind](nil, st.Data)
	if err != nil {
		t.Fatal(err)
	}
	var got string
	for s := ""; ; got += s {
		if s = read(t, g.(vfs.Stream), 3); s == "" {
			break
		}
	}
	if got != "world!" {
		t.Errorf("read %q", got)
	}
}

func TestWriter(t *testing.T) {
	var out bytes.Buffer
	f := NewWriter("stdout", &out)
	want := strings.Repeat("abcdefg", 50_000)
	for rest := []byte(want); len(rest) > 0; {
		n, errno := f.Write([][]byte{rest[:min(10, len(rest))], rest[min(10, len(rest)):]})
		if errno == abi.EAGAIN {
			wait(t, f, waiter.Out)
		} else if errno != abi.OK {
			t.Fatalf("write: %v", errno)
		}
		rest = rest[n:]
	}
	if _, err := f.Save(nil); err != nil {
		t.Error(err)
	}
	if out.String() != want {
		t.Errorf("%d bytes came, want %d", out.Len(), len(want))
	}
	f.Close()
	if _, errno := f.Write([][]byte{[]byte("x")}); errno != abi.EBADF {
		t.Errorf("write after close: %v", errno)
	}
}

// A writer that does not take anything makes the guest wait; when it fails, the
// guest learns.
func TestWriterFull(t *testing.T) {
	r, w := io.Pipe()
	f := NewWriter("stdout", w)
	chunk := make([]byte, streamSize)
	if n, errno := f.Write([][]byte{chunk}); n != streamSize || errno != abi.OK {
		t.Errorf("write: %d, %v", n, errno)
	}
	if _, errno := f.Write([][]byte{chunk}); errno != abi.EAGAIN {
		t.Errorf("write: %v, want EAGAIN", errno)
	}
	if got := f.Readiness(waiter.Out); got != 0 {
		t.Errorf("readiness %v", got)
	}
	r.Close()
	wait(t, f, waiter.Out)
	if err := f.Drain(); err != io.ErrClosedPipe {
		t.Errorf("drain: %v", err)
	}
	if _, errno := f.Write([][]byte{chunk}); errno != abi.EPIPE {
		t.Errorf("write: %v, want EPIPE", errno)
	}
	if _, err := f.Save(nil); err == nil {
		t.Error("lost output was not told when saving")
	}
	f.Close()
}
