package ttyfs

import (
	"github.com/stasis-run/stasis/internal/abi"
	"github.com/stasis-run/stasis/internal/waiter"
)

// Input types p, and returns how much of it was taken. It takes all unless the
// guest lets InputSize bytes wait that it could read; the caller keeps the rest
// until Master is ready for it, or drops it. A line that is being typed is
// never too long for Input: beyond its limit, each character takes the place of
// the last, so that erasing it or ending it works.
//
// Echoes are shown when p is done, and a signal character discards those that
// are not shown yet: "abc^C" in one call gives "^C", in two "abc^C".
func (t *Terminal) Input(p []byte) int {
	t.mu.Lock()
	defer t.unlock()
	if t.hungUp {
		return len(p)
	}
	readable := t.readableLocked()
	n := 0
	for _, c := range p {
		if !t.roomLocked() {
			break
		}
		if len(t.queue) >= InputSize {
			t.queue = t.queue[:InputSize-1]
		}
		t.typeLocked(c)
		n++
	}
	if t.tio.lflag(ECHO | ECHONL) {
		t.processEchoesLocked()
	}
	if t.readableLocked() && (!readable || n > 0) {
		t.guest.Notify(waiter.In)
	}
	return n
}

// roomLocked reports whether the queue takes a character. There is always room
// if it holds but the line that is being typed.
func (t *Terminal) roomLocked() bool {
	return len(t.queue) < InputSize-1 || t.tio.lflag(ICANON) && t.canon == 0
}

// typeLocked is one character.
func (t *Terminal) typeLocked(c byte) {
	if t.tio.iflag(ISTRIP) {
		c &= 0x7f
	}
	switch {
	case t.lnext:
		t.lnext = false
		t.plainLocked(c)
	case t.special[c]:
		t.specialLocked(c)
	default:
		t.plainLocked(c)
	}
}

// plainLocked is a character without a meaning of its own.
func (t *Terminal) plainLocked(c byte) {
	t.restartLocked()
	if t.tio.lflag(ECHO) {
		t.finishErasing()
		t.echoFirst()
		t.echoChar(c)
		t.commitEchoesLocked()
	}
	t.queue = append(t.queue, cell(c))
}

// restartLocked is IXANY: any character starts output again.
func (t *Terminal) restartLocked() {
	if t.stopped && t.tio.iflag(IXON) && t.tio.iflag(IXANY) {
		t.startLocked()
		t.processEchoesLocked()
	}
}

// startLocked ends a stop by VSTOP.
func (t *Terminal) startLocked() {
	t.stopped = false
	t.notifyWritableLocked()
}

// specialLocked is a character that may have a meaning.
func (t *Terminal) specialLocked(c byte) {
	cc := &t.tio.Cc
	if t.tio.iflag(IXON) {
		switch c {
		case cc[VSTART]:
			t.startLocked()
			t.processEchoesLocked()
			return
		case cc[VSTOP]:
			t.stopped = true
			return
		}
	}
	if t.tio.lflag(ISIG) {
		switch c {
		case cc[VINTR]:
			t.signalLocked(sigInt, c)
			return
		case cc[VQUIT]:
			t.signalLocked(sigQuit, c)
			return
		case cc[VSUSP]:
			t.signalLocked(sigTstp, c)
			return
		}
	}
	t.restartLocked()
	switch {
	case c == '\r' && t.tio.iflag(IGNCR):
		return
	case c == '\r' && t.tio.iflag(ICRNL):
		c = '\n'
	case c == '\n' && t.tio.iflag(INLCR):
		c = '\r'
	}
	if t.tio.lflag(ICANON) && t.editLocked(c) {
		return
	}
	if t.tio.lflag(ECHO) {
		t.finishErasing()
		if c == '\n' {
			t.echoRaw(c)
		} else {
			t.echoFirst()
			t.echoChar(c)
		}
		t.commitEchoesLocked()
	}
	t.queue = append(t.queue, cell(c))
}

// signalLocked is a signal character. It discards what was typed and what was
// not shown yet, and ends a stop.
func (t *Terminal) signalLocked(sig int32, c byte) {
	t.pending = append(t.pending, sig)
	if !t.tio.lflag(NOFLSH) {
		t.echoes = echoes{}
		t.dropOutputLocked()
		t.flushInputLocked()
	}
	if t.tio.iflag(IXON) {
		t.startLocked()
	}
	if t.tio.lflag(ECHO) {
		t.echoChar(c)
		t.commitEchoesLocked()
	} else {
		t.processEchoesLocked()
	}
}

