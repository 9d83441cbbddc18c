package archive

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A packer writes a tar.
type packer struct {
	ctx context.Context
	tw  *tar.Writer
	buf []byte
	n   Count
}

func newPacker(ctx context.Context, w io.Writer) *packer {
	return &packer{ctx: ctx, tw: tar.NewWriter(w), buf: make([]byte, bufferSize)}
}

// header writes an entry's header. PAX, as the other formats round times.
func (p *packer) header(h *tar.Header, kind byte, perm fs.FileMode) error {
	h.Typeflag, h.Mode, h.Format = kind, int64(perm), tar.FormatPAX
	if err := p.tw.WriteHeader(h); err != nil {
		return named(h.Name, err)
	}
	p.n.Files++
	return nil
}

// contents writes a regular file of h.Size bytes, whatever r has.
func (p *packer) contents(h *tar.Header, perm fs.FileMode, r io.Reader) error {
	if err := p.header(h, tar.TypeReg, perm); err != nil {
		return err
	}
	n, err := copyBuffer(p.ctx, p.tw, io.LimitReader(r, h.Size), p.buf)
	if err == nil && n < h.Size {
		clear(p.buf)
		_, err = copyBuffer(p.ctx, p.tw, io.LimitReader(zeros{}, h.Size-n), p.buf)
	}
	if err != nil {
		return named(h.Name, err)
	}
	p.n.Bytes += h.Size
	return nil
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Pack writes a tar of a file of the host, whose first entry is called name. A
// symbolic link is written as one, unless follow says otherwise for file itself.
func Pack(ctx context.Context, file, name string, follow bool, w io.Writer) (Count, error) {
	t := &hostTree{newPacker(ctx, w)}
	err := t.add(file, name, follow, 0)
	if err == nil {
		err = t.tw.Close()
	}
	return t.n, err
}

// A hostTree writes a tar of the host's files. They are the caller's own.
type hostTree struct{ *packer }

func (t *hostTree) add(file, name string, follow bool, depth int) error {
	if err := t.ctx.Err(); err != nil {
		return err
	}
	if depth > maxDepth {
		return named(file, errDeep)
	}
	stat := os.Lstat
	if follow {
		stat = os.Stat
	}
	st, err := stat(file)
	if errors.Is(err, fs.ErrNotExist) && depth > 0 {
		return nil // it has gone meanwhile
	}
	if err != nil {
		return named(file, err)
	}
	h := &tar.Header{Name: name, ModTime: st.ModTime()}
	switch perm := st.Mode().Perm(); st.Mode().Type() {
	case 0:
		return t.file(file, h, follow)
	case fs.ModeDir:
		return t.dir(file, h, perm, depth)
	case fs.ModeSymlink:
		if h.Linkname, err = os.Readlink(file); err != nil {
			return named(file, err)
		}
		return t.header(h, tar.TypeSymlink, 0o777)
	}
	return named(file, errNotCopied)
}

func (t *hostTree) file(file string, h *tar.Header, follow bool) error {
	flags := os.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY // should it have become a fifo or a terminal
	if !follow {
		flags |= unix.O_NOFOLLOW
	}
	f, err := os.OpenFile(file, flags, 0)
	if err != nil {
		return named(file, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return named(file, err)
	}
	if !st.Mode().IsRegular() {
		return named(file, errNotCopied)
	}
	h.Size = st.Size()
	return t.contents(h, st.Mode().Perm(), f)
}

func (t *hostTree) dir(file string, h *tar.Header, perm fs.FileMode, depth int) error {
	names, err := os.ReadDir(file)
	if err != nil {
		return named(file, err)
	}
	prefix := h.Name + "/"
	h.Name = prefix
	if err := t.header(h, tar.TypeDir, perm); err != nil {
		return err
	}
	for _, e := range names {
		if err := t.add(filepath.Join(file, e.Name()), prefix+e.Name(), false, depth+1); err != nil {
			return err
		}
	}
	return nil
}
