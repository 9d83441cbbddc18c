// Package unixsock has pairs of connected AF_UNIX sockets, as socketpair(2)
// makes them: streams, datagrams, and sequences of packets. They belong to no
// mount, and are saved with what is on its way; the two stay a pair, whoever
// holds them.
//
// What is sent lies in the inbox of the other side. The rules of who may still
// send or receive after a shutdown or a close are Linux's, quirks included: a
// test compares them.
//
// Lock order: pair.mu, then waiter.Queue.
package unixsock

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/vfs/ring"
	"github.com/stasis-run/stasis/internal/waiter"
)

const (
	// Capacity is how many bytes may be on their way in one direction.
	Capacity = 128 << 10

	// SmallCapacity is the same for a pair that is made when pipes and pairs
	// take much already.
	SmallCapacity = 8 << 10

	// packetCost is what a datagram or packet takes of the capacity besides its
	// bytes, so that empty ones have an end, too.
	packetCost = 64

	// writable is how many bytes have to be free for poll to say so.
	writable = 4 << 10
)

// A Type is the type of a socket.
type Type uint8

// The types. The numbers are saved.
const (
	Stream    Type = iota + 1
	Dgram          // messages; the end of the other side is not told
	Seqpacket      // messages, with an end
)

// A System makes the pairs of a system, and bounds what they hold together. It
// may be used by many tasks.
type System struct {
	now     func() int64 // wall time in ns; immutable
	budget  *vfs.Budget  // in bytes of capacity; immutable
	lastIno atomic.Uint64
}

// NewSystem returns a System that counts the capacity of pairs against budget,
// which may be the one of pipes: half of it is for pairs of the full Capacity,
// then there are small ones, then none (ENFILE). Now tells the wall time in ns.
func NewSystem(now func() int64, budget *vfs.Budget) *System {
	return &System{now: now, budget: budget}
}

// pair is what the two sockets share.
type pair struct {
	system   *System
	typ      Type   // immutable
	ino      uint64 // of the first socket; the second has the next; immutable
	capacity int    // bytes, in each direction; immutable

	mu    sync.Mutex
	sides [2]side // protected by mu, but for the queues
	mtim  int64   // when something was last sent or received, in ns; protected by mu
}

// side is what belongs to one socket.
type side struct {
	queue waiter.Queue

	alive bool        // the socket is open
	shut  abi.SDFlags // what it can do no more
	reset bool        // the other went away without having read all: told once
	alone bool        // of datagrams: it was told that the other is gone

	inbox ring.Ring // what was sent to it
	sizes []int     // of datagrams and packets: their lengths
}

// A socket is one open end.
type socket struct {
	pair *pair
	i    int // in pair.sides; immutable
}

var (
	_ vfs.Socket   = (*socket)(nil)
	_ vfs.Buffered = (*socket)(nil)
)

// Pair returns two connected sockets, or ENFILE. Flags are of both.
func (s *System) Pair(typ Type, flags abi.FDFlags) (a, b *vfs.OpenFile, errno abi.Errno) {
	capacity, ok := s.reserve()
	if !ok {
		return nil, nil, abi.ENFILE
	}
	p := &pair{system: s, typ: typ, ino: s.lastIno.Add(2) - 1, capacity: capacity, mtim: s.now()}
	p.sides[0].alive, p.sides[1].alive = true, true
	return vfs.NewOpenFile(&socket{p, 0}, true, true, flags), vfs.NewOpenFile(&socket{p, 1}, true, true, flags), abi.OK
}

// reserve takes the capacity of a new pair.
func (s *System) reserve() (capacity int, ok bool) {
	if s.budget == nil || s.budget.Used()+2*Capacity <= s.budget.Max()/2 {
		if s.budget.Take(2 * Capacity) {
			return Capacity, true
		}
	}
	return SmallCapacity, s.budget.Take(2 * SmallCapacity)
}

// own returns the socket's own side, and other the other.
//
// Preconditions: s.pair.mu is locked, but for the queue.
func (s *socket) own() *side   { return &s.pair.sides[s.i] }
func (s *socket) other() *side { return &s.pair.sides[1-s.i] }

