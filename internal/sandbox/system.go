package sandbox

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
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
	"github.com/stasis-run/stasis/internal/wasm"
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
	if s.module, err = os.ReadFile(c.File); err != nil {
		return s, err
	}
	if err := s.compile(ctx); err != nil {
		return s, err
	}
	return s, s.bootModule(ctx)
}

func (s *System) openEngine(ctx context.Context) (err error) {
	if s.config.Cache != "" {
		if s.cache, err = wazero.OpenCache(s.config.Cache); err != nil {
			return err
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
			return "", nil, errors.New("the module exports no function _start: it is no WASI command (use --invoke FUNC for another function)")
		}
		return "", nil, fmt.Errorf("the module exports no function %s", name)
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
	var missing *vfs.MissingError
	if errors.As(err, &missing) {
		return fmt.Errorf("%w (grant it with %s)", err, grantFlag(missing))
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
	for {
		k := s.Kernel()
		if err := k.Start(); err != nil {
			return kernel.ExitStatus{}, err
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
			if err := s.wakeElsewhere(ctx, stop); err != nil {
				return kernel.ExitStatus{}, fmt.Errorf("stress checkpoint: %w", err)
			}
		}
	}
}

// wakeElsewhere saves the stopped system, drops it, and wakes the image.
func (s *System) wakeElsewhere(ctx context.Context, stop *kernel.ExternalStop) error {
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

func (s *System) saveOptions(dir string, leave bool) checkpoint.Options {
	return checkpoint.Options{
		Dir: dir, Leave: leave, Module: s.module, Version: Version, FS: image.OS,
		Info: map[string]string{
			"name": s.config.Name, "program": s.config.File, "args": strings.Join(s.config.Args, " "),
			"module": hex.EncodeToString(digest(s.code)),
		},
	}
}

func digest(m engine.Module) []byte {
	d := m.Digest()
	return d[:]
}

// Checkpoint writes an image of the running system. Without leave the system
// ends after it, as by SIGKILL, but says so in its exit.
func (s *System) Checkpoint(ctx context.Context, dir string, leave bool) (checkpoint.Stats, error) {
	return checkpoint.Save(ctx, s.Kernel(), s.world.World, s.saveOptions(dir, leave))
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

// parseValue reads an argument of --invoke.
func parseValue(s string, t wasm.ValType) (uint64, error) {
	switch t {
	case wasm.I32:
		if v, err := strconv.ParseInt(s, 0, 32); err == nil {
			return uint64(uint32(v)), nil
		}
		v, err := strconv.ParseUint(s, 0, 32)
		return v, err
	case wasm.I64:
		if v, err := strconv.ParseInt(s, 0, 64); err == nil {
			return uint64(v), nil
		}
		return strconv.ParseUint(s, 0, 64)
	case wasm.F32:
		v, err := strconv.ParseFloat(s, 32)
		return f32bits(v), err
	case wasm.F64:
		v, err := strconv.ParseFloat(s, 64)
		return f64bits(v), err
	}
	return 0, fmt.Errorf("values of type %v cannot be given", t)
}
