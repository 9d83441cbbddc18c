package kernel

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// This is a model of the protocol by which a task is asked for a safepoint:
// guest code as package instrument rewrites it, the engine's adapter, the task
// loop and two requesters, as a transition system whose every state is visited.
//
// Guest code is a program of three functions that never ends:
//
//	main:  entry check; loop { head check; acc += f(); acc += import(); n++ }
//	f:     entry check; return 1 + g()
//	g:     entry check; head check; return 1
//
// It is walked twice: with room for all frames on the engine's stack, so that a
// guest of which nothing is asked is never taken apart, and with room for two,
// so that the entry of g takes the stack apart by its depth. Checks read look (at entries and heads) and
// mode (after calls); a continuation leaves at the head of main's loop (a hop).
// The import may return, or ask for an unwind and be made again later.
//
// All counters are reset once they were compared, so the system is finite.

// Where main, f and g stand.
const (
	atEntry   = 0
	mainHead  = 1
	mainCallF = 2
	mainGotF  = 3 // after the call of f
	mainCallI = 4
	mainGotI  = 5 // after the call of the import
	fCallG    = 1
	fGotG     = 2
	fReturn   = 3
	gHead     = 1
	gReturn   = 2
)

// Where the task goroutine is.
const (
	hLock    = iota // lookAround: takes the lock
	hTake           // takes the requests
	hClear          // lowers look
	hUnlock         // gives the lock back
	hPending        // makes the pending call
	hResume         // puts the innermost frame back
	hGuest          // guest code runs
	hUnwound        // the stack is off
)

// Where a requester is.
const (
	rLock = iota
	rPost
	rRaise
	rUnlock
)

// A pframe is a frame, of function fn.
type pframe struct {
	fn, pc uint8
	n, acc uint8
	cont   bool // continued: leaves at the next head of main
}

// A pstack is up to three frames, innermost last.
type pstack struct {
	f [3]pframe
	n uint8
}

func (s *pstack) push(f pframe) { s.f[s.n] = f; s.n++ }
func (s *pstack) top() *pframe  { return &s.f[s.n-1] }
func (s *pstack) pop() pframe {
	s.n--
	f := s.f[s.n]
	s.f[s.n] = pframe{}
	return f
}

// dummy is what a function returns that was taken apart.
const dummy = 100

// A pstate is a state of the whole system.
type pstate struct {
	look, mode uint8
	lock       uint8    // 0 free, 1 the task, 2 and 3 requesters
	req        [2]bool  // posted and not looked at
	rpc        [2]uint8 // requesters

	hpc     uint8
	native  pstack // on the engine's stack
	off     pstack // records of the unwind in progress, innermost first
	recs    pstack // records, innermost last
	ret     uint8  // what the callee has returned
	result  uint8  // for the innermost record
	has     bool   // result is there
	pending bool   // an import call
	imps    uint8  // import calls made since the head of the loop
	read    uint8  // broken guests: look as it was read, plus 1
}

// A fault is a broken rule; it ends the walk.
type fault string

func (s *pstate) must(ok bool, rule string) {
	if !ok {
		panic(fault(rule))
	}
}

// A pmodel walks the states under one way to break the protocol, or "" for the
// protocol as it is.
type pmodel struct {
	broken string
	depth  uint8 // frames that the engine's stack has room for
	ids    map[pstate]int32
	states []pstate
	parent []int32
	who    []uint8
	task   [][]int32 // successors by steps of the task
}

// taskSteps are the states that the task's next step may lead to; none if it
// waits for the lock.
func (m *pmodel) taskSteps(s pstate) []pstate {
	switch s.hpc {
	case hLock:
		s.checkRecords()
		if s.lock != 0 {
			return nil
		}
		s.lock = 1
		s.hpc = hTake
	case hTake:
		for i := range s.req {
			if s.req[i] {
				s.req[i] = false
				if m.broken == "looks at one request" {
					break
				}
			}
		}
		s.hpc = hClear
		if m.broken == "lowers after the lock" {
			s.hpc = hUnlock
		}
	case hClear:
		s.look = 0
		s.hpc = hUnlock
		if m.broken == "lowers after the lock" {
			s.hpc = hPending
		}
	case hUnlock:
		s.lock = 0
		s.hpc = hPending
		if m.broken == "lowers after the lock" {
			s.hpc = hClear
		}
	case hPending:
		if s.pending {
			again := s
			again.hpc = hLock
			s.pending, s.has, s.result = false, true, 1
			s.imps++
			s.hpc = hResume
			return []pstate{s, again}
		}
		s.hpc = hResume
	case hResume:
		s.resume(m.broken == "keeps the record")
	case hGuest:
		return m.guestSteps(s)
	case hUnwound:
		if m.broken != "mode stays up" {
			s.mode = 0
		}
		for s.off.n > 0 {
			s.recs.push(s.off.pop())
		}
		s.hpc = hLock
	}
	return []pstate{s}
}

