package wasi

import (
	"math"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/epoll"
	"github.com/stasis-run/stasis/internal/vfs/eventfd"
	"github.com/stasis-run/stasis/internal/vfs/unixsock"
	"github.com/stasis-run/stasis/internal/waiter"
)

// install puts open files at the lowest free descriptors, and their numbers where
// the arguments from i on point. If one fails, none is there.
func (c *call) install(i int, files ...*vfs.OpenFile) abi.Errno {
	var fds []vfs.FD
	fail := abi.OK
	for n, f := range files {
		out, errno := c.out(i+n, 4)
		if fail != abi.OK || errno != abi.OK {
			f.DecRef()
			fail = max(fail, errno)
			continue
		}
		fd, errno := c.files().InstallAll(f)
		if errno != abi.OK {
			fail = errno
			continue
		}
		fds = append(fds, fd)
		le.PutUint32(out, uint32(fd))
	}
	if fail != abi.OK {
		for _, fd := range fds {
			c.files().Close(fd)
		}
	}
	return fail
}

func fdPipe(c *call) abi.Errno {
	if c.env.Pipes == nil {
		return abi.ENOTSUP
	}
	r, w, errno := c.env.Pipes.New()
	if errno != abi.OK {
		return errno
	}
	return c.install(0, r, w)
}

// eventSemaphore has a read take one from the count.
const eventSemaphore = 1

func fdEvent(c *call) abi.Errno {
	flags, errno := c.u16(1)
	if errno != abi.OK || flags&^eventSemaphore != 0 || c.u64(0) > eventfd.Max {
		return abi.EINVAL
	}
	return c.install(2, eventfd.New(c.u64(0), flags&eventSemaphore != 0, 0))
}

// fdDup is dup(2).
func fdDup(c *call) abi.Errno { return c.dup(0, false, 1) }

// fdDup2 is fcntl(2)'s F_DUPFD and F_DUPFD_CLOEXEC.
func fdDup2(c *call) abi.Errno {
	cloexec, errno := c.flag(2)
	if errno != abi.OK {
		return errno
	}
	return c.dup(c.fd(1), cloexec, 3)
}

func (c *call) dup(from vfs.FD, cloexec bool, ret int) abi.Errno {
	out, errno := c.out(ret, 4)
	if errno != abi.OK {
		return errno
	}
	fd, errno := c.files().Dup(c.fd(0), from, cloexec)
	if errno == abi.OK {
		le.PutUint32(out, uint32(fd))
	}
	return errno
}

func fdFdflagsGet(c *call) abi.Errno {
	out, errno := c.out(1, 2)
	if errno != abi.OK {
		return errno
	}
	cloexec, errno := c.files().Cloexec(c.fd(0))
	if errno != abi.OK {
		return errno
	}
	var flags abi.FDFlagsExt
	if cloexec {
		flags = abi.FDCloexec
	}
	le.PutUint16(out, uint16(flags))
	return abi.OK
}

func fdFdflagsSet(c *call) abi.Errno {
	flags, errno := c.u16(1)
	if errno != abi.OK || abi.FDFlagsExt(flags)&^abi.FDCloexec != 0 {
		return abi.EINVAL
	}
	return c.files().SetCloexec(c.fd(0), flags != 0)
}

// getcwd writes the working directory with a NUL, and its length with that, also
// if there is no room for it: ERANGE.
func getcwd(c *call) abi.Errno {
	length, errno := c.out(1, 4)
	if errno != abi.OK {
		return errno
	}
	cwd := c.t.Group().CWD()
	if cwd == nil {
		return abi.ENOTSUP
	}
	dir, errno := cwd.Getcwd()
	if errno != abi.OK {
		return errno
	}
	room := le.Uint32(length)
	le.PutUint32(length, uint32(len(dir))+1)
	if uint64(room) < uint64(len(dir))+1 {
		return abi.ERANGE
	}
	out, errno := c.out(0, uint64(len(dir))+1)
	if errno != abi.OK {
		return errno
	}
	out[copy(out, dir)] = 0
	return abi.OK
}

func chdir(c *call) abi.Errno {
	p, errno := c.str(0)
	if errno != abi.OK {
		return errno
	}
	cwd := c.t.Group().CWD()
	if cwd == nil {
		return abi.ENOTSUP
	}
	return cwd.Chdir(p)
}

// Types of events of WASIX, and what they are here.
var epollEvents = []struct {
	guest uint32
	event epoll.Events
}{
	{1 << 0, epoll.In}, {1 << 1, epoll.Out}, {1 << 2, epoll.RdHup}, {1 << 4, epoll.Err}, {1 << 5, epoll.Hup},
	{1 << 6, epoll.Edge}, {1 << 7, epoll.OneShot},
}

// epollPri is out-of-band data, which there never is.
const epollPri = 1 << 3

// epollEventSize is the size of epoll_event_t: the events, and 24 bytes of data from
// offset 8, of which a pointer, a descriptor and 32 and 64 bits are the guest's own.
const epollEventSize = 32

// maxEpollEvents bounds how many events one call tells.
const maxEpollEvents = 1 << 16

