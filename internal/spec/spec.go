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
	Memory   int64         `json:"memory,omitempty" pb:"17"`    // bytes of linear memory
	CPUs     int64         `json:"cpus,omitempty" pb:"18"`      // thousandths of a CPU
	Timeout  time.Duration `json:"timeout,omitempty" pb:"19"`   // wall time
	CPUTime  time.Duration `json:"cpu_time,omitempty" pb:"20"`  // CPU time
	LogLimit int64         `json:"log_limit,omitempty" pb:"21"` // bytes kept of the output; 0 is DefaultLogLimit, < 0 keeps none

	// PIDs is how many tasks the guest may have at a time, its first one included: 1
	// to MaxPIDs; 0 is 4096.
	PIDs int64 `json:"pids,omitempty" pb:"28"`

	// Determinism.
	Seed  *uint64 `json:"seed,omitempty" pb:"22"`  // of random_get; nil is the host's randomness
	Clock string  `json:"clock,omitempty" pb:"23"` // the wall clock: see kernel clocks; "" is the host's

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
}

// A Tmpfs is a file system in memory, saved with the system.
type Tmpfs struct {
	Guest string `json:"guest" pb:"1"`
	Size  int64  `json:"size,omitempty" pb:"2"` // bytes; 0 is 1 GiB
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
	return errors.Join(s.checkEnv(), s.checkMounts())
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
	seen := []string{"/"}
	take := func(guest string) error {
		switch {
		case !path.IsAbs(guest) || path.Clean(guest) != guest:
			return fmt.Errorf("mount %q: want an absolute path of the guest", guest)
		case guest == "/":
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
		if err := take(d.Guest); err != nil {
			return err
		}
	}
	for _, t := range s.Tmpfs {
		if err := take(t.Guest); err != nil {
			return err
		}
	}
	return nil
}
