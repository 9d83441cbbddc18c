package wasi

import (
	"io"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/vfs/epoll"
	"github.com/stasis-run/stasis/internal/vfs/pipefs"
	"github.com/stasis-run/stasis/internal/vfs/ttyfs"
	"github.com/stasis-run/stasis/internal/vfs/unixsock"
	"github.com/stasis-run/stasis/internal/wasm"
)

// The import modules.
const (
	Module         = "wasi_snapshot_preview1"
	ModuleUnstable = "wasi_unstable"
	ModuleWASIX    = "wasix_32v1"
)

// Options set up the calls. The zero value works.
type Options struct {
	Random      io.Reader        // what random_get reads; nil is the kernel's
	Pipes       *pipefs.System   // makes pipes; nil: there are none
	Epolls      *epoll.System    // likewise
	Sockets     *unixsock.System // pairs of them; likewise
	Ptys        *ttyfs.Ptys      // likewise
	Parallelism int              // of the CPUs, for guests that ask; 0 is 1
}

// An entry describes a call. Params has a letter for each parameter, i for i32
// and I for i64. All that are not void return an errno as i32.
type entry struct {
	name   string
	params string
	fn     func(*call) abi.Errno
	note   string // what is missing or else to be known; "" is nothing

	level    kernel.Level
	void     bool // it returns nothing
	handlers kernel.HandlerRule
	saved    string // what becomes of it across a checkpoint, if it can be under way then
}

// What becomes of calls that wait.
const (
	savedAgain = "made again in the restored system"
	savedTime  = "goes on with the time that is left"
)

var entries = []entry{
	{name: "args_get", params: "ii", fn: argsGet},
	{name: "args_sizes_get", params: "ii", fn: argsSizesGet},
	{name: "clock_res_get", params: "ii", fn: clockResGet},
	{name: "clock_time_get", params: "iIi", fn: clockTimeGet},
	{name: "environ_get", params: "ii", fn: environGet},
	{name: "environ_sizes_get", params: "ii", fn: environSizesGet},
	{name: "fd_advise", params: "iIIi", fn: fdAdvise},
	{name: "fd_allocate", params: "iII", fn: fdAllocate},
	{name: "fd_close", params: "i", fn: fdClose},
	{name: "fd_datasync", params: "i", fn: fdDatasync},
	{name: "fd_fdstat_get", params: "ii", fn: fdFdstatGet},
	{name: "fd_fdstat_set_flags", params: "ii", fn: fdFdstatSetFlags},
	{name: "fd_fdstat_set_rights", params: "iII", fn: fdFdstatSetRights},
	{name: "fd_filestat_get", params: "ii", fn: fdFilestatGet},
	{name: "fd_filestat_set_size", params: "iI", fn: fdFilestatSetSize},
	{name: "fd_filestat_set_times", params: "iIIi", fn: fdFilestatSetTimes},
	{name: "fd_pread", params: "iiiIi", fn: fdPread, saved: savedAgain},
	{name: "fd_prestat_dir_name", params: "iii", fn: fdPrestatDirName},
	{name: "fd_prestat_get", params: "ii", fn: fdPrestatGet},
	{name: "fd_pwrite", params: "iiiIi", fn: fdPwrite, saved: savedAgain},
	{name: "fd_read", params: "iiii", fn: fdRead, saved: savedAgain},
	{name: "fd_readdir", params: "iiiIi", fn: fdReaddir},
	{name: "fd_renumber", params: "ii", fn: fdRenumber},
	{name: "fd_seek", params: "iIii", fn: fdSeek},
	{name: "fd_sync", params: "i", fn: fdSync},
	{name: "fd_tell", params: "ii", fn: fdTell},
	{name: "fd_write", params: "iiii", fn: fdWrite, saved: savedAgain},
	{name: "path_create_directory", params: "iii", fn: pathCreateDirectory},
	{name: "path_filestat_get", params: "iiiii", fn: pathFilestatGet},
	{name: "path_filestat_set_times", params: "iiiiIIi", fn: pathFilestatSetTimes},
	{name: "path_link", params: "iiiiiii", fn: pathLink},
	{name: "path_open", params: "iiiiiIIii", fn: pathOpen},
	{name: "path_readlink", params: "iiiiii", fn: pathReadlink},
	{name: "path_remove_directory", params: "iii", fn: pathRemoveDirectory},
	{name: "path_rename", params: "iiiiii", fn: pathRename},
	{name: "path_symlink", params: "iiiii", fn: pathSymlink},
	{name: "path_unlink_file", params: "iii", fn: pathUnlinkFile},
	{name: "poll_oneoff", params: "iiii", fn: pollOneoff, saved: savedTime, handlers: kernel.AlwaysEnds},
	{name: "proc_exit", params: "i", fn: procExit, void: true},
	{name: "proc_raise", params: "i", fn: procRaise, note: "by preview 1's numbers of signals"},
	{name: "random_get", params: "ii", fn: randomGet},
	{name: "sched_yield", params: "", fn: schedYield},
	{name: "sock_accept", params: "iii", fn: sockAccept, saved: savedAgain},
	{name: "sock_recv", params: "iiiiii", fn: sockRecv, saved: savedAgain},
	{name: "sock_send", params: "iiiii", fn: sockSend, saved: savedAgain},
	{name: "sock_shutdown", params: "ii", fn: sockShutdown},
}

// Calls returns all calls, for kernel.NewCallTable. Those of preview 1 and of WASIX
// go by either's module name, since programs import either's.
func Calls(opts Options) []kernel.Call {
	var out []kernel.Call
	out = append(out, threadCalls()...)
	for i := range entries {
		e := &entries[i]
		out = append(out, e.call(Module, &opts), e.call(ModuleWASIX, &opts))
		if e.name != "sock_accept" { // it came with preview 1
			out = append(out, e.call(ModuleUnstable, &opts))
		}
	}
	for i := range wasixEntries {
		e := &wasixEntries[i]
		out = append(out, e.call(ModuleWASIX, &opts), e.call(Module, &opts))
	}
	for i := range stasisEntries {
		out = append(out, stasisEntries[i].call(ModuleStasis, &opts))
	}
	return out
}

// call makes the kernel's entry for module.
func (e *entry) call(module string, opts *Options) kernel.Call {
	unstable := module == ModuleUnstable
	results := []wasm.ValType{wasm.I32}
	if e.void {
		results = nil
	}
	fn := e.fn
	return kernel.Call{
		Module: module, Name: e.name, Note: e.note, Level: e.level, Saved: e.saved, Handlers: e.handlers, POSIX: module == ModuleWASIX,
		Params: valTypes(e.params), Results: results,
		Fn: func(t *kernel.Task, args []uint64) kernel.Outcome {
			c := calls.Get().(*call)
			*c = call{t: t, args: args, mem: t.Memory(), unstable: unstable, env: opts}
			errno := fn(c)
			*c = call{}
			calls.Put(c)
			switch errno {
			case errRestart:
				return kernel.Again
			case errGone:
				return kernel.Gone
			default:
				args[0] = uint64(errno)
				return kernel.Done
			}
		},
	}
}

func valTypes(params string) []wasm.ValType {
	var out []wasm.ValType
	for _, p := range params {
		if p == 'I' {
			out = append(out, wasm.I64)
		} else {
			out = append(out, wasm.I32)
		}
	}
	return out
}