func epollCreate(c *call) abi.Errno {
	if c.env.Epolls == nil {
		return abi.ENOTSUP
	}
	return c.install(0, c.env.Epolls.New())
}

// Operations of epoll_ctl.
const (
	epollAdd = iota
	epollMod
	epollDel
)

func epollCtl(c *call) abi.Errno {
	set, errno := c.file(0, 0)
	if errno != abi.OK {
		return errno
	}
	defer set.DecRef()
	e, errno := epoll.Of(set)
	if errno != abi.OK {
		return errno
	}
	f, errno := c.file(2, abi.RightPollFDReadwrite)
	if errno != abi.OK {
		return errno
	}
	defer f.DecRef()
	if c.u32(1) == epollDel {
		return e.Del(c.fd(2), f)
	}
	in, errno := c.out(3, epollEventSize)
	if errno != abi.OK {
		return errno
	}
	ev, errno := c.epollEvent(in)
	if errno != abi.OK {
		return errno
	}
	switch c.u32(1) {
	case epollAdd:
		return e.Add(c.fd(2), f, ev)
	case epollMod:
		return e.Mod(c.fd(2), f, ev)
	}
	return abi.EINVAL
}

// epollEvent reads an event. The guest's data is kept as it is.
func (c *call) epollEvent(in []byte) (ev epoll.Event, errno abi.Errno) {
	bits := le.Uint32(in) &^ epollPri
	for _, x := range epollEvents {
		if bits&x.guest != 0 {
			ev.Events |= x.event
			bits &^= x.guest
		}
	}
	if bits != 0 {
		return ev, abi.EINVAL
	}
	ev.Data, ev.More = le.Uint64(in[8:]), [2]uint64{le.Uint64(in[16:]), le.Uint64(in[24:])}
	return ev, abi.OK
}

func putEpollEvent(out []byte, ev epoll.Event) {
	clear(out[:8])
	bits := uint32(0)
	for _, x := range epollEvents {
		if ev.Events&x.event != 0 {
			bits |= x.guest
		}
	}
	le.PutUint32(out, bits)
	le.PutUint64(out[8:], ev.Data)
	le.PutUint64(out[16:], ev.More[0])
	le.PutUint64(out[24:], ev.More[1])
}

// epollWait waits for events, for at most argument 3 in ns; all bits set is for
// ever.
func epollWait(c *call) abi.Errno {
	n := c.u32(2)
	if n == 0 || n > maxEpollEvents {
		return abi.EINVAL
	}
	out, errno := c.out(1, uint64(n)*epollEventSize)
	if errno != abi.OK {
		return errno
	}
	count, errno := c.out(4, 4)
	if errno != abi.OK {
		return errno
	}
	f, errno := c.file(0, 0)
	if errno != abi.OK {
		return errno
	}
	defer f.DecRef()
	set, errno := epoll.Of(f)
	if errno != abi.OK {
		return errno
	}
	return c.epollWait(f, set, make([]epoll.Event, n), out, count)
}

func (c *call) epollWait(f *vfs.OpenFile, set *epoll.Set, events []epoll.Event, out, count []byte) abi.Errno {
	r := c.t.Restart()
	if !r.Set {
		r.Set, r.Deadline = true, kernel.Never
		if ns := c.u64(3); ns <= math.MaxInt64 {
			r.Deadline = add(c.t.Kernel().Clocks().Monotonic(), int64(ns))
		}
	}
	w := fileWait{f, waiter.In}
	for {
		if n := set.Wait(events); n > 0 {
			for i, ev := range events[:n] {
				putEpollEvent(out[i*epollEventSize:], ev)
			}
			le.PutUint32(count, uint32(n))
			return abi.OK
		}
		switch c.t.Block(r.Deadline, w.ready, w) {
		case kernel.Interrupted:
			return errRestart
		case kernel.Signalled:
			return abi.EINTR
		case kernel.TimedOut:
			le.PutUint32(count, 0)
			return abi.OK
		}
	}
}

// Address families and types of sockets.
const (
	familyUnix   = 3
	socketStream = 1
	socketDgram  = 2
	socketPacket = 4
)

func sockPair(c *call) abi.Errno {
	if c.env.Sockets == nil {
		return abi.ENOTSUP
	}
	if c.u32(0) != familyUnix {
		return abi.EAFNOSUPPORT
	}
	types := map[uint32]unixsock.Type{socketStream: unixsock.Stream, socketDgram: unixsock.Dgram, socketPacket: unixsock.Seqpacket}
	typ, ok := types[c.u32(1)]
	if !ok {
		return abi.EPROTONOSUPPORT
	}
	a, b, errno := c.env.Sockets.Pair(typ, 0)
	if errno != abi.OK {
		return errno
	}
	return c.install(3, a, b)
}

// clockTimeSet would set a clock of the guest's: there is nobody who may
// (clock_settime(2), EPERM).
func clockTimeSet(c *call) abi.Errno {
	if c.u32(0) > uint32(abi.ClockThreadCPU) {
		return abi.EINVAL
	}
	return abi.EPERM
}

// notSupported answers what there is not yet.
func notSupported(*call) abi.Errno { return abi.ENOTSUP }
