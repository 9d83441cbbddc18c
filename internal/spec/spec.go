// Package spec is the document that a system is made from: what it runs, what it
// is given of the host, and its limits. It is kept beside the system, shown by
// inspect, and handed to the process that hosts the system.
//
// A document grants nothing by itself: who starts or restores a system does.
package spec

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// Version is the version of documents that this package makes. Later versions
// only add fields.
const Version = 1

// A Spec describes a system. The zero value is of no use without Module or
// Image; all else has defaults.
type Spec struct {
	Version int               `json:"version" pb:"1"`
	Labels  map[string]string `json:"labels,omitempty" pb:"-"`

	// What runs: a module's file, or an image to be restored. Of an image, all
	// that the program has is in the image; of a thin one, Module is the file of
	// the module that was left out.
	Module  string   `json:"module,omitempty" pb:"3"` // absolute path
	Image   string   `json:"image,omitempty" pb:"4"`  // directory of the image
	Args    []string `json:"args,omitempty" pb:"5"`   // argv, argv[0] included
	Env     []string `json:"env,omitempty" pb:"6"`    // NAME=VALUE
	Workdir string   `json:"workdir,omitempty" pb:"7"`
	Invoke  string   `json:"invoke,omitempty" pb:"8"` // exported function; "" is _start
	Params  []string `json:"params,omitempty" pb:"9"` // its arguments

	// What the guest sees of the outside.
	TTY      bool     `json:"tty,omitempty" pb:"10"`   // a terminal for stdin, stdout and stderr
	Stdin    bool     `json:"stdin,omitempty" pb:"11"` // stdin stays open; else it is empty
	Dirs     []Dir    `json:"dirs,omitempty" pb:"12"`
	Tmpfs    []Tmpfs  `json:"tmpfs,omitempty" pb:"13"`
	Listen   []string `json:"listen,omitempty" pb:"14"`    // tcp:HOST:PORT
	ReadOnly bool     `json:"read_only,omitempty" pb:"15"` // the root file system
	Files    string   `json:"files,omitempty" pb:"16"`     // policy for host files that changed since a save: reopen, strict, stale

	// Limits; 0 is none, but for LogLimit.
	Memory   int64         `json:"memory,omitempty" pb:"17"`    // bytes of all linear memories and files in memory together
	CPUs     int64         `json:"cpus,omitempty" pb:"18"`      // thousandths of a CPU
	Timeout  time.Duration `json:"timeout,omitempty" pb:"19"`   // wall time
	CPUTime  time.Duration `json:"cpu_time,omitempty" pb:"20"`  // CPU time
	LogLimit int64         `json:"log_limit,omitempty" pb:"21"` // bytes kept of the output; 0 is DefaultLogLimit, < 0 keeps none

	// PIDs is how many tasks the guest may have at a time, its first one included: 1
	// to MaxPIDs; 0 is 4096.
	PIDs int64 `json:"pids,omitempty" pb:"28"`

	// Ulimits are resource limits of each process, as setrlimit(2) has them, each name
	// once.
	Ulimits []Ulimit `json:"ulimits,omitempty" pb:"29"`

	// Determinism.
	Seed  *uint64 `json:"seed,omitempty" pb:"22"`  // of random_get; nil is the host's randomness
	Clock string  `json:"clock,omitempty" pb:"23"` // the wall clock: see kernel clocks; "" is the host's

	// Snapshots has a program that asks to be saved (proc_snapshot) wait for the next
	// checkpoint; else it is told that it cannot be.
	Snapshots bool `json:"snapshots,omitempty" pb:"30"`

	AutoRemove bool `json:"auto_remove,omitempty" pb:"24"` // the system goes when it has ended

	// Coredump is a file that a core dump is written to if the program traps, or
	// ends by a signal that dumps core; it is made or emptied when the system is
	// started. "" is none.
	Coredump string `json:"coredump,omitempty" pb:"27"` // absolute path

	// For tests of guests.
	StressUnwind     int32 `json:"stress_unwind,omitempty" pb:"25"`
	StressCheckpoint int32 `json:"stress_checkpoint,omitempty" pb:"26"`
}

