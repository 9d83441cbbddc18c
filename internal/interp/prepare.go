package interp

import (
	"errors"
	"fmt"

	"github.com/stasis-run/stasis/internal/wasm"
)

// ErrUnsupported is what errors.Is finds in the error about a function that is
// not interpreted.
var ErrUnsupported = errors.New("not interpreted")

// Prepare decodes body number defined of m.Code. The error wraps ErrUnsupported
// if something that can be reached in it is not interpreted: vectors,
// references, tables other than in call_indirect, segments, tail calls,
// and exceptions. spaces are m's.
//
// Preconditions: m has passed wasm.Validate.
func Prepare(m *wasm.Module, spaces *wasm.Spaces, defined int) (*Code, error) {
	body := &m.Code[defined]
	sig := &m.Types[m.Funcs[defined]]
	p := &preparer{m: m, spaces: spaces, c: &Code{
		// Two bytes an instruction is usual; less would copy the slices again.
		instrs:  make([]instr, 0, len(body.Body)/2+1),
		heights: make([]int32, 0, len(body.Body)/2+1),
		results: len(sig.Results),
		memory:  len(spaces.Memories) > 0,
		shared:  len(spaces.Memories) > 0 && spaces.Memories[0].Shared,
	}}
	if err := p.prepare(sig, body); err != nil {
		return nil, fmt.Errorf("function %d: %w", len(spaces.Funcs)-len(m.Funcs)+defined, err)
	}
	return p.c, nil
}

// A preparer decodes one function. It follows only the height of the operand
// stack: what the types are is settled by validation, and that there are only
// numbers by looking at everything that puts values on the stack.
type preparer struct {
	m      *wasm.Module
	spaces *wasm.Spaces
	c      *Code
	open   []opener
	height int
}

// An opener is an open block.
type opener struct {
	pc              int // of block, loop or if; -1 is the function
	elsePC          int // of its else, or 0
	loop            bool
	height          int // below the parameters
	params, results int
	dead            bool // what comes next in it cannot be reached
	born            bool // it was opened in such code
}

// label is how many values a branch to the block takes along.
func (o *opener) label() int {
	if o.loop {
		return o.params
	}
	return o.results
}

func (p *preparer) top() *opener { return &p.open[len(p.open)-1] }

func (p *preparer) prepare(sig *wasm.FuncType, body *wasm.Code) error {
	if err := p.locals(sig, body); err != nil {
		return err
	}
	p.open = append(p.open, opener{pc: -1, results: p.c.results})
	p.c.maxStack = p.c.results
	r := wasm.NewReader(body.Body)
	var in wasm.Instr
	for len(p.open) > 0 {
		if err := r.Next(&in); err != nil {
			return err
		}
		if err := p.step(&in); err != nil {
			return fmt.Errorf("instruction %d: %v: %w", len(p.c.instrs), in.Op, err)
		}
		p.c.maxStack = max(p.c.maxStack, p.height)
	}
	p.resolve()
	return nil
}

func (p *preparer) locals(sig *wasm.FuncType, body *wasm.Code) error {
	if err := numeric(sig.Params, sig.Results); err != nil {
		return err
	}
	p.c.locals = len(sig.Params)
	for _, run := range body.Locals {
		if err := numeric([]wasm.ValType{run.Type}); err != nil {
			return err
		}
		p.c.locals += int(run.N)
	}
	return nil
}

// numeric refuses types whose values are not one word that means the same to
// every engine.
func numeric(lists ...[]wasm.ValType) error {
	for _, list := range lists {
		for _, t := range list {
			if !t.IsNum() {
				return fmt.Errorf("%v: %w", t, ErrUnsupported)
			}
		}
	}
	return nil
}