// used returns how much of a capacity is taken.
func (d *side) used() int { return d.inbox.Len() + packetCost*len(d.sizes) }

// Read is Recv without flags.
func (s *socket) Read(bufs [][]byte) (int, abi.Errno) {
	n, _, errno := s.Recv(bufs, 0)
	return n, errno
}

// Write is Send.
func (s *socket) Write(bufs [][]byte) (int, abi.Errno) { return s.Send(bufs) }

// Send sends what there is room for, or a whole datagram: EAGAIN if there is no
// room, EMSGSIZE if there never is, EPIPE if nobody can receive it any more.
func (s *socket) Send(bufs [][]byte) (int, abi.Errno) {
	p := s.pair
	p.mu.Lock()
	defer p.mu.Unlock()
	total := 0
	for _, b := range bufs {
		total += len(b)
	}
	if errno := s.maySendLocked(total); errno != abi.OK {
		return 0, errno
	}
	to := s.other()
	room := p.capacity - to.used()
	if p.typ != Stream {
		switch {
		case total+packetCost > p.capacity:
			return 0, abi.EMSGSIZE
		case total+packetCost > room:
			return 0, abi.EAGAIN
		}
		to.sizes = append(to.sizes, total)
	} else if total == 0 {
		return 0, abi.OK
	} else if room == 0 {
		return 0, abi.EAGAIN
	}
	n := 0
	for _, b := range bufs {
		b = b[:min(len(b), room-n)]
		to.inbox.Write(b)
		n += len(b)
	}
	p.mtim = p.system.now()
	to.queue.Notify(waiter.In)
	return n, abi.OK
}

// maySendLocked checks that there is somebody to send to.
//
// Preconditions: s.pair.mu is locked.
func (s *socket) maySendLocked(total int) abi.Errno {
	own, other := s.own(), s.other()
	switch {
	case own.reset && s.pair.typ == Seqpacket:
		own.reset = false
		return abi.ECONNRESET
	case own.shut&abi.ShutWr != 0:
		return abi.EPIPE
	case own.alone:
		return abi.ENOTCONN
	case s.pair.typ == Stream && total == 0:
		return abi.OK
	case s.pair.typ == Dgram && !other.alive:
		// As on Linux the connection is undone, with what has arrived.
		own.alone, own.inbox, own.sizes = true, ring.Ring{}, nil
		return abi.ECONNREFUSED
	case !other.alive || other.shut&abi.ShutRd != 0:
		return abi.EPIPE
	}
	return abi.OK
}

// Recv receives what is there: bytes of a stream, or one datagram, of which what
// does not fit is lost. RecvPeek leaves it there. RecvWaitall is up to whoever
// can wait. EAGAIN if nothing is there, 0 if nothing comes any more, ECONNRESET
// once if the other side was closed before it had read all: of a stream after
// what is there, of packets before.
func (s *socket) Recv(bufs [][]byte, flags abi.RIFlags) (n int, truncated bool, errno abi.Errno) {
	if flags&^abi.RIFlagsAll != 0 {
		return 0, false, abi.EINVAL
	}
	p := s.pair
	p.mu.Lock()
	defer p.mu.Unlock()
	own := s.own()
	if p.typ == Stream && own.inbox.Len() == 0 || p.typ != Stream && (len(own.sizes) == 0 || own.reset) {
		return 0, false, s.nothingLocked()
	}
	most := own.inbox.Len()
	if p.typ != Stream {
		most = own.sizes[0]
	}
	for _, b := range bufs {
		n += own.inbox.Peek(b[:min(len(b), most-n)], n)
	}
	truncated = p.typ != Stream && n < most
	if flags&abi.RecvPeek != 0 {
		return n, truncated, abi.OK
	}
	if p.typ == Stream {
		own.inbox.Drop(n)
	} else {
		own.inbox.Drop(most)
		own.sizes = own.sizes[1:]
	}
	p.mtim = p.system.now()
	s.other().queue.Notify(waiter.Out)
	return n, truncated, abi.OK
}

