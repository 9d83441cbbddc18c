package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// A destination is where a tar is unpacked. Names are relative and clean; no
// method follows a symbolic link in the last place.
type destination interface {
	// kind returns the type bits of what name is, or fs.ErrNotExist.
	kind(name string) (fs.FileMode, error)

	mkdir(name string, perm fs.FileMode) error
	create(name string, perm fs.FileMode) (io.WriteCloser, error) // there is nothing yet
	symlink(target, name string) error
	link(old, name string) error
	remove(name string) error // what is not a directory
	setTime(name string, t time.Time) error

	// accept refuses entries that have no business there.
	accept(h *tar.Header) error
}

// A level is a directory on the way to the present entry.
type level struct {
	name string
	time time.Time // zero: not to be set
}

// An extractor unpacks a tar.
type extractor struct {
	dst    destination
	opts   Options
	levels []level // from the outermost on; all of them are directories, no links
	buf    []byte
	n      Count
}

func extract(ctx context.Context, r io.Reader, dst destination, o Options) (Count, error) {
	x := &extractor{dst: dst, opts: o, buf: make([]byte, bufferSize)}
	tr := tar.NewReader(r)
	for {
		if err := ctx.Err(); err != nil {
			return x.n, err
		}
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return x.n, x.leave(0)
		}
		if err != nil {
			return x.n, fmt.Errorf("tar: %w", err)
		}
		if err := x.entry(ctx, tr, h); err != nil {
			return x.n, named(h.Name, err)
		}
	}
}

func (x *extractor) entry(ctx context.Context, tr *tar.Reader, h *tar.Header) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	if err := x.dst.accept(h); err != nil {
		return err
	}
	name, err := x.name(h.Name)
	if err != nil {
		return err
	}
	x.n.Files++
	if name == "." {
		if h.Typeflag == tar.TypeDir {
			return nil
		}
		return errFileOverDir
	}
	if err := x.enter(path.Dir(name)); err != nil {
		return err
	}
	if h.Typeflag == tar.TypeDir {
		return x.dir(name, h)
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeSymlink, tar.TypeLink:
	default:
		return errNotCopied
	}
	old := ""
	if h.Typeflag == tar.TypeLink {
		if old, err = x.name(h.Linkname); err != nil {
			return fmt.Errorf("link to %q: %w", h.Linkname, err)
		}
		if old == name {
			return nil
		}
	}
	if err := x.clear(name); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeSymlink:
		err = x.dst.symlink(h.Linkname, name)
	case tar.TypeLink:
		return x.dst.link(old, name)
	default:
		err = x.file(ctx, tr, name, h)
	}
	if err == nil && x.opts.Times {
		err = x.dst.setTime(name, h.ModTime)
	}
	return err
}

func (x *extractor) name(name string) (string, error) {
	name, err := cleanName(name)
	if err != nil {
		return "", err
	}
	return x.opts.rename(name)
}

// enter makes dir the present directory: it makes what is not there, and
// refuses what is no directory. Symbolic links are none.
func (x *extractor) enter(dir string) error {
	var way []string // dir and those above it, the outermost last
	for d := dir; d != "."; d = path.Dir(d) {
		way = append(way, d)
	}
	slices.Reverse(way)
	same := 0
	for same < len(way) && same < len(x.levels) && x.levels[same].name == way[same] {
		same++
	}
	if err := x.leave(same); err != nil {
		return err
	}
	for _, d := range way[same:] {
		if err := x.mkdir(d, 0o777); err != nil {
			return named(d, err)
		}
		x.levels = append(x.levels, level{name: d})
	}
	return nil
}

// leave leaves the innermost directories but n. Their times are set now, as
// what is made in a directory changes them.
func (x *extractor) leave(n int) error {
	for len(x.levels) > n {
		l := x.levels[len(x.levels)-1]
		x.levels = x.levels[:len(x.levels)-1]
		if l.time.IsZero() {
			continue
		}
		if err := x.dst.setTime(l.name, l.time); err != nil {
			return named(l.name, err)
		}
	}
	return nil
}

// mkdir makes a directory, unless it is there.
func (x *extractor) mkdir(name string, perm fs.FileMode) error {
	kind, err := x.dst.kind(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return x.dst.mkdir(name, perm)
	case err != nil:
		return err
	case kind&fs.ModeDir == 0:
		return errDirOverFile
	}
	return nil
}

func (x *extractor) dir(name string, h *tar.Header) error {
	if n := len(x.levels); n == 0 || x.levels[n-1].name != name {
		if err := x.mkdir(name, h.FileInfo().Mode().Perm()|0o700); err != nil {
			return err
		}
		x.levels = append(x.levels, level{name: name})
	}
	if x.opts.Times {
		x.levels[len(x.levels)-1].time = h.ModTime
	}
	return nil
}

// clear makes room for what is no directory.
func (x *extractor) clear(name string) error {
	kind, err := x.dst.kind(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case kind&fs.ModeDir != 0:
		return errFileOverDir
	}
	return x.dst.remove(name)
}

func (x *extractor) file(ctx context.Context, tr *tar.Reader, name string, h *tar.Header) error {
	f, err := x.dst.create(name, h.FileInfo().Mode().Perm())
	if err != nil {
		return err
	}
	n, err := copyBuffer(ctx, f, tr, x.buf)
	x.n.Bytes += n
	return errors.Join(err, f.Close())
}

// copyBuffer copies until the end of r.
func copyBuffer(ctx context.Context, w io.Writer, r io.Reader, buf []byte) (n int64, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		got, err := r.Read(buf)
		if got > 0 {
			put, err := w.Write(buf[:got])
			n += int64(put)
			if err != nil {
				return n, err
			}
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("tar: %w", err)
		}
	}
}

// sparse reports whether an entry stands for more than its bytes.
func sparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse") {
			return true
		}
	}
	return false
}
