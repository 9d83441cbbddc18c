package pipefs_test

import (
	"bytes"
	"sync"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/pipefs"
	"github.com/stasis-run/stasis/internal/waiter"
)

func now() int64 { return 1_700_000_000e9 }

func newPipe(t testing.TB) (r, w *vfs.OpenFile) {
	t.Helper()
	r, w, errno := pipefs.NewSystem(now, nil).New()
	if errno != abi.OK {
		t.Fatal(errno)
	}
	return r, w
}

func read(t *testing.T, f *vfs.OpenFile, n int) (string, abi.Errno) {
	t.Helper()
	b := make([]byte, n)
	n, errno := f.Read([][]byte{b[:n/2], b[n/2:]})
	return string(b[:n]), errno
}

func write(f *vfs.OpenFile, s string) (int, abi.Errno) { return f.Write([][]byte{[]byte(s)}) }

func want(t *testing.T, what string, got, want any) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

const (
	all     = waiter.In | waiter.Out
	waitIn  = waiter.In
	waitOut = waiter.Out
)

func TestPipe(t *testing.T) {
	r, w := newPipe(t)
	want(t, "empty", r.Readiness(all), waiter.EventMask(0))
	want(t, "room", w.Readiness(all), waiter.Out)
	_, errno := read(t, r, 4)
	want(t, "read of an empty pipe", errno, abi.EAGAIN)
	n, errno := r.Read(nil)
	want(t, "read of nothing", errno, abi.OK)
	want(t, "read of nothing", n, 0)
	_, errno = r.Write([][]byte{{1}})
	want(t, "write to the read end", errno, abi.EBADF)
	_, errno = r.Lseek(0, abi.SeekCur)
	want(t, "seek", errno, abi.ESPIPE)
	_, errno = r.ReadAt(nil, 0)
	want(t, "pread", errno, abi.ESPIPE)
	write(w, "hello")
	want(t, "full", r.Readiness(all), waiter.In)
	s, errno := read(t, r, 4)
	want(t, "read", s, "hell")
	want(t, "read", errno, abi.OK)
	w.DecRef()
	want(t, "no writer", r.Readiness(all), waiter.In|waiter.Hup)
	s, _ = read(t, r, 4)
	want(t, "the rest", s, "o")
	s, errno = read(t, r, 4)
	want(t, "the end", s, "")
	want(t, "the end", errno, abi.OK)
	r.DecRef()
}

func TestFull(t *testing.T) {
	r, w := newPipe(t)
	defer w.DecRef()
	big := make([]byte, pipefs.Capacity-100)
	n, errno := w.Write([][]byte{big})
	want(t, "write", n, len(big))
	want(t, "write", errno, abi.OK)
	want(t, "nearly full", w.Readiness(all), waiter.EventMask(0))
	_, errno = w.Write([][]byte{make([]byte, 101)})
	want(t, "an atomic write that does not fit", errno, abi.EAGAIN)
	n, errno = w.Write([][]byte{make([]byte, 5000)})
	want(t, "a larger one takes what there is", n, 100)
	want(t, "a larger one takes what there is", errno, abi.OK)
	_, errno = w.Write([][]byte{{1}})
	want(t, "full", errno, abi.EAGAIN)
	r.DecRef()
	want(t, "no reader", w.Readiness(all), waiter.Out|waiter.Err)
	_, errno = w.Write([][]byte{{1}})
	want(t, "no reader", errno, abi.EPIPE)
}

// block does a call as the kernel does: register, try, wait.
func block(f *vfs.OpenFile, mask waiter.EventMask, try func() abi.Errno) abi.Errno {
	e, wake := waiter.NewChannelEntry(mask)
	f.Register(e)
	defer f.Unregister(e)
	for {
		if errno := try(); errno != abi.EAGAIN {
			return errno
		}
		<-wake
	}
}

// All bytes arrive in order, however reading and writing fall.
func TestTransfer(t *testing.T) {
	r, w := newPipe(t)
	sent := make([]byte, 1<<20)
	for i := range sent {
		sent[i] = byte(i * 7 >> 3)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for rest := sent; len(rest) > 0; {
			var n int
			errno := block(w, waiter.Out, func() (errno abi.Errno) {
				n, errno = w.Write([][]byte{rest[:min(len(rest), 9973)]})
				return errno
			})
			if errno != abi.OK {
				t.Error(errno)
				break
			}
			rest = rest[n:]
		}
		w.DecRef()
	})
	var got bytes.Buffer
	b := make([]byte, 4099)
	for {
		var n int
		errno := block(r, waiter.In, func() (errno abi.Errno) {
			n, errno = r.Read([][]byte{b})
			return errno
		})
		if errno != abi.OK {
			t.Fatal(errno)
		}
		if n == 0 {
			break
		}
		got.Write(b[:n])
	}
	wg.Wait()
	r.DecRef()
	if !bytes.Equal(got.Bytes(), sent) {
		t.Error("what arrived is not what was sent")
	}
}

