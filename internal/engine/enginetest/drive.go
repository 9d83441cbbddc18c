// Package enginetest drives threads of an engine through stops, for tests that
// show that a guest cannot tell.
package enginetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/wasm"
)

// A Plan says when a guest is stopped. The zero value never does.
type Plan struct {
	Every   int32               // unwind at every n-th safepoint; 0 is never
	Random  *rand.Rand          // not nil: after each stop, draw when the next one comes, Every on average
	Save    int                 // at every n-th stop, save, drop the thread and go on with one made of the state; 0 is never
	Calls   bool                // have imports unwind before they are made
	Saves   int                 // at most so many; 0 is any number
	Stopped func(engine.Thread) // is shown the thread at each stop, if not nil
	Early   bool                // interrupt the thread before it runs the first instruction of a call
	Park    bool                // park the thread at each stop
	Look    int                 // interrupt the thread in every n-th call of an import; 0 is never
}

// Stops reports whether the plan stops anything.
func (p *Plan) Stops() bool { return p.Every > 0 }

// A Driver runs calls of one instance under a plan.
type Driver struct {
	module engine.Module
	limits engine.Limits
	answer func(fn uint32, stack []uint64) error
	plan   Plan
	words  []int // of results, by import
	thread engine.Thread
	calls  int
	stops  int
	saves  int
	thrown *engine.Exception
}

// Counter is what threads of a module compiled for counting can do.
type Counter interface{ SetEvery(n int32) }

// NewDriver instantiates a module whose imports are answered by answer. The
// module's start function has not run: Call does that with engine.ModuleStart.
func NewDriver(ctx context.Context, m engine.Module, limits engine.Limits, plan Plan, answer func(fn uint32, stack []uint64) error) (*Driver, error) {
	d := &Driver{module: m, limits: limits, answer: answer, plan: plan}
	for _, im := range m.Imports() {
		n := len(im.Type.Results)
		for _, t := range im.Type.Results {
			if t == wasm.V128 {
				n++
			}
		}
		d.words = append(d.words, n)
	}
	var err error
	if d.thread, err = m.New(ctx, d, limits, nil); err != nil {
		return nil, err
	}
	d.next()
	return d, nil
}

// Call implements engine.Host.
func (d *Driver) Call(fn uint32, stack []uint64) engine.Action {
	if d.plan.Calls {
		return engine.Unwind
	}
	if d.calls++; d.plan.Look > 0 && d.calls%d.plan.Look == 0 {
		d.thread.Interrupt()
	}
	if d.atomic(fn, stack) {
		return engine.Return
	}
	err := d.answer(fn, stack)
	if t := (*Throw)(nil); errors.As(err, &t) {
		if err = d.thread.Throw(&t.Exception); err == nil {
			return engine.Throw
		}
	}
	if err != nil {
		panic(err) // to the guest, a trap of the import
	}
	return engine.Return
}

// atomic answers an instruction that waits or wakes where there is one thread:
// nobody wakes it, so that each wait ends at once, by its timeout at the latest.
func (d *Driver) atomic(fn uint32, stack []uint64) bool {
	if engine.AtomicNumber(fn) == 0 {
		return false
	}
	mem := d.thread.Memory().Bytes()
	const notEqual, timedOut = 1, 2
	res := uint64(timedOut)
	switch at := stack[0]; {
	case fn == engine.Notify:
		res = 0
	case fn == engine.Wait32 && binary.LittleEndian.Uint32(mem[at:]) != uint32(stack[1]),
		fn == engine.Wait64 && binary.LittleEndian.Uint64(mem[at:]) != stack[1]:
		res = notEqual
	}
	stack[0] = res
	return true
}

// A Throw is the answer to a call of an import that throws.
type Throw struct{ Exception engine.Exception }

func (t *Throw) Error() string { return fmt.Sprintf("throws tag %d", t.Exception.Tag) }

