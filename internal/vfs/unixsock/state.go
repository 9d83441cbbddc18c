package unixsock

import (
	"errors"
	"fmt"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/vfs"
)

// Kind is the kind of a pair and of its sockets in a vfs.State. System.Restore
// is its vfs.RestoreFunc.
const Kind = "socketpair"

// State is a pair: an object of vfs.State.
type State struct {
	Type     Type      `pb:"1"` // 1 is a stream, 2 datagrams, 3 a sequence of packets
	Ino      uint64    `pb:"2"` // of the first socket; the second has the next
	Capacity int       `pb:"3"` // bytes, in each direction
	Mtim     int64     `pb:"4"` // ns
	First    SideState `pb:"5"`
	Second   SideState `pb:"6"`
}

// SideState is what belongs to one socket of a pair.
type SideState struct {
	Shut  abi.SDFlags `pb:"1"` // what it can do no more: 1 is receive, 2 send
	Reset bool        `pb:"2"` // ECONNRESET is to be told
	Alone bool        `pb:"3"` // of datagrams: ECONNREFUSED was told
	Data  []byte      `pb:"4"` // what was sent to it and not yet received
	Sizes []uint32    `pb:"5"` // of datagrams and packets in Data
}

// SocketState is one socket: a file of vfs.State.
type SocketState struct {
	Pair   vfs.ObjectID `pb:"1"`
	Second bool         `pb:"2"`
}

var errBadState = errors.New("bad state")

// Save is vfs.File's.
func (s *socket) Save(to *vfs.Saver) (vfs.ObjectState, error) {
	id, err := to.Object(s.pair, func() (vfs.ObjectState, error) {
		p := s.pair
		p.mu.Lock()
		defer p.mu.Unlock()
		return vfs.NewObjectState(Kind, State{
			Type: p.typ, Ino: p.ino, Capacity: p.capacity, Mtim: p.mtim,
			First: p.sides[0].save(), Second: p.sides[1].save(),
		})
	})
	if err != nil {
		return vfs.ObjectState{}, err
	}
	return vfs.NewObjectState(Kind, SocketState{Pair: id, Second: s.i == 1})
}

func (d *side) save() SideState {
	st := SideState{Shut: d.shut, Reset: d.reset, Alone: d.alone, Data: d.inbox.Bytes()}
	for _, n := range d.sizes {
		st.Sizes = append(st.Sizes, uint32(n))
	}
	return st
}

// Restore is the vfs.RestoreFunc of pairs. A socket that nobody restores is
// closed, as it was when it was saved.
func (s *System) Restore(r *vfs.Restorer, data []byte) (vfs.File, error) {
	var st SocketState
	if err := protostruct.Unmarshal(data, &st); err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	o, err := r.Object(st.Pair, Kind, func(data []byte) (any, error) { return s.restorePair(data) })
	if err != nil {
		return nil, err
	}
	end := &socket{pair: o.(*pair)}
	if st.Second {
		end.i = 1
	}
	end.pair.mu.Lock()
	defer end.pair.mu.Unlock()
	if end.own().alive {
		return nil, fmt.Errorf("socket: is there twice: %w", errBadState)
	}
	end.own().alive = true
	return end, nil
}

func (s *System) restorePair(data []byte) (*pair, error) {
	var st State
	if err := protostruct.Unmarshal(data, &st); err != nil {
		return nil, fmt.Errorf("socket pair: %w", err)
	}
	if st.Type < Stream || st.Type > Seqpacket || st.Capacity != Capacity && st.Capacity != SmallCapacity ||
		st.Mtim < 0 || st.Ino > maxIno {
		return nil, fmt.Errorf("socket pair %d: type %d, capacity %d, time %d: %w", st.Ino, st.Type, st.Capacity, st.Mtim, errBadState)
	}
	p := &pair{system: s, typ: st.Type, ino: st.Ino, capacity: st.Capacity, mtim: st.Mtim}
	for i, d := range []*SideState{&st.First, &st.Second} {
		if err := p.sides[i].restore(d, p); err != nil {
			return nil, fmt.Errorf("socket pair %d: %w", st.Ino, err)
		}
	}
	if !s.budget.Take(2 * p.capacity) {
		return nil, fmt.Errorf("socket pair %d: pipes and sockets take more than %d bytes together: raise the limit of pipe bytes", st.Ino, s.budget.Max())
	}
	for last := s.lastIno.Load(); st.Ino+1 > last && !s.lastIno.CompareAndSwap(last, st.Ino+1); {
		last = s.lastIno.Load()
	}
	return p, nil
}

// maxIno bounds inode numbers, which only ever grow, far away from where they
// would wrap.
const maxIno = 1 << 62

// restore takes over the state of a side of p.
func (d *side) restore(st *SideState, p *pair) error {
	if st.Shut&^abi.SDFlagsAll != 0 || len(st.Data) > p.capacity || len(st.Sizes) > p.capacity/packetCost {
		return fmt.Errorf("shutdown %#x, %d bytes in %d packets on the way: %w", st.Shut, len(st.Data), len(st.Sizes), errBadState)
	}
	total := 0
	for _, n := range st.Sizes {
		if int64(n) > int64(p.capacity) {
			return fmt.Errorf("a packet of %d bytes: %w", n, errBadState)
		}
		total += int(n)
		d.sizes = append(d.sizes, int(n))
	}
	if (p.typ != Stream && total != len(st.Data)) || p.typ == Stream && len(st.Sizes) > 0 ||
		len(st.Data)+packetCost*len(d.sizes) > p.capacity {
		return fmt.Errorf("packets of %d bytes, %d bytes on the way: %w", total, len(st.Data), errBadState)
	}
	d.shut, d.reset, d.alone = st.Shut, st.Reset, st.Alone
	d.inbox.Write(st.Data)
	return nil
}
