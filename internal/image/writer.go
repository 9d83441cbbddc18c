package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
)

// A Writer makes one image. Each part is given once, in any order; then
// Commit publishes the whole. After an error, only Abort is of use. It is not
// safe for use by several goroutines.
type Writer struct {
	fsys FS
	dir  string // the image's name, once it is complete
	temp string // its name until then
	lock File   // temp, locked, so that Clean leaves it alone; nil when done

	blobs    []*blob
	state    bool
	modules  []ModuleInfo
	memories map[int]MemoryInfo

	err error // the first that a part ran into; Commit repeats it
}

// Create begins an image that will be named dir. It fails with [ErrExists] if
// the name is taken, and if the directory that dir is in does not exist or is
// not writable.
func Create(fsys FS, dir string) (*Writer, error) {
	w := &Writer{fsys: fsys, dir: filepath.Clean(dir), memories: make(map[int]MemoryInfo)}
	if isTemp(filepath.Base(w.dir)) {
		return nil, w.wrap(errors.New("the name is kept for unfinished checkpoints"))
	}
	switch _, err := fsys.Lstat(w.dir); {
	case err == nil:
		return nil, w.wrap(ErrExists)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, w.wrap(cause(err))
	}
	w.temp = tempName(w.dir)
	if err := fsys.Mkdir(w.temp); err != nil {
		return nil, w.wrap(fmt.Errorf("write in %s: %w", filepath.Dir(w.dir), cause(err)))
	}
	if err := w.lockTemp(); err != nil {
		return nil, errors.Join(w.wrap(err), w.Abort())
	}
	return w, nil
}

// lockTemp takes the lock that Clean respects. A Clean that comes between
// Mkdir and here may have it first, and then removes the directory.
func (w *Writer) lockTemp() error {
	d, err := w.fsys.OpenDir(w.temp)
	if err != nil {
		return fmt.Errorf("lock: %w", cause(err))
	}
	w.lock = d
	ok, err := d.TryLock()
	if err != nil {
		return fmt.Errorf("lock: %w", cause(err))
	}
	if !ok {
		return errors.New("lock: being cleaned away, try again")
	}
	return nil
}

// wrap gives an error the image's name.
func (w *Writer) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("image %s: %w", w.dir, err)
}

// note remembers the first error, for Commit.
func (w *Writer) note(err error) error {
	if w.err == nil {
		w.err = err
	}
	return w.wrap(err)
}

// Module stores a module. One that is stored already is not stored again.
func (w *Writer) Module(digest [32]byte, b []byte) error {
	sum := hex.EncodeToString(digest[:])
	for _, m := range w.modules {
		if m.Digest == sum {
			return nil
		}
	}
	return w.note(w.module(sum, b))
}

func (w *Writer) module(sum string, b []byte) error {
	name := moduleFile(sum)
	if len(b) > maxModuleSize {
		return fmt.Errorf("%s: %d bytes, at most %d", name, len(b), maxModuleSize)
	}
	f, err := w.put(name, b)
	if err != nil {
		return err
	}
	if got := f.info().SHA256; got != sum {
		return fmt.Errorf("%s: sha256 %s, want %s", name, short(got), short(sum))
	}
	w.modules = append(w.modules, ModuleInfo{Digest: sum, Size: int64(len(b))})
	return nil
}

// State stores the state file.
func (w *Writer) State(b []byte) error { return w.note(w.putState(b)) }

func (w *Writer) putState(b []byte) error {
	if w.state {
		return fmt.Errorf("%s: given twice", stateFile)
	}
	if len(b) > maxStateSize {
		return fmt.Errorf("%s: %d bytes, at most %d", stateFile, len(b), maxStateSize)
	}
	w.state = true
	_, err := w.put(stateFile, b)
	return err
}

// Memory stores memory i. Pages that are all zero are left out; the others
// are written from where they are, with no copy made.
//
// Preconditions: nothing writes to mem until Memory has returned.
func (w *Writer) Memory(i int, mem []byte) error {
	if err := w.memory(i, mem); err != nil {
		return w.note(fmt.Errorf("memory %d: %w", i, err))
	}
	return nil
}

func (w *Writer) memory(i int, mem []byte) error {
	if _, dup := w.memories[i]; dup || i < 0 || i >= maxMemories {
		return fmt.Errorf("given twice, or not in 0 to %d", maxMemories-1)
	}
	m := MemoryInfo{Size: int64(len(mem)), Pages: pagesFile(i), PageSize: PageSize}
	if m.Size%PageSize != 0 || m.Size > maxMemorySize {
		return fmt.Errorf("%d bytes, want whole pages of %d, at most %d bytes", m.Size, PageSize, int64(maxMemorySize))
	}
	pages, err := w.create(m.Pages)
	if err != nil {
		return err
	}
	runs, err := writePages(pages, mem)
	if err != nil {
		return err
	}
	if _, err := w.put(pageMapFile(i), encodePageMap(runs)); err != nil {
		return err
	}
	w.memories[i] = m
	return nil
}

