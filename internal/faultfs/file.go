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
	size   int64  // bytes written
	synced int64  // bytes that would survive a power cut
	dirty  bool   // there are bytes that would not
	closed bool   // by its user; inner is closed later if dirty
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

func (h *file) Read(p []byte) (n int, err error) {
	err = h.do(false, "read", func() error {
		n, err = h.inner.Read(p)
		return err
	})
	return n, err
}

func (h *file) ReadAt(p []byte, off int64) (n int, err error) {
	err = h.do(false, "readat", func() error {
		n, err = h.inner.ReadAt(p, off)
		return err
	})
	return n, err
}

// Write writes half of p where that is the fault.
func (h *file) Write(p []byte) (n int, err error) {
	half, err := h.fs.begin(true, "write %s %d", h.where(), len(p))
	if err == nil {
		return h.write(p)
	}
	if half {
		n, _ = h.write(p[:len(p)/2])
	}
	return n, h.fs.fail("write", h.where(), err)
}

func (h *file) write(p []byte) (int, error) {
	n, err := h.inner.Write(p)
	h.fs.mu.Lock()
	h.size += int64(n)
	h.dirty = h.dirty || n > 0
	h.fs.mu.Unlock()
	return n, err
}

func (h *file) Stat() (info fs.FileInfo, err error) {
	err = h.do(false, "stat", func() error {
		info, err = h.inner.Stat()
		return err
	})
	return info, err
}

func (h *file) Sync() error {
	return h.do(true, "sync", func() error {
		if err := h.inner.Sync(); err != nil {
			return err
		}
		h.fs.mu.Lock()
		defer h.fs.mu.Unlock()
		h.synced, h.dirty = h.size, false
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
// one that is dirty stays open, to lose its bytes in a power cut.
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
	cuts := h.fs.fault != nil && h.fs.fault.Kind == PowerCut
	if h.dirty && cuts {
		return err
	}
	delete(h.fs.files, h)
	if e := h.inner.Close(); err == nil {
		err = e
	}
	return err
}