// resume puts the innermost record back on the engine's stack.
func (s *pstate) resume(keep bool) {
	s.must(s.native.n == 0 && s.mode == 0, "mode is 0 when guest code begins")
	s.must(s.recs.n > 0, "there is a frame to go on with")
	f := *s.recs.top()
	if !keep {
		s.recs.pop()
	}
	switch {
	case f.fn == 0 && f.pc == mainGotF, f.fn == 0 && f.pc == mainGotI, f.fn == 1 && f.pc == fGotG:
		s.must(s.has, "a frame at a call goes on with a result")
		f.acc += s.result
		f.pc++
		if f.fn == 0 && f.pc == mainGotI+1 {
			f.n, f.pc = f.n+1, mainHead
		}
		f.cont = f.fn == 0
	default:
		s.must(!s.has, "a result goes to a frame that waits for one")
	}
	s.has, s.result = false, 0
	s.native.push(f)
	s.hpc = hGuest
}

// checkRecords holds what is true whenever the stack is data: each frame is
// there once, each waits for the one above, the innermost for what it gets.
func (s *pstate) checkRecords() {
	r := &s.recs
	s.must(s.native.n == 0 && s.off.n == 0, "the whole stack is off")
	s.must(r.n > 0, "the outermost frame is there")
	for i := range r.n {
		f := r.f[i]
		s.must(f.fn == i, "each frame is there once, in order")
		if i+1 < r.n {
			s.must(f.fn == 0 && f.pc == mainGotF || f.fn == 1 && f.pc == fGotG, "a frame below is at a call")
			continue
		}
		s.must(s.pending == (f.fn == 0 && f.pc == mainGotI && !s.has), "a call is pending when the innermost frame waits for it")
		s.must(s.pending || s.has || f.pc == atEntry || f.pc == gHead && f.fn != 1, "the innermost frame is at a safepoint")
	}
}

// guestSteps is one step of the innermost frame.
func (m *pmodel) guestSteps(s pstate) []pstate {
	f := s.native.top()
	switch {
	case f.fn == 0 && f.pc == mainGotF, f.fn == 0 && f.pc == mainGotI, f.fn == 1 && f.pc == fGotG:
		up := s.mode
		if m.broken == "reads look after calls" {
			up = s.look
		}
		if up != 0 {
			s.save()
			break
		}
		s.must(s.ret != dummy, "only what a callee has really returned is believed")
		f.acc += s.ret
		f.pc++
		if f.fn == 0 && f.pc == mainGotI+1 {
			f.n, f.pc = f.n+1, mainHead
		}
	case f.pc == atEntry:
		s.must(s.mode == 0, "mode is 0 while guest code runs normally")
		if s.look != 0 || s.native.n > m.depth {
			s.save()
			break
		}
		f.pc++
	case f.pc == mainHead && f.fn != 1: // g's as well
		return []pstate{m.head(s)}
	case f.fn == 0 && f.pc == mainCallF:
		s.must(s.mode == 0, "mode is 0 while guest code runs normally")
		f.pc++
		s.native.push(pframe{fn: 1})
	case f.fn == 1 && f.pc == fCallG:
		s.must(s.mode == 0, "mode is 0 while guest code runs normally")
		f.pc++
		s.native.push(pframe{fn: 2})
	case f.fn == 0 && f.pc == mainCallI:
		f.pc++
		unwind := s
		unwind.pending, unwind.ret = true, dummy
		if m.broken != "an import forgets mode" {
			unwind.mode = 1
		}
		s.imps++
		s.ret = 1
		return []pstate{s, unwind}
	default: // fReturn, gReturn
		s.must(s.mode == 0, "mode is 0 while guest code runs normally")
		s.ret = 1 + f.acc
		s.native.pop()
		s.returned()
	}
	return []pstate{s}
}

