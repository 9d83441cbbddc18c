package ktime

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

const second = int64(time.Second)

func parseWall(t *testing.T, s string) Wall {
	t.Helper()
	w, err := ParseWall(s)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	var back Wall
	if err := json.Unmarshal(b, &back); err != nil || back != w || w.String() != s {
		t.Errorf("%s reads as %s, and again as %s, %v", s, w, back, err)
	}
	return w
}

func TestParseWall(t *testing.T) {
	for _, s := range []string{
		"host", "fixed:1970-01-01T00:00:00Z", "fixed:2000-02-29T12:30:00.000000001Z", "fixed:2100-01-01T00:00:00Z",
		"offset:-36h30m0s", "offset:1ns", "offset:0s",
	} {
		parseWall(t, s)
	}
	if w, err := ParseWall("fixed:2000-01-01T02:00:00+02:00"); err != nil || w.String() != "fixed:2000-01-01T00:00:00Z" {
		t.Errorf("%v, %v", w, err)
	}
	w := HostWall
	if err := w.UnmarshalText(nil); err != nil || w != (Wall{}) || w.String() != "" {
		t.Errorf("no text reads as %q, %v", w, err)
	}
	for _, c := range []struct{ s, want string }{
		{"", `clock "": want host, fixed:TIME or offset:DURATION`},
		{"host:", "want host"},
		{"frozen", "want host"},
		{"fixed:", "not of the form 2006-"},
		{"fixed:2000-01-01", "not of the form 2006-"},
		{"fixed:1969-12-31T23:59:59Z", "1970 to 2099"},
		{"fixed:2100-01-01T00:00:01Z", "1970 to 2099"},
		{"fixed:0001-01-01T00:00:00Z", "1970 to 2099"},
		{"offset:1", "not of the form -36h30m"},
		{"offset:3000000h", "not of the form -36h30m"},
	} {
		if _, err := ParseWall(c.s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want one about %q", c.s, err, c.want)
		}
	}
}

// A clock of its own keeps step with the monotonic clock, here and in a
// restored system, whatever the host's wall clock says there.
func TestOwnWall(t *testing.T) {
	for _, c := range []struct {
		clock string
		begin int64
	}{
		{"fixed:1970-01-01T00:00:10Z", 10 * second},
		{"offset:-24h0m0s", manualEpoch + 3600*second - 24*3600*second},
		{"offset:100h0m0s", manualEpoch + 101*3600*second},
		{"offset:-1000000h0m0s", firstWall},
		{"offset:2000000h0m0s", lastWall},
	} {
		var m Manual
		m.Advance(time.Hour)
		clocks := NewClocks(&m, parseWall(t, c.clock))
		want := func(d time.Duration) {
			t.Helper()
			if got := clocks.Wall(); got != c.begin+int64(d) {
				t.Errorf("%s: %d after %v, want %d", c.clock, got, d, c.begin+int64(d))
			}
		}
		want(0)
		m.Advance(time.Second)
		want(time.Second)
		clocks.Freeze()
		m.Advance(time.Hour)
		want(time.Second)
		clocks.Thaw()
		m.Advance(time.Second)
		want(2 * time.Second)

		var other Manual
		other.Advance(1234 * time.Hour)
		clocks = RestoreClocks(&other, clocks.Save(), Wall{})
		want(2 * time.Second)
		other.Advance(time.Second)
		want(3 * time.Second)
		if st := clocks.Save(); !st.OwnWall || st.WallBase+st.Monotonic != clocks.Wall() {
			t.Errorf("%s: state %+v", c.clock, st)
		}
	}
}

// Who restores may choose another clock; by default the host's stays the
// host's, with the time that has passed meanwhile.
func TestRestoreWall(t *testing.T) {
	var m, other Manual
	other.Advance(1000 * time.Hour)
	host, fixed := NewClocks(&m, Wall{}), NewClocks(&m, parseWall(t, "fixed:2000-01-01T00:00:00Z"))
	m.Advance(5 * time.Second)
	at := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	for i, c := range []struct {
		from *Clocks
		wall string
		want int64
	}{
		{host, "", other.Wall()},
		{host, "host", other.Wall()},
		{fixed, "host", other.Wall()},
		{host, "fixed:2001-01-01T00:00:00Z", at.UnixNano()},
		{fixed, "fixed:2001-01-01T00:00:00Z", at.UnixNano()},
		{fixed, "offset:-1h0m0s", other.Wall() - 3600*second},
	} {
		var w Wall
		if c.wall != "" {
			w = parseWall(t, c.wall)
		}
		if got := RestoreClocks(&other, c.from.Save(), w).Wall(); got != c.want {
			t.Errorf("%d: %d, want %d", i, got, c.want)
		}
	}
}
