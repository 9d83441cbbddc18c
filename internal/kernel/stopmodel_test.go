package kernel

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stasis-run/stasis/internal/engine/enginetest"
)

// This is a model of what keeps a task from running, as a transition system whose every
// state is visited: the task loop (lookAround), two holders of external stops, somebody
// who sends SIGSTOP and SIGCONT without the task set's lock, the child that ends a
// vfork's stop, and somebody who kills. A call that waits for long is parked. It is not about how guest code is left
// (protocol_test.go): the request flag is seen at the next safepoint.
//
// The task goes round: guest code; vfork, which puts the stop on itself; a call that
// waits for a sibling's end, as exec does.

// Where the task is.
const (
	mGuest = iota
	mLock  // lookAround: takes the lock
	mTake  // lowers the flag, looks whether it must go
	mHeld  // looks for stops
	mStand // waits for the token
	mBlock // in a call that waits
	mRest  // its waits are registered, to be parked: takes the lock
	mLast  // looks whether something has come up
	mPark  // has no goroutine
	mGone
)

// An mstate is a state of the whole system.
type mstate struct {
	pc    uint8
	lock  uint8 // 0 free, 1 the task, 2 and on the others
	asked bool
	token bool // it was signalled
	exit  bool
	stops uint8
	vfork bool  // the stop is on
	group bool  // stopped by a signal
	told  bool  // the parent knows of that
	ready bool  // what the call waits for has happened
	rests bool  // its state says that it is parked
	stood bool  // its state says that it stands
	tells uint8 // since the last SIGSTOP or SIGCONT took effect

	at [5]uint8 // the others: two holders, the sender of signals, the child, the killer
}

type mmodel struct {
	broken string
	ids    map[mstate]int32
	states []mstate
	parent []int32
}

func (s *mstate) must(ok bool, rule string) {
	if !ok {
		panic(fault(rule))
	}
}

func (s *mstate) held() bool { return s.stops > 0 || s.vfork || s.group }

// signal is token.Signal, and raise Task.interrupt.
func (m *mmodel) signal(s *mstate) {
	if m.broken != "a signal to nobody is lost" || s.pc == mStand {
		s.token = true
	}
}

func (m *mmodel) raise(s *mstate) {
	s.asked = true
	if s.pc == mBlock || s.pc == mPark {
		s.pc = mLock
	}
}

// wake has happen what a call waits for.
func (s *mstate) wake() {
	s.ready = true
	if s.pc == mPark {
		s.pc = mLock
	}
}

// stop is a stop by a signal; stops are numbered, so that a new one was not told.
func (m *mmodel) stop(s *mstate) {
	s.group, s.tells = true, 0
	if m.broken != "what was told is forgotten late" {
		s.told = false
	}
}

// tell has the parent know of a group stop, once the task stands.
func (m *mmodel) tell(s *mstate) {
	if s.group && !s.told {
		s.told = true
		s.tells++
		s.must(s.tells <= 1, "a stop is told once")
	}
}

