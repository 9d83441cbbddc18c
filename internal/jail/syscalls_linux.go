package jail

import "golang.org/x/sys/unix"

// A group is a set of system calls that are allowed for one reason. The lists are made
// from what the tests call (make syscalls; testdata/traced.txt), plus what Go and
// glibc call rarely: TestTraced compares them.
type group struct {
	why     string
	plain   []uintptr
	checked []rule
}

func when(nr uintptr, conds ...cond) rule            { return rule{nr, [][]cond{conds}} }
func either(nr uintptr, alternatives ...[]cond) rule { return rule{nr, alternatives} }
func all(conds ...cond) []cond                       { return conds }

func is(i int, values ...uint32) cond { return cond{of: arg(i), is: values} }
func bits(i int, mask, value uint32) cond {
	return cond{of: arg(i), mask: mask, is: []uint32{value}}
}

// null says that a pointer is nil.
func null(i int) []cond {
	return []cond{{of: arg(i), is: []uint32{0}}, {of: argHigh(i), is: []uint32{0}}}
}

// threadFlags are what makes a clone a thread; spaceFlags what must not be in it.
const (
	threadFlags = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD
	spaceFlags  = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
		unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_PTRACE | unix.CLONE_VFORK
)

const prSetVMA = 0x53564d41 // Go names its mappings

// groups are the system calls that a process with policy p and this pid may
// make.
func groups(p *Policy, pid int) []group {
	self := uint32(pid)
	gs := []group{
		{
			why: "memory: Go's heap, guests' memories, compiled code. Machine code becomes executable by a change " +
				"from writable to executable: never both, never at once, never from a file",
			plain: []uintptr{unix.SYS_BRK, unix.SYS_MUNMAP, unix.SYS_MADVISE, unix.SYS_MINCORE, unix.SYS_MREMAP, unix.SYS_MSYNC},
			checked: []rule{
				when(unix.SYS_MMAP, bits(2, unix.PROT_EXEC, 0)),
				either(unix.SYS_MPROTECT,
					all(bits(2, unix.PROT_EXEC, 0)),
					all(bits(2, unix.PROT_WRITE, 0))),
			},
		},
		{
			why: "threads: Go's scheduler; threads only, signals to ourselves only",
			plain: []uintptr{
				unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_FUTEX, unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ,
				unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_GETPPID,
				unix.SYS_GETCPU, unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
				unix.SYS_RESTART_SYSCALL,
			},
			checked: []rule{
				when(unix.SYS_CLONE, bits(0, threadFlags|spaceFlags, threadFlags)),
				when(unix.SYS_TGKILL, is(0, self)),
				when(unix.SYS_KILL, is(0, self)),
				when(unix.SYS_PRCTL, is(0, unix.PR_SET_NAME, prSetVMA)),
			},
		},
		{
			why: "time, and what a process may know of itself and the host",
			plain: []uintptr{
				unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_GETRES, unix.SYS_GETTIMEOFDAY, unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP,
				unix.SYS_GETRUSAGE, unix.SYS_GETRANDOM, unix.SYS_UNAME, unix.SYS_SYSINFO, unix.SYS_GETRLIMIT,
				unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID,
			},
			checked: []rule{
				// To read our own limits.
				when(unix.SYS_PRLIMIT64, append(null(2), is(0, 0, self))...),
			},
		},
		{
			why: "descriptors: files that were handed in, pipes, Go's poller and ours",
			plain: []uintptr{
				unix.SYS_READ, unix.SYS_WRITE, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_PREAD64, unix.SYS_PWRITE64,
				unix.SYS_PREADV, unix.SYS_PWRITEV, unix.SYS_PREADV2, unix.SYS_PWRITEV2, unix.SYS_LSEEK,
				unix.SYS_CLOSE, unix.SYS_CLOSE_RANGE, unix.SYS_DUP, unix.SYS_DUP3, unix.SYS_FSTAT, unix.SYS_FSTATFS,
				unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_SYNC_FILE_RANGE, unix.SYS_FTRUNCATE, unix.SYS_FALLOCATE,
				unix.SYS_FADVISE64, unix.SYS_COPY_FILE_RANGE, unix.SYS_FLOCK, unix.SYS_GETDENTS64,
				unix.SYS_PIPE2, unix.SYS_EVENTFD2, unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT,
				unix.SYS_PPOLL, unix.SYS_PSELECT6,
			},
			checked: []rule{
				when(unix.SYS_FCNTL, is(1, unix.F_DUPFD, unix.F_DUPFD_CLOEXEC, unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_SETFL,
					unix.F_GETLK, unix.F_SETLK, unix.F_SETLKW, unix.F_OFD_GETLK, unix.F_OFD_SETLK, unix.F_OFD_SETLKW)),
				// Never TIOCSTI or TIOCLINUX, which type into the terminal.
				when(unix.SYS_IOCTL, is(1, unix.TCGETS, unix.TIOCGWINSZ, unix.TIOCGPTN, unix.TIOCINQ, unix.TIOCOUTQ)),
			},
		},
		{why: "old calls of this architecture", plain: legacy},
	}
	if p.Sockets {
		gs = append(gs, group{
			why: "sockets that were handed in: accept, and talk on what was accepted. Not socket, connect, bind",
			plain: []uintptr{
				unix.SYS_ACCEPT4, unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME, unix.SYS_GETSOCKOPT,
				unix.SYS_RECVFROM, unix.SYS_RECVMSG, unix.SYS_SENDMSG, unix.SYS_SHUTDOWN,
			},
			checked: []rule{
				when(unix.SYS_SENDTO, null(4)...),
				// What Go's net sets on connections. Not filters, not netfilter's.
				either(unix.SYS_SETSOCKOPT,
					all(is(1, unix.SOL_SOCKET), is(2, unix.SO_KEEPALIVE, unix.SO_LINGER, unix.SO_SNDBUF, unix.SO_RCVBUF, unix.SO_PASSCRED)),
					all(is(1, unix.IPPROTO_TCP), is(2, unix.TCP_NODELAY, unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT, unix.TCP_USER_TIMEOUT))),
			},
		})
	}
	writable := len(p.Write) > 0
	for _, d := range p.Dirs {
		writable = writable || d.Writable
	}
	if len(p.Dirs)+len(p.Read)+len(p.Write) > 0 {
		gs = append(gs, group{
			why: "names in what was granted; landlock and the root bound what they lead to",
			plain: []uintptr{
				unix.SYS_OPENAT, unix.SYS_OPENAT2, unix.SYS_STATX, unix.SYS_READLINKAT, unix.SYS_FACCESSAT, unix.SYS_FACCESSAT2,
				unix.SYS_GETCWD, sysNewfstatat,
			},
		})
	} else {
		gs = append(gs, group{
			why: "fstat as glibc and Go may make it: of a descriptor",
			checked: []rule{
				when(unix.SYS_STATX, bits(2, unix.AT_EMPTY_PATH, unix.AT_EMPTY_PATH)),
				when(sysNewfstatat, bits(3, unix.AT_EMPTY_PATH, unix.AT_EMPTY_PATH)),
			},
		})
	}
	if writable {
		gs = append(gs, group{
			why: "names made and removed in what was granted",
			plain: []uintptr{
				unix.SYS_MKDIRAT, unix.SYS_UNLINKAT, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_LINKAT, unix.SYS_SYMLINKAT,
				unix.SYS_UTIMENSAT, unix.SYS_FCHMOD, unix.SYS_FCHMODAT,
			},
		})
	}
	return gs
}

