package hostfile

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/waiter"
)

// counting returns an Entry that counts its calls and tells of each.
func counting(mask waiter.EventMask) (*waiter.Entry, *atomic.Int64, chan struct{}) {
	var n atomic.Int64
	c := make(chan struct{}, 1000)
	return waiter.NewEntry(mask, func(waiter.EventMask) {
		n.Add(1)
		c <- struct{}{}
	}), &n, c
}

// Data that nobody waits for wakes nobody, and a waiter is woken once for each
// time that he has found nothing.
func TestOneEventForEachLook(t *testing.T) {
	r, w := pipe(t)
	closeAll(t, r, w)
	p := newPoller(t)
	f := inherit[*Stream](t, p, r, "stdin")
	unix.Write(w, []byte("a"))
	p.mu.Lock()
	watched := len(p.watches)
	p.mu.Unlock()
	if watched != 0 {
		t.Error("a descriptor is watched and nobody waits")
	}

	e, n, c := counting(waiter.In)
	f.Register(e)
	defer f.Unregister(e)
	recv(t, c)
	unix.Write(w, []byte("b")) // he knows
	flushPoller(t, p)
	if got := n.Load(); got != 1 {
		t.Errorf("%d calls, want 1", got)
	}
	if got := read(t, f, 10); got != "ab" {
		t.Errorf("read %q", got)
	}
	if got := f.Readiness(waiter.In); got != 0 {
		t.Errorf("readiness %v", got)
	}
	unix.Write(w, []byte("c"))
	recv(t, c)
}

// recv waits for a token.
func recv(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(deadline):
		t.Fatal("no wake-up came")
	}
}

// flushPoller returns when the poller has handled all events of before.
func flushPoller(t *testing.T, p *Poller) {
	t.Helper()
	for range 2 { // the events of one epoll_wait are handled in any order
		r, w := pipe(t)
		var f Stream
		f.init(p, desc{fd: r, kind: Pipe})
		e, _, c := counting(waiter.In)
		f.Register(e)
		unix.Write(w, []byte("x"))
		recv(t, c)
		f.Unregister(e)
		f.Close()
		unix.Close(w)
	}
}

// What was not armed for the event that came stays armed for the other.
func TestBothDirections(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	closeAll(t, fds[0], fds[1])
	f := inherit[*Conn](t, newPoller(t), fds[0], "stdin")
	in, _, inC := counting(waiter.In)
	out, _, outC := counting(waiter.Out)
	f.Register(in)
	f.Register(out)
	recv(t, outC)
	unix.Write(fds[1], []byte("x"))
	recv(t, inC)
	f.Unregister(in)
	f.Unregister(out)
}

// Closing a file wakes those who wait for it.
func TestCloseWakes(t *testing.T) {
	r, w := pipe(t)
	closeAll(t, r, w)
	f := inherit[*Stream](t, newPoller(t), r, "stdin")
	e, _, c := counting(waiter.In)
	f.Register(e)
	f.Close()
	recv(t, c)
	f.Unregister(e)
	if got := f.Readiness(waiter.In); got&waiter.In == 0 {
		t.Errorf("readiness %v of a closed file", got)
	}
	if _, errno := f.Read([][]byte{make([]byte, 1)}); errno != abi.EBADF {
		t.Errorf("read: %v", errno)
	}
}

func TestPollerCloseTwice(t *testing.T) {
	p, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	r, w := pipe(t)
	closeAll(t, r, w)
	f, err := Inherit(p, r, "stdin")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	e, _, _ := counting(waiter.In)
	f.Register(e) // nothing will come, and nothing breaks
	f.Unregister(e)
	f.Close()
}

// Many files, each with a writer and a reader that waits; nothing is lost.
func TestManyFiles(t *testing.T) {
	p := newPoller(t)
	var wg sync.WaitGroup
	for range 20 {
		r, w := pipe(t)
		closeAll(t, r)
		f := inherit[*Stream](t, p, r, "stdin")
		const size = 2000
		wg.Go(func() {
			for range size {
				unix.Write(w, []byte{'z'})
			}
			unix.Close(w)
		})
		wg.Go(func() {
			got, buf := 0, make([]byte, 7)
			e, c := waiter.NewChannelEntry(waiter.In)
			f.Register(e)
			defer f.Unregister(e)
			for {
				n, errno := f.Read([][]byte{buf})
				switch {
				case errno == abi.EAGAIN:
					select {
					case <-c:
					case <-time.After(deadline):
						t.Errorf("stuck after %d bytes", got)
						return
					}
				case errno != abi.OK:
					t.Errorf("read: %v", errno)
					return
				case n == 0:
					if got != size {
						t.Errorf("got %d bytes, want %d", got, size)
					}
					return
				}
				got += n
			}
		})
	}
	wg.Wait()
}
