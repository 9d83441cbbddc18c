package unixsock_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/unixsock"
	"github.com/stasis-run/stasis/internal/waiter"
)

func now() int64 { return 1_700_000_000e9 }

func newSystem() *unixsock.System { return unixsock.NewSystem(now, nil) }

func newPair(t *testing.T, typ unixsock.Type) (a, b *vfs.OpenFile) {
	t.Helper()
	a, b, errno := newSystem().Pair(typ, 0)
	want(t, "pair", errno, abi.OK)
	return a, b
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func send(f *vfs.OpenFile, s string) abi.Errno {
	n, errno := f.Write([][]byte{[]byte(s)})
	if errno == abi.OK && n != len(s) {
		return abi.EIO
	}
	return errno
}

func receive(f *vfs.OpenFile) (string, abi.Errno) {
	b := make([]byte, 1<<18)
	n, errno := f.Read([][]byte{b})
	return string(b[:n]), errno
}

func wantReceive(t *testing.T, f *vfs.OpenFile, text string, errno abi.Errno) {
	t.Helper()
	s, e := receive(f)
	if s != text || e != errno {
		t.Errorf("received %.100q, %v, want %.100q, %v", s, e, text, errno)
	}
}

func TestStream(t *testing.T) {
	a, b := newPair(t, unixsock.Stream)
	want(t, "send", send(a, "one "), abi.OK)
	want(t, "send", send(a, "two"), abi.OK)
	n, ok := b.Buffered()
	want(t, "buffered", n, 7)
	want(t, "buffered", ok, true)
	wantReceive(t, b, "one two", abi.OK)
	big := strings.Repeat("x", unixsock.Capacity)
	want(t, "as much as there is room for", send(b, big), abi.OK)
	want(t, "full", send(b, "x"), abi.EAGAIN)
	want(t, "not writable", b.Readiness(waiter.Out), 0)
	want(t, "the other way", send(a, "x"), abi.OK)
	wantReceive(t, a, big, abi.OK)
	want(t, "writable", b.Readiness(waiter.Out), waiter.Out)
	s, _ := a.Socket()
	want(t, "half close", s.Shutdown(abi.ShutWr), abi.OK)
	want(t, "nothing", s.Shutdown(0), abi.EINVAL)
	want(t, "send after it", send(a, "x"), abi.EPIPE)
	wantReceive(t, b, "x", abi.OK)
	wantReceive(t, b, "", abi.OK)
	want(t, "the other half", send(b, "y"), abi.OK)
	wantReceive(t, a, "y", abi.OK)
	_, errno := a.Lseek(0, abi.SeekSet)
	want(t, "seek", errno, abi.ESPIPE)
	st, _ := a.Stat()
	other, _ := b.Stat()
	want(t, "type", st.Filetype, abi.FiletypeSocketStream)
	want(t, "of its own", st.Ino == other.Ino, false)
	a.DecRef()
	b.DecRef()
}

// Datagrams keep their bounds, are whole or not at all, and have an end.
func TestDatagrams(t *testing.T) {
	for _, typ := range []unixsock.Type{unixsock.Dgram, unixsock.Seqpacket} {
		a, b := newPair(t, typ)
		want(t, "too large ever", send(a, strings.Repeat("x", unixsock.Capacity)), abi.EMSGSIZE)
		n := 0
		for send(a, "") == abi.OK {
			n++
		}
		if n < 100 || n > unixsock.Capacity {
			t.Errorf("%d empty datagrams", n)
		}
		want(t, "full", send(a, "x"), abi.EAGAIN)
		wantReceive(t, b, "", abi.OK)
		want(t, "one more", send(a, ""), abi.OK)
		for range n {
			wantReceive(t, b, "", abi.OK)
		}
		wantReceive(t, b, "", abi.EAGAIN)
		a.DecRef()
		b.DecRef()
	}
}

// Bytes both ways at once, with tasks that wait.
func TestTransfer(t *testing.T) {
	a, b := newPair(t, unixsock.Stream)
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(i * 11 >> 4)
	}
	block := func(f *vfs.OpenFile, mask waiter.EventMask, try func() abi.Errno) {
		e, wake := waiter.NewChannelEntry(mask)
		f.Register(e)
		defer f.Unregister(e)
		for try() == abi.EAGAIN {
			<-wake
		}
	}
	var wg sync.WaitGroup
	for _, f := range []*vfs.OpenFile{a, b} {
		wg.Go(func() {
			for rest := data; len(rest) > 0; {
				block(f, waiter.Out, func() abi.Errno {
					n, errno := f.Write([][]byte{rest[:min(len(rest), 7001)]})
					rest = rest[n:]
					return errno
				})
			}
			s, _ := f.Socket()
			s.Shutdown(abi.ShutWr)
		})
		wg.Go(func() {
			var got []byte
			buf := make([]byte, 5003)
			for end := false; !end; {
				block(f, waiter.In, func() abi.Errno {
					n, errno := f.Read([][]byte{buf})
					got = append(got, buf[:n]...)
					end = errno == abi.OK && n == 0
					return errno
				})
			}
			if !bytes.Equal(got, data) {
				t.Error("what arrived is not what was sent")
			}
		})
	}
	wg.Wait()
	a.DecRef()
	b.DecRef()
}

