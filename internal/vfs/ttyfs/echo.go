package ttyfs

// Echoes wait in a queue of their own, because there may be no room for them,
// and because some of them depend on the column where they come to stand.

// An echoOp is a step of echoing, in the upper byte, and its byte.
type echoOp uint16

const (
	opChar      echoOp = iota << 8 // a character, with OPOST if that is set
	opControl                      // ^X, not torn apart
	opRaw                          // a character of one column, never with OPOST
	opMoveBack                     // the cursor is where it was a column earlier
	opCanonical                    // the line that is being typed begins here
	opEraseTab                     // go back over a tab; see echoEraseTab
	opEnd                          // none
)

// tabAfterTab in the byte of an opEraseTab says that the columns in its lower
// bits count from a tab.
const tabAfterTab = 0x80

const (
	// echoBlock is after how much echoes are shown although more is typed.
	echoBlock = 256

	// echoLimit is how much is kept that finds no room. Beyond, the oldest go.
	echoLimit = 4096 - (echoBlock + 32)
)

// echoes is the queue. Sizes are in bytes as Linux counts them: it decides by
// them when to show echoes, and when to drop some.
type echoes struct {
	ops  []echoOp
	size int // of ops
	old  int // of those that were to be shown the last time, and could not
}

func (op echoOp) size() int {
	switch op &^ 0xff {
	case opChar:
		return 1
	case opEraseTab:
		return 3
	}
	return 2
}

func (e *echoes) add(kind echoOp, c byte) {
	op := kind | echoOp(c)
	e.ops = append(e.ops, op)
	e.size += op.size()
}

// drop removes the first n.
func (e *echoes) drop(n int) {
	for _, op := range e.ops[:n] {
		e.size -= op.size()
	}
	e.ops = append(e.ops[:0], e.ops[n:]...)
}

// echoRaw echoes c as it is.
func (t *Terminal) echoRaw(c byte) {
	if c == 0xff {
		t.echoes.add(opRaw, c)
		return
	}
	t.echoes.add(opChar, c)
}

// echoChar echoes c, as ^X if that is wanted.
func (t *Terminal) echoChar(c byte) {
	if t.tio.lflag(ECHOCTL) && isControl(c) && c != '\t' {
		t.echoes.add(opControl, c)
		return
	}
	t.echoRaw(c)
}

// echoFirst notes the column where the line begins, before the echo of its
// first character.
func (t *Terminal) echoFirst() {
	if t.canon == len(t.queue) {
		t.echoes.add(opCanonical, 0)
	}
}

// commitEchoesLocked shows echoes if there are many.
func (t *Terminal) commitEchoesLocked() {
	e := &t.echoes
	if e.size < echoBlock || e.size < echoLimit && e.size%echoBlock > e.old%echoBlock {
		return // Input shows them in the end
	}
	t.processEchoesLocked()
}

// processEchoesLocked shows what echoes there is room for.
func (t *Terminal) processEchoesLocked() {
	e := &t.echoes
	done := 0
	for done < len(e.ops) && t.echoLocked(e.ops[done]) {
		done++
	}
	left := e.size
	for _, op := range e.ops[:done] {
		left -= op.size()
	}
	for left >= echoLimit {
		left -= e.ops[done].size()
		done++
	}
	if done > 0 {
		e.drop(done)
	}
	e.old = e.size
}

// echoLocked shows op, or reports that there is no room.
func (t *Terminal) echoLocked(op echoOp) bool {
	c, space := byte(op), t.spaceLocked()
	switch op &^ 0xff {
	case opChar:
		if t.tio.oflag(OPOST) {
			return t.putLocked(c)
		}
		if space < 1 {
			return false
		}
		t.out = append(t.out, c)
	case opControl:
		if space < 2 {
			return false
		}
		t.out = append(t.out, '^', c^0x40)
		t.column += 2
	case opRaw:
		if space < 1 {
			return false
		}
		t.out = append(t.out, c)
		t.column++
	case opMoveBack:
		t.backLocked()
	case opCanonical:
		t.canonColumn = t.column
	case opEraseTab:
		columns := uint32(c &^ tabAfterTab)
		if c&tabAfterTab == 0 {
			columns += t.canonColumn
		}
		back := 8 - columns&7
		if space < int(back) {
			return false
		}
		for range back {
			t.out = append(t.out, '\b')
			t.backLocked()
		}
	}
	return true
}
