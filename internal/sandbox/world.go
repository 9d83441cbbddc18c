package sandbox

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/checkpoint"
	"github.com/stasis-run/stasis/internal/fault"
	"github.com/stasis-run/stasis/internal/spec"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/epoll"
	"github.com/stasis-run/stasis/internal/vfs/eventfd"
	"github.com/stasis-run/stasis/internal/vfs/hostfile"
	"github.com/stasis-run/stasis/internal/vfs/hostfs"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
	"github.com/stasis-run/stasis/internal/vfs/pipefs"
	"github.com/stasis-run/stasis/internal/vfs/ttyfs"
	"github.com/stasis-run/stasis/internal/vfs/unixsock"
)

// What a process, and all of a system, may have open.
const (
	maxFDs       = 1024     // descriptors of a process
	maxSystemFDs = 64 << 10 // of all processes
	maxPipeBytes = 64 << 20 // that all pipes and pairs of sockets can hold
	maxWatches   = 64 << 10 // descriptors in all epoll sets
)

// Granted is what of the host a system is given, opened by whoever grants it.
// It never comes from an image.
type Granted struct {
	Dirs   []*os.File          // of Spec.Dirs, in order
	Listen map[string]*os.File // listening sockets of Spec.Listen
	Core   *os.File            // a core dump is written to; the system closes it
	Stdio  func(p *hostfile.Poller, name string) (vfs.File, error)

	Terminal func(name string) (*ttyfs.Terminal, error) // for a saved system that has one; nil is none
}

// A world is what of the host a system has.
type world struct {
	checkpoint.World
	poller  *hostfile.Poller
	spec    *spec.Spec
	given   Granted
	hosts   []*hostfs.FS // of Spec.Dirs, in order
	memory  *vfs.Budget  // of linear memories and files in memory, in bytes; nil is no bound
	pipes   *pipefs.System
	epolls  *epoll.System
	sockets *unixsock.System
	ptys    *ttyfs.Ptys
	left    []*ttyfs.Terminal // that nobody is at in a restored system
}

// savedMounts makes the file systems in memory of a system that is restored, with the
// clock and the budget of o; lower tells what the one at a path of the guest's lies
// over, or nil.
type savedMounts func(o memfs.Options, lower func(guest string) vfs.FileSystem) ([]vfs.Mount, error)

// newWorld makes the tree of files that s describes. Those that saved makes take the
// place of the file systems in memory that s describes; nil makes new ones. Wall tells
// the guest's wall time.
func newWorld(s *spec.Spec, given Granted, sys *System, saved savedMounts) (w *world, err error) {
	wall := sys.wall
	w = &world{spec: s, given: given, epolls: epoll.NewSystem(vfs.NewBudget(maxWatches))}
	w.FDs = vfs.NewBudget(maxSystemFDs)
	if s.Memory > 0 {
		w.memory = vfs.NewBudget(s.Memory)
	}
	buffers := vfs.NewBudget(maxPipeBytes)
	w.pipes, w.sockets = pipefs.NewSystem(wall, buffers), unixsock.NewSystem(wall, buffers)
	defer func() {
		if err != nil {
			w.close()
			w = nil // or the system would close it again
		}
	}()
	if w.poller, err = hostfile.NewPoller(); err != nil {
		return w, err
	}
	for i, d := range s.Dirs {
		if err := w.openDir(d, given.Dirs[i]); err != nil {
			return w, err
		}
	}
	if saved == nil {
		saved = w.newMounts
	}
	in := memfs.Options{Now: wall, Budget: w.memory}
	mounts, err := saved(in, w.lower)
	if err != nil {
		return w, err
	}
	if mounts, err = w.addDirs(mounts, in); err != nil {
		return w, err
	}
	mounts = append(mounts, w.pseudo(sys)...)
	w.Namespace = vfs.NewNamespace(wall)
	return w, w.Namespace.MountAll(mounts)
}

// newMounts are the file systems in memory of a new system.
func (w *world) newMounts(o memfs.Options, lower func(guest string) vfs.FileSystem) ([]vfs.Mount, error) {
	root := o
	root.Lower = lower("/")
	mounts := []vfs.Mount{{Guest: "/", FS: memfs.New(root), ReadOnly: w.spec.ReadOnly}, shm(o)}
	for i, t := range w.spec.Tmpfs {
		fs := o
		fs.Bytes, fs.Dev = t.Size, uint64(i)+1
		mounts = append(mounts, vfs.Mount{Guest: t.Guest, FS: memfs.New(fs)})
	}
	return mounts, nil
}