func TestBudget(t *testing.T) {
	budget := vfs.NewBudget(4*unixsock.Capacity + 2*unixsock.SmallCapacity)
	s := unixsock.NewSystem(now, budget)
	var all []*vfs.OpenFile
	for {
		a, b, errno := s.Pair(unixsock.Stream, 0)
		if errno != abi.OK {
			want(t, "one too many", errno, abi.ENFILE)
			break
		}
		all = append(all, a, b)
	}
	want(t, "number", len(all)/2, 1+(2*unixsock.Capacity+2*unixsock.SmallCapacity)/(2*unixsock.SmallCapacity))
	for _, f := range all {
		f.DecRef()
	}
	want(t, "given back", budget.Used(), 0)
}

// restored saves files and makes them again.
func restored(t *testing.T, files ...*vfs.OpenFile) []*vfs.OpenFile {
	t.Helper()
	ns := vfs.NewNamespace(now)
	s := vfs.NewSaver(ns)
	for _, f := range files {
		if _, err := s.File(f); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range files {
		f.DecRef()
	}
	r, err := vfs.NewRestorer(s.State(), ns, map[string]vfs.RestoreFunc{unixsock.Kind: newSystem().Restore})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var out []*vfs.OpenFile
	for i := range s.State().Files {
		f, err := r.File(vfs.FileID(i))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	return out
}

func TestRestore(t *testing.T) {
	for _, typ := range []unixsock.Type{unixsock.Stream, unixsock.Dgram, unixsock.Seqpacket} {
		a, b := newPair(t, typ)
		send(a, "to b")
		send(a, "too")
		send(b, "to a")
		s, _ := b.Socket()
		s.Shutdown(abi.ShutWr)
		st, _ := b.Stat()
		files := restored(t, b, a)
		b, a = files[0], files[1]
		again, _ := b.Stat()
		want(t, "stat", again, st)
		if typ == unixsock.Stream {
			wantReceive(t, b, "to btoo", abi.OK)
		} else {
			wantReceive(t, b, "to b", abi.OK)
			wantReceive(t, b, "too", abi.OK)
		}
		wantReceive(t, b, "", abi.EAGAIN)
		want(t, "shut down", send(b, "x"), abi.EPIPE)
		wantReceive(t, a, "to a", abi.OK)
		want(t, "the other way", send(a, "y"), abi.OK)
		b.DecRef()
		files = restored(t, a)
		a = files[0]
		switch typ {
		case unixsock.Stream, unixsock.Seqpacket:
			want(t, "hung up", a.Readiness(0), waiter.Hup|waiter.Err)
			wantReceive(t, a, "", abi.ECONNRESET)
			wantReceive(t, a, "", abi.OK)
		case unixsock.Dgram:
			wantReceive(t, a, "", abi.EAGAIN)
			want(t, "nobody is there", send(a, "x"), abi.ECONNREFUSED)
			a = restored(t, a)[0]
			want(t, "told once", send(a, "x"), abi.ENOTCONN)
		}
		a.DecRef()
	}
}

func TestRestoreHostile(t *testing.T) {
	object := func(v any) vfs.ObjectState {
		o, err := vfs.NewObjectState(unixsock.Kind, v)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	end := object(unixsock.SocketState{})
	good := unixsock.State{Type: unixsock.Stream, Capacity: unixsock.SmallCapacity}
	with := func(change func(*unixsock.State)) []vfs.ObjectState {
		s := good
		change(&s)
		return []vfs.ObjectState{object(s)}
	}
	for name, objects := range map[string][]vfs.ObjectState{
		"none":       nil,
		"kind":       {{Kind: "pipe"}},
		"type":       with(func(s *unixsock.State) { s.Type = 4 }),
		"no type":    with(func(s *unixsock.State) { s.Type = 0 }),
		"capacity":   with(func(s *unixsock.State) { s.Capacity = 1 << 40 }),
		"ino":        with(func(s *unixsock.State) { s.Ino = 1<<64 - 1 }),
		"time":       with(func(s *unixsock.State) { s.Mtim = -1 }),
		"shutdown":   with(func(s *unixsock.State) { s.First.Shut = 4 }),
		"bytes":      with(func(s *unixsock.State) { s.Second.Data = make([]byte, unixsock.SmallCapacity+1) }),
		"a stream":   with(func(s *unixsock.State) { s.First.Sizes = []uint32{0} }),
		"sizes":      with(func(s *unixsock.State) { s.Type, s.First.Sizes = unixsock.Dgram, []uint32{1} }),
		"large size": with(func(s *unixsock.State) { s.Type, s.First.Sizes = unixsock.Dgram, []uint32{1<<32 - 1} }),
		"many":       with(func(s *unixsock.State) { s.Type, s.First.Sizes = unixsock.Dgram, make([]uint32, 1<<20) }),
	} {
		ns := vfs.NewNamespace(now)
		r, err := vfs.NewRestorer(&vfs.State{Files: []vfs.FileState{{Object: end}}, Objects: objects}, ns,
			map[string]vfs.RestoreFunc{unixsock.Kind: newSystem().Restore})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.File(0); err == nil {
			t.Errorf("%s: no error", name)
		}
		r.Close()
	}
	r, err := vfs.NewRestorer(&vfs.State{Files: []vfs.FileState{{Object: end}, {Object: end}}, Objects: []vfs.ObjectState{object(good)}},
		vfs.NewNamespace(now), map[string]vfs.RestoreFunc{unixsock.Kind: newSystem().Restore})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f, err := r.File(0)
	if err != nil {
		t.Fatal(err)
	}
	f.DecRef()
	if _, err := r.File(1); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("the same socket twice: %v", err)
	}
}
