package wasi

import (
	"runtime"
	"testing"
	"time"

	"github.com/stasis-run/stasis/internal/abi"
)

// subClock writes a clock subscription at ptr.
func (g *guest) subClock(ptr int, userdata uint64, id abi.ClockID, timeout time.Duration, flags uint16) {
	clear(g.mem[ptr : ptr+abi.SubscriptionSize])
	g.setU64(ptr, userdata)
	g.setU32(ptr+16, uint32(id))
	g.setU64(ptr+24, uint64(timeout))
	g.mem[ptr+40] = byte(flags)
}

// subFD writes an fd subscription at ptr.
func (g *guest) subFD(ptr int, userdata uint64, typ abi.EventType, fd uint32) {
	clear(g.mem[ptr : ptr+abi.SubscriptionSize])
	g.setU64(ptr, userdata)
	g.mem[ptr+8] = byte(typ)
	g.setU32(ptr+16, fd)
}

// checkEvent compares the event at ptr.
func (g *guest) checkEvent(ptr int, want abi.Event) {
	g.t.Helper()
	var b [abi.EventSize]byte
	want.Put(b[:])
	if got := g.mem[ptr : ptr+abi.EventSize]; string(got) != string(b[:]) {
		g.t.Errorf("event at %d:\n got %x\nwant %x", ptr, got, b)
	}
}

func TestPollReady(t *testing.T) {
	w := newWorld(t, func(g *guest) {
		fd, _ := g.open("f", int(abi.OCreat), 0)
		g.want(abi.OK, "fd_filestat_set_size", fd, 9)
		g.subFD(0, 1, abi.EventFDRead, 0)
		g.subFD(48, 2, abi.EventFDWrite, 1)
		g.subFD(96, 3, abi.EventFDRead, 99)
		g.subClock(144, 4, abi.ClockProcessCPU, 5, 0)
		g.subClock(192, 5, abi.ClockMonotonic, time.Hour, 0)
		g.subFD(240, 6, abi.EventFDRead, fd)
		g.want(abi.OK, "poll_oneoff", 0, 1000, 6, 2000)
		if n := g.u32(2000); n != 5 {
			t.Errorf("%d events", n)
		}
		g.checkEvent(1000, abi.Event{Userdata: 1, Type: abi.EventFDRead, NBytes: 1, Flags: abi.EventHangup})
		g.checkEvent(1032, abi.Event{Userdata: 2, Type: abi.EventFDWrite, NBytes: 1})
		g.checkEvent(1064, abi.Event{Userdata: 3, Type: abi.EventFDRead, Errno: abi.EBADF})
		g.checkEvent(1096, abi.Event{Userdata: 4, Errno: abi.ENOTSUP})
		g.checkEvent(1128, abi.Event{Userdata: 6, Type: abi.EventFDRead, NBytes: 9})
		g.want(abi.EINVAL, "poll_oneoff", 0, 1000, 0, 2000)
		g.mem[8] = 3
		g.want(abi.EINVAL, "poll_oneoff", 0, 1000, 1, 2000)
		g.want(abi.EFAULT, "poll_oneoff", 0, len(g.mem)-31, 1, 2000)
	})
	w.stdin.give("", true)
	w.start(t)
	w.wait(t)
}

// A relative timeout stands still while the task is stopped.
func TestPollKeepsTimeLeft(t *testing.T) {
	w := newWorld(t, func(g *guest) {
		g.want(abi.OK, "clock_time_get", 1, 0, 3000)
		before := g.u64(3000)
		g.subClock(0, 7, abi.ClockMonotonic, 10*time.Second, 0)
		g.subFD(48, 8, abi.EventFDRead, 0)
		g.want(abi.OK, "poll_oneoff", 0, 1000, 2, 2000)
		g.want(abi.OK, "clock_time_get", 1, 0, 3000)
		if took := time.Duration(g.u64(3000) - before); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("took %v", took)
		}
		g.checkEvent(1000, abi.Event{Userdata: 7})
	})
	w.start(t)
	w.blocked()
	w.clock.Advance(4 * time.Second)
	w.stopAndGo(t, time.Hour)
	w.blocked()
	w.clock.Advance(6*time.Second - 1)
	w.stopAndGo(t, time.Hour)
	w.blocked()
	// The kernel may have read the clock and not have set its timer yet, so
	// that one step is not always enough.
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		w.group.Wait(t.Context())
	}()
	for {
		select {
		case <-gone:
			return
		default:
			w.clock.Advance(1)
			runtime.Gosched()
		}
	}
}

// A wall-clock time is reached by the wall clock, which goes on in a stop.
func TestPollWallClock(t *testing.T) {
	w := newWorld(t, func(g *guest) {
		g.want(abi.OK, "clock_time_get", 0, 0, 3000)
		g.subClock(0, 7, abi.ClockRealtime, time.Duration(g.u64(3000))+time.Minute, abi.SubclockAbstime)
		g.want(abi.OK, "poll_oneoff", 0, 1000, 1, 2000)
		g.checkEvent(1000, abi.Event{Userdata: 7})
	})
	w.start(t)
	w.stopAndGo(t, time.Hour)
	w.wait(t)
}

// wasi_unstable has the clock's fields eight bytes further on.
func TestPollUnstable(t *testing.T) {
	run(t, func(g *guest) {
		g.setU64(0, 9)
		g.setU32(24, uint32(abi.ClockMonotonic))
		g.want(abi.OK, "unstable.poll_oneoff", 0, 1000, 1, 2000)
		g.checkEvent(1000, abi.Event{Userdata: 9})
	})
}
