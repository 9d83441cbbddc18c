// Package image reads and writes checkpoint images: bytes only. What the
// bytes of a state file mean, package checkpoint knows.
//
// An image is a directory:
//
//	digest               sha256 of config.json, in hexadecimal, and a newline
//	config.json          what it is, for people and programs: see [Config]
//	state                the kernel's state; opaque here
//	module-<sha256>.wasm each module, once; not in a thin image
//	pages-<i>            memory i: its 64 KiB pages at their addresses; those that are all zero are holes
//	pagemap-<i>          memory i: which pages are stored, and a digest for each chunk of 16
//
// The page maps have the digests of the pages, the config those of all other
// files, and digest that of the config. So every byte hangs from the 32 of
// digest, and whoever knows them ([Image.Digest]) knows the whole image. An
// image says nothing of who wrote it: a consistent one may still be hostile,
// and its state has to be decoded with that in mind.
//
// An image is complete or absent. It is a [Draft] under another name next to
// its own, synced, and published by one rename, whatever fails and wherever
// the power is cut. [Clean] removes what a process left that was killed. The
// files are written by a [Writer], which may be in another process than the
// draft, and trusted less.
package image

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

const (
	dirMode  fs.FileMode = 0o700
	fileMode fs.FileMode = 0o600
)

// tempMark stands between the name of an image and tempRandom random bytes in
// the name it has while it is written: ".py.tmp-0123456789abcdef".
const (
	tempMark   = ".tmp-"
	tempRandom = 8
)

func tempName(dir string) string {
	return filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+tempMark+randomHex(tempRandom))
}

// isTemp reports whether base is a name that tempName makes.
func isTemp(base string) bool {
	i := strings.LastIndex(base, tempMark)
	return i > 1 && base[0] == '.' && isHex(base[i+len(tempMark):], tempRandom)
}

// NewGeneration makes the id of an image: 128 random bits.
func NewGeneration() string { return randomHex(16) }

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails, says its documentation
	return hex.EncodeToString(b)
}

// Clean removes what unfinished checkpoints left in parent. It leaves alone
// what is a living [Draft], of whatever process.
func Clean(fsys FS, parent string) error {
	entries, err := fsys.ReadDir(parent, 0)
	if err != nil {
		return fmt.Errorf("clean %s: %w", parent, cause(err))
	}
	for _, e := range entries {
		if !e.IsDir() || !isTemp(e.Name()) {
			continue
		}
		if err := cleanOne(fsys, filepath.Join(parent, e.Name())); err != nil {
			return fmt.Errorf("clean %s: remove %s: %w", parent, e.Name(), cause(err))
		}
	}
	return nil
}

func cleanOne(fsys FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if free, err := d.TryLock(); err != nil || !free {
		return err
	}
	return fsys.RemoveAll(dir)
}

// List returns the names of the images in parent, sorted. It looks at names
// only: [Open] tells whether an image is whole.
func List(fsys FS, parent string) ([]string, error) {
	entries, err := fsys.ReadDir(parent, 0)
	if err != nil {
		return nil, fmt.Errorf("list images in %s: %w", parent, cause(err))
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() || isTemp(e.Name()) {
			continue
		}
		if _, err := fsys.Lstat(filepath.Join(parent, e.Name(), configFile)); err == nil {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// Remove removes an image. A removal that is cut short leaves what [Clean]
// removes, never a part of an image under its name.
func Remove(fsys FS, dir string) error {
	dir = filepath.Clean(dir)
	wrap := func(err error) error { return fmt.Errorf("image %s: remove: %w", dir, cause(err)) }
	if _, err := fsys.Lstat(filepath.Join(dir, configFile)); err != nil {
		return wrap(err)
	}
	gone := tempName(dir)
	if err := fsys.RenameNew(dir, gone); err != nil {
		return wrap(err)
	}
	if err := fsys.RemoveAll(gone); err != nil {
		return wrap(err)
	}
	return nil
}