// task is what the task can do next.
func (m *mmodel) task(s mstate) (out []mstate) {
	switch s.pc {
	case mGuest:
		s.must(!s.vfork, "a task whose thread is lent does not run")
		if s.asked {
			s.pc = mLock
			return []mstate{s}
		}
		if s.at[3] == 0 {
			v := s // vfork: the stop is its own, nothing is raised
			v.vfork, v.at[3], v.pc = true, 1, mLock
			b := s
			b.pc, b.ready = mBlock, false
			out = append(out, v, b)
		}
		return append(out, s)
	case mLock:
		if s.lock != 0 {
			return nil
		}
		s.lock, s.pc = 1, mTake
	case mTake:
		if s.exit {
			s.pc, s.lock = mGone, 0
			return []mstate{s}
		}
		s.pc = mHeld
		if m.broken != "lowers after looking" {
			s.asked = false
		}
	case mHeld:
		held := s.held()
		switch m.broken {
		case "looks at external stops alone":
			held = s.stops > 0
		case "looks at internal stops alone":
			held = s.vfork || s.group
		}
		if m.broken == "lowers after looking" {
			s.asked = false
		}
		s.lock, s.pc, s.rests, s.stood = 0, mGuest, false, held
		if held {
			s.pc = mStand
			m.tell(&s)
		}
	case mStand:
		if !s.token {
			return nil
		}
		s.token, s.pc = false, mLock
	case mBlock:
		if !s.ready { // when it has waited for long
			s.pc = mRest
			return []mstate{s}
		}
		s.ready, s.pc = false, mGuest
	case mRest:
		if s.lock != 0 {
			return nil
		}
		s.lock, s.pc = 1, mLast
	case mLast:
		s.lock = 0
		stays := s.ready && m.broken != "a wake-up before it rests is lost" ||
			(s.asked || s.exit) && m.broken != "rests without looking"
		if s.pc, s.rests = mPark, true; stays {
			s.pc, s.rests = mLock, false
		}
	case mPark, mGone:
		return nil
	}
	return []mstate{s}
}

// locked runs f as one of the others, under the lock.
func (s *mstate) locked(next uint8, i int, f func()) bool {
	if s.lock != 0 {
		return false
	}
	f()
	s.at[i] = next
	return true
}

// other is the next step of the others; false if it waits.
func (m *mmodel) other(s mstate, i int) (mstate, bool) {
	switch i {
	case 0, 1: // BeginExternalStop and End
		if s.at[i] == 0 {
			ok := s.locked(1, i, func() {
				s.stops++
				if s.rests || s.stood {
					return
				}
				if m.broken != "begins without asking" {
					m.raise(&s)
				}
				m.signal(&s)
			})
			return s, ok
		}
		ok := s.locked(0, i, func() {
			s.must(s.stops > 0, "external stops do not fall below zero")
			s.stops--
			if m.broken == "ends all" {
				s.stops = 0
			}
			if s.stops == 0 && m.broken != "ends without a signal" {
				m.signal(&s)
			}
		})
		return s, ok
	case 2: // SIGSTOP and SIGCONT, by whoever; the lock is for telling the parent
		switch s.at[i] {
		case 0:
			m.stop(&s)
			s.at[i] = 1
		case 1:
			m.raise(&s)
			m.signal(&s)
			s.at[i] = 2
		case 2:
			s.group, s.at[i] = false, 3
		case 3:
			m.raise(&s)
			if m.broken != "SIGCONT wakes nobody" {
				m.signal(&s)
			}
			s.at[i] = 4
		case 4: // before the parent is told, another SIGSTOP may come
			m.stop(&s)
			s.at[i] = 5
		case 5:
			m.raise(&s)
			m.signal(&s)
			s.at[i] = 6
		case 6:
			ok := s.locked(2, i, func() {
				if m.broken == "SIGCONT forgets that the next stop was told" || m.broken == "what was told is forgotten late" {
					s.told = false
				}
				if m.broken == "SIGCONT forgets that the next stop was told" && s.pc == mStand {
					m.tell(&s)
				}
			})
			return s, ok
		}
		return s, true
	case 5: // no other SIGSTOP comes
		if s.at[2] != 4 {
			return s, false
		}
		return s, s.locked(0, 2, func() {})
	case 3: // the child of a vfork
		if s.at[i] == 0 {
			return s, false
		}
		ok := s.locked(0, i, func() {
			s.must(s.vfork || s.exit, "an internal stop is ended once")
			s.vfork = false
			if m.broken != "the child's end wakes nobody" {
				m.signal(&s)
			}
		})
		return s, ok
	case 4: // SIGKILL
		if s.at[i] == 0 {
			s.exit, s.at[i] = true, 1
			m.raise(&s)
			if m.broken != "SIGKILL wakes nobody" {
				m.signal(&s)
			}
			return s, true
		}
	}
	return s, false
}

