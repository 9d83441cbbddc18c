package vfstest

import (
	"bytes"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

// Stream says how to test what bytes pass through and belongs to no file system: a
// pipe, a pair of sockets, a terminal and its master.
type Stream struct {
	// New returns the two ends of a new one: what is written to w is read from r.
	New func(t *testing.T) (r, w *vfs.OpenFile)

	// Kinds restore the ends, in a system that has none of them.
	Kinds func() map[string]vfs.RestoreFunc

	// Gone is what a write gives when nobody will read; OK: r can be opened again.
	Gone abi.Errno

	// HangsUp says that what was not read is lost when w is closed, as a terminal's is.
	HangsUp bool
}

var streamTests = []struct {
	name string
	run  func(s *streamHarness)
}{
	{"bytes keep their order", testStreamOrder},
	{"a full one", testStreamFull},
	{"readiness", testStreamReadiness},
	{"wakes who waits", testStreamWakes},
	{"the end", testStreamEnd},
	{"the reader is gone", testStreamGone},
	{"both ways at once", testStreamConcurrent},
	{"restore", testStreamRestore},
}

// TestStream runs the part of the suite that is about these.
func TestStream(t *testing.T, c Stream) {
	for _, test := range streamTests {
		t.Run(test.name, func(t *testing.T) {
			s := &streamHarness{T: t, c: c}
			s.r, s.w = c.New(t)
			test.run(s)
			for _, f := range []*vfs.OpenFile{s.r, s.w} {
				if f != nil {
					f.DecRef()
				}
			}
		})
	}
}

type streamHarness struct {
	*testing.T
	c    Stream
	r, w *vfs.OpenFile // nil once they are closed
}

// close closes one end.
func (s *streamHarness) close(f **vfs.OpenFile) {
	(*f).DecRef()
	*f = nil
}

// write writes all of p in pieces.
func (s *streamHarness) write(p string) {
	s.Helper()
	if n, errno := s.w.Write([][]byte{[]byte(p[:len(p)/2]), nil, []byte(p[len(p)/2:])}); n != len(p) || errno != abi.OK {
		s.Fatalf("write %q: %d, %v", p, n, errno)
	}
}

func (s *streamHarness) wantRead(n int, want string) {
	s.Helper()
	a, b := make([]byte, n/2), make([]byte, n-n/2)
	got, errno := s.r.Read([][]byte{a, b})
	if all := string(append(a, b...)[:got]); all != want || errno != abi.OK {
		s.Fatalf("read %q, %v, want %q", all, errno, want)
	}
}

func (s *streamHarness) wantErrno(what string, got, want abi.Errno) {
	s.Helper()
	if got != want {
		s.Fatalf("%s: %v, want %v", what, got, want)
	}
}

// fill writes until nothing more fits, and returns what it has written.
func (s *streamHarness) fill() (all []byte) {
	s.Helper()
	for i := 0; len(all) < 1<<24; i++ {
		p := bytes.Repeat([]byte{'a' + byte(i%26)}, 1000)
		n, errno := s.w.Write([][]byte{p})
		if errno == abi.EAGAIN {
			return all
		}
		if n <= 0 || errno != abi.OK {
			s.Fatalf("write of %d bytes after %d: %d, %v", len(p), len(all), n, errno)
		}
		all = append(all, p[:n]...)
	}
	s.Fatal("there is no end to what it takes")
	return nil
}

// drain reads until nothing is there.
func (s *streamHarness) drain() (all []byte) {
	s.Helper()
	for {
		p := make([]byte, 777)
		n, errno := s.r.Read([][]byte{p})
		if errno == abi.EAGAIN {
			return all
		}
		if n <= 0 || errno != abi.OK {
			s.Fatalf("read after %d bytes: %d, %v", len(all), n, errno)
		}
		all = append(all, p[:n]...)
	}
}

func testStreamOrder(s *streamHarness) {
	_, errno := s.r.Read([][]byte{make([]byte, 1)})
	s.wantErrno("read of nothing", errno, abi.EAGAIN)
	s.write("hello")
	s.write(" world")
	if b, ok := s.r.File().(vfs.Buffered); ok && b.Buffered() != 11 {
		s.Errorf("%d bytes wait", b.Buffered())
	}
	s.wantRead(4, "hell")
	s.wantRead(100, "o world")
	_, errno = s.r.Read([][]byte{make([]byte, 1)})
	s.wantErrno("read of nothing", errno, abi.EAGAIN)
	_, errno = s.r.ReadAt([][]byte{make([]byte, 1)}, 0)
	s.wantErrno("pread", errno, abi.ESPIPE)
	_, errno = s.r.Lseek(0, abi.SeekSet)
	s.wantErrno("seek", errno, abi.ESPIPE)
}

func testStreamFull(s *streamHarness) {
	for range 3 {
		want := s.fill()
		if got := s.drain(); !bytes.Equal(got, want) || len(want) < 4000 {
			s.Fatalf("%d bytes came of %d", len(got), len(want))
		}
	}
}

func (s *streamHarness) wantReady(f *vfs.OpenFile, mask, want waiter.EventMask) {
	s.Helper()
	if got := f.File().Readiness(mask) & mask; got != want {
		s.Errorf("ready for %b of %b, want %b", got, mask, want)
	}
}

func testStreamReadiness(s *streamHarness) {
	s.wantReady(s.r, waiter.In, 0)
	s.wantReady(s.w, waiter.Out, waiter.Out)
	s.fill()
	s.wantReady(s.r, waiter.In, waiter.In)
	s.wantReady(s.w, waiter.Out, 0)
	s.drain()
	s.wantReady(s.r, waiter.In, 0)
	s.wantReady(s.w, waiter.Out, waiter.Out)
}

func testStreamWakes(s *streamHarness) {
	in, readable := waiter.NewChannelEntry(waiter.In)
	s.r.File().Register(in)
	woken := func(what string, c <-chan struct{}, want bool) {
		s.Helper()
		got := false
		select {
		case <-c:
			got = true
		default:
		}
		if got != want {
			s.Errorf("%s: woken %v, want %v", what, got, want)
		}
	}
	woken("before", readable, false)
	s.write("x")
	woken("written", readable, true)
	s.r.File().Unregister(in)
	s.write("y")
	woken("registered no more", readable, false)
	s.fill()
	out, writable := waiter.NewChannelEntry(waiter.Out)
	s.w.File().Register(out)
	s.drain()
	woken("read", writable, true)
	s.w.File().Unregister(out)
}

func testStreamEnd(s *streamHarness) {
	s.write("the rest")
	in, readable := waiter.NewChannelEntry(waiter.In | waiter.Hup)
	s.r.File().Register(in)
	s.close(&s.w)
	select {
	case <-readable:
	default:
		s.Error("the end wakes nobody")
	}
	s.r.File().Unregister(in)
	if !s.c.HangsUp {
		s.wantRead(100, "the rest")
	}
	for range 2 {
		n, errno := s.r.Read([][]byte{make([]byte, 1)})
		if n != 0 || errno != abi.OK {
			s.Fatalf("read at the end: %d, %v", n, errno)
		}
	}
	if got := s.r.File().Readiness(waiter.In | waiter.Hup); got == 0 {
		s.Error("the end is not to be seen")
	}
}

func testStreamGone(s *streamHarness) {
	if s.c.Gone == abi.OK {
		s.close(&s.r)
		s.write("for the next reader")
		return
	}
	s.fill()
	out, writable := waiter.NewChannelEntry(waiter.Out | waiter.Err)
	s.w.File().Register(out)
	s.close(&s.r)
	select {
	case <-writable:
	default:
		s.Error("who waits to write is not woken")
	}
	s.w.File().Unregister(out)
	_, errno := s.w.Write([][]byte{{1}})
	s.wantErrno("write", errno, s.c.Gone)
}

// A reader and a writer that wait for each other lose nothing.
func testStreamConcurrent(s *streamHarness) {
	const size = 1 << 20
	failed := make(chan abi.Errno, 1)
	go func() {
		entry, writable := waiter.NewChannelEntry(waiter.Out)
		s.w.File().Register(entry)
		defer s.w.File().Unregister(entry)
		p := make([]byte, 3000)
		for at := 0; at < size; {
			p = p[:min(cap(p), size-at)]
			for i := range p {
				p[i] = byte((at + i) * 7 >> 3)
			}
			n, errno := s.w.Write([][]byte{p})
			if errno == abi.EAGAIN {
				<-writable
				continue
			}
			if errno != abi.OK {
				failed <- errno
				return
			}
			at += n
		}
		failed <- abi.OK
	}()
	entry, readable := waiter.NewChannelEntry(waiter.In)
	s.r.File().Register(entry)
	defer s.r.File().Unregister(entry)
	p := make([]byte, 5000)
	for at := 0; at < size; {
		n, errno := s.r.Read([][]byte{p})
		if errno == abi.EAGAIN {
			<-readable
			continue
		}
		if errno != abi.OK || n == 0 {
			s.Fatalf("read at %d: %d, %v", at, n, errno)
		}
		for i, c := range p[:n] {
			if want := byte((at + i) * 7 >> 3); c != want {
				s.Fatalf("byte %d is %d, want %d", at+i, c, want)
			}
		}
		at += n
	}
	s.wantErrno("write", <-failed, abi.OK)
}

// What is in it is there after a restore, and the ends are each other's, whoever holds
// them.
func testStreamRestore(s *streamHarness) {
	s.write("before")
	before, errno := s.r.Stat()
	s.wantErrno("stat", errno, abi.OK)
	ns := vfs.NewNamespace(func() int64 { return 1_700_000_000e9 })
	table := vfs.NewFDTable(16)
	for _, f := range []*vfs.OpenFile{s.r, s.w} {
		if _, errno := table.InstallAll(f); errno != abi.OK { // it has the reference now
			s.Fatal(errno)
		}
	}
	dup, errno := table.Dup(1, 5, false)
	s.wantErrno("dup", errno, abi.OK)
	saver := vfs.NewSaver(ns)
	st, err := table.Save(saver)
	if err != nil {
		s.Fatal(err)
	}
	var state vfs.State
	if b, err := protostruct.Marshal(saver.State()); err != nil {
		s.Fatal(err)
	} else if err := protostruct.Unmarshal(b, &state); err != nil {
		s.Fatal(err)
	}
	table.CloseAll()
	restorer, err := vfs.NewRestorer(&state, ns, s.c.Kinds())
	if err != nil {
		s.Fatal(err)
	}
	table, err = vfs.RestoreFDTable(st, restorer)
	restorer.Close() // it holds them all
	if err != nil {
		s.Fatal(err)
	}
	get := func(fd vfs.FD) *vfs.OpenFile {
		f, errno := table.Get(fd, 0)
		s.wantErrno("get", errno, abi.OK)
		return f
	}
	s.r, s.w = get(0), get(dup)
	if after, _ := s.r.Stat(); after.Filetype != before.Filetype {
		s.Errorf("it is a %v, and was a %v", after.Filetype, before.Filetype)
	}
	s.write(" and after")
	s.wantRead(100, "before and after")
	s.r.DecRef() // but for the table's
	table.Close(1)
	table.Close(dup)
	s.close(&s.w) // the last one
	n, errno := s.r.Read([][]byte{make([]byte, 1)})
	if n != 0 || errno != abi.OK {
		s.Errorf("read at the end: %d, %v", n, errno)
	}
	s.r = nil
	table.CloseAll()
}
