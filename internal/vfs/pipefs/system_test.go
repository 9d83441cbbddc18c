package pipefs_test

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/pipefs"
)

// Any sequence of reads and writes against a plain buffer.
func TestModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	r, w := newPipe(t)
	defer r.DecRef()
	defer w.DecRef()
	var model []byte
	next := byte(0)
	sizes := []int{0, 1, 2, 100, 4095, 4096, 4097, 30_000, 65_536, 80_000}
	for i := range 4_000 {
		n := sizes[rnd.IntN(len(sizes))]
		if rnd.IntN(2) == 0 {
			b := make([]byte, n)
			for i := range b {
				b[i] = next + byte(i)
			}
			cut := rnd.IntN(n + 1)
			got, errno := w.Write([][]byte{b[:cut], b[cut:]})
			room := pipefs.Capacity - len(model)
			expect := min(n, room)
			if n <= pipefs.Atomic && n > room {
				expect = 0
			}
			if got != expect || (errno == abi.EAGAIN) != (expect == 0 && n > 0) {
				t.Fatalf("step %d: write %d with room for %d: %d, %v", i, n, room, got, errno)
			}
			model = append(model, b[:got]...)
			next += byte(got)
			continue
		}
		b := make([]byte, n)
		cut := rnd.IntN(n + 1)
		got, errno := r.Read([][]byte{b[:cut], b[cut:]})
		expect := min(n, len(model))
		if got != expect || (errno == abi.EAGAIN) != (expect == 0 && n > 0) {
			t.Fatalf("step %d: read %d of %d: %d, %v", i, n, len(model), got, errno)
		}
		if !bytes.Equal(b[:got], model[:got]) {
			t.Fatalf("step %d: read other bytes than were written", i)
		}
		model = model[got:]
		if buffered, ok := r.Buffered(); !ok || buffered != len(model) {
			t.Fatalf("step %d: %d buffered, want %d", i, buffered, len(model))
		}
	}
}

// A write of nothing succeeds, as on Linux, also when nobody reads any more.
func TestNullWrite(t *testing.T) {
	r, w := newPipe(t)
	r.DecRef()
	n, errno := w.Write(nil)
	want(t, "write of nothing", n, 0)
	want(t, "write of nothing", errno, abi.OK)
	w.DecRef()
}

// The lines of several writers do not mix.
func TestAtomic(t *testing.T) {
	r, w := newPipe(t)
	const writers, lines = 4, 200
	var wg sync.WaitGroup
	for i := range writers {
		w.IncRef()
		wg.Go(func() {
			defer w.DecRef()
			line := bytes.Repeat([]byte{byte('a' + i)}, pipefs.Atomic-i)
			for range lines {
				n, errno := blockingWrite(w, line)
				if errno != abi.OK || n != len(line) {
					t.Errorf("wrote %d, %v", n, errno)
					return
				}
			}
		})
	}
	w.DecRef()
	var got []byte
	b := make([]byte, 10_000)
	for {
		n, errno := blockingRead(r, b)
		if errno != abi.OK {
			t.Fatal(errno)
		}
		if n == 0 {
			break
		}
		got = append(got, b[:n]...)
	}
	wg.Wait()
	r.DecRef()
	for len(got) > 0 {
		n := pipefs.Atomic - int(got[0]-'a')
		if len(got) < n || !bytes.Equal(got[:n], bytes.Repeat(got[:1], n)) {
			t.Fatalf("a line of %c is torn", got[0])
		}
		got = got[n:]
	}
}

