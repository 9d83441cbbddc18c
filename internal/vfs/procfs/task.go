package procfs

import (
	"strconv"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs/pseudofs"
)

// tasks is /proc/PID/task.
type tasks process

// node returns the directory of a thread. Threads and processes have their numbers
// from one counter, so inodes made of them are different.
func (d tasks) node(tid uint32) *pseudofs.Node {
	return &pseudofs.Node{Ino: taskIno(tid), Type: abi.FiletypeDirectory, Dir: task{process(d), tid}}
}

func taskIno(tid uint32) uint64 { return uint64(tid)<<pidShift + taskSelf }

// Lookup is pseudofs.Dir's.
func (d tasks) Lookup(_ uint32, name string) (*pseudofs.Node, abi.Errno) {
	tid, err := strconv.ParseUint(name, 10, 32)
	if err != nil || strconv.FormatUint(tid, 10) != name {
		return nil, abi.ENOENT
	}
	if _, ok := d.opts.Source.Task(d.pid, uint32(tid)); !ok {
		return nil, abi.ENOENT
	}
	return d.node(uint32(tid)), abi.OK
}

// List is pseudofs.Dir's.
func (d tasks) List(uint32) (out []pseudofs.Entry) {
	for _, tid := range d.opts.Source.Tasks(d.pid) {
		out = append(out, pseudofs.Entry{Name: strconv.FormatUint(uint64(tid), 10), Key: uint64(tid), Ino: taskIno(tid), Type: abi.FiletypeDirectory})
	}
	return out
}

// task is /proc/PID/task/TID.
type task struct {
	process
	tid uint32
}

// taskFiles are the names in it, in the order of their inodes. They show what those of
// the process show, of the thread.
var taskFiles = names{
	{name: "comm", format: processComm},
	{name: "stat", format: processStat},
	{name: "status", format: processStatus},
}

func (d task) node(i int) *pseudofs.Node {
	return file(taskIno(d.tid)+uint64(i)+1, func() ([]byte, abi.Errno) {
		p, ok := d.opts.Source.Process(d.pid)
		t, there := d.opts.Source.Task(d.pid, d.tid)
		if !ok || !there {
			return nil, abi.ESRCH
		}
		p = t.of(p)
		return taskFiles[i].format(&p), abi.OK
	})
}

// Lookup is pseudofs.Dir's.
func (d task) Lookup(_ uint32, name string) (*pseudofs.Node, abi.Errno) {
	return taskFiles.lookup(name, d.node)
}

// List is pseudofs.Dir's.
func (d task) List(uint32) []pseudofs.Entry {
	return taskFiles.list(d.node)
}
