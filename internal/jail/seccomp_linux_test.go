package jail

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// judge runs a filter on a system call.
func judge(t *testing.T, prog []unix.SockFilter, arch, nr uint32, args ...uint64) uint32 {
	t.Helper()
	words := []uint32{nr, arch, 0, 0}
	for i := range 6 {
		var v uint64
		if i < len(args) {
			v = args[i]
		}
		words = append(words, uint32(v), uint32(v>>32))
	}
	var acc uint32
	for pc := 0; pc < len(prog); pc++ {
		in := prog[pc]
		jump := func(yes bool) {
			if yes {
				pc += int(in.Jt)
			} else {
				pc += int(in.Jf)
			}
		}
		switch in.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			acc = words[in.K/4]
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			acc &= in.K
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			jump(acc == in.K)
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			jump(acc >= in.K)
		case unix.BPF_JMP | unix.BPF_JA:
			pc += int(in.K)
		case unix.BPF_RET | unix.BPF_K:
			return in.K
		default:
			t.Fatalf("instruction %d: %+v", pc, in)
		}
	}
	t.Fatal("a filter runs off its end")
	return 0
}

// Policies with little and with all.
var (
	little = Policy{}
	much   = Policy{Dirs: []Dir{{FD: 3, Writable: true}}, Sockets: true}
	helper = Policy{Write: []string{"/out"}}
)

func TestFilter(t *testing.T) {
	const pid = 77
	const rw, rx, rwx = unix.PROT_READ | unix.PROT_WRITE, unix.PROT_READ | unix.PROT_EXEC, unix.PROT_READ | unix.PROT_WRITE | unix.PROT_EXEC
	const high = 1 << 32
	for _, c := range []struct {
		name string
		p    Policy
		nr   uintptr
		args []uint64
		want uint32
	}{
		{"mmap rw", little, unix.SYS_MMAP, []uint64{0, 1, rw}, allow},
		{"mmap rx", little, unix.SYS_MMAP, []uint64{0, 1, rx}, refuse},
		{"mmap rx, high bits", little, unix.SYS_MMAP, []uint64{0, 1, high | rx}, refuse},
		{"mprotect rx", little, unix.SYS_MPROTECT, []uint64{0, 1, rx}, allow},
		{"mprotect rw", little, unix.SYS_MPROTECT, []uint64{0, 1, rw}, allow},
		{"mprotect none", little, unix.SYS_MPROTECT, []uint64{0, 1, 0}, allow},
		{"mprotect rwx", little, unix.SYS_MPROTECT, []uint64{0, 1, rwx}, refuse},
		{"pkey_mprotect", little, unix.SYS_PKEY_MPROTECT, []uint64{0, 1, rw}, refuse},
		{"clone of Go", little, unix.SYS_CLONE, []uint64{0x50f00}, allow},
		{"clone of glibc", little, unix.SYS_CLONE, []uint64{0x3d0f00}, allow},
		{"fork", little, unix.SYS_CLONE, []uint64{uint64(unix.SIGCHLD)}, refuse},
		{"vfork", little, unix.SYS_CLONE, []uint64{unix.CLONE_VM | unix.CLONE_VFORK | uint64(unix.SIGCHLD)}, refuse},
		{"clone with a namespace", little, unix.SYS_CLONE, []uint64{0x50f00 | unix.CLONE_NEWUSER}, refuse},
		{"clone3", little, unix.SYS_CLONE3, nil, nosys},
		{"tgkill self", little, unix.SYS_TGKILL, []uint64{pid, 78, 23}, allow},
		{"tgkill other", little, unix.SYS_TGKILL, []uint64{1, 1, 9}, refuse},
		{"kill all", little, unix.SYS_KILL, []uint64{^uint64(0), 9}, refuse},
		{"kill group", little, unix.SYS_KILL, []uint64{0, 9}, refuse},
		{"read limits", little, unix.SYS_PRLIMIT64, []uint64{0, 7, 0, 1}, allow},
		{"set limits", little, unix.SYS_PRLIMIT64, []uint64{0, 7, 1, 0}, refuse},
		{"set limits, from a high address", little, unix.SYS_PRLIMIT64, []uint64{0, 7, high, 0}, refuse},
		{"limits of another", little, unix.SYS_PRLIMIT64, []uint64{1, 7, 0, 1}, refuse},
		{"TCGETS", little, unix.SYS_IOCTL, []uint64{0, unix.TCGETS}, allow},
		{"TIOCSTI", little, unix.SYS_IOCTL, []uint64{0, unix.TIOCSTI}, refuse},
		{"TIOCSTI, high bits", little, unix.SYS_IOCTL, []uint64{0, high | unix.TIOCSTI}, refuse},
		{"TIOCLINUX", little, unix.SYS_IOCTL, []uint64{0, unix.TIOCLINUX}, refuse},
		{"F_SETOWN", little, unix.SYS_FCNTL, []uint64{0, unix.F_SETOWN}, refuse},
		{"dumpable on", little, unix.SYS_PRCTL, []uint64{unix.PR_SET_DUMPABLE, 1}, refuse},
		{"open without grants", little, unix.SYS_OPENAT, nil, refuse},
		{"stat of a name without grants", little, sysNewfstatat, []uint64{0, 1, 1, 0}, refuse},
		{"stat of a descriptor without grants", little, sysNewfstatat, []uint64{0, 1, 1, unix.AT_EMPTY_PATH}, allow},
		{"accept without sockets", little, unix.SYS_ACCEPT4, nil, refuse},
		{"open", much, unix.SYS_OPENAT, nil, allow},
		{"mkdir", much, unix.SYS_MKDIRAT, nil, allow},
		{"mkdir, read-only", Policy{Read: []string{"/cache"}}, unix.SYS_MKDIRAT, nil, refuse},
		{"open, read-only", Policy{Read: []string{"/cache"}}, unix.SYS_OPENAT, nil, allow},
		{"mkdir, helper", helper, unix.SYS_MKDIRAT, nil, allow},
		{"accept, helper", helper, unix.SYS_ACCEPT4, nil, refuse},
		{"accept", much, unix.SYS_ACCEPT4, nil, allow},
		{"connect", much, unix.SYS_CONNECT, nil, refuse},
		{"socket", much, unix.SYS_SOCKET, nil, refuse},
		{"send", much, unix.SYS_SENDTO, []uint64{3, 1, 1, 0, 0, 0}, allow},
		{"send to an address", much, unix.SYS_SENDTO, []uint64{3, 1, 1, 0, high, 16}, refuse},
		{"TCP_NODELAY", much, unix.SYS_SETSOCKOPT, []uint64{3, unix.IPPROTO_TCP, unix.TCP_NODELAY}, allow},
		{"SO_ATTACH_FILTER", much, unix.SYS_SETSOCKOPT, []uint64{3, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER}, refuse},
		{"TCP_ULP", much, unix.SYS_SETSOCKOPT, []uint64{3, unix.IPPROTO_TCP, unix.TCP_ULP}, refuse},
		{"execve", much, unix.SYS_EXECVE, nil, kill},
		{"ptrace", much, unix.SYS_PTRACE, nil, kill},
		{"a number that nobody has", much, 511, nil, refuse},
		{"a number past all", much, 100000, nil, refuse},
	} {
		if got := judge(t, filter(&c.p, pid), auditArch, uint32(c.nr), c.args...); got != c.want {
			t.Errorf("%s: %#x, want %#x", c.name, got, c.want)
		}
	}
	prog := filter(&much, pid)
	if got := judge(t, prog, unix.AUDIT_ARCH_I386, unix.SYS_READ); got != kill {
		t.Errorf("another architecture's read: %#x", got)
	}
	if x32Bit != 0 {
		for _, nr := range []uint32{x32Bit | unix.SYS_READ, x32Bit, ^uint32(0)} {
			if got := judge(t, prog, auditArch, nr); got != kill {
				t.Errorf("x32 number %#x: %#x", nr, got)
			}
		}
	}
	if len(prog) > 1024 {
		t.Errorf("the filter has %d instructions; each costs a microsecond at start", len(prog))
	}
}

