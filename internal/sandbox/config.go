// Package sandbox is the host process of one system: it builds the system of a
// Config or an image, runs it, answers commands on a socket, and leaves behind
// how it ended. The store of named systems is here as well.
package sandbox

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/stasis-run/stasis/internal/vfs/hostfs"
)

// A Dir is a directory of the host that a guest is given.
type Dir struct {
	Host, Guest string
	ReadOnly    bool
}

// ParseDir reads HOST[:GUEST][:ro]. The guest path defaults to the host's.
func ParseDir(s string) (Dir, error) {
	parts := strings.Split(s, ":")
	d := Dir{Host: parts[0]}
	if n := len(parts); n > 1 && parts[n-1] == "ro" {
		d.ReadOnly = true
		parts = parts[:n-1]
	}
	switch {
	case d.Host == "" || len(parts) > 2:
		return d, fmt.Errorf("directory %q: want HOST[:GUEST][:ro]", s)
	case len(parts) == 2:
		d.Guest = parts[1]
	default:
		d.Guest = d.Host
	}
	host, err := filepath.Abs(d.Host)
	if err != nil {
		return d, fmt.Errorf("directory %q: %w", s, err)
	}
	d.Host = host
	if !path.IsAbs(d.Guest) {
		d.Guest = "/" + d.Guest
	}
	if d.Guest = path.Clean(d.Guest); d.Guest == "/" {
		return d, fmt.Errorf("directory %q: the guest's root is the sandbox's own; name another path, such as %s:/work", s, d.Host)
	}
	return d, nil
}

// A Grant is what a caller gives a system of the host. It never comes from an
// image.
type Grant struct {
	Dirs        []Dir
	Listen      []string // tcp:HOST:PORT
	Interactive bool     // the guest reads the caller's stdin; else an empty one
	Policy      hostfs.Policy
	Memory      int64 // bytes; 0 is all that wasm can have
}

// A Config describes a system to be run.
type Config struct {
	Name  string
	Named bool // by the user; else it is a random name
	TTY   bool // the guest has this terminal
	Grant
	File    string // the module's file, as the user named it
	Args    []string
	Env     []string
	Workdir string
	Invoke  string // exported function; "" is _start
	Params  []string
	Timeout time.Duration
	Cache   string // directory of compiled code; "" is none

	Image string // restore this image; the fields of the program are then its own

	StressUnwind     int32
	StressCheckpoint int32
}

// stress is at how many safepoints the guest is stopped, or 0.
func (c *Config) stress() int32 { return max(c.StressUnwind, c.StressCheckpoint) }
