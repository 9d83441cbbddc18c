package jail

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// nobody is the user and group that Drop leads to: the kernel's overflow uid,
// which owns nothing.
const nobody = 65534

// defaultFiles bounds descriptors: the fds of a few guest processes.
const defaultFiles = 4096

// closeInherited closes the descriptors that came through exec and that the
// policy does not name, and keeps the others from going through another. What
// this process has opened itself, Go's runtime for instance, is close-on-exec;
// what was handed on to it cannot be.
func closeInherited(p *Policy) error {
	keep := append([]int{0, 1, 2}, p.Keep...)
	for _, d := range p.Dirs {
		keep = append(keep, d.FD)
	}
	visit := func(fd int) {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		switch {
		case err != nil || flags&unix.FD_CLOEXEC != 0:
		case slices.Contains(keep, fd):
			if fd > 2 {
				unix.CloseOnExec(fd)
			}
		default:
			unix.Close(fd)
		}
	}
	dir, err := unix.Open("/proc/self/fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil { // no /proc: look at the numbers there may be
		var lim unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
			return err
		}
		const most = 1 << 16
		for fd := range int(min(lim.Max, most)) {
			visit(fd)
		}
		return unix.CloseRange(most, ^uint(0)>>1, 0)
	}
	defer unix.Close(dir)
	names, err := readNames(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil {
			return err
		}
		visit(fd)
	}
	return nil
}

// readNames reads a directory, which is not handed to Go's poller.
func readNames(dir int) (names []string, err error) {
	var buf [16 << 10]byte
	for {
		n, err := unix.Getdents(dir, buf[:])
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return names, nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}

// setLimits lowers the process's resource limits. note says what could not be
// bounded.
func setLimits(p *Policy, given Given) (note string, err error) {
	files := p.Files
	if files == 0 {
		files = defaultFiles
	}
	limits := []struct {
		what, max int
	}{
		{unix.RLIMIT_NOFILE, files},
		{unix.RLIMIT_CORE, 0}, // guests' memory must not land in a core file
		{unix.RLIMIT_MEMLOCK, 0},
		{unix.RLIMIT_MSGQUEUE, 0},
		{unix.RLIMIT_NICE, 0},
		{unix.RLIMIT_RTPRIO, 0},
	}
	if p.Tasks > 0 {
		// It counts the user's threads in the user namespace. Only there are
		// they ours alone; and it does not bind root.
		switch {
		case given.User && os.Getuid() != 0:
			limits = append(limits, struct{ what, max int }{unix.RLIMIT_NPROC, p.Tasks})
		case os.Getuid() == 0:
			note = "threads are not bounded: the kernel does not bound root's"
		default:
			note = "threads are not bounded: without a user namespace, all of the user's would count"
		}
	}
	for _, l := range limits {
		var lim unix.Rlimit
		if err := unix.Getrlimit(l.what, &lim); err != nil {
			return note, err
		}
		lim.Max = min(lim.Max, uint64(l.max))
		lim.Cur = min(lim.Cur, lim.Max)
		if l.what == unix.RLIMIT_NOFILE {
			lim.Cur = lim.Max
		}
		if err := unix.Setrlimit(l.what, &lim); err != nil {
			return note, fmt.Errorf("limit %d: %w", l.what, err)
		}
	}
	return note, nil
}

// effective returns the thread's effective capabilities.
func effective() (caps uint64, err error) {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	if err := unix.Capget(&h, &d[0]); err != nil {
		return 0, err
	}
	return uint64(d[0].Effective) | uint64(d[1].Effective)<<32, nil
}

// prctl is a call of it.
func prctl(option, arg uintptr) call {
	return call{unix.SYS_PRCTL, [6]uintptr{option, arg}}
}

// Securebits: being or becoming root gives no capabilities, and none may be
// kept or raised. Each with its lock.
const secureBits = 1<<0 | 1<<1 | // NOROOT
	1<<2 | 1<<3 | // NO_SETUID_FIXUP
	1<<5 | // KEEP_CAPS stays off
	1<<6 | 1<<7 // NO_CAP_AMBIENT_RAISE

// Arguments of capset, which all threads read.
var (
	noCapsHeader = unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	noCaps       [2]unix.CapUserData
)

// boundingCalls are calls that empty the bounding set and lock the securebits;
// note says why there are none. They need CAP_SETPCAP.
func boundingCalls() (calls []call, note string, err error) {
	caps, err := effective()
	if err != nil {
		return nil, "", err
	}
	if caps&(1<<unix.CAP_SETPCAP) == 0 {
		return nil, "the bounding set stays: no CAP_SETPCAP", nil
	}
	for c := uintptr(0); c < 64; c++ {
		has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0)
		if err != nil { // EINVAL: past the last
			break
		}
		if has == 1 {
			calls = append(calls, prctl(unix.PR_CAPBSET_DROP, c))
		}
	}
	return append(calls, prctl(unix.PR_SET_SECUREBITS, secureBits)), "", nil
}

func ambientCall() call { return prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL) }

func capsetCall() call {
	return call{unix.SYS_CAPSET, [6]uintptr{uintptr(unsafe.Pointer(&noCapsHeader)), uintptr(unsafe.Pointer(&noCaps))}}
}

func dropCalls() []call {
	return []call{
		{unix.SYS_SETGROUPS, [6]uintptr{0, 0}},
		{unix.SYS_SETRESGID, [6]uintptr{nobody, nobody, nobody}},
		{unix.SYS_SETRESUID, [6]uintptr{nobody, nobody, nobody}},
	}
}
