package jail

import (
	"fmt"
	"slices"
	"strings"
)

// A Layer is one wall of the jail. Each is made to hold without the others;
// doc/jail.md says which attempts it stops on its own.
type Layer string

// The layers. Those that end in "ns" are namespaces, made by Start; the others
// are put up by Enter.
const (
	UserNS       Layer = "userns"
	MountNS      Layer = "mountns"
	PIDNS        Layer = "pidns"
	NetNS        Layer = "netns"
	IPCNS        Layer = "ipcns"
	UTSNS        Layer = "utsns"
	Descriptors  Layer = "descriptors"  // inherited descriptors that nobody named are closed
	Limits       Layer = "limits"       // resource limits
	Root         Layer = "root"         // a private, read-only, all but empty root
	Landlock     Layer = "landlock"     // rules on files, TCP, abstract sockets, signals
	Capabilities Layer = "capabilities" // all sets empty
	UID          Layer = "uid"          // not root
	NoNewPrivs   Layer = "no_new_privs"
	Seccomp      Layer = "seccomp"  // an allow-list of system calls
	Dumpable     Layer = "dumpable" // closed to processes of the same user
)

// Layers lists the layers in the order in which they are put up.
var Layers = []Layer{
	UserNS, MountNS, PIDNS, NetNS, IPCNS, UTSNS,
	Descriptors, Limits, Root, Landlock, Capabilities, UID, NoNewPrivs, Seccomp, Dumpable,
}

// A Dir is a granted host directory.
type Dir struct {
	FD       int // O_PATH, or open for reading; Enter may put another mount of the same directory in its place
	Writable bool
}

// A Policy says what a jailed process may keep. It travels as JSON.
type Policy struct {
	Dirs  []Dir    `json:",omitempty"`
	Read  []string `json:",omitempty"` // absolute paths that stay readable under their names
	Write []string `json:",omitempty"` // absolute paths that stay writable under their names
	Keep  []int    `json:",omitempty"` // inherited descriptors to keep besides 0, 1, 2 and those of Dirs

	// Sockets allows to accept, receive and send on the sockets that were
	// handed in. Making or connecting one is never allowed.
	Sockets bool `json:",omitempty"`

	Files int `json:",omitempty"` // bound on open descriptors; 0 is 4096
	Tasks int `json:",omitempty"` // bound on threads, where the kernel can count them (doc/jail.md); 0 is none

	// Drop makes a process of root that is granted no host directory a
	// process of nobody's (65534). Read and Write must then be open to it.
	Drop bool `json:",omitempty"`

	Skip map[Layer]bool `json:",omitempty"` // layers left off; for tests
}

// A LayerState says of one layer whether it holds. Why says why not; of a layer
// that holds, what it lacks, if anything.
type LayerState struct {
	Layer Layer
	Held  bool
	Why   string `json:",omitempty"`
}

// A Report says of each layer whether it holds, in the order of Layers. A layer
// without a meaning where it was made is not in it: root needs no user
// namespace to make the others.
type Report []LayerState

// Missing lists the layers that do not hold, apart from those in except.
func (r Report) Missing(except ...Layer) Report {
	var missing Report
	for _, s := range r {
		if !s.Held && !slices.Contains(except, s.Layer) {
			missing = append(missing, s)
		}
	}
	return missing
}

// Held reports whether a layer holds.
func (r Report) Held(l Layer) bool {
	return slices.ContainsFunc(r, func(s LayerState) bool { return s.Layer == l && s.Held })
}

// String is for people: a line for each layer.
func (r Report) String() string {
	var b strings.Builder
	for _, s := range r {
		held := "no "
		if s.Held {
			held = "yes"
		}
		b.WriteString(strings.TrimRight(fmt.Sprintf("%-12s %s  %s", s.Layer, held, s.Why), " ") + "\n")
	}
	return b.String()
}

func (r *Report) held(l Layer, note string) { *r = append(*r, LayerState{l, true, note}) }
func (r *Report) missing(l Layer, why string) {
	*r = append(*r, LayerState{l, false, why})
}

// whySkipped is the reason of a layer in Policy.Skip.
const whySkipped = "left off"

// A Given is what Start could give a process. It belongs in what the parent
// tells the child, next to the Policy.
type Given struct {
	User       bool    // it has a user namespace of its own
	Namespaces []Layer // those it has, UserNS among them
	Why        string  // why it has no more

	// DeathSignal is the parent-death signal it was started with. Dropping root
	// forgets it, so Enter sets it again.
	DeathSignal int
}

// A Setup is what a jailed process is told: the argument of Enter, as JSON.
type Setup struct {
	Policy Policy
	Given  Given
}