// openDir makes a host directory a file system, which nobody changes below an overlay.
func (w *world) openDir(d spec.Dir, f *os.File) (err error) {
	policy := hostfs.Reopen
	if w.spec.Files != "" {
		if policy, err = hostfs.ParsePolicy(w.spec.Files); err != nil {
			return err
		}
	}
	fs, err := hostfs.OpenFD(int(f.Fd()), d.Host, hostfs.Options{ReadOnly: !d.Writable(), Policy: policy})
	if err != nil {
		return fmt.Errorf("%s %s: %w", d.Flag(), d.Host, cause(err))
	}
	w.hosts = append(w.hosts, fs)
	return nil
}

// lower is the directory that the overlay at a path of the guest's lies over, or nil.
func (w *world) lower(guest string) vfs.FileSystem {
	for i, d := range w.spec.Dirs {
		if d.Overlay && d.Guest == guest {
			return w.hosts[i]
		}
	}
	return nil
}

// devOverlay is the device number of the overlay over the first of Spec.Dirs.
const devOverlay = 1<<19 + 1

// addDirs adds the directories of the host, but for those that lie below one of mounts
// already.
func (w *world) addDirs(mounts []vfs.Mount, o memfs.Options) ([]vfs.Mount, error) {
	there := len(mounts)
	for i, d := range w.spec.Dirs {
		if !d.Overlay {
			mounts = append(mounts, vfs.Mount{Guest: d.Guest, FS: w.hosts[i], ReadOnly: d.ReadOnly})
			continue
		}
		at := slices.IndexFunc(mounts[:there], func(m vfs.Mount) bool { return m.Guest == d.Guest })
		if at < 0 {
			o.Dev, o.Lower = devOverlay+uint64(i), w.hosts[i]
			mounts = append(mounts, vfs.Mount{Guest: d.Guest, FS: memfs.New(o)})
		} else if fs, ok := mounts[at].FS.(*memfs.FS); !ok || fs.Lower() != vfs.FileSystem(w.hosts[i]) {
			return nil, fault.Advise(fault.Refused, fmt.Errorf("%s %s: what the saved system had at %s lay over no directory", d.Flag(), d.Host, d.Guest), "leave it out")
		}
	}
	return mounts, nil
}

func (w *world) close() {
	for _, fs := range w.hosts {
		fs.Close()
	}
	if w.poller != nil {
		w.poller.Close()
	}
}

// stdio is the file that goes by a name of a standard stream.
func (w *world) stdio(name string) (vfs.File, error) {
	switch name {
	case "stdin", "stdout", "stderr":
		return w.given.Stdio(w.poller, name)
	}
	switch part, ok := strings.CutPrefix(name, execPrefix); {
	case !ok:
	case strings.HasSuffix(part, " stdin"):
		return hostfile.NewReader(name, strings.NewReader("")), nil
	case strings.HasSuffix(part, " stdout"), strings.HasSuffix(part, " stderr"):
		return hostfile.NewWriter(name, io.Discard), nil
	}
	return nil, nil
}

// leftTerminal is that of a process that was begun from outside, in a restored system:
// nobody is at its other end.
func (w *world) leftTerminal(name string) *ttyfs.Terminal {
	for _, t := range w.left {
		if t.Name() == name {
			return t
		}
	}
	t := ttyfs.New(ttyfs.Options{Name: name})
	t.SetDiscard(true)
	w.left = append(w.left, t)
	return t
}

// hangUp ends the terminals that nobody is at any more.
func (w *world) hangUp() {
	for _, t := range w.left {
		t.Hangup()
	}
	w.left = nil
}

// listener is the listening socket that goes by its specification, if it was
// granted.
func (w *world) listener(name string) (vfs.File, error) {
	f := w.given.Listen[name]
	if f == nil {
		return nil, nil
	}
	l, err := hostfile.Inherit(w.poller, int(f.Fd()), name)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", name, cause(err))
	}
	return l, nil
}

// kinds restores the files that belong to no mount.
func (w *world) kinds() map[string]vfs.RestoreFunc {
	kinds := hostfile.Restorers(w.stdio, w.listener)
	kinds[pipefs.Kind] = w.pipes.Restore
	kinds[epoll.Kind] = w.epolls.Restore
	kinds[unixsock.Kind] = w.sockets.Restore
	kinds[eventfd.Kind] = eventfd.Restore
	kinds[ttyfs.MasterKind] = w.ptys.Restore
	kinds[ttyfs.Kind] = ttyfs.Restore(w.terminal)
	return kinds
}

