package ttyfs

type eraseKind int

const (
	eraseChar eraseKind = iota // VERASE
	eraseWord                  // VWERASE
	eraseLine                  // VKILL that erases visibly
)

// killLocked is VKILL. Unless all of ECHOK, ECHOE and ECHOKE are set, the line
// stays to be seen.
func (t *Terminal) killLocked() {
	const visibly = ECHOK | ECHOE | ECHOKE
	switch {
	case len(t.queue) == t.canon:
	case !t.tio.lflag(ECHO):
		t.queue = t.queue[:t.canon]
	case t.tio.Lflag&visibly == visibly:
		t.eraseLocked(eraseLine)
	default:
		t.queue = t.queue[:t.canon]
		t.finishErasing()
		t.echoChar(t.tio.Cc[VKILL])
		if t.tio.lflag(ECHOK) {
			t.echoRaw('\n')
		}
		t.commitEchoesLocked()
	}
}

// eraseLocked erases from the end of the line that is being typed.
func (t *Terminal) eraseLocked(kind eraseKind) {
	if len(t.queue) == t.canon {
		return // and ECHOPRT stays open
	}
	inWord := false
	for len(t.queue) > t.canon {
		head := len(t.queue) - 1
		for head > t.canon && t.continuation(byte(t.queue[head])) {
			head--
		}
		first := byte(t.queue[head])
		if t.continuation(first) {
			break // the rest of a character whose start is gone stays
		}
		if kind == eraseWord {
			if isWord(first) {
				inWord = true
			} else if inWord {
				break
			}
		}
		char := t.queue[head:]
		t.queue = t.queue[:head]
		if t.tio.lflag(ECHO) {
			t.echoErase(kind, char)
		}
		if kind == eraseChar {
			break
		}
	}
	if len(t.queue) == t.canon && t.tio.lflag(ECHO) {
		t.finishErasing()
	}
	t.commitEchoesLocked()
}

// echoErase shows that char, which was at the end of the line, is erased.
func (t *Terminal) echoErase(kind eraseKind, char []cell) {
	c := byte(char[0])
	switch {
	case t.tio.lflag(ECHOPRT):
		if !t.erasing {
			t.echoRaw('\\')
			t.erasing = true
		}
		t.echoChar(c)
		for _, k := range char[1:] {
			t.echoRaw(byte(k))
			t.echoes.add(opMoveBack, 0)
		}
	case kind == eraseChar && !t.tio.lflag(ECHOE):
		t.echoChar(t.tio.Cc[VERASE])
	case c == '\t':
		t.echoEraseTab()
	default:
		columns := 1
		if isControl(c) {
			columns = 0
			if t.tio.lflag(ECHOCTL) {
				columns = 2 // ^X
			}
		}
		for range columns {
			t.echoRaw('\b')
			t.echoRaw(' ')
			t.echoRaw('\b')
		}
	}
}

// echoEraseTab goes back over a tab. How wide it was depends on the columns
// from the last tab on, or else from where the line begins on the screen.
func (t *Terminal) echoEraseTab() {
	columns, afterTab := 0, byte(0)
	for i := len(t.queue) - 1; i >= t.canon; i-- {
		c := byte(t.queue[i])
		if c == '\t' {
			afterTab = tabAfterTab
			break
		}
		switch {
		case !isControl(c) && !t.continuation(c):
			columns++
		case isControl(c) && t.tio.lflag(ECHOCTL):
			columns += 2
		}
	}
	t.echoes.add(opEraseTab, byte(columns&7)|afterTab)
}

// finishErasing closes what ECHOPRT has opened.
func (t *Terminal) finishErasing() {
	if t.erasing {
		t.echoRaw('/')
		t.erasing = false
	}
}

// continuation reports whether c is not the first byte of a character.
func (t *Terminal) continuation(c byte) bool { return t.tio.iflag(IUTF8) && c&0xc0 == 0x80 }

func isControl(c byte) bool { return c < ' ' || c == 0x7f }

// isWord reports whether c is part of a word. Linux takes bytes for Latin 1.
func isWord(c byte) bool {
	switch {
	case '0' <= c && c <= '9', 'a' <= c|0x20 && c|0x20 <= 'z', c == '_':
		return true
	}
	return c >= 0xc0 && c != 0xd7 && c != 0xf7
}
