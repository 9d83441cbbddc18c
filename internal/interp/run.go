package interp

import "fmt"

// A Frame is an activation of a function. Values are one word each: i32 and
// f32 are in the low half, and the upper half is zero.
type Frame struct {
	PC     int      // ordinal of the next instruction; block, loop, else and end count
	Locals []uint64 // parameters and locals
	Stack  []uint64 // the whole operand stack, bottom first
}

// Env is the state of an instance that functions share. Run calls it on its
// own goroutine.
type Env interface {
	// Memory returns the memory as it is now, or nil without one. Run asks
	// when it begins and after Grow, and where a shared one may have grown.
	Memory() []byte

	// Grow is memory.grow. If it is not ok the memory is as before.
	Grow(pages uint32) (old uint32, ok bool)

	// Global and SetGlobal get at a global of the module's index space.
	Global(i uint32) uint64
	SetGlobal(i uint32, v uint64)
}

// A Kind says why Run returned.
type Kind uint8

// Kinds of events.
const (
	// Return: the function is over. The stack holds its results and nothing
	// else.
	Return Kind = iota

	// Call and CallIndirect: the frame is before such an instruction, whose
	// operands are on the stack. To go on after the call, replace them by the
	// results and add 1 to PC.
	Call
	CallIndirect

	// Loop: the frame is before a loop instruction, whose parameters are on
	// the stack: it fell into it, or branched to its label.
	Loop

	// Bulk: the frame is before a memory.copy or memory.fill that touches
	// more than BulkSize bytes, does not trap, and whose operands are on the
	// stack. To go on after it, drop the three of them and add 1 to PC.
	Bulk

	// Trap: the frame is before an instruction that traps. Event.Trap says
	// why.
	Trap

	// Wait: the frame is before a memory.atomic.wait32, wait64 or notify, whose
	// operands are on the stack and not checked. To go on after it, replace them
	// by the result and add 1 to PC.
	Wait
)

