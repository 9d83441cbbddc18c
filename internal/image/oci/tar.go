package oci

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stasis-run/stasis/internal/image"
)

// tar writes the files of the layout, in the order in which a reader wants
// them: what names others goes first.
func (b *builder) tar(w io.Writer) error {
	t := tar.NewWriter(w)
	for _, name := range b.files {
		if err := b.tarFile(t, name); err != nil {
			return err
		}
	}
	return t.Close()
}

func (b *builder) tarFile(t *tar.Writer, name string) error {
	f, err := b.fsys.Open(b.path(name))
	if err != nil {
		return failed("open", name, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return failed("stat", name, err)
	}
	err = t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: st.Size(), Mode: 0o644, ModTime: b.c.Created})
	if err != nil {
		return err
	}
	in := &noter{r: &ctxReader{b.ctx, io.NewSectionReader(f, 0, st.Size())}}
	_, err = io.Copy(t, in)
	if in.err != nil {
		err = failed("read", name, in.err)
	}
	return err
}

// maxEntries bounds the entries of a tar: blobs, directories, and files that
// name others.
const maxEntries = maxLayers + 16

// A tarReader reads the entries of a tar that are files of a layout, and
// refuses all others.
type tarReader struct {
	*tar.Reader
	entries int
	seen    map[string]bool
}

func newTarReader(r io.Reader) *tarReader {
	return &tarReader{Reader: tar.NewReader(r), seen: make(map[string]bool)}
}

// next goes to the next file; io.EOF is the end.
func (t *tarReader) next() (name string, size int64, err error) {
	for {
		h, err := t.Next()
		if err == io.EOF {
			return "", 0, io.EOF
		}
		if err != nil {
			return "", 0, tarError(err)
		}
		if t.entries++; t.entries > maxEntries {
			return "", 0, corruptf("tar", "more than %d entries", maxEntries)
		}
		name, dir := strings.TrimPrefix(h.Name, "./"), h.Typeflag == tar.TypeDir
		if dir && slices.Contains([]string{"", ".", blobsDir, blobsDir + "/", sha256Dir, sha256Dir + "/"}, name) {
			continue
		}
		switch {
		case h.Typeflag != tar.TypeReg || isSparse(h):
			return "", 0, corruptf("tar", "%.80q is not a plain file", h.Name)
		case !isName(name):
			return "", 0, corruptf("tar", "%.80q is no file of a layout", h.Name)
		case t.seen[name]:
			return "", 0, corruptf("tar", "%s is there twice", name)
		case h.Size < 0 || h.Size > maxBlob:
			return "", 0, corruptf("tar", "%s: %d bytes, at most %d", name, h.Size, int64(maxBlob))
		}
		t.seen[name] = true
		return name, h.Size, nil
	}
}

// maxBlob bounds any file of a layout, in bytes: the pages of the largest memory.
const maxBlob = image.MaxMemorySize / image.ChunkSize * maxFrame

// tarError says of an error whether the tar is at fault.
func tarError(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrFieldTooLong) {
		return corruptf("tar", "%v", err)
	}
	return failed("read", "tar", err)
}

// isSparse reports whether an entry's bytes are not those in the tar.
func isSparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// A tarSource is a layout in a tar that is a file: nothing is unpacked.
type tarSource struct {
	f     io.ReaderAt
	files map[string]span
}

type span struct{ off, size int64 }

// newTarSource finds the files in a tar of so many bytes.
func newTarSource(f io.ReaderAt, size int64) (*tarSource, error) {
	s := &tarSource{f, make(map[string]span)}
	r := io.NewSectionReader(f, 0, size)
	t := newTarReader(r)
	for {
		name, n, err := t.next()
		if err == io.EOF {
			return s, nil
		}
		if err != nil {
			return nil, err
		}
		off, err := r.Seek(0, io.SeekCurrent) // package tar reads no further than the header
		if err != nil {
			return nil, err
		}
		if n > size-off {
			return nil, corruptf("tar", "%s: %d bytes at %d, of %d", name, n, off, size)
		}
		s.files[name] = span{off, n}
	}
}

func (s *tarSource) open(name string) (*section, error) {
	at, ok := s.files[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return &section{io.NewSectionReader(s.f, at.off, at.size), at.size, nil}, nil
}

// unpack writes the files of a tar to dir, which is empty, and verifies the
// blobs by their names. At most limit bytes are written.
func unpack(fsys image.FS, r io.Reader, dir string, limit int64) error {
	for _, name := range []string{blobsDir, sha256Dir} {
		if err := fsys.Mkdir(filepath.Join(dir, name)); err != nil {
			return failed("make", name, err)
		}
	}
	t := newTarReader(r)
	for {
		name, size, err := t.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if limit -= size; limit < 0 {
			return fmt.Errorf("tar: %s goes beyond the limit for a layout, by %d bytes", name, -limit)
		}
		if err := unpackFile(fsys, t, dir, name); err != nil {
			return err
		}
	}
}

func unpackFile(fsys image.FS, t *tarReader, dir, name string) error {
	f, err := fsys.Create(filepath.Join(dir, name))
	if err != nil {
		return failed("create", name, err)
	}
	w := &fileWriter{f: f, name: name, hash: sha256.New()}
	if _, err = io.Copy(w, t); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = corruptf("tar", "ends in %s", name)
		}
	} else if want, ok := strings.CutPrefix(name, sha256Dir+"/"); ok {
		if sum := hex.EncodeToString(w.hash.Sum(nil)); sum != want {
			err = corruptf("blob", "sha256 %s…, want sha256:%s…", sum[:8], want[:8])
		}
	}
	if e := f.Close(); err == nil {
		err = failed("close", name, e)
	}
	return err
}