// terminal is the terminal of a name: one that was granted, or a pty.
func (w *world) terminal(name string) (*ttyfs.Terminal, error) {
	if strings.HasPrefix(name, execPrefix) {
		return w.leftTerminal(name), nil
	}
	if t := w.ptys.Provide(name); t != nil || w.given.Terminal == nil {
		return t, nil
	}
	return w.given.Terminal(name)
}

// newFiles makes the fds of a new process: the standard streams, the root and
// the directories as preopens, then listening sockets.
func (w *world) newFiles() (fds *vfs.FDTable, err error) {
	return w.filesWith(w.stdio, w.spec.Workdir, w.spec.Listen)
}

// filesWith is newFiles with other streams, working directory and sockets.
func (w *world) filesWith(stream func(name string) (vfs.File, error), workdir string, listen []string) (fds *vfs.FDTable, err error) {
	limit := maxFDs
	if u, ok := w.spec.Ulimit("nofile"); ok {
		limit = int(u.Soft)
	}
	fds = vfs.NewFDTableIn(w.FDs, limit)
	defer func() {
		if err != nil {
			fds.CloseAll()
		}
	}()
	for _, name := range []string{"stdin", "stdout", "stderr"} {
		f, err := stream(name)
		if err != nil {
			return fds, fmt.Errorf("%s: %w", name, err)
		}
		if _, errno := fds.InstallAll(vfs.NewOpenFile(f, name == "stdin", name != "stdin", 0)); errno != abi.OK {
			return fds, fmt.Errorf("%s: %w", name, errno)
		}
	}
	for _, guest := range w.mounts() {
		if err := w.preopen(fds, guest, guest); err != nil {
			return fds, err
		}
	}
	if workdir != "" {
		if err := w.openWorkdir(fds, workdir); err != nil {
			return fds, err
		}
	}
	for _, spec := range listen {
		l, err := w.listener(spec)
		if err != nil {
			return fds, err
		}
		if _, errno := fds.InstallAll(vfs.NewOpenFile(l, true, false, 0)); errno != abi.OK {
			return fds, fmt.Errorf("listen %s: %w", spec, errno)
		}
	}
	return fds, nil
}

// newContext makes the working directory of a new process.
func (w *world) newContext() (*vfs.FSContext, error) {
	return vfs.NewFSContext(w.Namespace, cmp.Or(w.spec.Workdir, "/"))
}

// mounts are the places that a program is given directories at: the root, and
// what is mounted.
func (w *world) mounts() []string {
	all := []string{"/"}
	for _, d := range w.spec.Dirs {
		if d.Guest != "/" {
			all = append(all, d.Guest)
		}
	}
	for _, t := range w.spec.Tmpfs {
		all = append(all, t.Guest)
	}
	return all
}

func (w *world) preopen(fds *vfs.FDTable, guest, name string) error {
	f, err := w.Namespace.OpenRoot(guest)
	if err != nil {
		return err
	}
	if _, errno := fds.Preopen(f, name); errno != abi.OK {
		return fmt.Errorf("preopen %s: %w", guest, errno)
	}
	return nil
}

// openWorkdir preopens the working directory under the name ".": preview 1
// knows no working directory, but libcs look relative paths up there.
func (w *world) openWorkdir(fds *vfs.FDTable, dir string) error {
	mount := "/"
	for _, m := range w.mounts() {
		if (dir == m || strings.HasPrefix(dir, strings.TrimSuffix(m, "/")+"/")) && len(m) > len(mount) {
			mount = m
		}
	}
	base, err := w.Namespace.OpenRoot(mount)
	if err != nil {
		return err
	}
	defer base.DecRef()
	rel := strings.TrimPrefix(strings.TrimPrefix(dir, mount), "/")
	if rel == "" {
		rel = "."
	}
	f, errno := w.Namespace.OpenAt(base, rel, abi.SymlinkFollow, abi.ODirectory, true, false, 0)
	if errno != abi.OK {
		return fmt.Errorf("working directory %s: %w (name a directory given with --dir)", dir, errno)
	}
	if _, errno := fds.Preopen(f, "."); errno != abi.OK {
		return fmt.Errorf("working directory %s: %w", dir, errno)
	}
	return nil
}
