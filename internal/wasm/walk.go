package wasm

import "slices"

// State is what is known before an instruction. The slices are valid until
// visit returns.
type State struct {
	Locals []ValType // parameters and locals
	Stack  []ValType // the whole operand stack, bottom first (values below the current block's entry included)
	Ctrls  []Ctrl    // open blocks, outermost (the function) first

	unset []bool // locals that nothing has been stored in and that have no default; nil if all have one
}

// A Ctrl is an open block.
type Ctrl struct {
	Op              Opcode // OpBlock, OpLoop, OpIf, OpElse, OpTryTable, OpTry, OpCatch, OpCatchAll; 0 for the function body
	Params, Results []ValType
	Height          int  // operand stack height below the block's params
	Unreachable     bool // the rest of the block is not reached
	Dead            bool // none of the block is reached: it stands in code that is not

	set int // length of Walker.set where the block begins
}

// Label returns what a branch to the block takes along.
func (c *Ctrl) Label() []ValType {
	if c.Op == OpLoop {
		return c.Params
	}
	return c.Results
}

// Unreachable reports whether the instruction cannot be reached. Operands
// that it takes from below the block's height are then not on the stack, and
// others may be Unknown.
func (s *State) Unreachable() bool { return s.Ctrls[len(s.Ctrls)-1].Unreachable }

// Dead reports whether nothing leads to the instruction. To the rules of
// validation, a block opened in unreachable code counts as reachable; here it
// does not.
func (s *State) Dead() bool {
	c := &s.Ctrls[len(s.Ctrls)-1]
	return c.Unreachable || c.Dead
}

// LocalIsSet reports whether local i can be read: a local whose type has no
// default has to be stored to first.
func (s *State) LocalIsSet(i int) bool { return s.unset == nil || !s.unset[i] }

// A Walker walks through the function bodies of one module. It keeps its
// memory from one body to the next. A Walker is for one goroutine; Fork makes
// more that share what they know about the module.
type Walker struct {
	env *env
	r   Reader
	in  Instr
	s   State

	height      int  // Height of the innermost block
	unreachable bool // Unreachable of the innermost block

	result []ValType             // what the function returns
	set    []uint32              // locals that were in s.unset and are not any more, in order
	short  map[ValType][]ValType // lists of one type that oneTypes does not have
	unset  []bool                // memory of s.unset
}

// NewWalker returns a Walker of m's functions. m must not change while it is
// in use.
func NewWalker(m *Module) *Walker { return &Walker{env: newEnv(m)} }

// Fork returns a Walker of the same module for another goroutine.
func (w *Walker) Fork() *Walker { return &Walker{env: w.env} }

// Walk validates body number defined of m.Code and calls visit for every
// instruction, in order and before it takes effect. It is for one function;
// a Walker is faster for many.
func Walk(m *Module, defined int, visit func(in *Instr, s *State) error) error {
	return NewWalker(m).Walk(defined, visit)
}

// Walk validates body number defined of the module's Code and calls visit for
// every instruction, in order and before it takes effect. An error of visit
// ends the walk and is returned as it is.
//
// The operands that an instruction takes are checked after visit has seen it,
// so in a body that is not valid they may be missing from the stack. Visits
// that rely on them need a module that passed Validate. A nil visit validates
// only.
func (w *Walker) Walk(defined int, visit func(in *Instr, s *State) error) error {
	code := &w.env.m.Code[defined]
	if err := w.begin(defined); err != nil {
		return w.located(err, defined, code.Offset)
	}
	for len(w.s.Ctrls) > 0 {
		if !w.r.next(&w.in) {
			return w.located(w.r.c.err, defined, code.Offset)
		}
		if visit != nil {
			if err := visit(&w.in, &w.s); err != nil {
				return err
			}
		}
		if err := w.step(&w.in); err != nil {
			return w.located(err, defined, code.Offset)
		}
	}
	if w.r.c.left() > 0 {
		return w.located(errorAt(w.r.c.pos, "%d bytes after the end", w.r.c.left()), defined, code.Offset)
	}
	return nil
}

// located puts the function before err's text. base is where the body is in
// the file, or 0 for a body that was not decoded.
func (w *Walker) located(err *Error, defined, base int) error {
	idx := defined + len(w.env.spaces.Funcs) - len(w.env.m.Funcs)
	e := err.in(base, "function %d", idx)
	if base == 0 {
		e.Offset = -1
	}
	return e
}

// begin sets up w for a body.
func (w *Walker) begin(defined int) *Error {
	m := w.env.m
	code := &m.Code[defined]
	t, ok := lookUpType(m.Types, m.Funcs, uint32(defined))
	if !ok {
		return errorAt(0, "unknown type")
	}
	w.r.Reset(code.Body)
	w.result = t.Results
	w.set = w.set[:0]
	if err := w.beginLocals(t.Params, code.Locals); err != nil {
		return err
	}
	w.s.Stack = w.s.Stack[:0]
	w.s.Ctrls = append(w.s.Ctrls[:0], Ctrl{Results: t.Results})
	w.height, w.unreachable = 0, false
	return nil
}

// beginLocals fills s.Locals and s.unset.
func (w *Walker) beginLocals(params []ValType, runs []LocalRun) *Error {
	locals := append(w.s.Locals[:0], params...)
	defaults := true
	for i, run := range runs {
		if uint64(run.N)+uint64(len(locals)) > maxLocals+maxParams {
			return errorAt(0, "too many locals")
		}
		if !w.env.typeExists(run.Type) {
			return errorAt(0, "local run %d: unknown type in %v", i, run.Type)
		}
		defaults = defaults && run.Type.HasDefault()
		for range run.N {
			locals = append(locals, run.Type)
		}
	}
	w.s.Locals, w.s.unset = locals, nil
	if defaults {
		return nil
	}
	w.unset = slices.Grow(w.unset[:0], len(locals))[:len(locals)]
	for i, t := range locals {
		w.unset[i] = i >= len(params) && !t.HasDefault()
	}
	w.s.unset = w.unset
	return nil
}

// blockSig is Module.BlockSig with a check of the index, and without new
// memory for the types it has seen before.
func (w *Walker) blockSig(in *Instr) (params, results []ValType, err *Error) {
	bt := in.Block
	switch {
	case bt.Index >= 0 && int(bt.Index) < len(w.env.types):
		t := &w.env.types[bt.Index]
		return t.Params, t.Results, nil
	case bt.Index >= 0:
		return nil, nil, errorAt(in.Pos, "%v: unknown type %d", in.Op, bt.Index)
	case !bt.Result.hasHeap():
		return nil, bt.short(), nil
	case !w.env.typeExists(bt.Result):
		return nil, nil, errorAt(in.Pos, "%v: unknown type %v", in.Op, bt.Result.Heap())
	}
	list, ok := w.short[bt.Result]
	if !ok {
		if w.short == nil {
			w.short = make(map[ValType][]ValType)
		}
		list = []ValType{bt.Result}
		w.short[bt.Result] = list
	}
	return nil, list, nil
}