// head is a check at the head of a loop. A broken guest writes look.
func (m *pmodel) head(s pstate) pstate {
	f := s.native.top()
	s.must(s.mode == 0, "mode is 0 while guest code runs normally")
	look := s.look
	if m.broken == "the guest lowers look" {
		if s.read == 0 {
			s.read = s.look + 1
			return s
		}
		look, s.read = s.read-1, 0
		s.look = 0
	}
	if f.fn == 0 {
		s.must(f.acc == 3*f.n, "each result arrives once")
		s.must(s.imps == f.n, "each import is called once")
		f.n, f.acc, s.imps = 0, 0, 0
	}
	if look != 0 || f.cont {
		f.cont = false
		s.save()
		return s
	}
	f.pc++
	return s
}

// save takes the innermost frame off and returns a dummy to its caller.
func (s *pstate) save() {
	s.mode = 1
	s.off.push(s.native.pop())
	s.ret = dummy
	s.returned()
}

// returned looks whether the engine has come back.
func (s *pstate) returned() {
	if s.native.n > 0 {
		return
	}
	if s.mode != 0 {
		s.hpc = hUnwound
	} else {
		s.has, s.result, s.hpc = true, s.ret, hResume
	}
	s.ret = 0
}

// requestStep is the next step of requester i, if it can make one.
func (m *pmodel) requestStep(s pstate, i int) (pstate, bool) {
	careless := m.broken == "raises before posting, without the lock"
	switch s.rpc[i] {
	case rLock:
		if careless {
			s.look = 1
			s.rpc[i] = rPost
			return s, true
		}
		if s.lock != 0 {
			return s, false
		}
		s.lock = uint8(2 + i)
		s.rpc[i] = rPost
	case rPost:
		s.req[i] = true
		s.rpc[i] = rRaise
		if careless {
			s.rpc[i] = rLock
		}
	case rRaise:
		if m.broken != "raises only while guest code runs" || s.hpc == hGuest {
			s.look = 1
		}
		s.rpc[i] = rUnlock
	case rUnlock:
		s.lock = 0
		s.rpc[i] = rLock
	}
	return s, true
}

// add makes a state known.
func (m *pmodel) add(s pstate, parent int32, who uint8) int32 {
	if id, ok := m.ids[s]; ok {
		return id
	}
	id := int32(len(m.states))
	m.ids[s] = id
	m.states = append(m.states, s)
	m.parent = append(m.parent, parent)
	m.who = append(m.who, who)
	return id
}

// walk visits all states. It returns the broken rule and how it was broken, or
// "".
func (m *pmodel) walk() (problem string) {
	m.ids = make(map[pstate]int32)
	var s pstate
	s.recs.push(pframe{})
	m.add(s, -1, 0)
	at := int32(0)
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(fault)
			if !ok {
				panic(r)
			}
			problem = fmt.Sprintf("broken rule: %s\n%s", f, m.trace(at))
		}
	}()
	for ; int(at) < len(m.states); at++ {
		s := m.states[at]
		var next []int32
		for _, n := range m.taskSteps(s) {
			next = append(next, m.add(n, at, 1))
		}
		m.task = append(m.task, next)
		for i := range s.req {
			if n, ok := m.requestStep(s, i); ok { // the task moves or not: both are walked
				m.add(n, at, uint8(2+i))
			}
		}
	}
	for i := range 2 {
		if id := m.lost(i); id >= 0 {
			return fmt.Sprintf("broken rule: a request is looked at after it was made (of requester %d)\n%s", i, m.trace(id))
		}
	}
	return ""
}

