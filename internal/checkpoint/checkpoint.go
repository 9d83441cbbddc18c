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
	"slices"
	"strings"
	"time"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/image"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/devfs"
	"github.com/stasis-run/stasis/internal/vfs/hostfile"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
	"github.com/stasis-run/stasis/internal/vfs/procfs"
)

// A World is what a system has besides its kernel: its tree of files. The file
// systems in memory that are mounted in it are saved with the system.
type World struct {
	Namespace *vfs.Namespace
	FDs       *vfs.Budget // descriptors of all processes; nil: no bound
}

// State is all that a state file holds. doc/state.proto is made from it: a new
// field takes a new number.
type State struct {
	Kernel *kernel.State        `pb:"1"`
	Files  *vfs.State           `pb:"2"`
	FDs    []vfs.FDTableState   `pb:"3"` // kernel.ProcessState.FDTable is an index of it
	Mounts []memfs.MountState   `pb:"4"` // those in memory; the root among them
	CWDs   []vfs.FSContextState `pb:"5"` // kernel.ProcessState.CWD is an index of it, plus one
}

// Stats says what a checkpoint did.
type Stats struct {
	TimeToStop time.Duration // from the request to all tasks at rest
	Stopped    time.Duration // for which the tasks were at rest because of it
	Total      time.Duration
	Frames     int
	Memory     int64 // bytes of guest memory

	PagesScanned, PagesWritten int64 // of image.PageSize
	BytesWritten               int64

	// Places are where frames of the first process's module were saved, innermost first, those that are equal
	// once, of deep stacks those near the top.
	Places []engine.Location
}

// Options describe a checkpoint.
type Options struct {
	Create  func(name string) (image.File, error) // makes the files of the image
	Publish func() error                          // makes what was written an image; nil is nothing to do
	Leave   bool                                  // let the system run on
	Thin    bool                                  // leave the module out
	DropEnv []string                              // names of variables that stay out
	Module  []byte                                // what the first process began with
	Config  image.Config                          // what is known of it before
}

// stopTimeout bounds the wait for tasks to come to their safepoints.
const stopTimeout = 30 * time.Second

// Save writes an image of a running system. Without Leave the system's tasks
// stay stopped after success, for the caller to end; on failure they run on as
// if nothing had happened. Tasks that wait to be saved are told how it went.
func Save(ctx context.Context, k *kernel.Kernel, w World, o Options) (Stats, error) {
	files := early{create: o.Create, made: make(map[string]image.File)}
	defer files.close()
	s := saving{k: k, world: w, o: o, out: image.NewWriter(files.take), files: &files, begin: time.Now()}
	defer s.out.Close()
	answer := k.SnapshotRequests() // before the stop: what is asked from now on may not be in the image
	err := s.save(ctx)
	answer(err)
	s.stats.Total = time.Since(s.begin)
	return s.stats, err
}

// early makes files before the stop that are written during it: to make one may
// mean to ask another process, which takes its time.
type early struct {
	create func(name string) (image.File, error)
	made   map[string]image.File
}

func (e *early) make(names ...string) error {
	for _, name := range names {
		f, err := e.create(name)
		if err != nil {
			return err
		}
		e.made[name] = f
	}
	return nil
}

// take is a file that was made early, or a new one.
func (e *early) take(name string) (image.File, error) {
	if f := e.made[name]; f != nil {
		delete(e.made, name)
		return f, nil
	}
	return e.create(name)
}

// close closes the files that nobody has taken.
func (e *early) close() {
	for _, f := range e.made {
		f.Close()
	}
}

// A saving is a checkpoint under way.
type saving struct {
	k      *kernel.Kernel
	world  World
	o      Options
	out    *image.Writer
	files  *early
	begin  time.Time
	atRest time.Time
	state  *State // once it is captured
	stats  Stats
}

