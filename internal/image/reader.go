package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

const digestSize = 2*sha256.Size + 1 // bytes of the file digest

// An Image is an open image. Opening verifies its config and its page maps, and
// that all files are there and have their sizes; what holds more is verified
// when it is read: State, Module and FillMemory return what the config names,
// or an error, whatever becomes of the files meanwhile. So nothing may be
// started before all of them have returned. Verify looks at everything.
//
// Its files stay open until Close: another file under the same name changes
// nothing. It is safe for use by several goroutines, Close excepted.
type Image struct {
	dir    string // as the user named it; "" if it was opened by OpenFiles
	json   []byte // config.json
	config Config
	digest [32]byte
	files  map[string]File // all of Config.Files but the page maps, and the pages; nil when closed
	chunks [][]Chunk       // which pages are stored, by memory
}

// Open opens the image dir. What is wrong with the image itself is a
// [CorruptError], a [VersionError] or a [FeatureError]; an [UnsafeError] says
// that others could have written to it.
func Open(fsys FS, dir string) (*Image, error) {
	d, err := openDir(fsys, dir)
	if err != nil {
		return nil, err
	}
	im := &Image{dir: d.name}
	err = im.open(d.open)
	if err == nil {
		err = d.checkExtra(im.config)
	}
	if err != nil {
		im.Close()
		return nil, im.wrap(err)
	}
	return im, nil
}

// OpenConfig reads and verifies the config only: what it says of the image's
// other files may not be so.
func OpenConfig(fsys FS, dir string) (Config, error) {
	d, err := openDir(fsys, dir)
	if err != nil {
		return Config{}, err
	}
	c, _, err := readConfig(d.open)
	if err != nil {
		return Config{}, fmt.Errorf("image %s: %w", d.name, err)
	}
	return c, nil
}

// Opener returns a function that opens files of the image dir for reading, with
// the checks of [Open] on who could have written to them. It is for handing
// files to another process, which calls [OpenFiles]; [Config.FileNames] tells
// their names. Files that these do not name are refused here.
func Opener(fsys FS, dir string) (func(name string) (File, error), error) {
	d, err := openDir(fsys, dir)
	if err != nil {
		return nil, err
	}
	c, _, err := readConfig(d.open)
	if err == nil {
		err = d.checkExtra(c)
	}
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", d.name, err)
	}
	return d.open, nil
}

// OpenFiles is Open for a process that is handed the files one by one. It
// trusts open for their owners and modes. The errors do not name the image.
func OpenFiles(open func(name string) (File, error)) (*Image, error) {
	im := new(Image)
	err := im.open(func(name string) (File, error) { return openRegular(open, name) })
	if err != nil {
		im.Close()
		return nil, err
	}
	return im, nil
}

func (im *Image) wrap(err error) error {
	if im.dir == "" {
		return err
	}
	return fmt.Errorf("image %s: %w", im.dir, err)
}

func (im *Image) open(open func(name string) (File, error)) error {
	c, b, err := readConfig(open)
	if err != nil {
		return err
	}
	im.config, im.json, im.digest = c, b, sha256.Sum256(b)
	im.files = make(map[string]File)
	for _, name := range c.FileNames()[2:] { // not digest and config
		f, err := open(name)
		if err != nil {
			return err
		}
		im.files[name] = f
		if err := checkSize(f, &c, name); err != nil {
			return err
		}
	}
	for _, m := range c.Memories {
		if err := im.readPageMap(m); err != nil {
			return err
		}
	}
	return nil
}

// readPageMap verifies and decodes a page map, and closes it.
func (im *Image) readPageMap(m MemoryInfo) error {
	b, err := im.read(m.PageMap)
	if err != nil {
		return err
	}
	chunks, err := DecodePageMap(b, m.Size, im.config.Parent != nil)
	if err != nil {
		return corruptf(m.PageMap, "%v", err)
	}
	im.chunks = append(im.chunks, chunks)
	im.files[m.PageMap].Close()
	delete(im.files, m.PageMap)
	return nil
}

// A directory is that of an image.
type directory struct {
	fsys  FS
	name  string
	names []string // what is in it: regular files
}

// openDir looks at the directory of an image: its owner and mode, and the
// names in it.
func openDir(fsys FS, dir string) (*directory, error) {
	d := &directory{fsys: fsys, name: filepath.Clean(dir)}
	if err := d.list(); err != nil {
		return nil, fmt.Errorf("image %s: %w", d.name, err)
	}
	return d, nil
}

func (d *directory) list() error {
	if isTemp(filepath.Base(d.name)) {
		return ErrUnfinished
	}
	const limit = maxFiles
	entries, err := d.fsys.ReadDir(d.name, limit+1)
	if err != nil {
		return cause(err)
	}
	if len(entries) > limit {
		return corruptf(".", "more than %d files", limit)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			return corruptf(e.Name(), "not a regular file")
		}
		d.names = append(d.names, e.Name())
	}
	f, err := d.fsys.OpenDir(d.name)
	if err != nil {
		return cause(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("stat: %w", cause(err))
	}
	return checkOwner(st, ".", d.name)
}

