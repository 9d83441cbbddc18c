// Package wasi is the system calls of WASI preview 1: the import modules
// wasi_snapshot_preview1 and wasi_unstable (snapshot 0).
//
// Each call is a function over a call value, which has the arguments and the
// guest's memory; table.go lists them with their types. They return an
// abi.Errno, which is the guest's result.
//
// # Waiting
//
// The files never wait. A call that has to (read, write, accept, recv, send on
// what is not FDNonblock, and poll_oneoff) tries, waits in Task.Block for the
// file to get ready, and tries again. If something is asked of the task
// meanwhile, the call returns errRestart, and the kernel makes it again with
// the same arguments, perhaps in another process. So a call changes nothing
// that it cannot do twice until it ends: bytes taken in parts are counted in
// Task.Restart, and so is a relative deadline, as a time on the monotonic
// clock, which stands still while a system is stopped.
//
// # Guest memory
//
// Pointers are checked before anything is done, so that a wrong one (EFAULT)
// loses no data. Buffers are read and written in place.
package wasi