// hostile are calls that only an attacker makes: the process ends.
var hostile = []uintptr{
	// Into other processes.
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PIDFD_GETFD, unix.SYS_PIDFD_OPEN,
	unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_PROCESS_MADVISE, unix.SYS_KCMP, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO,
	// Other programs.
	unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_MEMFD_CREATE, unix.SYS_PERSONALITY,
	// Mounts, roots, namespaces.
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE,
	unix.SYS_OPEN_TREE_ATTR, unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOUNT_SETATTR,
	unix.SYS_SETNS, unix.SYS_UNSHARE, unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_OPEN_BY_HANDLE_AT,
	// The kernel.
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE,
	unix.SYS_KEXEC_LOAD, unix.SYS_REBOOT, unix.SYS_SYSLOG, unix.SYS_ACCT, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_QUOTACTL,
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER, unix.SYS_USERFAULTFD,
	unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
	unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME, unix.SYS_ADJTIMEX, unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME,
	// Other users.
	unix.SYS_SETUID, unix.SYS_SETGID, unix.SYS_SETREUID, unix.SYS_SETREGID, unix.SYS_SETRESUID, unix.SYS_SETRESGID,
	unix.SYS_SETGROUPS, unix.SYS_SETFSUID, unix.SYS_SETFSGID, unix.SYS_CAPSET,
}
