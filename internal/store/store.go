// Package store keeps what outlives a command: the systems of a user by name,
// and how they ended, and where the images lie.
//
//	STATE/systems/NAME/    a system
//	    lock               held by its host process as long as that lives
//	    system.json        what it is
//	    run.json           its latest run
//	    exit               how that ended: empty until it has
//	    attempts           its checkpoints, a line for each begin and end
//	    log, log.1         its latest output, and the output before that
//	STATE/images/GEN/      an image, by its generation
//	STATE/tags/NAME        the generation that a name stands for
//	RUN/ID.sock            where a running system answers
//
// There is no daemon. A lock ends with whoever held it; what a process left that
// was killed, whoever looks next removes.
package store

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/spec"
)

// A Store is where a user's systems and images are kept.
type Store struct{ state, run string }

// Default is the user's store: $STASIS_HOME, or for root /var/lib/stasis and
// /run/stasis, or below $XDG_STATE_HOME and $XDG_RUNTIME_DIR.
func Default() (*Store, error) {
	state, run, err := defaultDirs()
	if err != nil {
		return nil, err
	}
	return open(state, run)
}

func defaultDirs() (state, run string, err error) {
	if home := os.Getenv("STASIS_HOME"); home != "" {
		return home, filepath.Join(home, "run"), nil
	}
	root := os.Getuid() == 0
	switch x := os.Getenv("XDG_STATE_HOME"); {
	case x != "":
		state = filepath.Join(x, "stasis")
	case root:
		state = "/var/lib/stasis"
	default:
		home, err := os.UserHomeDir()
		if err != nil {
			return "", "", fmt.Errorf("state directory: %w (set XDG_STATE_HOME)", err)
		}
		state = filepath.Join(home, ".local", "state", "stasis")
	}
	switch x := os.Getenv("XDG_RUNTIME_DIR"); {
	case x != "":
		run = filepath.Join(x, "stasis")
	case root:
		run = "/run/stasis"
	default:
		run = filepath.Join(state, "run") // no runtime directory: it lasts longer than it need
	}
	return state, run, nil
}

// Open opens or makes the store in one directory.
func Open(dir string) (*Store, error) { return open(dir, filepath.Join(dir, "run")) }

func open(state, run string) (*Store, error) {
	s := &Store{state, run}
	for _, p := range []*string{&s.state, &s.run} {
		abs, err := filepath.Abs(*p)
		if err != nil {
			return nil, fmt.Errorf("state directory: %w", err)
		}
		*p = abs
	}
	for _, dir := range []string{s.systems(), s.Images(), s.tags(), s.run} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("state directory: %w (set STASIS_HOME to a writable one)", err)
		}
	}
	return s, nil
}

func (s *Store) systems() string { return filepath.Join(s.state, "systems") }
func (s *Store) tags() string    { return filepath.Join(s.state, "tags") }

// Images is the directory that images are kept in.
func (s *Store) Images() string { return filepath.Join(s.state, "images") }

// State is the directory of what lasts, Run that of what a reboot ends.
func (s *Store) State() string { return s.state }

// Run is the directory of sockets.
func (s *Store) Run() string { return s.run }

// Errors of a store.
var (
	ErrNotFound = errors.New("no such system")
	ErrTaken    = errors.New("the name is taken")
	ErrRunning  = errors.New("the system is running")
	ErrBusy     = errors.New("another command is changing the system")
)

