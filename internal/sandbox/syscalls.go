package sandbox

import "github.com/stasis-run/stasis/internal/syscalls/wasi"

// Syscall describes a system call for people.
type Syscall = wasi.Description

// Syscalls describes all calls that guests can import.
func Syscalls() []Syscall { return wasi.Describe() }
