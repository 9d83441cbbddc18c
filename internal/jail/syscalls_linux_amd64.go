package jail

import "golang.org/x/sys/unix"

const (
	auditArch     = unix.AUDIT_ARCH_X86_64
	x32Bit        = 0x40000000 // set in the numbers of the x32 interface
	sysNewfstatat = unix.SYS_NEWFSTATAT
)

// legacy are calls that Go or glibc still make here.
var legacy = []uintptr{unix.SYS_POLL, unix.SYS_EPOLL_WAIT, unix.SYS_DUP2, unix.SYS_PIPE, unix.SYS_SELECT, unix.SYS_TIME}

var hostileHere = []uintptr{unix.SYS_IOPL, unix.SYS_IOPERM, unix.SYS_MODIFY_LDT, unix.SYS_KEXEC_FILE_LOAD, unix.SYS_USELIB, unix.SYS_CREATE_MODULE}
