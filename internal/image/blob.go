package image

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"path/filepath"
	"sync"
)

// A blob is a file of an image that is being written. It stays open until
// Commit, so that nobody waits for the disk while a guest is stopped.
type blob struct {
	name string
	file File // nil when closed
	size int64
	hash hash.Hash
}

// create begins a file of the image.
func (w *Writer) create(name string) (*blob, error) {
	if w.temp == "" {
		return nil, fmt.Errorf("create %s: already committed or aborted", name)
	}
	f, err := w.fsys.Create(filepath.Join(w.temp, name))
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", name, cause(err))
	}
	b := &blob{name: name, file: f, hash: sha256.New()}
	w.blobs = append(w.blobs, b)
	return b, nil
}

// put writes a whole file of the image.
func (w *Writer) put(name string, p []byte) (*blob, error) {
	b, err := w.create(name)
	if err != nil {
		return nil, err
	}
	return b, b.write(p)
}

// write appends p, a block at a time.
func (b *blob) write(p []byte) error {
	for len(p) > 0 {
		n := min(len(p), blockSize)
		if err := b.writeBlock(p[:n]); err != nil {
			return fmt.Errorf("write %s: %w", b.name, cause(err))
		}
		p = p[n:]
	}
	return nil
}

// writeBlock hashes p while the kernel copies it, where it is long enough for
// a second goroutine to pay.
func (b *blob) writeBlock(p []byte) error {
	var wg sync.WaitGroup
	if len(p) >= blockSize/4 {
		wg.Go(func() { b.hash.Write(p) })
	} else {
		b.hash.Write(p)
	}
	n, err := b.file.Write(p)
	wg.Wait()
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	b.size += int64(n)
	return err
}

func (b *blob) info() FileInfo {
	return FileInfo{Size: b.size, SHA256: hex.EncodeToString(b.hash.Sum(nil))}
}

// finish syncs and closes the file.
func (b *blob) finish() error {
	if err := b.file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", b.name, cause(err))
	}
	f := b.file
	b.file = nil
	if err := f.Close(); err != nil {
		return fmt.Errorf("close %s: %w", b.name, cause(err))
	}
	return nil
}

// drop closes a file that is about to be removed.
func (b *blob) drop() {
	if b.file != nil {
		b.file.Close()
		b.file = nil
	}
}

// syncDir makes the names in a directory last.
func syncDir(fsys FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		d.Close()
		return err
	}
	return d.Close()
}
