package sandbox

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/stasis-run/stasis/internal/checkpoint"
	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/ktime"
	"github.com/stasis-run/stasis/internal/syscalls/wasip1"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
)

// Version is the program's version.
const Version = "0.1.0-dev"

// A System is one system in this process.
type System struct {
	config Config
	engine *wazero.Engine
	cache  *wazero.Cache
	code   engine.Module
	module []byte

	world  *world
	kernel atomic.Pointer[kernel.Kernel] // another one after each stress checkpoint
	stops  chan *kernel.ExternalStop     // of StressCheckpoint
	fatal  atomic.Int32                  // signal that was sent to end the system, or 0

	saving sync.Mutex // held while an image is written; guards world against it
	saved  string     // image after which the system is ended; protected by saving
}

// Boot builds the system that c describes. It does not run before Run.
func Boot(ctx context.Context, c Config) (s *System, err error) {
	s = &System{config: c, stops: make(chan *kernel.ExternalStop, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.openEngine(ctx); err != nil {
		return s, err
	}
	if c.Image != "" {
		return s, s.bootImage(ctx, c.Image)
	}
	if s.module, err = readModule(c.File); err != nil {
		return s, err
	}
	if err := s.compile(ctx); err != nil {
		return s, err
	}
	return s, s.bootModule(ctx)
}

// maxModule bounds a module's file, in bytes: an image holds no larger one.
const maxModule = 1 << 30

// readModule reads a module's file. What cannot be a module is named for what
// it is.
func readModule(name string) ([]byte, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, cause(err)
	}
	if st.Size() > maxModule {
		return nil, &cannotRunError{fmt.Errorf("%d bytes, a module has at most %d", st.Size(), maxModule)}
	}
	b, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, &cannotRunError{advise(cause(err), "give yourself the permission to read it")}
	case err != nil:
		return nil, cause(err)
	case len(b) == 0:
		return nil, &cannotRunError{advise(errors.New("the file is empty"), "build or fetch it again")}
	case bytes.HasPrefix(bytes.TrimSpace(b[:min(len(b), 1<<10)]), []byte("(module")):
		return nil, &cannotRunError{advise(errors.New("it is WebAssembly text"), "make a module of it with wat2wasm")}
	case !bytes.HasPrefix(b, []byte("\x00asm")):
		return nil, &cannotRunError{advise(errors.New("it is not a WebAssembly module"), "name a .wasm file")}
	}
	return b, nil
}

func (s *System) openEngine(ctx context.Context) (err error) {
	if s.config.Cache != "" {
		if s.cache, err = wazero.OpenCache(s.config.Cache); err != nil {
			return advise(err, "do without it: --no-cache, or set XDG_CACHE_HOME to a writable place")
		}
	}
	s.engine, err = wazero.New(ctx, wazero.Options{
		Cache:   s.cache,
		Workers: runtime.NumCPU(),
		Pass:    instrument.Options{Counted: s.config.stress() > 0},
	})
	return err
}

// compile makes the code of s.module.
func (s *System) compile(ctx context.Context) (err error) {
	s.code, err = s.engine.Compile(ctx, s.module)
	return err
}

func (s *System) kernelOptions() kernel.Options {
	return kernel.Options{
		Calls:  kernel.NewCallTable(wasip1.Calls(wasip1.Options{})),
		Limits: engine.Limits{Memory: s.config.Memory},
	}
}

func (s *System) stress() kernel.Stress {
	st := kernel.Stress{Every: s.config.stress()}
	if s.config.StressCheckpoint > 0 {
		st.Stopped = func(stop *kernel.ExternalStop) { s.stops <- stop }
	}
	return st
}

