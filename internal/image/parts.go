package image

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
)

// Config returns what the image says of itself. The caller must not change
// what it refers to.
func (im *Image) Config() Config { return im.config }

// ConfigJSON returns the bytes of config.json, which the caller must not change.
func (im *Image) ConfigJSON() []byte { return im.json }

// Digest returns the root: the sha256 of the config, from which every byte of
// the image hangs.
func (im *Image) Digest() [32]byte { return im.digest }

// State returns the state file.
func (im *Image) State() ([]byte, error) {
	b, err := im.read(stateFile)
	if err != nil {
		return nil, im.wrap(err)
	}
	return b, nil
}

// Module returns the module that has this sha256, or [ErrNoModule].
func (im *Image) Module(digest [32]byte) ([]byte, error) {
	name := moduleFile(hex.EncodeToString(digest[:]))
	if _, ok := im.config.Files[name]; !ok {
		err := ErrNoModule
		if im.config.Thin() {
			err = fmt.Errorf("%w, which is thin", err)
		}
		return nil, im.wrap(fmt.Errorf("module %x: %w", digest, err))
	}
	b, err := im.read(name)
	if err != nil {
		return nil, im.wrap(err)
	}
	return b, nil
}

// ReadFile returns a file that the config lists, by its name.
func (im *Image) ReadFile(name string) ([]byte, error) {
	for i, m := range im.config.Memories {
		if m.PageMap == name { // which was read; each has one form
			return encodePageMap(m.Size, im.chunks[i]), nil
		}
	}
	if _, ok := im.config.Files[name]; !ok {
		return nil, im.wrap(fmt.Errorf("%.80q: %w", name, fs.ErrNotExist))
	}
	b, err := im.read(name)
	if err != nil {
		return nil, im.wrap(err)
	}
	return b, nil
}

// errClosed is what an image says after Close.
var errClosed = errors.New("the image is closed")

// read returns the whole of a file, as the config names it.
func (im *Image) read(name string) ([]byte, error) {
	f, ok := im.files[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, errClosed)
	}
	want := im.config.Files[name]
	b := make([]byte, want.Size)
	if err := readAt(f, name, b, 0); err != nil {
		return nil, err
	}
	if got := hexSum(b); got != want.SHA256 {
		return nil, wrongSum(name, got, want.SHA256)
	}
	return b, nil
}

// Memories returns how many memories the image has.
func (im *Image) Memories() int { return len(im.config.Memories) }

// MemorySize returns the size of memory i in bytes.
//
// Preconditions: i is at least 0 and below Memories.
func (im *Image) MemorySize(i int) int64 { return im.config.Memories[i].Size }

// Chunks returns which pages of memory i are stored, ascending. The caller must
// not change it.
//
// Preconditions: i is at least 0 and below Memories.
func (im *Image) Chunks(i int) []Chunk { return im.chunks[i] }

// FillMemory reads and verifies the stored pages of memory i into dst. It
// leaves the other pages alone, so that a fresh mapping stays as empty as it
// was. Nothing may run on dst before FillMemory has returned nil; after an
// error it holds bytes that nobody vouches for.
//
// Preconditions: dst has the size of the memory and is all zero.
func (im *Image) FillMemory(i int, dst []byte) error {
	if i < 0 || i >= len(im.config.Memories) {
		return im.wrap(fmt.Errorf("memory %d: the image has %d", i, len(im.config.Memories)))
	}
	m := im.config.Memories[i]
	if int64(len(dst)) != m.Size {
		return im.wrap(fmt.Errorf("memory %d: %d bytes to fill, want %d", i, len(dst), m.Size))
	}
	f, ok := im.files[m.Pages]
	if !ok {
		return im.wrap(fmt.Errorf("memory %d: %w", i, errClosed))
	}
	chunks := im.chunks[i]
	err := parallel(len(chunks), func(_, n int) error {
		return verifyChunk(f, m.Pages, chunks[n], dst[chunks[n].Offset():])
	})
	if err != nil {
		return im.wrap(err)
	}
	return nil
}

// ReadChunk reads and verifies entry n of [Image.Chunks] for memory i, and
// returns its present pages, one after another, in buf.
//
// Preconditions: i and n exist, and buf has [ChunkSize] bytes.
func (im *Image) ReadChunk(i, n int, buf []byte) ([]byte, error) {
	m, c := im.config.Memories[i], im.chunks[i][n]
	f, ok := im.files[m.Pages]
	if !ok {
		return nil, im.wrap(fmt.Errorf("memory %d: %w", i, errClosed))
	}
	if err := verifyChunk(f, m.Pages, c, buf); err != nil {
		return nil, im.wrap(err)
	}
	packed := buf[:0]
	for off, n := range c.Runs() {
		packed = append(packed, buf[off:off+n]...) // downwards, or where it is
	}
	return packed, nil
}

// Verify reads and verifies every byte of the image, and that its pages files
// have nothing but zeros where no page is stored. What it holds in memory does
// not depend on the image's size.
func (im *Image) Verify() error {
	for _, name := range im.config.FileNames()[2:] {
		if err := im.verifyFile(name); err != nil {
			return im.wrap(err)
		}
	}
	return nil
}

// verifyFile verifies a file that Open did not.
func (im *Image) verifyFile(name string) error {
	if im.files == nil {
		return errClosed
	}
	f, ok := im.files[name]
	if !ok {
		return nil // a page map
	}
	if want, ok := im.config.Files[name]; ok {
		got, err := sumFile(f, name, want.Size)
		if err == nil && got != want.SHA256 {
			err = wrongSum(name, got, want.SHA256)
		}
		return err
	}
	for i, m := range im.config.Memories {
		if m.Pages == name {
			return im.verifyPages(f, i)
		}
	}
	return nil
}

func (im *Image) verifyPages(f File, i int) error {
	m, chunks := im.config.Memories[i], im.chunks[i]
	bufs := make([][]byte, maxWorkers)
	err := parallel(len(chunks), func(worker, n int) error {
		if bufs[worker] == nil {
			bufs[worker] = make([]byte, ChunkSize)
		}
		return verifyChunk(f, m.Pages, chunks[n], bufs[worker])
	})
	if err != nil {
		return err
	}
	return verifyHoles(f, m.Pages, m.Size, chunks)
}

// Close closes the files of the image. It may be called again.
func (im *Image) Close() error {
	var first error
	for name, f := range im.files {
		if err := f.Close(); err != nil && first == nil {
			first = im.wrap(fmt.Errorf("close %s: %w", name, cause(err)))
		}
	}
	im.files = nil
	return first
}
