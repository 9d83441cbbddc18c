// Package checkpoint joins kernel, file systems and image: it captures a
// system whose tasks are at rest, writes it, and makes a system of an image.
//
// Capture is quick and needs the stop; what it returns shares nothing with the
// running system but its memory.
package checkpoint

//go:generate go test -count=1 -run TestSchema|TestFieldsStay . -update

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/hostfile"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
)

// A World is what a system has besides its kernel: its tree of files, whose
// root is Root.
type World struct {
	Namespace *vfs.Namespace
	Root      *memfs.FS
}

// State is all that a state file holds. doc/state.proto is made from it: a new
// field takes a new number.
type State struct {
	Kernel *kernel.State     `pb:"1"`
	Files  *vfs.State        `pb:"2"`
	FDs    *vfs.FDTableState `pb:"3"`
	Root   *memfs.State      `pb:"4"`
}

// Stats says what a checkpoint did.
type Stats struct {
	TimeToStop time.Duration // from the request to all tasks at rest
	Stopped    time.Duration // for which the tasks were at rest because of it
	Total      time.Duration
	Frames     int
	Memory     int64 // bytes of guest memory
}

// Options describe a checkpoint.
type Options struct {
	Dir     string            // where the image goes; must not exist
	Leave   bool              // let the system run on
	Module  []byte            // what the process runs
	Info    map[string]string // for people
	Version string            // of this program
	FS      image.FS
}

// stopTimeout bounds the wait for tasks to come to their safepoints.
const stopTimeout = 30 * time.Second

// Save writes an image of a running system. Without Leave the system's tasks
// stay stopped after success, for the caller to end; on failure they run on as
// if nothing had happened.
func Save(ctx context.Context, k *kernel.Kernel, w World, o Options) (Stats, error) {
	begin := time.Now()
	out, err := image.Create(o.FS, o.Dir)
	if err != nil {
		return Stats{}, err
	}
	stop := k.Tasks().BeginExternalStop()
	st, err := save(ctx, k, w, o, stop, out, begin)
	if err != nil {
		stop.End()
		return st, errors.Join(err, out.Abort())
	}
	if o.Leave {
		stop.End()
	}
	st.Total = time.Since(begin)
	return st, nil
}

func save(ctx context.Context, k *kernel.Kernel, w World, o Options, stop *kernel.ExternalStop, out *image.Writer, begin time.Time) (Stats, error) {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	var s Stats
	if err := stop.Wait(ctx); err != nil {
		return s, err
	}
	atRest := time.Now()
	s.TimeToStop = atRest.Sub(begin)
	st, err := capture(k, w)
	if err != nil {
		return s, err
	}
	g := k.Init()
	mem := g.SavedMemory()
	s.Memory = int64(len(mem))
	s.Frames = len(st.Kernel.Processes[0].Tasks[0].Thread.Frames)
	if err := out.Module(g.Module().Digest(), o.Module); err != nil {
		return s, err
	}
	if err := out.Memory(0, mem); err != nil {
		return s, err
	}
	b, err := protostruct.Marshal(st)
	if err != nil {
		return s, fmt.Errorf("state: %w", err)
	}
	if err := out.State(b); err != nil {
		return s, err
	}
	err = out.Commit(image.Config{Created: time.Now(), Stasis: o.Version, Needs: needs(st), Info: o.Info})
	s.Stopped = time.Since(atRest)
	return s, err
}

// capture describes a system at rest.
func capture(k *kernel.Kernel, w World) (*State, error) {
	ks, err := k.Save()
	if err != nil {
		return nil, err
	}
	saver := vfs.NewSaver(w.Namespace)
	fds, err := k.Init().Files().Save(saver)
	if err != nil {
		return nil, err
	}
	st := &State{Kernel: ks, Files: saver.State(), FDs: fds, Root: w.Root.Save()}
	if k.Init().Exiting() { // it may have closed files while they were looked at
		return nil, kernel.ErrExiting
	}
	return st, nil
}

// needs lists what a restore has to be granted.
func needs(st *State) []image.Need {
	var out []image.Need
	for _, m := range st.Files.Mounts {
		if m.Guest != "/" {
			n := image.Need{Kind: image.NeedMount, Name: m.Guest}
			if m.ReadOnly {
				n.Detail = "read-only"
			}
			out = append(out, n)
		}
	}
	seen := make(map[string]bool)
	for _, f := range st.Files.Files {
		if f.Object.Kind != hostfile.KindListener {
			continue
		}
		var l hostfile.State
		if protostruct.Unmarshal(f.Object.Data, &l) != nil || seen[l.Name] {
			continue
		}
		seen[l.Name] = true
		out = append(out, image.Need{Kind: image.NeedListener, Name: l.Name})
	}
	return out
}

// maxState bounds a state file, in bytes.
const maxState = 4 << 30

// Open reads the state of an image, which keeps the bytes that it was read from.
func Open(im *image.Image) (*State, error) {
	b, err := im.State()
	if err != nil {
		return nil, err
	}
	if len(b) > maxState {
		return nil, fmt.Errorf("state: %d bytes, at most %d are read", len(b), int64(maxState))
	}
	st := new(State)
	if err := protostruct.Unmarshal(b, st); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	if st.Kernel == nil || st.Files == nil || st.FDs == nil || st.Root == nil || len(st.Kernel.Processes) == 0 {
		return nil, errors.New("state: parts are missing")
	}
	if im.Memories() != 1 {
		return nil, fmt.Errorf("%d memories; this version restores one", im.Memories())
	}
	return st, nil
}

// ModuleOf reads the module of the first process.
func ModuleOf(im *image.Image, st *State) ([]byte, error) {
	return im.Module(st.Kernel.Processes[0].Module)
}

// Restoring is what the caller of Restore provides.
type Restoring struct {
	Kernel kernel.Options
	World  World
	Kinds  map[string]vfs.RestoreFunc // files that are not in the world
	Module engine.Module              // compiled from ModuleOf
	Stress kernel.Stress
}

// Restore makes a system of an image. It does not run before Kernel.Start.
func Restore(ctx context.Context, im *image.Image, st *State, r Restoring) (*kernel.Kernel, error) {
	restorer, err := vfs.NewRestorer(st.Files, r.World.Namespace, r.Kinds)
	if err != nil {
		return nil, err
	}
	defer restorer.Close()
	fds, err := vfs.RestoreFDTable(st.FDs, restorer)
	if err != nil {
		return nil, err
	}
	k, err := kernel.Restore(ctx, r.Kernel, st.Kernel, kernel.Restoring{
		Module: func(d [32]byte) (engine.Module, error) {
			if d != r.Module.Digest() {
				return nil, fmt.Errorf("module %s is not in the image", hex.EncodeToString(d[:4]))
			}
			return r.Module, nil
		},
		Files:  fds,
		Stress: r.Stress,
		Fill:   func(mem []byte) error { return im.FillMemory(0, mem) },
	})
	if err != nil {
		fds.CloseAll()
		return nil, err
	}
	return k, nil
}
