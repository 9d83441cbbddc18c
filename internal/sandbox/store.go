package sandbox

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"golang.org/x/sys/unix"
)

// A Store is the directory of named systems: one directory each, with
//
//	lock         held by the system's host process as long as it lives; at its end
//	             it gets a copy of exit.json, for those who wait
//	info.json    what it is
//	control.sock where it answers
//	log          output of a detached system
//	exit.json    how it ended
type Store struct{ dir string }

// DefaultStore is the user's store: $STASIS_HOME, /run/stasis for root, or
// below $XDG_STATE_HOME.
func DefaultStore() (*Store, error) {
	dir := os.Getenv("STASIS_HOME")
	if dir == "" {
		state := os.Getenv("XDG_STATE_HOME")
		switch {
		case state != "":
			dir = filepath.Join(state, "stasis")
		case os.Getuid() == 0:
			dir = "/run/stasis"
		default:
			home, err := os.UserHomeDir()
			if err != nil {
				return nil, fmt.Errorf("state directory: %w (set XDG_STATE_HOME)", err)
			}
			dir = filepath.Join(home, ".local", "state", "stasis")
		}
	}
	return OpenStore(dir)
}

// OpenStore opens or makes a store.
func OpenStore(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, "systems"), 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w (set STASIS_HOME to a writable one)", err)
	}
	return &Store{dir}, nil
}

// Errors of a store.
var (
	ErrNotFound = errors.New("no such system")
	ErrTaken    = errors.New("the name is taken")
	ErrRunning  = errors.New("the system is running")
	ErrGone     = errors.New("the system has ended")
)