// RandomID makes a number of n bytes, in hexadecimal.
func RandomID(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

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

// An Exit is how a run ended.
type Exit struct {
	Code       int       `json:"code"` // for the shell
	Signal     int32     `json:"signal,omitempty"`
	Trap       string    `json:"trap,omitempty"`
	Stack      string    `json:"stack,omitempty"`      // of the trap, for people
	Checkpoint string    `json:"checkpoint,omitempty"` // it was saved there and stopped
	Limit      string    `json:"limit,omitempty"`      // that ended it: timeout, cpu-time
	Error      string    `json:"error,omitempty"`      // its host process failed
	Unexpected bool      `json:"unexpected,omitempty"` // nobody wrote how
	Ended      time.Time `json:"ended"`
}

// An Entry is a system's directory.
type Entry struct {
	store *Store
	dir   string
	lock  *os.File // held; nil for others
}

func (s *Store) path(name string) string { return filepath.Join(s.systems(), name) }

// checkName refuses what cannot be the name of a system or an image.
func checkName(name string) error {
	if err := spec.CheckName(name); err != nil {
		return &fault.Error{Kind: fault.Invalid, Err: err}
	}
	return nil
}

// Create makes the directory of a new system, and holds its lock. The directory
// gets its name when all is in it, so nobody ever sees half of one.
func (s *Store) Create(name string, sys System) (*Entry, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	to := s.path(name)
	if _, err := os.Lstat(to); err == nil {
		s.Sweep() // it may be one that is to go
		if _, err := os.Lstat(to); err == nil {
			return nil, s.taken(name)
		}
	}
	dir, err := os.MkdirTemp(s.systems(), tempPrefix)
	if err != nil {
		return nil, fmt.Errorf("system %s: %w", name, err)
	}
	e := &Entry{store: s, dir: dir}
	if err := errors.Join(e.Hold(), e.write("system.json", sys)); err != nil {
		e.Release()
		return nil, errors.Join(fmt.Errorf("system %s: %w", name, err), os.RemoveAll(dir))
	}
	if err := e.moveTo(to); err != nil {
		e.Release()
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return e, nil
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

// taken says what to do about a name that is taken.
func (s *Store) taken(name string) error {
	remedy := "remove that one with: stasis rm " + name
	if (&Entry{store: s, dir: s.path(name)}).Running() {
		remedy = "it is running"
	}
	return fmt.Errorf("system %s: %w (%s, or choose another name with --name)", name, ErrTaken, remedy)
}

// tempPrefix begins the names of directories that are being made or removed.
const tempPrefix = ".tmp-"

// abandoned is how old must be what somebody left who may still be at it.
const abandoned = time.Minute

// Sweep removes what processes left that were killed, and systems that were to
// go when they had ended.
func (s *Store) Sweep() {
	entries, _ := os.ReadDir(s.systems())
	live := make(map[string]bool)
	for _, d := range entries {
		e := &Entry{store: s, dir: s.path(d.Name())}
		switch {
		case strings.HasPrefix(d.Name(), tempPrefix):
			e.sweepTemp()
		case d.IsDir():
			if id := e.sweepEnded(); id != "" {
				live[id] = true
			}
		}
	}
	s.sweepSockets(live)
	s.sweepClaims()
}

func (e *Entry) sweepTemp() {
	st, err := os.Lstat(e.dir)
	if err == nil && time.Since(st.ModTime()) > abandoned && !e.Running() {
		_ = os.RemoveAll(e.dir) // or the next one does it
	}
}

// sweepEnded removes the system if it is to go; else it returns its id.
func (e *Entry) sweepEnded() string {
	sys, err := e.System()
	if err != nil {
		return ""
	}
	if !sys.Spec.AutoRemove || e.Running() {
		return sys.ID
	}
	if _, err := e.LastRun(); err != nil {
		return sys.ID // it has not run yet
	}
	if e.Hold() == nil {
		_ = e.Remove() // or the next one does it
	}
	return ""
}

// sweepSockets removes sockets of systems that are gone.
func (s *Store) sweepSockets(live map[string]bool) {
	socks, _ := filepath.Glob(filepath.Join(s.run, "*.sock"))
	for _, p := range socks {
		st, err := os.Lstat(p)
		if err == nil && !live[strings.TrimSuffix(filepath.Base(p), ".sock")] && time.Since(st.ModTime()) > abandoned {
			_ = os.Remove(p) // the same
		}
	}
}

// Get finds a system by its name, or by its id or the start of one.
func (s *Store) Get(name string) (*Entry, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	e := &Entry{store: s, dir: s.path(name)}
	if _, err := os.Stat(filepath.Join(e.dir, "lock")); err == nil {
		return e, nil
	}
	if e := s.byID(name); e != nil {
		return e, nil
	}
	return nil, fmt.Errorf("system %s: %w (stasis ps -a lists what there is)", name, ErrNotFound)
}

// minID is the least length of an abbreviated id.
const minID = 4

func (s *Store) byID(prefix string) *Entry {
	if len(prefix) < minID {
		return nil
	}
	all, _ := s.List()
	var found *Entry
	for _, e := range all {
		if sys, err := e.System(); err == nil && strings.HasPrefix(sys.ID, prefix) {
			if found != nil {
				return nil // ambiguous
			}
			found = e
		}
	}
	return found
}

// List lists all systems by name.
func (s *Store) List() ([]*Entry, error) {
	names, err := os.ReadDir(s.systems())
	if err != nil {
		return nil, err
	}
	var out []*Entry
	for _, n := range names {
		if n.IsDir() && spec.CheckName(n.Name()) == nil {
			out = append(out, &Entry{store: s, dir: s.path(n.Name())})
		}
	}
	return out, nil
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
	if err := tryLock(f); err != nil {
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

// Socket is where the running system with this id answers.
func (s *Store) Socket(id string) string { return filepath.Join(s.run, id+".sock") }

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

// SetSystem writes what the system is.
func (e *Entry) SetSystem(s System) error { return e.write("system.json", s) }

// LastRun reads the latest run; fs.ErrNotExist says that there was none.
func (e *Entry) LastRun() (r Run, err error) { return r, e.read("run.json", &r) }

// SetRun writes the latest run.
func (e *Entry) SetRun(r Run) error { return e.write("run.json", r) }

// NewExit makes the file that the end of a run is written to.
func (e *Entry) NewExit() (*os.File, error) {
	if err := os.Remove(filepath.Join(e.dir, "exit")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return e.File("exit", os.O_CREATE|os.O_EXCL|os.O_RDWR)
}

// codeUnexpected is the exit code of a system whose host process went without a
// word, most likely by SIGKILL.
const codeUnexpected = 128 + 9

// Exit tells how the latest run ended. A host process that went without a word
// is an unexpected exit. fs.ErrNotExist says that there was no run, or that it
// has not ended.
func (e *Entry) Exit() (Exit, error) {
	f, err := e.File("exit", os.O_RDONLY)
	if err != nil {
		return Exit{}, err
	}
	defer f.Close()
	x, err := readExit(f)
	if err != nil && e.Running() {
		return Exit{}, fs.ErrNotExist
	}
	if err != nil {
		x, err = readExit(f) // it may have ended meanwhile
	}
	if err != nil {
		x = Exit{Code: codeUnexpected, Unexpected: true, Error: "its host process ended unexpectedly"}
	}
	return x, nil
}

// maxFile bounds the small files of a system, in bytes.
const maxFile = 16 << 20

// readExit reads how a run ended, as its host process wrote it.
func readExit(f *os.File) (x Exit, err error) {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, maxFile))
	if err != nil {
		return x, err
	}
	err = json.Unmarshal(b, &x)
	for _, s := range []*string{&x.Trap, &x.Stack, &x.Checkpoint, &x.Limit, &x.Error} {
		*s = fault.Clean(*s) // it is printed, and the process may have been subverted
	}
	return x, err
}

// WriteExit writes how a run ended, to what NewExit made.
func WriteExit(f *os.File, x Exit) error {
	b, err := json.Marshal(x)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(append(b, '\n'), 0)
	return err
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
