package stasis

import (
	"os"

	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/sandbox"
	"github.com/stasis-run/stasis/internal/spec"
	"github.com/stasis-run/stasis/internal/store"
	"github.com/stasis-run/stasis/internal/symbols"
)

// Types that are shared with the process that hosts a system.
type (
	// Spec is the document that a system is made from. It is kept with the
	// system; it grants nothing by itself.
	Spec = spec.Spec

	// Dir is a directory of the host that a guest is given.
	Dir = spec.Dir

	// Tmpfs is a file system in memory.
	Tmpfs = spec.Tmpfs

	// Exit is how a run of a system ended.
	Exit = store.Exit

	// Attempt is one checkpoint of a system, also one that failed.
	Attempt = store.Attempt

	// Stats say what a checkpoint did.
	Stats = control.Stats

	// Status is what a running system says of itself.
	Status = control.Status

	// Stack is what a task of a running system is doing.
	Stack = symbols.Stack

	// Place is a place in a module's code: a frame of a Stack.
	Place = symbols.Place

	// SourceLine is a line of the source that a Place is of.
	SourceLine = symbols.Line

	// Layer is one of what walls a host process off.
	Layer = sandbox.Layer

	// Syscall describes a call that programs can import.
	Syscall = sandbox.Syscall

	// Record is a piece of a system's output, in its log.
	Record = sandbox.Record
)

// Isolation says where a system lives.
type Isolation int

const (
	// Process is a jailed process of its own.
	Process Isolation = iota

	// InProcess is the caller's process, without a jail: the guest is confined
	// by the engine alone. Such a system is not in the store: it ends with its
	// handle, and no other process sees it.
	InProcess
)

// Jail says how a host process is walled off.
type Jail string

// Modes of the jail.
const (
	JailOn     Jail = "on"     // as far as the host allows; Properties says how far
	JailStrict Jail = "strict" // completely, or not at all
	JailOff    Jail = "off"    // for debugging
)

// Options set up a system. The zero value of all but Spec works.
type Options struct {
	Spec
	Name      string // a random one by default
	Isolation Isolation
	Start     StartOptions // for Run
}

// StartOptions say how a system is started. The zero value starts it in the
// background: it outlives this process, and Attach and Logs show its output.
type StartOptions struct {
	// Foreground has the system end with this process, unless an Attach is
	// ended by its detach keys.
	Foreground bool

	// Stdin, Stdout and Stderr are the guest's streams, if all are given: of a
	// system in the foreground without a terminal, or InProcess.
	Stdin, Stdout, Stderr *os.File

	// Attached has the first Attach see all output from the start on. Size is
	// that of its terminal.
	Attached bool
	Size     *Size
}

// Size is that of a terminal, in characters.
type Size = control.Size

// stdio are the guest's streams if they are the caller's; else nil ones.
func (o *StartOptions) stdio(tty bool) [3]*os.File {
	if !o.Foreground || tty || o.Stdin == nil || o.Stdout == nil || o.Stderr == nil {
		return [3]*os.File{}
	}
	return [3]*os.File{o.Stdin, o.Stdout, o.Stderr}
}