// lost finds a state from which the task, left alone, can go on for ever
// without looking at a request that was made: a cycle of its steps. A task that
// waits for a requester's lock is not left alone.
func (m *pmodel) lost(i int) int32 {
	const open, done = 1, 2
	color := make([]uint8, len(m.states))
	made := func(id int32) bool {
		s := &m.states[id]
		return s.req[i] && s.rpc[i] != rRaise
	}
	type visit struct {
		id   int32
		next int
	}
	for id := range m.states {
		if color[id] != 0 || !made(int32(id)) {
			continue
		}
		stack := []visit{{int32(id), 0}}
		color[id] = open
		for len(stack) > 0 {
			v := &stack[len(stack)-1]
			if v.next == len(m.task[v.id]) {
				color[v.id] = done
				stack = stack[:len(stack)-1]
				continue
			}
			n := m.task[v.id][v.next]
			v.next++
			switch {
			case !made(n):
			case color[n] == open:
				return n
			case color[n] == 0:
				color[n] = open
				stack = append(stack, visit{n, 0})
			}
		}
	}
	return -1
}

// trace tells how a state is reached.
func (m *pmodel) trace(id int32) string {
	var lines []string
	for ; id >= 0; id = m.parent[id] {
		s := &m.states[id]
		who := [...]string{"start", "task", "A", "B"}[m.who[id]]
		lines = append(lines, fmt.Sprintf("  %-5s look %d mode %d lock %d asked %v at %v task at %d: native %v off %v records %v ret %d result %d/%v pending %v",
			who, s.look, s.mode, s.lock, s.req, s.rpc, s.hpc,
			s.native.f[:s.native.n], s.off.f[:s.off.n], s.recs.f[:s.recs.n], s.ret, s.result, s.has, s.pending))
	}
	slices.Reverse(lines)
	return strings.Join(lines, "\n")
}

// The protocol as it is keeps all rules in every interleaving.
func TestProtocol(t *testing.T) {
	reached := make(map[string]bool)
	for _, depth := range []uint8{2, 3} {
		m := &pmodel{depth: depth}
		if p := m.walk(); p != "" {
			t.Fatal(p)
		}
		t.Logf("%d frames: %d states", depth, len(m.states))
		m.reach(reached)
	}
	// The model is worth something only if it goes everywhere.
	for _, want := range []string{"0.0", "0.1", "0.2", "0.3", "0.4", "0.5", "1.0", "1.1", "1.2", "1.3", "2.0", "2.1", "2.2",
		"a real result while a request waits", "an unwind that nobody asked for", "both requests at once"} {
		if !reached[want] {
			t.Errorf("the model never comes to %s", want)
		}
	}
}

// reach notes where the model came by.
func (m *pmodel) reach(to map[string]bool) {
	for _, s := range m.states {
		if s.hpc == hTake && s.req == [2]bool{true, true} {
			to["both requests at once"] = true
		}
		if s.hpc != hGuest {
			continue
		}
		f := s.native.f[s.native.n-1]
		to[fmt.Sprintf("%d.%d", f.fn, f.pc)] = true
		if s.mode == 0 && s.ret != 0 && s.look != 0 && f.fn == 0 && f.pc == mainGotF {
			to["a real result while a request waits"] = true
		}
		if s.off.n > 0 && s.look == 0 {
			to["an unwind that nobody asked for"] = true
		}
	}
}

// Each of these breaks a rule, and the walk finds it.
func TestProtocolBroken(t *testing.T) {
	for _, c := range []struct{ broken, rule string }{
		{"lowers after the lock", "looked at after it was made"},
		{"looks at one request", "looked at after it was made"},
		{"the guest lowers look", "looked at after it was made"},
		{"raises before posting, without the lock", "looked at after it was made"},
		{"raises only while guest code runs", "looked at after it was made"},
		{"reads look after calls", ""},
		{"mode stays up", "mode is 0 when guest code begins"},
		{"an import forgets mode", "only what a callee has really returned is believed"},
		{"keeps the record", ""},
	} {
		found := ""
		for _, depth := range []uint8{2, 3} {
			m := &pmodel{broken: c.broken, depth: depth}
			p := m.walk()
			rule, _, _ := strings.Cut(p, "\n")
			t.Logf("%s: %d frames: %s (%d states)", c.broken, depth, rule, len(m.states))
			if strings.Contains(rule, c.rule) {
				found += rule
			}
		}
		if found == "" {
			t.Errorf("%s: not found", c.broken)
		}
	}
}
