package wasi

import (
	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

// A fileWait waits for an open file to get ready: a kernel.Wait.
type fileWait struct {
	file *vfs.OpenFile
	mask waiter.EventMask
}

// Register implements kernel.Wait.
func (w fileWait) Register(wake func()) (cancel func()) {
	e := waiter.NewEntry(w.mask, func(waiter.EventMask) { wake() })
	w.file.Register(e)
	return func() { w.file.Unregister(e) }
}

// ready reports whether what w waits for is there, an error or a hang-up
// included.
func (w fileWait) ready() bool { return w.file.Readiness(w.mask) != 0 }

// retry calls try until it returns something else than EAGAIN, and waits for
// mask in between. A nonblocking file is tried once.
func (c *call) retry(f *vfs.OpenFile, mask waiter.EventMask, try func() abi.Errno) abi.Errno {
	w := fileWait{f, mask}
	for {
		errno := try()
		if errno != abi.EAGAIN || f.Nonblock() {
			return errno
		}
		switch c.t.Block(kernel.Never, w.ready, w) {
		case kernel.Interrupted:
			return errRestart
		case kernel.Signalled:
			return abi.EINTR
		}
	}
}