// DefaultLogLimit is how much of a system's output is kept, in bytes.
const DefaultLogLimit = 64 << 20

// MaxPIDs bounds Spec.PIDs.
const MaxPIDs = 1 << 20

// A Dir is a directory of the host that a guest is given.
type Dir struct {
	Host     string `json:"host" pb:"1"`  // absolute
	Guest    string `json:"guest" pb:"2"` // absolute and clean
	ReadOnly bool   `json:"read_only,omitempty" pb:"3"`
	Shared   bool   `json:"shared,omitempty" pb:"4"` // others may write to it at the same time

	// Overlay keeps what the guest changes in memory, saved with the system; the
	// directory itself is only read. Such a one can be the guest's root.
	Overlay bool `json:"overlay,omitempty" pb:"5"`
}

// Writable reports whether the guest can change the directory itself.
func (d *Dir) Writable() bool { return !d.ReadOnly && !d.Overlay }

// Flag is the option that it is given by, for people.
func (d *Dir) Flag() string {
	if d.Guest == "/" {
		return "--rootfs"
	}
	return "--dir"
}

// A Tmpfs is a file system in memory, saved with the system.
type Tmpfs struct {
	Guest string `json:"guest" pb:"1"`
	Size  int64  `json:"size,omitempty" pb:"2"` // bytes; 0 is 1 GiB
}

// A Ulimit is a resource limit, of a name in UlimitNames.
type Ulimit struct {
	Name string `json:"name" pb:"1"`
	Soft int64  `json:"soft" pb:"2"` // what counts
	Hard int64  `json:"hard" pb:"3"` // up to which a process may raise it
}

// UlimitNames are the limits that a Spec can set: descriptors (number), tasks of the
// system (number), the length of a file and the memory of a process (bytes), pending
// real-time signals (number).
var UlimitNames = []string{"nofile", "nproc", "fsize", "as", "sigpending"}

// mostOf bounds the limits that have a bound of their own.
var mostOf = map[string]int64{"nofile": 1 << 16, "nproc": MaxPIDs, "sigpending": 1024}

func (u *Ulimit) check() error {
	switch most := mostOf[u.Name]; {
	case !slices.Contains(UlimitNames, u.Name):
		return fmt.Errorf("ulimit %q: there are %s", u.Name, strings.Join(UlimitNames, ", "))
	case u.Soft <= 0 && u.Name != "sigpending" || u.Soft < 0 || u.Hard < u.Soft:
		return fmt.Errorf("ulimit %s=%d:%d: want a number, and a second one that is not below it", u.Name, u.Soft, u.Hard)
	case most > 0 && u.Hard > most:
		return fmt.Errorf("ulimit %s=%d: at most %d can be had", u.Name, u.Hard, most)
	case u.Hard != u.Soft && u.Name != "nofile":
		return fmt.Errorf("ulimit %s=%d:%d: a process cannot change it: give one number", u.Name, u.Soft, u.Hard)
	}
	return nil
}

// Ulimit is the limit of a name, and whether it is set.
func (s *Spec) Ulimit(name string) (u Ulimit, ok bool) {
	for _, u := range s.Ulimits {
		if u.Name == name {
			return u, true
		}
	}
	return u, false
}

// MaxTasks is how many tasks there may be at a time; 0 is not said.
func (s *Spec) MaxTasks() int64 { return lower(s.PIDs, s.soft("nproc")) }

// MaxMemory is how large the memory of a process may be, in bytes; 0 is not said.
func (s *Spec) MaxMemory() int64 { return lower(s.Memory, s.soft("as")) }

func (s *Spec) soft(name string) int64 {
	u, _ := s.Ulimit(name)
	return u.Soft
}

