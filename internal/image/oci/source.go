package oci

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/stasis-run/stasis/internal/image"
)

// A source holds the files of a layout, by their names in it.
type source interface {
	// open returns a file, or an error that is fs.ErrNotExist.
	open(name string) (*section, error)
}

// A section is an open file of a layout.
type section struct {
	io.ReaderAt
	size  int64
	close func() error // nil is nothing to do
}

func (s *section) Close() {
	if s.close != nil {
		s.close()
	}
}

// A dirSource is a layout that is a directory.
type dirSource struct {
	fsys image.FS
	dir  string
}

// newDirSource refuses directories of a layout that are links to others.
func newDirSource(fsys image.FS, dir string) (*dirSource, error) {
	for _, name := range []string{blobsDir, sha256Dir} {
		st, err := fsys.Lstat(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, corruptf(name, "missing")
		}
		if err != nil {
			return nil, failed("look at", name, err)
		}
		if !st.IsDir() {
			return nil, corruptf(name, "not a directory")
		}
	}
	return &dirSource{fsys, dir}, nil
}

func (s *dirSource) open(name string) (*section, error) {
	f, err := s.fsys.Open(filepath.Join(s.dir, name))
	if err != nil {
		return nil, failed("open", name, err)
	}
	st, err := f.Stat()
	if err != nil {
		err = failed("stat", name, err)
	} else if !st.Mode().IsRegular() {
		err = corruptf(name, "not a regular file")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &section{f, st.Size(), f.Close}, nil
}

// A layout reads a source, and believes none of it.
type layout struct{ source }

// file opens a file that has to be there.
func (l layout) file(name string) (*section, error) {
	s, err := l.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, corruptf(name, "missing")
	}
	return s, err
}

// blob opens a blob, of at most limit bytes. Its bytes are not verified.
func (l layout) blob(d descriptor, limit int64) (*section, error) {
	sum, err := d.sum()
	if err != nil {
		return nil, corruptf("blob", "%v", err)
	}
	if d.Size < 0 || d.Size > limit {
		return nil, corruptf("blob", "sha256:%s…: %d bytes, at most %d", sum[:8], d.Size, limit)
	}
	s, err := l.file(sha256Dir + "/" + sum)
	if err != nil {
		return nil, err
	}
	if s.size != d.Size {
		s.Close()
		return nil, corruptf("blob", "sha256:%s…: %d bytes, want %d", sum[:8], s.size, d.Size)
	}
	return s, nil
}

// text returns a small file that no digest names.
func (l layout) text(name string) ([]byte, error) {
	s, err := l.file(name)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if s.size > maxJSON {
		return nil, corruptf(name, "%d bytes, at most %d", s.size, maxJSON)
	}
	b := make([]byte, s.size)
	return b, readFull(s, name, b, 0)
}

// bytes returns a whole blob, verified.
func (l layout) bytes(d descriptor, limit int64) ([]byte, error) {
	s, err := l.blob(d, limit)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	b := make([]byte, d.Size)
	if err := readFull(s, "blob", b, 0); err != nil {
		return nil, err
	}
	return b, checkSum(d, sha256.Sum256(b))
}

// checkSum compares the digest of a blob with what names it.
func checkSum(d descriptor, got [32]byte) error {
	if sum := hex.EncodeToString(got[:]); d.Digest != "sha256:"+sum {
		return corruptf("blob", "sha256 %s…, want %.15s…", sum[:8], d.Digest)
	}
	return nil
}

// manifest returns the manifest, verified.
func (l layout) manifest(tag string) (manifest, error) {
	b, err := l.text(layoutFile)
	if err != nil {
		return manifest{}, err
	}
	if err := decodeLayout(b); err != nil {
		return manifest{}, err
	}
	if b, err = l.text(indexFile); err != nil {
		return manifest{}, err
	}
	d, err := decodeIndex(b, tag)
	if err != nil {
		return manifest{}, err
	}
	if b, err = l.bytes(d, maxJSON); err != nil {
		return manifest{}, fmt.Errorf("manifest: %w", err)
	}
	return decodeManifest(b)
}

// readFull fills b from s.
func readFull(s *section, name string, b []byte, off int64) error {
	switch n, err := s.ReadAt(b, off); {
	case n == len(b):
		return nil
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return corruptf(name, "ends at byte %d, want %d or more", off+int64(n), off+int64(len(b)))
	default:
		return failed("read", name, err)
	}
}

// isName reports whether an oci layout may have a file of this name.
func isName(name string) bool {
	if dir, base := filepath.Split(name); dir == sha256Dir+"/" {
		return isSum(base)
	}
	return slices.Contains([]string{layoutFile, indexFile}, name)
}