func (m *mmodel) add(s mstate, parent int32) int32 {
	if id, ok := m.ids[s]; ok {
		return id
	}
	id := int32(len(m.states))
	m.ids[s], m.states, m.parent = id, append(m.states, s), append(m.parent, parent)
	return id
}

// walk visits all states and returns the rule that is broken, and how, or "".
func (m *mmodel) walk() (problem string) {
	m.ids = make(map[mstate]int32)
	m.add(mstate{pc: mLock}, -1)
	at := int32(0)
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(fault)
			if !ok {
				panic(r)
			}
			problem = fmt.Sprintf("%s\n%s", f, m.trace(at))
		}
	}()
	for ; int(at) < len(m.states); at++ {
		s := m.states[at]
		m.quiet(s)
		for _, n := range m.task(s) {
			m.add(n, at)
		}
		if s.pc >= mBlock && s.pc <= mPark && !s.ready { // the sibling goes
			n := s
			n.wake()
			m.add(n, at)
		}
		for i := range len(s.at) + 1 {
			if n, ok := m.other(s, i); ok {
				m.add(n, at)
			}
		}
	}
	return ""
}

// quiet holds what is true when the task cannot go on by itself and nobody is in the
// midst of something: it stands for a reason, and the reason is known.
func (m *mmodel) quiet(s mstate) {
	sender := s.at[2] == 0 || s.at[2] == 2 // idle, or the process is stopped
	if !sender || s.lock != 0 {
		return
	}
	if s.pc == mStand && !s.token {
		s.must(s.held(), "a task that nothing holds runs")
		s.must(!s.exit, "a task that was killed goes")
		s.must(!s.group || s.told, "a stop is told")
	}
	if s.pc == mGuest && !s.asked {
		s.must(s.stops == 0 && !s.group && !s.vfork, "a task that is held comes to stand")
		s.must(!s.exit, "a task that was killed goes")
	}
	if s.pc == mBlock {
		s.must(s.stops == 0 && !s.group && !s.exit, "a call that waits is interrupted")
	}
	if s.pc == mPark {
		s.must(!s.group && !s.exit, "a parked task is asked for things")
		s.must(!s.ready, "a parked task is woken")
	}
}

func (m *mmodel) trace(id int32) string {
	var lines []string
	for ; id >= 0; id = m.parent[id] {
		lines = append(lines, fmt.Sprintf("  %+v", m.states[id]))
	}
	slices.Reverse(lines)
	return strings.Join(lines, "\n")
}

// All rules hold in all interleavings.
func TestStopModel(t *testing.T) {
	m := new(mmodel)
	if p := m.walk(); p != "" {
		t.Fatal(p)
	}
	reached := make(map[string]bool)
	for _, s := range m.states {
		if s.pc == mStand && s.stops == 2 && s.vfork && s.group {
			reached["all stops at once"] = true
		}
		if s.pc == mGone {
			reached["the end"] = true
		}
		if s.pc == mPark && s.stops == 2 {
			reached["a parked task that is left alone"] = true
		}
		if s.pc == mStand && s.stops == 1 && s.ready && s.token {
			reached["one that is woken during a stop"] = true
		}
		if s.pc == mGuest && s.at[2] == 2 && s.group {
			reached["guest code with a stop under way"] = true
		}
	}
	for _, want := range []string{
		"all stops at once", "the end", "guest code with a stop under way", "a parked task that is left alone", "one that is woken during a stop",
	} {
		if !reached[want] {
			t.Errorf("the model never comes to %s", want)
		}
	}
	t.Logf("%d states", len(m.states))
}

