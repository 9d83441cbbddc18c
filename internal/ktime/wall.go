package ktime

import (
	"fmt"
	"strings"
	"time"
)

// A Wall says which wall clock a guest sees. The zero value is the host's for a
// new system, and for a restored one the clock that it had.
//
// A clock that is not the host's keeps step with the monotonic clock: it stands
// still while the system is stopped or saved, so that a run which is stopped in
// between sees the same times as one that is not.
type Wall struct {
	kind wallKind
	ns   int64 // fixed: the time at the begin; offset: what is added to the host's then
}

type wallKind uint8

const (
	wallDefault wallKind = iota
	wallHost
	wallFixed
	wallOffset
)

// HostWall is the host's wall clock, also for a system that had another one.
var HostWall = Wall{kind: wallHost}

// The times that a wall clock can begin at, in ns since 1970: 1970 to 2100.
const (
	firstWall = 0
	lastWall  = 4102444800e9
)

// FixedWall is a wall clock that begins at t.
func FixedWall(t time.Time) (Wall, error) {
	if t.Before(time.Unix(0, firstWall)) || t.After(time.Unix(0, lastWall)) {
		return Wall{}, fmt.Errorf("a clock can begin in the years 1970 to 2099, not at %s", t.Format(time.RFC3339))
	}
	return Wall{wallFixed, t.UnixNano()}, nil
}

// OffsetWall is a wall clock that begins at the host's time plus d. It stays
// within the years that FixedWall takes.
func OffsetWall(d time.Duration) Wall { return Wall{wallOffset, int64(d)} }

// ParseWall reads what String writes: host, fixed:TIME with a time of RFC 3339,
// or offset:DURATION with a Go duration that may be negative.
func ParseWall(s string) (Wall, error) {
	kind, arg, _ := strings.Cut(s, ":")
	switch {
	case s == "host":
		return HostWall, nil
	case kind == "fixed":
		t, err := time.Parse(time.RFC3339Nano, arg)
		if err != nil {
			return Wall{}, fmt.Errorf("clock %.80q: the time is not of the form 2006-01-02T15:04:05Z", s)
		}
		return FixedWall(t)
	case kind == "offset":
		d, err := time.ParseDuration(arg)
		if err != nil {
			return Wall{}, fmt.Errorf("clock %.80q: the offset is not of the form -36h30m", s)
		}
		return OffsetWall(d), nil
	}
	return Wall{}, fmt.Errorf("clock %.80q: want host, fixed:TIME or offset:DURATION", s)
}

// String is the text that ParseWall reads; "" for the zero value.
func (w Wall) String() string {
	switch w.kind {
	case wallHost:
		return "host"
	case wallFixed:
		return "fixed:" + time.Unix(0, w.ns).UTC().Format(time.RFC3339Nano)
	case wallOffset:
		return "offset:" + time.Duration(w.ns).String()
	}
	return ""
}

// MarshalText implements encoding.TextMarshaler.
func (w Wall) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; nothing is the zero value.
func (w *Wall) UnmarshalText(b []byte) (err error) {
	*w = Wall{}
	if len(b) > 0 {
		*w, err = ParseWall(string(b))
	}
	return err
}

// base is the wall clock less the monotonic clock, for a clock that begins when
// the host's wall clock is at host and the monotonic one at mono; own is false
// for the host's.
func (w Wall) base(host, mono int64) (own bool, base int64) {
	at := w.ns
	switch w.kind {
	case wallFixed:
	case wallOffset:
		if at > 0 && host > lastWall-at {
			at = lastWall
		} else {
			at = max(firstWall, host+at)
		}
	default:
		return false, 0
	}
	return true, at - mono
}