func (s *saving) save(ctx context.Context) error {
	if err := s.writeModule(); err != nil { // it does not change: the guest need not stand still for it
		return err
	}
	if err := s.files.make(image.PagesFile(0), image.StateFile); err != nil {
		return err
	}
	s.begin = time.Now()
	stop := s.k.Tasks().BeginExternalStop()
	ended := false
	end := func() {
		if !ended {
			ended = true
			s.stats.Stopped = time.Since(s.atRest)
			stop.End()
		}
	}
	config, err := s.writeStopped(ctx, stop)
	if err == nil && s.o.Leave {
		end()
	}
	if err == nil {
		err = s.finish(config)
	}
	if err != nil {
		end()
		return err
	}
	if !ended {
		s.stats.Stopped = time.Since(s.atRest)
	}
	s.stats.Places = s.state.places()
	return nil
}

// Bounds on the places that are told: all, and the frames of a task that are
// looked at.
const (
	maxPlaces = 256
	maxLooked = 4096
)

// places lists where the saved frames of the first process's module are, innermost
// first.
func (st *State) places() (out []engine.Location) {
	seen := make(map[engine.Location]bool)
	add := func(frames []engine.Frame) {
		for i := len(frames) - 1; i >= max(0, len(frames)-maxLooked); i-- {
			at := engine.Location{Func: frames[i].Func, Pos: frames[i].Pos}
			if !seen[at] && len(out) < maxPlaces {
				seen[at] = true
				out = append(out, at)
			}
		}
	}
	for _, p := range st.Kernel.Processes {
		if p.Module != st.Kernel.Processes[0].Module {
			continue
		}
		for _, task := range p.Tasks {
			if task.Thread != nil {
				add(task.Thread.Frames)
			}
		}
	}
	return out
}

func (s *saving) writeModule() error {
	g := s.k.Init()
	if g == nil {
		return kernel.ErrExiting
	}
	if s.o.Thin {
		return nil
	}
	return s.out.Module(g.Module().Digest(), s.source(g.Program()))
}

// writeStopped writes all that changes while the guest runs.
func (s *saving) writeStopped(ctx context.Context, stop *kernel.ExternalStop) (image.Config, error) {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	s.atRest = time.Now()
	if err := stop.Wait(ctx); err != nil {
		return image.Config{}, err
	}
	s.atRest = time.Now()
	s.stats.TimeToStop = s.atRest.Sub(s.begin)
	ks, st, err := s.capture(ctx, stop)
	if err != nil {
		return image.Config{}, err
	}
	defer ks.Release()
	s.state = st
	config := s.o.Config
	config.Lost = append(config.Lost, st.dropEnv(s.o.DropEnv)...)
	config.Requires = append(config.Requires, features(ks)...)
	config.Tasks = s.count(st)
	for i, mem := range ks.Memories {
		s.stats.Memory += int64(len(mem))
		if err := s.out.Memory(i, mem); err != nil {
			return config, err
		}
	}
	if err := s.writePrograms(ks.Programs); err != nil {
		return config, err
	}
	b, err := protostruct.Marshal(st)
	if err != nil {
		return config, fmt.Errorf("state: %w", err)
	}
	config.Needs, config.Processes = needs(st), len(st.Kernel.Processes)
	return config, s.out.State(b)
}

// finish makes an image of what is written. The guest may run on meanwhile.
func (s *saving) finish(config image.Config) error {
	config.Created = time.Now().UTC()
	if s.o.Thin {
		digest := s.k.Init().Module().Digest()
		config.Requires = append(config.Requires, image.FeatureThin)
		config.Modules = []image.ModuleInfo{{Digest: hex.EncodeToString(digest[:]), Size: int64(len(s.o.Module))}}
	}
	if _, err := s.out.Finish(config); err != nil {
		return err
	}
	w := s.out.Stats()
	s.stats.PagesScanned, s.stats.PagesWritten, s.stats.BytesWritten = w.PagesScanned, w.PagesWritten, w.BytesWritten
	if s.o.Publish == nil {
		return nil
	}
	return s.o.Publish()
}