// open opens a file of the image.
func (d *directory) open(name string) (File, error) {
	if !slices.Contains(d.names, name) {
		return nil, corruptf(name, "missing")
	}
	path := filepath.Join(d.name, name)
	f, err := openRegular(func(string) (File, error) { return d.fsys.Open(path) }, name)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		err = fmt.Errorf("stat %s: %w", name, cause(err))
	} else {
		err = checkOwner(st, name, path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// checkExtra refuses files that the config does not name.
func (d *directory) checkExtra(c Config) error {
	names := c.FileNames()
	for _, name := range d.names {
		if !slices.Contains(names, name) {
			return corruptf(name, "not in %s", configFile)
		}
	}
	return nil
}

// openRegular opens a file that must be a regular one.
func openRegular(open func(name string) (File, error), name string) (File, error) {
	f, err := open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, corruptf(name, "missing")
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, cause(err))
	}
	st, err := f.Stat()
	if err != nil {
		err = fmt.Errorf("stat %s: %w", name, cause(err))
	} else if !st.Mode().IsRegular() { // swapped since it was listed
		err = corruptf(name, "not a regular file")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// checkSize compares the size of a file with what the config says.
func checkSize(f File, c *Config, name string) error {
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("stat %s: %w", name, cause(err))
	}
	want := st.Size() // of digest and config, which were read
	if info, ok := c.Files[name]; ok {
		want = info.Size
	}
	for _, m := range c.Memories {
		if m.Pages == name {
			want = m.Size
		}
	}
	if st.Size() != want {
		return corruptf(name, "%d bytes, want %d", st.Size(), want)
	}
	return nil
}

// readConfig reads digest, verifies the config by it, and only then decodes.
func readConfig(open func(name string) (File, error)) (Config, []byte, error) {
	text, err := readSmall(open, digestFile)
	if err != nil {
		return Config{}, nil, err
	}
	want, ok := strings.CutSuffix(string(text), "\n")
	if !ok || !isHex(want, sha256.Size) {
		return Config{}, nil, corruptf(digestFile, "not a sha256 in hexadecimal and a newline")
	}
	b, err := readSmall(open, configFile)
	if err != nil {
		return Config{}, nil, err
	}
	if got := hexSum(b); got != want {
		return Config{}, nil, wrongSum(configFile, got, want)
	}
	c, err := DecodeConfig(b)
	return c, b, err
}

// readSmall reads a whole file, of at most what its name allows.
func readSmall(open func(name string) (File, error), name string) ([]byte, error) {
	f, err := open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("stat %s: %w", name, cause(err))
	}
	if limit, _ := maxSize(name); st.Size() > limit {
		return nil, corruptf(name, "%d bytes, at most %d", st.Size(), limit)
	}
	b := make([]byte, st.Size())
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

// blockSize is how many bytes are read and hashed at a time.
const blockSize = 1 << 20

// sumFile hashes the first size bytes of a file, one block while the next one
// is read.
func sumFile(f File, name string, size int64) (string, error) {
	h := sha256.New()
	var bufs [2][]byte
	var wg sync.WaitGroup
	defer wg.Wait()
	turn := 0
	for off := int64(0); off < size; turn ^= 1 {
		n := int(min(size-off, blockSize))
		if len(bufs[turn]) < n {
			bufs[turn] = make([]byte, n)
		}
		b := bufs[turn][:n]
		if err := readAt(f, name, b, off); err != nil {
			return "", err
		}
		off += int64(n)
		wg.Wait()
		if off == size {
			h.Write(b)
		} else {
			wg.Go(func() { h.Write(b) })
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// readChunk reads the present pages of a chunk into window, the chunk's part of
// a memory or a buffer as large, and returns their digest.
func readChunk(f File, name string, c Chunk, window []byte) (sum [32]byte, err error) {
	h := sha256.New()
	for off, n := range c.Runs() {
		b := window[off : off+n]
		if err := readAt(f, name, b, c.Offset()+int64(off)); err != nil {
			return sum, err
		}
		h.Write(b)
	}
	h.Sum(sum[:0])
	return sum, nil
}

// verifyChunk is readChunk for one whose digest is known.
func verifyChunk(f File, name string, c Chunk, window []byte) error {
	sum, err := readChunk(f, name, c, window)
	if err == nil && sum != c.SHA256 {
		err = corruptf(name, "chunk %d: sha256 %x…, want %x…", c.Index, sum[:4], c.SHA256[:4])
	}
	return err
}

// verifyHoles checks that a pages file has nothing but zeros outside of the
// chunks' present pages. Holes are not read.
func verifyHoles(f File, name string, size int64, chunks []Chunk) error {
	present := make([]uint16, chunksIn(size))
	for _, c := range chunks {
		present[c.Index] = c.Present
	}
	buf := make([]byte, PageSize)
	for off := int64(0); off < size; {
		start, end, err := f.NextData(off)
		if errors.Is(err, io.EOF) || err == nil && start >= size {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", name, cause(err))
		}
		if end <= start || start < off {
			return fmt.Errorf("read %s: data from %d to %d after %d", name, start, end, off)
		}
		for off = start / PageSize * PageSize; off < min(end, size); off += PageSize {
			if present[off/ChunkSize]&(1<<(off%ChunkSize/PageSize)) != 0 {
				continue
			}
			if err := readAt(f, name, buf, off); err != nil {
				return err
			}
			if !bytes.Equal(buf, zeroPage[:]) {
				return corruptf(name, "bytes in page %d, which is not stored", off/PageSize)
			}
		}
	}
	return nil
}

var zeroPage [PageSize]byte
