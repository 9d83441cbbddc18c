package abi

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// The numbers are those of the WASI documents; a few from each end of a list
// show that nothing has slipped in between.
func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want uint64
	}{
		{"OK", uint64(OK), 0}, {"E2BIG", uint64(E2BIG), 1}, {"EAGAIN", uint64(EAGAIN), 6},
		{"EBADF", uint64(EBADF), 8}, {"EINVAL", uint64(EINVAL), 28}, {"ENOENT", uint64(ENOENT), 44},
		{"ENOTDIR", uint64(ENOTDIR), 54}, {"EPERM", uint64(EPERM), 63}, {"ESTALE", uint64(ESTALE), 72},
		{"ENOTCAPABLE", uint64(ENOTCAPABLE), 76}, {"EUNKNOWN", uint64(EUNKNOWN), 79},
		{"RightPathOpen", uint64(RightPathOpen), 1 << 13},
		{"RightPathUnlinkFile", uint64(RightPathUnlinkFile), 1 << 26},
		{"RightSockAccept", uint64(RightSockAccept), 1 << 29},
		{"RightsAll", uint64(RightsAll), 1<<30 - 1},
		{"SIGKILL", uint64(SIGKILL), 9}, {"SIGCHLD", uint64(SIGCHLD), 16}, {"SIGSYS", uint64(SIGSYS), 30},
		{"FDSync", uint64(FDSync), 16}, {"OTrunc", uint64(OTrunc), 8}, {"FstMtimNow", uint64(FstMtimNow), 8},
		{"FiletypeSymbolicLink", uint64(FiletypeSymbolicLink), 7},
		{"ClockThreadCPU", uint64(ClockThreadCPU), 3}, {"AdviceNoreuse", uint64(AdviceNoreuse), 5},
	} {
		if c.got != c.want {
			t.Errorf("%s = %d, want %d", c.name, c.got, c.want)
		}
	}
}

func TestStrings(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{OK.String(), "OK"}, {ENOENT.String(), "ENOENT"}, {ENOENT.Error(), "no such file or directory"},
		{Errno(999).String(), "errno(999)"}, {Errno(999).Error(), "errno(999)"},
		{SIGTERM.String(), "SIGTERM"}, {SIGSYS.String(), "SIGSYS"}, {Signal(77).String(), "signal(77)"},
		{FiletypeDirectory.String(), "directory"}, {Filetype(9).String(), "filetype(9)"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
	for e := OK; e <= EUNKNOWN; e++ {
		if e.Error() == "" || e.String() == "" {
			t.Errorf("errno %d has no name", e)
		}
	}
}

func TestWhenceUnstable(t *testing.T) {
	want := []Whence{SeekCur, SeekEnd, SeekSet, 3}
	for i, w := range want {
		if got := WhenceUnstable(uint8(i)); got != w {
			t.Errorf("WhenceUnstable(%d) = %d, want %d", i, got, w)
		}
	}
}

// Each struct is written over 0xff, so that padding left alone would show.
func TestPut(t *testing.T) {
	st := &Filestat{Dev: 1, Ino: 2, Filetype: FiletypeRegularFile, Nlink: 1<<32 + 3, Size: 4, Atim: 5, Mtim: 6, Ctim: 7}
	for _, c := range []struct {
		name string
		size int
		put  func([]byte)
		want string
	}{
		{"prestat", PrestatSize, (&Prestat{NameLen: 5}).Put, "00000000 05000000"},
		{"fdstat", FdstatSize, (&Fdstat{FiletypeDirectory, FDSync, 1, 2}).Put,
			"0300 1000 00000000 0100000000000000 0200000000000000"},
		{"filestat", FilestatSize, st.Put, "0100000000000000 0200000000000000 0400000000000000 0300000001000000" +
			"0400000000000000 0500000000000000 0600000000000000 0700000000000000"},
		{"filestat unstable", FilestatUnstableSize, st.PutUnstable, "0100000000000000 0200000000000000 04000000 ffffffff" +
			"0400000000000000 0500000000000000 0600000000000000 0700000000000000"},
		{"dirent", DirentSize, (&Dirent{1, 2, 3, FiletypeSymbolicLink}).Put,
			"0100000000000000 0200000000000000 03000000 07000000"},
		{"event", EventSize, (&Event{1, EBADF, EventFDWrite, 3, EventHangup}).Put,
			"0100000000000000 0800 02 0000000000 0300000000000000 0100 000000000000"},
	} {
		b := bytes.Repeat([]byte{0xff}, c.size)
		c.put(b)
		want := strings.ReplaceAll(c.want, " ", "")
		if got := hex.EncodeToString(b); got != want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, want)
		}
	}
}

func TestGet(t *testing.T) {
	if got := GetIovec([]byte{1, 0, 0, 0, 2, 0, 0, 0}); got != (Iovec{1, 2}) {
		t.Errorf("GetIovec = %v", got)
	}
	clock := Subscription{Userdata: 9, Type: EventClock, Clock: ClockMonotonic, Timeout: 2, Precision: 3, Flags: SubclockAbstime}
	b := make([]byte, SubscriptionUnstableSize)
	b[0], b[16], b[24], b[32], b[40] = 9, 1, 2, 3, 1
	if got := GetSubscription(b); got != clock {
		t.Errorf("GetSubscription = %+v, want %+v", got, clock)
	}
	clear(b)
	b[0], b[16], b[24], b[32], b[40], b[48] = 9, 0x77, 1, 2, 3, 1
	if got := GetSubscriptionUnstable(b); got != clock {
		t.Errorf("GetSubscriptionUnstable = %+v, want %+v", got, clock)
	}
	clear(b)
	b[8], b[16] = byte(EventFDRead), 7
	want := Subscription{Type: EventFDRead, FD: 7}
	if got := GetSubscription(b); got != want {
		t.Errorf("GetSubscription = %+v, want %+v", got, want)
	}
	if got := GetSubscriptionUnstable(b); got != want {
		t.Errorf("GetSubscriptionUnstable = %+v, want %+v", got, want)
	}
}
