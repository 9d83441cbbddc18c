package jail

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A scene is what attempts work on: what was handed in, and what of the host
// they go for.
type scene struct {
	RW, RO   int    // granted directories
	Leak     int    // a descriptor of / that nobody granted
	TTY      int    // a terminal
	Cache    string // a readable path
	Outside  string // a file outside of what was granted, readable by all
	Victim   int    // a process of the same user, outside
	VictimAt uint64 // an address that is mapped in it
	Port     int    // of a TCP listener of the host
	Free     int    // a port that is free
	Unix     string // the path of a unix listener
	Abstract string // the name of an abstract one
	Shm      int    // the key of a segment
	Scratch  string // a directory to mount on
	SetUID   string // a setuid-root program that prints its uid
	WantUID  string // what id must print for a breach
}

// An attempt is what an attacker may try natively. do returns nil if it
// succeeds.
type attempt struct {
	name string
	do   func(*scene) error
	base []Layer // always on: what it would do to the host otherwise, or what gives it a meaning
}

func attemptNamed(name string) func(*scene) error {
	for _, list := range [][]attempt{attempts, errands} {
		for _, a := range list {
			if a.name == name {
				return a.do
			}
		}
	}
	return nil
}

var attempts = []attempt{
	// Files.
	{name: "read a file outside, by its absolute path", do: func(s *scene) error { return open(s.Outside, unix.O_RDONLY) }},
	{name: "read a file outside, by .. from a granted directory", do: func(s *scene) error {
		return openat(s.RW, "../outside", unix.O_RDONLY)
	}},
	{name: "climb by .. to the host's root and read there", do: func(s *scene) error {
		return openat(s.RW, strings.Repeat("../", 40)+s.Outside[1:], unix.O_RDONLY)
	}},
	{name: "read a file outside, through a symbolic link in a granted directory", do: func(s *scene) error {
		return openat(s.RW, "link", unix.O_RDONLY)
	}},
	{name: "read through another process's /proc/PID/root", do: func(s *scene) error {
		return open(fmt.Sprintf("/proc/%d/root%s", s.Victim, s.Outside), unix.O_RDONLY)
	}},
	{name: "read the program itself: /proc/self/exe", do: func(*scene) error { return open("/proc/self/exe", unix.O_RDONLY) }},
	{name: "make a file in a read-only granted directory", do: func(s *scene) error {
		return openat(s.RO, "new", unix.O_WRONLY|unix.O_CREAT)
	}},
	{name: "write a file in a read-only granted directory", do: func(s *scene) error { return openat(s.RO, "file", unix.O_WRONLY) }},
	{name: "write the code cache", do: func(s *scene) error { return open(s.Cache+"/entry", unix.O_WRONLY) }},
	{name: "make a device node and open it", do: func(s *scene) error {
		defer unix.Unlinkat(s.RW, "disk", 0)
		if err := unix.Mknodat(s.RW, "disk", unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))); err != nil {
			return err
		}
		return openat(s.RW, "disk", unix.O_RDONLY)
	}},
	{name: "open /dev/kmsg", do: func(*scene) error { return open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK) }},
	{name: "open a kernel setting for writing", do: func(*scene) error { return open("/proc/sys/kernel/core_pattern", unix.O_WRONLY) }},
	{name: "use a descriptor that leaked in", do: func(s *scene) error { return openat(s.Leak, s.Outside[1:], unix.O_RDONLY) }},
	{name: "open a file by its handle", do: func(s *scene) error {
		h, _, err := unix.NameToHandleAt(s.RW, "file", 0)
		if err != nil {
			return err
		}
		fd, err := unix.OpenByHandleAt(s.RW, h, unix.O_RDONLY)
		return closed(fd, err)
	}},
	{name: "chroot", do: func(s *scene) error {
		if err := unix.Fchdir(s.RW); err != nil {
			return err
		}
		return unix.Chroot(".")
	}},
	{name: "mount a file system", base: []Layer{MountNS}, do: func(s *scene) error {
		if err := unix.Mount("tmpfs", s.Scratch, "tmpfs", 0, ""); !errors.Is(err, unix.ENOENT) {
			return err
		}
		return unix.Mount("tmpfs", "/", "tmpfs", 0, "") // there is nothing else
	}},

	// Network.
	{name: "connect to a TCP listener of the host", do: func(s *scene) error {
		return dial(unix.AF_INET, &unix.SockaddrInet4{Port: s.Port, Addr: [4]byte{127, 0, 0, 1}})
	}},
	{name: "connect to a unix socket by its path", do: func(s *scene) error { return dial(unix.AF_UNIX, &unix.SockaddrUnix{Name: s.Unix}) }},
	{name: "connect to an abstract unix socket", do: func(s *scene) error {
		return dial(unix.AF_UNIX, &unix.SockaddrUnix{Name: "@" + s.Abstract})
	}},
	{name: "listen on a TCP port of the host", do: func(s *scene) error {
		bind := func(port int) error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
		}
		if err := bind(s.Free); err != nil {
			return err
		}
		if err := bind(s.Port); err == nil {
			return errors.New("this is not the host's network: a port that is taken there is free")
		}
		return nil
	}},
	{name: "send a UDP datagram to the host", do: func(s *scene) error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, []byte("x"), 0, &unix.SockaddrInet4{Port: s.Port, Addr: [4]byte{127, 0, 0, 1}})
	}},
	{name: "open a raw socket", do: func(*scene) error { return sock(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP) }},
	{name: "open a packet socket", do: func(*scene) error { return sock(unix.AF_PACKET, unix.SOCK_RAW, 0) }},
	{name: "open a netlink socket", do: func(*scene) error { return sock(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE) }},

	// Other processes.
	{name: "ptrace a process of the same user", do: func(s *scene) error {
		_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(s.Victim), 0, 0, 0, 0)
		return fail(errno)
	}},
	{name: "process_vm_readv of one", do: func(s *scene) error {
		b := make([]byte, 8)
		_, err := unix.ProcessVMReadv(s.Victim, []unix.Iovec{{Base: &b[0], Len: 8}}, []unix.RemoteIovec{{Base: uintptr(s.VictimAt), Len: 8}}, 0)
		return err
	}},
	{name: "read one's /proc/PID/mem", do: func(s *scene) error {
		fd, err := unix.Open(fmt.Sprintf("/proc/%d/mem", s.Victim), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		_, err = unix.Pread(fd, make([]byte, 8), int64(s.VictimAt))
		return err
	}},
	{name: "take one's descriptor: pidfd_getfd", do: func(s *scene) error {
		p, err := unix.PidfdOpen(s.Victim, 0)
		if err != nil {
			return err
		}
		defer unix.Close(p)
		fd, err := unix.PidfdGetfd(p, 0, 0)
		return closed(fd, err)
	}},
	{name: "signal one", do: func(s *scene) error { return unix.Kill(s.Victim, 0) }},
	{name: "signal the parent", do: func(*scene) error {
		pid := unix.Getppid()
		if pid == 0 {
			return errors.New("there is none")
		}
		return unix.Kill(pid, 0)
	}},
	{name: "attach a shared memory segment of the host", do: func(s *scene) error {
		_, err := unix.SysvShmGet(s.Shm, 0, 0)
		return err
	}},

	// More processes, other programs.
	{name: "fork", do: func(*scene) error { return fork() }},
	{name: "fork 64 times", do: func(*scene) error {
		for range 64 {
			if err := fork(); err != nil {
				return err
			}
		}
		return nil
	}},
	{name: "execute a program", do: func(*scene) error { return unix.Exec("/usr/bin/id", []string{"id", "-u"}, nil) }},
	{name: "execute a program in memory", do: func(*scene) error { return execMemfd() }},
	{name: "become root through a setuid program", base: []Layer{UID}, do: func(s *scene) error {
		return unix.Exec(s.SetUID, []string{"id", "-u"}, nil)
	}},
	{name: "be root: setuid(0)", do: func(*scene) error {
		_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 0, 0, 0)
		return fail(errno)
	}},
	{name: "become another user", do: func(*scene) error {
		_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 4711, 4711, 4711)
		return fail(errno)
	}},
	{name: "make a user namespace", do: func(*scene) error {
		// In a process with threads: by clone.
		pid, _, errno := rawClone(unix.CLONE_NEWUSER | uintptr(unix.SIGCHLD))
		if errno == 0 {
			unix.Wait4(int(pid), nil, 0, nil)
		}
		return fail(errno)
	}},

	// The kernel.
	{name: "map memory writable and executable", do: func(*scene) error {
		b, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err == nil {
			unix.Munmap(b)
		}
		return err
	}},
	{name: "make writable memory executable as well", do: func(*scene) error {
		b, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err == nil {
			err = unix.Mprotect(b, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC)
			unix.Munmap(b)
		}
		return err
	}},
	{name: "type into the terminal: TIOCSTI", do: func(s *scene) error {
		c := byte('x')
		_, _, errno := unix.RawSyscall(unix.SYS_IOCTL, uintptr(s.TTY), unix.TIOCSTI, uintptr(unsafe.Pointer(&c)))
		return fail(errno)
	}},
	{name: "read the session's keys: keyctl", do: func(*scene) error {
		_, err := unix.KeyctlInt(unix.KEYCTL_GET_KEYRING_ID, unix.KEY_SPEC_USER_KEYRING, 1, 0, 0)
		return err
	}},
	{name: "perf_event_open for a CPU", do: func(*scene) error {
		attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CPU_CLOCK, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{}))}
		fd, err := unix.PerfEventOpen(&attr, -1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC)
		return closed(fd, err)
	}},
	{name: "bpf: make a map", do: func(*scene) error {
		attr := [18]uint32{2 /* ARRAY */, 4, 4, 1}
		fd, _, errno := unix.RawSyscall(unix.SYS_BPF, unix.BPF_MAP_CREATE, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
		return closed(int(fd), fail(errno))
	}},
	{name: "io_uring_setup", do: func(*scene) error {
		var params [30]uint32
		fd, _, errno := unix.RawSyscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)), 0)
		return closed(int(fd), fail(errno))
	}},
	{name: "userfaultfd for kernel faults", do: func(*scene) error {
		fd, _, errno := unix.RawSyscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC, 0, 0)
		return closed(int(fd), fail(errno))
	}},
	{name: "set the host's name", base: []Layer{UTSNS}, do: func(*scene) error { return unix.Sethostname([]byte("taken")) }},
	{name: "open 10000 descriptors", do: func(s *scene) error {
		for range 10000 {
			if _, err := unix.Dup(0); err != nil {
				return err
			}
		}
		return nil
	}},
}

