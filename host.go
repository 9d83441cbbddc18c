package stasis

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/stasis-run/stasis/internal/codecache"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/launch"
	"github.com/stasis-run/stasis/internal/store"
)

// A Host is where systems are kept and run. The zero value is this user's.
type Host struct {
	// Home is the directory of all state. The default is $STASIS_HOME, or for
	// root /var/lib/stasis and /run/stasis, or below $XDG_STATE_HOME and
	// $XDG_RUNTIME_DIR.
	Home string

	// Executable is the program that host processes are started from. The
	// default is this one if it called SandboxMain, else stasis in the PATH.
	Executable string

	// Cache is the directory of compiled code. The default is below
	// $XDG_CACHE_HOME. NoCache does without.
	Cache   string
	NoCache bool

	// CacheSize is how many bytes of compiled code are kept. Whoever adds some
	// removes what was used longest ago. 0 is DefaultCacheSize; below 0, no limit.
	CacheSize int64

	// Jail is JailOn by default.
	Jail Jail

	// Progress is told what takes long: "rewriting", "compiling", "saving", "preparing",
	// "restoring", "exporting", "importing". One may begin within another.
	// done is nil at the begin and called at the end.
	Progress func(what string) (done func())

	mu       sync.Mutex
	prepared *seed // see Prepare; protected by mu

	once  sync.Once
	store *store.Store
	err   error

	images image.FS // where images are made; nil is image.OS
}

func (h *Host) imageFS() image.FS {
	if h.images == nil {
		return image.OS
	}
	return h.images
}

// open opens the store.
func (h *Host) open() (*store.Store, error) {
	h.once.Do(func() {
		if h.Home != "" {
			h.store, h.err = store.Open(h.Home)
		} else {
			h.store, h.err = store.Default()
		}
	})
	return h.store, h.err
}

// CacheDir is the directory of compiled code, or "" if there is none.
func (h *Host) CacheDir() string {
	if h.NoCache {
		return ""
	}
	if h.Cache != "" {
		return h.Cache
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "stasis", "code")
}

// cache opens the cache of compiled code; nil is none.
func (h *Host) cache() *codecache.Cache {
	dir := h.CacheDir()
	if dir == "" {
		return nil
	}
	c, err := codecache.Open(dir, h.cacheSize())
	if err != nil {
		return nil // it costs time, later
	}
	return c
}

// DefaultCacheSize is how many bytes of compiled code a Host keeps by default.
const DefaultCacheSize = 4 << 30

func (h *Host) cacheSize() int64 {
	if h.CacheSize == 0 {
		return DefaultCacheSize
	}
	return max(h.CacheSize, 0)
}

func (h *Host) executable() (string, error) {
	if h.Executable != "" {
		return filepath.Abs(h.Executable)
	}
	return launch.Executable(selfHosting)
}

func (h *Host) jail() string {
	if h.Jail == "" {
		return string(JailOn)
	}
	return string(h.Jail)
}

// stages tells Progress how a module is compiled.
func (h *Host) stages() func(what string) {
	current, done := "", func() {}
	return func(what string) {
		if what == current {
			return
		}
		done()
		if current, done = what, func() {}; what != "" {
			done = h.progress(what)
		}
	}
}

// progress tells that something begins, and returns what tells its end.
func (h *Host) progress(what string) func() {
	if h.Progress == nil {
		return func() {}
	}
	return h.Progress(what)
}

// Dirs are the directories of what lasts, and of what a reboot ends.
func (h *Host) Dirs() (state, run string, err error) {
	st, err := h.open()
	if err != nil {
		return "", "", failed("open", "", err)
	}
	return st.State(), st.Run(), nil
}

// Program is the program that host processes are started from.
func (h *Host) Program() (string, error) {
	exe, err := h.executable()
	return exe, failed("open", "", err)
}

// Sweep removes what processes left that were killed: half-made systems and
// images, and sockets. Whoever lists systems or images does the same.
func (h *Host) Sweep(ctx context.Context) error {
	st, err := h.open()
	if err != nil {
		return failed("sweep", "", err)
	}
	st.Sweep()
	if c := h.cache(); c != nil {
		c.Sweep()
	}
	return failed("sweep", "", image.Clean(image.OS, st.Images()))
}

var errNoCache = errors.New("there is no place for compiled code")

