package instrument

import (
	"encoding/binary"

	"github.com/stasis-run/stasis/internal/wasm"
)

// Sites of a function at which the same is live share the code that saves it: what
// is left of the cold end of each is its number and a branch. Only what is live at
// all of its sites reaches an exit, so that it keeps no value alive that is dead.

// fewExits is how many sites a function has whose cold ends are its own.
const fewExits = 8

// exits finds the cold ends that share one: for each of e.colds its exit's number,
// or -1, and for each exit one of its sites; nothing where there are few. An exit saves what is live there and takes
// the number of the site in question from the operand stack.
func (e *emitter) exits() (of, all []int32) {
	if len(e.colds) <= fewExits {
		return nil, nil
	}
	of = make([]int32, len(e.colds))
	type group struct{ first, exit int32 }
	groups := make(map[string]group, len(e.colds))
	var key []byte
	for i, k := range e.colds {
		of[i] = -1
		s := &e.b.sites[k]
		if s.kind == SiteEntry || len(s.caught) > 0 {
			continue
		}
		key = key[:0]
		for _, w := range e.b.live[k] {
			key = binary.LittleEndian.AppendUint64(key, w)
		}
		for _, t := range s.operand {
			key = binary.LittleEndian.AppendUint32(key, uint32(lowered(t)))
		}
		g, ok := groups[string(key)]
		if !ok {
			groups[string(key)] = group{int32(i), -1}
			continue
		}
		if g.exit < 0 {
			g.exit = int32(len(all))
			all = append(all, k)
			groups[string(key)] = g
			of[g.first] = g.exit
		}
		of[i] = g.exit
	}
	return of, all
}

// finish ends the function and adds the cold code: an engine that lays out
// blocks in the order of the code has it out of the way then. Around all that has
// been emitted come as many blocks as there are cold ends and exits, and behind the
// end of each its code, which the branch to that block leads to:
//
//	block block … the function, return end cold 0 end cold 1 … end exit 0 end exit 1 … end
func (e *emitter) finish() {
	n := len(e.colds)
	if n == 0 {
		e.op(wasm.OpEnd)
		return
	}
	of, exits := e.exits()
	for _, at := range e.outs {
		d := uint32(e.out[at]&0x7f) | uint32(e.out[at+1]&0x7f)<<7 | uint32(e.out[at+2])<<14
		padded(e.out[:at], d+uint32(n+len(exits)))
	}
	e.op(wasm.OpReturn)
	for i, k := range e.colds {
		e.op(wasm.OpEnd)
		if of == nil || of[i] < 0 {
			e.leave(k)
			continue
		}
		e.siteID(k)
		e.op1(wasm.OpBr, uint32(n-1-i)+uint32(of[i]))
	}
	for _, k := range exits {
		e.op(wasm.OpEnd)
		e.leaveWith(k, false)
	}
	e.op(wasm.OpEnd)
	for range exits {
		e.front = append(e.front, byte(wasm.OpBlock), byte(wasm.I32))
	}
	for range n {
		e.front = append(e.front, byte(wasm.OpBlock), 0x40)
	}
	e.b.shift(len(e.front))
}
