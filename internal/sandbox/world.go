package sandbox

import (
	"context"
	"fmt"
	"os"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/checkpoint"
	"github.com/stasis-run/stasis/internal/ktime"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/hostfile"
	"github.com/stasis-run/stasis/internal/vfs/hostfs"
	"github.com/stasis-run/stasis/internal/vfs/memfs"
)

// maxFDs is how many fds a process may have open.
const maxFDs = 1024

// A world is what of the host a system is given, opened.
type world struct {
	checkpoint.World
	poller *hostfile.Poller
	grant  Grant
	hosts  []*hostfs.FS
	null   *os.File
}

// newWorld opens what grant names. root is the root file system, or nil for an
// empty one.
func newWorld(grant Grant, root *memfs.FS) (w *world, err error) {
	w = &world{grant: grant}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.poller, err = hostfile.NewPoller(); err != nil {
		return w, err
	}
	if w.null, err = os.Open(os.DevNull); err != nil {
		return w, err
	}
	if root == nil {
		root = memfs.New(memfs.Options{Now: ktime.Host.Wall})
	}
	w.Root = root
	w.Namespace = vfs.NewNamespace(ktime.Host.Wall)
	if err := w.Namespace.Mount(vfs.Mount{Guest: "/", FS: root}); err != nil {
		return w, err
	}
	for _, d := range grant.Dirs {
		fs, err := hostfs.Open(d.Host, hostfs.Options{ReadOnly: d.ReadOnly, Policy: grant.Policy})
		if err != nil {
			return w, fmt.Errorf("--dir %s: %w", d.Host, cause(err))
		}
		w.hosts = append(w.hosts, fs)
		if err := w.Namespace.Mount(vfs.Mount{Guest: d.Guest, FS: fs, ReadOnly: d.ReadOnly}); err != nil {
			return w, fmt.Errorf("--dir %s: %w", d.Host, err)
		}
	}
	return w, nil
}

func (w *world) close() {
	for _, fs := range w.hosts {
		fs.Close()
	}
	if w.poller != nil {
		w.poller.Close()
	}
	if w.null != nil {
		w.null.Close()
	}
}

// stdio is the file that goes by a name of a standard stream.
func (w *world) stdio(name string) (vfs.File, error) {
	switch name {
	case "stdin":
		if !w.grant.Interactive {
			return hostfile.Inherit(w.poller, int(w.null.Fd()), name)
		}
		return hostfile.Inherit(w.poller, 0, name)
	case "stdout":
		return hostfile.Inherit(w.poller, 1, name)
	case "stderr":
		return hostfile.Inherit(w.poller, 2, name)
	}
	return nil, nil
}

// listener is the listening socket that goes by its specification, if it was
// granted.
func (w *world) listener(name string) (vfs.File, error) {
	for _, spec := range w.grant.Listen {
		if spec == name {
			l, err := hostfile.Listen(context.Background(), w.poller, spec)
			if err != nil {
				return nil, fmt.Errorf("listen %s: %w", spec, cause(err))
			}
			return l, nil
		}
	}
	return nil, nil
}

// kinds restores the files that belong to no mount.
func (w *world) kinds() map[string]vfs.RestoreFunc {
	return hostfile.Restorers(w.stdio, w.listener)
}

// newFiles makes the fds of a new process: the standard streams, the root and
// the directories as preopens, then listening sockets.
func (w *world) newFiles(workdir string) (fds *vfs.FDTable, err error) {
	fds = vfs.NewFDTable(maxFDs)
	defer func() {
		if err != nil {
			fds.CloseAll()
		}
	}()
	for _, name := range []string{"stdin", "stdout", "stderr"} {
		f, err := w.stdio(name)
		if err != nil {
			return fds, fmt.Errorf("%s: %w", name, err)
		}
		if _, errno := fds.InstallAll(vfs.NewOpenFile(f, name == "stdin", name != "stdin", 0)); errno != abi.OK {
			return fds, fmt.Errorf("%s: %w", name, errno)
		}
	}
	if err := w.preopen(fds, "/", "/"); err != nil {
		return fds, err
	}
	for _, d := range w.grant.Dirs {
		if err := w.preopen(fds, d.Guest, d.Guest); err != nil {
			return fds, err
		}
	}
	if workdir != "" {
		if err := w.openWorkdir(fds, workdir); err != nil {
			return fds, err
		}
	}
	for _, spec := range w.grant.Listen {
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
	root, err := w.Namespace.OpenRoot("/")
	if err != nil {
		return err
	}
	defer root.DecRef()
	rel := dir[1:]
	base := root
	for _, d := range w.grant.Dirs {
		if dir == d.Guest || len(dir) > len(d.Guest) && dir[:len(d.Guest)+1] == d.Guest+"/" {
			if base, err = w.Namespace.OpenRoot(d.Guest); err != nil {
				return err
			}
			defer base.DecRef()
			rel = dir[min(len(dir), len(d.Guest)+1):]
			break
		}
	}
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