func (s *System) bootModule(ctx context.Context) (err error) {
	if s.world, err = newWorld(s.config.Grant, nil); err != nil {
		return err
	}
	fds, err := s.world.newFiles(s.config.Workdir)
	if err != nil {
		return err
	}
	entry, params, err := s.entry()
	if err != nil {
		fds.CloseAll()
		return err
	}
	env := s.config.Env
	if s.config.Workdir != "" && !slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "PWD=") }) {
		env = append(slices.Clone(env), "PWD="+s.config.Workdir)
	}
	k := kernel.New(s.kernelOptions())
	s.kernel.Store(k)
	_, err = k.CreateProcess(ctx, s.code, kernel.ProcessOptions{
		Args: s.config.Args, Env: env, Files: fds, Entry: entry, EntryArgs: params, Stress: s.stress(),
	})
	if err != nil {
		fds.CloseAll()
	}
	return err
}

// entry is the function to call and its arguments.
func (s *System) entry() (name string, params []uint64, err error) {
	name = "_start"
	if s.config.Invoke != "" {
		name = s.config.Invoke
	}
	_, t, ok := s.code.Export(name)
	if !ok {
		if s.config.Invoke == "" {
			return "", nil, &cannotRunError{advise(errors.New("the module exports no function _start: it is no WASI command"), "call another function with --invoke FUNC")}
		}
		return "", nil, fmt.Errorf("the module exports no function %s", name)
	}
	if s.config.Invoke == "" && len(t.Params)+len(t.Results) > 0 {
		return "", nil, &cannotRunError{fmt.Errorf("function _start is of type %v -> %v: a WASI command's takes and returns nothing", t.Params, t.Results)}
	}
	if len(s.config.Params) != len(t.Params) {
		return "", nil, fmt.Errorf("function %s takes %d arguments %v, not %d", name, len(t.Params), t.Params, len(s.config.Params))
	}
	for i, p := range s.config.Params {
		v, err := parseValue(p, t.Params[i])
		if err != nil {
			return "", nil, fmt.Errorf("argument %d of %s: %w", i+1, name, err)
		}
		params = append(params, v)
	}
	return name, params, nil
}

// bootImage builds the system of an image.
func (s *System) bootImage(ctx context.Context, dir string) error {
	im, err := image.Open(image.OS, dir)
	if err != nil {
		return err
	}
	defer im.Close()
	st, err := checkpoint.Open(im)
	if err != nil {
		return fmt.Errorf("image %s: %w", dir, err)
	}
	if s.code == nil {
		if s.module, err = checkpoint.ModuleOf(im, st); err != nil {
			return fmt.Errorf("image %s: %w", dir, err)
		}
		if err := s.compile(ctx); err != nil {
			return fmt.Errorf("image %s: %w", dir, err)
		}
	}
	if err := s.restore(ctx, im, st); err != nil {
		return fmt.Errorf("image %s: %w", dir, err)
	}
	return nil
}

func (s *System) restore(ctx context.Context, im *image.Image, st *checkpoint.State) error {
	root, err := memfs.Restore(st.Root, memfs.Options{Now: ktime.Host.Wall})
	if err != nil {
		return fmt.Errorf("root file system: %w", err)
	}
	if s.world, err = newWorld(s.config.Grant, root); err != nil {
		return err
	}
	k, err := checkpoint.Restore(ctx, im, st, checkpoint.Restoring{
		Kernel: s.kernelOptions(), World: s.world.World, Kinds: s.world.kinds(), Module: s.code, Stress: s.stress(),
	})
	if err == nil {
		s.kernel.Store(k)
		return nil
	}
	return err
}

// grantFlag is what a user has to say to grant what is missing.
func grantFlag(m *vfs.MissingError) string {
	switch m.Kind {
	case "mount":
		return "--dir HOST:" + m.Name
	case "listener":
		return "--listen " + m.Name
	}
	return "-i"
}

