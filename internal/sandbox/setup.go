package sandbox

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/spec"
)

// ChildCommand is the first argument of a process that hosts a system.
const ChildCommand = "sandbox-child"

// A Setup is what the parent of a host process hands it, with descriptors, on the
// connection that it inherits as descriptor SetupFD. Both are the same program, so
// there is one version of this.
type Setup struct {
	Name     string          `pb:"1"` // for people
	ID       string          `pb:"2"`
	Spec     spec.Spec       `pb:"3"`
	Roles    []string        `pb:"4"`  // what the descriptors are
	Cache    string          `pb:"5"`  // directory of compiled code, to be read only; "" is none
	Attempts uint64          `pb:"6"`  // number of the latest checkpoint
	Jail     string          `pb:"7"`  // on, strict, off
	Life     bool            `pb:"8"`  // end when the connection does
	Direct   bool            `pb:"9"`  // the guest's streams are descriptors 0, 1 and 2
	Attach   *control.Attach `pb:"10"` // the connection is that of a client that is attached
	Size     *control.Size   `pb:"11"` // of the terminal
	Given    Given           `pb:"12"` // what of a jail the parent has made
}

// A Report is the answer of a host process: its system runs, or why it does not.
// One that compiles tells the stages before that.
type Report struct {
	Fault *control.Fault `pb:"1"`
	Jail  []Layer        `pb:"2"`
	Args  []string       `pb:"3"`
	Stage string         `pb:"4"` // not the answer yet: what is done next

	// Of one that compiles ahead of need: what it has made, and whether that was
	// all.
	Made []control.Place `pb:"5"`
	All  bool            `pb:"6"`
}

// A Layer is one of what walls a host process off.
type Layer struct {
	Name string `pb:"1,text" json:"layer"`
	Held bool   `pb:"2" json:"held"`
	Why  string `pb:"3" json:"why,omitempty"` // it does not hold
}

// SetupFD is the descriptor of the setup connection.
const SetupFD = 3

// Roles of descriptors. Those that end with a colon are followed by a name or a
// number.
const (
	RoleLock     = "lock"     // of the system's entry, held
	RoleExit     = "exit"     // how the system ended
	RoleAttempts = "attempts" // its checkpoints
	RoleLog      = "log"      // two files
	RoleLog1     = "log.1"
	RoleControl  = "control" // a listening unix socket
	RoleModule   = "module"
	RoleImage    = "image:" // a file of the image that is restored
	RoleDir      = "dir:"   // number in Spec.Dirs
	RoleListen   = "listen:"
	RoleCore     = "core" // that a core dump is written to
	RoleKeep     = "keep" // held open as long as the system lives, such as a lock
)

// Descriptors are what a process was handed, by role.
type descriptors map[string]*os.File

// take sorts the descriptors that came with a setup.
func (s *Setup) take(files []*os.File) (descriptors, error) {
	if len(files) != len(s.Roles) {
		return nil, fmt.Errorf("%d descriptors, want %d", len(files), len(s.Roles))
	}
	d := make(descriptors)
	for i, role := range s.Roles {
		d[role] = files[i]
	}
	return d, nil
}

// need returns descriptors that must be there.
func (d descriptors) need(roles ...string) error {
	var missing []string
	for _, r := range roles {
		if d[r] == nil {
			missing = append(missing, r)
		}
	}
	if len(missing) > 0 {
		return errors.New("descriptors are missing: " + strings.Join(missing, ", "))
	}
	return nil
}