// step appends in.
func (p *preparer) step(in *wasm.Instr) error {
	pc, height := len(p.c.instrs), p.height
	var x instr
	switch in.Op {
	case wasm.OpBlock, wasm.OpLoop, wasm.OpIf:
		x = p.enter(pc, in)
	case wasm.OpElse:
		x, height = p.turn(pc)
	case wasm.OpEnd:
		x, height = p.leave(pc)
	case wasm.OpTry, wasm.OpTryTable: // also where it cannot be reached: its end would close another block
		return ErrUnsupported
	default:
		if p.top().dead {
			x.kind = kindDead // whatever it is
			break
		}
		var err error
		if x, err = p.plain(in); err != nil {
			return err
		}
	}
	if x.kind == kindDead {
		height = unreachable
	}
	p.c.instrs = append(p.c.instrs, x)
	p.c.heights = append(p.c.heights, int32(height))
	return nil
}

// enter opens a block.
func (p *preparer) enter(pc int, in *wasm.Instr) instr {
	if p.top().dead {
		p.open = append(p.open, opener{pc: pc, dead: true, born: true})
		return instr{kind: kindDead}
	}
	x := instr{kind: kindNop}
	switch in.Op {
	case wasm.OpLoop:
		x.kind = kindLoop
	case wasm.OpIf:
		x.kind = kindIf
		p.height--
	}
	params, results := p.m.BlockSig(in.Block)
	p.open = append(p.open, opener{
		pc: pc, loop: in.Op == wasm.OpLoop, height: p.height - len(params),
		params: len(params), results: len(results),
	})
	return x
}

// turn begins the second part of an if. It returns the height at the end of the
// first, which is known even if that end is not reached.
func (p *preparer) turn(pc int) (x instr, height int) {
	o := p.top()
	if o.born {
		return instr{kind: kindDead}, 0
	}
	o.elsePC, o.dead = pc, false
	p.height = o.height + o.params
	return instr{kind: kindElse}, o.height + o.results
}

// leave closes a block. It returns the height that all ways to its end have.
func (p *preparer) leave(pc int) (x instr, height int) {
	o := *p.top()
	p.open = p.open[:len(p.open)-1]
	if o.born {
		return instr{kind: kindDead}, 0
	}
	p.height = o.height + o.results
	if o.pc < 0 {
		return instr{kind: kindReturn}, p.height
	}
	opener := &p.c.instrs[o.pc]
	switch {
	case opener.kind == kindNop:
		opener.a = uint32(pc)
	case opener.kind == kindIf && o.elsePC > 0:
		opener.a, opener.imm = uint32(o.elsePC+1), uint64(pc)
		p.c.instrs[o.elsePC].a = uint32(pc)
	case opener.kind == kindIf:
		opener.a, opener.imm = uint32(pc), uint64(pc)
	}
	return instr{kind: kindNop}, p.height
}

