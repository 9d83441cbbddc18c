package jail

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestBroadcast sets something harmless on all threads of the test itself, and
// looks at each.
func TestBroadcast(t *testing.T) {
	const n = 40
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var ready, stop sync.WaitGroup
	ready.Add(n)
	stop.Add(1)
	errs := make(chan error, n)
	for i := range n {
		go func() {
			runtime.LockOSThread()
			ready.Done()
			if i%2 == 0 {
				stop.Wait() // asleep in Go
			} else { // asleep in the kernel, and not restarted by it
				left := unix.Timespec{Nsec: 5e7}
				for unix.Nanosleep(&left, &left) == unix.EINTR {
				}
				stop.Wait()
			}
			slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
			if err == nil && slack != 54321 {
				err = fmt.Errorf("thread %d: %d", unix.Gettid(), slack)
			}
			errs <- err
		}()
	}
	ready.Wait()
	list, err := openThreads()
	if err != nil {
		t.Fatal(err)
	}
	defer list.close()
	// The first is in the way of none; the second is one more argument's test.
	calls := []call{{unix.SYS_GETPID, [6]uintptr{}}, prctl(unix.PR_SET_TIMERSLACK, 54321)}
	if err := list.broadcast(calls); err != nil {
		t.Fatal(err)
	}
	stop.Done()
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if err := list.broadcast([]call{{unix.SYS_CLOSE, [6]uintptr{^uintptr(0)}}}); err == nil {
		t.Error("a call that fails: no error")
	}
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0)
	if err := list.broadcast([]call{prctl(unix.PR_SET_TIMERSLACK, 0)}); err != nil { // as it was
		t.Error(err)
	}
}