// String returns k's name.
func (k Kind) String() string {
	names := [...]string{"return", "call", "call_indirect", "loop", "bulk", "trap", "wait"}
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// An Event is why Run returned.
type Event struct {
	Kind Kind
	Trap string // Trap: in wazero's words
}

// BulkSize is how many bytes a memory.copy or memory.fill may touch and still
// be run here; more is left to the user, who can do it in slices and look for
// stops between them.
const BulkSize = 64 << 10

// pageSize is the unit of memory.size and memory.grow.
const pageSize = 64 << 10

// Run runs f from its PC on until there is an Event, and returns it with the
// number of instructions that were run: at most Len, since the way back to a
// loop is an Event. A loop instruction that Run begins at is entered and not
// reported. It allocates nothing but room for f.Stack.
//
// Run panics if f is not a frame of c: PC, the number of locals and the height
// of the stack have to fit together. It cannot check the values' types.
func (c *Code) Run(f *Frame, env Env) (Event, int) {
	c.check(f)
	stack := f.Stack
	sp := len(stack)
	if cap(stack) < c.maxStack {
		stack = append(make([]uint64, 0, c.maxStack), stack...)
	}
	stack = stack[:c.maxStack]

	var mem []byte
	if c.memory {
		mem = env.Memory()
	}
	locals, pc, n := f.Locals, f.PC, 0
	if c.instrs[pc].kind == kindLoop {
		pc++
		n++
	}
	var ev Event
loop:
	for {
		x := &c.instrs[pc]
		switch x.kind {
		case kindNop:
		case kindLoop:
			ev.Kind = Loop
			break loop
		case kindIf:
			sp--
			if uint32(stack[sp]) == 0 {
				n++
				pc = int(x.a)
				continue
			}
		case kindElse:
			n++
			pc = int(x.a)
			continue
		case kindReturn:
			n++
			copy(stack, stack[sp-c.results:sp])
			sp = c.results
			break loop
		case kindBr:
			n++
			pc, sp = c.branches[x.a].take(stack, sp)
			continue
		case kindBrIf:
			sp--
			if uint32(stack[sp]) != 0 {
				n++
				pc, sp = c.branches[x.a].take(stack, sp)
				continue
			}
		case kindBrTable:
			n++
			sp--
			i := min(uint64(uint32(stack[sp])), x.imm)
			pc, sp = c.branches[uint64(x.a)+i].take(stack, sp)
			continue
		case kindCall:
			ev.Kind = Call
			break loop
		case kindCallIndirect:
			ev.Kind = CallIndirect
			break loop
		case kindUnreachable:
			ev = Event{Trap, trapUnreachable}
			break loop

		case kindDrop:
			sp--
		case kindSelect:
			sp -= 2
			if uint32(stack[sp+1]) == 0 {
				stack[sp-1] = stack[sp]
			}
		case kindLocalGet:
			stack[sp] = locals[x.a]
			sp++
		case kindLocalSet:
			sp--
			locals[x.a] = stack[sp]
		case kindLocalTee:
			locals[x.a] = stack[sp-1]
		case kindGlobalGet:
			stack[sp] = env.Global(x.a)
			sp++
		case kindGlobalSet:
			sp--
			env.SetGlobal(x.a, stack[sp])
		case kindConst:
			stack[sp] = x.imm
			sp++

		case kindLoad:
			v, ok := load(x.op, mem, uint64(uint32(stack[sp-1]))+x.imm)
			if !ok {
				if c.grown(&mem, env) {
					continue
				}
				ev = Event{Trap, trapMemory}
				break loop
			}
			stack[sp-1] = v
		case kindStore:
			if !store(x.op, mem, uint64(uint32(stack[sp-2]))+x.imm, stack[sp-1]) {
				if c.grown(&mem, env) {
					continue
				}
				ev = Event{Trap, trapMemory}
				break loop
			}
			sp -= 2
		case kindMemorySize:
			c.grown(&mem, env)
			stack[sp] = uint64(len(mem) / pageSize)
			sp++
		case kindMemoryGrow:
			old, ok := env.Grow(uint32(stack[sp-1]))
			if !ok {
				old = ^uint32(0)
			}
			stack[sp-1] = uint64(old)
			mem = env.Memory()
		case kindMemoryCopy, kindMemoryFill:
			var done bool
			if ev, done = bulk(x.kind, mem, stack[sp-3:sp]); !done {
				if ev.Kind == Trap && c.grown(&mem, env) {
					continue
				}
				break loop
			}
			sp -= 3
		case kindAtomic:
			at, a, b := sp-int(x.a), uint64(0), uint64(0)
			if x.a > 1 {
				a = stack[at+1]
			}
			if x.a > 2 {
				b = stack[at+2]
			}
			v, trap := access(x.op, mem, uint64(uint32(stack[at]))+x.imm, a, b)
			if trap != "" {
				if trap == trapMemory && c.grown(&mem, env) {
					continue
				}
				ev = Event{Trap, trap}
				break loop
			}
			sp = at
			if group, _ := splitAtomic(x.op); group != atomicStore {
				stack[sp] = v
				sp++
			}
		case kindWait:
			ev.Kind = Wait
			break loop

		case kindUnary:
			v, trap := apply1(x.op, stack[sp-1])
			if trap != "" {
				ev = Event{Trap, trap}
				break loop
			}
			stack[sp-1] = v
		case kindBinary:
			v, trap := apply2(x.op, stack[sp-2], stack[sp-1])
			if trap != "" {
				ev = Event{Trap, trap}
				break loop
			}
			sp--
			stack[sp-1] = v
		default:
			panic(fmt.Sprintf("interp: instruction %d is unreachable and was reached", pc))
		}
		n++
		pc++
	}
	f.PC, f.Stack = pc, stack[:sp]
	return ev, n
}

// grown has mem be as long as the memory is now, if other threads may have grown
// it, and reports whether they have.
func (c *Code) grown(mem *[]byte, env Env) bool {
	was := len(*mem)
	if c.shared {
		*mem = env.Memory()
	}
	return len(*mem) > was
}

// check panics if f is not a frame of c.
func (c *Code) check(f *Frame) {
	height, ok := c.Height(f.PC)
	switch {
	case !ok:
		panic(fmt.Sprintf("interp: frame at instruction %d of %d, which cannot be reached", f.PC, len(c.instrs)))
	case len(f.Locals) != c.locals:
		panic(fmt.Sprintf("interp: frame with %d locals, want %d", len(f.Locals), c.locals))
	case len(f.Stack) != height:
		panic(fmt.Sprintf("interp: frame at instruction %d with %d operands, want %d", f.PC, len(f.Stack), height))
	}
}

// take moves what the branch carries and returns where it leads.
func (b *branch) take(stack []uint64, sp int) (pc, newSP int) {
	keep, height := int(b.keep), int(b.height)
	if keep > 0 {
		copy(stack[height:height+keep], stack[sp-keep:sp])
	}
	return int(b.pc), height + keep
}
