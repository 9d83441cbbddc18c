package pipefs

// minBuffer is what a pipe that is used at all takes, in bytes.
const minBuffer = 4 << 10

// ring is the bytes of a pipe: a buffer that is read and written in a circle,
// so that nothing is moved when a part is read. It grows when it has to, and is
// kept then. All of it is protected by pipe.mu.
type ring struct {
	buf  []byte // its length is a power of two, or 0
	head int    // of the first byte in buf
	n    int    // bytes in it
}

// write puts all of b at the end. There is room for it in a pipe's capacity.
func (r *ring) write(b []byte) {
	if need := r.n + len(b); need > len(r.buf) {
		r.grow(need)
	}
	tail := (r.head + r.n) & (len(r.buf) - 1)
	k := copy(r.buf[tail:], b)
	copy(r.buf, b[k:])
	r.n += len(b)
}

// read moves bytes from the start to b, and returns how many.
func (r *ring) read(b []byte) int {
	k := r.peek(b, 0)
	r.n -= k
	if r.n == 0 {
		r.head = 0 // the next write is in one piece
	} else {
		r.head = (r.head + k) & (len(r.buf) - 1)
	}
	return k
}

// peek copies bytes from off on to b, and returns how many.
func (r *ring) peek(b []byte, off int) int {
	b = b[:min(len(b), r.n-off)]
	if len(b) == 0 {
		return 0
	}
	k := copy(b, r.buf[(r.head+off)&(len(r.buf)-1):])
	copy(b[k:], r.buf)
	return len(b)
}

// grow makes room for n bytes in all.
func (r *ring) grow(n int) {
	size := max(len(r.buf), minBuffer)
	for size < n {
		size *= 2
	}
	buf := make([]byte, size)
	r.peek(buf, 0)
	r.buf, r.head = buf, 0
}

// bytes returns a copy of all that is in it.
func (r *ring) bytes() []byte {
	b := make([]byte, r.n)
	r.peek(b, 0)
	return b
}
