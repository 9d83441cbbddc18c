package image

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// An Image is an open image, every byte of which has been verified. Its files
// stay open until Close: another file under the same name changes nothing. It
// is safe for use by several goroutines, Close excepted.
//
// What it cannot see is somebody who may write to these very files and does so
// after Open; State and Module look at their digests again, FillMemory does not.
type Image struct {
	dir    string
	config Config
	digest [32]byte
	files  map[string]File // all of Config.Files but the page maps; nil when closed
	runs   [][]run         // which pages are stored, by memory
}

// Open opens and verifies the image dir. What is wrong with the image itself
// is a [CorruptError] or a [VersionError].
func Open(fsys FS, dir string) (*Image, error) {
	im := &Image{dir: filepath.Clean(dir), files: make(map[string]File)}
	if isTemp(filepath.Base(im.dir)) {
		return nil, im.wrap(ErrUnfinished)
	}
	if err := im.open(fsys); err != nil {
		im.Close()
		return nil, im.wrap(err)
	}
	return im, nil
}

func (im *Image) wrap(err error) error { return fmt.Errorf("image %s: %w", im.dir, err) }

func (im *Image) open(fsys FS) error {
	names, err := list(fsys, im.dir)
	if err != nil {
		return err
	}
	if err := im.readConfig(fsys, names); err != nil {
		return err
	}
	for _, name := range names {
		if _, ok := im.config.Files[name]; !ok && name != configFile && name != digestFile {
			return corruptf(name, "not in %s", configFile)
		}
	}
	var v verifier
	for _, name := range slices.Sorted(maps.Keys(im.config.Files)) {
		want := im.config.Files[name]
		f, err := openFile(fsys, im.dir, names, name)
		if err != nil {
			return err
		}
		im.files[name] = f.File
		if f.size != want.Size {
			return corruptf(name, "%d bytes, want %d", f.size, want.Size)
		}
		if err := v.verify(f.File, name, want); err != nil {
			return err
		}
	}
	for i := range im.config.Memories {
		if err := im.readPageMap(i); err != nil {
			return err
		}
	}
	return nil
}

// list returns the names in an image, all of which are of regular files.
func list(fsys FS, dir string) ([]string, error) {
	const limit = maxFiles + 2 // config and digest
	entries, err := fsys.ReadDir(dir, limit+1)
	if err != nil {
		return nil, cause(err)
	}
	if len(entries) > limit {
		return nil, &CorruptError{File: ".", Detail: fmt.Sprintf("more than %d files", limit)}
	}
	var names []string
	for _, e := range entries {
		if !e.Type().IsRegular() {
			return nil, corruptf(e.Name(), "not a regular file")
		}
		names = append(names, e.Name())
	}
	return names, nil
}

// readConfig reads digest, verifies the config by it, and only then decodes.
func (im *Image) readConfig(fsys FS, names []string) error {
	text, err := readSmall(fsys, im.dir, names, digestFile, 2*sha256.Size+1)
	if err != nil {
		return err
	}
	want, ok := strings.CutSuffix(string(text), "\n")
	if !ok || !isHex(want, sha256.Size) {
		return corruptf(digestFile, "not a sha256 in hexadecimal and a newline")
	}
	b, err := readSmall(fsys, im.dir, names, configFile, maxConfigSize)
	if err != nil {
		return err
	}
	im.digest = sha256.Sum256(b)
	if got := hex.EncodeToString(im.digest[:]); got != want {
		return wrongSum(configFile, got, want)
	}
	im.config, err = decodeConfig(b)
	return err
}

// readPageMap decodes the page map of memory i, which is verified, and closes it.
func (im *Image) readPageMap(i int) error {
	name, m := pageMapFile(i), im.config.Memories[i]
	b, err := im.read(name)
	if err != nil {
		return err
	}
	stored := im.config.Files[m.Pages].Size / PageSize
	runs, err := decodePageMap(b, int(m.Size/PageSize), int(stored))
	if err != nil {
		return corruptf(name, "%v", err)
	}
	im.runs = append(im.runs, runs)
	im.files[name].Close()
	delete(im.files, name)
	return nil
}

// An opened is a file and its size when it was opened.
type opened struct {
	File
	size int64
}

// openFile opens a file of the image.
func openFile(fsys FS, dir string, names []string, name string) (opened, error) {
	if !slices.Contains(names, name) {
		return opened{}, corruptf(name, "missing")
	}
	f, err := fsys.Open(filepath.Join(dir, name))
	if err != nil {
		return opened{}, fmt.Errorf("open %s: %w", name, cause(err))
	}
	st, err := f.Stat()
	if err != nil {
		err = fmt.Errorf("stat %s: %w", name, cause(err))
	} else if !st.Mode().IsRegular() { // swapped since it was listed
		err = corruptf(name, "not a regular file")
	}
	if err != nil {
		f.Close()
		return opened{}, err
	}
	return opened{f, st.Size()}, nil
}

// readSmall reads a whole file of at most limit bytes.
func readSmall(fsys FS, dir string, names []string, name string, limit int64) ([]byte, error) {
	f, err := openFile(fsys, dir, names, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.size > limit {
		return nil, corruptf(name, "%d bytes, at most %d", f.size, limit)
	}
	b := make([]byte, f.size)
	return b, readAt(f, name, b, 0)
}

// readAt fills b from the file.
func readAt(f File, name string, b []byte, off int64) error {
	switch n, err := f.ReadAt(b, off); {
	case n == len(b):
		return nil
	case errors.Is(err, io.EOF):
		return corruptf(name, "ends at byte %d, want %d or more", off+int64(n), off+int64(len(b)))
	default:
		return fmt.Errorf("read %s: %w", name, cause(err))
	}
}

// read returns the whole of a file, and verifies it once more: what is
// returned is what the config names, whatever became of the file.
func (im *Image) read(name string) ([]byte, error) {
	f, ok := im.files[name]
	if !ok {
		return nil, fmt.Errorf("%s: not in the image, or the image is closed", name)
	}
	want := im.config.Files[name]
	b := make([]byte, want.Size)
	if err := readAt(f, name, b, 0); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	if got := hex.EncodeToString(sum[:]); got != want.SHA256 {
		return nil, wrongSum(name, got, want.SHA256)
	}
	return b, nil
}

// A verifier hashes files; it keeps its buffers from one to the next.
type verifier struct{ bufs [2][]byte }

// verify reads the file, one block while the block before it is hashed.
func (v *verifier) verify(f File, name string, want FileInfo) error {
	h := sha256.New()
	var wg sync.WaitGroup
	defer wg.Wait()
	turn := 0
	for off := int64(0); off < want.Size; turn ^= 1 {
		n := int(min(want.Size-off, blockSize))
		if len(v.bufs[turn]) < n {
			v.bufs[turn] = make([]byte, n)
		}
		b := v.bufs[turn][:n]
		if err := readAt(f, name, b, off); err != nil {
			return err
		}
		off += int64(n)
		wg.Wait()
		if off == want.Size {
			h.Write(b)
		} else {
			wg.Go(func() { h.Write(b) })
		}
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want.SHA256 {
		return wrongSum(name, got, want.SHA256)
	}
	return nil
}
