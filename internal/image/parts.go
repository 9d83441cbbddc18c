package image

import (
	"encoding/hex"
	"fmt"
)

// Config returns what the image says of itself. The caller must not change
// what it refers to.
func (im *Image) Config() Config { return im.config }

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

// Module returns the module that has this sha256.
func (im *Image) Module(digest [32]byte) ([]byte, error) {
	b, err := im.read(moduleFile(hex.EncodeToString(digest[:])))
	if err != nil {
		return nil, im.wrap(err)
	}
	return b, nil
}

// Memories returns how many memories the image has.
func (im *Image) Memories() int { return len(im.config.Memories) }

// MemorySize returns the size of memory i in bytes.
//
// Preconditions: i is at least 0 and below Memories.
func (im *Image) MemorySize(i int) int64 { return im.config.Memories[i].Size }

// FillMemory reads the stored pages of memory i into dst. It leaves the other
// pages alone, so that a fresh mapping stays as empty as it was.
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
		return im.wrap(fmt.Errorf("memory %d: the image is closed", i))
	}
	var off int64
	for _, r := range im.runs[i] {
		n := r.count * PageSize
		at := r.first * PageSize
		if err := readAt(f, m.Pages, dst[at:at+n], off); err != nil {
			return im.wrap(err)
		}
		off += int64(n)
	}
	return nil
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