// Run runs the system to its end. Under StressCheckpoint the system is another
// one after each checkpoint.
func (s *System) Run(ctx context.Context) (kernel.ExitStatus, error) {
	if err := s.Kernel().Start(); err != nil {
		return kernel.ExitStatus{}, err
	}
	for {
		k := s.Kernel()
		if sig := s.fatal.Load(); sig != 0 { // it may have come while there was no kernel
			_ = k.Init().Signal(sig) // a valid signal
		}
		gone := make(chan struct{})
		wait, cancel := context.WithCancel(ctx)
		var status kernel.ExitStatus
		var err error
		go func() {
			status, err = k.Init().Wait(wait)
			close(gone)
		}()
		select {
		case <-gone:
			cancel()
			return status, err
		case stop := <-s.stops:
			cancel()
			<-gone
			err := s.wakeElsewhere(ctx, stop)
			if errors.Is(err, kernel.ErrExiting) {
				continue // on its way out: there is nothing to wake
			}
			if err == nil {
				err = s.Kernel().Start()
			}
			if err != nil {
				return kernel.ExitStatus{}, fmt.Errorf("stress checkpoint: %w", err)
			}
		}
	}
}

// wakeElsewhere saves the stopped system, drops it, and wakes the image.
func (s *System) wakeElsewhere(ctx context.Context, stop *kernel.ExternalStop) error {
	s.saving.Lock()
	defer s.saving.Unlock()
	dir, err := os.MkdirTemp("", "stasis-stress-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	defer stop.End()
	if _, err := checkpoint.Save(ctx, s.Kernel(), s.world.World, s.saveOptions(dir+"/image", false)); err != nil {
		return err
	}
	if err := s.drop(); err != nil {
		return err
	}
	return s.bootImage(ctx, dir+"/image")
}

// Signal sends the system a signal.
func (s *System) Signal(sig int32) error {
	switch sig {
	case 0, kernel.SIGCHLD, kernel.SIGCONT, kernel.SIGSTOP, kernel.SIGTSTP, kernel.SIGTTIN, kernel.SIGTTOU, kernel.SIGURG, kernel.SIGWINCH:
	default:
		if sig > 0 && sig <= 64 {
			s.fatal.CompareAndSwap(0, sig) // before the kernel is looked at; see Run
		}
	}
	k := s.Kernel()
	if k == nil {
		return nil
	}
	return k.Init().Signal(sig)
}

func (s *System) saveOptions(dir string, leave bool) checkpoint.Options {
	return checkpoint.Options{
		Dir: dir, Leave: leave, Module: s.module, Version: Version, FS: image.OS,
		Info: map[string]string{
			"name": s.config.Name, "program": filepath.Base(s.config.File),
			"module": hex.EncodeToString(digest(s.code)),
		},
	}
}

func digest(m engine.Module) []byte {
	d := m.Digest()
	return d[:]
}

// Checkpoint writes an image of the running system. Without leave the system's
// tasks stay stopped, for the caller to end. Of several at once, one goes after
// the other.
func (s *System) Checkpoint(ctx context.Context, dir string, leave bool) (checkpoint.Stats, error) {
	s.saving.Lock()
	defer s.saving.Unlock()
	k := s.Kernel()
	if k == nil || s.saved != "" {
		return checkpoint.Stats{}, ErrGone
	}
	st, err := checkpoint.Save(ctx, k, s.world.World, s.saveOptions(dir, leave))
	if err == nil && !leave {
		s.saved = dir
	}
	return st, err
}

// Saved is the image that the system was saved to for good, or "".
func (s *System) Saved() string {
	s.saving.Lock()
	defer s.saving.Unlock()
	return s.saved
}

// Kernel is the system's kernel.
func (s *System) Kernel() *kernel.Kernel { return s.kernel.Load() }

// drop ends the kernel and gives back what of the host it had.
func (s *System) drop() error {
	var err error
	if k := s.kernel.Swap(nil); k != nil {
		err = k.Close()
	}
	if s.world != nil {
		s.world.close()
		s.world = nil
	}
	return err
}

// Close ends the system and frees all.
func (s *System) Close() error {
	errs := []error{s.drop()}
	if s.code != nil {
		errs = append(errs, s.code.Close())
		s.code = nil
	}
	if s.engine != nil {
		errs = append(errs, s.engine.Close())
		s.engine = nil
	}
	if s.cache != nil {
		errs = append(errs, s.cache.Close())
		s.cache = nil
	}
	return errors.Join(errs...)
}
