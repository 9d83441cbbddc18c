package jail

import "golang.org/x/sys/unix"

const (
	auditArch     = unix.AUDIT_ARCH_AARCH64
	x32Bit        = 0 // amd64's
	sysNewfstatat = unix.SYS_FSTATAT
)

// legacy are calls that Go or glibc still make here: none.
var legacy []uintptr

var hostileHere = []uintptr{unix.SYS_KEXEC_FILE_LOAD}
