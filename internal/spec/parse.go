package spec

import (
	"fmt"
	"math"
	"net"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/stasis-run/stasis/internal/ktime"
)

// ParseDir reads HOST[:GUEST][:OPTION,...] with options ro, rw, shared and O, an
// overlay as podman spells it. The guest path defaults to the host's.
func ParseDir(s string) (Dir, error) {
	parts := strings.Split(s, ":")
	d := Dir{Host: parts[0]}
	if n := len(parts); n > 1 && d.options(parts[n-1]) {
		parts = parts[:n-1]
	}
	switch {
	case d.Host == "" || len(parts) > 2:
		return d, fmt.Errorf("directory %q: want HOST[:GUEST][:ro]", s)
	case len(parts) == 2:
		d.Guest = parts[1]
	}
	host, err := filepath.Abs(d.Host)
	if err != nil {
		return d, fmt.Errorf("directory %q: %w", s, err)
	}
	d.Host = host
	if d.Guest == "" {
		d.Guest = parts[0]
	}
	if d.Overlay && path.Clean("/"+d.Guest) == "/" {
		d.Guest = "/"
		return d, nil
	}
	if d.Guest, err = guestPath(d.Guest); err != nil {
		return d, fmt.Errorf("directory %q: the guest's root is the sandbox's own; name another path, such as %s:/work", s, d.Host)
	}
	return d, nil
}

// ParseRootfs reads DIR[:O], as podman's --rootfs has it: the guest's root is an
// overlay in either case.
func ParseRootfs(s string) (Dir, error) {
	host := strings.TrimSuffix(s, ":O")
	if host == "" {
		return Dir{}, fmt.Errorf("rootfs %q: want a directory", s)
	}
	host, err := filepath.Abs(host)
	if err != nil {
		return Dir{}, fmt.Errorf("rootfs %q: %w", s, err)
	}
	return Dir{Host: host, Guest: "/", Overlay: true}, nil
}

// options reads a comma separated list of options, if it is one.
func (d *Dir) options(list string) bool {
	was := *d
	for o := range strings.SplitSeq(list, ",") {
		switch o {
		case "ro":
			d.ReadOnly = true
		case "rw":
			d.ReadOnly = false
		case "shared":
			d.Shared = true
		case "O":
			d.Overlay = true
		default:
			*d = was
			return false
		}
	}
	return true
}

// guestPath makes a path of the guest absolute and clean.
func guestPath(p string) (string, error) {
	if p = path.Clean("/" + p); p == "/" {
		return "", fmt.Errorf("mount %s: the guest's root is the sandbox's own", p)
	}
	return p, nil
}

// ParseTmpfs reads GUEST[:size=SIZE].
func ParseTmpfs(s string) (Tmpfs, error) {
	guest, options, _ := strings.Cut(s, ":")
	p, err := guestPath(guest)
	if guest == "" || err != nil {
		return Tmpfs{}, fmt.Errorf("tmpfs %q: want GUEST[:size=SIZE], such as /tmp:size=64m", s)
	}
	t := Tmpfs{Guest: p}
	if options == "" {
		return t, nil
	}
	size, ok := strings.CutPrefix(options, "size=")
	if !ok {
		return t, fmt.Errorf("tmpfs %q: option %q is not known (size=SIZE is)", s, options)
	}
	if t.Size, err = ParseSize(size); err != nil {
		return t, fmt.Errorf("tmpfs %q: %w", s, err)
	}
	return t, nil
}

// ParseSize reads a number of bytes with a suffix b, k, m or g, as docker does;
// "" is 0.
func ParseSize(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	number, unit := s, int64(1)
	switch strings.ToLower(s[len(s)-1:]) {
	case "b":
		number = s[:len(s)-1]
	case "k":
		number, unit = s[:len(s)-1], 1<<10
	case "m":
		number, unit = s[:len(s)-1], 1<<20
	case "g":
		number, unit = s[:len(s)-1], 1<<30
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 || n > 1<<40/unit {
		return 0, fmt.Errorf("size %q: want a number of bytes such as 64m or 1g", s)
	}
	return n * unit, nil
}

// ParseUlimit reads NAME=SOFT[:HARD], of bytes with a unit such as 64m.
func ParseUlimit(s string) (Ulimit, error) {
	name, text, ok := strings.Cut(s, "=")
	soft, hard, two := strings.Cut(text, ":")
	if !two {
		hard = soft
	}
	u := Ulimit{Name: name}
	var errs [2]error
	u.Soft, errs[0] = parseLimit(name, soft)
	u.Hard, errs[1] = parseLimit(name, hard)
	if !ok || errs[0] != nil || errs[1] != nil {
		return u, fmt.Errorf("ulimit %q: want NAME=SOFT[:HARD], such as nofile=256", s)
	}
	return u, u.check()
}

func parseLimit(name, s string) (int64, error) {
	if name == "fsize" || name == "as" {
		if s == "" {
			return 0, strconv.ErrSyntax
		}
		return ParseSize(s)
	}
	return strconv.ParseInt(s, 10, 64)
}

// ParseCPUs reads a number of CPUs, such as 0.5, as thousandths; "" is 0.
func ParseCPUs(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || f < 0.01 || f > 4096 {
		return 0, fmt.Errorf("cpus %q: want a number of CPUs from 0.01 to 4096, such as 0.5", s)
	}
	return int64(math.Round(f * 1000)), nil
}

// CheckListen refuses what cannot be the address of a listening socket.
func CheckListen(s string) error {
	network, addr, _ := strings.Cut(s, ":")
	_, port, err := net.SplitHostPort(addr)
	n, numErr := strconv.ParseUint(port, 10, 16)
	if network != "tcp" || err != nil || numErr != nil || n == 0 {
		return fmt.Errorf("listen %q: want tcp:HOST:PORT with a port from 1 to 65535", s)
	}
	return nil
}

// CheckClock refuses what is no wall clock: host, fixed:TIME or offset:DURATION.
func CheckClock(s string) error {
	_, err := ktime.ParseWall(s)
	return err
}

// signals are the names that ParseSignal takes, by Linux's numbers.
var signals = map[string]int32{
	"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "TRAP": 5, "ABRT": 6, "BUS": 7, "FPE": 8, "KILL": 9, "USR1": 10,
	"SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15, "STKFLT": 16, "CHLD": 17, "CONT": 18, "STOP": 19,
	"TSTP": 20, "TTIN": 21, "TTOU": 22, "URG": 23, "XCPU": 24, "XFSZ": 25, "VTALRM": 26, "PROF": 27, "WINCH": 28,
	"IO": 29, "PWR": 30, "SYS": 31,
}

// ParseSignal reads a signal's name, with or without SIG, or its number.
func ParseSignal(s string) (int32, error) {
	if n, err := strconv.ParseInt(s, 10, 32); err == nil && n >= 0 && n <= 64 {
		return int32(n), nil
	}
	if n, ok := signals[strings.TrimPrefix(strings.ToUpper(s), "SIG")]; ok {
		return n, nil
	}
	return 0, fmt.Errorf("signal %q is not known (a number, or a name such as TERM)", s)
}