func fail(errno unix.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}

func closed(fd int, err error) error {
	if err == nil {
		unix.Close(fd)
	}
	return err
}

func open(path string, flags int) error { return openat(unix.AT_FDCWD, path, flags) }

func openat(dir int, path string, flags int) error {
	fd, err := unix.Openat(dir, path, flags|unix.O_CLOEXEC, 0o600)
	return closed(fd, err)
}

func sock(domain, typ, proto int) error {
	fd, err := unix.Socket(domain, typ, proto)
	return closed(fd, err)
}

func dial(domain int, to unix.Sockaddr) error {
	fd, err := unix.Socket(domain, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Connect(fd, to)
}

// rawClone makes a process that exits at once.
//
//go:norace
func rawClone(flags uintptr) (pid, r2 uintptr, errno unix.Errno) {
	pid, r2, errno = unix.RawSyscall6(unix.SYS_CLONE, flags, 0, 0, 0, 0, 0)
	if errno == 0 && pid == 0 {
		for {
			unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	return pid, r2, errno
}

func fork() error {
	pid, _, errno := rawClone(uintptr(unix.SIGCHLD))
	if errno == 0 {
		unix.Wait4(int(pid), nil, 0, nil)
	}
	return fail(errno)
}

func execMemfd() error {
	fd, err := unix.MemfdCreate("x", 0)
	if err != nil {
		return err
	}
	if _, err := unix.Write(fd, memProgram()); err != nil {
		return err
	}
	empty := []byte{0}
	argv := []*byte{&empty[0], nil}
	_, _, errno := unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(&empty[0])),
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&argv[1])), unix.AT_EMPTY_PATH, 0)
	return fail(errno)
}