// lower is the lower of two limits, of which 0 is none.
func lower(a, b int64) int64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// Stress is at how many safepoints the guest is stopped, or 0.
func (s *Spec) Stress() int32 { return max(s.StressUnwind, s.StressCheckpoint) }

// Program is what the system runs, for people.
func (s *Spec) Program() string {
	if len(s.Args) > 0 {
		return s.Args[0]
	}
	return path.Base(s.Module)
}

// CheckName refuses what cannot be the name of a system or an image.
func CheckName(name string) error {
	valid := len(name) >= 1 && len(name) <= 63
	for i, c := range []byte(name) { // package regexp would cost each start more than this test
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		valid = valid && (letter || i > 0 && strings.IndexByte("_.-", c) >= 0)
	}
	if !valid {
		return fmt.Errorf("name %q: want 1 to 63 letters, digits, '_', '.' or '-', a letter or digit first", name)
	}
	return nil
}

// Check refuses what no system can be made from.
func (s *Spec) Check() error {
	switch {
	case s.Version != Version:
		return fmt.Errorf("spec version %d, this program knows version %d", s.Version, Version)
	case s.Module == "" && s.Image == "":
		return errors.New("a system runs a module or an image (name one of them)")
	case s.Module != "" && !path.IsAbs(s.Module):
		return fmt.Errorf("module %s: want an absolute path", s.Module)
	case s.Workdir != "" && !path.IsAbs(s.Workdir):
		return fmt.Errorf("working directory %s: want an absolute path of the guest", s.Workdir)
	case s.Coredump != "" && !path.IsAbs(s.Coredump):
		return fmt.Errorf("core dump %s: want an absolute path", s.Coredump)
	case s.PIDs < 0 || s.PIDs > MaxPIDs:
		return fmt.Errorf("limit of %d tasks: want 1 to %d", s.PIDs, MaxPIDs)
	case s.Memory < 0 || s.CPUs < 0 || s.Timeout < 0 || s.CPUTime < 0:
		return errors.New("a limit is below zero")
	}
	return errors.Join(s.checkUlimits(), s.checkEnv(), s.checkMounts())
}

func (s *Spec) checkUlimits() error {
	seen := make(map[string]bool)
	for _, u := range s.Ulimits {
		if err := u.check(); err != nil {
			return err
		}
		if seen[u.Name] {
			return fmt.Errorf("ulimit %s is given twice", u.Name)
		}
		seen[u.Name] = true
	}
	return nil
}

func (s *Spec) checkEnv() error {
	for _, e := range s.Env {
		if name, _, ok := strings.Cut(e, "="); name == "" || !ok || strings.IndexByte(e, 0) >= 0 {
			return fmt.Errorf("environment %q: want NAME=VALUE", e)
		}
	}
	return nil
}

// checkMounts looks for places that are taken twice.
func (s *Spec) checkMounts() error {
	var seen []string
	take := func(guest string, overlay bool) error {
		switch {
		case !path.IsAbs(guest) || path.Clean(guest) != guest:
			return fmt.Errorf("mount %q: want an absolute path of the guest", guest)
		case guest == "/" && !overlay:
			return errors.New("mount /: the guest's root is the sandbox's own; name another path, such as /work")
		case slices.Contains(seen, guest):
			return fmt.Errorf("mount %s: something is mounted there already", guest)
		}
		seen = append(seen, guest)
		return nil
	}
	for _, d := range s.Dirs {
		if !path.IsAbs(d.Host) {
			return fmt.Errorf("directory %s: want an absolute path", d.Host)
		}
		if d.Overlay && d.ReadOnly {
			return fmt.Errorf("directory %s: ro and O: an overlay is written to, in memory (leave one of them out)", d.Host)
		}
		if err := take(d.Guest, d.Overlay); err != nil {
			return err
		}
	}
	for _, t := range s.Tmpfs {
		if err := take(t.Guest, false); err != nil {
			return err
		}
	}
	return nil
}