func TestBudget(t *testing.T) {
	budget := vfs.NewBudget(4*pipefs.Capacity + pipefs.SmallCapacity)
	s := pipefs.NewSystem(now, budget)
	var ends []*vfs.OpenFile
	var sizes []int
	for {
		r, w, errno := s.New()
		if errno != abi.OK {
			want(t, "one too many", errno, abi.ENFILE)
			break
		}
		total := 0
		for {
			n, errno := w.Write([][]byte{make([]byte, 5000)})
			if total += n; errno != abi.OK {
				break
			}
		}
		sizes = append(sizes, total)
		ends = append(ends, r, w)
	}
	want(t, "full size", sizes[0], pipefs.Capacity)
	want(t, "full size", sizes[1], pipefs.Capacity)
	want(t, "then small", sizes[2], pipefs.SmallCapacity)
	want(t, "number", len(sizes), 2+(2*pipefs.Capacity+pipefs.SmallCapacity)/pipefs.SmallCapacity)

	// Saved, a small one stays one, and all fit again.
	ns := vfs.NewNamespace(now)
	saver := vfs.NewSaver(ns)
	for _, f := range ends {
		if _, err := saver.File(f); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range ends {
		f.DecRef()
	}
	want(t, "given back", budget.Used(), int64(0))
	restore := func(s *pipefs.System) (files []*vfs.OpenFile, err error) {
		r, err := vfs.NewRestorer(saver.State(), ns, map[string]vfs.RestoreFunc{pipefs.Kind: s.Restore})
		if err != nil {
			return nil, err
		}
		defer r.Close()
		for i := range saver.State().Files {
			f, err := r.File(vfs.FileID(i))
			if err != nil {
				return files, err
			}
			files = append(files, f)
		}
		return files, nil
	}
	files, err := restore(s)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "taken again", budget.Used(), budget.Max())
	st, _ := files[4].Stat()
	for _, f := range files {
		f.DecRef()
	}
	r, w, _ := s.New()
	fresh, _ := r.Stat()
	if fresh.Ino <= st.Ino {
		t.Errorf("a new pipe has inode %d, a restored one %d", fresh.Ino, st.Ino)
	}
	r.DecRef()
	w.DecRef()
	files, err = restore(pipefs.NewSystem(now, vfs.NewBudget(pipefs.Capacity)))
	if err == nil {
		t.Error("more than the bound: no error")
	}
	for _, f := range files {
		f.DecRef()
	}
}

func blockingWrite(f *vfs.OpenFile, b []byte) (n int, errno abi.Errno) {
	errno = block(f, waitOut, func() (errno abi.Errno) {
		n, errno = f.Write([][]byte{b})
		return errno
	})
	return n, errno
}

func blockingRead(f *vfs.OpenFile, b []byte) (n int, errno abi.Errno) {
	errno = block(f, waitIn, func() (errno abi.Errno) {
		n, errno = f.Read([][]byte{b})
		return errno
	})
	return n, errno
}

// BenchmarkThroughput moves 64 KiB at a time from one goroutine to another.
func BenchmarkThroughput(b *testing.B) {
	r, w := newPipe(b)
	const size = 64 << 10
	b.SetBytes(size)
	var wg sync.WaitGroup
	wg.Go(func() {
		data := make([]byte, size)
		for range b.N {
			for left := size; left > 0; {
				n, errno := blockingWrite(w, data[:left])
				if errno != abi.OK {
					b.Error(errno)
					return
				}
				left -= n
			}
		}
		w.DecRef()
	})
	data := make([]byte, size)
	for {
		n, errno := blockingRead(r, data)
		if errno != abi.OK {
			b.Fatal(errno)
		}
		if n == 0 {
			break
		}
	}
	wg.Wait()
	r.DecRef()
}

// BenchmarkPingPong sends a byte there and one back.
func BenchmarkPingPong(b *testing.B) {
	r1, w1 := newPipe(b)
	r2, w2 := newPipe(b)
	var wg sync.WaitGroup
	wg.Go(func() {
		data := make([]byte, 1)
		for range b.N {
			blockingRead(r1, data)
			blockingWrite(w2, data)
		}
	})
	data := make([]byte, 1)
	for range b.N {
		blockingWrite(w1, data)
		blockingRead(r2, data)
	}
	wg.Wait()
}
