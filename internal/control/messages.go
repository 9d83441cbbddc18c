package control

import (
	"errors"

	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/symbols"
)

// Operations.
const (
	OpStatus     = "status"     // → Answer.Status
	OpSignal     = "signal"     // Call.Signal
	OpPause      = "pause"      //
	OpResume     = "resume"     //
	OpResize     = "resize"     // Call.Size
	OpAttach     = "attach"     // → Answer, then Streams both ways
	OpCheckpoint = "checkpoint" // Call.Checkpoint; see there
	OpCopyOut    = "copy-out"   // Call.Copy, with a descriptor that a tar is written to → Answer.Copied
	OpCopyIn     = "copy-in"    // Call.Copy, with a descriptor that a tar is read from → Answer.Copied
	OpFileInfo   = "file-info"  // Call.Copy → Answer.File
	OpStacks     = "stacks"     // → Answer.Stacks
	OpCoredump   = "coredump"   // with a descriptor that a core dump is written to
	OpProcesses  = "processes"  // → Answer.Processes
	OpExec       = "exec"       // Call.Exec, maybe with a descriptor of a module → Answer, Streams both ways, Answer.Exec

	OpSignalProcess = "signal-process" // Call.PID, Call.Signal
)

// A Call is the first message on a connection: what a client asks for.
type Call struct {
	Version    uint32      `pb:"1"` // of the client
	Op         string      `pb:"2,text"`
	Signal     int32       `pb:"3"`
	Checkpoint *Checkpoint `pb:"4"`
	Size       *Size       `pb:"5"`
	Attach     *Attach     `pb:"6"`
	Copy       *Copy       `pb:"7"`
	PID        int32       `pb:"8"` // a process's in the system
	Exec       *Exec       `pb:"9"`
}

// An Answer is what a system says to a call.
type Answer struct {
	Version    uint32            `pb:"1"` // of the system
	Fault      *Fault            `pb:"2"` // if it was not done
	Status     *Status           `pb:"3"`
	Checkpoint *CheckpointAnswer `pb:"4"`
	Copied     *Copied           `pb:"5"`
	File       *FileInfo         `pb:"6"`
	Stacks     *Stacks           `pb:"7"`
	Exec       *ExecEnd          `pb:"8"`
	Processes  *Processes        `pb:"9"`
}

// An Exec asks for another process in the system. It runs the module that comes
// along, or what Args[0] names in the guest's tree.
type Exec struct {
	Args  []string `pb:"1"` // argv
	Env   []string `pb:"2"` // NAME=VALUE, besides the first process's
	Dir   string   `pb:"3"` // working directory; "" is the system's
	TTY   bool     `pb:"4"` // a terminal of its own
	Stdin bool     `pb:"5"` // the client sends input; else there is none
	Size  *Size    `pb:"6"` // of the terminal
}

// An ExecEnd is how the process of an Exec ended.
type ExecEnd struct {
	Code   int32  `pb:"1"` // as a shell has it
	Signal int32  `pb:"2"`
	Trap   string `pb:"3"`
	Error  string `pb:"4"` // why it was ended, if that was not its own doing
}

// MaxProcesses bounds how many processes are told of.
const MaxProcesses = 4096

// Processes are those of a system, by pid. The system may have been subverted:
// whoever prints them cleans them.
type Processes struct {
	List []Process `pb:"1"`
	Time int64     `pb:"2"` // when it was made: ns since 1970
	All  int32     `pb:"3"` // how many there are
}

// A Process is one of a system. Its JSON is what users see.
type Process struct {
	PID     int32    `pb:"1" json:"pid"`
	PPID    int32    `pb:"2" json:"ppid"`
	Group   int32    `pb:"3" json:"pgid"`
	Session int32    `pb:"4" json:"sid"`
	State   string   `pb:"5,text" json:"state"` // running, blocked, stopped, paused, zombie
	Threads int32    `pb:"6" json:"threads"`
	CPU     int64    `pb:"7" json:"cpu_ns"`
	Memory  int64    `pb:"8" json:"memory_bytes"` // of linear memory
	OpenFDs int32    `pb:"9" json:"open_files"`
	Args    []string `pb:"10" json:"args"`
}

// Stacks are those of all tasks, by number. The system may have been subverted:
// whoever prints them cleans them.
type Stacks struct {
	Tasks []symbols.Stack `pb:"1"`
}

// A Fault is an error that crosses the boundary.
type Fault struct {
	Kind   string `pb:"1,text"`
	Text   string `pb:"2"`
	Remedy string `pb:"3"`
}

// FaultOf makes a message of an error; of nil, nil.
func FaultOf(err error) *Fault {
	if err == nil {
		return nil
	}
	f := &Fault{Kind: string(fault.KindOf(err)), Text: err.Error()}
	var e *fault.Error
	if errors.As(err, &e) && e.Remedy != "" && err.Error() == e.Error() {
		f.Text, f.Remedy = e.Err.Error(), e.Remedy
	}
	return f
}

// Err makes the error again.
func (f *Fault) Err() error {
	if f == nil {
		return nil
	}
	// The system may have been subverted, and what it says is printed.
	return &fault.Error{Kind: fault.Kind(f.Kind), Err: errors.New(fault.Clean(f.Text)), Remedy: fault.Clean(f.Remedy)}
}

