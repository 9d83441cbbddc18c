package wazero

import (
	"slices"
	"strconv"
	"strings"

	"github.com/tetratelabs/wazero/api"

	"github.com/stasis-run/stasis/internal/engine"
)

// trap ends the run with what the engine says of a call of f. Frames of the
// engine's stack are read from there (native.go); if that is not what the text of
// its error begins with, they come from the text: at most 30 of them, by the names
// that functions without names have there ("$index"). Those below come from the
// records.
func (t *Thread) trap(f api.Function, err error) (engine.Event, bool) { return t.trapIn(f, err), true }

// trapIn is trap where functions are between the engine's stack and the records.
func (t *Thread) trapIn(f api.Function, err error, between ...engine.Location) engine.Event {
	t.unwinding = false
	t.requests.setMode(0)
	t.off.recs, t.off.vals = nil, nil
	message, rest, _ := strings.Cut(err.Error(), "\n")
	message = strings.TrimPrefix(message, "wasm error: ")
	if i := strings.Index(message, " (recovered by wazero)"); i >= 0 {
		message = message[:i]
	}
	text := t.nativeFrames(rest)
	at, l, err := t.nativeTrace(f)
	if err != nil || !beginsWith(at, text) {
		at, l = text, nil
	}
	clear(t.funcs)
	clear(t.callees)
	at.Append(between...)
	trap := t.stackTrap(message, at)
	if l != nil {
		trap.Later(l.locate)
	}
	return engine.Event{Kind: engine.Trapped, Trap: trap}
}

// beginsWith reports whether the innermost functions of a trace are those of
// another one.
func beginsWith(at, with engine.Trace) bool {
	return len(at.Frames) >= len(with.Frames) && slices.EqualFunc(at.Frames[:len(with.Frames)], with.Frames,
		func(a, b engine.Location) bool { return a.Func == b.Func })
}

// stackTrap makes a trap whose stack is that of the records below the given
// frames, and drops the records.
func (t *Thread) stackTrap(message string, above engine.Trace) *engine.Trap {
	above.Join(t.Backtrace())
	trap := engine.NewTrap(t.module, message, above)
	m, stack := t.module, t.stack
	trap.Known(func(below int) []engine.Slot { return m.slots(&stack, below) })
	t.Reset()
	return trap
}

// slots is the live values of a frame of a stack, by how many are below it.
func (m *Module) slots(stack *recordStack, below int) []engine.Slot {
	if below >= len(stack.recs) {
		return nil
	}
	r := stack.recs[below]
	return m.knownSite(r.site).frame(stack.values(r)).Values
}

// Reset drops the stack, as a trap does.
func (t *Thread) Reset() {
	t.stack.recs, t.stack.vals, t.used = nil, nil, 0
	t.pending = nil
	if t.exceptions.throwing != nil {
		t.notThrowing()
	}
}

// nativeFrames reads function indices of the original module from a trace of
// wazero's. Continuations are the outermost frame and named by what they
// continue; helpers have no name for people.
func (t *Thread) nativeFrames(trace string) engine.Trace {
	var out engine.Trace
	p := t.module.program
	for _, line := range strings.Split(trace, "\n") {
		line = strings.TrimSpace(line)
		name, _, _ := strings.Cut(line, "(")
		module, index, ok := strings.Cut(name, ".$")
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(index, 10, 32)
		if err != nil {
			continue
		}
		if module != "" {
			out.Append(engine.Location{Func: t.current})
		} else if fn, ok := p.OriginalFunc(uint32(n)); ok {
			out.Append(engine.Location{Func: fn})
		}
	}
	return out
}
