package ttyfs

import (
	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

// file is a guest's open file on a terminal. There may be many.
type file struct {
	t *Terminal
}

var _ vfs.Stream = (*file)(nil)

// Open returns a new file of the guest on t.
func (t *Terminal) Open() vfs.File {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.files++
	t.left = false
	return &file{t}
}

// Of returns the terminal behind f, for the calls that are about it; false if
// f is on none. Both sides of a pty are on it.
func Of(f vfs.File) (*Terminal, bool) {
	switch f := f.(type) {
	case *file:
		return f.t, true
	case *masterFile:
		return f.t, true
	}
	return nil, false
}

// Describe is vfs.Described's.
func (f *file) Describe() string {
	if f.t.pty != nil {
		return "/dev/" + f.t.name
	}
	return "/dev/console"
}

// Unmounted is vfs.Unmounted's: a terminal that was opened as /dev/tty is the
// terminal.
func (f *file) Unmounted() {}

// Stat is vfs.File's. A character device without a position is a terminal, for
// WASI.
func (f *file) Stat() (abi.Filestat, abi.Errno) {
	return abi.Filestat{Ino: f.t.ino, Filetype: abi.FiletypeCharacterDevice, Nlink: 1}, abi.OK
}

// Read is vfs.Stream's: a line, or what VMIN says.
func (f *file) Read(bufs [][]byte) (int, abi.Errno) {
	room := total(bufs)
	t := f.t
	t.mu.Lock()
	defer t.unlock()
	if t.hungUp || room == 0 {
		return 0, abi.OK
	}
	return t.readLocked(bufs, room)
}

// Write is vfs.Stream's: EAGAIN if there is no room or output is stopped.
func (f *file) Write(bufs [][]byte) (int, abi.Errno) {
	t := f.t
	t.mu.Lock()
	defer t.unlock()
	if t.hungUp {
		return 0, abi.EIO
	}
	t.processEchoesLocked()
	n := 0
	for _, b := range bufs {
		k := t.writeLocked(b)
		n += k
		if k < len(b) {
			break
		}
	}
	if n == 0 && total(bufs) > 0 {
		return 0, abi.EAGAIN
	}
	return n, abi.OK
}

// Readiness is waiter.Source's.
func (f *file) Readiness(mask waiter.EventMask) waiter.EventMask {
	t := f.t
	t.mu.Lock()
	defer t.mu.Unlock()
	var got waiter.EventMask
	if t.hungUp {
		got = waiter.In | waiter.Out | waiter.Err | waiter.Hup
		return got & (mask | waiter.Always)
	}
	if t.readableLocked() {
		got |= waiter.In
	}
	if t.spaceLocked() >= writable {
		got |= waiter.Out
	}
	return got & (mask | waiter.Always)
}

// Register is waiter.Source's.
func (f *file) Register(e *waiter.Entry) { f.t.guest.Register(e) }

// Unregister is waiter.Source's.
func (f *file) Unregister(e *waiter.Entry) { f.t.guest.Unregister(e) }

// Close is vfs.File's. The terminal stays; the master of a pty is told when
// nobody has it open.
func (f *file) Close() {
	t := f.t
	t.mu.Lock()
	defer t.unlock()
	if t.files--; t.files == 0 {
		t.left = true
		if t.pty != nil {
			t.master.Notify(waiter.In | waiter.Hup)
		}
	}
}

// total returns how many bytes bufs hold.
func total(bufs [][]byte) int {
	n := 0
	for _, b := range bufs {
		n += len(b)
	}
	return n
}