// nothingLocked is what a receive gives that finds nothing.
//
// Preconditions: s.pair.mu is locked.
func (s *socket) nothingLocked() abi.Errno {
	own := s.own()
	switch {
	case own.reset:
		own.reset = false
		return abi.ECONNRESET
	case own.shut&abi.ShutRd != 0:
		return abi.OK
	}
	return abi.EAGAIN
}

// Shutdown ends one direction or both. What has arrived can still be read.
func (s *socket) Shutdown(how abi.SDFlags) abi.Errno {
	if how == 0 || how&^abi.SDFlagsAll != 0 {
		return abi.EINVAL
	}
	s.pair.mu.Lock()
	defer s.pair.mu.Unlock()
	own, other := s.own(), s.other()
	own.shut |= how
	if s.pair.typ != Dgram && other.alive {
		if how&abi.ShutRd != 0 {
			other.shut |= abi.ShutWr
		}
		if how&abi.ShutWr != 0 {
			other.shut |= abi.ShutRd
		}
		other.queue.Notify(other.stateEvents())
	}
	own.queue.Notify(own.stateEvents())
	return abi.OK
}

// stateEvents are those that come of a shutdown or close.
func (d *side) stateEvents() waiter.EventMask {
	m := waiter.Out
	if d.shut&abi.ShutRd != 0 {
		m |= waiter.In | waiter.RdHup
	}
	if d.shut == abi.SDFlagsAll {
		m |= waiter.Hup
	}
	if d.reset {
		m |= waiter.Err
	}
	return m
}

// Readiness is waiter.Source's.
func (s *socket) Readiness(mask waiter.EventMask) waiter.EventMask {
	p := s.pair
	p.mu.Lock()
	defer p.mu.Unlock()
	own, other := s.own(), s.other()
	got := own.stateEvents() &^ waiter.Out
	if own.inbox.Len() > 0 || len(own.sizes) > 0 {
		got |= waiter.In
	}
	if own.alone || p.capacity-other.used() >= writable || !other.alive {
		got |= waiter.Out // a send does not wait
	}
	return got & (mask | waiter.Always)
}

// Register is waiter.Source's.
func (s *socket) Register(w *waiter.Entry) { s.pair.sides[s.i].queue.Register(w) }

// Unregister is waiter.Source's.
func (s *socket) Unregister(w *waiter.Entry) { s.pair.sides[s.i].queue.Unregister(w) }

// Stat is vfs.File's.
func (s *socket) Stat() (abi.Filestat, abi.Errno) {
	p := s.pair
	p.mu.Lock()
	defer p.mu.Unlock()
	typ := abi.FiletypeSocketStream
	if p.typ == Dgram {
		typ = abi.FiletypeSocketDgram
	}
	t := uint64(p.mtim)
	return abi.Filestat{Ino: p.ino + uint64(s.i), Filetype: typ, Nlink: 1, Atim: t, Mtim: t, Ctim: t}, abi.OK
}

// Buffered is vfs.Buffered's: of datagrams, the next one's bytes.
func (s *socket) Buffered() int {
	s.pair.mu.Lock()
	defer s.pair.mu.Unlock()
	own := s.own()
	if s.pair.typ == Stream {
		return own.inbox.Len()
	}
	if len(own.sizes) == 0 {
		return 0
	}
	return own.sizes[0]
}

// Describe is vfs.Described's.
func (s *socket) Describe() string { return fmt.Sprintf("socket:[%d]", s.pair.ino+uint64(s.i)) }

// Close is vfs.File's.
func (s *socket) Close() {
	p := s.pair
	p.mu.Lock()
	defer p.mu.Unlock()
	own, other := s.own(), s.other()
	if p.typ != Dgram && other.alive {
		other.shut = abi.SDFlagsAll
		other.reset = own.inbox.Len() > 0
	}
	own.alive, own.inbox, own.sizes = false, ring.Ring{}, nil
	if !other.alive {
		p.system.budget.Give(2 * p.capacity)
		return
	}
	other.queue.Notify(other.stateEvents())
}
