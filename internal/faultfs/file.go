package faultfs

import (
	"io/fs"
	"path/filepath"

	"github.com/stasis-run/stasis/internal/image"
)

// A file counts what is done to an open file. Its fields are protected by
// fs.mu, but for fs and inner, which are immutable.
type file struct {
	fs     *FS
	inner  image.File
	path   string // where it is by now
	closed bool
}

// A node is a file that was written to, by whatever open file. Its fields are
// protected by FS.mu.
type node struct {
	kept   int64      // bytes that would survive a power cut, if it is dirty
	dirty  bool       // there are bytes that would not
	writer image.File // open while dirty and a power cut is to come, else nil or another's
	owned  bool       // writer was closed by its user, and is closed with the node
}

// drop closes what the node kept open.
func (n *node) drop() {
	if n.owned {
		n.writer.Close()
	}
	n.writer, n.owned = nil, false
}

// dropNodes forgets all that was written.
//
// Preconditions: f.mu is locked.
func (f *FS) dropNodes() {
	for _, n := range f.nodes {
		n.drop()
	}
	clear(f.nodes)
}

// do runs an operation that is done whole or not at all.
func (h *file) do(needsRoom bool, op string, run func() error) error {
	return h.fs.do(needsRoom, op, h.where(), run)
}

func (h *file) where() string {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	return h.path
}

func (h *file) ReadAt(p []byte, off int64) (n int, err error) {
	err = h.do(false, "readat", func() error {
		n, err = h.inner.ReadAt(p, off)
		return err
	})
	return n, err
}

// WriteAt writes half of p where that is the fault.
func (h *file) WriteAt(p []byte, off int64) (n int, err error) {
	half, err := h.fs.begin(true, "write %s %d+%d", h.where(), off, len(p))
	if err == nil {
		return h.write(p, off)
	}
	if half {
		n, _ = h.write(p[:len(p)/2], off)
	}
	return n, h.fs.fail("write", h.where(), err)
}

func (h *file) write(p []byte, off int64) (int, error) {
	n, err := h.inner.WriteAt(p, off)
	if n > 0 {
		h.wrote(off)
	}
	return n, err
}

// wrote notes that what is at off and beyond would be lost.
func (h *file) wrote(off int64) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	n := h.fs.nodes[h.path]
	if n == nil {
		n = new(node)
		h.fs.nodes[h.path] = n
	}
	if !n.dirty {
		n.kept = off
	}
	n.kept, n.dirty = min(n.kept, off), true
	if n.writer != h.inner {
		n.drop()
		n.writer = h.inner
	}
}

func (h *file) Truncate(size int64) error {
	return h.do(true, "truncate", func() error {
		st, err := h.inner.Stat()
		if err != nil {
			return err
		}
		if err := h.inner.Truncate(size); err != nil {
			return err
		}
		h.wrote(min(st.Size(), size))
		return nil
	})
}

func (h *file) NextData(off int64) (start, end int64, err error) {
	err = h.do(false, "nextdata", func() error {
		start, end, err = h.inner.NextData(off)
		return err
	})
	return start, end, err
}

func (h *file) Stat() (info fs.FileInfo, err error) {
	err = h.do(false, "stat", func() error {
		info, err = h.inner.Stat()
		return err
	})
	return info, err
}

// Sync does not sync the inner file: what a power cut takes is this package's
// own doing, and disks are slow.
func (h *file) Sync() error {
	return h.do(true, "sync", func() error {
		h.fs.mu.Lock()
		defer h.fs.mu.Unlock()
		if n := h.fs.nodes[h.path]; n != nil {
			n.drop()
			delete(h.fs.nodes, h.path)
		}
		for path := range h.fs.names {
			if filepath.Dir(path) == h.path {
				delete(h.fs.names, path)
			}
		}
		return nil
	})
}

func (h *file) TryLock() (ok bool, err error) {
	err = h.do(false, "lock", func() error {
		ok, err = h.inner.TryLock()
		return err
	})
	return ok, err
}

// Close closes the file even where it fails, as Linux does. The inner file of
// one with bytes that are not synced stays open, to lose them in a power cut.
func (h *file) Close() error {
	_, err := h.fs.begin(false, "close %s", h.where())
	if err != nil {
		err = h.fs.fail("close", h.where(), err)
	}
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.closed {
		if err == nil {
			err = &fs.PathError{Op: "close", Path: h.path, Err: fs.ErrClosed}
		}
		return err
	}
	h.closed = true
	delete(h.fs.files, h)
	if n := h.fs.nodes[h.path]; n != nil && n.writer == h.inner {
		if h.fs.fault != nil && h.fs.fault.Kind == PowerCut {
			n.owned = true
			return err
		}
		n.writer = nil
	}
	if e := h.inner.Close(); err == nil {
		err = e
	}
	return err
}
