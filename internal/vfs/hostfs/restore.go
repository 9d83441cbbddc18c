package hostfs

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
)

// check refuses a State that no Save can have made.
func (s *State) check() error {
	bad := func(what string) error { return fmt.Errorf("state of host file %q: bad %s", s.Path, what) }
	switch {
	case s.Type != abi.FiletypeRegularFile && s.Type != abi.FiletypeDirectory:
		return bad("type")
	case !validPath(s.Path), s.Type == abi.FiletypeRegularFile && s.Path == ".":
		return bad("path")
	case s.Size < 0, s.Seen < 0, s.Seen > s.Size:
		return bad("size")
	case !s.Unlinked && s.Content != nil, len(s.Content) > MaxUnlinked:
		return bad("content")
	case s.LastCookie > 1<<62:
		return bad("cookies")
	}
	names := make(map[string]bool, len(s.Cookies))
	last := uint64(0)
	for _, c := range s.Cookies {
		if c.Num <= last || c.Num > s.LastCookie || names[c.Name] || !validPath(c.Name) {
			return bad("cookies")
		}
		last, names[c.Name] = c.Num, true
	}
	return nil
}

// validPath reports whether p is relative, clean, and stays below.
func validPath(p string) bool {
	return filepath.IsLocal(p) && filepath.Clean(p) == p && utf8.ValidString(p) && strings.IndexByte(p, 0) < 0
}

// RestoreFile opens what was saved, as the policy says.
func (fs *FS) RestoreFile(_ *vfs.Restorer, data []byte) (vfs.File, error) {
	s, err := unmarshal(data)
	if err != nil {
		return nil, err
	}
	f, err := fs.restore(s)
	if err != nil {
		return nil, fmt.Errorf("host file %s: %w", fs.hostPath(s.Path), err)
	}
	return f, nil
}

func (fs *FS) restore(s *State) (vfs.File, error) {
	switch {
	case s.Type == abi.FiletypeDirectory:
		return fs.restoreDir(s)
	case s.Write && fs.readOnly:
		return nil, fmt.Errorf("was opened for writing, and the directory is read-only now")
	case s.Stale, fs.policy == Stale:
		return fs.staleFile(s), nil
	case s.Unlinked:
		return fs.restoreUnlinked(s)
	}
	return fs.restoreFile(s)
}

// walk opens the directory that path's last component is in.
func (fs *FS) walk(path string) (dir *handle, name string, err error) {
	names := strings.Split(path, "/")
	dir = fs.root.hold()
	for _, n := range names[:len(names)-1] {
		next, err := dir.openDir(n)
		dir.release()
		if err != nil {
			return nil, "", err
		}
		dir = next
	}
	return dir, names[len(names)-1], nil
}

func (fs *FS) restoreDir(s *State) (vfs.File, error) {
	parent, name, err := fs.walk(s.Path)
	if err != nil {
		return nil, err
	}
	defer parent.release()
	h, err := parent.openDir(name)
	if err != nil {
		return nil, err
	}
	d := &directory{dir: dir{h}}
	d.list.saved, d.list.last = make(map[string]uint64, len(s.Cookies)), s.LastCookie
	for _, c := range s.Cookies {
		d.list.saved[c.Name] = c.Num
	}
	return d, nil
}

func (fs *FS) restoreFile(s *State) (vfs.File, error) {
	parent, name, err := fs.walk(s.Path)
	if err != nil {
		return nil, err
	}
	defer parent.release()
	flags := unix.O_RDONLY
	switch {
	case s.Read && s.Write:
		flags = unix.O_RDWR
	case s.Write:
		flags = unix.O_WRONLY
	}
	fd, st, err := parent.openRegular(name, flags)
	if err != nil {
		return nil, err
	}
	if err := fs.compare(s, &st); err != nil {
		unix.Close(fd)
		return nil, err
	}
	f := fs.newFile(parent, name, fd, inodeOf(&st), s.Read, s.Write)
	f.seen = s.Seen
	return f, nil
}

// compare tells whether the policy lets the file that is there stand for the
// one that was saved.
func (fs *FS) compare(s *State, st *unix.Stat_t) error {
	var diffs []string
	differs := func(what string, was, is any) { diffs = append(diffs, fmt.Sprintf("%s was %v, is %v", what, was, is)) }
	if st.Size != s.Size {
		differs("size", s.Size, st.Size)
	}
	if st.Mtim.Nano() != s.Mtime {
		differs("mtime", s.Mtime, st.Mtim.Nano())
	}
	if st.Ino != s.Ino {
		differs("inode", s.Ino, st.Ino)
	}
	if len(diffs) == 0 {
		return nil
	}
	all := strings.Join(diffs, "; ")
	switch {
	case fs.policy == Strict:
		return fmt.Errorf("has changed since the save (policy strict): %s", all)
	case st.Size < s.Seen:
		return fmt.Errorf("has %d bytes, and %d of it were used before the save: put the content back, or restore with policy stale", st.Size, s.Seen)
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.changes = append(fs.changes, fmt.Sprintf("host file %s: %s", fs.hostPath(s.Path), all))
	return nil
}

// Changes tells, one line a file, what differed in the files that were opened
// again under the policy Reopen.
func (fs *FS) Changes() []string {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return slices.Clone(fs.changes)
}

// staleFile is a file that gives ESTALE.
func (fs *FS) staleFile(s *State) *file {
	return fs.newFile(nil, s.Path, -1, inode{s.Dev, s.Ino}, s.Read, s.Write)
}

// An orphan is a restored file without a name. Files that were one before the
// save are one again.
type orphan struct {
	fd       int
	id       inode // as it is now
	appendMu sync.Mutex
}

// restoreUnlinked makes a file without a name that has the saved content.
func (fs *FS) restoreUnlinked(s *State) (vfs.File, error) {
	if int64(len(s.Content)) != s.Size {
		return nil, fmt.Errorf("state has %d bytes of content, want %d", len(s.Content), s.Size)
	}
	key := inode{s.Dev, s.Ino}
	fs.mu.Lock()
	o := fs.orphans[key]
	fs.mu.Unlock()
	if o == nil {
		var err error
		if o, err = fs.newOrphan(s.Content); err != nil {
			return nil, err
		}
		fs.mu.Lock()
		fs.orphans[key] = o
		fs.mu.Unlock()
	}
	fd, err := unix.FcntlInt(uintptr(o.fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, err
	}
	f := fs.newFile(nil, s.Path, fd, o.id, s.Read, s.Write)
	f.appendMu = &o.appendMu
	f.seen = s.Seen
	return f, nil
}

// newOrphan makes the file in the host directory, on its disk as before, or
// else in memory.
func (fs *FS) newOrphan(content []byte) (*orphan, error) {
	fd, err := -1, error(unix.EROFS)
	if !fs.readOnly {
		fd, err = unix.Openat(fs.root.fd, ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	}
	if err != nil {
		if fd, err = unix.MemfdCreate("stasis-unlinked", unix.MFD_CLOEXEC); err != nil {
			return nil, err
		}
	}
	_, err = transfer([][]byte{content}, func(bufs [][]byte, done int) (int, error) {
		return unix.Pwritev(fd, bufs, int64(done))
	})
	var st unix.Stat_t
	if err == nil {
		err = unix.Fstat(fd, &st)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &orphan{fd: fd, id: inodeOf(&st)}, nil
}

// hostPath is path on the host, for messages.
func (fs *FS) hostPath(path string) string { return filepath.Join(fs.host, path) }
