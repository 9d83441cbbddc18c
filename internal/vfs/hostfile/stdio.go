package hostfile

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
)

// A Stream is a pipe, a terminal or a device of the host that was handed in.
type Stream struct {
	source
	name string // immutable
}

// A SeekableStream is a regular file of the host that was handed in. Its
// position is the host's, shared with whoever handed it in: after
// "stasis run … > out" the shell goes on where the guest has stopped.
type SeekableStream struct {
	Stream
}

var (
	_ vfs.Stream = (*Stream)(nil)
	_ vfs.Seeker = (*SeekableStream)(nil)
	_ vfs.Stream = (*Reader)(nil)
	_ vfs.Stream = (*Writer)(nil)
)

// Inherit makes a descriptor that the process was started with into the file
// name ("stdin", "stdout", "stderr"). The descriptor stays the caller's and is
// left as it is, O_NONBLOCK included; what is used is a duplicate. The result
// is a *Stream, *SeekableStream, *Conn or *Listener, whatever fd is.
func Inherit(p *Poller, fd int, name string) (vfs.File, error) {
	d, err := dup(fd)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	switch d.kind {
	case Directory, Other:
		unix.Close(d.fd)
		return nil, fmt.Errorf("%s: descriptor %d is a %s, want a file, pipe, terminal or socket", name, fd, d.kind)
	case Regular:
		f := &SeekableStream{Stream{name: name}}
		f.init(p, d)
		return f, nil
	case Socket:
		return newSocket(p, d, name)
	}
	f := &Stream{name: name}
	f.init(p, d)
	return f, nil
}

// Name is the name under which the stream was handed in.
func (f *Stream) Name() string { return f.name }

// Kind is what the stream is on the host.
func (f *Stream) Kind() Kind { return f.d.kind }

// Read reads what is there.
func (f *Stream) Read(bufs [][]byte) (int, abi.Errno) { return f.read(bufs) }

// Write writes what there is room for.
func (f *Stream) Write(bufs [][]byte) (int, abi.Errno) { return f.write(bufs) }

// Close closes our duplicate of the descriptor.
func (f *Stream) Close() { f.close() }

// WindowSize is a terminal's size; anything else gives ENOTTY.
func (f *Stream) WindowSize() (ws WindowSize, errno abi.Errno) {
	errno = f.call(0, func() abi.Errno {
		ws, errno = f.d.windowSize()
		return errno
	})
	return ws, errno
}

// Stat returns what the stream is.
func (f *Stream) Stat() (abi.Filestat, abi.Errno) { return f.stat() }

// Sync makes what was written to a regular file durable. Pipes and terminals
// have nothing to wait for.
func (f *SeekableStream) Sync(dataOnly bool) abi.Errno {
	return f.call(0, func() abi.Errno {
		call := unix.Fsync
		if dataOnly {
			call = unix.Fdatasync
		}
		_, err := retry(func() (struct{}, error) { return struct{}{}, call(f.d.fd) })
		return Errno(err)
	})
}

// Lseek moves the position.
func (f *SeekableStream) Lseek(off int64, whence abi.Whence) (pos int64, errno abi.Errno) {
	host, ok := map[abi.Whence]int{
		abi.SeekSet: unix.SEEK_SET,
		abi.SeekCur: unix.SEEK_CUR,
		abi.SeekEnd: unix.SEEK_END,
	}[whence]
	if !ok {
		return 0, abi.EINVAL
	}
	errno = f.call(0, func() abi.Errno {
		var err error
		pos, err = unix.Seek(f.d.fd, off, host)
		return Errno(err)
	})
	return pos, errno
}

// streamStat is what streams of the embedding program look like.
var streamStat = abi.Filestat{Filetype: abi.FiletypeUnknown, Nlink: 1}

// stat asks the host.
func (s *source) stat() (out abi.Filestat, errno abi.Errno) {
	errno = s.call(0, func() abi.Errno {
		var st unix.Stat_t
		if err := unix.Fstat(s.d.fd, &st); err != nil {
			return Errno(err)
		}
		out = abi.Filestat{
			Dev:      uint64(st.Dev),
			Ino:      st.Ino,
			Filetype: s.d.filetype(),
			Nlink:    uint64(st.Nlink),
			Size:     uint64(max(0, st.Size)),
			Atim:     uint64(max(0, st.Atim.Nano())),
			Mtim:     uint64(max(0, st.Mtim.Nano())),
			Ctim:     uint64(max(0, st.Ctim.Nano())),
		}
		return abi.OK
	})
	return out, errno
}

// filetype is the type as WASI has it. Only a terminal is a character device:
// that is how a guest's C library knows one (isatty), and /dev/null as stdin
// would otherwise get it into interactive mode. Pipes have no type in WASI.
func (d *desc) filetype() abi.Filetype {
	switch d.kind {
	case Regular:
		return abi.FiletypeRegularFile
	case Terminal:
		return abi.FiletypeCharacterDevice
	case Socket:
		return abi.FiletypeSocketStream
	}
	return abi.FiletypeUnknown
}

// empty reports whether bufs have no room at all.
func empty(bufs [][]byte) bool {
	for _, b := range bufs {
		if len(b) > 0 {
			return false
		}
	}
	return true
}
