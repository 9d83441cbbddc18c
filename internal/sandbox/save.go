package sandbox

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/checkpoint"
	"github.com/stasis-run/stasis/internal/control"
	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/engine/wazero"
	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/instrument"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/version"
)

// A Save is one attempt to write an image.
type Save struct {
	Attempt    uint64
	Generation string
	Leave      bool
	Thin       bool
	DropEnv    []string
	Create     func(name string) (image.File, error)
	Publish    func() error // makes what was written an image
}

// Begin numbers an attempt.
func (s *System) Begin() (attempt uint64, generation string) {
	return s.attempts.Add(1), image.NewGeneration()
}

// Attempts is the number of the latest attempt.
func (s *System) Attempts() uint64 { return s.attempts.Load() }

// ErrBusy says that an image is being written.
var ErrBusy = errors.New("a checkpoint is under way")

// Checkpoint writes an image of the running system. Without Leave the system's
// tasks stay stopped, for the caller to end. Of several at once, one goes after
// the other; with try, the second one fails.
func (s *System) Checkpoint(ctx context.Context, v Save, where string, try bool) (st control.Stats, err error) {
	if try && !s.saving.TryLock() {
		return st, fault.Advise(fault.WrongState, ErrBusy, "wait for it")
	} else if !try {
		s.saving.Lock()
	}
	defer s.saving.Unlock()
	k := s.Kernel()
	if k == nil || s.saved != "" {
		return st, errEnded
	}
	if !v.Leave { // what is copied in now would be lost
		s.copies.refuse(errSaved, false)
		defer func() {
			if err != nil {
				s.copies.allow()
			}
		}()
	}
	got, err := checkpoint.Save(ctx, k, s.world.World, s.saveOptions(v))
	if err == nil && !v.Leave {
		s.saved = where
	}
	if err == nil {
		s.places = placesOf(k, got.Places)
	}
	return control.Stats{
		Attempt: v.Attempt, Generation: v.Generation,
		TimeToStop: got.TimeToStop.Microseconds(), Stopped: got.Stopped.Microseconds(), Total: got.Total.Microseconds(),
		PagesScanned: got.PagesScanned, PagesWritten: got.PagesWritten, BytesWritten: got.BytesWritten,
		Frames: int64(got.Frames), Memory: got.Memory,
	}, err
}

// AwaitSnapshotRequest waits until the guest asks for a checkpoint, or ctx is done.
func (s *System) AwaitSnapshotRequest(ctx context.Context) error {
	k := s.Kernel()
	if k == nil {
		return errEnded
	}
	switch err := k.AwaitSnapshotRequest(ctx); {
	case errors.Is(err, kernel.ErrNoSnapshots):
		return fault.Advise(fault.WrongState, errors.New("the program may not ask to be saved"), "start it with --snapshots, or save it now: stasis checkpoint")
	case errors.Is(err, kernel.ErrExiting):
		return errEnded
	default:
		return err
	}
}

// placesOf are the places of saved frames, and those where others ran long.
func placesOf(k *kernel.Kernel, frames []engine.Location) []control.Place {
	if m, ok := k.Init().Module().(*wazero.Module); ok {
		frames = append(frames, m.Continued(control.MaxPlaces)...)
	}
	return placesAt(frames[:min(len(frames), control.MaxPlaces)])
}

// Places are where the frames of the latest image were, and where others ran long.
func (s *System) Places() []control.Place {
	s.saving.Lock()
	defer s.saving.Unlock()
	return s.places
}

func (s *System) saveOptions(v Save) checkpoint.Options {
	digest := s.code.Digest()
	sp := &s.opts.Spec
	limits := make(map[string]int64)
	for name, value := range map[string]int64{
		"memory": sp.Memory, "cpus": sp.CPUs, "cpu_time_ns": int64(sp.CPUTime), "timeout_ns": int64(sp.Timeout),
		"pids": sp.PIDs,
	} {
		if value != 0 {
			limits[name] = value
		}
	}
	for _, u := range sp.Ulimits {
		limits[u.Name] = u.Soft
	}
	info := map[string]string{"system": s.opts.Name, "program": s.program(), "module": hex.EncodeToString(digest[:])}
	if sp.TTY {
		info["tty"] = "true"
	}
	return checkpoint.Options{
		Create: v.Create, Publish: v.Publish, Leave: v.Leave, Thin: v.Thin, DropEnv: v.DropEnv, Module: s.module,
		Config: image.Config{
			Generation: v.Generation, Attempt: int64(v.Attempt), Stasis: version.Number, Pass: instrument.Version, Limits: limits,
			Info: info,
		},
	}
}

// program is the name of what runs, without its directory.
func (s *System) program() string {
	if g := s.Kernel().Init(); g != nil && len(g.Args()) > 0 {
		return path.Base(g.Args()[0])
	}
	return path.Base(s.opts.Spec.Module)
}

// Saved is the image that the system was saved to for good, or "".
func (s *System) Saved() string {
	s.saving.Lock()
	defer s.saving.Unlock()
	return s.saved
}

// wakeElsewhere saves the stopped system, drops it, and wakes the image, all of
// it in memory.
func (s *System) wakeElsewhere(ctx context.Context, stop *kernel.ExternalStop) error {
	s.saving.Lock()
	defer s.saving.Unlock()
	files := memoryImage{files: s.opts.Stress, names: make(map[string]*os.File)}
	defer stop.End()
	v := Save{Generation: image.NewGeneration(), Create: files.create, Publish: func() error { return nil }}
	if _, err := checkpoint.Save(ctx, s.Kernel(), s.world.World, s.saveOptions(v)); err != nil {
		return err
	}
	if err := s.drop(); err != nil {
		return err
	}
	select {
	case late := <-s.stops: // of another task that came to a safepoint meanwhile
		late.End()
	default:
	}
	im, err := image.OpenFiles(files.open)
	if err != nil {
		return err
	}
	defer im.Close()
	return s.bootImage(ctx, im)
}

// memoryFiles are files that images are made of in memory only, one after another
// (memfd_create(2)).
type memoryFiles []*os.File

func newMemoryFile(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

func (m memoryFiles) close() {
	for _, f := range m {
		f.Close()
	}
}

// A memoryImage is an image in memoryFiles.
type memoryImage struct {
	files memoryFiles
	names map[string]*os.File
}

func (m *memoryImage) create(name string) (image.File, error) {
	if len(m.names) == len(m.files) {
		return nil, fmt.Errorf("%s: more than the %d files that there are", name, len(m.files))
	}
	f := m.files[len(m.names)]
	m.names[name] = f
	if err := f.Truncate(0); err != nil {
		return nil, err
	}
	return m.open(name)
}

// open opens a duplicate.
func (m *memoryImage) open(name string) (image.File, error) {
	f := m.names[name]
	if f == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return image.NewFile(os.NewFile(uintptr(fd), name)), nil
}
