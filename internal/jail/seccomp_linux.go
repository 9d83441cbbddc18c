package jail

import (
	"fmt"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data, little-endian.
const (
	dataNr   = 0
	dataArch = 4
	dataArgs = 16
)

// arg is the offset of the low half of a system call's argument, which is all
// that the kernel looks at where the argument is an int or a set of flags below
// 1<<32; argHigh that of the high half.
func arg(i int) uint32     { return uint32(dataArgs + 8*i) }
func argHigh(i int) uint32 { return arg(i) + 4 }

// A cond holds if the word at offset of, and mask if that is not 0, is one of
// is.
type cond struct {
	of   uint32
	mask uint32
	is   []uint32
}

// A rule allows a system call if all conditions of one of the alternatives
// hold. No alternatives allow it always.
type rule struct {
	anyOf [][]cond
}

// An action is what a filter does with a system call: a rule, or a verdict.
type action struct {
	rule    *rule
	verdict uint32
}

// Verdicts. A system call that no honest run makes and that has no other use
// than to break out ends the process; one we merely do not know is an error, since a
// library may try it and do without.
const (
	allow  = unix.SECCOMP_RET_ALLOW
	refuse = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	nosys  = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	kill   = unix.SECCOMP_RET_KILL_PROCESS
)

// filter makes the program for a policy and the process that has this pid.
func filter(p *Policy, pid int) []unix.SockFilter {
	actions := make(map[uint32]action)
	for _, nr := range hostile {
		actions[uint32(nr)] = action{verdict: kill}
	}
	actions[unix.SYS_CLONE3] = action{verdict: nosys} // its flags are out of a filter's sight; clone is used then
	for _, g := range groups(p, pid) {
		for _, nr := range g.plain {
			actions[uint32(nr)] = action{verdict: allow}
		}
		for nr, r := range g.checked {
			actions[uint32(nr)] = action{rule: &r}
		}
	}
	return compile(actions, refuse)
}

// A span is a run of numbers with the same action.
type span struct {
	from   uint32
	action action
}

// compile makes a filter: the architecture, then a binary search for the number.
// Numbers without an action get the verdict otherwise.
func compile(actions map[uint32]action, otherwise uint32) []unix.SockFilter {
	var numbers []uint32
	for nr := range actions {
		numbers = append(numbers, nr)
	}
	slices.Sort(numbers)
	spans := []span{{0, action{verdict: otherwise}}}
	add := func(from uint32, a action) {
		last := &spans[len(spans)-1]
		switch {
		case last.from == from:
			last.action = a
		case last.action != a:
			spans = append(spans, span{from, a})
		}
	}
	for _, nr := range numbers {
		add(nr, actions[nr])
		add(nr+1, action{verdict: otherwise})
	}
	if x32Bit != 0 {
		add(x32Bit, action{verdict: kill})
	}
	prog := []unix.SockFilter{
		load(dataArch),
		jump(unix.BPF_JEQ, auditArch, 1, 0),
		ret(kill),
		load(dataNr),
	}
	return append(prog, search(spans)...)
}

func search(spans []span) []unix.SockFilter {
	if len(spans) == 1 {
		return spans[0].action.program()
	}
	half := len(spans) / 2
	low, high := search(spans[:half]), search(spans[half:])
	// Conditional jumps reach 255 instructions only.
	prog := []unix.SockFilter{
		jump(unix.BPF_JGE, spans[half].from, 0, 1),
		{Code: unix.BPF_JMP | unix.BPF_JA, K: uint32(len(low))},
	}
	return append(append(prog, low...), high...)
}

func (a action) program() []unix.SockFilter {
	if a.rule == nil {
		return []unix.SockFilter{ret(a.verdict)}
	}
	if len(a.rule.anyOf) == 0 {
		return []unix.SockFilter{ret(allow)}
	}
	var prog []unix.SockFilter
	for _, conds := range a.rule.anyOf {
		// Backwards, so that each condition knows how far the next alternative is.
		alt := []unix.SockFilter{ret(allow)}
		for _, c := range slices.Backward(conds) {
			test := []unix.SockFilter{load(c.of)}
			if c.mask != 0 {
				test = append(test, unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: c.mask})
			}
			for i, v := range c.is {
				rest := uint8(len(c.is) - 1 - i)
				if rest > 0 {
					test = append(test, jump(unix.BPF_JEQ, v, rest, 0))
				} else {
					test = append(test, jump(unix.BPF_JEQ, v, 0, uint8(len(alt))))
				}
			}
			alt = append(test, alt...)
		}
		prog = append(prog, alt...)
	}
	return append(prog, ret(refuse))
}

func load(of uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: of}
}

func jump(op uint16, k uint32, yes, no uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | op | unix.BPF_K, Jt: yes, Jf: no, K: k}
}

func ret(verdict uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: verdict}
}

// installFilter puts all threads under a filter.
func installFilter(prog []unix.SockFilter) error {
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	r, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&fprog)))
	if errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	if r != 0 {
		return fmt.Errorf("seccomp: thread %d has another filter", r)
	}
	return nil
}
