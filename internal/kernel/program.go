package kernel

import (
	"container/list"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/invariants"
)

// A Program is what a process runs: code, and the module it was compiled from.
type Program struct {
	Module engine.Module
	Source []byte // the original module; nil where whoever made the code keeps it
	calls  []*Call

	// POSIX: the module imports calls that those of WASI preview 1 know nothing of,
	// and so expects what POSIX has where the two differ.
	POSIX bool
}

// newProgram makes a program of code whose imports are bound.
func newProgram(m engine.Module, source []byte, calls []*Call) Program {
	p := Program{Module: m, Source: source, calls: calls}
	for _, c := range calls {
		p.POSIX = p.POSIX || c.POSIX
	}
	return p
}

// A Loader compiles modules that processes execute.
type Loader func(ctx context.Context, source []byte) (engine.Module, error)

// Idle programs that are kept compiled, so that a program that is run again and
// again is compiled once.
const (
	idlePrograms = 32
	idleSource   = 64 << 20 // bytes of their sources
)

// programs are those that the processes of a kernel run. The code of those that
// execve(2) has loaded is the table's; that of others is their maker's.
type programs struct {
	load  Loader
	calls *CallTable

	mu   invariants.Mutex[programsLock]
	byID map[[32]byte]*loaded // protected by mu
	idle list.List            // of *loaded that nobody runs, the latest first; protected by mu
	size int64                // of the sources of those; protected by mu
}

// A loaded program counts the processes that run it.
type loaded struct {
	Program
	digest [32]byte
	users  int
	at     *list.Element // in idle, or nil
	own    bool          // the code is the table's
}

// ErrNoLoader says that a system has nothing that makes code of modules.
var ErrNoLoader = errors.New("the system cannot load programs")

// bind makes a program of code that somebody else closes.
func (p *programs) bind(m engine.Module, source []byte) (*Program, error) {
	calls, err := p.calls.bind(m)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &loaded{Program: newProgram(m, source, calls), digest: m.Digest(), users: 1}
	if p.byID == nil {
		p.byID = make(map[[32]byte]*loaded)
	}
	if p.byID[l.digest] == nil {
		p.byID[l.digest] = l
	}
	return &l.Program, nil
}

// open is the program of a module, which is compiled unless it is there.
func (p *programs) open(ctx context.Context, source []byte) (*Program, error) {
	digest := sha256.Sum256(source)
	if found := p.take(digest); found != nil {
		return found, nil
	}
	if p.load == nil {
		return nil, ErrNoLoader
	}
	m, err := p.load(ctx, source)
	if err != nil {
		return nil, err
	}
	calls, err := p.calls.bind(m)
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.byID[digest]; l != nil { // another process was as quick
		p.useLocked(l)
		return &l.Program, m.Close()
	}
	if p.byID == nil {
		p.byID = make(map[[32]byte]*loaded)
	}
	l := &loaded{Program: newProgram(m, source, calls), digest: digest, users: 1, own: true}
	p.byID[digest] = l
	return &l.Program, nil
}

// take finds a program that is there, for one more process.
func (p *programs) take(digest [32]byte) *Program {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.byID[digest]
	if l == nil {
		return nil
	}
	p.useLocked(l)
	return &l.Program
}

// Preconditions: p.mu is locked.
func (p *programs) useLocked(l *loaded) {
	l.users++
	if l.at != nil {
		p.idle.Remove(l.at)
		l.at = nil
		p.size -= int64(len(l.Source))
	}
}

// use says that one more process runs a program that another one does.
func (p *programs) use(of *Program) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.byID[of.Module.Digest()]; l != nil && &l.Program == of {
		p.useLocked(l)
	}
}

// release says that a process does not run a program any more, whose threads it
// has closed.
func (p *programs) release(of *Program) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.byID[of.Module.Digest()]
	if l == nil || &l.Program != of { // the same module twice: from its maker, and restored
		return nil
	}
	if l.users--; l.users > 0 || !l.own {
		return nil
	}
	l.at = p.idle.PushFront(l)
	p.size += int64(len(l.Source))
	return p.trimLocked(idlePrograms, idleSource)
}

// Preconditions: p.mu is locked.
func (p *programs) trimLocked(most int, size int64) error {
	var errs []error
	for p.idle.Len() > most || p.size > size {
		l := p.idle.Remove(p.idle.Back()).(*loaded)
		p.size -= int64(len(l.Source))
		delete(p.byID, l.digest)
		errs = append(errs, l.Module.Close())
	}
	return errors.Join(errs...)
}

// close frees all code that is the table's. No thread is left.
func (p *programs) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for digest, l := range p.byID {
		if l.own {
			errs = append(errs, l.Module.Close())
		}
		delete(p.byID, digest)
	}
	p.idle.Init()
	p.size = 0
	return errors.Join(errs...)
}

// entryOf finds an exported function that takes these arguments.
func entryOf(m engine.Module, name string, args int) (uint32, error) {
	fn, t, ok := m.Export(name)
	if !ok {
		return 0, fmt.Errorf("the module exports no function %q", name)
	}
	if len(t.Params) != args {
		return 0, fmt.Errorf("function %q takes %d arguments, not %d", name, len(t.Params), args)
	}
	return fn, nil
}