// memProgram is an ELF file for amd64 that prints "0".
func memProgram() []byte {
	code := "\xb8\x01\x00\x00\x00" + // mov eax, 1 (write)
		"\xbf\x01\x00\x00\x00" + // mov edi, 1
		"\x48\x8d\x35\x10\x00\x00\x00" + // lea rsi, [rip+16]
		"\xba\x02\x00\x00\x00" + // mov edx, 2
		"\x0f\x05" + // syscall
		"\xb8\x3c\x00\x00\x00" + // mov eax, 60 (exit)
		"\x31\xff" + // xor edi, edi
		"\x0f\x05" + // syscall
		"0\n"
	const at, head = 0x400000, 64 + 56
	b := []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	le := binary.LittleEndian
	b = le.AppendUint16(b, 2)  // an executable
	b = le.AppendUint16(b, 62) // for amd64
	b = le.AppendUint32(b, 1)
	b = le.AppendUint64(b, at+head) // entry
	b = le.AppendUint64(b, 64)      // program headers
	b = le.AppendUint64(b, 0)
	b = le.AppendUint32(b, 0)
	for _, v := range []uint16{64, 56, 1, 0, 0, 0} {
		b = le.AppendUint16(b, v)
	}
	b = le.AppendUint32(b, 1) // load
	b = le.AppendUint32(b, 5) // readable, executable
	for _, v := range []uint64{0, at, at, uint64(head + len(code)), uint64(head + len(code)), 0x1000} {
		b = le.AppendUint64(b, v)
	}
	return append(b, code...)
}