// writePrograms stores the modules that processes run, unless they are stored.
func (s *saving) writePrograms(programs []*kernel.Program) error {
	if s.o.Thin {
		if len(programs) > 1 {
			return errors.New("a thin image is of one module, and the system's processes run several: leave thin out")
		}
		return nil
	}
	for _, p := range programs {
		if err := s.out.Module(p.Module.Digest(), s.source(p)); err != nil {
			return err
		}
	}
	return nil
}

// source is the module of a program.
func (s *saving) source(p *kernel.Program) []byte {
	if p.Source == nil {
		return s.o.Module
	}
	return p.Source
}

// count counts the tasks, and their frames.
func (s *saving) count(st *State) (tasks int) {
	for i := range st.Kernel.Processes {
		for _, ts := range st.Kernel.Processes[i].Tasks {
			s.stats.Frames += len(ts.Thread.Frames)
			tasks++
		}
	}
	return tasks
}

// features are what whoever restores the state has to know.
func features(ks *kernel.Saved) (out []string) {
	if slices.ContainsFunc(ks.Programs, func(p *kernel.Program) bool { return len(p.Module.Tags()) > 0 }) {
		out = append(out, image.FeatureExceptions)
	}
	if slices.ContainsFunc(ks.Processes, threads) {
		out = append(out, image.FeatureThreads)
	}
	if len(ks.Processes) > 1 || !ks.Processes[0].Plain() {
		out = append(out, image.FeatureProcesses)
	}
	return out
}

// threads reports whether a process has what image.FeatureThreads announces.
func threads(p kernel.ProcessState) bool {
	for i := range p.Tasks {
		if w := p.Tasks[i].Thread.Pending; w != nil && w.Atomic != 0 {
			return true
		}
	}
	return len(p.Tasks) > 1
}

// dropEnv leaves variables out of the environments, and tells which.
func (st *State) dropEnv(names []string) (dropped []string) {
	for i := range st.Kernel.Processes {
		p := &st.Kernel.Processes[i]
		var kept []string
		for _, e := range p.Env {
			name, _, _ := strings.Cut(e, "=")
			if slices.Contains(names, name) {
				dropped = append(dropped, "environment "+name)
				continue
			}
			kept = append(kept, e)
		}
		p.Env = kept
	}
	return dropped
}

// capture describes the stopped system. A task that is told to exit goes in spite of the
// stop: it is waited for, unless the whole system ends.
func (s *saving) capture(ctx context.Context, stop *kernel.ExternalStop) (*kernel.Saved, *State, error) {
	for {
		ks, st, err := capture(s.k, s.world)
		if !errors.Is(err, kernel.ErrExiting) || s.k.Init() == nil || s.k.Init().Exiting() {
			return ks, st, err
		}
		if err := errors.Join(ctx.Err(), stop.Wait(ctx)); err != nil {
			return nil, nil, err
		}
	}
}

// capture describes a system at rest.
func capture(k *kernel.Kernel, w World) (*kernel.Saved, *State, error) {
	ks, err := k.Save()
	if err != nil {
		return nil, nil, err
	}
	saver := vfs.NewSaver(w.Namespace)
	st := &State{Kernel: &ks.State}
	for i := range ks.Processes {
		p := &ks.Processes[i]
		if p.Ended != nil {
			continue
		}
		if err := st.captureFiles(k, p, saver); err != nil {
			ks.Release()
			return nil, nil, err
		}
	}
	st.Files, st.Mounts = saver.State(), memfs.SaveMounts(w.Namespace)
	return ks, st, nil
}

// captureFiles describes what a process has open.
func (st *State) captureFiles(k *kernel.Kernel, p *kernel.ProcessState, saver *vfs.Saver) error {
	g, ok := k.Tasks().Process(p.ID)
	if !ok {
		return kernel.ErrExiting
	}
	fds, err := g.Files().Save(saver)
	if err != nil {
		return err
	}
	p.FDTable = uint32(len(st.FDs))
	st.FDs = append(st.FDs, *fds)
	if cwd := g.CWD(); cwd != nil {
		c, err := cwd.Save(saver)
		if err != nil {
			return err
		}
		st.CWDs = append(st.CWDs, *c)
		p.CWD = uint32(len(st.CWDs))
	}
	if g.Exiting() { // it may have closed files while they were looked at
		return kernel.ErrExiting
	}
	return nil
}

