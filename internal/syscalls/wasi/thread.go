package wasi

import (
	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/wasm"
)

// ModuleThreads is the import module of the wasi-threads proposal.
const ModuleThreads = "wasi"

// threadStart is what a module exports for its threads to begin at: (tid,
// start_arg).
const threadStart = "wasi_thread_start"

// threadCalls returns the call of the wasi-threads proposal.
func threadCalls() []kernel.Call {
	i32 := []wasm.ValType{wasm.I32}
	return []kernel.Call{{Module: ModuleThreads, Name: "thread-spawn", Params: i32, Results: i32, Fn: threadSpawn, Threads: threadStart}}
}

// threadSpawn makes a task, and returns its number or a negative errno: EAGAIN
// is the only one that the proposal has.
func threadSpawn(t *kernel.Task, args []uint64) kernel.Outcome {
	arg := uint64(uint32(args[0]))
	tid, err := t.Spawn(threadStart, func(tid kernel.TaskID) []uint64 { return []uint64{uint64(uint32(tid)), arg} })
	args[0] = uint64(uint32(tid))
	if err != nil {
		errno := int32(abi.EAGAIN)
		args[0] = uint64(uint32(-errno))
	}
	return kernel.Done
}
