package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// Unpack unpacks a tar into root, and nowhere else. The tar may be hostile: no
// symbolic link of it, and none in root, is followed, and files are made anew,
// never written to. Permissions are those of the tar, less the umask, without
// the set-id bits; owners are not kept.
func Unpack(ctx context.Context, r io.Reader, root *os.Root, o Options) (Count, error) {
	return extract(ctx, r, &hostDestination{root}, o)
}

// A hostDestination is a directory of the host.
type hostDestination struct{ root *os.Root }

var (
	errHardLink = errors.New("a sandbox sends no hard links")
	errSparse   = errors.New("a sandbox sends no sparse files")
)

// accept refuses what Write never writes.
func (d *hostDestination) accept(h *tar.Header) error {
	switch {
	case h.Typeflag == tar.TypeLink:
		return errHardLink
	case sparse(h):
		return errSparse
	}
	return nil
}

func (d *hostDestination) kind(name string) (fs.FileMode, error) {
	st, err := d.root.Lstat(name)
	if err != nil {
		return 0, err
	}
	return st.Mode().Type(), nil
}

func (d *hostDestination) mkdir(name string, perm fs.FileMode) error {
	return d.root.Mkdir(name, perm)
}

func (d *hostDestination) create(name string, perm fs.FileMode) (io.WriteCloser, error) {
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return nil, err
	}
	return &sparseWriter{f: f}, nil
}

func (d *hostDestination) symlink(target, name string) error { return d.root.Symlink(target, name) }

func (d *hostDestination) link(string, string) error { return errHardLink }

func (d *hostDestination) remove(name string) error { return d.root.Remove(name) }

// setTime leaves symbolic links alone: os.Root has no call that does not follow
// them.
func (d *hostDestination) setTime(name string, t time.Time) error {
	kind, err := d.kind(name)
	if err != nil || kind == fs.ModeSymlink {
		return err
	}
	return d.root.Chtimes(name, t, t)
}

// A sparseWriter writes a new file, and leaves holes where there are only zeros:
// a guest's files may be much longer than what they take.
type sparseWriter struct {
	f    *os.File
	hole bool // the file ends with one
}

var noBytes [bufferSize]byte

func (s *sparseWriter) Write(p []byte) (int, error) {
	if len(p) >= 4096 && len(p) <= len(noBytes) && bytes.Equal(p, noBytes[:len(p)]) {
		s.hole = true
		_, err := s.f.Seek(int64(len(p)), io.SeekCurrent)
		return len(p), err
	}
	s.hole = false
	return s.f.Write(p)
}

func (s *sparseWriter) Close() error {
	var err error
	if s.hole {
		var end int64
		if end, err = s.f.Seek(0, io.SeekCurrent); err == nil {
			err = s.f.Truncate(end)
		}
	}
	return errors.Join(err, s.f.Close())
}