// Each of these breaks a rule, and the walk finds it.
func TestStopModelBroken(t *testing.T) {
	for _, c := range []struct{ broken, rule string }{
		{"a signal to nobody is lost", ""},
		{"lowers after looking", ""},
		{"looks at external stops alone", ""},
		{"looks at internal stops alone", "a task that is held comes to stand"},
		{"begins without asking", "a task that is held comes to stand"},
		{"ends without a signal", "a task that nothing holds runs"},
		{"ends all", "external stops do not fall below zero"},
		{"SIGCONT wakes nobody", "a task that nothing holds runs"},
		{"the child's end wakes nobody", "a task that nothing holds runs"},
		{"SIGKILL wakes nobody", "a task that was killed goes"},
		{"what was told is forgotten late", "a stop is told"},
		{"rests without looking", "a parked task is asked for things"},
		{"a wake-up before it rests is lost", "a parked task is woken"},
		{"SIGCONT forgets that the next stop was told", "a stop is told once"},
	} {
		p := (&mmodel{broken: c.broken}).walk()
		rule, _, _ := strings.Cut(p, "\n")
		if p == "" || !strings.Contains(rule, c.rule) {
			t.Errorf("%s: found %q, want %q", c.broken, rule, c.rule)
		}
	}
}

// All orders of beginning and ending stops of all kinds, on the kernel itself: after
// each the task stands if anything holds it, its parent knows of what it has to know,
// and when all has ended its call is done once.
func TestStopOrders(t *testing.T) {
	const (
		beginSet = iota
		endSet
		beginTask
		endTask
		sigStop
		sigCont
		childEnds
		kinds
	)
	length := 4
	if testing.Short() {
		length = 3
	}
	total := 1
	for range length {
		total *= kinds
	}
	for n := range total {
		var ops []int
		for x := n; len(ops) < length; x /= kinds {
			ops = append(ops, x%kinds)
		}
		synctest.Test(t, func(t *testing.T) {
			// The first process makes 2, which lends its thread to 3.
			p := newProcs(t, nil, nil, nil, do(0), do(1), do(2), enginetest.Loop{})
			p.calls = []guestCall{p.forks, inChild(p.vforks(false)), func(t *Task) Outcome {
				if t.Group().ID() == 2 {
					p.note("back")
				}
				return Done
			}}
			p.start()
			g := p.child(2)
			task := g.Leader()
			var set []*ExternalStop
			mine, group, lent := 0, false, true
			for i, op := range ops {
				switch op {
				case beginSet:
					set = append(set, p.k.tasks.BeginExternalStop())
				case endSet:
					if len(set) > 0 {
						set[0].End()
						set = set[1:]
					}
				case beginTask:
					task.BeginStop()
					mine++
				case endTask:
					if mine > 0 {
						task.EndStop()
						mine--
					}
				case sigStop:
					_ = g.Signal(SIGSTOP)
				case sigCont:
					_ = g.Signal(SIGCONT)
				case childEnds:
					if c, ok := p.k.tasks.Process(3); ok {
						c.Terminate()
					}
					lent = false
				}
				settle()
				want := Running
				was := group
				group = op == sigStop || group && op != sigCont
				if len(set) > 0 || mine > 0 || group || lent {
					want = Stopped
				}
				if got := task.State(); got != want {
					t.Fatalf("after %v: it is %v, want %v", ops[:i+1], got, want)
				}
				if c, ok, _ := p.g.WaitChild(WaitFor{Stopped: true, Continued: true}); ok != (was != group) || ok && (c.Code == CLDStopped) != group {
					t.Fatalf("after %v: told %v, %+v", ops[:i+1], ok, c)
				}
			}
			for _, s := range set {
				s.End()
			}
			for range mine {
				task.EndStop()
			}
			_ = g.Signal(SIGCONT)
			settle()
			if lent {
				p.child(3).Terminate()
			}
			p.wantLog("child 3 gave the thread back", "back")
			if got := task.State(); got != Running {
				t.Fatalf("after %v and the end of all: it is %v", ops, got)
			}
		})
		if t.Failed() {
			return
		}
	}
}
