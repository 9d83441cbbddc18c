package wasi

import (
	"math"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/kernel"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

// A poll is a poll_oneoff in progress.
type poll struct {
	c     *call
	subs  []abi.Subscription
	files []*vfs.OpenFile // by subscription, nil for none; counted
	errs  []abi.Errno     // by subscription: why it cannot be waited for
	start int64           // relative timeouts count from here; ns, monotonic
}

// pollOneoff waits until at least one subscription has an event, and tells all
// events that are there then.
func pollOneoff(c *call) abi.Errno {
	n := c.u32(2)
	if n == 0 || n > maxSubscriptions {
		return abi.EINVAL
	}
	out, errno := c.out(1, uint64(n)*abi.EventSize)
	if errno != abi.OK {
		return errno
	}
	count, errno := c.out(3, 4)
	if errno != abi.OK {
		return errno
	}
	p := poll{c: c}
	if errno := p.read(n); errno != abi.OK {
		return errno
	}
	defer p.close()
	p.open()
	p.begin()
	for {
		if events := p.put(out); events > 0 {
			le.PutUint32(count, uint32(events))
			return abi.OK
		}
		switch p.wait() {
		case kernel.Interrupted:
			p.save()
			return errRestart
		case kernel.Signalled:
			return abi.EINTR
		}
	}
}

// read reads the subscriptions, which may lie where the events will.
func (p *poll) read(n uint32) abi.Errno {
	size, get := uint64(abi.SubscriptionSize), abi.GetSubscription
	if p.c.unstable {
		size, get = abi.SubscriptionUnstableSize, abi.GetSubscriptionUnstable
	}
	in, errno := p.c.out(0, uint64(n)*size)
	if errno != abi.OK {
		return errno
	}
	for ; len(in) > 0; in = in[size:] {
		s := get(in)
		if s.Type > abi.EventFDWrite {
			return abi.EINVAL
		}
		p.subs = append(p.subs, s)
	}
	return abi.OK
}

// open finds what the subscriptions are about.
func (p *poll) open() {
	p.files = make([]*vfs.OpenFile, len(p.subs))
	p.errs = make([]abi.Errno, len(p.subs))
	for i := range p.subs {
		s := &p.subs[i]
		if s.Type == abi.EventClock {
			if s.Clock > abi.ClockThreadCPU || s.Flags&^abi.SubclockAbstime != 0 {
				p.errs[i] = abi.EINVAL
			} else if s.Clock > abi.ClockMonotonic {
				p.errs[i] = abi.ENOTSUP // the guest would sleep and not get there
			}
			continue
		}
		p.files[i], p.errs[i] = p.c.files().Get(vfs.FD(s.FD), abi.RightPollFDReadwrite)
	}
}

func (p *poll) close() {
	for _, f := range p.files {
		if f != nil {
			f.DecRef()
		}
	}
}

// shortest returns the shortest relative timeout in ns, MaxInt64 if there is
// none.
func (p *poll) shortest() int64 {
	least := int64(math.MaxInt64)
	for i := range p.subs {
		s := &p.subs[i]
		if s.Type == abi.EventClock && p.errs[i] == abi.OK && s.Flags&abi.SubclockAbstime == 0 {
			least = min(least, clamp(s.Timeout))
		}
	}
	return least
}

// begin finds where relative timeouts count from: now, or, when the call is
// made again, where they did before. The restart block has the deadline of the
// shortest.
func (p *poll) begin() {
	p.start = p.c.t.Kernel().Clocks().Monotonic()
	if r := p.c.t.Restart(); r.Set && r.Deadline != kernel.Never {
		p.start = min(p.start, r.Deadline-p.shortest())
	}
}

// save keeps the deadline for when the call is made again.
func (p *poll) save() {
	r := p.c.t.Restart()
	r.Set, r.Deadline = true, add(p.start, p.shortest())
}

// deadline returns when subscription s ends by its clock, in ns of the
// monotonic clock. That of the wall clock is a guess: it may be set meanwhile.
func (p *poll) deadline(s *abi.Subscription) int64 {
	timeout := clamp(s.Timeout)
	if s.Flags&abi.SubclockAbstime == 0 {
		return add(p.start, timeout)
	}
	if s.Clock == abi.ClockMonotonic {
		return timeout
	}
	clocks := p.c.t.Kernel().Clocks()
	return add(clocks.Monotonic(), timeout-clocks.Wall())
}

// put writes the events that are there to out and returns how many.
func (p *poll) put(out []byte) int {
	n := 0
	now := p.c.t.Kernel().Clocks().Monotonic()
	for i := range p.subs {
		e, ok := p.event(i, now)
		if ok {
			e.Put(out[n*abi.EventSize:])
			n++
		}
	}
	return n
}

// event returns the event of subscription i, if it has one now.
func (p *poll) event(i int, now int64) (abi.Event, bool) {
	s := &p.subs[i]
	e := abi.Event{Userdata: s.Userdata, Type: s.Type, Errno: p.errs[i]}
	switch {
	case e.Errno != abi.OK:
		return e, true
	case s.Type == abi.EventClock:
		return e, p.deadline(s) <= now
	}
	got := p.files[i].Readiness(mask(s.Type))
	if got == 0 {
		return e, false
	}
	e.NBytes = available(p.files[i], s.Type)
	if got&waiter.Hup != 0 {
		e.Flags = abi.EventHangup
	}
	return e, true
}

// mask returns the file events of a type.
func mask(t abi.EventType) waiter.EventMask {
	if t == abi.EventFDWrite {
		return waiter.Out
	}
	return waiter.In
}

// available returns how many bytes can be read or written, as far as that is
// known: what is left of a regular file, and 1 for anything else, since all
// that a guest can make of the number is to see that it is not 0.
func available(f *vfs.OpenFile, t abi.EventType) uint64 {
	if _, ok := f.File().(vfs.Regular); !ok || t == abi.EventFDWrite {
		return 1
	}
	st, errno := f.Stat()
	if errno != abi.OK {
		return 0
	}
	at, errno := f.Lseek(0, abi.SeekCur)
	if errno != abi.OK || uint64(at) >= st.Size {
		return 0
	}
	return st.Size - uint64(at)
}

// wait waits until an event may be there.
func (p *poll) wait() kernel.BlockResult {
	deadline := kernel.Never
	var waits []kernel.Wait
	var files []fileWait
	for i := range p.subs {
		s := &p.subs[i]
		if s.Type == abi.EventClock {
			deadline = min(deadline, p.deadline(s))
			continue
		}
		w := fileWait{p.files[i], mask(s.Type)}
		waits, files = append(waits, w), append(files, w)
	}
	return p.c.t.Block(deadline, func() bool {
		for _, w := range files {
			if w.ready() {
				return true
			}
		}
		return false
	}, waits...)
}

// clamp returns ns as a signed number; what is too large is for ever.
func clamp(ns uint64) int64 { return int64(min(ns, math.MaxInt64)) }

// add returns a+b without overflow. A is not negative.
func add(a, b int64) int64 {
	if b > math.MaxInt64-a {
		return math.MaxInt64
	}
	return a + b
}