// needs lists what a restore has to be granted.
func needs(st *State) []image.Need {
	var out []image.Need
	inside := make(map[string]bool)
	for _, m := range st.Mounts {
		inside[m.Guest] = true
	}
	for _, m := range st.Files.Mounts {
		if !inside[m.Guest] && m.Type != devfs.Type && m.Type != procfs.Type { // made anew, of nothing of the host

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
	if st.Kernel == nil || st.Files == nil || len(st.Mounts) == 0 || len(st.Kernel.Processes) == 0 {
		return nil, errors.New("state: parts are missing")
	}
	return st, nil
}

// MemoryMounts makes the file systems in memory of a saved system, of which none lies
// over another one.
func (st *State) MemoryMounts(wall func() int64) ([]vfs.Mount, error) {
	return memfs.RestoreMounts(st.Mounts, memfs.Options{Now: wall})
}

// MemoryMountsOver is MemoryMounts where lower tells what the one at a path of the
// guest's lies over; nil is nothing, and a *vfs.MissingError if something is needed. Of
// opts, Now and Budget count.
func (st *State) MemoryMountsOver(opts memfs.Options, lower func(guest string) vfs.FileSystem) ([]vfs.Mount, error) {
	return memfs.RestoreMountsOver(st.Mounts, opts, lower)
}

// ModuleOf reads the module of the first process.
func ModuleOf(im *image.Image, st *State) ([]byte, error) {
	return im.Module(st.Kernel.Processes[0].Module)
}

// Restoring is what the caller of Restore provides.
type Restoring struct {
	Kernel kernel.Options // Load makes the code of all modules but Module's
	World  World
	Kinds  map[string]vfs.RestoreFunc // files that are not in the world
	Module engine.Module              // compiled from ModuleOf
	Source []byte                     // what ModuleOf gave

	Terminal func(name string) kernel.Terminal // finds terminals that control sessions; nil finds none
	Stress   kernel.Stress
}

// Restore makes a system of an image. It does not run before Kernel.Start.
func Restore(ctx context.Context, im *image.Image, st *State, r Restoring) (*kernel.Kernel, error) {
	restorer, err := vfs.NewRestorer(st.Files, r.World.Namespace, r.Kinds)
	if err != nil {
		return nil, err
	}
	defer restorer.Close()
	if r.World.FDs != nil {
		restorer.SetBudget(r.World.FDs)
	}
	return kernel.Restore(ctx, r.Kernel, st.Kernel, kernel.Restoring{
		Module: r.Module, Source: r.Source,
		Read:   func(digest [32]byte) ([]byte, error) { return im.Module(digest) },
		Files:  func(p *kernel.ProcessState) (*vfs.FDTable, *vfs.FSContext, error) { return st.files(p, restorer) },
		Stress: r.Stress, Terminal: r.Terminal,
		Fill: func(n uint32, mem []byte) error {
			if int64(n) >= int64(im.Memories()) {
				return fmt.Errorf("state: a process has memories [%d], of %d that there are", n, im.Memories())
			}
			return im.FillMemory(int(n), mem)
		},
	})
}

// files restores what a process had open.
func (st *State) files(p *kernel.ProcessState, r *vfs.Restorer) (*vfs.FDTable, *vfs.FSContext, error) {
	if int64(p.FDTable) >= int64(len(st.FDs)) || int64(p.CWD) > int64(len(st.CWDs)) {
		return nil, nil, fmt.Errorf("state: a process has fd table %d of %d and working directory %d of %d", p.FDTable, len(st.FDs), p.CWD, len(st.CWDs))
	}
	fds, err := vfs.RestoreFDTable(&st.FDs[p.FDTable], r)
	if err != nil || p.CWD == 0 {
		return fds, nil, err
	}
	cwd, err := vfs.RestoreFSContext(&st.CWDs[p.CWD-1], r)
	if err != nil {
		fds.CloseAll()
		return nil, nil, err
	}
	return fds, cwd, nil
}
