//go:build race || invariants

package invariants

// goroutine tells goroutines that live at the same time from each other: it is where
// the runtime keeps what it knows of the calling one (in TLS on amd64, in register g on
// arm64: https://go.dev/doc/asm). Asking runtime.Stack, the other way, takes some
// microseconds for each lock.
func goroutine() uintptr
