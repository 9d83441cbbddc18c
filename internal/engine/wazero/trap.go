package wazero

import (
	"strconv"
	"strings"

	"github.com/stasis-run/stasis/internal/engine"
)

// trap ends the run with what the engine says. Frames of the engine's stack
// come from the text of its error, at most 30 of them, by the names that
// functions without names have there ("$index"); those below from the records.
func (t *Thread) trap(err error) (engine.Event, bool) { return t.trapIn(err), true }

// trapIn is trap where functions are between the engine's stack and the records.
func (t *Thread) trapIn(err error, between ...engine.Location) engine.Event {
	t.unwinding = false
	t.setMode(0)
	t.off.recs, t.off.vals = nil, nil
	clear(t.funcs)
	clear(t.callees)
	message, rest, _ := strings.Cut(err.Error(), "\n")
	message = strings.TrimPrefix(message, "wasm error: ")
	if i := strings.Index(message, " (recovered by wazero)"); i >= 0 {
		message = message[:i]
	}
	at := t.nativeFrames(rest)
	at.Append(between...)
	trap := t.stackTrap(message, at)
	return engine.Event{Kind: engine.Trapped, Trap: trap}
}

// stackTrap makes a trap whose stack is that of the records below the given
// frames, and drops the records.
func (t *Thread) stackTrap(message string, above engine.Trace) *engine.Trap {
	above.Join(t.Backtrace())
	t.Reset()
	return engine.NewTrap(t.module, message, above)
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
