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
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

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
)

// RandomID makes a number of n bytes, in hexadecimal.
func RandomID(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
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

// taken says what to do about a name that is taken.
func (s *Store) taken(name string) error {
	remedy := "remove that one with: stasis rm " + name
	if (&Entry{store: s, dir: s.path(name)}).Running() {
		remedy = "it is running"
	}
	return fmt.Errorf("system %s: %w (%s, or choose another name with --name)", name, ErrTaken, remedy)
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

// Socket is where the running system with this id answers.
func (s *Store) Socket(id string) string { return filepath.Join(s.run, id+".sock") }
