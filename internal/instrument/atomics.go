package instrument

import "github.com/stasis-run/stasis/internal/wasm"

// Threads. Each is an instance of the hot form of its own over one memory,
// which none of them defines: the hot form of a module with a shared memory
// imports it (MemoryModule), and so do its continuations.
//
// Atomic accesses stay as they are. What waits or wakes is a call of the host
// (runtimeWait32 and so on): a site like any call, so that a waiting thread can
// be stopped, saved and woken elsewhere. Growth of a shared memory is one as
// well, but no site: the host keeps it apart from what else touches the
// engine's idea of the memory.

// MemoryModule is the module name from which the hot form and continuations
// import a shared memory, as ExportMemory.
const MemoryModule = "stasis:memory"

// Names of the runtime functions of this file:
//
//	wait32, wait64 (address, expected, timeout, offset) 0 woken, 1 not equal, 2 timed out
//	notify         (address, count, offset)             how many were woken
//	grow           (pages)                              as memory.grow
const (
	RuntimeWait32 = "wait32"
	RuntimeWait64 = "wait64"
	RuntimeNotify = "notify"
	RuntimeGrow   = "grow"
)

// SharedMemory reports whether the module's memory is shared.
func (p *Program) SharedMemory() bool {
	l, ok := p.mod.MemoryType()
	return ok && l.Shared
}

// SharedLimits are the limits under which the shared memory is imported.
func (p *Program) SharedLimits() wasm.Limits {
	l, _ := p.mod.MemoryType()
	clampMemory(&l)
	return l
}

// isWait reports whether op waits for other threads or wakes them.
func isWait(op wasm.Opcode) bool {
	return op == wasm.OpMemoryAtomicWait32 || op == wasm.OpMemoryAtomicWait64 || op == wasm.OpMemoryAtomicNotify
}

// threadFunc is the runtime function that stands for an instruction, if there
// is one.
func (p *Program) threadFunc(op wasm.Opcode) (f runtimeFunc, ok bool) {
	switch op {
	case wasm.OpMemoryAtomicWait32:
		return runtimeWait32, true
	case wasm.OpMemoryAtomicWait64:
		return runtimeWait64, true
	case wasm.OpMemoryAtomicNotify:
		return runtimeNotify, true
	case wasm.OpMemoryGrow:
		return runtimeGrow, p.SharedMemory()
	}
	return 0, false
}

func (f runtimeFunc) describeThread() RuntimeFunc {
	i32 := wasm.I32
	switch f {
	case runtimeWait32:
		return RuntimeFunc{RuntimeWait32, []wasm.ValType{i32, i32, wasm.I64, i32}, repeat(i32, 1)}
	case runtimeWait64:
		return RuntimeFunc{RuntimeWait64, []wasm.ValType{i32, wasm.I64, wasm.I64, i32}, repeat(i32, 1)}
	case runtimeNotify:
		return RuntimeFunc{RuntimeNotify, repeat(i32, 3), repeat(i32, 1)}
	}
	return RuntimeFunc{RuntimeGrow, repeat(i32, 1), repeat(i32, 1)}
}

// thread emits an instruction that the host runs. The offset of one that has an
// address comes last.
func (e *emitter) thread(x *instr, f runtimeFunc) {
	if f != runtimeGrow {
		e.i32(int32(x.b))
	}
	e.op1(wasm.OpCall, e.env.runtimeFn(f))
}

// waitResult is what an instruction that waits or wakes leaves.
var waitResult = []wasm.ValType{wasm.I32}

// sharedImport is the import of the shared memory.
func (p *Program) sharedImport() wasm.Import {
	return wasm.Import{Module: MemoryModule, Name: ExportMemory, Kind: wasm.ExternMemory, Memory: p.SharedLimits()}
}

// MemoryHolder makes a module that has the shared memory and nothing else.
func (p *Program) MemoryHolder() []byte {
	return wasm.Encode(&wasm.Module{
		Memories: []wasm.Limits{p.SharedLimits()},
		Exports:  []wasm.Export{{Name: ExportMemory, Kind: wasm.ExternMemory}},
	})
}
