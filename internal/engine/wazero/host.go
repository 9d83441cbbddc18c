package wazero

import (
	"context"

	"github.com/tetratelabs/wazero/api"

	"github.com/stasis-run/stasis/internal/engine"
	"github.com/stasis-run/stasis/internal/instrument"
)

// These run inside of guest code, on the task goroutine.

func threadOf(ctx context.Context) *Thread { return ctx.(*threadContext).t }

// beginUnwind has all callers save their frames and return.
func (t *Thread) beginUnwind() {
	if !t.unwinding {
		t.unwinding = true
		t.requests.setMode(instrument.ModeUnwinding)
	}
}

// importFunc is import n of the guest. While the stack is being taken apart no
// guest code runs, so it is never called then.
func importFunc(n uint32) api.GoModuleFunc {
	return func(ctx context.Context, _ api.Module, stack []uint64) {
		t := threadOf(ctx)
		switch t.host.Call(n, stack) {
		case engine.Throw:
			t.mustThrow()
		case engine.Unwind:
			p := &engine.Pending{Import: n}
			for i, mask := range t.module.argMasks[n] {
				p.Args = append(p.Args, stack[i]&mask)
			}
			t.pending = p
			t.beginUnwind()
		}
	}
}

// runtimeFunc is a runtime function of the pass.
func runtimeFunc(name string) api.GoModuleFunc {
	switch name {
	case instrument.RuntimePush8:
		return func(ctx context.Context, _ api.Module, stack []uint64) { threadOf(ctx).values32(stack[:8]) }
	case "wide1":
		return func(ctx context.Context, _ api.Module, stack []uint64) { threadOf(ctx).values64(stack[:1]) }
	case "wide2":
		return func(ctx context.Context, _ api.Module, stack []uint64) { threadOf(ctx).values64(stack[:2]) }
	case "wide4":
		return func(ctx context.Context, _ api.Module, stack []uint64) { threadOf(ctx).values64(stack[:4]) }
	case instrument.RuntimeRef:
		return func(ctx context.Context, _ api.Module, stack []uint64) { threadOf(ctx).values64(stack[:1]) }
	case instrument.RuntimeFetch:
		return func(ctx context.Context, _ api.Module, stack []uint64) {
			stack[0] = threadOf(ctx).fetch[uint32(stack[0])]
		}
	case instrument.RuntimeBulk:
		return func(ctx context.Context, _ api.Module, stack []uint64) { threadOf(ctx).bulk(stack) }
	case instrument.RuntimeWait32:
		return wait32Call.goFunc()
	case instrument.RuntimeWait64:
		return wait64Call.goFunc()
	case instrument.RuntimeNotify:
		return notifyCall.goFunc()
	case instrument.RuntimeGrow:
		return growFunc
	case instrument.RuntimeDropped:
		return func(ctx context.Context, _ api.Module, stack []uint64) {
			threadOf(ctx).dropped[engine.Segment{Elem: uint32(stack[0]) == 1, Index: uint32(stack[1])}] = true
		}
	}
	if f := shadowFunc(name); f != nil {
		return f
	}
	if f := exceptionFunc(name); f != nil {
		return f
	}
	n := int(name[len(name)-1] - '0') // leaveN, giveN
	give := name[0] == 'g'
	return func(ctx context.Context, _ api.Module, stack []uint64) {
		t := threadOf(ctx)
		t.values32(stack[1 : 1+n])
		t.leave(instrument.SiteID(uint32(stack[0])))
		if give {
			stack[0] = 0
		}
	}
}

// values32 adds values of 32 bits to the record that is being written. The
// upper halves of their words are not defined.
func (t *Thread) values32(vs []uint64) {
	for _, v := range vs {
		t.off.vals = append(t.off.vals, uint64(uint32(v)))
	}
}

func (t *Thread) values64(vs []uint64) { t.off.vals = append(t.off.vals, vs...) }

// leave completes a record. Where something is being thrown it is none: the
// frame is left for good.
func (t *Thread) leave(site instrument.SiteID) {
	if t.exceptions.throwing != nil {
		t.off.vals = t.off.vals[:0]
		t.passedSite(site)
		return
	}
	t.beginUnwind()
	off := uint32(0)
	if n := len(t.off.recs); n > 0 {
		off = t.off.recs[n-1].off + t.off.recs[n-1].n
	}
	t.off.recs = append(t.off.recs, record{site, off, uint32(len(t.off.vals)) - off})
}

// bulk notes a memory operation that stops between two slices.
func (t *Thread) bulk(stack []uint64) {
	p := &engine.Pending{Bulk: true, Op: uint32(stack[0])}
	for _, v := range stack[1:4] {
		p.Args = append(p.Args, uint64(uint32(v)))
	}
	t.pending = p
	t.beginUnwind()
}
