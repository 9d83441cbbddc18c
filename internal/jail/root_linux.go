package jail

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// dirsAt is where granted directories are mounted in the private root. They are
// used through their descriptors only.
const dirsAt = "dirs"

// privateRoot gives the process a root of its own: a read-only tmpfs that holds
// the paths of the policy, and the granted directories. The old root, /proc with
// it, goes out of reach.
//
// A granted directory's descriptor belongs to a mount of the host's namespace,
// through which ".." leads up to the host's root. It is replaced by one of a
// mount of just that directory.
//
// note says which directory could not be replaced. An error leaves the old root
// in place, perhaps with mounts on it that nobody else sees.
//
// Preconditions: the process has a mount namespace of its own.
func privateRoot(p *Policy) (note string, err error) {
	old, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("open /: %w", err)
	}
	defer unix.Close(old)
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "", fmt.Errorf("make mounts private: %w", err)
	}

	// Copies of mounts, made while their paths can still be seen.
	type mount struct {
		tree int
		at   string // below the root
		dir  *Dir   // or nil
	}
	var mounts []mount
	defer func() {
		for _, m := range mounts {
			unix.Close(m.tree)
		}
	}()
	clone := func(path string, writable bool) (int, error) {
		tree, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
		if err != nil {
			return -1, fmt.Errorf("open_tree %s: %w", path, err)
		}
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC}
		if !writable {
			attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
		}
		if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
			unix.Close(tree)
			return -1, fmt.Errorf("mount_setattr %s: %w", path, err)
		}
		return tree, nil
	}
	for _, list := range [][]string{p.Read, p.Write} {
		for _, path := range list {
			tree, err := clone(path, slices.Contains(p.Write, path))
			if err != nil {
				return "", err
			}
			mounts = append(mounts, mount{tree, strings.TrimPrefix(path, "/"), nil})
		}
	}
	// Outer ones first.
	slices.SortStableFunc(mounts, func(a, b mount) int { return len(a.at) - len(b.at) })
	var notes []string
	for i := range p.Dirs {
		d := &p.Dirs[i]
		tree, err := cloneDir(d, clone)
		if err != nil {
			notes = append(notes, fmt.Sprintf("directory %d is still the host's mount: %v", d.FD, err))
			continue
		}
		mounts = append(mounts, mount{tree, filepath.Join(dirsAt, strconv.Itoa(d.FD)), d})
	}

	root, err := newTmpfs()
	if err != nil {
		return "", err
	}
	defer unix.Close(root)
	if err := unix.MoveMount(root, "", unix.AT_FDCWD, "/", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return "", fmt.Errorf("mount the root: %w", err)
	}
	for _, m := range mounts {
		if err := attach(root, m.tree, m.at); err != nil {
			return "", fmt.Errorf("mount /%s: %w", m.at, err)
		}
	}
	if err := unix.Fchdir(root); err != nil {
		return "", fmt.Errorf("chdir to the new root: %w", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return "", fmt.Errorf("pivot_root: %w", err)
	}
	// From here on, an error means that the old root may be in reach.
	if err := unix.Fchdir(old); err != nil {
		return "", fmt.Errorf("chdir to the old root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return "", fmt.Errorf("detach the old root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return "", fmt.Errorf("chdir /: %w", err)
	}
	if err := unix.MountSetattr(root, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
		return "", fmt.Errorf("make the root read-only: %w", err)
	}
	for _, m := range mounts {
		if m.dir != nil {
			if err := replaceDir(m.dir.FD, m.tree); err != nil {
				return "", fmt.Errorf("directory %d: %w", m.dir.FD, err)
			}
		}
	}
	return strings.Join(notes, "; "), nil
}

// cloneDir copies the mount of a granted directory, from the directory on down.
// Only mounts of our own namespace can be copied; the descriptor's is not. So the
// directory is looked up by its name, and taken if it is the same.
func cloneDir(d *Dir, clone func(string, bool) (int, error)) (int, error) {
	path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(d.FD))
	if err != nil {
		return -1, err
	}
	var want, got unix.Stat_t
	if err := unix.Fstat(d.FD, &want); err != nil {
		return -1, err
	}
	tree, err := clone(path, d.Writable)
	if err != nil {
		return -1, err
	}
	err = unix.Fstat(tree, &got)
	if err == nil && (got.Dev != want.Dev || got.Ino != want.Ino) {
		err = errors.New("its name is another directory's by now")
	}
	if err != nil {
		unix.Close(tree)
		return -1, fmt.Errorf("%s: %w", path, err)
	}
	return tree, nil
}

// replaceDir puts the directory tree in place of the descriptor fd, opened the
// same way.
func replaceDir(fd, tree int) error {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return err
	}
	from := tree
	if flags&unix.O_PATH == 0 {
		from, err = unix.Openat(tree, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(from)
	}
	return unix.Dup3(from, fd, unix.O_CLOEXEC)
}

func newTmpfs() (int, error) {
	ctx, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("fsopen tmpfs: %w", err)
	}
	defer unix.Close(ctx)
	for _, opt := range [][2]string{{"size", "64k"}, {"nr_inodes", "1k"}, {"mode", "0755"}} {
		if err := unix.FsconfigSetString(ctx, opt[0], opt[1]); err != nil {
			return -1, fmt.Errorf("fsconfig %s: %w", opt[0], err)
		}
	}
	if err := unix.FsconfigCreate(ctx); err != nil {
		return -1, fmt.Errorf("fsconfig: %w", err)
	}
	fd, err := unix.Fsmount(ctx, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return -1, fmt.Errorf("fsmount: %w", err)
	}
	return fd, nil
}

// attach mounts tree at a path below root, making the directories, or the file,
// that it goes onto.
func attach(root, tree int, at string) error {
	var st unix.Stat_t
	if err := unix.Fstat(tree, &st); err != nil {
		return err
	}
	mkdir := func(path string) error {
		if err := unix.Mkdirat(root, path, 0o755); err != nil && err != unix.EEXIST {
			return fmt.Errorf("mkdir %s: %w", path, err)
		}
		return nil
	}
	for i, c := range at {
		if c == '/' {
			if err := mkdir(at[:i]); err != nil {
				return err
			}
		}
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		if err := mkdir(at); err != nil {
			return err
		}
	} else {
		fd, err := unix.Openat(root, at, unix.O_CREAT|unix.O_RDONLY|unix.O_CLOEXEC, 0o644)
		if err != nil {
			return err
		}
		unix.Close(fd)
	}
	return unix.MoveMount(tree, "", root, at, unix.MOVE_MOUNT_F_EMPTY_PATH)
}