// A number may be in one list only: the last would win.
func TestGroups(t *testing.T) {
	seen := make(map[uintptr]string)
	for _, nr := range slices.Concat(hostile, hostileHere) {
		seen[nr] = "the hostile ones"
	}
	for _, p := range []Policy{little, much} {
		here := make(map[uintptr]string)
		for _, g := range groups(&p, 1) {
			if g.why == "" {
				t.Error("a group without a reason")
			}
			numbers := slices.Clone(g.plain)
			for _, r := range g.checked {
				numbers = append(numbers, r.nr)
			}
			for _, nr := range numbers {
				if in := seen[nr] + here[nr]; in != "" {
					t.Errorf("%d is in %q and in %q", nr, g.why, in)
				}
				if nr >= maxCall {
					t.Errorf("%d is above maxCall", nr)
				}
				here[nr] = g.why
			}
		}
	}
}

// outside are system calls of the tests that no jailed process makes.
var outside = map[string]string{
	"execve clone3 vfork wait4 waitid pidfd_open pidfd_send_signal setsid chdir": "tests and clients start, end and wait for processes; pidfd is Go's check at its first",
	"socket socketpair connect bind listen":                                      "clients make and connect sockets, and hand them in",
	"access arch_prctl set_tid_address statfs":                                   "at the start of a program, before it enters the jail",
	"mknodat truncate memfd_create":                                              "tests set up what a directory has",
}

// TestTraced compares the list of what tests call with what a jail allows.
func TestTraced(t *testing.T) {
	b, err := os.ReadFile("testdata/traced.txt")
	if err != nil {
		t.Fatal(err)
	}
	numbers := callNumbers(t)
	var excused []string
	for names := range outside {
		excused = append(excused, strings.Fields(names)...)
	}
	allowed := make(map[uintptr]bool)
	for _, g := range groups(&much, 1) {
		for _, nr := range g.plain {
			allowed[nr] = true
		}
		for _, r := range g.checked {
			allowed[r.nr] = true
		}
	}
	traced := strings.Fields(string(b))
	for _, name := range excused {
		if !slices.Contains(traced, name) {
			t.Errorf("%s is excused, and not traced", name)
		}
	}
	for _, name := range traced {
		if nr, ok := numbers[name]; !ok {
			t.Logf("%s: unknown on this architecture", name)
		} else if !allowed[nr] && !slices.Contains(excused, name) {
			t.Errorf("tests call %s: neither allowed nor excused", name)
		}
	}
}

// callNumbers reads the numbers of names from x/sys's list.
func callNumbers(t *testing.T) map[string]uintptr {
	t.Helper()
	src, err := os.ReadFile(goList(t, "golang.org/x/sys/unix") + "/zsysnum_linux_" + goArch + ".go")
	if err != nil {
		t.Fatal(err)
	}
	numbers := make(map[string]uintptr)
	for line := range strings.Lines(string(src)) {
		var name string
		var nr uintptr
		if n, _ := fmt.Sscanf(strings.TrimSpace(line), "SYS_%s = %d", &name, &nr); n == 2 {
			numbers[strings.ToLower(name)] = nr
		}
	}
	if len(numbers) < 250 {
		t.Fatalf("%d numbers read", len(numbers))
	}
	return numbers
}
