package hostfs

import (
	"sync"

	"golang.org/x/sys/unix"
)

// A regular is an open regular file of the host. All of its reads and writes
// carry their position; the host's own offset serves only append.
type regular struct {
	fd int   // -1: stale; immutable until close
	id inode // immutable

	// appendMu is held over a write at the end and asking where that was. Files
	// whose descriptors share an offset share it, too.
	appendMu *sync.Mutex

	// mu guards the rest.
	mu sync.Mutex
	// seen is the furthest position that was read or written: how long the
	// file must be for the guest not to miss something after a restore.
	seen int64
}

// maxIov is how many buffers one call of the host takes.
const maxIov = 1024

// saw notes that the guest has used the file up to end.
func (f *regular) saw(end int64) {
	f.mu.Lock()
	f.seen = max(f.seen, end)
	f.mu.Unlock()
}

// readAt reads until the buffers are full or the file ends.
func (f *regular) readAt(bufs [][]byte, off int64) (int, error) {
	if err := f.live(); err != nil {
		return 0, err
	}
	n, err := transfer(bufs, func(bufs [][]byte, done int) (int, error) {
		if len(bufs) == 1 {
			return unix.Pread(f.fd, bufs[0], off+int64(done))
		}
		return unix.Preadv(f.fd, bufs, off+int64(done))
	})
	if n > 0 {
		f.saw(off + int64(n))
	}
	return n, err
}

// writeAt writes all, or what there was room for.
func (f *regular) writeAt(bufs [][]byte, off int64) (int, error) {
	if err := f.live(); err != nil {
		return 0, err
	}
	n, err := transfer(bufs, func(bufs [][]byte, done int) (int, error) {
		if len(bufs) == 1 {
			return unix.Pwrite(f.fd, bufs[0], off+int64(done))
		}
		return unix.Pwritev(f.fd, bufs, off+int64(done))
	})
	if n > 0 {
		f.saw(off + int64(n))
	}
	return n, err
}

// append writes at the end, wherever that is then, and returns the end after
// it. RWF_APPEND makes this one step also towards other processes, without
// O_APPEND: on Linux that would make pwrite append too, and whether a file
// appends can change while it is open. With an offset of -1 the host's own
// offset is left after what was written.
func (f *regular) append(bufs [][]byte) (n int, end int64, err error) {
	if err := f.live(); err != nil {
		return 0, 0, err
	}
	f.appendMu.Lock()
	defer f.appendMu.Unlock()
	n, err = transfer(bufs, func(bufs [][]byte, _ int) (int, error) {
		n, err := unix.Pwritev2(f.fd, bufs, -1, unix.RWF_APPEND)
		if err == unix.ENOSYS || err == unix.EOPNOTSUPP { // as under qemu
			return f.appendApart(bufs)
		}
		return n, err
	})
	if err != nil {
		return n, 0, err
	}
	if n == 0 {
		var st unix.Stat_t
		err = unix.Fstat(f.fd, &st)
		return 0, st.Size, err
	}
	end, err = unix.Seek(f.fd, 0, unix.SEEK_CUR)
	if err == nil {
		f.saw(end)
	}
	return n, end, err
}

// appendApart is append where the host cannot do it in one step: two processes
// that append at the same time may write over each other.
func (f *regular) appendApart(bufs [][]byte) (int, error) {
	end, err := unix.Seek(f.fd, 0, unix.SEEK_END)
	if err != nil {
		return 0, err
	}
	n, err := unix.Pwritev(f.fd, bufs, end)
	if n > 0 {
		_, err = unix.Seek(f.fd, end+int64(n), unix.SEEK_SET)
	}
	return n, err
}

// live is nil unless the file is stale.
func (f *regular) live() error {
	if f.fd < 0 {
		return unix.ESTALE
	}
	return nil
}

// do is again for a file that is not stale.
func (f *regular) do(call func() error) error {
	if err := f.live(); err != nil {
		return err
	}
	return again(call)
}

// transfer calls for all of bufs, as far as the host goes along. If something
// was transferred, there is no error: the next call will tell.
func transfer(bufs [][]byte, call func(bufs [][]byte, done int) (int, error)) (int, error) {
	bufs = nonEmpty(bufs)
	done := 0
	for len(bufs) > 0 {
		n, err := retry(func() (int, error) { return call(bufs[:min(len(bufs), maxIov)], done) })
		if err != nil {
			if done > 0 {
				err = nil
			}
			return done, err
		}
		if n <= 0 {
			break
		}
		done += n
		switch {
		case len(bufs) > 1:
			bufs = advance(bufs, n)
		case n == len(bufs[0]):
			return done, nil
		default: // may be the caller's own slice
			bufs = [][]byte{bufs[0][n:]}
		}
	}
	return done, nil
}

// nonEmpty returns the buffers that hold something, in a slice that may be
// changed unless it has a single one.
func nonEmpty(bufs [][]byte) [][]byte {
	if len(bufs) == 1 && len(bufs[0]) > 0 {
		return bufs[:1:1]
	}
	out := make([][]byte, 0, len(bufs))
	for _, b := range bufs {
		if len(b) > 0 {
			out = append(out, b)
		}
	}
	return out
}

// advance drops the first n bytes of bufs, which it changes.
func advance(bufs [][]byte, n int) [][]byte {
	for len(bufs) > 0 && n >= len(bufs[0]) {
		n -= len(bufs[0])
		bufs = bufs[1:]
	}
	if n > 0 {
		bufs[0] = bufs[0][n:]
	}
	return bufs
}

// truncate sets the size.
func (f *regular) truncate(size int64) error {
	return f.do(func() error { return unix.Ftruncate(f.fd, size) })
}

// allocate reserves room and grows the file. Not all file systems can.
func (f *regular) allocate(off, n int64) error {
	return f.do(func() error { return unix.Fallocate(f.fd, 0, off, n) })
}

// sync makes the file durable.
func (f *regular) sync(dataOnly bool) error {
	if dataOnly {
		return f.do(func() error { return unix.Fdatasync(f.fd) })
	}
	return f.do(func() error { return unix.Fsync(f.fd) })
}

// stat is fstat.
func (f *regular) stat() (unix.Stat_t, error) {
	var st unix.Stat_t
	err := f.do(func() error { return unix.Fstat(f.fd, &st) })
	return st, err
}

// setTimes sets the file's times. A null path means the descriptor itself.
func (f *regular) setTimes(ts []unix.Timespec) error {
	return f.do(func() error { return futimens(f.fd, ts) })
}
