package jail

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// go-landlock is the usual library. It takes paths, and what we have is
// descriptors; it restricts threads through psx, which does not do here (see
// threads_linux.go). So the three system calls are made directly.

// Rights on files. Execute, device nodes, FIFOs, sockets and ioctls on
// devices are granted to nobody.
const (
	landlockRead  = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	landlockWrite = landlockRead | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE |
		unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG |
		unix.LANDLOCK_ACCESS_FS_MAKE_SYM | unix.LANDLOCK_ACCESS_FS_REFER
	landlockFileOnly = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
)

// landlockFS is how many rights on files each version of the interface knows:
// they are the lowest bits. Later versions than the last add what we do not know.
var landlockFS = []int{0, 13, 14, 15, 15, 16}

const (
	landlockErrata       = 1 << 1 // LANDLOCK_CREATE_RULESET_ERRATA
	landlockSignalErrata = 1 << 1 // bit of erratum 2: threads of a process may signal each other
)

// landlockABI is the version of the kernel's interface.
func landlockABI() (int, error) {
	v, _, errno := unix.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	switch errno {
	case 0:
		return int(v), nil
	case unix.ENOSYS:
		return 0, fmt.Errorf("the kernel has none (since Linux 5.13): %w", errno)
	case unix.EOPNOTSUPP:
		return 0, fmt.Errorf("off in the kernel's lsm= list: %w", errno)
	}
	return 0, errno
}

// landlockRuleset makes the rules. note says what the kernel cannot restrict.
func landlockRuleset(p *Policy) (fd int, note string, err error) {
	abi, err := landlockABI()
	if err != nil {
		return -1, "", err
	}
	attr := unix.LandlockRulesetAttr{Access_fs: 1<<landlockFS[min(abi, len(landlockFS)-1)] - 1}
	size := unsafe.Sizeof(attr)
	switch {
	case abi < 4:
		size, note = 8, fmt.Sprintf("ABI %d: not TCP, abstract sockets, signals", abi)
	case abi < 6:
		size, note = 16, fmt.Sprintf("ABI %d: not abstract sockets, signals", abi)
	default:
		attr.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
		// Each thread becomes a domain of its own. Without the erratum, they
		// could not signal each other, which Go's scheduler does.
		errata, _, errno := unix.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, landlockErrata)
		if errno == 0 && errata&landlockSignalErrata != 0 {
			attr.Scoped |= unix.LANDLOCK_SCOPE_SIGNAL
		} else {
			note = fmt.Sprintf("ABI %d without erratum 2: not signals", abi)
		}
	}
	if abi >= 4 {
		attr.Access_net = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	}
	r, _, errno := unix.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if errno != 0 {
		return -1, "", fmt.Errorf("ruleset: %w", errno)
	}
	fd = int(r)
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	for _, d := range p.Dirs {
		rights := uint64(landlockRead)
		if d.Writable {
			rights = landlockWrite
		}
		if err := landlockRule(fd, d.FD, rights&attr.Access_fs); err != nil {
			return fd, "", fmt.Errorf("directory %d: %w", d.FD, err)
		}
	}
	paths := func(paths []string, rights uint64) error {
		for _, path := range paths {
			at, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
			if err == nil {
				err = landlockRule(fd, at, rights&attr.Access_fs)
				unix.Close(at)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		return nil
	}
	if err := paths(p.Read, landlockRead); err != nil {
		return fd, "", err
	}
	if err := paths(p.Write, landlockWrite); err != nil {
		return fd, "", err
	}
	return fd, note, nil
}

func landlockRule(ruleset, fd int, rights uint64) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= landlockFileOnly
	}
	attr := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	_, _, errno := unix.RawSyscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&attr)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("rule: %w", errno)
	}
	return nil
}