// New makes a system that does not run yet.
func (h *Host) New(ctx context.Context, o Options) (*System, error) {
	s, err := h.create(o)
	if err == nil && s.entry != nil {
		s.entry.Release()
	}
	return s, err
}

// create is New; the system's lock is still held.
func (h *Host) create(o Options) (*System, error) {
	if o.Name == "" {
		o.Name = "s" + store.RandomID(4)
	}
	o.Spec.Version = SpecVersion
	if err := o.Spec.Check(); err != nil {
		return nil, failed("create", o.Name, invalid(err))
	}
	if o.Isolation == InProcess {
		return h.newEmbedded(o), nil
	}
	st, err := h.open()
	if err != nil {
		return nil, failed("create", o.Name, err)
	}
	sys := store.System{ID: store.RandomID(8), Created: time.Now(), Owner: os.Getuid(), Spec: o.Spec}
	e, err := st.Create(o.Name, sys)
	if err != nil {
		return nil, failed("create", "", err)
	}
	return &System{host: h, entry: e, opts: o, saved: sys}, nil
}

// Run makes a system and starts it.
func (h *Host) Run(ctx context.Context, o Options) (*System, error) {
	seed := h.seedFor(&o)
	s, err := h.create(o)
	if err != nil {
		seed.drop()
		return nil, err
	}
	s.seed = seed
	if err := s.Start(ctx, o.Start); err != nil {
		_ = s.Remove(ctx, RemoveOptions{Force: true}) // it never ran
		return nil, err
	}
	return s, nil
}

// Restore makes a system of an image (see [Host.Image]) and wakes it. Of o it takes
// what the caller grants and limits; the program is in the image. An image can be
// restored any number of times: each system has an id and randomness of its own.
func (h *Host) Restore(ctx context.Context, ref string, o Options) (*System, error) {
	im, err := h.Image(ctx, ref)
	if err != nil {
		return nil, err
	}
	o.Image, o.TTY = im.Dir, o.TTY || im.TTY()
	return h.Run(ctx, o)
}

// Open finds a system by its name, or by its id or the start of one.
func (h *Host) Open(ctx context.Context, name string) (*System, error) {
	st, err := h.open()
	if err != nil {
		return nil, failed("open", name, err)
	}
	e, err := st.Get(name)
	if err != nil {
		return nil, failed("open", "", err)
	}
	sys, err := e.System()
	if err != nil {
		return nil, failed("open", name, err)
	}
	return &System{host: h, entry: e, opts: Options{Name: e.Name(), Spec: sys.Spec}, saved: sys}, nil
}

// A Query says which systems List lists. The zero value is all.
type Query struct {
	Running bool              // only those that run
	Labels  map[string]string // that have these labels; an empty value is any
}

func (q *Query) matches(e *store.Entry, s *store.System) bool {
	if q.Running && !e.Running() {
		return false
	}
	for k, want := range q.Labels {
		if got, ok := s.Spec.Labels[k]; !ok || want != "" && got != want {
			return false
		}
	}
	return true
}

// List lists systems by name.
func (h *Host) List(ctx context.Context, q Query) ([]*System, error) {
	st, err := h.open()
	if err != nil {
		return nil, failed("list", "", err)
	}
	st.Sweep()
	entries, err := st.List()
	if err != nil {
		return nil, failed("list", "", err)
	}
	var out []*System
	for _, e := range entries {
		sys, err := e.System()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, failed("list", e.Name(), err)
		}
		if q.matches(e, &sys) {
			out = append(out, &System{host: h, entry: e, opts: Options{Name: e.Name(), Spec: sys.Spec}, saved: sys})
		}
	}
	return out, nil
}

// Run, New, Open and List are those of this user's Host.
func Run(ctx context.Context, o Options) (*System, error) { return defaultHost.Run(ctx, o) }

// New is the default Host's.
func New(ctx context.Context, o Options) (*System, error) { return defaultHost.New(ctx, o) }

// Restore is the default Host's.
func Restore(ctx context.Context, ref string, o Options) (*System, error) {
	return defaultHost.Restore(ctx, ref, o)
}

// Open is the default Host's.
func Open(ctx context.Context, name string) (*System, error) { return defaultHost.Open(ctx, name) }

// List is the default Host's.
func List(ctx context.Context, q Query) ([]*System, error) { return defaultHost.List(ctx, q) }

var defaultHost = &Host{}