// Both tables keep their ends of the one pipe.
func TestRestore(t *testing.T) {
	ns := vfs.NewNamespace(now)
	one, two := vfs.NewFDTable(8), vfs.NewFDTable(8)
	r, w := newPipe(t)
	write(w, "in it")
	w.IncRef()
	one.InstallAll(r)
	one.InstallAll(w)
	two.InstallAll(w)

	saver := vfs.NewSaver(ns)
	s1, err1 := one.Save(saver)
	s2, err2 := two.Save(saver)
	b, err3 := protostruct.Marshal(saver.State())
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatal(err1, err2, err3)
	}
	one.CloseAll()
	two.CloseAll()

	var s vfs.State
	if err := protostruct.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	want(t, "files", len(s.Files), 2)
	want(t, "objects", len(s.Objects), 1)
	res, err := vfs.NewRestorer(&s, ns, map[string]vfs.RestoreFunc{pipefs.Kind: pipefs.NewSystem(now, nil).Restore})
	if err != nil {
		t.Fatal(err)
	}
	one, err1 = vfs.RestoreFDTable(s1, res)
	two, err2 = vfs.RestoreFDTable(s2, res)
	res.Close()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	w, _ = two.Get(0, abi.RightFDWrite)
	write(w, " and more")
	w.DecRef()
	r, _ = one.Get(0, abi.RightFDRead)
	got, _ := read(t, r, 100)
	want(t, "after restore", got, "in it and more")
	one.Close(1)
	_, errno := read(t, r, 1)
	want(t, "one writer is left", errno, abi.EAGAIN)
	two.CloseAll()
	n, errno := r.Read([][]byte{make([]byte, 1)})
	want(t, "no writer is left", n, 0)
	want(t, "no writer is left", errno, abi.OK)
	r.DecRef()
	one.CloseAll()
}

// A restored pipe leaves the state alone that its bytes came from: it can be
// restored again.
func TestRestoreTwice(t *testing.T) {
	ns := vfs.NewNamespace(now)
	table := vfs.NewFDTable(8)
	r, w := newPipe(t)
	write(w, "in it")
	table.InstallAll(r)
	table.InstallAll(w)
	saver := vfs.NewSaver(ns)
	st, err := table.Save(saver)
	if err != nil {
		t.Fatal(err)
	}
	table.CloseAll()
	for range 2 {
		res, err := vfs.NewRestorer(saver.State(), ns, map[string]vfs.RestoreFunc{pipefs.Kind: pipefs.NewSystem(now, nil).Restore})
		if err != nil {
			t.Fatal(err)
		}
		table, err := vfs.RestoreFDTable(st, res)
		res.Close()
		if err != nil {
			t.Fatal(err)
		}
		r, _ := table.Get(0, abi.RightFDRead)
		for _, half := range []string{"in", " it"} {
			got, _ := read(t, r, len(half))
			want(t, "restored", got, half)
		}
		r.DecRef()
		table.CloseAll()
	}
}

func TestRestoreHostile(t *testing.T) {
	ns := vfs.NewNamespace(now)
	object := func(kind string, v any) vfs.ObjectState {
		o, err := vfs.NewObjectState(kind, v)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	end := object("pipe", pipefs.EndState{})
	for name, s := range map[string]vfs.State{
		"no object":   {Files: []vfs.FileState{{Object: end}}},
		"negative":    {Files: []vfs.FileState{{Object: object("pipe", pipefs.EndState{Pipe: -1})}}},
		"no encoding": {Files: []vfs.FileState{{Object: vfs.ObjectState{Kind: "pipe", Data: []byte("7")}}}},
		"other kind": {Files: []vfs.FileState{{Object: end}},
			Objects: []vfs.ObjectState{{Kind: "x"}}},
		"too much": {Files: []vfs.FileState{{Object: end}},
			Objects: []vfs.ObjectState{object("pipe", pipefs.State{Data: make([]byte, pipefs.Capacity+1)})}},
		"capacity": {Files: []vfs.FileState{{Object: end}},
			Objects: []vfs.ObjectState{object("pipe", pipefs.State{Capacity: 1 << 40})}},
		"too much for a small one": {Files: []vfs.FileState{{Object: end}},
			Objects: []vfs.ObjectState{object("pipe", pipefs.State{Capacity: pipefs.SmallCapacity, Data: make([]byte, pipefs.SmallCapacity+1)})}},
		"inode": {Files: []vfs.FileState{{Object: end}},
			Objects: []vfs.ObjectState{object("pipe", pipefs.State{Ino: 1 << 63})}},
		"offset": {Files: []vfs.FileState{{Offset: 3, Object: end}},
			Objects: []vfs.ObjectState{{Kind: "pipe"}}},
	} {
		r, err := vfs.NewRestorer(&s, ns, map[string]vfs.RestoreFunc{pipefs.Kind: pipefs.NewSystem(now, nil).Restore})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.File(0); err == nil {
			t.Errorf("%s: no error", name)
		}
		r.Close()
	}
}
