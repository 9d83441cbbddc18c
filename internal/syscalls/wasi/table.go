package wasi

import (
	"io"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/vfs/pipefs"
	"github.com/stasis-run/stasis/internal/wasm"
)

// The import modules.
const (
	Module         = "wasi_snapshot_preview1"
	ModuleUnstable = "wasi_unstable"
)

// Options set up the calls. The zero value works.
type Options struct {
	Random      io.Reader      // what random_get reads; nil is the kernel's
	Pipes       *pipefs.System // makes pipes; nil: there are none
	Parallelism int            // of the CPUs, for guests that ask; 0 is 1
}

// An entry describes a call. Params has a letter for each parameter, i for i32
// and I for i64. All but proc_exit return an errno as i32.
type entry struct {
	name   string
	params string
	fn     func(*call) abi.Errno
	note   string // how complete it is; "" is full
}

var entries = []entry{
	{"args_get", "ii", argsGet, ""},
	{"args_sizes_get", "ii", argsSizesGet, ""},
	{"clock_res_get", "ii", clockResGet, ""},
	{"clock_time_get", "iIi", clockTimeGet, ""},
	{"environ_get", "ii", environGet, ""},
	{"environ_sizes_get", "ii", environSizesGet, ""},
	{"fd_advise", "iIIi", fdAdvise, ""},
	{"fd_allocate", "iII", fdAllocate, ""},
	{"fd_close", "i", fdClose, ""},
	{"fd_datasync", "i", fdDatasync, ""},
	{"fd_fdstat_get", "ii", fdFdstatGet, ""},
	{"fd_fdstat_set_flags", "ii", fdFdstatSetFlags, ""},
	{"fd_fdstat_set_rights", "iII", fdFdstatSetRights, ""},
	{"fd_filestat_get", "ii", fdFilestatGet, ""},
	{"fd_filestat_set_size", "iI", fdFilestatSetSize, ""},
	{"fd_filestat_set_times", "iIIi", fdFilestatSetTimes, ""},
	{"fd_pread", "iiiIi", fdPread, ""},
	{"fd_prestat_dir_name", "iii", fdPrestatDirName, ""},
	{"fd_prestat_get", "ii", fdPrestatGet, ""},
	{"fd_pwrite", "iiiIi", fdPwrite, ""},
	{"fd_read", "iiii", fdRead, ""},
	{"fd_readdir", "iiiIi", fdReaddir, ""},
	{"fd_renumber", "ii", fdRenumber, ""},
	{"fd_seek", "iIii", fdSeek, ""},
	{"fd_sync", "i", fdSync, ""},
	{"fd_tell", "ii", fdTell, ""},
	{"fd_write", "iiii", fdWrite, ""},
	{"path_create_directory", "iii", pathCreateDirectory, ""},
	{"path_filestat_get", "iiiii", pathFilestatGet, ""},
	{"path_filestat_set_times", "iiiiIIi", pathFilestatSetTimes, ""},
	{"path_link", "iiiiiii", pathLink, ""},
	{"path_open", "iiiiiIIii", pathOpen, ""},
	{"path_readlink", "iiiiii", pathReadlink, ""},
	{"path_remove_directory", "iii", pathRemoveDirectory, ""},
	{"path_rename", "iiiiii", pathRename, ""},
	{"path_symlink", "iiiii", pathSymlink, ""},
	{"path_unlink_file", "iii", pathUnlinkFile, ""},
	{"poll_oneoff", "iiii", pollOneoff, ""},
	{"proc_exit", "i", procExit, ""},
	{"proc_raise", "i", procRaise, "default actions; there are no handlers in preview 1"},
	{"random_get", "ii", randomGet, ""},
	{"sched_yield", "", schedYield, ""},
	{"sock_accept", "iii", sockAccept, ""},
	{"sock_recv", "iiiiii", sockRecv, ""},
	{"sock_send", "iiiii", sockSend, ""},
	{"sock_shutdown", "ii", sockShutdown, ""},
}

// Calls returns the calls of both modules and that of wasi-threads, for
// kernel.NewCallTable.
func Calls(opts Options) []kernel.Call {
	out := make([]kernel.Call, 0, 2*len(entries)+1)
	out = append(out, threadCalls()...)
	for i := range entries {
		e := &entries[i]
		out = append(out, e.call(Module, &opts))
		if e.name != "sock_accept" { // it came with preview 1
			out = append(out, e.call(ModuleUnstable, &opts))
		}
	}
	return out
}

// call makes the kernel's entry for module.
func (e *entry) call(module string, opts *Options) kernel.Call {
	unstable := module == ModuleUnstable
	results := []wasm.ValType{wasm.I32}
	if e.name == "proc_exit" {
		results = nil
	}
	fn := e.fn
	return kernel.Call{
		Module: module, Name: e.name, Note: e.note,
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
