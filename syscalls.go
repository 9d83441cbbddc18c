package stasis

import "github.com/stasis-run/stasis/internal/sandbox"

// Syscalls describes all calls that programs can import, by module and name.
func Syscalls() []Syscall { return sandbox.Syscalls() }