// writePages writes the pages of mem that are not zero, as many at a time as
// make a block, and returns which they were.
func writePages(f *blob, mem []byte) (runs []run, err error) {
	for off := 0; off < len(mem); {
		start := off
		for off < len(mem) && off-start < blockSize && !isZero(mem[off:off+PageSize]) {
			runs = appendRun(runs, off/PageSize)
			off += PageSize
		}
		if err := f.write(mem[start:off]); err != nil {
			return nil, err
		}
		if off == start {
			off += PageSize
		}
	}
	return runs, nil
}

// zeros is short, so that it stays in the first cache while a page is compared
// with it; bytes.Equal uses the widest registers there are.
var zeros [4 << 10]byte

// isZero reports whether the page p is all zero.
func isZero(p []byte) bool {
	for ; len(p) > 0; p = p[len(zeros):] {
		if !bytes.Equal(p[:len(zeros)], zeros[:]) {
			return false
		}
	}
	return true
}

// Commit writes the config, syncs everything, and gives the image its name.
// When it returns nil, the image is there, whole and lasting. Otherwise it is
// not, and Commit has done what Abort does; there is one exception: where the
// name could not be made to last and could not be taken back either, the image
// is there, whole, and the error says "rename back".
func (w *Writer) Commit(c Config) error {
	if w.temp == "" {
		return w.wrap(errors.New("commit: already committed or aborted"))
	}
	err := w.commit(c)
	if err != nil {
		return errors.Join(w.wrap(err), w.Abort())
	}
	w.temp = ""
	w.lock.Close() // releases the lock; nothing is left in it to lose
	w.lock = nil
	return nil
}

func (w *Writer) commit(c Config) error {
	if w.err != nil {
		return w.err
	}
	b, err := w.config(c)
	if err != nil {
		return err
	}
	if _, err := w.put(configFile, b); err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	if _, err := w.put(digestFile, []byte(hex.EncodeToString(sum[:])+"\n")); err != nil {
		return err
	}
	for _, f := range w.blobs {
		if err := f.finish(); err != nil {
			return err
		}
	}
	if err := w.lock.Sync(); err != nil {
		return fmt.Errorf("sync: %w", cause(err))
	}
	return w.publish()
}

// publish gives the synced directory its name. If the new name cannot be made
// to last, it is taken back.
func (w *Writer) publish() error {
	err := w.fsys.RenameNew(w.temp, w.dir)
	if errors.Is(err, fs.ErrExist) {
		return ErrExists // since Create looked
	}
	if err != nil {
		return fmt.Errorf("rename: %w", cause(err))
	}
	parent := filepath.Dir(w.dir)
	if err := syncDir(w.fsys, parent); err != nil {
		err = fmt.Errorf("sync %s: %w", parent, cause(err))
		if back := w.fsys.RenameNew(w.dir, w.temp); back != nil {
			return errors.Join(err, fmt.Errorf("rename back: %w", cause(back)))
		}
		return err
	}
	return nil
}

// config completes c with what was written.
func (w *Writer) config(c Config) ([]byte, error) {
	if !w.state {
		return nil, errors.New("commit: no state")
	}
	c.Format, c.Version = Format, Version
	if c.ID == "" {
		c.ID = randomHex(16)
	}
	c.Modules = append([]ModuleInfo{}, w.modules...) // [] in JSON, never null
	c.Memories = []MemoryInfo{}
	for i := range len(w.memories) {
		m, ok := w.memories[i]
		if !ok {
			return nil, errors.New("commit: no memory " + strconv.Itoa(i))
		}
		c.Memories = append(c.Memories, m)
	}
	c.Needs = append([]Need{}, c.Needs...)
	c.Files = make(map[string]FileInfo)
	for _, f := range w.blobs {
		c.Files[f.name] = f.info()
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", configFile, err)
	}
	b, err := json.MarshalIndent(&c, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", configFile, err)
	}
	if len(b) >= maxConfigSize {
		return nil, fmt.Errorf("%s: %d bytes, at most %d", configFile, len(b)+1, maxConfigSize)
	}
	return append(b, '\n'), nil
}

// Abort removes what was written. It does nothing after a Commit that
// returned nil, and may be called again after an error.
func (w *Writer) Abort() error {
	if w.temp == "" {
		return nil
	}
	for _, f := range w.blobs {
		f.drop()
	}
	w.blobs = nil
	err := w.fsys.RemoveAll(w.temp)
	if w.lock != nil {
		w.lock.Close() // after the removal, so that Clean does not join in
		w.lock = nil
	}
	if err != nil {
		return w.wrap(fmt.Errorf("remove %s: %w", filepath.Base(w.temp), cause(err)))
	}
	w.temp = ""
	return nil
}