// A Status is what a running system says of itself. Its JSON is what users see.
type Status struct {
	State    string   `pb:"1,text" json:"state"`   // running, blocked, stopped, paused
	Time     int64    `pb:"2" json:"time_ns"`      // when it was taken, before anything was read: ns since 1970
	CPU      int64    `pb:"3" json:"cpu_ns"`       // ns of guest CPU time
	Memory   int64    `pb:"4" json:"memory_bytes"` // bytes of linear memory
	RSS      int64    `pb:"5" json:"rss_bytes"`    // bytes resident in the host process
	HostCPU  int64    `pb:"6" json:"host_cpu_ns"`  // ns of CPU time of the host process
	Tasks    int32    `pb:"7" json:"tasks"`
	OpenFDs  int32    `pb:"8" json:"open_files"`
	Attached int32    `pb:"9" json:"attached"`  // clients
	Attempts int32    `pb:"10" json:"attempts"` // number of the latest checkpoint
	Args     []string `pb:"11" json:"args"`
	PID      int32    `pb:"12" json:"pid,omitempty"` // of the host process, as those see it who started it
	Compiled int64    `pb:"13" json:"compiled"`      // pieces of code that the host process had to compile itself, as the cache had them not

	Processes int32 `pb:"14" json:"processes"` // that have not ended
}

// A Size is that of a terminal, in characters.
type Size struct {
	Rows uint32 `pb:"1"`
	Cols uint32 `pb:"2"`
}

// Attach says how a client attaches.
type Attach struct {
	Stdin bool  `pb:"1"` // it sends input
	Size  *Size `pb:"2"` // of its terminal
}

// A Stream is a piece of input or output while a client is attached.
type Stream struct {
	Stdin  []byte `pb:"1"` // client to system
	EOF    bool   `pb:"2"` // the same: no more input
	Size   *Size  `pb:"3"` // the same: its terminal has another size
	Signal int32  `pb:"4"` // the same
	Stdout []byte `pb:"5"` // system to client
	Stderr []byte `pb:"6"` // the same
	Ended  bool   `pb:"7"` // the same: the system has ended; nothing follows
	Detach bool   `pb:"8"` // client to system: the client leaves, and the system runs on
}

// Copy names files in the guest's tree, from its root. The tar flows through
// the descriptor that comes along, which is best a pipe: whoever closes its end
// ends the copy.
type Copy struct {
	Path  string `pb:"1"` // to be copied, or the directory to copy into
	Times bool   `pb:"2"` // what is copied into the guest keeps its times
}

// Copied says how much was copied.
type Copied struct {
	Files int64 `pb:"1"` // entries: files, directories and links
	Bytes int64 `pb:"2"` // of files' contents
}

// A FileInfo is what a file in the guest's tree is.
type FileInfo struct {
	Mode uint32 `pb:"1"` // type bits, as package io/fs has them
	Size int64  `pb:"2"` // bytes
	Time int64  `pb:"3"` // of its last modification, ns since 1970
	Link string `pb:"4"` // target of a symbolic link
}

// Checkpoint asks for an image. The system cannot make files: it answers with
// names of files, each of which the client makes and sends (a CheckpointReply
// with a descriptor, or a fault), until it has Written the image. The client
// then publishes it and says so, and the system gives its last answer, with
// Stats. If the client goes before that, the attempt has failed, and the
// system runs on.
type Checkpoint struct {
	Leave   bool     `pb:"1"` // the system runs on
	Thin    bool     `pb:"2"` // the modules stay out
	DropEnv []string `pb:"3"` // names of variables that stay out
	Path    string   `pb:"4"` // where the image will be, for the record
	Wait    bool     `pb:"5"` // wait for one that is under way; else it is refused

	OnRequest bool `pb:"6"` // only if the guest asks for it within a while: see CheckpointAnswer.None
}

// A CheckpointAnswer is one of these at a time.
type CheckpointAnswer struct {
	Attempt    uint64 `pb:"1"` // first: the attempt's number
	Generation string `pb:"2,text"`
	File       string `pb:"3,text"` // make this file
	Written    bool   `pb:"4"`      // publish it
	Stats      *Stats `pb:"5"`      // last

	// Places, with Stats, are where the saved frames were, and where others of the
	// system ran long: what a restore may have to compile code for.
	Places []Place `pb:"6"`

	// None says that the guest has not asked for a checkpoint: the call has ended, and
	// may be made again.
	None bool `pb:"7"`
}

// A Place is a position in a function of the module, as in a record. It need not
// be one where a frame can be.
type Place struct {
	Func uint32 `pb:"1"`
	Pos  uint32 `pb:"2"`
}

// MaxPlaces bounds how many are told, and listened to.
const MaxPlaces = 256

// A CheckpointReply is what the client says.
type CheckpointReply struct {
	Fault     *Fault `pb:"1"` // the file could not be made, or the image not published
	Published bool   `pb:"2"`
}

// Stats say what a checkpoint did. Their JSON is what users see.
type Stats struct {
	Attempt      uint64 `pb:"1" json:"attempt"`
	Generation   string `pb:"2,text" json:"generation"`
	TimeToStop   int64  `pb:"3" json:"time_to_stop_us"` // µs from the request to all tasks at rest
	Stopped      int64  `pb:"4" json:"stopped_us"`      // µs for which they were at rest because of it
	Total        int64  `pb:"5" json:"total_us"`        // µs
	PagesScanned int64  `pb:"6" json:"pages_scanned"`   // of 64 KiB
	PagesWritten int64  `pb:"7" json:"pages_written"`
	BytesWritten int64  `pb:"8" json:"bytes_written"`
	Frames       int64  `pb:"9" json:"frames"`
	Memory       int64  `pb:"10" json:"memory_bytes"` // bytes
}