// next arms the next stop.
func (d *Driver) next() {
	if !d.plan.Stops() {
		return
	}
	n := d.plan.Every
	if d.plan.Random != nil {
		n = 1 + d.plan.Random.Int32N(2*d.plan.Every)
	}
	d.thread.(Counter).SetEvery(n)
}

// Run calls a function and returns its results or its trap. An error is a
// fault of the engine.
func (d *Driver) Run(ctx context.Context, fn uint32, args []uint64) ([]uint64, *engine.Trap, error) {
	if err := d.thread.Start(fn, args); err != nil {
		return nil, nil, err
	}
	if err := d.complete(); err != nil {
		return nil, nil, err
	}
	d.thrown = nil
	if d.plan.Early {
		d.thread.Interrupt()
	}
	for {
		ev := d.thread.Run(ctx)
		switch ev.Kind {
		case engine.Exited:
			return slices.Clone(ev.Results), nil, nil
		case engine.Trapped, engine.Threw:
			d.thrown = ev.Exception
			return nil, ev.Trap, nil
		}
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if err := d.stopped(ctx); err != nil {
			return nil, nil, err
		}
	}
}

// Thrown is the exception with which the last Run ended, if it did so.
func (d *Driver) Thrown() *engine.Exception { return d.thrown }

// stopped does what the plan asks for at a stop, and the pending call.
func (d *Driver) stopped(ctx context.Context) error {
	d.stops++
	d.thread.Clear()
	if d.plan.Stopped != nil {
		d.plan.Stopped(d.thread)
	}
	if d.plan.Park {
		if err := d.thread.Park(); err != nil {
			return err
		}
	}
	if d.plan.Save > 0 && d.stops%d.plan.Save == 0 && (d.plan.Saves == 0 || d.saves < d.plan.Saves) {
		if err := d.replace(ctx); err != nil {
			return err
		}
	}
	d.next()
	return d.complete()
}

// complete makes the pending call, if there is one.
// An import that fails ends the guest's call, as a trap would.
func (d *Driver) complete() error {
	fn, args, ok := d.thread.Pending()
	if !ok {
		return nil
	}
	if stack := slices.Clone(args); d.atomic(fn, stack) {
		d.thread.Complete(stack[:1])
		return nil
	}
	n := d.words[fn]
	stack := append(slices.Clone(args), make([]uint64, n)...)
	err := d.answer(fn, stack)
	if t := (*Throw)(nil); errors.As(err, &t) {
		if err = d.thread.Throw(&t.Exception); err == nil {
			return nil
		}
	}
	if err != nil {
		d.thread.(interface{ Reset() }).Reset()
		return err
	}
	d.thread.Complete(stack[:n])
	return nil
}

// replace goes on with a new thread made of the old one's state.
func (d *Driver) replace(ctx context.Context) error {
	st, err := d.thread.Save()
	if err != nil {
		return fmt.Errorf("save: %w", err)
	}
	next, err := d.module.New(ctx, d, d.limits, st)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	copyMemory(next.Memory().Bytes(), d.thread.Memory().Bytes())
	err = d.thread.Close()
	d.thread = next
	if d.saves++; d.saves%512 == 0 {
		runtime.GC() // tests of looping guests run without a collector; none runs now
	}
	return err
}

// copyMemory copies what is not zero; to is all zeros and as long as from.
// Pages that stay untouched cost nothing.
func copyMemory(to, from []byte) {
	var zero [4096]byte
	for at := 0; at < len(from); at += len(zero) {
		if p := from[at : at+len(zero)]; !bytes.Equal(p, zero[:]) {
			copy(to[at:], p)
		}
	}
}

// Thread is the thread at the moment.
func (d *Driver) Thread() engine.Thread { return d.thread }

// Stops is how often the guest was stopped, and saved.
func (d *Driver) Stops() (stops, saves int) { return d.stops, d.saves }

// Close frees the instance.
func (d *Driver) Close() error { return d.thread.Close() }
