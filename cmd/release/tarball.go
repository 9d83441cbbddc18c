package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A file is one of a tarball.
type file struct {
	path string // with slashes, below the tarball's directory
	mode int64  // of the permission bits; 0 is 0644
	data []byte
}

// writeTarball writes files into a gzipped tarball, below the directory top: in
// the order of their names, all of them root's, and of the time at.
func writeTarball(to, top string, at time.Time, files []file) (size int64, err error) {
	var b bytes.Buffer
	if err := tarball(&b, top, at, files); err != nil {
		return 0, err
	}
	return int64(b.Len()), os.WriteFile(to, b.Bytes(), 0o644)
}

func tarball(w io.Writer, top string, at time.Time, files []file) error {
	zip, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	t := tar.NewWriter(zip)
	for _, f := range withDirs(top, files) {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.path, Mode: f.mode, Size: int64(len(f.data)), ModTime: at, Format: tar.FormatUSTAR}
		if strings.HasSuffix(f.path, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := t.WriteHeader(h); err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
		if _, err := t.Write(f.data); err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	return zip.Close()
}

// withDirs puts files below top, adds the directories, and sorts them.
func withDirs(top string, files []file) []file {
	out := []file{{path: top + "/", mode: 0o755}}
	seen := map[string]bool{".": true}
	for _, f := range files {
		for d := path.Dir(f.path); !seen[d]; d = path.Dir(d) {
			seen[d] = true
			out = append(out, file{path: top + "/" + d + "/", mode: 0o755})
		}
		if f.mode == 0 {
			f.mode = 0o644
		}
		f.path = top + "/" + f.path
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return out
}

const sumsFile = "SHA256SUMS"

// writeSums writes the sums of files as sha256sum -c reads them.
func writeSums(dir string, names []string) error {
	var b strings.Builder
	for _, n := range slices.Sorted(slices.Values(names)) {
		data, err := os.ReadFile(filepath.Join(dir, n))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(data), n)
	}
	return os.WriteFile(filepath.Join(dir, sumsFile), []byte(b.String()), 0o644)
}
