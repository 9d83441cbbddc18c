package ttyfs

// spaceLocked returns how many bytes of output there is room for.
func (t *Terminal) spaceLocked() int {
	if t.stopped {
		return 0
	}
	return OutputSize - len(t.out)
}

// writeLocked writes p, as far as there is room.
func (t *Terminal) writeLocked(p []byte) int {
	if !t.tio.oflag(OPOST) {
		n := min(len(p), t.spaceLocked())
		t.out = append(t.out, p[:n]...)
		return n
	}
	for i, c := range p {
		if !t.putLocked(c) {
			return i
		}
	}
	return len(p)
}

// putLocked writes one character with OPOST, or reports that there is no room.
func (t *Terminal) putLocked(c byte) bool {
	space := t.spaceLocked()
	if space == 0 {
		return false
	}
	switch c {
	case '\n':
		if t.tio.oflag(ONLRET) {
			t.column = 0
		}
		if t.tio.oflag(ONLCR) {
			if space < 2 {
				return false
			}
			t.column, t.canonColumn = 0, 0
			t.out = append(t.out, '\r', '\n')
			return true
		}
		t.canonColumn = t.column
	case '\r':
		if t.tio.oflag(ONOCR) && t.column == 0 {
			return true
		}
		if t.tio.oflag(OCRNL) {
			c = '\n'
			if !t.tio.oflag(ONLRET) {
				break
			}
		}
		t.column, t.canonColumn = 0, 0
	case '\t':
		spaces := 8 - t.column&7
		if t.tio.Oflag&TABDLY == XTABS {
			if space < int(spaces) {
				return false
			}
			t.column += spaces
			t.out = append(t.out, "        "[:spaces]...)
			return true
		}
		t.column += spaces
	case '\b':
		t.backLocked()
	default:
		if !isControl(c) && !t.continuation(c) {
			t.column++
		}
	}
	t.out = append(t.out, c)
	return true
}

// backLocked moves the cursor back a column.
func (t *Terminal) backLocked() {
	if t.column > 0 {
		t.column--
	}
}