// editLocked does what c means for the line that is being typed, and reports
// whether it means anything.
func (t *Terminal) editLocked(c byte) bool {
	cc := &t.tio.Cc
	iexten, echo := t.tio.lflag(IEXTEN), t.tio.lflag(ECHO)
	switch {
	case c == cc[VERASE]:
		t.eraseLocked(eraseChar)
	case c == cc[VWERASE] && (iexten || c == cc[VKILL]): // so Linux has it if the two are one
		t.eraseLocked(eraseWord)
	case c == cc[VKILL]:
		t.killLocked()
	case c == cc[VLNEXT] && iexten:
		t.lnext = true
		if echo {
			t.finishErasing()
			if t.tio.lflag(ECHOCTL) {
				t.echoRaw('^')
				t.echoRaw('\b')
				t.commitEchoesLocked()
			}
		}
	case c == cc[VREPRINT] && iexten && echo:
		t.finishErasing()
		t.echoChar(c)
		t.echoRaw('\n')
		for _, k := range t.queue[t.canon:] {
			t.echoChar(byte(k))
		}
		t.commitEchoesLocked()
	case c == '\n':
		if t.tio.lflag(ECHO | ECHONL) {
			t.echoRaw('\n')
			t.commitEchoesLocked()
		}
		t.endLineLocked(lineEnd | '\n')
	case c == cc[VEOF]:
		t.endLineLocked(eof)
	case c == cc[VEOL], c == cc[VEOL2] && iexten:
		if echo {
			t.echoFirst()
			t.echoChar(c)
			t.commitEchoesLocked()
		}
		t.endLineLocked(lineEnd | cell(c))
	default:
		return false
	}
	return true
}

// endLineLocked ends the line with c.
func (t *Terminal) endLineLocked(c cell) {
	t.queue = append(t.queue, c)
	t.canon = len(t.queue)
}

// readableLocked reports whether a read would not block.
func (t *Terminal) readableLocked() bool {
	if t.tio.lflag(ICANON) {
		return t.canon > 0
	}
	need := 1
	if t.tio.Cc[VTIME] == 0 {
		need = max(1, int(t.tio.Cc[VMIN]))
	}
	return len(t.queue) >= need
}

// readLocked moves what can be read to bufs, of which there is room for room
// bytes.
func (t *Terminal) readLocked(bufs [][]byte, room int) (int, abi.Errno) {
	var take, skip int // of the queue: what is read, and a mark after it
	switch {
	case t.tio.lflag(ICANON):
		if t.canon == 0 {
			return 0, abi.EAGAIN
		}
		take, skip = t.lineLocked(room)
	case t.tio.Cc[VTIME] == 0 && t.tio.Cc[VMIN] > 0 && len(t.queue) < min(room, int(t.tio.Cc[VMIN])),
		t.tio.Cc[VTIME] > 0 && len(t.queue) == 0:
		return 0, abi.EAGAIN
	default:
		take = min(room, len(t.queue))
	}
	full := !t.roomLocked()
	cells := t.queue[:take]
	for _, b := range bufs {
		k := min(len(b), len(cells))
		for i, c := range cells[:k] {
			b[i] = byte(c)
		}
		cells = cells[k:]
	}
	t.queue = append(t.queue[:0], t.queue[take+skip:]...)
	t.canon = max(t.canon-take-skip, -1)
	if t.tio.lflag(ICANON) {
		t.canon = max(t.canon, 0)
	}
	if full && t.roomLocked() {
		t.master.Notify(waiter.Out)
	}
	return take, abi.OK
}

// lineLocked returns how much of the queue is the next line or, if that is
// longer, room. A mark of VEOF after it goes, too.
func (t *Terminal) lineLocked(room int) (take, skip int) {
	for i, c := range t.queue[:min(room, t.canon)] {
		switch {
		case c == eof:
			return i, 1
		case c&lineEnd != 0:
			return i + 1, 0
		}
	}
	take = min(room, t.canon)
	if take < t.canon && t.queue[take] == eof {
		skip = 1
	}
	return take, skip
}
