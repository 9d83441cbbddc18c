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
// hold.
type rule struct {
	nr    uintptr
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

// maxCall is above all numbers that we know.
const maxCall = 512

// actions says for each number what to do.
type actions [maxCall]action

func newActions(otherwise uint32) *actions {
	a := new(actions)
	for nr := range a {
		a[nr].verdict = otherwise
	}
	return a
}

func (a *actions) set(verdict uint32, numbers ...uintptr) {
	for _, nr := range numbers {
		a[nr] = action{verdict: verdict}
	}
}

// filter makes the program for a policy and the process that has this pid.
func filter(p *Policy, pid int) []unix.SockFilter {
	a := newActions(refuse)
	a.set(kill, hostile...)
	a.set(kill, hostileHere...)
	a.set(nosys, unix.SYS_CLONE3) // its flags are out of a filter's sight; clone is used then
	for _, g := range groups(p, pid) {
		a.set(allow, g.plain...)
		for i := range g.checked {
			a[g.checked[i].nr].rule = &g.checked[i]
		}
	}
	return compile(a, refuse)
}

// A span is a run of numbers with the same action.
type span struct {
	from   uint32
	action action
}

// compile makes a filter: the architecture, then a binary search for the number.
// Numbers past the last that we know get the verdict otherwise.
func compile(a *actions, otherwise uint32) []unix.SockFilter {
	spans := make([]span, 0, maxCall)
	add := func(from uint32, act action) {
		if n := len(spans); n == 0 || spans[n-1].action != act {
			spans = append(spans, span{from, act})
		}
	}
	for nr, act := range a {
		add(uint32(nr), act)
	}
	add(maxCall, action{verdict: otherwise})
	if x32Bit != 0 {
		add(x32Bit, action{verdict: kill})
	}
	prog := append(make([]unix.SockFilter, 0, 1024),
		load(dataArch),
		jump(unix.BPF_JEQ, auditArch, 1, 0),
		ret(kill),
		load(dataNr))
	return search(prog, spans)
}

// search appends to prog what finds a number's span.
func search(prog []unix.SockFilter, spans []span) []unix.SockFilter {
	if len(spans) == 1 {
		return spans[0].action.program(prog)
	}
	half := len(spans) / 2
	at := len(prog)
	prog = search(append(prog, unix.SockFilter{}), spans[:half])
	low := len(prog) - at - 1
	if low <= 255 {
		prog[at] = jump(unix.BPF_JGE, spans[half].from, uint8(low), 0)
	} else { // farther than a conditional jump goes
		prog[at] = jump(unix.BPF_JGE, spans[half].from, 0, 1)
		prog = slices.Insert(prog, at+1, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JA, K: uint32(low)})
	}
	return search(prog, spans[half:])
}

func (a action) program(prog []unix.SockFilter) []unix.SockFilter {
	if a.rule == nil {
		return append(prog, ret(a.verdict))
	}
	for _, conds := range a.rule.anyOf {
		begin := len(prog)
		for _, c := range conds {
			prog = append(prog, load(c.of))
			if c.mask != 0 {
				prog = append(prog, unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: c.mask})
			}
			for i, v := range c.is {
				last := len(c.is) - 1
				prog = append(prog, jump(unix.BPF_JEQ, v, uint8(last-i), 0))
				if i == last { // to the next alternative: not known yet
					prog[len(prog)-1].Jf = 255
				}
			}
		}
		prog = append(prog, ret(allow))
		for i := begin; i < len(prog); i++ {
			if in := &prog[i]; in.Code == unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K && in.Jf == 255 {
				in.Jf = uint8(len(prog) - 1 - i)
			}
		}
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
