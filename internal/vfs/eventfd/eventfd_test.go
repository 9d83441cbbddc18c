package eventfd_test

import (
	"encoding/binary"
	"math"
	"sync"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/eventfd"
	"github.com/stasis-run/stasis/internal/waiter"
)

func write(f *vfs.OpenFile, n uint64) abi.Errno {
	b := binary.LittleEndian.AppendUint64(nil, n)
	done, errno := f.Write([][]byte{b[:3], nil, b[3:]})
	if errno == abi.OK && done != 8 {
		return abi.EIO
	}
	return errno
}

func read(f *vfs.OpenFile) (uint64, abi.Errno) {
	b := make([]byte, 10)
	n, errno := f.Read([][]byte{b[:5], b[5:]})
	if errno == abi.OK && n != 8 {
		return 0, abi.EIO
	}
	return binary.LittleEndian.Uint64(b), errno
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

const all = waiter.In | waiter.Out

func TestCounter(t *testing.T) {
	f := eventfd.New(0, false, 0)
	defer f.DecRef()
	want(t, "at 0", f.Readiness(all), waiter.Out)
	_, errno := read(f)
	want(t, "read of 0", errno, abi.EAGAIN)
	want(t, "add nothing", write(f, 0), abi.OK)
	want(t, "still 0", f.Readiness(all), waiter.Out)
	want(t, "add", write(f, 3), abi.OK)
	want(t, "add", write(f, 4), abi.OK)
	want(t, "at 7", f.Readiness(all), all)
	n, errno := read(f)
	want(t, "all of it", n, 7)
	want(t, "all of it", errno, abi.OK)
	want(t, "too much", write(f, math.MaxUint64), abi.EINVAL)
	want(t, "the most", write(f, eventfd.Max), abi.OK)
	want(t, "full", f.Readiness(all), waiter.In)
	want(t, "one more", write(f, 1), abi.EAGAIN)
	want(t, "nothing more", write(f, 0), abi.OK)
	_, errno = f.Read([][]byte{make([]byte, 7)})
	want(t, "read 7 bytes", errno, abi.EINVAL)
	_, errno = f.Write([][]byte{make([]byte, 7)})
	want(t, "write 7 bytes", errno, abi.EINVAL)
	_, errno = f.Lseek(0, abi.SeekSet)
	want(t, "seek", errno, abi.ESPIPE)
}

func TestSemaphore(t *testing.T) {
	f := eventfd.New(2, true, 0)
	defer f.DecRef()
	for range 2 {
		n, errno := read(f)
		want(t, "one", n, 1)
		want(t, "one", errno, abi.OK)
	}
	_, errno := read(f)
	want(t, "none", errno, abi.EAGAIN)
}

// Each of many posts wakes one of those who wait, and none is lost.
func TestWaiters(t *testing.T) {
	f := eventfd.New(0, true, 0)
	defer f.DecRef()
	const posts = 1000
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			e, wake := waiter.NewChannelEntry(waiter.In)
			f.Register(e)
			defer f.Unregister(e)
			for got := 0; got < posts/4; {
				if _, errno := read(f); errno == abi.OK {
					got++
					continue
				}
				<-wake
			}
		})
	}
	for range posts {
		want(t, "post", write(f, 1), abi.OK)
	}
	wg.Wait()
	want(t, "left", f.Readiness(all), waiter.Out)
}

func TestRestore(t *testing.T) {
	ns := vfs.NewNamespace(func() int64 { return 1 })
	table := vfs.NewFDTable(8)
	fd, _ := table.InstallAll(eventfd.New(5, true, abi.FDNonblock))
	dup, _ := table.Dup(fd, 0, false)
	saver := vfs.NewSaver(ns)
	st, err := table.Save(saver)
	if err != nil {
		t.Fatal(err)
	}
	table.CloseAll()
	r, err := vfs.NewRestorer(saver.State(), ns, map[string]vfs.RestoreFunc{eventfd.Kind: eventfd.Restore})
	if err != nil {
		t.Fatal(err)
	}
	if table, err = vfs.RestoreFDTable(st, r); err != nil {
		t.Fatal(err)
	}
	r.Close()
	f, _ := table.Get(fd, 0)
	g, _ := table.Get(dup, 0)
	n, errno := read(f)
	want(t, "a semaphore", n, 1)
	want(t, "a semaphore", errno, abi.OK)
	want(t, "nonblocking", f.Nonblock(), true)
	for range 4 {
		_, errno = read(g)
		want(t, "shared", errno, abi.OK)
	}
	_, errno = read(f)
	want(t, "empty", errno, abi.EAGAIN)
	f.DecRef()
	g.DecRef()
	table.CloseAll()

	bad, err := vfs.NewObjectState(eventfd.Kind, eventfd.State{Count: math.MaxUint64})
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range [][]byte{bad.Data, {7}} {
		if f, err := eventfd.Restore(nil, data); err == nil {
			t.Errorf("restored %+v of %x", f, data)
		}
	}
}
