package wazero

import (
	"sync"
	"sync/atomic"

	"github.com/tetratelabs/wazero/api"

	"github.com/stasis-run/stasis/internal/instrument"
)

// flags are the globals of an instance by which the host talks to its code.
type flags struct{ look, mode api.MutableGlobal }

func flagsOf(i api.Module) flags {
	return flags{
		look: i.ExportedGlobal(instrument.ExportLook).(api.MutableGlobal),
		mode: i.ExportedGlobal(instrument.ExportMode).(api.MutableGlobal),
	}
}

// requests are what is asked of the guest code of a thread: to unwind, by its
// caller or the thread itself, and in which mode it runs. Two instances can be
// running: the hot form, and the continuation at the bottom of the engine's stack,
// which calls it. Others are told when they are entered.
type requests struct {
	asked atomic.Bool // look is raised, for the interpreter
	self  bool        // the thread has something to do once it is unwound; only on the task goroutine

	mu          sync.Mutex
	interrupted bool  // the caller has asked; protected by mu
	hot, bottom flags // bottom is the hot form's, too, where no continuation runs; both set on the task goroutine under mu
}

// begin makes hot the instance's flags.
func (r *requests) begin(hot flags) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hot, r.bottom = hot, hot
	if r.asked.Load() {
		r.raiseLocked()
	}
}

// park forgets the flags of continuations, and, with all, those of the hot form: what
// is asked from then on is known when begin gives it new ones.
func (r *requests) park(all bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if all {
		r.hot = flags{}
	}
	r.bottom = r.hot
}

// enter makes the code that f belongs to the one at the bottom.
func (r *requests) enter(f flags) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bottom = f
	f.look.Set(r.hot.look.Get())
	f.mode.Set(r.hot.mode.Get())
}

// setMode says in which mode guest code runs. Only on the task goroutine.
func (r *requests) setMode(mode uint64) {
	r.hot.mode.Set(mode)
	r.bottom.mode.Set(mode)
}

// interrupt asks the thread to unwind, on any goroutine.
func (r *requests) interrupt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.interrupted = true
	r.raiseLocked()
}

// clear withdraws interrupt.
func (r *requests) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.interrupted = false
	if !r.self {
		r.lowerLocked()
	}
}

// askSelf asks the thread to unwind for something that it has to do then. Only on
// the task goroutine.
func (r *requests) askSelf() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.self = true
	r.raiseLocked()
}

// done says that it has done it.
func (r *requests) done() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.self = false
	if !r.interrupted {
		r.lowerLocked()
	}
}

// Preconditions: r.mu is locked.
func (r *requests) raiseLocked() {
	r.asked.Store(true)
	r.setLookLocked(instrument.LookRaised)
}

// Preconditions: r.mu is locked.
func (r *requests) lowerLocked() {
	r.asked.Store(false)
	r.setLookLocked(0)
}

// Preconditions: r.mu is locked.
func (r *requests) setLookLocked(to uint64) {
	if r.hot.look == nil { // parked
		return
	}
	r.hot.look.Set(to)
	r.bottom.look.Set(to)
}
