package stops

import (
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/hostfile"
)

// wantAtOnce checks that a guest in a call was stopped at once.
func wantAtOnce(t *testing.T, took time.Duration) {
	t.Helper()
	t.Logf("a blocked call was stopped within %v", took)
	if took > 2*time.Second {
		t.Errorf("a blocked call took %v to stop", took)
	}
}

// A poll_oneoff that is saved half way waits for what was left of its time,
// however long it lay.
func TestSaveBlockedPoll(t *testing.T) {
	const all = 1500 * time.Millisecond
	s := begin(t, polls(uint64(all)), grant{})
	s.until(t, kernel.Blocked)
	n, stats, st := s.elsewhere(t, grant{})
	defer n.close(t)
	wantAtOnce(t, stats.TimeToStop)
	ts := st.Kernel.Processes[0].Tasks[0]
	left := time.Duration(ts.Restart.Deadline - st.Kernel.Clocks.Monotonic)
	if !ts.Restart.Set || left <= 0 || left > all {
		t.Fatalf("restart block %+v, clock %d", ts.Restart, st.Kernel.Clocks.Monotonic)
	}
	at := time.Now()
	n.start(t)
	if x := n.wait(t); x.Code != 42 {
		t.Errorf("exit %+v", x)
	}
	took := time.Since(at)
	t.Logf("%v of %v left; took %v", left, all, took)
	if took < left {
		t.Errorf("it waited for %v, and %v was left", took, left)
	}
}

// The same guest, stopped again and again in place.
func TestStopBlockedPoll(t *testing.T) {
	s := begin(t, polls(uint64(400*time.Millisecond)), grant{})
	defer s.close(t)
	for range 20 {
		s.until(t, kernel.Blocked)
		stop, took := s.stop(t)
		if took > 2*time.Second {
			t.Errorf("a blocked call took %v to stop", took)
		}
		stop.End()
	}
	if x := s.wait(t); x.Code != 42 {
		t.Errorf("exit %+v", x)
	}
}

func inherit(f *os.File) func(*hostfile.Poller) (vfs.File, error) {
	return func(p *hostfile.Poller) (vfs.File, error) { return hostfile.Inherit(p, int(f.Fd()), "stdin") }
}

func TestSaveBlockedPipeRead(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	saveBlockedRead(t, r, w)
}

func TestSaveBlockedTTYRead(t *testing.T) {
	master, tty := openPTY(t)
	saveBlockedRead(t, tty, master)
}

// saveBlockedRead saves a guest that reads r, and feeds what is restored.
func saveBlockedRead(t *testing.T, r, w *os.File) {
	t.Helper()
	s := begin(t, reads(), grant{stdin: inherit(r)})
	s.until(t, kernel.Blocked)
	n, stats, _ := s.elsewhere(t, grant{stdin: inherit(r)})
	wantAtOnce(t, stats.TimeToStop)
	n.start(t)
	n.until(t, kernel.Blocked)
	n, stats, _ = n.elsewhere(t, grant{stdin: inherit(r)}) // and again
	defer n.close(t)
	wantAtOnce(t, stats.TimeToStop)
	n.start(t)
	n.until(t, kernel.Blocked)
	if _, err := w.WriteString("x\n"); err != nil {
		t.Fatal(err)
	}
	if x := n.wait(t); x.Code != 'x' {
		t.Errorf("exit %+v", x)
	}
}

func openPTY(t *testing.T) (master, tty *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { tty.Close() })
	return master, tty
}

func TestSaveBlockedAccept(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String() // ours from now on, as far as anything can be
	l.Close()
	g := grant{listen: "tcp:" + addr}
	s := begin(t, accepts(), g)
	s.until(t, kernel.Blocked)
	n, stats, _ := s.elsewhere(t, g)
	defer n.close(t)
	wantAtOnce(t, stats.TimeToStop)
	n.start(t)
	n.until(t, kernel.Blocked)
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("z")); err != nil {
		t.Fatal(err)
	}
	if x := n.wait(t); x.Code != 'z' {
		t.Errorf("exit %+v", x)
	}
}