// plain decodes an instruction that neither opens nor closes a block and can
// be reached.
func (p *preparer) plain(in *wasm.Instr) (instr, error) {
	a := uint32(in.A)
	switch in.Op {
	case wasm.OpNop:
		return instr{kind: kindNop}, nil
	case wasm.OpUnreachable:
		p.top().dead = true
		return instr{kind: kindUnreachable}, nil
	case wasm.OpReturn:
		p.top().dead = true
		return instr{kind: kindReturn}, nil
	case wasm.OpBr:
		b := p.branch(a)
		p.top().dead = true
		return instr{kind: kindBr, a: b}, nil
	case wasm.OpBrIf:
		p.height--
		return instr{kind: kindBrIf, a: p.branch(a)}, nil
	case wasm.OpBrTable:
		return p.brTable(in.Targets), nil
	case wasm.OpCall:
		sig, _ := p.spaces.FuncType(a)
		return instr{kind: kindCall, a: a}, p.call(&sig)
	case wasm.OpCallIndirect:
		p.height--
		return instr{kind: kindCallIndirect, a: a, imm: in.B}, p.call(&p.m.Types[a])
	case wasm.OpDrop:
		p.height--
		return instr{kind: kindDrop}, nil
	case wasm.OpSelect, wasm.OpSelectT:
		p.height -= 2
		return instr{kind: kindSelect}, nil
	case wasm.OpLocalGet:
		p.height++
		return instr{kind: kindLocalGet, a: a}, nil
	case wasm.OpLocalSet:
		p.height--
		return instr{kind: kindLocalSet, a: a}, nil
	case wasm.OpLocalTee:
		return instr{kind: kindLocalTee, a: a}, nil
	case wasm.OpGlobalGet:
		p.height++
		return instr{kind: kindGlobalGet, a: a}, numeric([]wasm.ValType{p.spaces.Globals[a].Type})
	case wasm.OpGlobalSet:
		p.height--
		return instr{kind: kindGlobalSet, a: a}, nil
	case wasm.OpI32Const:
		p.height++
		return instr{kind: kindConst, imm: uint64(a)}, nil
	case wasm.OpI64Const, wasm.OpF32Const, wasm.OpF64Const:
		p.height++
		return instr{kind: kindConst, imm: in.A}, nil
	case wasm.OpMemorySize:
		p.height++
		return instr{kind: kindMemorySize}, nil
	case wasm.OpMemoryGrow:
		return instr{kind: kindMemoryGrow}, nil
	case wasm.OpMemoryCopy:
		p.height -= 3
		return instr{kind: kindMemoryCopy}, nil
	case wasm.OpMemoryFill:
		p.height -= 3
		return instr{kind: kindMemoryFill}, nil
	}
	return p.operator(in)
}

// operator decodes operators, loads and stores.
func (p *preparer) operator(in *wasm.Instr) (instr, error) {
	if in.Op>>16 == 0xfe {
		return p.atomic(in), nil
	}
	op, ok := shortOp(in.Op)
	if !ok {
		return instr{}, ErrUnsupported
	}
	x := instr{op: op, imm: in.B}
	switch {
	case wasm.OpI32Load <= in.Op && in.Op <= wasm.OpI64Load32U:
		x.kind = kindLoad
	case wasm.OpI32Store <= in.Op && in.Op <= wasm.OpI64Store32:
		x.kind = kindStore
		p.height -= 2
	default:
		x.kind, x.imm = kindUnary, 0
		if params, _, _ := in.Op.Sig(); len(params) == 2 {
			x.kind = kindBinary
			p.height--
		}
	}
	return x, nil
}

// call accounts for a call of a function of type sig.
func (p *preparer) call(sig *wasm.FuncType) error {
	p.height += len(sig.Results) - len(sig.Params)
	return numeric(sig.Params, sig.Results)
}

// branch appends a branch to the label that is depth blocks out and returns
// its index. Its pc is the opener's until resolve.
func (p *preparer) branch(depth uint32) uint32 {
	o := &p.open[len(p.open)-1-int(depth)]
	p.c.branches = append(p.c.branches, branch{
		pc: uint32(o.pc), keep: uint32(o.label()), height: uint32(o.height),
	})
	return uint32(len(p.c.branches) - 1)
}

func (p *preparer) brTable(targets []uint32) instr {
	p.height--
	x := instr{kind: kindBrTable, a: uint32(len(p.c.branches)), imm: uint64(len(targets) - 1)}
	for _, depth := range targets {
		p.branch(depth)
	}
	p.top().dead = true
	return x
}

// resolve gives branches their targets, which for all but loops come after
// them.
func (p *preparer) resolve() {
	c := p.c
	for i := range c.branches {
		b := &c.branches[i]
		if int32(b.pc) < 0 {
			b.pc = uint32(len(c.instrs) - 1)
			continue
		}
		switch opener := &c.instrs[b.pc]; opener.kind {
		case kindIf:
			b.pc = uint32(opener.imm)
		case kindNop:
			b.pc = opener.a
		}
	}
}