var validName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$`)

// CheckName refuses what cannot be a system's name.
func CheckName(name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("name %q: want 1 to 63 letters, digits, '_', '.' or '-', a letter or digit first", name)
	}
	return nil
}

// RandomName makes a name.
func RandomName() string {
	b := make([]byte, 4)
	_, _ = rand.Read(b) // never fails
	return "s" + hex.EncodeToString(b)
}

// Info is what a store says of a system.
type Info struct {
	Name    string
	PID     int // of its host process
	Program string
	Args    []string
	Image   string    `json:",omitempty"` // what it was restored from
	Started time.Time // by the host's clock
	Detach  bool
}

// Exit is how a system ended.
type Exit struct {
	Code       int    // for the shell
	Signal     int32  `json:",omitempty"`
	Trap       string `json:",omitempty"`
	Checkpoint string `json:",omitempty"` // it was saved there and stopped
	Error      string `json:",omitempty"` // it never ran, or its host process failed
	Unexpected bool   `json:",omitempty"` // nobody wrote how
	Ended      time.Time
}

// An Entry is a system's directory.
type Entry struct {
	dir  string
	lock *os.File // held by the owner; nil for others
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, "systems", name) }

// Create makes the directory of a new system and holds its lock. The directory
// of one that has ended keeps its name until it is removed. The directory gets
// its name only when it is locked, so nobody ever sees one without an owner.
func (s *Store) Create(name string) (*Entry, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	s.sweep()
	to := s.path(name)
	if _, err := os.Lstat(to); err == nil {
		return nil, s.taken(name)
	}
	dir, err := os.MkdirTemp(filepath.Dir(to), tempPrefix)
	if err != nil {
		return nil, fmt.Errorf("system %s: %w", name, err)
	}
	e := &Entry{dir: dir}
	if err := e.hold(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := os.Rename(dir, to); err != nil { // it replaces no directory that has a lock in it
		e.Release()
		if errors.Is(err, fs.ErrExist) || errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.ENOTDIR) {
			err = s.taken(name)
		}
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	e.dir = to
	return e, nil
}

// taken says what to do about a name that is taken.
func (s *Store) taken(name string) error {
	remedy := "remove that one with: stasis rm " + name
	if (&Entry{dir: s.path(name)}).Running() {
		remedy = "it is running"
	}
	return fmt.Errorf("system %s: %w (%s, or choose another name with --name)", name, ErrTaken, remedy)
}

// tempPrefix begins the names of directories that are being made or removed.
const tempPrefix = ".tmp-"

// sweep removes what processes left that were killed while they made or
// removed a directory. One that nobody has locked by now is such a one.
func (s *Store) sweep() {
	dirs, _ := filepath.Glob(filepath.Join(s.dir, "systems", tempPrefix+"*"))
	for _, dir := range dirs {
		st, err := os.Lstat(dir)
		if err == nil && time.Since(st.ModTime()) > time.Minute && !(&Entry{dir: dir}).Running() {
			_ = os.RemoveAll(dir) // or the next one does it
		}
	}
}

// Adopt makes the entry of a directory that Create has made in a parent
// process, whose lock has been inherited.
func (s *Store) Adopt(name string, lock *os.File) *Entry {
	return &Entry{dir: s.path(name), lock: lock}
}

func (e *Entry) hold() error {
	f, err := os.OpenFile(filepath.Join(e.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return fmt.Errorf("lock: %w", err)
	}
	e.lock = f
	return nil
}

// Release gives the lock up; the directory stays.
func (e *Entry) Release() {
	if e.lock != nil {
		e.lock.Close()
		e.lock = nil
	}
}

// Remove removes the directory and gives the lock up: whoever sees the lock
// free sees the name free, too.
func (e *Entry) Remove() error {
	defer e.Release()
	gone := filepath.Join(filepath.Dir(e.dir), tempPrefix+"gone-"+e.Name()+"-"+RandomName())
	if err := os.Rename(e.dir, gone); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return os.RemoveAll(gone)
}

// Get finds a system.
func (s *Store) Get(name string) (*Entry, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	e := &Entry{dir: s.path(name)}
	if _, err := os.Stat(e.dir); err != nil {
		return nil, fmt.Errorf("system %s: %w (stasis ps -a lists what there is)", name, ErrNotFound)
	}
	return e, nil
}

// List lists all systems by name.
func (s *Store) List() ([]*Entry, error) {
	names, err := os.ReadDir(filepath.Join(s.dir, "systems"))
	if err != nil {
		return nil, err
	}
	var out []*Entry
	for _, n := range names {
		if n.IsDir() && validName.MatchString(n.Name()) {
			out = append(out, &Entry{dir: s.path(n.Name())})
		}
	}
	return out, nil
}

// Name is the system's name.
func (e *Entry) Name() string { return filepath.Base(e.dir) }

// Running reports whether the system's host process lives: it holds the lock.
func (e *Entry) Running() bool {
	if e.lock != nil {
		return true
	}
	f, err := os.Open(filepath.Join(e.dir, "lock"))
	if err != nil {
		return false
	}
	defer f.Close()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			return err != nil
		}
	}
}

// LogPath is where the output of a detached system goes.
func (e *Entry) LogPath() string { return filepath.Join(e.dir, "log") }

// SetInfo and Info write and read what the system is.
func (e *Entry) SetInfo(i Info) error { return e.write("info.json", i) }

// Info reads what the system is.
func (e *Entry) Info() (i Info, err error) { return i, e.read("info.json", &i) }

// SetExit writes how the system ended. Preconditions: the caller has the lock.
func (e *Entry) SetExit(x Exit) error {
	if b, err := json.Marshal(x); err == nil {
		_, _ = e.lock.WriteAt(b, 0) // for those who wait; exit.json counts
	}
	return e.write("exit.json", x)
}

// codeUnexpected is the exit code of a system whose host process went without a
// word, most likely by SIGKILL.
const codeUnexpected = 128 + 9

// unexpected is the exit of such a system.
func unexpected() Exit {
	return Exit{Code: codeUnexpected, Unexpected: true, Error: "its host process ended unexpectedly"}
}

// Exit tells how the system ended. A host process that went without a word is
// an unexpected exit.
func (e *Entry) Exit() (Exit, error) {
	var x Exit
	err := e.read("exit.json", &x)
	if errors.Is(err, fs.ErrNotExist) && !e.Running() {
		return unexpected(), nil
	}
	return x, err
}

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
	b, err := os.ReadFile(filepath.Join(e.dir, name))
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// Delete removes the directory of a system that has ended.
func (e *Entry) Delete() error {
	if e.Running() {
		return fmt.Errorf("system %s: %w (end it with: stasis kill %s, or remove it with rm -f)", e.Name(), ErrRunning, e.Name())
	}
	return e.Remove()
}
