package ttyfs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/protostruct"
	"github.com/stasis-run/stasis/internal/vfs"
	"github.com/stasis-run/stasis/internal/waiter"
)

// ptyPrefix is what the names of ptys begin with; the number follows.
const ptyPrefix = "pts/"

// A Ptys makes the ptys of a system: terminals whose other side is a file of the
// guest, too, the master. It may be used by many tasks.
//
// Lock order: Ptys.mu is a leaf.
type Ptys struct {
	opts PtyOptions // immutable

	mu   sync.Mutex
	open map[int]*Terminal // whose master is open, by number; protected by mu
}

// PtyOptions set up a Ptys. The zero value works.
type PtyOptions struct {
	Max int // how many there may be at a time; 0 is 4096, as on Linux

	// Signal sends a signal, as Options.Signal does, to whom the terminal
	// belongs; nil sends none.
	Signal func(t *Terminal, sig int32)
}

// NewPtys returns a Ptys.
func NewPtys(o PtyOptions) *Ptys {
	if o.Max == 0 {
		o.Max = 4096
	}
	return &Ptys{opts: o, open: make(map[int]*Terminal)}
}

// firstPtyIno is the inode of pty 0.
const firstPtyIno = 3

// newTerminal returns the terminal of a pty.
func (p *Ptys) newTerminal(number int) *Terminal {
	var t *Terminal
	o := Options{Name: ptyPrefix + strconv.Itoa(number), Ino: firstPtyIno + uint64(number)}
	if p.opts.Signal != nil {
		o.Signal = func(sig int32) { p.opts.Signal(t, sig) }
	}
	t = New(o)
	t.pty, t.number = p, number
	return t
}

// New makes a pty of the lowest free number, and returns its master and what the
// other side is opened of; or ENOSPC.
func (p *Ptys) New() (vfs.File, *Terminal, abi.Errno) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.open) >= p.opts.Max {
		return nil, nil, abi.ENOSPC
	}
	n := 0
	for p.open[n] != nil {
		n++
	}
	t := p.newTerminal(n)
	p.open[n] = t
	return &masterFile{t}, t, abi.OK
}

// Get returns the pty with this number, or nil. It has a master.
func (p *Ptys) Get(number int) *Terminal {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open[number]
}

// Numbers returns the numbers of the ptys that have a master, rising.
func (p *Ptys) Numbers() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []int
	for n := range p.open {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// Number returns the number of t, or false if it is no pty.
func (t *Terminal) Number() (int, bool) { return t.number, t.pty != nil }

// masterFile is the master of a pty as an open file.
type masterFile struct {
	t *Terminal
}

var _ vfs.Stream = (*masterFile)(nil)

// IsMaster reports whether f is the master of a pty.
func IsMaster(f vfs.File) bool {
	_, ok := f.(*masterFile)
	return ok
}

// Read is vfs.Stream's: what the guest has written. EIO when nobody has the
// other side open any more.
func (f *masterFile) Read(bufs [][]byte) (int, abi.Errno) {
	n := 0
	for _, b := range bufs {
		k := f.t.ReadOutput(b)
		if n += k; k < len(b) {
			break
		}
	}
	if n > 0 || total(bufs) == 0 {
		return n, abi.OK
	}
	f.t.mu.Lock()
	defer f.t.mu.Unlock()
	if f.t.left {
		return 0, abi.EIO
	}
	return 0, abi.EAGAIN
}

// Write is vfs.Stream's: what is typed, also when nobody has the other side open.
func (f *masterFile) Write(bufs [][]byte) (int, abi.Errno) {
	n := 0
	for _, b := range bufs {
		k := f.t.Input(b)
		if n += k; k < len(b) {
			break
		}
	}
	if n == 0 && total(bufs) > 0 {
		return 0, abi.EAGAIN
	}
	return n, abi.OK
}

// Readiness is waiter.Source's.
func (f *masterFile) Readiness(mask waiter.EventMask) waiter.EventMask {
	t := f.t
	got := t.Master().Readiness(mask)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.left {
		got |= waiter.Hup
	}
	return got
}

// Register is waiter.Source's.
func (f *masterFile) Register(e *waiter.Entry) { f.t.master.Register(e) }

// Unregister is waiter.Source's.
func (f *masterFile) Unregister(e *waiter.Entry) { f.t.master.Unregister(e) }

// Stat is vfs.File's. All masters have one inode, as they were opened by one
// name.
func (f *masterFile) Stat() (abi.Filestat, abi.Errno) {
	return abi.Filestat{Ino: 2, Filetype: abi.FiletypeCharacterDevice, Nlink: 1}, abi.OK
}

// Unmounted is vfs.Unmounted's.
func (f *masterFile) Unmounted() {}

// Close is vfs.File's: it hangs up.
func (f *masterFile) Close() {
	t := f.t
	t.pty.mu.Lock()
	delete(t.pty.open, t.number)
	t.pty.mu.Unlock()
	t.Hangup()
}

// MasterKind is the kind of a master in a vfs.State; its data is a FileState.
const MasterKind = "pty"

// Save is vfs.File's.
func (f *masterFile) Save(s *vfs.Saver) (vfs.ObjectState, error) {
	id, err := f.t.save(s)
	if err != nil {
		return vfs.ObjectState{}, err
	}
	return vfs.NewObjectState(MasterKind, FileState{Terminal: id})
}

// Provide is a Provider for the names of ptys; nil for others. One that has lost
// its master may have the number of one that has not.
func (p *Ptys) Provide(name string) *Terminal {
	s, ok := strings.CutPrefix(name, ptyPrefix)
	n, err := strconv.Atoi(s)
	if !ok || err != nil || n < 0 || n >= p.opts.Max || strconv.Itoa(n) != s {
		return nil
	}
	return p.newTerminal(n)
}

// Restore is the vfs.RestoreFunc of masters, of MasterKind. The Provider of the
// other sides uses Provide.
func (p *Ptys) Restore(r *vfs.Restorer, data []byte) (vfs.File, error) {
	var s FileState
	if err := protostruct.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("pty: %w", err)
	}
	o, err := r.Object(s.Terminal, Kind, func(data []byte) (any, error) {
		return restoreTerminal(func(name string) (*Terminal, error) { return p.Provide(name), nil }, data)
	})
	if err != nil {
		return nil, err
	}
	t := o.(*Terminal)
	if t.pty != p {
		return nil, fmt.Errorf("pty: terminal %s is none: %w", t.name, errBadState)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[t.number] != nil {
		return nil, fmt.Errorf("pty: %s has two masters: %w", t.name, errBadState)
	}
	p.open[t.number] = t
	return &masterFile{t}, nil
}
