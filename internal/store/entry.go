package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/spec"
)

// A System is what a store says of a system.
type System struct {
	ID      string    `json:"id"` // 64 bits, in hexadecimal
	Created time.Time `json:"created"`
	Owner   int       `json:"owner"` // uid
	Spec    spec.Spec `json:"spec"`
}

// A Run is one run of a system.
type Run struct {
	PID        int       `json:"pid"` // of its host process
	Started    time.Time `json:"started"`
	Foreground bool      `json:"foreground,omitempty"` // it ends with the command that started it
	Jail       any       `json:"jail,omitempty"`       // which layers hold
	Version    string    `json:"version"`              // of the program that hosts it
}

// An Entry is a system's directory.
type Entry struct {
	store *Store
	dir   string
	lock  *os.File // held; nil for others
}

// moveTo gives the directory a name that must be free.
func (e *Entry) moveTo(to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, e.dir, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	switch {
	case errors.Is(err, unix.EEXIST):
		return e.store.taken(filepath.Base(to))
	case err != nil:
		return fmt.Errorf("system %s: %w", filepath.Base(to), err)
	}
	e.dir = to
	return nil
}

// Rename gives a system another name. It may run.
func (e *Entry) Rename(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	return e.moveTo(e.store.path(name))
}

// Name is the system's name.
func (e *Entry) Name() string { return filepath.Base(e.dir) }

// Dir is the system's directory.
func (e *Entry) Dir() string { return e.dir }

// File opens a file of the system's directory. It does not follow a symbolic link,
// and does not wait for the other end of a pipe.
func (e *Entry) File(name string, flags int) (*os.File, error) {
	return os.OpenFile(filepath.Join(e.dir, name), flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
}

// Hold takes the lock, which says that the system runs or is being changed. It
// fails with ErrRunning if somebody has it.
func (e *Entry) Hold() error {
	f, err := e.File("lock", os.O_CREATE|os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound // removed
	}
	if err != nil {
		return err
	}
	if err := lockSoon(f); err != nil {
		f.Close()
		return err
	}
	// Whoever removed the directory had the lock: look whether it is this one still.
	here, err1 := os.Stat(filepath.Join(e.dir, "lock"))
	ours, err2 := f.Stat()
	if err1 != nil || err2 != nil || !os.SameFile(here, ours) {
		f.Close()
		return ErrNotFound
	}
	e.lock = f
	return nil
}

// Lock is the held lock, to be inherited by a process, which then holds it, too.
func (e *Entry) Lock() *os.File { return e.lock }

// Release gives the lock up; the directory stays.
func (e *Entry) Release() {
	if e.lock != nil {
		e.lock.Close()
		e.lock = nil
	}
}

// Remove removes the directory and gives the lock up: whoever sees the lock
// free sees the name free, too.
//
// Preconditions: the lock is held.
func (e *Entry) Remove() error {
	defer e.Release()
	if sys, err := e.System(); err == nil {
		_ = os.Remove(e.store.Socket(sys.ID)) // there may be none
	}
	gone := filepath.Join(e.store.systems(), tempPrefix+"gone-"+RandomID(8))
	if err := os.Rename(e.dir, gone); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return os.RemoveAll(gone)
}

// Running reports whether somebody holds the system's lock.
func (e *Entry) Running() bool {
	if e.lock != nil {
		return true
	}
	f, err := e.File("lock", os.O_RDONLY)
	if err != nil {
		return false
	}
	defer f.Close()
	free, err := isFree(f)
	return err == nil && !free
}

// System reads what the system is.
func (e *Entry) System() (s System, err error) { return s, e.read("system.json", &s) }

// LastRun reads the latest run; fs.ErrNotExist says that there was none.
func (e *Entry) LastRun() (r Run, err error) { return r, e.read("run.json", &r) }

// SetRun writes the latest run.
func (e *Entry) SetRun(r Run) error { return e.write("run.json", r) }

// maxFile bounds the small files of a system, in bytes.
const maxFile = 16 << 20

func (e *Entry) write(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	tmp := filepath.Join(e.dir, "."+name)
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(e.dir, name))
}

func (e *Entry) read(name string, v any) error {
	f, err := e.File(name, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
